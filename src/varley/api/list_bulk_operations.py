"""ListBulkOperations: those of the last 90 days, newest first.

NextToken is the number of the last one shown, in the sixteen hexadecimal digits that the service's tokens consist of.
"""

from __future__ import annotations

from typing import Any

import msgspec

from varley.api.constraints import Length, Members, Pattern, Range, check
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call

_SHOWN_DEFAULT = 10
_LISTED_SECONDS = 90 * 86_400


class ListBulkOperationsRequest(Request):
    max_results: int | None = None
    next_token: str | None = None


_decode = decoder(ListBulkOperationsRequest)
_LIST = Members(max_results=(Range(1, 25),), next_token=(Length(1, 1024), Pattern("([0-9a-f]{16})+")))


def run(services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST, request)
    below = None
    if request.next_token is not None:
        if len(request.next_token) != 16:
            raise ValidationError("Invalid NextToken")
        below = int(request.next_token, 16)
    since = services.clock.time() - _LISTED_SECONDS
    found = [
        each
        for each in services.bulk.operations
        if each.started_at >= since and (below is None or each.number < below)
    ]
    page = found[: request.max_results or _SHOWN_DEFAULT]
    answer: dict[str, Any] = {"BulkOperationsSummaryList": [each.summary() for each in page]}
    if len(page) < len(found):
        answer["NextToken"] = f"{page[-1].number:016x}"
    return msgspec.json.encode(answer)
