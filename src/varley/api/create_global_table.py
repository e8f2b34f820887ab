"""CreateGlobalTable: of the first version of global tables (2017.11.29), which the service makes no more either."""

from __future__ import annotations

from varley.api.absences import legacy_global_tables
from varley.api.constraints import NOT_NULL, Members, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services
from varley.http.call import Call


class Replica(Structure):
    region_name: str | None = None


class CreateGlobalTableRequest(Request):
    global_table_name: str | None = None
    replication_group: list[Replica] | None = None


_decode = decoder(CreateGlobalTableRequest)
_CREATE_GLOBAL_TABLE = Members(global_table_name=(NOT_NULL, *NAME_ONLY), replication_group=(NOT_NULL,))


def run(_services: Services, call: Call) -> bytes:
    check(_CREATE_GLOBAL_TABLE, _decode(call.body))
    raise legacy_global_tables()
