"""GetItem: one item by its key.

An item on disk is its own answer: without a projection, the stored JSON is spliced into the reply and nothing is
decoded.
"""

from __future__ import annotations

import msgspec

from varley.api import capacity, constraints
from varley.api.expressions import Shape
from varley.api.item_projection import projection_expressions, projection_of, shape_for
from varley.api.requests import Attributes, Request, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.item.stored import HEADER_BYTES, item_size
from varley.item.units import read_units
from varley.item.value import check_item
from varley.node.settled import reply_when_settled
from varley.router.routes import Route


class GetItemRequest(Request):
    table_name: str | None = None
    key: Attributes | None = None
    attributes_to_get: list[str] | None = None
    consistent_read: bool | None = None
    return_consumed_capacity: str | None = None
    projection_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None


_decode = decoder(GetItemRequest)
_decode_item = msgspec.json.decode


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    name, key = request.table_name, request.key
    if (
        name not in services.router
        or key is None
        or request.return_consumed_capacity not in constraints.CAPACITY_MODES
        or request.attributes_to_get is not None
    ):
        constraints.check(constraints.GET_ITEM, request)
    assert name is not None and key is not None
    expressions = projection_expressions(request)
    check_item(key)
    projection = None if expressions is None else projection_of(request, expressions)
    route = services.router.route(name)
    row_key = route.keys.row_key(key)
    shape = shape_for(projection, route)
    partition = route.partition_of(row_key)
    mode = request.return_consumed_capacity
    if request.consistent_read:
        undecided = partition.undecided(row_key)
        if undecided is not None:
            undecided.hold(
                reply_when_settled(call, lambda: _answer(name, partition.get(row_key), route, shape, mode, True))
            )
            return None
    stored = partition.get(row_key)
    if stored is not None and shape is None and mode is None:
        route.counts["GetItem"].consumed_read_units += read_units(item_size(stored), bool(request.consistent_read))
        return b'{"Item":' + stored[HEADER_BYTES:] + b"}"
    return _answer(name, stored, route, shape, mode, bool(request.consistent_read))


def _answer(
    table: str, stored: bytes | None, route: Route, shape: Shape | None, mode: str | None, consistent: bool
) -> bytes:
    members = b""
    size = 0
    if stored is not None:
        size = item_size(stored)
        json = stored[HEADER_BYTES:]
        members = b',"Item":' + (json if shape is None else shape(_decode_item(json)))
    units = read_units(size, consistent)
    route.counts["GetItem"].consumed_read_units += units
    return capacity.answer(members + capacity.member(table, units, mode))
