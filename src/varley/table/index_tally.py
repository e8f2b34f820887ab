"""How much the local indexes of one partition hold: the row at 06.

    06        {"by-x":{"S":"2 154"},"by-y":{"S":"0 0"}}       rows, and their DynamoDB bytes, by index

The indexes stand in it in the order of the table's definition, which is the order of their spaces. So whoever changes
index rows and does not know the definition, as the child of a split (indexes/delivery.py), keeps it up all the same,
from a tally that somebody else has made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from varley.item import stored
from varley.item.key_bytes import LOCAL_INDEX_SPACES
from varley.item.size import item_size

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def index_tally(sizes: Mapping[str, tuple[int, int]], timestamp_us: int) -> bytes:
    """The stored value. `sizes`: (rows, bytes) by index, in the order of the definition."""
    assert all(min(size) >= 0 for size in sizes.values())
    tally = {name: {"S": f"{entries} {size}"} for name, (entries, size) in sizes.items()}
    return stored.pack(_encode(tally), item_size(tally), timestamp_us)


def sizes_of(tally: bytes) -> dict[str, tuple[int, int]]:
    """The reverse, in the same order."""
    item: dict[str, Any] = _decode(tally[stored.HEADER_BYTES :])
    sizes = {}
    for name, value in item.items():
        entries, size = value["S"].split()
        sizes[name] = (int(entries), int(size))
    return sizes


def tally_after(
    tally: bytes, changes: Iterable[tuple[bytes, bytes | None, bytes | None]], timestamp_us: int
) -> bytes:
    """What becomes of `tally` when rows of local indexes change: (row key, stored value before, and after; None: no
    row)."""
    sizes = sizes_of(tally)
    names = dict(zip((space[0] for space in LOCAL_INDEX_SPACES), sizes, strict=False))
    for key, old, new in changes:
        name = names[key[0]]
        entries, size = sizes[name]
        if old is not None:
            entries, size = entries - 1, size - stored.item_size(old)
        if new is not None:
            entries, size = entries + 1, size + stored.item_size(new)
        sizes[name] = (entries, size)
    return index_tally(sizes, timestamp_us)
