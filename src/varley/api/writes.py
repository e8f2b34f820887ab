"""What PutItem, DeleteItem and UpdateItem have in common: expressions, and what the client wants to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from varley.api import capacity
from varley.api.expressions import BoundCondition, BoundUpdate, Expressions, check_parameters, old_condition
from varley.expression import legacy
from varley.item.stored import HEADER_BYTES
from varley.item.units import write_units_of
from varley.item.value import Item
from varley.node.partition import Outcome
from varley.router.routes import Route

_encode = msgspec.json.encode

_GB = 1024**3
TOO_LARGE = "Item size has exceeded the maximum allowed size"
TOO_LARGE_TO_UPDATE = "Item size to update has exceeded the maximum allowed size"
_CONDITION = ("ConditionExpression",)
_UPDATE_AND_CONDITION = ("UpdateExpression", "ConditionExpression")


class Terms:
    """What the answer to a write holds beyond its being done, and where its units are counted."""

    __slots__ = (
        "capacity_mode", "collection", "consequences", "counts", "operation", "return_old_on_failure",
        "return_values", "route", "table",
    )  # fmt: skip

    def __init__(
        self,
        route: Route,
        operation: str,
        return_values: str | None = None,
        on_failure: str | None = None,
        capacity_mode: str | None = None,
        metrics_mode: str | None = None,
        key: Item | None = None,
        *,
        table: str | None = None,
    ) -> None:
        """`key` is the item or its key; it is needed if `metrics_mode`, ReturnItemCollectionMetrics, is SIZE.

        `table`: as the client named it, by name or by ARN, which is how it is told of it.
        """
        self.route = route
        self.table = table or route.name
        self.operation = operation
        self.counts = route.counts[operation]
        self.consequences = route.consequences
        self.return_values = None if return_values == "NONE" else return_values
        self.return_old_on_failure = on_failure == "ALL_OLD"
        self.capacity_mode = None if capacity_mode == "NONE" else capacity_mode
        self.collection: Item | None = None    # what ItemCollectionMetrics are wanted of
        if metrics_mode == "SIZE" and self.consequences is not None and self.consequences.local_indexes:
            assert key is not None
            self.collection = {route.keys.hash_name: key[route.keys.hash_name]}

    def outcome(
        self, key: bytes, old: bytes | None, new: bytes | None, attributes: bytes, timestamp_us: int
    ) -> Outcome:
        """What a write comes to that makes the stored row `old` into `new` (None: no row).

        `attributes` is the JSON of the answer's Attributes, b"" if it has none. Raises ApiError if what would
        follow from the write cannot be.
        """
        if self.consequences is None:
            return new, self.answer(attributes, old, new), ()
        following = self.consequences.of(
            key,
            old,
            new,
            self.route.partition_of(key).newest,
            timestamp_us,
            too_large=TOO_LARGE_TO_UPDATE if self.operation == "UpdateItem" else TOO_LARGE,
        )
        for index, units in following.index_units.items():
            if index in self.route.index_counts:    # not a vector index: that has other units
                self.route.index_counts[index][self.operation].consumed_write_units += units
        if self.collection is not None:
            metrics = collection_metrics(self.collection, following.collection_bytes)
            answer = self.answer(attributes, old, new, following.index_units, metrics)
        else:
            answer = self.answer(attributes, old, new, following.index_units)
        return new, answer, following.rows

    def answer(
        self,
        attributes: bytes,
        old: bytes | None,
        new: bytes | None,
        index_units: Mapping[str, float] | None = None,
        metrics: dict[str, Any] | None = None,
    ) -> bytes:
        """The body of the answer. `index_units`: write units by index; `metrics`: ItemCollectionMetrics."""
        if self.capacity_mode is None and metrics is None:
            return b'{"Attributes":' + attributes + b"}" if attributes else b"{}"
        members = b',"Attributes":' + attributes if attributes else b""
        units = write_units_of(old, new)
        members += capacity.member(self.table, units, self.capacity_mode, index_units, self.route.index_members)
        if metrics is not None:
            members += b',"ItemCollectionMetrics":' + _encode(metrics)
        return capacity.answer(members)

    def old_attributes(self, old: bytes | None) -> bytes:
        """The JSON of the item that was there, if the client asked for it."""
        return old[HEADER_BYTES:] if old is not None and self.return_values == "ALL_OLD" else b""


def collection_metrics(key: Item, size: int) -> dict[str, Any]:
    """An ItemCollectionMetrics of the collection with the partition key `key`, of `size` bytes."""
    whole = size // _GB
    return {"ItemCollectionKey": key, "SizeEstimateRangeGB": [float(whole), float(whole + 1)]}


class ConditionalWrite(Protocol):
    """What the requests of the three operations have in common."""

    condition_expression: str | None
    expression_attribute_names: dict[str, str] | None
    expression_attribute_values: dict[str, Any] | None

    @property
    def expected(self) -> dict[str, Any] | None: ...

    @property
    def conditional_operator(self) -> str | None: ...


class UpdateRequest(ConditionalWrite, Protocol):
    update_expression: str | None

    @property
    def attribute_updates(self) -> dict[str, Any] | None: ...


def write_expressions(request: ConditionalWrite) -> Expressions | None:
    """None if the request has neither expressions nor old-style parameters: the usual case, at no cost."""
    if (
        request.condition_expression is None
        and request.expression_attribute_names is None
        and request.expression_attribute_values is None
        and request.expected is None
        and request.conditional_operator is None
    ):
        return None
    if (
        request.condition_expression is None
        or request.expected is not None
        or request.conditional_operator is not None
    ):
        check_parameters(
            {"ConditionExpression": request.condition_expression},
            {"Expected": request.expected, "ConditionalOperator": request.conditional_operator},
            request.expression_attribute_names,
            request.expression_attribute_values,
            _CONDITION,
        )
    return Expressions(request.expression_attribute_names, request.expression_attribute_values)


def update_expressions(request: UpdateRequest) -> Expressions | None:
    """The same for UpdateItem."""
    if (
        request.update_expression is None
        and request.condition_expression is None
        and request.expression_attribute_names is None
        and request.expression_attribute_values is None
        and request.attribute_updates is None
        and request.expected is None
        and request.conditional_operator is None
    ):
        return None
    if (
        request.update_expression is None
        or request.attribute_updates is not None
        or request.expected is not None
        or request.conditional_operator is not None
    ):
        check_parameters(
            {
                "UpdateExpression": request.update_expression,
                "ConditionExpression": request.condition_expression,
            },
            {
                "AttributeUpdates": request.attribute_updates,
                "Expected": request.expected,
                "ConditionalOperator": request.conditional_operator,
            },
            request.expression_attribute_names,
            request.expression_attribute_values,
            _UPDATE_AND_CONDITION,
        )
    return Expressions(request.expression_attribute_names, request.expression_attribute_values)


def condition_of(request: ConditionalWrite, expressions: Expressions) -> BoundCondition | None:
    """The condition of a PutItem or DeleteItem. Raises ValidationError."""
    expressions.open()
    condition = _condition(request, expressions)
    expressions.check_unused()
    return condition


def update_of(
    request: UpdateRequest, expressions: Expressions, key_names: tuple[str, ...]
) -> tuple[BoundUpdate | None, BoundCondition | None]:
    """The update and the condition of an UpdateItem. Raises ValidationError.

    `key_names` are the attributes of the request's Key, which an old-style update may not change.
    """
    expressions.open()
    update = None
    if request.update_expression is not None:
        update = expressions.update(request.update_expression)
    elif request.attribute_updates is not None:
        update = BoundUpdate(
            legacy.attribute_updates(request.attribute_updates, key_names), {}, is_old_style=True
        )
    condition = _condition(request, expressions)
    expressions.check_unused()
    return update, condition


def _condition(request: ConditionalWrite, expressions: Expressions) -> BoundCondition | None:
    if request.condition_expression is None:
        return old_condition(request.expected, request.conditional_operator, legacy.expected)
    return expressions.condition(request.condition_expression)
