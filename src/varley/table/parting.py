"""The rows by which a partition that is split knows so, and which of its rows go to the new one.

A partition is split at a *location* (table/partition_map.py) that is a whole hash, so no partition key is cut in two:
it keeps what is below, another group gets the rest. The one that is split is the *parent*, the new one its *child*.
What has been done stands in rows of the two, which are decided as all rows are, and go with checkpoints and snapshots:

    60 00     in the parent while it is being split         {"at":{"B":"…"},"child":{"N":"9"},"copied":{"BOOL":false}}
    60 01     in the parent, for ever: its upper end        {"at":{"B":"…"},"child":{"N":"9"},"time":{"N":"17…"}}
    60 02     in the child: it is complete, and serves      {"parent":{"N":"7"},"time":{"N":"17…"}}

`time` is that of the parent's entry with which the upper part ceased to be its own, in microseconds: all that the
parent has ever decided about the upper part is before, and all that the child decides by itself behind. `at` is the
location.

While 60 00 is there and 60 01 does not say the same, each entry of the parent that has rows for the child says so by an
outgoing row (table/outgoing.py), so that nobody has to know of the split to see that something is carried:

    f0, eight zero bytes, the child's group (8, big-endian)       value: empty

What goes to the child: items from the location on, their rows in local indexes, the tallies of their collections, and
their expiries; and rows that are about the partition as a whole and that both have to have, which are token rows of
transactions, which definition leaders have followed, how far an index's partition has its sources, and how far expiries
follow the table's definition. What does not: the tally of all that local indexes have in the partition, since each of
the two has its own; rows of the stream, which stay where they were made; markers of transactions, since a partition is
not parted while an item of the upper part has one.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from varley.item import stored
from varley.item.key_bytes import (
    DEFINITION_SPACE,
    EXPIRY_SPACE,
    ITEM_SPACE,
    LOCAL_INDEX_SPACES,
    OUTGOING_SPACE,
    PARTITION_HASH_BYTES,
    SOURCE_SPACE,
    SPLIT_SPACE,
    TALLY_SPACE,
    TOKEN_SPACE,
)
from varley.item.size import item_size
from varley.item.value import Item
from varley.table.expiry import ITEM_AT, PROGRESS_KEY
from varley.table.outgoing import SOURCE_KEY_BYTES

PARTING_KEY: Final = SPLIT_SPACE + b"\x00"
END_KEY: Final = SPLIT_SPACE + b"\x01"
ORIGIN_KEY: Final = SPLIT_SPACE + b"\x02"
KEY_BYTES: Final = len(PARTING_KEY)

_ITEM: Final = ITEM_SPACE[0]
_EXPIRY: Final = EXPIRY_SPACE[0]
_SOURCE: Final = SOURCE_SPACE[0]
# Their keys have the location behind the space. The tally of the whole partition has none, which is below every other.
_LOCATED: Final = (ITEM_SPACE, *LOCAL_INDEX_SPACES, TALLY_SPACE)
_LOCATED_FIRST: Final = frozenset(space[0] for space in _LOCATED)
_WHOLE: Final = frozenset((TOKEN_SPACE[0], DEFINITION_SPACE[0]))
_NO_INDEX: Final = OUTGOING_SPACE + bytes(8)    # no UUID begins like this

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Parting(NamedTuple):
    """In the parent, until nothing is left to do."""

    at: bytes           # the location
    child: int
    is_copied: bool     # the child has had everything once; what has changed since is in the log, or has arrived


class End(NamedTuple):
    """In the parent: what is at or above this location is the child's."""

    at: bytes
    child: int
    time_us: int


class Origin(NamedTuple):
    """In the child."""

    parent: int
    time_us: int


def parting_value(parting: Parting, timestamp_us: int) -> bytes:
    item: Item = {"at": _binary(parting.at), "child": _number(parting.child), "copied": {"BOOL": parting.is_copied}}
    return _stored(item, timestamp_us)


def parting_of(value: bytes | None) -> Parting | None:
    if value is None:
        return None
    item = _decode(value[stored.HEADER_BYTES :])
    return Parting(a2b_base64(item["at"]["B"]), int(item["child"]["N"]), item["copied"]["BOOL"])


def end_value(end: End) -> bytes:
    item: Item = {"at": _binary(end.at), "child": _number(end.child), "time": _number(end.time_us)}
    return _stored(item, end.time_us)


def end_of(value: bytes | None) -> End | None:
    if value is None:
        return None
    item = _decode(value[stored.HEADER_BYTES :])
    return End(a2b_base64(item["at"]["B"]), int(item["child"]["N"]), int(item["time"]["N"]))


def origin_value(origin: Origin, timestamp_us: int) -> bytes:
    return _stored({"parent": _number(origin.parent), "time": _number(origin.time_us)}, timestamp_us)


def origin_of(value: bytes | None) -> Origin | None:
    if value is None:
        return None
    item = _decode(value[stored.HEADER_BYTES :])
    return Origin(int(item["parent"]["N"]), int(item["time"]["N"]))


def carried_key(child: int) -> bytes:
    """The key of the outgoing row that says that an entry has something for `child`."""
    return _NO_INDEX + child.to_bytes(8, "big")


def carried_to(key: bytes) -> int | None:
    """The child that an outgoing row's key names; None: it is about an index."""
    return int.from_bytes(key[len(_NO_INDEX) :], "big") if key.startswith(_NO_INDEX) else None


def is_location(at: bytes) -> bool:
    """Whether a partition may be split there."""
    return len(at) == PARTITION_HASH_BYTES


def goes(key: bytes, at: bytes) -> bool:
    """Whether the row at `key` goes to the child of a partition that is split at `at`. HOT PATH while it is."""
    space = key[0]
    if space in _LOCATED_FIRST:
        return key[1:] >= at
    if space == _EXPIRY:
        return key[ITEM_AT:] >= at or key == PROGRESS_KEY
    return space in _WHOLE or (space == _SOURCE and len(key) == SOURCE_KEY_BYTES)


# In this order; of each the first key, and the first behind. Expiries are ordered by time: all are looked at.
def ranges(at: bytes) -> Sequence[tuple[bytes, bytes]]:
    """The ranges of the parent's tree that have all rows that go; not all that they have does."""
    return [
        *((space + at, _behind(space)) for space in _LOCATED),
        (EXPIRY_SPACE, _behind(EXPIRY_SPACE)),
        (SOURCE_SPACE, _behind(SOURCE_SPACE)),
        (DEFINITION_SPACE, _behind(DEFINITION_SPACE)),
        (TOKEN_SPACE, _behind(TOKEN_SPACE)),
    ]


def leftovers(at: bytes) -> Sequence[tuple[bytes, bytes]]:
    """The ranges that the parent need not keep once the child serves: `is_left` says which rows of them. With an item
    goes what local indexes have of it, in the same entry."""
    return [(ITEM_SPACE + at, _behind(ITEM_SPACE)), (EXPIRY_SPACE, _behind(EXPIRY_SPACE))]


def is_left(key: bytes, at: bytes) -> bool:
    """Whether this is an item or an expiry that is the child's alone."""
    if key[0] == _ITEM:
        return key[1:] >= at
    return key[0] == _EXPIRY and len(key) > ITEM_AT and key[ITEM_AT:] >= at


def _behind(space: bytes) -> bytes:
    return bytes((space[0] + 1,))


def _binary(value: bytes) -> dict[str, str]:
    return {"B": b2a_base64(value, newline=False).decode("ascii")}


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _stored(item: Item, timestamp_us: int) -> bytes:
    return stored.pack(_encode(item), item_size(item), timestamp_us)
