"""PutItem: one item, written whole.

Order of checks, as AWS has it: shape of the body; constraints of the model; expression and old-style parameters
mixed; attribute values; ReturnValues; size; condition; then the table, and the item against the table's keys; last,
at the partition's leader, the condition against the item as it is.
"""

from __future__ import annotations

import msgspec

from varley.api import constraints
from varley.api.expressions import BoundCondition, check_key_paths, refuse
from varley.api.requests import Attributes, ExpectedAttributeValue, OldStyle, Request, decoder, old_style
from varley.api.services import Services
from varley.api.writes import Terms, condition_of, write_expressions
from varley.errors import ValidationError
from varley.http.call import Call
from varley.item.stored import pack
from varley.item.value import check_item
from varley.limits import ITEM_BYTES_MAX
from varley.node.partition import Outcome

_encode = msgspec.json.encode


class PutItemRequest(Request):
    table_name: str | None = None
    item: Attributes | None = None
    expected: OldStyle | None = None
    return_values: str | None = None
    return_consumed_capacity: str | None = None
    return_item_collection_metrics: str | None = None
    conditional_operator: str | None = None
    condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None
    return_values_on_condition_check_failure: str | None = None


_decode = decoder(PutItemRequest)


class Put:
    """The write: put `json`, an item of `size` DynamoDB bytes, if `condition` holds."""

    __slots__ = ("condition", "counts", "json", "key", "size", "terms")

    def __init__(self, key: bytes, json: bytes, size: int, condition: BoundCondition | None, terms: Terms) -> None:
        self.key = key
        self.json = json
        self.size = size
        self.condition = condition
        self.terms = terms
        self.counts = terms.counts

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        terms = self.terms
        if self.condition is not None and not self.condition.holds(old):
            refuse(old, terms.return_old_on_failure)
        new = pack(self.json, self.size, timestamp_us)
        return terms.outcome(self.key, old, new, terms.old_attributes(old), timestamp_us)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    if request.expected is not None:
        request.expected = old_style(request.expected, ExpectedAttributeValue)
    name, item = request.table_name, request.item
    if name not in services.router or item is None or constraints.has_unusual_write_options(request):
        constraints.check(constraints.PUT_ITEM, request)
    assert name is not None and item is not None
    expressions = write_expressions(request)
    size = check_item(item)
    if request.return_values is not None and request.return_values not in ("NONE", "ALL_OLD"):
        raise ValidationError("ReturnValues can only be ALL_OLD or NONE")
    if size > ITEM_BYTES_MAX:
        raise ValidationError("Item size has exceeded the maximum allowed size")
    condition = None if expressions is None else condition_of(request, expressions)
    route = services.router.route(name)
    key = route.keys.row_key_of_item(item)
    if condition is not None:
        check_key_paths(condition.nested_names, route)
    if route.consequences is not None:
        route.consequences.check_item(item)
    terms = Terms(
        route,
        "PutItem",
        request.return_values,
        request.return_values_on_condition_check_failure,
        request.return_consumed_capacity,
        request.return_item_collection_metrics,
        item,
        table=request.table_name,
    )
    put = Put(key, _encode(item), size, condition, terms)
    return route.partition_of(key).write(put, call)
