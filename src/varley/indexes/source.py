"""One partition of a table as the source of changes for indexes: what its chosen entries carry goes into channels.

On one machine that is what is chosen, as it is chosen. A member of a larger group begins to lead, and ends:

    follows --begins--> reads --at the end of what is applied--> takes what is chosen --ends--> follows

A member that begins to lead reads its log from where all has arrived, as the leader before has told; nothing that is
chosen meanwhile is taken, the reading comes to it. What it had put into channels when it led before is there still: it
reads on behind that.

The log may tell of an index that this node does not know. Mostly it was deleted. If the node's view of the metadata is
behind, what follows waits until it is not, since a target passes over what comes behind its time.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from varley.indexes.propagation import IndexRow, Part
from varley.indexes.sending import RETRY_SECONDS, Sending, to_child
from varley.item.key_bytes import ITEM_SPACE, OUTGOING_SPACE
from varley.node.partition import Partition
from varley.router.routes import GlobalIndexRoute, Route
from varley.storage.log_format import Row
from varley.table.global_index_follower import Backlog
from varley.table.outgoing import OUTGOING_KEY_AT, THE_ITEM
from varley.table.parting import carried_to, goes

logger = logging.getLogger("varley.indexes")

_READ_ENTRIES: Final = 400      # of the log in one step, by a new leader
_OUTGOING: Final = OUTGOING_SPACE[0]
_ITEM: Final = ITEM_SPACE[0]
_FIRST_SLOT: Final = 1      # of every group

AppliedRows = Callable[[int], Iterator[tuple[int, Sequence[Row]]]]


class Source:
    """See node.replica.Outgoing. Used from the event loop only."""

    __slots__ = ("_group", "_is_live", "_partition", "_rows", "_sending", "_taken", "children", "indexes", "route")

    def __init__(self, sending: Sending, partition: Partition) -> None:
        self.route: Route | None = None     # None: its table has no indexes, or it is a partition of one
        self.indexes: dict[bytes, GlobalIndexRoute] = {}    # by the 16 bytes of their ids
        # Partitions that this one is being split into: where they begin, and what is on its way to them.
        self.children: dict[int, tuple[bytes, Backlog]] = {}
        self._sending = sending
        self._partition = partition
        self._group = partition.group
        self._is_live = True    # what is chosen goes into channels. A group of one is not told when to begin.
        self._taken = 0         # in channels, or arrived, is all up to this slot; since then it led no longer, or reads
        self._rows: AppliedRows | None = None   # of the log, while it reads

    @property
    def oldest(self) -> int | None:
        """All of the log is needed while nobody has told what of it has not arrived.

        A node makes checkpoints, and shortens its log after each, from before `Indexes.start` on.
        """
        return self._sending.propagation.oldest(self._group) if self._sending.is_log_known else _FIRST_SLOT

    def begins(self, kept: int, applied_rows: AppliedRows) -> None:
        self._taken = max(self._taken, kept)
        self._is_live = False
        self._rows = applied_rows
        self.read_soon()

    def ends(self) -> None:
        self._is_live = False
        self._rows = None

    def kept_after(self, applied: int) -> int:
        oldest = self._sending.propagation.oldest(self._group)
        taken = applied if self._is_live else self._taken
        return taken if oldest is None else min(taken, oldest - 1)

    def read_soon(self) -> None:
        if self._rows is not None:
            self._sending.soon(functools.partial(self._read, self._rows))

    def _read(self, rows_behind: AppliedRows) -> None:
        """Some entries of the log. One step of the loop, so at its end nothing is applied that was not read."""
        if rows_behind is not self._rows:    # it leads no longer, or anew, or has read to the end
            return
        for slot, rows in itertools.islice(rows_behind(self._taken), _READ_ENTRIES):
            if self._must_wait_for_index(rows):
                self._sending.soon(functools.partial(self._read, rows_behind), RETRY_SECONDS)
                return
            if self._taken and slot != self._taken + 1:
                logger.warning(
                    "group %d: slots %d to %d are not in the log any more, and what they carried may not have arrived: "
                    "an index may lack changes", self._group, self._taken + 1, slot - 1,
                )  # fmt: skip
            self._taken = slot
            self._take(slot, rows)
        if next(rows_behind(self._taken), None) is None:
            self._rows = None
            self._is_live = True
        else:
            self._sending.soon(functools.partial(self._read, rows_behind))

    def _must_wait_for_index(self, rows: Sequence[Row]) -> bool:
        parting = self._partition.tree.parting
        is_known = True
        for _, key, _, _ in rows:
            if key[0] != _OUTGOING:
                continue
            child = carried_to(key)
            if child is None:
                is_known &= key[1:OUTGOING_KEY_AT] in self.indexes
            elif child not in self.children and parting is not None and parting.child == child:
                return True    # a split is not over before this has arrived
        return not is_known and not self._sending.is_current(self._group)

    def chosen(self, slot: int, rows: Sequence[Row]) -> None:
        """HOT PATH of writes to tables with global indexes: 1 µs a row."""
        if not self._is_live:
            return
        self._taken = slot
        if len(rows) > 1 and (self.indexes or self.children):
            self._take(slot, rows)

    def _take(self, slot: int, rows: Sequence[Row]) -> None:
        item_value: bytes | None = None
        parts: dict[int, Part] = {}
        for _, key, value, _ in rows:
            space = key[0]
            if space == _OUTGOING:
                child = carried_to(key)
                if child is not None:
                    self._take_for_child(child, rows, parts)
                    continue
                index = self.indexes.get(key[1:OUTGOING_KEY_AT])
                if index is None:    # deleted since this was proposed
                    continue
                row_key = key[OUTGOING_KEY_AT:]
                row: IndexRow = (row_key, item_value if value == THE_ITEM else value)
                target = index.partition_of(row_key).group
                part = parts.get(target)
                if part is None:
                    parts[target] = Part([row], index.backlog, self._sending.due_of(index))
                else:
                    part.rows.append(row)
            elif space == _ITEM:
                item_value = value
        if parts:
            self._sending.changed(self._group, slot, parts)

    def _take_for_child(self, child: int, rows: Sequence[Row], parts: dict[int, Part]) -> None:
        if child not in self.children:    # an entry of long ago, read again: the split is over
            return
        at, backlog = self.children[child]
        parts[to_child(child)] = Part([(key, value) for _, key, value, _ in rows if goes(key, at)], backlog)

    def backlog_of(self, target: int) -> Backlog:
        """Of the index that the partition `target` belongs to, or of the child that it is the channel to."""
        for child, (_, backlog) in self.children.items():
            if target == to_child(child):
                return backlog
        return next(
            index.backlog for index in self.indexes.values()
            if any(partition.group == target for partition in index.partitions)
        )  # fmt: skip
