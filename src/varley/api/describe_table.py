"""DescribeTable: a table's definition and size."""

from __future__ import annotations

from collections.abc import Mapping

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
        raise _not_found(name)
    view = view_of(services, call)
    peers = call.elsewhere
    if peers is not None or described.table.vector_indexes:
        services.spawn(_describe(services, peers, name, view), call)
        return None
    return _answer(services, described, view, {})


async def _describe(services: Services, peers: Peers | None, name: str, view: View) -> bytes:
    """Of a table with vector indexes, whose items have to be looked at, or with partitions that are elsewhere."""
    route = services.router.route(name)
    sizes = await services.vectors.statistics(route, peers) if route.vector_indexes else {}
    described = services.catalog.get(name)
    if described is None:
        raise _not_found(name)
    if peers is not None:
        await peers.know_sums(described.groups)
    return _answer(services, described, view, sizes)


def _answer(
    services: Services, described: Described, view: View, vector_sizes: Mapping[str, tuple[int, int]]
) -> bytes:
    name = described.table.name
    item_count, size_bytes = services.router.statistics(name)
    shown = description(
        described.table, view, item_count=item_count, size_bytes=size_bytes,
        index_sizes={**services.router.index_statistics(name), **vector_sizes},
    )  # fmt: skip
    return msgspec.json.encode({"Table": shown})


def _not_found(name: str) -> ResourceNotFound:
    return ResourceNotFound(f"Requested resource not found: Table: {name} not found")
