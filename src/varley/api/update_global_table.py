"""UpdateGlobalTable: of the first version of global tables (2017.11.29), of which there are none.

The service refuses to add a replica before it looks whether there is such a table.
"""

from __future__ import annotations

from varley.api.absences import legacy_global_tables, no_global_table
from varley.api.constraints import NOT_NULL, Each, Members, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.http.call import Call


class CreateReplicaAction(Structure):
    region_name: str | None = None


class DeleteReplicaAction(Structure):
    region_name: str | None = None


class ReplicaUpdate(Structure):
    create: CreateReplicaAction | None = None
    delete: DeleteReplicaAction | None = None


class UpdateGlobalTableRequest(Request):
    global_table_name: str | None = None
    replica_updates: list[ReplicaUpdate] | None = None


_decode = decoder(UpdateGlobalTableRequest)
_REGION = (Members(region_name=(NOT_NULL,)),)
_UPDATE_GLOBAL_TABLE = Members(
    global_table_name=(NOT_NULL, *NAME_ONLY),
    replica_updates=(NOT_NULL, Each(Members(create=_REGION, delete=_REGION))),
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_UPDATE_GLOBAL_TABLE, request)
    assert request.global_table_name is not None
    if not request.replica_updates:
        raise ValidationError("One or more parameter values were invalid")    # the service says no more
    if any(update.create is not None for update in request.replica_updates):
        raise legacy_global_tables()
    raise no_global_table(request.global_table_name)
