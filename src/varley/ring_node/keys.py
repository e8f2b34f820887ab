"""Names of things: the key that the ring knows, and where it lies in a store.

    ring key    bucket length u8 | bucket, UTF-8 | key              what is hashed, and what the cores call a key
    place       MD5(ring key), 16 bytes | BLAKE2b(ring key), 16 bytes

Rows lie in the order of their place. So a partition, which is a stretch of MD5s, is one stretch of rows, and a transfer
or comparison reads what it needs and no more. MD5 says where on the ring, as the paper has it; collisions of it can be
made at will, so BLAKE2b tells keys apart. Rejected: the key itself as the key of the engine (LMDB's end at 511 bytes).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from varley.ring.tokens import POSITION_BITS

PLACE_BYTES = 32
_MD5_BYTES = POSITION_BITS // 8


def ring_key(bucket: str, key: bytes) -> bytes:
    raw = bucket.encode()
    return bytes((len(raw),)) + raw + key


def bucket_of(ring_key: bytes) -> str:
    return ring_key[1 : 1 + ring_key[0]].decode()


def key_of(ring_key: bytes) -> bytes:
    return ring_key[1 + ring_key[0] :]


@lru_cache(maxsize=1024)    # a request asks three to eight times
def place_of(ring_key: bytes) -> bytes:
    position = hashlib.md5(ring_key, usedforsecurity=False).digest()
    return position + hashlib.blake2b(ring_key, digest_size=16).digest()


def place_at(position: int) -> bytes:
    """The least place at this position of the ring; past the last one, what is above all places."""
    if position >> POSITION_BITS:
        return b"\xff" * (PLACE_BYTES + 1)
    return position.to_bytes(_MD5_BYTES, "big")
