"""BatchGetItem: up to 100 items by their keys, from any tables; what does not fit in 16 MB is told as unprocessed."""

from __future__ import annotations

from typing import Any

import msgspec

from varley.api import capacity, constraints
from varley.api.away_rows import AwayRows, Holder
from varley.api.expressions import Shape
from varley.api.item_projection import projection_expressions, projection_of, shape_for
from varley.api.requests import Attributes, Request, Structure, decoder
from varley.api.services import Services
from varley.errors import ValidationError
from varley.expression.projection import Projection
from varley.http.call import Call
from varley.item.stored import HEADER_BYTES, item_size
from varley.item.units import read_units
from varley.item.value import Item, check_item
from varley.limits import BATCH_GET_BYTES_MAX, BATCH_GET_KEYS_MAX
from varley.node.replica import Proposal
from varley.node.settled import reply_when_settled
from varley.router.routes import Route

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode


class KeysAndAttributes(Structure):
    keys: list[Attributes] | None = None
    attributes_to_get: list[str] | None = None
    consistent_read: bool | None = None
    projection_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None


class BatchGetItemRequest(Request):
    request_items: dict[str, KeysAndAttributes] | None = None
    return_consumed_capacity: str | None = None


_decode = decoder(BatchGetItemRequest)

_OneTable = tuple[str, KeysAndAttributes, Route, Shape | None, list[tuple[Holder, bytes, Item]]]


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    constraints.check(constraints.BATCH_GET_ITEM, request)
    assert request.request_items is not None
    projections: dict[str, Projection | None] = {}
    count = 0
    for name, wanted in request.request_items.items():
        assert wanted.keys is not None
        expressions = projection_expressions(wanted)
        for key in wanted.keys:
            check_item(key)
        projections[name] = None if expressions is None else projection_of(wanted, expressions)
        count += len(wanted.keys)
    if count > BATCH_GET_KEYS_MAX:
        raise ValidationError("Too many items requested for the BatchGetItem call")
    tables: list[_OneTable] = []
    undecided: list[Proposal] = []
    away = AwayRows(call.elsewhere)
    seen: set[tuple[str, bytes]] = set()    # a table may be named twice: by its name and by its ARN
    for name, wanted in request.request_items.items():
        assert wanted.keys is not None
        route = services.router.route(name)
        consistent = bool(wanted.consistent_read)
        rows: list[tuple[Holder, bytes, Item]] = []
        for key in wanted.keys:
            row_key = route.keys.row_key(key)
            if (route.name, row_key) in seen:
                raise ValidationError("Provided list of item keys contains duplicates")
            seen.add((route.name, row_key))
            partition = route.partition_of(row_key)
            holder = away.holder(partition, row_key, consistent=consistent)
            if holder is not None:
                rows.append((holder, row_key, key))
                continue
            rows.append((partition, row_key, key))
            if consistent:
                proposal = partition.undecided(row_key)
                if proposal is not None:
                    undecided.append(proposal)
        tables.append((name, wanted, route, shape_for(projections[name], route), rows))
    mode = request.return_consumed_capacity
    if not undecided and not away:
        return _answer(tables, mode)

    away.when_read(undecided, reply_when_settled(call, lambda: _answer(tables, mode)))
    return None


def _answer(tables: list[_OneTable], mode: str | None) -> bytes:
    responses: dict[str, list[bytes]] = {}
    unprocessed: dict[str, dict[str, Any]] = {}
    costs: dict[str, float] = {}
    total = 0
    for name, wanted, route, shape, rows in tables:
        found = responses[name] = []
        costs[name] = 0.0
        left: list[Item] = []
        for holder, row_key, key in rows:
            if total > BATCH_GET_BYTES_MAX:
                left.append(key)
                continue
            stored = holder.get(row_key)
            size = 0
            if stored is not None:
                size = item_size(stored)
                total += size
                if total > BATCH_GET_BYTES_MAX:
                    left.append(key)
                    continue
                json = stored[HEADER_BYTES:]
                found.append(json if shape is None else shape(_decode_item(json)))
            units = read_units(size, bool(wanted.consistent_read))
            costs[name] += units
            route.counts["BatchGetItem"].consumed_read_units += units
        if left:
            unprocessed[name] = _remaining(wanted, left)
    parts = [_encode(name) + b":[" + b",".join(found) + b"]" for name, found in responses.items()]
    body = b'{"Responses":{' + b",".join(parts) + b'},"UnprocessedKeys":' + _encode(unprocessed)
    if mode is not None and mode != "NONE":
        structures = [capacity.consumed(table, cost, mode) for table, cost in costs.items()]
        body += b',"ConsumedCapacity":' + _encode(structures)
    return body + b"}"


def _remaining(wanted: KeysAndAttributes, keys: list[Item]) -> dict[str, Any]:
    """What the client sends again for `keys`, ready to be used as RequestItems."""
    members: dict[str, Any] = {"Keys": keys}
    if wanted.attributes_to_get is not None:
        members["AttributesToGet"] = wanted.attributes_to_get
    if wanted.consistent_read is not None:
        members["ConsistentRead"] = wanted.consistent_read
    if wanted.projection_expression is not None:
        members["ProjectionExpression"] = wanted.projection_expression
    if wanted.expression_attribute_names is not None:
        members["ExpressionAttributeNames"] = wanted.expression_attribute_names
    return members
