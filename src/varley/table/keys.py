"""From what a client calls an item to the row that holds it, and back. HOT PATH: every request comes
through here.

A `KeyCodec` is made once for each table. Its two functions are built when it is made, for the shape of that
table's key, so that a request does not pay for a question whose answer is the same for all requests:

    row_key(key)             the Key of GetItem, DeleteItem, UpdateItem, …: exactly the key attributes
    row_key_of_item(item)    the Item of PutItem: at least the key attributes

Both begin by assuming that all is well, and read what a good request has. Only when that is not there, or
is so long that somebody has to measure it, `_check_key` or `_check_item_keys` look closely, attribute by
attribute in the order of the schema, and raise ValidationError in the service's words.

Values have been checked and normalised before they come here (item.value.check_item): one kind each,
numbers in normal form, Base64 in canonical form. What is checked here is what a table demands of its keys.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable
from typing import Final

from varley.errors import ValidationError
from varley.expression.key_condition import KeyRange
from varley.item.key_bytes import ITEM_SPACE, partition_hash, row_key, sort_bytes
from varley.item.value import Item, Value
from varley.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from varley.table.schema import KeySchema, ScalarKind

_INVALID: Final = "One or more parameter values were invalid: "
KEY_MISMATCH: Final = "The provided key element does not match the schema"
# The missing space is the service's.
HASH_TOO_LONG: Final = (
    f"{_INVALID}Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES_MAX} bytes"
)
RANGE_TOO_LONG: Final = (
    f"{_INVALID}Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES_MAX} bytes"
)

# A text of so many characters is short enough whatever they are: UTF-8 takes at most 4 bytes for one.
_HASH_CHARS_SAFE: Final = PARTITION_KEY_BYTES_MAX // 4
_RANGE_CHARS_SAFE: Final = SORT_KEY_BYTES_MAX // 4


class KeyCodec:
    """The keys of one table.

    `row_key` and `row_key_of_item` give the row's key in a replica's tree, space byte first (see
    item.key_bytes), or raise ValidationError, the client's fault.
    """

    __slots__ = (
        "hash_kind", "hash_name", "names", "range_kind", "range_name", "row_key", "row_key_of_item", "schema",
    )  # fmt: skip

    row_key: Callable[[Item], bytes]
    row_key_of_item: Callable[[Item], bytes]

    def __init__(self, schema: KeySchema) -> None:
        self.schema = schema
        self.names = schema.names    # partition key first
        self.hash_name = schema.hash_name
        self.hash_kind = schema.hash_kind
        self.range_name = schema.range_name    # None exactly if range_kind is
        self.range_kind = schema.range_kind
        if schema.range_name is None:
            self.row_key, self.row_key_of_item = _by_hash(schema)
        else:
            self.row_key, self.row_key_of_item = _by_hash_and_range(schema)

    def key_of(self, item: Item) -> Item:
        """The key attributes of a stored item, in the order of the schema: a LastEvaluatedKey."""
        return {name: item[name] for name in self.names}

    def item_collection(self, hash_value: Value) -> bytes:
        """What the row keys of all items with this partition key begin with: space byte and hash, 17 bytes.

        Raises ValidationError, the client's fault, if `hash_value` cannot be a partition key here.
        """
        check_key_value(hash_value, self.hash_name, self.hash_kind, PARTITION_KEY_BYTES_MAX, HASH_TOO_LONG)
        return ITEM_SPACE + partition_hash(self.hash_kind, hash_value[self.hash_kind])

    def range_bytes(self, range_value: Value) -> bytes:
        """The order-preserving bytes of a sort key.

        Raises ValidationError, the client's fault, if `range_value` cannot be a sort key here.
        """
        assert self.range_name is not None
        assert self.range_kind is not None
        check_key_value(range_value, self.range_name, self.range_kind, SORT_KEY_BYTES_MAX, RANGE_TOO_LONG)
        return sort_bytes(self.range_kind, range_value[self.range_kind])

    def range_bounds(self, key_range: KeyRange) -> tuple[bytes, bytes | None]:
        """[low, high) of what follows the item collection in the row keys that are selected; None: to the end.

        Raises ValidationError, the client's fault, if an operand cannot be a sort key here.
        """
        return key_range.bounds(self.range_bytes)


def _by_hash(schema: KeySchema) -> tuple[Callable[[Item], bytes], Callable[[Item], bytes]]:
    """`row_key` and `row_key_of_item` of a table without a sort key."""
    name, kind = schema.hash_name, schema.hash_kind

    def row_key_of_key(key: Item) -> bytes:
        try:
            text = key[name][kind]
        except KeyError:
            text = ""
        if not text or len(text) > _HASH_CHARS_SAFE or len(key) != 1:
            _check_key(key, schema)
        return row_key(kind, text)

    def row_key_of_item(item: Item) -> bytes:
        try:
            text = item[name][kind]
        except KeyError:
            text = ""
        if not text or len(text) > _HASH_CHARS_SAFE:
            _check_item_keys(item, schema)
        return row_key(kind, text)

    return row_key_of_key, row_key_of_item


def _by_hash_and_range(schema: KeySchema) -> tuple[Callable[[Item], bytes], Callable[[Item], bytes]]:
    """`row_key` and `row_key_of_item` of a table with a sort key."""
    name, kind = schema.hash_name, schema.hash_kind
    range_name, range_kind = schema.range_name, schema.range_kind
    assert range_name is not None
    assert range_kind is not None

    def row_key_of_key(key: Item) -> bytes:
        try:
            text = key[name][kind]
            sort = key[range_name][range_kind]
        except KeyError:
            text = sort = ""
        if (
            not text or not sort or len(key) != 2
            or len(text) > _HASH_CHARS_SAFE or len(sort) > _RANGE_CHARS_SAFE
        ):  # fmt: skip
            _check_key(key, schema)
        return row_key(kind, text, range_kind, sort)

    def row_key_of_item(item: Item) -> bytes:
        try:
            text = item[name][kind]
            sort = item[range_name][range_kind]
        except KeyError:
            text = sort = ""
        if not text or not sort or len(text) > _HASH_CHARS_SAFE or len(sort) > _RANGE_CHARS_SAFE:
            _check_item_keys(item, schema)
        return row_key(kind, text, range_kind, sort)

    return row_key_of_key, row_key_of_item


def _check_key(key: Item, schema: KeySchema) -> None:
    """Raise ValidationError unless `key` is the key of an item. A key that is only long passes."""
    if len(key) != len(schema.names):
        raise ValidationError(KEY_MISMATCH)
    for name, kind, bytes_max, too_long in _parts(schema):
        if name not in key or kind not in key[name]:
            raise ValidationError(KEY_MISMATCH)
        check_key_value(key[name], name, kind, bytes_max, too_long)


def _check_item_keys(item: Item, schema: KeySchema) -> None:
    """Raise ValidationError unless `item` has a key. An item whose key is only long passes."""
    for name, _kind, _bytes_max, _too_long in _parts(schema):
        if name not in item:
            raise ValidationError(f"{_INVALID}Missing the key {name} in the item")
    for name, kind, bytes_max, too_long in _parts(schema):
        check_key_value(item[name], name, kind, bytes_max, too_long)


def check_key_value(value: Value, name: str, kind: ScalarKind, bytes_max: int, too_long: str) -> None:
    """Raise ValidationError, the client's fault, if the attribute `name` cannot have this value in a key."""
    if kind not in value:
        actual = next(iter(value))
        raise ValidationError(f"{_INVALID}Type mismatch for key {name} expected: {kind} actual: {actual}")
    text = value[kind]
    if not text:
        noun = "binary" if kind == "B" else "string"
        raise ValidationError(
            "One or more parameter values are not valid. "
            f"The AttributeValue for a key attribute cannot contain an empty {noun} value. Key: {name}"
        )
    size = len(a2b_base64(text) if kind == "B" else text.encode())
    if size > bytes_max:
        raise ValidationError(too_long)


def _parts(schema: KeySchema) -> list[tuple[str, ScalarKind, int, str]]:
    """Name, kind, longest size in bytes, and what is said beyond it, of each key attribute."""
    parts = [(schema.hash_name, schema.hash_kind, PARTITION_KEY_BYTES_MAX, HASH_TOO_LONG)]
    if schema.range_name is not None:
        assert schema.range_kind is not None
        parts.append((schema.range_name, schema.range_kind, SORT_KEY_BYTES_MAX, RANGE_TOO_LONG))
    return parts
