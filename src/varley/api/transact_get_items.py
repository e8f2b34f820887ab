"""TransactGetItems: up to 100 items by their keys, from any tables, as they were together at one moment."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from varley.api import constraints
from varley.api.constraints import DATA_TABLE_NAME, NOT_NULL, Each, Length, Members, OneOf
from varley.api.expressions import Shape
from varley.api.item_projection import projection_expressions, projection_of, shape_for
from varley.api.requests import Attributes, Request, Structure, decoder
from varley.api.services import Services
from varley.api.transactions import Refusals, read_costs
from varley.errors import ValidationError
from varley.expression.projection import Projection
from varley.http.call import Call
from varley.item.stored import HEADER_BYTES, item_size
from varley.item.value import Item, check_item
from varley.limits import TRANSACTION_ACTIONS_MAX, TRANSACTION_BYTES_MAX
from varley.router.routes import Route

_decode_item = msgspec.json.decode

_OPERATION: Final = "TransactGetItems"


class Get(Structure):
    table_name: str | None = None
    key: Attributes | None = None
    projection_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None

    attributes_to_get: ClassVar[None] = None    # only GetItem has them


class TransactGetItem(Structure):
    get: Get | None = None


class TransactGetItemsRequest(Request):
    transact_items: list[TransactGetItem] | None = None
    return_consumed_capacity: str | None = None


_decode = decoder(TransactGetItemsRequest)

_MEMBERS: Final = Members(
    return_consumed_capacity=(OneOf("INDEXES", "TOTAL", "NONE"),),
    transact_items=(
        NOT_NULL,
        Length(1, TRANSACTION_ACTIONS_MAX),
        Each(Members(get=(NOT_NULL, Members(key=(NOT_NULL,), table_name=DATA_TABLE_NAME)))),
    ),
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    constraints.check(_MEMBERS, request)
    assert request.transact_items is not None
    gets = [item.get for item in request.transact_items if item.get is not None]
    projections = [_projection(get) for get in gets]
    routes = [services.router.route(get.table_name or "") for get in gets]
    shapes = [shape_for(projection, route) for projection, route in zip(projections, routes, strict=True)]
    refusals = Refusals(len(gets))
    rows: list[tuple[Route, bytes]] = []
    for number, (get, route) in enumerate(zip(gets, routes, strict=True)):
        key: Item = get.key or {}
        row = refusals.row_of(number, route, key, functools.partial(route.keys.row_key, key))
        if row is not None:
            rows.append((route, row))
    refusals.check()
    mode = request.return_consumed_capacity

    def answer(values: Sequence[bytes | None]) -> bytes:
        return responses(_OPERATION, routes, values, shapes, mode, [get.table_name or "" for get in gets])

    return services.transactions.read(rows, call, answer)


def _projection(get: Get) -> Projection | None:
    """Raises ValidationError for what is wrong whatever the table."""
    expressions = projection_expressions(get)
    assert get.key is not None
    check_item(get.key)
    return None if expressions is None else projection_of(get, expressions)


def responses(
    operation: str,
    routes: Sequence[Route],
    values: Sequence[bytes | None],
    shapes: Sequence[Shape | None],
    mode: str | None,
    tables: Sequence[str] | None = None,
) -> bytes:
    """The answer's body. `tables`: as they were named, if it was not by their names.

    Raises ValidationError if the items are too large together.
    """
    total = sum(item_size(value) for value in values if value is not None)
    if total > TRANSACTION_BYTES_MAX:
        raise ValidationError(f"Payload in response is too large.{total}")
    parts = []
    for value, shape in zip(values, shapes, strict=True):
        if value is None:
            parts.append(b"{}")
        else:
            json = value[HEADER_BYTES:]
            parts.append(b'{"Item":' + (json if shape is None else shape(_decode_item(json))) + b"}")
    costs = read_costs(operation, routes, values, tables or [route.name for route in routes])
    return b'{"Responses":[' + b",".join(parts) + b"]" + costs.member(mode) + b"}"
