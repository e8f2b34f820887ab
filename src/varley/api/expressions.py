"""The expressions of one request, bound to its placeholders, in AWS's order of checks (see expression.names).

An operation makes an `Expressions` if its request has any expression or old-style parameter, asks it for the parts
that it has in the order in which AWS looks at them, and then calls `check_unused`. What comes back is ready to be
used on items: a condition with its values, an update with its values, a function that shapes an item.

The old-style parameters of 2011 become the same trees (expression.legacy), so nothing behind this file knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec

from varley.errors import ConditionalCheckFailed, ValidationError
from varley.expression import condition, key_condition, legacy, names, projection, tree, update
from varley.expression.names import Expression, check_parameters
from varley.item.stored import HEADER_BYTES
from varley.item.value import Item, check_value
from varley.router.routes import Route
from varley.table.global_index import GlobalIndexCodec
from varley.table.keys import KeyCodec
from varley.table.local_index import LocalIndexCodec

__all__ = [
    "BoundCondition",
    "BoundKeyCondition",
    "BoundUpdate",
    "Expressions",
    "KeyBounds",
    "Shape",
    "check_key_paths",
    "check_parameters",
    "end_of",
    "refuse",
    "shape_of",
]

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode

Shape = Callable[[Item], bytes]    # from an item to the JSON that the client gets of it


class BoundCondition:
    """A condition and its values."""

    __slots__ = ("_condition", "_is_old_style", "_values")

    def __init__(
        self, parsed: condition.Condition, values: Mapping[str, Any], *, is_old_style: bool = False
    ) -> None:
        self._condition = parsed
        self._values = values
        self._is_old_style = is_old_style

    def holds(self, stored: bytes | None) -> bool:
        """For a stored row (None: there is none)."""
        return self.holds_for(None if stored is None else _decode_item(stored[HEADER_BYTES:]))

    def holds_for(self, item: Item | None) -> bool:
        return self._condition.evaluate(item, self._values)

    @property
    def root(self) -> tree.Condition:
        """What was parsed, for who may not evaluate it on items."""
        return self._condition.root

    @property
    def values(self) -> Mapping[str, Any]:
        return self._values

    @property
    def nested_names(self) -> tuple[str, ...]:
        """The attributes that its paths lead into."""
        return self._condition.nested_names

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that it reads."""
        return self._condition.top_names

    def check_no_keys(self, key_names: tuple[str, ...]) -> None:
        if self._is_old_style:
            legacy.check_no_keys(self._condition, key_names)
        else:
            self._condition.check_no_keys(key_names)


def old_condition(
    conditions: Mapping[str, Any] | None,
    operator: str | None,
    translate: Callable[[Mapping[str, Any], str | None], tuple[condition.Condition, dict[str, Any]]],
) -> BoundCondition | None:
    """What Expected, QueryFilter or ScanFilter say; `translate` is legacy.expected or legacy.item_filter."""
    if not conditions:
        legacy.check_conditional_operator(operator, conditions)
        return None
    return BoundCondition(*translate(conditions, operator), is_old_style=True)


class BoundUpdate:
    """An update and its values."""

    __slots__ = (
        "_update", "_values", "check_index_keys", "check_keys", "is_nested", "is_old_style", "updated_new",
        "updated_old",
    )  # fmt: skip

    def __init__(self, parsed: update.Update, values: Mapping[str, Any], *, is_old_style: bool = False) -> None:
        self._update = parsed
        self._values = values
        self.is_old_style = is_old_style
        self.check_keys = parsed.check_keys
        self.check_index_keys = parsed.check_index_keys
        self.is_nested = any(len(path) > 1 for path in parsed.paths)
        self.updated_old = parsed.updated_old
        self.updated_new = parsed.updated_new

    def apply(self, item: Item) -> Item:
        return self._update.apply(item, self._values)


class KeyBounds(NamedTuple):
    """The rows that a key condition selects: [low, high), row keys with their space byte.

    In a table, a condition may name the row behind which there can be no other (sk <= 5: that of 5): `last`, and
    `first` for those who read backwards. In an index any number of rows may have the same key.
    """

    low: bytes
    high: bytes
    first: bytes | None = None
    last: bytes | None = None


class BoundKeyCondition:
    """A key condition and its values."""

    __slots__ = ("_key_condition", "_values")

    def __init__(self, parsed: key_condition.KeyCondition, values: Mapping[str, Any]) -> None:
        self._key_condition = parsed
        self._values = values

    def bounds(self, keys: KeyCodec | LocalIndexCodec | GlobalIndexCodec) -> KeyBounds:
        """The rows that it selects, all of one item collection, in a table or an index.

        Raises ValidationError if it does not fit the key of that.
        """
        if isinstance(keys, GlobalIndexCodec):
            return self._bounds_of_global(keys)
        bound = self._key_condition.bind(
            keys.hash_name,
            keys.hash_kind,
            keys.range_name,
            keys.range_kind,
            self._values,
            keys.name if isinstance(keys, LocalIndexCodec) else None,
        )
        prefix = keys.item_collection(bound.hash_value)
        if bound.operator is None:
            only = prefix if keys.range_name is None else None
            return KeyBounds(prefix, end_of(prefix), only, only)
        low, high = keys.range_bounds(bound)
        begin, end = prefix + low, end_of(prefix) if high is None else prefix + high
        if isinstance(keys, LocalIndexCodec):
            return KeyBounds(begin, end)
        return KeyBounds(
            begin,
            end,
            begin if bound.operator in (">=", "BETWEEN") else None,
            end[:-1] if bound.operator in ("<=", "BETWEEN") else None,    # the end is right behind it
        )

    def _bounds_of_global(self, index: GlobalIndexCodec) -> KeyBounds:
        bound = self._key_condition.bind_index(index.hash_parts, index.range_parts, self._values, index.name)
        prefix = index.item_collection(bound.hash_values)
        low, high = index.range_bounds(bound.equal, bound.operator, bound.operands)
        return KeyBounds(prefix + low, end_of(prefix) if high is None else prefix + high)


class Expressions:
    """What a request says in expressions.

    `open` checks the placeholders; then `update`, `condition`, `projection`, `key_condition`, those that the
    request has, in AWS's order; then `check_unused`. All raise ValidationError.
    """

    __slots__ = ("_given_values", "_names", "_parsed", "_values")

    def __init__(self, expression_names: dict[str, str] | None, expression_values: dict[str, Any] | None) -> None:
        self._names = expression_names
        self._given_values = expression_values
        self._values: dict[str, Any] = {} if expression_values is None else expression_values
        self._parsed: list[Expression] = []

    def open(self) -> None:
        names_size = 0 if self._names is None else names.check_names(self._names)
        if self._given_values is not None:
            names.check_value_keys(self._given_values)
            size = 0
            for placeholder, value in self._given_values.items():
                try:
                    size += len(placeholder) + check_value(value)
                except ValidationError as error:
                    raise names.wrap_value_error(placeholder, error) from None
            names.check_sizes(names_size, size)

    def condition(self, text: str, kind: str = "ConditionExpression") -> BoundCondition:
        parsed = condition.parse(text, self._names, kind)
        parsed.check(self._values)
        self._parsed.append(parsed)
        return BoundCondition(parsed, self._values)

    def update(self, text: str) -> BoundUpdate:
        parsed = update.parse(text, self._names)
        parsed.check(self._values)
        self._parsed.append(parsed)
        return BoundUpdate(parsed, self._values)

    def projection(self, text: str) -> projection.Projection:
        parsed = projection.parse(text, self._names)
        self._parsed.append(parsed)
        return parsed

    def key_condition(self, text: str) -> BoundKeyCondition:
        parsed = key_condition.parse(text, self._names)
        parsed.check(self._values)
        self._parsed.append(parsed)
        return BoundKeyCondition(parsed, self._values)

    def check_unused(self) -> None:
        if self._names is not None or self._given_values is not None:
            names.check_unused(self._names, self._given_values, self._parsed)


def shape_of(parsed: projection.Projection) -> Shape:
    """What a projection leaves of an item, as JSON."""
    apply = parsed.apply
    return lambda item: _encode(apply(item))


def check_key_paths(nested_names: Collection[str], route: Route) -> None:
    """Refuse paths that lead into key attributes, of the table or of an index: keys are scalars.

    `nested_names` are those of a BoundCondition or a Projection. Raises ValidationError.
    """
    if nested_names:
        condition.check_scalar_keys(nested_names, route.keys.names)
        if route.consequences is not None:
            condition.check_scalar_keys(nested_names, route.consequences.index_names, "IndexKey")


def end_of(prefix: bytes) -> bytes:
    """The least key greater than every key that begins with `prefix`, which begins with the byte of a space."""
    high = key_condition.after_prefix(prefix)
    assert high is not None, "no space is ff"
    return high


def refuse(stored: bytes | None, return_old: bool) -> NoReturn:
    """Raise ConditionalCheckFailed, with the item as it is if the client asked for it."""
    raise ConditionalCheckFailed(
        _decode_item(stored[HEADER_BYTES:]) if return_old and stored is not None else None
    )
