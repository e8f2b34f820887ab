"""DeleteTable: forget a table, durably, then close its partitions and let go of its data.

In that order: a crash between the two leaves data that no table names, which is removed at the next start;
the other order would leave a table without its data. If the table has a stream that can still be read, its partitions
stay until that is over (streams/upkeep.py).
"""

from __future__ import annotations

import msgspec

from varley.api.constraints import TABLE_NAME, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services, view_of
from varley.errors import ResourceInUse, ResourceNotFound, ValidationError
from varley.http.call import Call
from varley.remote.peers import Peers
from varley.table.description import View, description_when_deleted
from varley.table.table_name import table_name


class DeleteTableRequest(Request):
    table_name: str | None = None


_decode = decoder(DeleteTableRequest)
_DELETE_TABLE = Members(table_name=TABLE_NAME)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_DELETE_TABLE, request)
    assert request.table_name is not None
    view = view_of(services, call)
    services.spawn(_delete(services, call.elsewhere, table_name(request.table_name), view), call)
    return None


async def _delete(services: Services, peers: Peers | None, name: str, view: View) -> bytes:
    async with services.catalog.changes:
        described = services.catalog.get(name)
        if described is None:
            raise ResourceNotFound(f"Requested resource not found: Table: {name} not found")
        if described.table.deletion_protection:
            raise ValidationError(
                "Resource cannot be deleted as it is currently protected against deletion. "
                "Disable deletion protection first."
            )
        if any(index.status != "ACTIVE" for index in described.table.global_indexes):
            raise ResourceInUse(
                "Attempt to change a resource which is still in use: Cannot delete table while indexes are being "
                "created, updated, or deleted."
            )
        if peers is not None:
            await peers.know_sums(described.groups)
        item_count, size_bytes = services.router.statistics(name)
        kept = services.streams.outliving(described.table)
        await services.catalog.delete(name, keep=kept)
        if kept is None:
            services.streams.drop(described.table)
        else:
            services.streams.redefine(services.catalog.deleted[kept.id], services.router.route(name).partitions)
        await services.router.close_partitions(described, keep_groups=kept is not None)
    shown = description_when_deleted(described.table, view, item_count=item_count, size_bytes=size_bytes)
    return msgspec.json.encode({"TableDescription": shown})
