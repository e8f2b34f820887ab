"""Puts the expiry rows of one partition right after the table's definition has changed.

    items begin to expire     remove rows of an earlier definition, then add one for each item that expires
    another attribute         (the service asks for "none" in between) the same
    items expire no more      remove all rows

Each slice looks at some rows of the applied state, decides by the newest state, and proposes one log entry: the rows
that change and how far it has come (`Progress`). So it goes on after a crash where it was, and a slice that is done
twice changes nothing the second time. Writes of clients go on meanwhile; they are evaluated under the new definition,
and their follower keeps right the rows of the items that they touch.

    add        an item without its row: the row is added, unless a write that is not chosen yet has done so
    remove     a row that its item does not ask for: removed, likewise

Source: [DG] "Using time to live (TTL)"; that the service, too, takes up to an hour to begin.
"""

from __future__ import annotations

from typing import Final

import msgspec

from varley.expiry.derived_entry import propose_derived
from varley.item.key_bytes import ITEM_SPACE
from varley.item.stored import HEADER_BYTES
from varley.node.participant import DerivedRow
from varley.node.partition import Partition
from varley.node.settled import Done, Told
from varley.table.expiry import (
    END_OF_ITEMS,
    END_OF_ROWS,
    FIRST_ROW,
    PROGRESS_KEY,
    ROW_VALUE,
    Progress,
    expiry_of,
    is_right,
    item_key_of,
    progress_of,
    progress_value,
    row_key,
)
from varley.table.schema import Table

_ROWS_PER_SLICE: Final = 100
_BYTES_PER_SLICE: Final = 256 * 1024    # of items that are decoded: about a millisecond
_decode = msgspec.json.decode


def are_rows_right(table: Table, partition: Partition) -> bool:
    """Whether the applied rows of `partition` are those that `table` asks for, and nothing is left to do."""
    if table.time_to_live_revision == 0:
        return True
    progress = progress_of(partition.get(PROGRESS_KEY))
    if table.time_to_live_attribute is None:
        # There may be rows without progress: of writes that came before the work was begun.
        return progress is None and next(partition.tree.scan(FIRST_ROW, END_OF_ROWS), None) is None
    return progress is not None and progress.is_of(table) and progress.next is None


class Amendment:
    """The work on one partition for one definition. Call `slice` until it says that it is done."""

    __slots__ = ("_attribute", "_has_waited", "_partition", "_table")

    def __init__(self, table: Table, partition: Partition) -> None:
        self._table = table
        self._attribute = table.time_to_live_attribute or ""
        self._partition = partition
        self._has_waited = False    # for writes that were evaluated under the definition before

    def slice(self, done: Done) -> bool:
        """True: all is right. False: some was put right; `done` is called when that is chosen, or has failed.

        Raises Throttling and Damaged.
        """
        partition = self._partition
        undecided = partition.undecided_range()
        if undecided is not None and not self._has_waited:
            # What is not applied is not seen below: such a write may have added an item and, under the definition
            # before, no row for it; or a row that is not wanted any more.
            self._has_waited = True
            undecided.hold(done)
            return False
        self._has_waited = True
        if are_rows_right(self._table, partition) and partition.undecided(PROGRESS_KEY) is None:
            return True
        progress = self._progress()
        assert progress.next is not None
        rows, position = (self._missing_rows if progress.is_adding else self._wrong_rows)(progress.next)
        after = self._after(progress._replace(next=position))
        propose_derived(partition, [*rows, (PROGRESS_KEY, after)], Told(done))
        return False

    def _progress(self) -> Progress:
        """Where the work goes on."""
        progress = progress_of(self._partition.newest(PROGRESS_KEY))
        if progress is not None and progress.is_of(self._table):
            return progress
        return Progress(self._attribute, self._table.time_to_live_revision, FIRST_ROW)

    def _after(self, progress: Progress) -> bytes | None:
        """The progress row after a slice. Of a table whose items do not expire it goes with the last row."""
        if progress.next is None and not self._attribute:
            return None
        return progress_value(progress)

    def _wrong_rows(self, position: bytes) -> tuple[list[DerivedRow], bytes | None]:
        """(rows to remove, where to go on)."""
        partition = self._partition
        wrong: list[DerivedRow] = []
        decoded_bytes = 0
        for looked_at, (key, _) in enumerate(partition.tree.scan(position, END_OF_ROWS), 1):
            item = partition.newest(item_key_of(key))
            if partition.newest(key) is not None and not (self._attribute and is_right(key, item, self._attribute)):
                wrong.append((key, None))
            decoded_bytes += len(item or b"")
            if looked_at == _ROWS_PER_SLICE or decoded_bytes >= _BYTES_PER_SLICE:
                return wrong, key + b"\0"
        return wrong, ITEM_SPACE if self._attribute else None

    def _missing_rows(self, position: bytes) -> tuple[list[DerivedRow], bytes | None]:
        """(rows to add, where to go on)."""
        partition = self._partition
        missing: list[DerivedRow] = []
        decoded_bytes = 0
        for looked_at, (key, _) in enumerate(partition.tree.scan(position, END_OF_ITEMS), 1):
            item = partition.newest(key)
            seconds = None if item is None else expiry_of(_decode(item[HEADER_BYTES:]), self._attribute)
            if seconds is not None and partition.newest(row_key(key, seconds)) is None:
                missing.append((row_key(key, seconds), ROW_VALUE))
            decoded_bytes += len(item or b"")
            if looked_at == _ROWS_PER_SLICE or decoded_bytes >= _BYTES_PER_SLICE:
                return missing, key + b"\0"
        return missing, None
