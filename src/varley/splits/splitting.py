"""Carries out one split of a partition, where its parent is led: what to do next, from what has been done.

    order                 splits/<id> in the metadata: which partition, the group of its child, where (or: the middle)
    1. the child fills    if there are local indexes, first with a tally of them in which nothing is counted.
                          Row 60 00 in the parent: from now on entries that have something for the child say so.
                          All that there is is read and sent, slice by slice, through the channel through which
                          changes go too (indexes/propagation.py): neither overtakes the other. 60 00 says when that
                          is through
    2. the parent closes  no write to the upper part is taken for a moment; what is under way is decided
    3. the map            compare-and-set: the child has the upper part. This cannot be taken back
    4. the parent ends    row 60 01, and in the same entry the last shards of its streams. Nothing of the upper part
                          is ever decided here again
    5. the child serves   when all has arrived, there and at indexes, it is told so: row 60 02
    6. tidying            what the parent need not have any more is deleted, each item with its rows in local indexes
                          and what tallies say of it; 60 00 and the order go

Each step is written down where it is decided, so whoever leads the parent next goes on: it looks at the rows, does the
step that is missing, and what it does a second time changes nothing.

What clients notice is 2 to 5: writes to the upper half wait, reads too from 3 on in a cluster. That takes a handful of
round trips, however large the partition is: what there is to copy was copied before. The lower half goes on throughout.

Why the map comes before the parent's end, and not after: whoever has the new map finds a child that does not serve yet,
which is to it as a group whose leader is being elected, and waits; whoever has the old one asks the parent, which is
right up to its end. After the end nothing depends on the metadata any more.

Why indexes must have everything before the child serves: two changes of one item, the earlier sent by the parent, the
later by the child, go through different channels, and could overtake each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import islice
from typing import Final, Protocol

from varley.errors import ApiError, LeaderReplaced, WorldError
from varley.indexes.indexes import Indexes
from varley.indexes.propagation import IndexRow
from varley.item.key_bytes import DERIVED_SPACES, ITEM_SPACE, PARTITION_HASH_BYTES, TALLY_SPACE
from varley.item.stored import item_size
from varley.metadata.catalog import Catalog, Described, Ordered
from varley.metadata.split import Split
from varley.node.elsewhere import Elsewhere
from varley.node.partition import Partition
from varley.node.settled import Done, Told, once_settled
from varley.storage.log_format import DELETE, DERIVED, PUT, Row
from varley.streams.streams import Streams
from varley.table.consequences import Consequences
from varley.table.keys import KeyCodec
from varley.table.parting import (
    END_KEY,
    PARTING_KEY,
    End,
    Origin,
    Parting,
    end_value,
    goes,
    is_left,
    leftovers,
    parting_value,
    ranges,
)

logger = logging.getLogger("varley.splits")

_SLICE_ROWS: Final = 400        # read and sent at once: 2 ms
_SLICE_BYTES: Final = 256 * 1024    # also of what is removed at once
_LOOKED_AT: Final = 2000        # rows passed over in one step
_REMOVED_AT_ONCE: Final = 100   # by one entry
_CLOSED_SECONDS: Final = 1.0    # so long transactions of the upper part are waited for; then it opens, and later again
_LOOK_SECONDS: Final = 0.002
_BACKLOG_BYTES: Final = 64 * 1024 * 1024    # on their way to the child: beyond, writes of the upper part wait


class NotNow(Exception):
    """It cannot go on at the moment; nothing is broken."""


class Home(Protocol):
    """What is different on a single server and on a node of a cluster."""

    @property
    def is_alone(self) -> bool:
        """Whether all partitions are in this process."""
        ...

    def leads(self, group: int) -> bool:
        """Whether this node leads it."""
        ...

    def partition(self, group: int) -> Partition:
        """As routes have it, or would; also one that serves nobody yet."""
        ...

    def holding(self) -> AbstractAsyncContextManager[None]:
        """While this is entered, requests that come may wait."""
        ...

    def is_served(self, split: Split) -> bool:
        """Whether the child serves, as far as is known here."""
        ...

    def open_child(self, split: Split, origin: Origin, rows: Sequence[IndexRow], done: Done) -> None:
        """See indexes.delivery.open_child; wherever it is led."""
        ...

    def mapped(self, described: Described, split: Split) -> None:
        """The map is the new one, and the child serves nobody yet."""
        ...

    def serves(self, described: Described, split: Split) -> None:
        """The child serves."""
        ...

    async def remove(self, split: Split) -> None:
        """It was taken back with its table, and the child is nobody's."""
        ...


class Splitting:
    """One split. `run` is to be called while this node leads the parent, again and again until it says that all is
    done. Used from the event loop only."""

    def __init__(
        self,
        split: Split,
        catalog: Catalog,
        indexes: Indexes,
        streams: Streams,
        home: Home,
        *,
        keep_seconds: float,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`keep_seconds`: longer than a page is read that was begun before the split."""
        self.split = split
        self._keep_seconds = keep_seconds
        self._catalog = catalog
        self._indexes = indexes
        self._streams = streams
        self._home = home
        self._pause = pause
        self.doing = ""     # in a few words
        self._is_held = False       # the upper part takes no writes, since too much is on its way to the child
        self._is_ending = False     # the parent's end is proposed: it must not take writes again before that is decided

    # What is known

    @property
    def _ordered(self) -> Ordered:
        """Raises NotNow if the split is there no more: its table was deleted."""
        described = self._catalog.get(self.split.table)
        ordered = None if described is None else described.splits.get(self.split.owner)
        if ordered is None or ordered.split.child != self.split.child:
            raise NotNow("the split was taken back")
        return ordered

    @property
    def _is_ordered(self) -> bool:
        described = self._catalog.get(self.split.table)
        return described is not None and self.split.owner in described.splits

    @property
    def _described(self) -> Described:
        described = self._catalog.get(self.split.table)
        if described is None:
            raise NotNow("the table was deleted")
        return described

    @property
    def _parent(self) -> Partition:
        """Raises NotNow if this node does not lead it, or it is being split no more."""
        if not self._is_ordered:
            raise NotNow("the split was taken back")
        if not self._home.leads(self.split.parent):
            raise NotNow("the parent is led elsewhere")
        return self._home.partition(self.split.parent)

    @property
    def _has_ended(self) -> bool:
        end = self._parent.tree.end
        return end is not None and end.child == self.split.child

    async def run(self) -> None:
        """Go on until nothing is left to do. Raises NotNow, and what proposals fail with: then call it again."""
        parent = self._parent
        try:
            self.split = self._ordered.split
            if self.split.location is None:
                await self._find_middle(parent)
            at = self.split.location
            assert at is not None
            self._indexes.begin_to_carry(parent, self._home.partition(self.split.child), at)
            if not self._has_ended:
                await self._fill(parent, at)
            if not self._has_ended or not self._home.is_served(self.split):
                await self._switch(parent, at)
            await self._tidy(parent, at)
        except (ApiError, WorldError, Elsewhere, LeaderReplaced) as error:
            raise NotNow(str(error)) from error
        finally:
            if self._home.leads(self.split.parent) and not self._is_ending:
                parent.tree.open_up()

    # Where

    async def _find_middle(self, parent: Partition) -> None:
        """The beginning of the partition key that is in the middle of the items' bytes, or the next."""
        self.doing = "looking for the middle"
        own = next(each for each in self._described.map_of(self.split.owner) if each.group == parent.group)
        half = parent.tree.size_bytes // 2
        size, low, first, found = 0, ITEM_SPACE, b"", b""
        while not found:
            rows = list(islice(parent.tree.scan(low, _behind(ITEM_SPACE)), _LOOKED_AT))
            for key, value in rows:
                location = key[1 : 1 + PARTITION_HASH_BYTES]
                first = first or location
                if location > first and size >= half:
                    found = location
                    break
                size += item_size(value)
            if not rows:
                break
            low = rows[-1][0] + b"\0"
            await self._pause(0)
            parent = self._parent
        if not found:
            found = _middle_of(own.low, own.high)
        async with self._catalog.changes:
            if not await self._catalog.settle_split(self._ordered, found):
                raise NotNow("somebody else has found the middle")
        self.split = self._ordered.split

    # 1

    async def _fill(self, parent: Partition, at: bytes) -> None:
        parting = parent.tree.parting
        if parting is None or parting.child != self.split.child:
            self.doing = "beginning"
            await self._begin_tally(parent)
            await self._note(self._parent, Parting(at, self.split.child, is_copied=False))
            parting = None
        if parting is not None and parting.is_copied:
            return
        self.doing = "copying"
        # What was proposed before the row was applied does not say what it has for the child: nothing is read before
        # all of that is applied.
        await self._settled(parent)
        for low, high in ranges(at):
            await self._copy(low, high, at)
        await self._note(self._parent, Parting(at, self.split.child, is_copied=True))

    async def _copy(self, low: bytes, high: bytes, at: bytes) -> None:
        is_through = False
        while not is_through:
            parent = self._parent
            rows: list[IndexRow] = []
            size = 0
            is_through = True
            for looked_at, (key, value) in enumerate(parent.tree.scan(low, high), 1):
                low = key + b"\0"
                if goes(key, at):
                    rows.append((key, value))
                    size += len(key) + len(value)
                if len(rows) == _SLICE_ROWS or size >= _SLICE_BYTES or looked_at == _LOOKED_AT:
                    is_through = False
                    break
            if rows:
                await self._send(parent, rows)
            else:
                await self._pause(0)

    async def _begin_tally(self, parent: Partition) -> None:
        """Send the tally that the child goes on with as rows of local indexes come, which are not sent before."""
        consequences = self._local_consequences()
        if consequences is not None:
            await self._send(parent, [(TALLY_SPACE, consequences.empty_tally(parent.next_timestamp()))])

    async def _send(self, parent: Partition, rows: list[IndexRow]) -> None:
        """Rows that the parent has now, or that the child begins with. Returns when they have arrived."""
        arrived = asyncio.Event()
        self._indexes.send_to_child(parent.group, parent.tree.applied_slot, self.split.child, rows, arrived.set)
        await self._until(arrived.is_set)

    async def _note(self, parent: Partition, parting: Parting | None) -> None:
        timestamp_us = parent.next_timestamp()
        if parting is None:
            await self._propose(parent, [(DELETE, PARTING_KEY, None, DERIVED)], timestamp_us)
        else:
            value = parting_value(parting, timestamp_us)
            await self._propose(parent, [(PUT, PARTING_KEY, value, DERIVED)], timestamp_us)

    # 2 to 5

    async def _switch(self, parent: Partition, at: bytes) -> None:
        self.doing = "waiting for what is on its way"
        await self._until(lambda: self._indexes.bytes_for_child(parent.group, self.split.child) < _SLICE_BYTES)
        self.doing = "switching"
        async with AsyncExitStack() as held:
            async with self._catalog.changes:
                await held.enter_async_context(self._home.holding())
                if not self._has_ended:
                    await self._close(self._parent, at)
                    described = await self._catalog.map_split(self.split)
                    if described is None:
                        raise NotNow("the split was taken back")
                    self._home.mapped(described, self.split)
                    await self._end(self._parent, at)
            await self._open(self._parent)
            self._home.serves(self._described, self.split)
        logger.info("group %d was split: group %d has what begins at %s", parent.group, self.split.child, at.hex())

    async def _close(self, parent: Partition, at: bytes) -> None:
        """Until nothing of the upper part is under way."""
        self._is_held = False
        parent.tree.closed_from = at
        await self._settled(parent)
        waited = 0.0
        while any(key[1:] >= at for key in self._parent.participant.markers):
            if waited >= _CLOSED_SECONDS:
                raise NotNow("a transaction of the upper part is not over")
            await self._pause(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
        # A transaction may have ended just now.
        await self._settled(self._parent)

    async def _end(self, parent: Partition, at: bytes) -> None:
        rows: list[Row] = []
        if self.split.owner == self._described.table.id:
            time_us, shards = self._streams.parting_rows(
                self.split.owner, parent.group, 0, lambda after_us: parent.next_timestamp(after_us=after_us)
            )
            rows += ((PUT, key, value, DERIVED) for key, value in shards)
        else:
            time_us = parent.next_timestamp()
        end = End(at, self.split.child, time_us)
        self._is_ending = True
        await self._propose(parent, [*rows, (PUT, END_KEY, end_value(end), DERIVED)], time_us)
        self._is_ending = False
        if rows:
            self._streams.look_again(self.split.owner, parent.group)

    async def _open(self, parent: Partition) -> None:
        slot = parent.tree.applied_slot
        if self._home.is_alone:
            # Changes of one process overtake each other in no channel: indexes may be as late as they are.
            await self._until(lambda: not self._indexes.bytes_for_child(parent.group, self.split.child))
        else:
            await self._until(lambda: self._indexes.has_sent_all(self._parent, slot))
        parent = self._parent
        end = parent.tree.end
        assert end is not None
        keys = self._streams.shard_keys(self.split.owner, parent.group, end.time_us)
        shards = [(key, value) for key in keys if (value := parent.get(key)) is not None]
        told: list[BaseException | None] = []
        self._home.open_child(self.split, Origin(parent.group, end.time_us), shards, told.append)
        await self._until(lambda: bool(told))
        if told[0] is not None:
            raise NotNow(f"the child does not hear that it has all: {told[0]}")

    # 6

    async def _tidy(self, parent: Partition, at: bytes) -> None:
        self.doing = "waiting for readers of the upper part"
        await self._pause(self._keep_seconds)
        self.doing = "deleting what is the child's"
        for low, high in leftovers(at):
            while True:
                parent = self._parent
                keys: list[bytes] = []
                passed = size = 0
                for key, value in islice(parent.tree.scan(low, high), _LOOKED_AT):
                    passed += 1
                    low = key + b"\0"
                    if is_left(key, at):
                        keys.append(key)
                        size += len(value)
                        if len(keys) == _REMOVED_AT_ONCE or size >= _SLICE_BYTES:
                            break
                if not passed:
                    break
                await self._remove(parent, keys)
                await self._pause(0)
        await self._note(self._parent, None)
        async with self._catalog.changes:
            await self._catalog.end_split(self.split)

    async def _remove(self, parent: Partition, keys: Iterable[bytes]) -> None:
        """Items with all that local indexes have of them, or expiries: so what is left is right after each entry. For
        everybody else they were gone long before: nothing else follows."""
        timestamp_us = parent.next_timestamp()
        consequences = self._local_consequences()
        values: dict[bytes, bytes | None] = {}      # as this entry leaves them; a tally, as the last item does

        def newest(key: bytes) -> bytes | None:
            return values[key] if key in values else parent.newest(key)

        for key in keys:
            old = newest(key)
            if old is None:    # by an entry that was not known to be chosen
                continue
            values[key] = None
            if consequences is not None and key[:1] == ITEM_SPACE:
                values.update(consequences.of(key, old, None, newest, timestamp_us, too_large="").rows)
        rows: list[Row] = []
        for key, value in values.items():
            old = parent.newest(key)
            counted = DERIVED if key[0] in DERIVED_SPACES or old is None else item_size(old)
            rows.append((DELETE if value is None else PUT, key, value, counted))
        if rows:
            await self._propose(parent, rows, timestamp_us)

    def _local_consequences(self) -> Consequences | None:
        """What follows in the partition itself from its items; None: nothing."""
        table = self._described.table
        if self.split.owner != table.id or not table.local_indexes:
            return None
        return Consequences(table, KeyCodec(table.key_schema))

    # Waiting

    async def _propose(self, parent: Partition, rows: Sequence[Row], timestamp_us: int) -> None:
        told: list[BaseException | None] = []
        parent.propose(rows, timestamp_us, Told(told.append))
        while not told:
            await self._pause(_LOOK_SECONDS)
        if told[0] is not None:
            self._is_ending = False     # if it was that, it is not chosen, or this node does not lead any more
            raise NotNow(str(told[0]))

    async def _settled(self, parent: Partition) -> None:
        """All is decided that was proposed."""
        told: list[BaseException | None] = []
        once_settled(parent.undecided_range(), told.append)
        while not told:
            await self._pause(_LOOK_SECONDS)
        if told[0] is not None:
            raise NotNow(str(told[0]))

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Raises NotNow if this node does not lead the parent any more, or the split is gone."""
        while not is_so():
            tree = self._parent.tree
            waiting = self._indexes.bytes_for_child(self.split.parent, self.split.child)
            if waiting > _BACKLOG_BYTES and tree.closed_from != self.split.location:
                tree.closed_from = self.split.location
                self._is_held = True
            elif self._is_held and waiting < _BACKLOG_BYTES // 2:
                self._is_held = False
                tree.open_up()
            await self._pause(_LOOK_SECONDS)


def _middle_of(low: bytes, high: bytes | None) -> bytes:
    """The hash in the middle of a range."""
    first = int.from_bytes(low.ljust(PARTITION_HASH_BYTES, b"\0")[:PARTITION_HASH_BYTES], "big")
    last = 1 << 8 * PARTITION_HASH_BYTES if high is None else int.from_bytes(high[:PARTITION_HASH_BYTES], "big")
    return ((first + last) // 2).to_bytes(PARTITION_HASH_BYTES, "big")


def _behind(space: bytes) -> bytes:
    return bytes((space[0] + 1,))
