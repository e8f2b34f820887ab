"""One global index of a table: from an item to the row that it has in the index, and from conditions to rows.

The rows of a global index lie in partitions of its own, under the hash of the attributes that the index is keyed by,
so that all items with the same values there are found together, wherever they are in the table. Up to four attributes
are hashed together, and up to four others order the rows. Many items may agree in all of them, so the item's own
place in the table follows; that makes the row's key unique, orders equals, and leads back to the item.

    byte 0        00: in the index's own partitions the rows are the items
    bytes 1..16   hash of the index's partition key
                      one attribute     as a table with this key would hash it (item.key_bytes)
                      several           BLAKE2b-128 of, for each: type letter, its self-delimiting bytes
    bytes 17..    each sort key attribute in its self-delimiting bytes (key_attribute.py), in order
    the rest      the item's row key in the table without its space byte: hash of the table's partition key (16 bytes),
                  then the bytes of its sort key

    index on city (S) and year (N), table key id (S); item {"id": {"S": "i"}, "city": {"S": "Ulm"}, "year": {"N": "-1"}}
                  00 | BLAKE2b-128(53 55 6C 6D) | 3E 99 FF 00 | BLAKE2b-128(53 69)
    index on {city, year} without a sort key
                  00 | BLAKE2b-128(53 55 6C 6D 00 01 4E 3E 99 FF 00) | BLAKE2b-128(53 69)

No encoding of an attribute is the beginning of another, so different lists of values are different bytes (before the
hash), and rows are in the order of the first sort key attribute, then of the next, then of the place in the table. And
equality on some of the attributes, from the left, with any condition on the next one, is one range of rows.

Items with equal index keys are in the order of the hash of the table's key, which is none; so it is in DynamoDB.

An item that lacks one of the attributes is not in the index. [DG] "Global secondary indexes", "Multi-attribute keys".
The same goes for an item with a value that cannot be a key, which was there before the index was: `entry` leaves it
out, as the service's backfill does; a write of such an item is refused (`check_item`).

Rejected: the table's key in self-delimiting form in place of its hash (it would order equals by the table's key, at the
price of up to 2 KB in each row's key; nobody may rely on that order).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from varley.errors import ValidationError
from varley.item.key_bytes import ITEM_SPACE, PARTITION_HASH_BYTES, partition_hash
from varley.item.size import item_size
from varley.item.value import Item, Value
from varley.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from varley.table.index_rows import Entry, IndexRows
from varley.table.key_attribute import KeyAttribute
from varley.table.keys import KeyCodec
from varley.table.schema import GlobalIndex

_START_INVALID: Final = "The provided starting key is invalid"
_RANGE_AT: Final = len(ITEM_SPACE) + PARTITION_HASH_BYTES     # where, in a row key, the sort key attributes begin


class GlobalIndexCodec(IndexRows):
    """The rows of one global index of a table with these `keys`."""

    __slots__ = (
        "_attributes", "_keys", "hash_attributes", "hash_names", "hash_parts", "range_attributes", "range_names",
        "range_parts", "space",
    )  # fmt: skip

    def __init__(self, index: GlobalIndex, keys: KeyCodec) -> None:
        super().__init__(index.name, index.key_names, keys.names, index.projection)
        self._keys = keys
        self.space = ITEM_SPACE
        self.hash_attributes = tuple(
            KeyAttribute(each.name, each.kind, bytes_max=PARTITION_KEY_BYTES_MAX, index=index.name)
            for each in index.hash_keys
        )
        self.range_attributes = tuple(
            KeyAttribute(each.name, each.kind, bytes_max=SORT_KEY_BYTES_MAX, index=index.name)
            for each in index.range_keys
        )
        self.hash_names = tuple(each.name for each in self.hash_attributes)
        self.range_names = tuple(each.name for each in self.range_attributes)
        self.hash_parts = tuple((each.name, each.kind) for each in self.hash_attributes)
        self.range_parts = tuple((each.name, each.kind) for each in self.range_attributes)
        self._attributes = (*self.hash_attributes, *self.range_attributes)

    def entry(self, item_key: bytes, item: Item, size: int) -> Entry | None:
        for attribute in self._attributes:
            if not attribute.fits(item):
                return None
        key = self._key(item_key, item)
        if self.projected is None:
            return Entry(key, item, size)
        projected = self.project(item)
        return Entry(key, projected, item_size(projected))

    def base_key(self, row_key: bytes) -> bytes:
        """The key, in the table, of the item whose row in this index is at `row_key`. Raises ValueError if none."""
        at = _RANGE_AT
        for attribute in self.range_attributes:
            at = attribute.end(row_key, at)
        if len(row_key) < at + PARTITION_HASH_BYTES:
            raise ValueError("the key of an index row ends before the item's place in the table does")
        return ITEM_SPACE + row_key[at:]

    # What a write may put there

    def check_item(self, item: Item) -> None:
        """Raise ValidationError, the client's fault, if an item that is put cannot be in the index.

        Also where the item lacks another of the index's attributes, and would not be in the index anyway.
        """
        for attribute in self._attributes:
            attribute.check_item(item)

    def check_updated(self, item: Item) -> None:
        """The same for what an update expression has made of an item."""
        for attribute in self._attributes:
            attribute.check_updated(item)

    # Reading

    def item_collection(self, hash_values: Sequence[Value]) -> bytes:
        """What the keys of all rows with this partition key begin with: space and hash, 17 bytes.

        `hash_values`, one for each of the index's hash attributes, are of the right kinds.
        """
        return self.space + self._hash(hash_values)

    def range_bounds(
        self, equal: Sequence[Value], operator: str | None = None, operands: Sequence[Value] = ()
    ) -> tuple[bytes, bytes | None]:
        """[low, high) of what follows the item collection in the keys of the selected rows; None: to the end.

        `equal` are values of the leading sort key attributes, `operator operands` is what is asked of the next one
        (None: nothing). The values are of the right kinds.
        """
        prefix = b"".join(
            attribute.delimited(value) for attribute, value in zip(self.range_attributes, equal, strict=False)
        )
        if operator is None:
            # The last of the equalities, if there is one, says where the range ends.
            return prefix, _after(prefix) if prefix else None
        low, high = self.range_attributes[len(equal)].bounds(operator, operands)
        if high is None:
            return prefix + low, _after(prefix) if prefix else None
        return prefix + low, prefix + high

    def row_key(self, start_key: Item) -> bytes:
        """The key of the row that an ExclusiveStartKey names. Raises ValidationError, the client's fault."""
        if len(start_key) != len(self.start_names) or any(name not in start_key for name in self.start_names):
            raise ValidationError(_START_INVALID)
        try:
            self.check_item(start_key)
            item_key = self._keys.row_key_of_item(start_key)
        except ValidationError as error:
            raise ValidationError(f"{_START_INVALID}: {error.message}") from None
        return self._key(item_key, start_key)

    def _key(self, item_key: bytes, item: Item) -> bytes:
        parts = [self.space, self._hash([item[name] for name in self.hash_names])]
        for attribute in self.range_attributes:
            parts.append(attribute.delimited(item[attribute.name]))
        parts.append(item_key[1:])
        return b"".join(parts)

    def _hash(self, values: Sequence[Value]) -> bytes:
        attributes = self.hash_attributes
        assert len(values) == len(attributes)
        if len(attributes) == 1:
            kind = attributes[0].kind
            return partition_hash(kind, values[0][kind])
        parts = [
            attribute.kind.encode() + attribute.delimited(value)
            for attribute, value in zip(attributes, values, strict=True)
        ]
        return blake2b(b"".join(parts), digest_size=PARTITION_HASH_BYTES).digest()


def _after(prefix: bytes) -> bytes:
    """The first byte string after all that begin with delimited keys, the last of which ends in 00 or 01."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))
