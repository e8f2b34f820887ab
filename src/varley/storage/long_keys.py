"""Keys longer than LMDB allows, in exact byte order all the same.

LMDB's keys stop at 511 bytes; a row key reaches 1041 (1 + 16 + a sort key of 1024), and 3091 in a local index, and
ranges must come out in byte order. The idea is a trie of chunks inside the one LMDB database:

- A key of up to 510 bytes is its own LMDB key, and pays nothing but the comparison of its length.
- A longer key is cut at 511 bytes. An LMDB key of exactly 511 bytes is therefore never a row: it is a *pointer*,
  which says that there are rows that begin with these bytes, and that they live in a *subtree*.
- A subtree's LMDB keys begin with FF 01 and a 16-byte BLAKE2b hash of the bytes that it stands for; then comes the
  rest of the row's key, up to 492 bytes; 493 more make the LMDB key full again, so it is a pointer again.

    "a"                         61
    511 x "k" (long by one)     6b * 511 (pointer)         FF 01 hash(k * 511)              (row, empty rest)
    511 x "k" + "tail"          the same pointer           FF 01 hash(k * 511) 7461696c     (row)

Why the order is exact: a row in the parent and a pointer beside it compare as their bytes do, because the row is
shorter than 511. Where they agree on the row's whole length, the row is a prefix of everything behind the pointer,
so it comes first, both in LMDB and by rule.

Why the subtree is named by a hash and not by a number: a number has to be given out, kept, and looked up once per
level for each read; with a hash a long key is found by one look-up, like a short one. The checksum of a row covers
its LMDB key, so if two hashes ever met, rows would be found by neither name but mixed in order; with 128 bits that
is as likely as one in 2^64 after 2^32 subtrees.

Rejected: ordering by a truncated key and sorting equals in memory (a hot prefix makes that list as long as the
partition), and values that hold many rows (a write costs the whole list).

Row keys never begin with FF (the first byte of a row key is its space, see docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Final

LMDB_KEY_BYTES_MAX: Final = 511     # of LMDB as everybody compiles it; an LMDB key that long is a pointer
SUBTREE: Final = b"\xff\x01"
HASH_BYTES: Final = 16
SUBTREE_PREFIX_BYTES: Final = len(SUBTREE) + HASH_BYTES
ROWS_END: Final = b"\xff"           # above every row and every pointer of the root

Entry = tuple[bytes, bytes]


def subtree_prefix(beginning: bytes) -> bytes:
    """What the LMDB keys begin with of all rows whose keys begin with `beginning` (and are cut there)."""
    return SUBTREE + blake2b(beginning, digest_size=HASH_BYTES).digest()


def place(key: bytes) -> tuple[bytes, list[bytes]]:
    """(the LMDB key of the row at `key`, the pointers that lead to it, from the root down)."""
    prefix, start = b"", 0
    pointers: list[bytes] = []
    while True:
        end = start + LMDB_KEY_BYTES_MAX - len(prefix)
        physical = prefix + key[start:end]
        if len(physical) < LMDB_KEY_BYTES_MAX:
            return physical, pointers
        pointers.append(physical)
        prefix, start = subtree_prefix(key[:end]), end


def remove_empty_subtrees(key: bytes, pointers: list[bytes], txn: Any) -> None:
    """After the row at `key` was deleted: delete those of the pointers to it that lead to nothing any more."""
    cursor = txn.cursor()
    for depth in range(len(pointers) - 1, -1, -1):
        end = LMDB_KEY_BYTES_MAX + depth * (LMDB_KEY_BYTES_MAX - SUBTREE_PREFIX_BYTES)
        prefix = subtree_prefix(key[:end])
        if cursor.set_range(prefix) and cursor.key().startswith(prefix):
            return
        txn.delete(pointers[depth])


def walk(
    new_cursor: Callable[[], Any],
    open_row: Callable[[bytes, bytes], bytes],
    low: bytes,
    high: bytes | None,
    reverse: bool,
    prefix: bytes = b"",
    beginning: bytes = b"",
) -> Iterator[Entry]:
    """The rows of [low, high) of one subtree, in order.

    `prefix`: what its LMDB keys begin with; `beginning`: what that stands for; both empty: the root. `low` and
    `high` (None: to its end) are what follows `beginning` in row keys. `open_row`: (LMDB key, LMDB value) -> the
    stored value, or raises Damaged.
    """
    first = prefix + low
    end = prefix + high if high is not None else _after(prefix) if prefix else ROWS_END
    if not prefix and end > ROWS_END:
        end = ROWS_END
    first_seek = first[:LMDB_KEY_BYTES_MAX]
    skip = len(prefix)
    cursor = new_cursor()
    if reverse:
        positioned = _seek_before(cursor, end)
    else:
        positioned = cursor.set_range(first_seek)
    if not positioned:
        return
    for physical, raw in cursor.iterprev() if reverse else cursor.iternext():
        if physical < first_seek if reverse else physical >= end:
            return
        value = open_row(physical, raw)
        if len(physical) < LMDB_KEY_BYTES_MAX:
            yield (beginning + physical[skip:] if skip else physical), value
            continue
        # A pointer: the bounds go with it only if they begin with the same bytes.
        below = beginning + physical[skip:]
        yield from walk(
            new_cursor,
            open_row,
            first[LMDB_KEY_BYTES_MAX:] if physical == first_seek else b"",
            end[LMDB_KEY_BYTES_MAX:] if end.startswith(physical) else None,
            reverse,
            subtree_prefix(below),
            below,
        )


def _seek_before(cursor: Any, end: bytes) -> bool:
    """Move to the last LMDB key < end; False: there is none. `end` may be longer than an LMDB key."""
    seek = end[:LMDB_KEY_BYTES_MAX]
    if cursor.set_range(seek):
        if cursor.key() < end:      # the pointer that `end` begins with
            return True
        moved: bool = cursor.prev()
        return moved
    at_end: bool = cursor.last()
    return at_end


def _after(prefix: bytes) -> bytes:
    """The first byte string above all that begin with `prefix`."""
    kept = prefix.rstrip(b"\xff")
    assert kept, "a prefix of FF bytes has nothing above it"
    return kept[:-1] + bytes((kept[-1] + 1,))
