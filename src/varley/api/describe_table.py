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
    if not described.table.vector_indexes:
        return _answer(services, described, view, {})
    services.spawn(_describe(services, name, view), call)
    return None


async def _describe(services: Services, name: str, view: View) -> bytes:
    """Of a table with vector indexes, whose items have to be looked at."""
    sizes = await services.vectors.statistics(services.router.route(name))
    described = services.catalog.get(name)
    if described is None:
        raise _not_found(name)
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
