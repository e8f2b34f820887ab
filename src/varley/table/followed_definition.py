"""Which definition of its table a partition's leaders have followed: a row in each partition of a table of a cluster.

    41          JSON    {"version":{"N":"4711"}}        version of the definition in the metadata

Why it is there is told in cluster/definitions.py.
"""

from __future__ import annotations

from typing import Final

import msgspec

from varley.item import stored
from varley.item.key_bytes import DEFINITION_SPACE
from varley.item.size import item_size
from varley.item.value import Item

DEFINITION_KEY: Final = DEFINITION_SPACE

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def definition_value(version: int, timestamp_us: int) -> bytes:
    """The stored value of the row."""
    item: Item = {"version": {"N": str(version)}}
    return stored.pack(_encode(item), item_size(item), timestamp_us)


def definition_version(value: bytes | None) -> int:
    """The version that the row's stored value says; 0 without one: none of that table is older."""
    return 0 if value is None else int(_decode(value[stored.HEADER_BYTES :])["version"]["N"])
