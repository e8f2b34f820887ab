"""Rows as they are stored: what is in the heads and bodies of an engine's entries, and under which keys.

    "r" | place                                     a row: this node is, or was, home of the key
    "h" | length u8 | home, UTF-8 | place           a hint: kept for that home (hints.py)
    "m" | name                                      what the node remembers of itself: history, clock, identity
    "d" | key of a row or hint                      bytes given up for their checksum, kept for people to look at

Rows and hints are apart, as in the paper: nothing that goes through the one meets the other.

    head of a row or hint       CRC32C u32 | format u8 = 1 | flags u8 | newest time µs u64 | digest, 16 bytes | ring key
    body                        Siblings.encode()           (varley/ring/siblings.py draws it)
    head of "m"                 CRC32C u32 | format u8 = 1 | value;  its body is empty

Numbers are big-endian. The CRC is that of the engine's key and all of the head behind it: a row that is found in a
wrong place is damaged too. Bit 0 of the flags: every version is a tombstone. The digest is the BLAKE2b of the body,
which the hash trees need anyway; it is compared on every read, and is the body's checksum.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

from google_crc32c import value as _crc32c

from varley.ring import siblings as codec
from varley.ring.siblings import Siblings
from varley.ring_node.engines.engine import Engine, Entry
from varley.ring_node.keys import PLACE_BYTES

FORMAT: Final = 1
ROWS: Final = b"r"
HINTS: Final = b"h"
MEMORY: Final = b"m"
DAMAGED: Final = b"d"
_CRC = struct.Struct(">I")
_HEAD = struct.Struct(">BBQ16s")
_KEY_AT = _CRC.size + _HEAD.size


class Head(NamedTuple):
    ring_key: bytes
    digest: bytes
    is_tombstone: bool
    time_us: int


class BadRow(ValueError):
    """The bytes of an entry are not those that were written. Not for clients: the store gives the row up."""


def row_key(place: bytes) -> bytes:
    return ROWS + place


def hint_key(home: str, place: bytes) -> bytes:
    raw = home.encode()
    return HINTS + bytes((len(raw),)) + raw + place


def home_of(hint_key: bytes) -> str:
    return hint_key[2 : 2 + hint_key[1]].decode()


def place_in(key: bytes) -> bytes:
    """Of a row's key or a hint's."""
    return key[-PLACE_BYTES:]


def encode_row(key: bytes, ring_key: bytes, siblings: Siblings) -> Entry:
    """`key`: of the engine."""
    is_tombstone = all(version.is_tombstone for version in siblings)
    rest = _HEAD.pack(FORMAT, is_tombstone, siblings.clock.time_us, siblings.digest) + ring_key
    return Entry(_CRC.pack(_crc32c(key + rest)) + rest, siblings.encode())


def decode_head(key: bytes, head: bytes) -> Head:
    """Raises BadRow."""
    if len(head) < _KEY_AT or _crc32c(key + head[4:]) != _CRC.unpack_from(head)[0]:
        raise BadRow("the checksum of its head is wrong")
    form, flags, time_us, digest = _HEAD.unpack_from(head, _CRC.size)
    if form != FORMAT:
        raise BadRow(f"it has format {form}, and this version of Varley reads {FORMAT}")
    return Head(head[_KEY_AT:], digest, bool(flags & 1), time_us)


def decode_row(key: bytes, entry: Entry) -> Siblings:
    """Raises BadRow."""
    head = decode_head(key, entry.head)
    if hashlib.blake2b(entry.body, digest_size=16).digest() != head.digest:
        raise BadRow("the checksum of its body is wrong")
    return codec.decode(entry.body)


def memory_key(name: str) -> bytes:
    return MEMORY + name.encode()


def encode_memory(key: bytes, value: bytes) -> Entry:
    rest = bytes((FORMAT,)) + value
    return Entry(_CRC.pack(_crc32c(key + rest)) + rest, b"")


def decode_memory(key: bytes, entry: Entry) -> bytes:
    """Raises BadRow."""
    if len(entry.head) < 5 or _crc32c(key + entry.head[4:]) != _CRC.unpack_from(entry.head)[0]:
        raise BadRow("its checksum is wrong")
    if entry.head[4] != FORMAT:
        raise BadRow(f"it has format {entry.head[4]}, and this version of Varley reads {FORMAT}")
    return entry.head[5:]


def remembered(engine: Engine, name: str) -> bytes | None:
    """The value of an "m" entry. Raises BadRow."""
    key = memory_key(name)
    entry = engine.get(key)
    return None if entry is None else decode_memory(key, entry)
