"""What local and global indexes have in common: from an item to the row that an index has of it, and what a write to
the item does to that row.

A row's value is a stored value like an item's (item.stored), with what the index projects: the keys of the table and of
the index, and what INCLUDE names. An index that projects everything stores the item's own bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

import msgspec

from varley.errors import ValidationError
from varley.item import stored
from varley.item.size import item_size
from varley.item.units import write_units
from varley.item.value import Item
from varley.table.schema import Projection

_INVALID: Final = "One or more parameter values were invalid: "

_encode = msgspec.json.encode


class Image(NamedTuple):
    """An item as a write finds it, or leaves it."""

    item: Item
    size: int       # DynamoDB bytes
    stored: bytes   # its stored value


class Entry(NamedTuple):
    """What an index has of one item."""

    key: bytes      # of the row
    item: Item      # what is projected of it
    size: int       # DynamoDB bytes of that


class Change(NamedTuple):
    """What one write to an item does to one index."""

    rows: tuple[tuple[bytes, bytes | None], ...]    # key -> stored value; None: the row goes away
    units: float            # write units that the index consumes
    entries: int            # how many rows more, or fewer: -1, 0 or 1
    size: int               # how many bytes more, or fewer
    new_size: int           # bytes of the row as it is now; 0: there is none


NO_CHANGE: Final = Change((), 0.0, 0, 0, 0)


class IndexRows(ABC):
    """The rows of one index. `key_names` are the attributes of its own key, `table_names` those of the table's."""

    __slots__ = ("_projected_names", "key_names", "name", "projected", "start_names")

    def __init__(
        self, name: str, key_names: Iterable[str], table_names: Iterable[str], projection: Projection
    ) -> None:
        self.name = name
        self.key_names = tuple(key_names)
        # Of an ExclusiveStartKey: what tells a row from all others.
        self.start_names = tuple(dict.fromkeys((*table_names, *self.key_names)))
        self._projected_names = tuple(dict.fromkeys((*self.start_names, *projection.names)))
        # The attributes that its rows have of an item; None: all.
        self.projected = None if projection.kind == "ALL" else frozenset(self._projected_names)

    @abstractmethod
    def entry(self, item_key: bytes, item: Item, size: int) -> Entry | None:
        """What the index has of `item` of `size` bytes, whose row key in the table is `item_key`; None: nothing."""

    def project(self, item: Item) -> Item:
        if self.projected is None:
            return item
        return {name: item[name] for name in self._projected_names if name in item}

    def projected_json(self, item: Item) -> bytes:
        return _encode(self.project(item))

    def change(self, item_key: bytes, old: Image | None, new: Image | None, timestamp_us: int) -> Change:
        """What becomes of the index when the item at `item_key` changes from `old` to `new` (None: no item).

        A row that stays as it is is not written again, and costs nothing.
        """
        after = None if new is None else self.entry(item_key, new.item, new.size)
        if old is None:
            before = None
        elif after is not None and new is not None and self._has_same_key(old.item, new.item):
            # The usual update, at half the price: it was in the index, in the same place.
            projected = self.project(old.item)
            before = Entry(after.key, projected, old.size if self.projected is None else item_size(projected))
        else:
            before = self.entry(item_key, old.item, old.size)
        if after is None:
            if before is None:
                return NO_CHANGE
            return Change(((before.key, None),), write_units(before.size, 0), -1, -before.size, 0)
        if before is not None and before.key == after.key and before.item == after.item:
            return Change((), 0.0, 0, 0, after.size)
        if self.projected is None:
            assert new is not None
            put = (after.key, new.stored)
        else:
            put = (after.key, stored.pack(_encode(after.item), after.size, timestamp_us))
        if before is None:
            return Change((put,), write_units(0, after.size), 1, after.size, after.size)
        grown = after.size - before.size
        if before.key == after.key:
            return Change((put,), write_units(before.size, after.size), 0, grown, after.size)
        units = write_units(before.size, 0) + write_units(0, after.size)
        return Change(((before.key, None), put), units, 0, grown, after.size)

    def _has_same_key(self, one: Item, other: Item) -> bool:
        for name in self.key_names:    # noqa: SIM110 - a generator would cost more than the rest of this
            if one.get(name) != other.get(name):
                return False
        return True

    def key_of(self, item: Item) -> Item:
        """The key attributes of an item, those of the table and of the index: a LastEvaluatedKey."""
        return {name: item[name] for name in self.start_names}

    def projects(self, names: Collection[str]) -> bool:
        """Whether its rows have all that an item has of the attributes `names`."""
        return self.projected is None or self.projected.issuperset(names)

    def check_filter(self, names: Collection[str]) -> None:
        """Raise ValidationError if a Query's filter speaks of what the index does not have."""
        if not self.projects(names):
            assert self.projected is not None
            missing = ", ".join(name for name in names if name not in self.projected)
            raise ValidationError(
                f"{_INVALID}Secondary index {self.name} does not project one or more filter attributes: [{missing}]"
            )
