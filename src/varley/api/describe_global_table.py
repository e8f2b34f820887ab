"""DescribeGlobalTable: of the first version of global tables (2017.11.29), of which there are none."""

from __future__ import annotations

from varley.api.absences import no_global_table
from varley.api.constraints import NOT_NULL, Members, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class DescribeGlobalTableRequest(Request):
    global_table_name: str | None = None


_decode = decoder(DescribeGlobalTableRequest)
_DESCRIBE_GLOBAL_TABLE = Members(global_table_name=(NOT_NULL, *NAME_ONLY))


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_DESCRIBE_GLOBAL_TABLE, request)
    assert request.global_table_name is not None
    raise no_global_table(request.global_table_name)
