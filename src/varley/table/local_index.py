"""One local index of a table: from an item to the row that it has in the index, and from conditions to rows.

An index row lies in the same replica as its item, changes in the same log entry, and is found by the same partition
key, but it is ordered by another attribute of the item. Many items may have the same value there, so the table's own
sort key follows it; that makes the row's key unique, orders equals, and leads back to the item.

    byte 0        the space: 01 to 05, one for each local index of the table, in the order of its definition
    bytes 1..16   hash of the partition key, as in the item's own key (item.key_bytes)
    bytes 17..    the index's sort key: its order-preserving bytes made self-delimiting (key_attribute.py)
    the rest      the table's sort key, in its plain order-preserving bytes, as in the item's own key

    first index of a table with sort key sk (S), on x (S); item {"pk": {"S": "p"}, "sk": {"S": "s"}, "x": {"S": "ab"}}
                  01 | BLAKE2b-128(53 70) | 61 62 00 01 | 73
    the same with x (N), {"N": "-1"}
                  01 | BLAKE2b-128(53 70) | 3E 99 FF 00 | 73

Why bytewise order is the order of (index key, table's key): key_attribute.py.
"""

from __future__ import annotations

from typing import Final

from varley.errors import ValidationError
from varley.expression.key_condition import KeyRange
from varley.item.key_bytes import ITEM_SPACE, LOCAL_INDEX_SPACES, PARTITION_HASH_BYTES
from varley.item.size import item_size
from varley.item.value import Item, Value
from varley.limits import SORT_KEY_BYTES_MAX
from varley.table.index_rows import Entry, IndexRows
from varley.table.key_attribute import KeyAttribute
from varley.table.keys import KeyCodec
from varley.table.schema import LocalIndex

_START_INVALID: Final = "The provided starting key is invalid"
_KEY_AT: Final = len(ITEM_SPACE) + PARTITION_HASH_BYTES     # where, in a row key, the index's sort key begins


class LocalIndexCodec(IndexRows):
    """The rows of one local index. `position` is its place in the table's definition."""

    __slots__ = (
        "_keys", "_range", "check_item", "check_updated", "hash_kind", "hash_name", "range_kind", "range_name", "space",
    )  # fmt: skip

    def __init__(self, index: LocalIndex, position: int, keys: KeyCodec) -> None:
        assert keys.range_name is not None, "a table with local indexes has a sort key"
        super().__init__(index.name, (keys.hash_name, index.range_name), keys.names, index.projection)
        self._keys = keys
        self._range = KeyAttribute(
            index.range_name, index.range_kind, bytes_max=SORT_KEY_BYTES_MAX, index=index.name
        )
        self.space = LOCAL_INDEX_SPACES[position]
        self.hash_name = keys.hash_name
        self.hash_kind = keys.hash_kind
        self.range_name = index.range_name
        self.range_kind = index.range_kind
        self.check_item = self._range.check_item
        self.check_updated = self._range.check_updated

    def entry(self, item_key: bytes, item: Item, size: int) -> Entry | None:
        """An item without the index's sort key is not in the index. The item passed `check_item`."""
        value = item.get(self.range_name)
        if value is None:
            return None
        key = self.space + item_key[1:_KEY_AT] + self._range.delimited(value) + item_key[_KEY_AT:]
        if self.projected is None:
            return Entry(key, item, size)
        projected = self.project(item)
        return Entry(key, projected, item_size(projected))

    def item_key(self, row_key: bytes) -> bytes:
        """The key, in the table, of the item whose row in this index is at `row_key`. Raises ValueError if none."""
        return ITEM_SPACE + row_key[1:_KEY_AT] + row_key[self._range.end(row_key, _KEY_AT) :]

    # Reading

    def item_collection(self, hash_value: Value) -> bytes:
        """What the keys of all rows with this partition key begin with: space and hash, 17 bytes.

        Raises ValidationError, the client's fault, if `hash_value` cannot be a partition key here.
        """
        return self.space + self._keys.item_collection(hash_value)[1:]

    def range_bounds(self, key_range: KeyRange) -> tuple[bytes, bytes | None]:
        """[low, high) of what follows the item collection in the keys of the selected rows; None: to the end."""
        return self._range.bounds(key_range.operator, key_range.operands)

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
