"""DescribeTable: a table's definition and size."""

from __future__ import annotations

import msgspec

from varley.api.constraints import TABLE_NAME, Members, check
from varley.api.requests import Request, decoder
from varley.api.services import Services, view_of
from varley.errors import ResourceNotFound
from varley.http.call import Call
from varley.metadata.catalog import Described
from varley.remote.peers import Peers
from varley.table.description import View, description
from varley.table.table_name import table_name


class DescribeTableRequest(Request):
    table_name: str | None = None


_decode = decoder(DescribeTableRequest)
_DESCRIBE_TABLE = Members(table_name=TABLE_NAME)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check(_DESCRIBE_TABLE, request)
    assert request.table_name is not None
    name = table_name(request.table_name)
    described = services.catalog.get(name)
    if described is None:
        raise ResourceNotFound(f"Requested resource not found: Table: {name} not found")
    view = view_of(services, call)
    peers = call.elsewhere
    if peers is not None:
        services.spawn(_answer_knowing(peers, services, described, view), call)
        return None
    return _answer(services, described, view)


async def _answer_knowing(peers: Peers, services: Services, described: Described, view: View) -> bytes:
    await peers.know_sums(described.groups)
    return _answer(services, described, view)


def _answer(services: Services, described: Described, view: View) -> bytes:
    name = described.table.name
    item_count, size_bytes = services.router.statistics(name)
    index_sizes = services.router.index_statistics(name)
    shown = description(
        described.table, view, item_count=item_count, size_bytes=size_bytes, index_sizes=index_sizes
    )
    return msgspec.json.encode({"Table": shown})
