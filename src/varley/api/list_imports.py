"""ListImports: there are none, so a token of a next page was never given out."""

from __future__ import annotations

from varley.api.absences import no_next_page
from varley.api.constraints import Length, Members, Pattern, Range, check
from varley.api.named_table import TABLE_ARN
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class ListImportsRequest(Request):
    table_arn: str | None = None
    page_size: int | None = None
    next_token: str | None = None


_decode = decoder(ListImportsRequest)
_LIST_IMPORTS = Members(
    table_arn=TABLE_ARN,
    page_size=(Range(1, 25),),
    next_token=(Length(112, 1024), Pattern("([0-9a-f]{16})+")),
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_LIST_IMPORTS, request)
    if request.next_token is not None:
        raise no_next_page(request.next_token)
    return b'{"ImportSummaryList":[]}'
