"""The key of what a SELECT reads: from the values in its WHERE clause to row keys.

A table, a local index and a global one have keys that differ in how many attributes they have and in their bytes. What
a SELECT asks of all of them is the same:

    collections    the item collections of some partition keys, in the order in which to read them
    sort_ranges    the ranges of sort keys in each, that all conditions on them allow
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varley.api.ranges import space_end
from varley.errors import ValidationError
from varley.expression.key_condition import KeyRange as SortRange
from varley.expression.key_condition import Restriction, range_bounds
from varley.expression.partiql_condition import Access
from varley.item.key_bytes import ITEM_SPACE, sort_bytes
from varley.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from varley.table.global_index import GlobalIndexCodec
from varley.table.keys import HASH_TOO_LONG, RANGE_TOO_LONG, KeyCodec, check_key_value
from varley.table.local_index import LocalIndexCodec
from varley.table.schema import ScalarKind

Bounds = tuple[bytes, bytes | None]    # [low, high) of what follows an item collection; None: to the end
Part = tuple[str, ScalarKind]    # of a key: attribute and kind


class SelectKey:
    """`codec` is what the rows are kept by."""

    __slots__ = ("_codec", "_hash_parts", "_range_parts", "hash_names", "names", "range_names")

    def __init__(self, codec: KeyCodec | LocalIndexCodec | GlobalIndexCodec) -> None:
        self._codec = codec
        self._hash_parts, self._range_parts = _parts(codec)
        self.hash_names = tuple(name for name, _ in self._hash_parts)
        self.range_names = tuple(name for name, _ in self._range_parts)
        self.names = (*self.hash_names, *self.range_names)

    @property
    def everything(self) -> tuple[bytes, bytes]:
        """[low, high) of all row keys."""
        space = ITEM_SPACE if isinstance(self._codec, KeyCodec) else self._codec.space
        return space, space_end(space)

    def collections(self, keys: Sequence[Sequence[Any]], descending: bool | None) -> list[bytes]:
        """What the row keys of each item collection begin with, each once; `descending` orders by the first attribute.

        Raises ValidationError, the client's fault, for what cannot be a partition key here.
        """
        for key in keys:
            for value, (name, kind) in zip(key, self._hash_parts, strict=True):
                check_kind(value, name, kind)
        if descending is not None:
            kind = self._hash_parts[0][1]
            keys = sorted(keys, key=lambda key: sort_bytes(kind, key[0][kind]), reverse=descending)
        return list(dict.fromkeys(map(self._collection, keys)))

    def sort_ranges(self, access: Access, values: Mapping[str, Any]) -> list[Bounds]:
        """The ranges of sort keys that all restrictions allow, ascending; perhaps none.

        Raises ValidationError, the client's fault, for what cannot be a sort key here.
        """
        equal = [values[placeholder] for placeholder in access.equal]
        for value, (name, kind) in zip(equal, self._range_parts, strict=False):
            _check_range_value(value, name, kind)
        ranges = [self._bounds(equal, None, ())]
        for restriction in access.sort:
            allowed = self._allowed(equal, restriction, values)
            ranges = [both for one in ranges for other in allowed if (both := _intersection(one, other)) is not None]
        return ranges

    def _allowed(self, equal: Sequence[Any], restriction: Restriction, values: Mapping[str, Any]) -> list[Bounds]:
        name, kind = self._range_parts[len(equal)]
        operands = [values[placeholder] for placeholder in restriction.operands]
        for value in operands:
            _check_range_value(value, name, kind)
        if restriction.operator != "IN":
            return [self._bounds(equal, restriction.operator, operands)]
        points = {sort_bytes(kind, value[kind]): value for value in operands}
        return [self._bounds(equal, "=", [points[point]]) for point in sorted(points)]

    def _collection(self, key: Sequence[Any]) -> bytes:
        if not isinstance(self._codec, GlobalIndexCodec):
            return self._codec.item_collection(key[0])
        for value, (name, kind) in zip(key, self._hash_parts, strict=True):
            check_key_value(value, name, kind, PARTITION_KEY_BYTES_MAX, HASH_TOO_LONG)
        return self._codec.item_collection(key)

    def _bounds(self, equal: Sequence[Any], operator: str | None, operands: Sequence[Any]) -> Bounds:
        codec = self._codec
        if isinstance(codec, GlobalIndexCodec):
            return codec.range_bounds(equal, operator, operands)
        if isinstance(codec, LocalIndexCodec):
            return codec.range_bounds(SortRange({}, operator, tuple(operands)))
        return range_bounds(operator, [codec.range_bytes(value) for value in operands])


def check_kind(value: Mapping[str, Any], name: str, kind: str | None) -> None:
    """Raise ValidationError unless the value of a key attribute is of its kind."""
    if kind not in value:
        raise ValidationError(f"Key attribute's data type should match its data type in table's schema: Key {name}")


def _check_range_value(value: Any, name: str, kind: ScalarKind) -> None:
    check_kind(value, name, kind)
    check_key_value(value, name, kind, SORT_KEY_BYTES_MAX, RANGE_TOO_LONG)


def _parts(codec: KeyCodec | LocalIndexCodec | GlobalIndexCodec) -> tuple[Sequence[Part], Sequence[Part]]:
    if isinstance(codec, GlobalIndexCodec):
        return codec.hash_parts, codec.range_parts
    if codec.range_name is None:
        return [(codec.hash_name, codec.hash_kind)], []
    assert codec.range_kind is not None
    return [(codec.hash_name, codec.hash_kind)], [(codec.range_name, codec.range_kind)]


def _intersection(one: Bounds, other: Bounds) -> Bounds | None:
    low = max(one[0], other[0])
    ends = [end for end in (one[1], other[1]) if end is not None]
    high = min(ends) if ends else None
    return None if high is not None and low >= high else (low, high)
