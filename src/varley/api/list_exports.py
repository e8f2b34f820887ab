"""ListExports: there are none, so a token of a next page was never given out."""

from __future__ import annotations

from varley.api.absences import no_next_page
from varley.api.constraints import Members, Range, check
from varley.api.named_table import TABLE_ARN
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class ListExportsRequest(Request):
    table_arn: str | None = None
    max_results: int | None = None
    next_token: str | None = None


_decode = decoder(ListExportsRequest)
_LIST_EXPORTS = Members(table_arn=TABLE_ARN, max_results=(Range(1, 25),))


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_EXPORTS, request)
    if request.next_token is not None:
        raise no_next_page(request.next_token)
    return b'{"ExportSummaries":[]}'
