"""When items expire: a row beside each item that has a time to expire, ordered by that time.

A table names an attribute; an item that has a number there expires once that many seconds since 1970 have passed. To
find the items whose time has come without reading all others, each has a row

    30, seconds since the epoch (8 bytes, big-endian), the item's own key without its space byte

so that one range read from a partition's first such row on finds them, oldest first. The row follows from the item: it
comes, moves and goes in the log entry of the item. It says nothing that the item does not say, so its value is always
the same, and nobody has to trust it: whoever deletes looks at the item again.

Which attribute values count ([DG] "How it works: DynamoDB Time to Live"): a top-level Number; anything else means that
the item does not expire. An item whose time lies five years back or more is left alone, because such a time is more
likely a mistake (milliseconds, a zero) than meant. Fractions of a second are cut off. Times that no clock of ours can
reach (the year 10000: those who store milliseconds) have no row.

When a table begins to name an attribute, its items have no such rows yet, and when it names another or none, they have
the wrong ones. They are put right in the background (expiry/sweeper.py), and how far that has come is a row too, under
the key 30 alone:

    {"attribute":{"S":"expires"},"revision":{"N":"3"},"next":{"B":"AEo…"}}

`attribute` and `revision`, the number of the change, say which definition of the table the rows follow. `next` is the
row key at which the work goes on: in the space 30 while wrong rows are removed, in the space 00 while missing ones are
added; without it the work is done. It changes in the log entry of the rows that it is about.

Rejected: scanning all items again and again, as the service is said to do (a minute per 10 GB, and items that expire
late by as much); a heap in memory (it grows with the table, and must be read anew at each start).
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from varley.item import stored
from varley.item.key_bytes import EXPIRY_SPACE, ITEM_SPACE
from varley.item.size import item_size
from varley.item.value import Item
from varley.table.consequences import Following, Get, ItemWrite, Scan
from varley.table.schema import Table

TIME_BYTES: Final = 8
ITEM_AT: Final = len(EXPIRY_SPACE) + TIME_BYTES    # where, in a row's key, the item's own begins
# [DG] "five years older or more": with a leap day, to be on the side of keeping.
TOO_OLD_SECONDS: Final = (5 * 365 + 1) * 86_400
NEVER: Final = 253_402_300_800    # clock.EPOCH_SECONDS_MAX, the year 10000

PROGRESS_KEY: Final = EXPIRY_SPACE
FIRST_ROW: Final = EXPIRY_SPACE + b"\0"    # the progress row comes before all others
END_OF_ROWS: Final = bytes((EXPIRY_SPACE[0] + 1,))
END_OF_ITEMS: Final = bytes((ITEM_SPACE[0] + 1,))
ROW_VALUE: Final = stored.pack(b"{}", 0, 0)

_decode = msgspec.json.decode
_encode = msgspec.json.encode


def expiry_of(item: Item, attribute: str) -> int | None:
    """When `item` expires, in seconds since the epoch; None: never."""
    value = item.get(attribute)
    if value is None:
        return None
    number: str | None = value.get("N")
    if number is None or number[0] == "-":
        return None
    whole = number.partition(".")[0]
    seconds = int(whole) if len(whole) <= len(str(NEVER)) else NEVER
    return seconds if seconds < NEVER else None


def row_key(item_key: bytes, seconds: int) -> bytes:
    """The key of the row of the item at `item_key`, which expires at `seconds`."""
    return EXPIRY_SPACE + seconds.to_bytes(TIME_BYTES, "big") + item_key[len(ITEM_SPACE) :]


def row_bound(seconds: int) -> bytes:
    """Not above the key of any row whose time is `seconds` or later, above all others."""
    return EXPIRY_SPACE + max(seconds, 0).to_bytes(TIME_BYTES, "big")


def seconds_of(key: bytes) -> int:
    """When the item expires that the row at `key` is of."""
    return int.from_bytes(key[len(EXPIRY_SPACE) : ITEM_AT], "big")


def item_key_of(key: bytes) -> bytes:
    """The key of the item that the row at `key` is of."""
    return ITEM_SPACE + key[ITEM_AT:]


class Expiries:
    """The follower of a table whose items expire. Pure, but for the hint `soonest`."""

    __slots__ = ("attribute", "revision", "soonest")

    def __init__(self, attribute: str, revision: int) -> None:
        self.attribute = attribute
        self.revision = revision
        # No row that was made since somebody set this to NEVER has an earlier time. It is moved by every evaluation,
        # also of writes that come to nothing: it only says when it is worth looking, and saves looking at all
        # partitions every second.
        self.soonest = NEVER

    def check_item(self, item: Item) -> None:
        """Any item fits."""

    def check_updated(self, item: Item) -> None:
        """Any item fits."""

    def follow(self, write: ItemWrite, following: Following) -> None:
        old = None if write.old is None else expiry_of(write.old.item, self.attribute)
        new = None if write.new is None else expiry_of(write.new.item, self.attribute)
        if old == new:
            return
        if old is not None:
            following.rows.append((row_key(write.key, old), None))
        if new is not None:
            following.rows.append((row_key(write.key, new), ROW_VALUE))
            if new < self.soonest:
                self.soonest = new

    def problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        """What is not as the items would have it, as far as the rows are said to follow from them."""
        progress = progress_of(get(PROGRESS_KEY))
        if progress is None or (progress.attribute, progress.revision) != (self.attribute, self.revision):
            return    # the rows are those of an earlier definition; nobody has begun to put them right
        if progress.next is not None and not progress.is_adding:
            return
        for key, _ in scan(FIRST_ROW, END_OF_ROWS):
            if not is_right(key, get(item_key_of(key)), self.attribute):
                yield key, "an expiry that no item has"
        for key, value in scan(ITEM_SPACE, END_OF_ITEMS if progress.next is None else progress.next):
            seconds = expiry_of(_decode(value[stored.HEADER_BYTES :]), self.attribute)
            if seconds is not None and get(row_key(key, seconds)) is None:
                yield row_key(key, seconds), f"the expiry of the item {key.hex()} is missing"


def is_right(key: bytes, item: bytes | None, attribute: str) -> bool:
    """Whether the row at `key` follows from the stored value `item` of its item; None: there is none."""
    return item is not None and expiry_of(_decode(item[stored.HEADER_BYTES :]), attribute) == seconds_of(key)


class Progress(NamedTuple):
    """How far the rows of one partition follow the table's definition."""

    attribute: str    # "": items do not expire, and there are to be no rows
    revision: int    # Table.time_to_live_revision
    next: bytes | None    # where the work goes on; None: it is done

    def is_of(self, table: Table) -> bool:
        return (self.attribute, self.revision) == (table.time_to_live_attribute or "", table.time_to_live_revision)

    @property
    def is_adding(self) -> bool:
        """All rows are right, and those of items below `next` are there."""
        return self.next is not None and self.next.startswith(ITEM_SPACE)


def progress_of(value: bytes | None) -> Progress | None:
    """What the stored value at PROGRESS_KEY says; None if there is none: the work was not begun."""
    if value is None:
        return None
    item = _decode(value[stored.HEADER_BYTES :])
    position = a2b_base64(item["next"]["B"]) if "next" in item else None
    return Progress(item["attribute"]["S"], int(item["revision"]["N"]), position)


def progress_value(progress: Progress) -> bytes:
    """The reverse of `progress_of`."""
    item: Item = {"attribute": {"S": progress.attribute}, "revision": {"N": str(progress.revision)}}
    if progress.next is not None:
        item["next"] = {"B": b2a_base64(progress.next, newline=False).decode("ascii")}
    return stored.pack(_encode(item), item_size(item), 0)
