"""UpdateItem: change some attributes of one item, or make it.

What the expression reads is the item as it was; what it writes is a new item (the old one is never changed in
place); what is logged is the new item, whole.
"""

from __future__ import annotations

import msgspec

from varley.api import constraints
from varley.api.expressions import BoundCondition, BoundUpdate, check_key_paths, refuse
from varley.api.requests import (
    Attributes,
    AttributeValueUpdate,
    ExpectedAttributeValue,
    OldStyle,
    Request,
    decoder,
    old_style,
)
from varley.api.services import Services
from varley.api.writes import Terms, update_expressions, update_of
from varley.errors import ValidationError
from varley.http.call import Call
from varley.item.size import item_size_within
from varley.item.stored import HEADER_BYTES, pack
from varley.item.value import Item, check_item
from varley.limits import ITEM_BYTES_MAX
from varley.node.partition import Outcome

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode


class UpdateItemRequest(Request):
    table_name: str | None = None
    key: Attributes | None = None
    attribute_updates: OldStyle | None = None
    expected: OldStyle | None = None
    conditional_operator: str | None = None
    return_values: str | None = None
    return_consumed_capacity: str | None = None
    return_item_collection_metrics: str | None = None
    update_expression: str | None = None
    condition_expression: str | None = None
    expression_attribute_names: dict[str, str] | None = None
    expression_attribute_values: Attributes | None = None
    return_values_on_condition_check_failure: str | None = None


_decode = decoder(UpdateItemRequest)


class Change:
    """The write: apply `update` to the row, or to a new item with `key_attributes`, if `condition` holds."""

    __slots__ = ("condition", "counts", "key", "key_attributes", "terms", "update")

    def __init__(
        self,
        key: bytes,
        key_attributes: Item,
        update: BoundUpdate | None,
        condition: BoundCondition | None,
        terms: Terms,
    ) -> None:
        self.key = key
        self.key_attributes = key_attributes
        self.update = update
        self.condition = condition
        self.terms = terms
        self.counts = terms.counts

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        old_item: Item | None = None if old is None else _decode_item(old[HEADER_BYTES:])
        if self.condition is not None and not self.condition.holds_for(old_item):
            refuse(old, self.terms.return_old_on_failure)
        base = self.key_attributes if old_item is None else old_item
        new_item = base if self.update is None else self.update.apply(base)
        size = item_size_within(ITEM_BYTES_MAX, new_item)
        if size is None:
            raise ValidationError("Item size to update has exceeded the maximum allowed size")
        if self.update is not None and self.update.is_nested:
            check_item(new_item)    # a change inside of a document may nest it too deep
        consequences = self.terms.consequences
        if consequences is not None and self.update is not None:
            if self.update.is_old_style:
                consequences.check_item(new_item)
            else:
                consequences.check_updated(new_item)
        shown = self._shown(old_item, new_item)
        attributes = _encode(shown) if shown else b""
        new = pack(_encode(new_item), size, timestamp_us)
        return self.terms.outcome(self.key, old, new, attributes, timestamp_us)

    def _shown(self, old_item: Item | None, new_item: Item) -> Item | None:
        """What of the item the client wants to see."""
        match self.terms.return_values:
            case "ALL_OLD":
                return old_item
            case "ALL_NEW":
                return new_item
            case "UPDATED_OLD" if self.update is not None and old_item is not None:
                return self.update.updated_old(old_item)
            case "UPDATED_NEW" if self.update is not None:
                return self.update.updated_new(new_item)
        return None


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    if request.expected is not None or request.attribute_updates is not None:
        request.expected = old_style(request.expected, ExpectedAttributeValue)
        request.attribute_updates = old_style(request.attribute_updates, AttributeValueUpdate)
    name, key = request.table_name, request.key
    if (
        name not in services.router
        or key is None
        or request.attribute_updates is not None
        or constraints.has_unusual_write_options(request)
    ):
        constraints.check(constraints.UPDATE_ITEM, request)
    assert name is not None and key is not None
    expressions = update_expressions(request)
    check_item(key)
    update, condition = (None, None) if expressions is None else update_of(request, expressions, tuple(key))
    route = services.router.route(name)
    row_key = route.keys.row_key(key)
    if update is not None:
        update.check_keys(route.keys.names)
        if route.consequences is not None:
            update.check_index_keys(route.consequences.index_names)
    if condition is not None:
        check_key_paths(condition.nested_names, route)
    terms = Terms(
        route,
        "UpdateItem",
        request.return_values,
        request.return_values_on_condition_check_failure,
        request.return_consumed_capacity,
        request.return_item_collection_metrics,
        key,
        table=request.table_name,
    )
    change = Change(row_key, key, update, condition, terms)
    return route.partition_of(row_key).write(change, call)
