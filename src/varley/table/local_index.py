"""One local index of a table: from an item to the row that it has in the index, and from conditions to rows.

An index row lies in the same replica as its item, changes in the same log entry, and is found by the same partition
key, but it is ordered by another attribute of the item. Many items may have the same value there, so the table's own
sort key follows it; that makes the row's key unique, orders equals, and leads back to the item.

    byte 0        the space: 01 to 05, one for each local index of the table, in the order of its definition
    bytes 1..16   hash of the partition key, as in the item's own key (item.key_bytes)
    bytes 17..    the index's sort key: its order-preserving bytes made self-delimiting
                      S, B   each byte 00 becomes 00 FF; 00 01 ends it
                      N      00 ends it: no byte of a number's encoding after the first is 00
    the rest      the table's sort key, in its plain order-preserving bytes, as in the item's own key

    first index of a table with sort key sk (S), on x (S); item {"pk": {"S": "p"}, "sk": {"S": "s"}, "x": {"S": "ab"}}
                  01 | BLAKE2b-128(53 70) | 61 62 00 01 | 73
    the same with x (N), {"N": "-1"}
                  01 | BLAKE2b-128(53 70) | 3E 99 FF 00 | 73

Why bytewise order is the order of (index key, table's key): of two different index keys, either some byte differs
before both end, and decides (a 00 inside counts as 00 FF, which is above the end, 00 01, and below 01); or one is the
beginning of the other, and ends, with 00 01, where the longer one has 00 FF or something above 00. Equal index keys
have equal encodings, so the rest decides. And because no encoding is the beginning of another, each condition on the
index key is one range of rows, with nothing else in it (`range_bounds`).

Rejected: a length before the key (it would order by length), and fixed bytes between the two keys without escaping
(a client's own 00 bytes could then move a row behind another key, or a Query's bound into the middle of one).

The value of a row is a stored value like an item's (item.stored), with what the index projects. An index that
projects everything stores the item's own bytes.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Collection
from typing import Final, NamedTuple

import msgspec

from varley.errors import ValidationError
from varley.expression.key_condition import KeyRange, after_prefix
from varley.item import stored
from varley.item.key_bytes import ITEM_SPACE, LOCAL_INDEX_SPACES, PARTITION_HASH_BYTES, sort_bytes
from varley.item.size import item_size
from varley.item.units import write_units
from varley.item.value import Item, Value
from varley.limits import SORT_KEY_BYTES_MAX
from varley.table.keys import KeyCodec
from varley.table.schema import LocalIndex

_INVALID: Final = "One or more parameter values were invalid: "
_START_INVALID: Final = "The provided starting key is invalid"
_KEY_AT: Final = len(ITEM_SPACE) + PARTITION_HASH_BYTES     # where, in a row key, the index's sort key begins
_SIZE_MAX_OF_CHARS: Final = 4       # UTF-8 takes at most 4 bytes for a character

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


class LocalIndexCodec:
    """The rows of one local index. `position` is its place in the table's definition."""

    __slots__ = (
        "_is_number", "_keys", "_projected_names", "hash_kind", "hash_name", "name", "names", "projected", "range_kind",
        "range_name", "space", "start_names",
    )  # fmt: skip

    def __init__(self, index: LocalIndex, position: int, keys: KeyCodec) -> None:
        assert keys.range_name is not None, "a table with local indexes has a sort key"
        self._keys = keys
        self.name = index.name
        self.space = LOCAL_INDEX_SPACES[position]
        self.hash_name = keys.hash_name
        self.hash_kind = keys.hash_kind
        self.range_name = index.range_name
        self.range_kind = index.range_kind
        self.names = (self.hash_name, self.range_name)      # of the index's own key
        self.start_names = tuple(dict.fromkeys((*keys.names, self.range_name)))     # of an ExclusiveStartKey
        # The attributes that its rows have of an item; None: all.
        self.projected: frozenset[str] | None = None
        if index.projection.kind != "ALL":
            self.projected = frozenset((*self.start_names, *index.projection.names))
        self._projected_names = tuple(dict.fromkeys((*keys.names, self.range_name, *index.projection.names)))
        self._is_number = index.range_kind == "N"

    # From an item to its row

    def entry(self, item_key: bytes, item: Item, size: int) -> Entry | None:
        """What the index has of `item` of `size` bytes, whose row key in the table is `item_key`; None: nothing.

        An item without the index's sort key is not in the index. The item passed `check_item`.
        """
        value = item.get(self.range_name)
        if value is None:
            return None
        key = self.space + item_key[1:_KEY_AT] + self._delimited(value) + item_key[_KEY_AT:]
        if self.projected is None:
            return Entry(key, item, size)
        projected = self.project(item)
        return Entry(key, projected, item_size(projected))

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
        before = None if old is None else self.entry(item_key, old.item, old.size)
        after = None if new is None else self.entry(item_key, new.item, new.size)
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

    def item_key(self, row_key: bytes) -> bytes:
        """The key, in the table, of the item whose row in this index is at `row_key`."""
        if self._is_number:
            end = row_key.index(b"\0", _KEY_AT + 1) + 1     # the first byte of a number may be 00
        else:
            end = row_key.index(b"\0\x01", _KEY_AT) + 2
        return ITEM_SPACE + row_key[1:_KEY_AT] + row_key[end:]

    # What a write may put there

    def check_item(self, item: Item) -> None:
        """Raise ValidationError, the client's fault, if an item that is put cannot be in the index."""
        value = item.get(self.range_name)
        if value is None:
            return
        text = value.get(self.range_kind)
        if text is None:
            raise ValidationError(
                f"{_INVALID}Type mismatch for Index Key {self.range_name} Expected: {self.range_kind} "
                f"Actual: {next(iter(value))} IndexName: {self.name}"
            )
        if not text:
            raise self._empty(self.range_name)
        size = self._size(text)
        if size > SORT_KEY_BYTES_MAX:
            raise ValidationError(
                f"{_INVALID}Size limit exceeded for Index Key {self.range_name} Actual Size: {size} bytes "
                f"Max Size: {SORT_KEY_BYTES_MAX} bytes IndexName: {self.name}"
            )

    def _empty(self, name: str) -> ValidationError:
        """What is said of an empty value of the key attribute `name` of the index."""
        noun = "binary" if name == self._keys.hash_name and self._keys.hash_kind == "B" else self._noun
        return ValidationError(
            "One or more parameter values are not valid. A value specified for a secondary index key is not "
            f"supported. The AttributeValue for a key attribute cannot contain an empty {noun} value. "
            f"IndexName: {self.name}, IndexKey: {name}"
        )

    def check_updated(self, item: Item) -> None:
        """The same for what an update expression has made of an item, in the words that are kept for that."""
        value = item.get(self.range_name)
        if value is None:
            return
        text = value.get(self.range_kind)
        if text is None:
            raise ValidationError(
                "The update expression attempted to update the secondary index key to unsupported type"
            )
        if not text:
            raise ValidationError(
                "One or more parameter values are not valid. The update expression attempted to update a secondary "
                "index key to a value that is not supported. The AttributeValue for a key attribute cannot contain "
                f"an empty {self._noun} value."
            )
        if self._size(text) > SORT_KEY_BYTES_MAX:
            raise ValidationError(
                "The update expression attempted to update the secondary index key beyond allowed size limits"
            )

    @property
    def _noun(self) -> str:
        return "binary" if self.range_kind == "B" else "string"

    def _size(self, text: str) -> int:
        if len(text) * _SIZE_MAX_OF_CHARS <= SORT_KEY_BYTES_MAX:
            return len(text)    # whatever it is exactly, it is short enough
        return len(a2b_base64(text) if self.range_kind == "B" else text.encode())

    # Reading

    def item_collection(self, hash_value: Value) -> bytes:
        """What the keys of all rows with this partition key begin with: space and hash, 17 bytes.

        Raises ValidationError, the client's fault, if `hash_value` cannot be a partition key here.
        """
        if hash_value.get(self._keys.hash_kind) == "":
            raise self._empty(self._keys.hash_name)
        return self.space + self._keys.item_collection(hash_value)[1:]

    def range_bounds(self, key_range: KeyRange) -> tuple[bytes, bytes | None]:
        """[low, high) of what follows the item collection in the keys of the selected rows; None: to the end.

        A self-delimiting key stands for all rows that begin with it, so what other orders call "right after b" is
        here the first key after all that begin with b. A prefix is escaped like a key, and has no end.
        """
        operator, operands = key_range.operator, key_range.operands
        match operator:
            case None:
                return b"", None
            case "begins_with":
                low = self._delimited(operands[0])[:-2]
                return low, after_prefix(low)
            case "BETWEEN":
                return self._delimited(operands[0]), _after(self._delimited(operands[1]))
        key = self._delimited(operands[0])
        match operator:
            case "=":
                return key, _after(key)
            case "<":
                return b"", key
            case "<=":
                return b"", _after(key)
            case ">":
                return _after(key), None
            case ">=":
                return key, None
        raise AssertionError(f"not a condition on a sort key: {operator}")

    def key_of(self, item: Item) -> Item:
        """The key attributes of an item, those of the table and of the index: a LastEvaluatedKey."""
        return {name: item[name] for name in self.start_names}

    def row_key(self, start_key: Item) -> bytes:
        """The key of the row that an ExclusiveStartKey names. Raises ValidationError, the client's fault."""
        if len(start_key) != len(self.start_names) or any(name not in start_key for name in self.start_names):
            raise ValidationError(_START_INVALID)
        try:
            self.check_item(start_key)
            entry = self.entry(self._keys.row_key_of_item(start_key), start_key, 0)
        except ValidationError as error:
            raise ValidationError(f"{_START_INVALID}: {error.message}") from None
        assert entry is not None
        return entry.key

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

    def _delimited(self, value: Value) -> bytes:
        plain = sort_bytes(self.range_kind, value[self.range_kind])
        if self._is_number:
            return plain + b"\0"
        return plain.replace(b"\0", b"\0\xff") + b"\0\x01"


def _after(delimited: bytes) -> bytes:
    """The first byte string after all that begin with a delimited key, which ends in 00 or 01."""
    return delimited[:-1] + bytes((delimited[-1] + 1,))
