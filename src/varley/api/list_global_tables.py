"""ListGlobalTables: of the first version of global tables (2017.11.29), of which there are none."""

from __future__ import annotations

from varley.api.constraints import Members, Range, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, decoder
from varley.api.services import Services
from varley.http.call import Call


class ListGlobalTablesRequest(Request):
    exclusive_start_global_table_name: str | None = None
    limit: int | None = None
    region_name: str | None = None


_decode = decoder(ListGlobalTablesRequest)
_LIST_GLOBAL_TABLES = Members(exclusive_start_global_table_name=NAME_ONLY, limit=(Range(1),))


def run(_services: Services, call: Call) -> bytes:
    check(_LIST_GLOBAL_TABLES, _decode(call.body))
    return b'{"GlobalTables":[]}'
