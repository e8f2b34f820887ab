"""A marker: what a transaction has prepared for one item, until it is committed or cancelled.

A marker is a row of its own, beside the item's: the item stays as it is and is read as it is, at no cost, and an item
that is not there yet needs no placeholder that everybody would have to overlook. Its key is the item's, in another
space (key_bytes.MARKER_SPACE); its value says whose it is and what the item is to become, little-endian:

    byte  0        1                 2..3      4..11           12..27          28..31        32..
          version  1 put, 2 delete,  reserved  time of the     id of the       CRC32C of     put: the stored
          1        3 check           0         transaction     transaction     all others    value to be

    transaction 16 times 2a, of 2025-01-01T00:00:00Z, wants to delete the item:
    01 02 0000  00600cba992a0600  2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a  7b9caf78

The transaction is named by its id and its time together: a client's token may be used again once a first attempt was
cancelled, and gives the same id.

Rejected: the marker inside of the item's row. Every prepare would write the item
twice, every read would have to look at the bit and cut the marker off, and an item of 400 KB would need room for a
second one.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from google_crc32c import extend as _extend
from google_crc32c import value as _crc32c

from varley.item import stored
from varley.item.key_bytes import ITEM_SPACE, MARKER_SPACE

VERSION: Final = 1
ID_BYTES: Final = 16

PUT: Final = 1
DELETE: Final = 2
CHECK: Final = 3    # nothing becomes of the item; it only must not change meanwhile

_head = struct.Struct("<BBHQ16s")
_crc = struct.Struct("<I")
_HEAD_BYTES: Final = _head.size + _crc.size


class Name(NamedTuple):
    """What a transaction is known by."""

    id: bytes           # 16 bytes
    timestamp_us: int   # its place in the order of all transactions; microseconds since the epoch


class Marker(NamedTuple):
    name: Name
    kind: int               # PUT, DELETE or CHECK
    value: bytes | None     # the stored value that the item becomes; None unless PUT


def marker_key(item_key: bytes) -> bytes:
    return MARKER_SPACE + item_key[1:]


def item_key(key: bytes) -> bytes:
    """The key of the item that the marker at `key` is about."""
    return ITEM_SPACE + key[1:]


def pack(marker: Marker) -> bytes:
    name, kind, value = marker
    assert (value is None) == (kind != PUT)
    head = _head.pack(VERSION, kind, 0, name.timestamp_us, name.id)
    value = value or b""
    return head + _crc.pack(_extend(_crc32c(head), value)) + value


def unpack(packed: bytes) -> Marker:
    """What was packed. Raises ValueError if these are not the bytes of a marker."""
    if len(packed) < _HEAD_BYTES:
        raise ValueError(f"a marker of {len(packed)} bytes")
    version, kind, _, timestamp_us, transaction = _head.unpack_from(packed)
    value = packed[_HEAD_BYTES:]
    (crc,) = _crc.unpack_from(packed, _head.size)
    if _extend(_crc32c(packed[: _head.size]), value) != crc:
        raise ValueError("the marker's checksum is wrong")
    if version != VERSION or kind not in (PUT, DELETE, CHECK) or bool(value) != (kind == PUT):
        raise ValueError(f"a marker of version {version} and kind {kind}, with a value of {len(value)} bytes")
    if kind == PUT and not stored.verify(value):
        raise ValueError("the value that the marker holds is none")
    return Marker(Name(transaction, timestamp_us), kind, value if kind == PUT else None)
