"""One attribute in the key of an index: its place among the bytes of a row's key, and what may be its value.

In an index more bytes follow an attribute's own: of the next attribute, or of the table's key. So its order-preserving
bytes (item.key_bytes) are made self-delimiting:

    S, B   each byte 00 becomes 00 FF; 00 01 ends it
    N      00 ends it: no byte of a number's encoding after the first is 00

    {"S": "ab"}    61 62 00 01            {"N": "-1"}    3E 99 FF 00
    {"S": "\\0"}    00 FF 00 01            {"N": "0"}     80 00

Why bytewise order stays the order of the values: of two different keys, either some byte differs before both end, and
decides (a 00 inside counts as 00 FF, which is above the end, 00 01, and below 01); or one is the beginning of the
other, and ends, with 00 01, where the longer one has 00 FF or something above 00. Equal keys have equal encodings, so
what follows decides. And because no encoding is the beginning of another, each condition on the attribute is one range
of what begins there, with nothing else in it (`bounds`).

Rejected: a length before the key (it would order by length), and fixed bytes after it without escaping (a client's own
00 bytes could then move a row behind another key, or a Query's bound into the middle of one).
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Sequence
from typing import Final

from varley.errors import ValidationError
from varley.expression.key_condition import after_prefix
from varley.item.key_bytes import sort_bytes
from varley.item.value import Item, Value
from varley.table.schema import ScalarKind

_INVALID: Final = "One or more parameter values were invalid: "
_SIZE_MAX_OF_CHARS: Final = 4       # UTF-8 takes at most 4 bytes for a character


class KeyAttribute:
    """The attribute `name` of kind `kind` in the key of the index `index`, of at most `bytes_max` bytes."""

    __slots__ = ("_bytes_max", "_index", "_is_number", "kind", "name")

    def __init__(self, name: str, kind: ScalarKind, *, bytes_max: int, index: str) -> None:
        self.name = name
        self.kind = kind
        self._bytes_max = bytes_max
        self._index = index
        self._is_number = kind == "N"

    # Bytes

    def delimited(self, value: Value) -> bytes:
        """The self-delimiting bytes of a value that passed `check_item`."""
        plain = sort_bytes(self.kind, value[self.kind])
        if self._is_number:
            return plain + b"\0"
        return plain.replace(b"\0", b"\0\xff") + b"\0\x01"

    def end(self, row_key: bytes, at: int) -> int:
        """Where the bytes of the attribute end that begin at `at`. Raises ValueError if they do not."""
        if self._is_number:
            return row_key.index(b"\0", at + 1) + 1     # the first byte of a number may be 00
        return row_key.index(b"\0\x01", at) + 2

    def bounds(self, operator: str | None, operands: Sequence[Value]) -> tuple[bytes, bytes | None]:
        """[low, high) of what begins with a value for which `operator operands` holds; None: to the end.

        A self-delimiting key stands for all that begins with it, so what other orders call "right after b" is here
        the first key after all that begin with b. A prefix is escaped like a key, and has no end.
        """
        match operator:
            case None:
                return b"", None
            case "begins_with":
                low = self.delimited(operands[0])[:-2]
                return low, after_prefix(low)
            case "BETWEEN":
                return self.delimited(operands[0]), _after(self.delimited(operands[1]))
        key = self.delimited(operands[0])
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

    # What a write may put there

    def check_item(self, item: Item) -> None:
        """Raise ValidationError, the client's fault, if an item that is put cannot be in the index."""
        value = item.get(self.name)
        if value is None:
            return
        text = value.get(self.kind)
        if text is None:
            raise ValidationError(
                f"{_INVALID}Type mismatch for Index Key {self.name} Expected: {self.kind} "
                f"Actual: {next(iter(value))} IndexName: {self._index}"
            )
        if not text:
            raise ValidationError(
                "One or more parameter values are not valid. A value specified for a secondary index key is not "
                f"supported. The AttributeValue for a key attribute cannot contain an empty {self._noun} value. "
                f"IndexName: {self._index}, IndexKey: {self.name}"
            )
        size = self._size(text)
        if size > self._bytes_max:
            raise ValidationError(
                f"{_INVALID}Size limit exceeded for Index Key {self.name} Actual Size: {size} bytes "
                f"Max Size: {self._bytes_max} bytes IndexName: {self._index}"
            )

    def check_updated(self, item: Item) -> None:
        """The same for what an update expression has made of an item, in the words that are kept for that."""
        value = item.get(self.name)
        if value is None:
            return
        text = value.get(self.kind)
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
        if self._size(text) > self._bytes_max:
            raise ValidationError(
                "The update expression attempted to update the secondary index key beyond allowed size limits"
            )

    def fits(self, item: Item) -> bool:
        """Whether the item has the attribute, with a value that can be in the index."""
        value = item.get(self.name)
        text: str = "" if value is None else value.get(self.kind, "")
        return bool(text) and self._size(text) <= self._bytes_max

    @property
    def _noun(self) -> str:
        return "binary" if self.kind == "B" else "string"

    def _size(self, text: str) -> int:
        if len(text) * _SIZE_MAX_OF_CHARS <= self._bytes_max:
            return len(text)    # whatever it is exactly, it is short enough
        return len(a2b_base64(text) if self.kind == "B" else text.encode())


def _after(delimited: bytes) -> bytes:
    """The first byte string after all that begin with a delimited key, which ends in 00 or 01."""
    return delimited[:-1] + bytes((delimited[-1] + 1,))
