"""What a change of an item brings to a table's global indexes, and how far it has come: the rows of that.

The rows of a global index lie in groups of their own, so they cannot change in the log entry of the item. What shall
become of them is decided with the item all the same, and stands in the item's own entry as *outgoing* rows. They are in
no tree. When the entry is chosen, they are sent to the index's partitions; the entry stays in the log until they have
arrived, and is read again after a crash.

    f0, id of the index (16), row key in the index      in the log of a partition of the table
        value   the row's stored value; no value in a delete; an empty one stands for that of the item itself, which
                is the nearest row of space 00 before it in the entry (an index that projects everything: the entry
                would hold the item twice)

Each entry of an index's partition that has rows of a source, which is a partition of the table, also says up to which
slot of the source it has everything: so what is sent twice is applied once.

    40, group of the source (8, big-endian)             in a partition of an index
        JSON    {"slot":{"N":"7"}}

An index that is added to a table with items is filled from the table's partitions, each from its first item on. How far
that is, of one partition:

    40, id of the index (16)                            in a partition of the table, until the index is filled
        JSON    {"key":{"B":"…"}}                       row key of the last item that has arrived in the index

The id is the UUID of the index, which no other index ever has: not one of the same name that is made afterwards either.
A short number for each index in place of it was rejected: it saves 12 bytes, and is one more thing to give out once.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Final

import msgspec

from varley.item import stored
from varley.item.key_bytes import OUTGOING_SPACE, SOURCE_SPACE
from varley.item.size import item_size
from varley.item.value import Item

ID_BYTES: Final = 16
OUTGOING_KEY_AT: Final = len(OUTGOING_SPACE) + ID_BYTES     # where, in an outgoing row's key, the index's begins
THE_ITEM: Final = b""       # the value of an outgoing row that is the item's own
SOURCE_KEY_BYTES: Final = len(SOURCE_SPACE) + 8
PROGRESS_KEY_BYTES: Final = len(SOURCE_SPACE) + ID_BYTES

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def id_bytes(index_id: str) -> bytes:
    """The 16 bytes of an index's UUID."""
    return bytes.fromhex(index_id.replace("-", ""))


def outgoing_prefix(index_id: str) -> bytes:
    """What the keys of all outgoing rows of an index begin with; the row's key in the index follows."""
    return OUTGOING_SPACE + id_bytes(index_id)


def source_key(group: int) -> bytes:
    return SOURCE_SPACE + group.to_bytes(8, "big")


def source_value(slot: int, timestamp_us: int) -> bytes:
    return _stored({"slot": {"N": str(slot)}}, timestamp_us)


def source_slot(value: bytes | None) -> int:
    """The slot that the stored value of a source's row says; 0 without one: nothing has arrived."""
    return 0 if value is None else int(_decode(value[stored.HEADER_BYTES :])["slot"]["N"])


def progress_key(index_id: str) -> bytes:
    return SOURCE_SPACE + id_bytes(index_id)


def progress_value(item_key: bytes, timestamp_us: int) -> bytes:
    return _stored({"key": {"B": b2a_base64(item_key, newline=False).decode()}}, timestamp_us)


def progress_item_key(value: bytes) -> bytes:
    """The row key that the stored value of a progress row says."""
    return a2b_base64(_decode(value[stored.HEADER_BYTES :])["key"]["B"])


def _stored(item: Item, timestamp_us: int) -> bytes:
    return stored.pack(_encode(item), item_size(item), timestamp_us)
