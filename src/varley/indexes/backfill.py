"""Filling a global index that was added to a table with items.

Changes that come from now on reach the index by themselves (propagation.py). What was there before is read from each
partition of the table in turn, from its first item to its last, a slice at a time, and sent through the same channels;
why neither can overtake the other is told there. One slice is under way at a time, so the loop and the log are left to
others in between, and an index that is stalled stalls this too.

The slots that were proposed before anybody knew of the index carry nothing to it. So nothing is read of a partition
before all of those are decided.

How far it is stands in the partition itself (table/outgoing.py), now and then: after a restart it goes on from there.
Doing a little twice changes nothing.

An item with a value that cannot be a key of the index is left out of it, as the service does (GlobalIndexCodec.entry).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from varley.indexes.propagation import IndexRow, Part
from varley.item import stored
from varley.item.key_bytes import ITEM_SPACE, PARTITION_HASH_BYTES
from varley.node.partition import Partition
from varley.node.settled import NOBODY, once_settled, when_settled
from varley.router.routes import GlobalIndexRoute
from varley.storage.log_format import DELETE, DERIVED, PUT
from varley.table.outgoing import progress_item_key, progress_key, progress_value

SLICE_ITEMS: Final = 100        # read in one step: 1 ms
SLICE_BYTES: Final = 128 * 1024
PROGRESS_SLICES: Final = 16     # so many slices may be read again after a crash

_ITEMS_END: Final = bytes((ITEM_SPACE[0] + 1,))
_HASHES: Final = 1 << (8 * PARTITION_HASH_BYTES)

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Send(Protocol):
    def __call__(self, source: int, slot: int, parts: Mapping[int, Part], then: Callable[[], None]) -> None:
        """See Propagation.filled."""
        ...


class Backfill:
    """Of one index. `finished` is called once, when all has arrived. Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        index: GlobalIndexRoute,
        partitions: Sequence[Partition],
        send: Send,
        finished: Callable[[], None],
    ) -> None:
        self.index = index
        self._loop = loop
        self.partitions = list(partitions)     # of the table: those that this node leads
        self._left = list(partitions)   # the first one is being read
        self._send = send
        self._finished = finished
        self._key = progress_key(index.id)
        self._reign = 0     # of the first one, in which all of this was read
        self._after: bytes | None = None    # the last item of it that has arrived; None: none
        self._noted: bytes | None = None    # how far its progress row is
        self._slices = 0                    # since then
        self._is_stopped = False

    @property
    def ratio(self) -> float:
        """How much of the table's keyspace is done, 0 to 1."""
        if not self._left:
            return 1.0
        if self._after is None:
            return 1.0 - len(self._left) / len(self.partitions)
        return int.from_bytes(self._after[len(ITEM_SPACE) :][:PARTITION_HASH_BYTES], "big") / _HASHES

    def is_through(self, group: int) -> bool:
        """Whether all of the partition of `group` has arrived."""
        groups = [partition.group for partition in self.partitions]
        return group in groups and all(partition.group != group for partition in self._left)

    def start(self) -> None:
        self._loop.call_soon(self._begin)

    def stop(self) -> None:
        """Read no more. What is under way arrives, or is sent again by whoever fills this index next."""
        self._is_stopped = True

    # One partition after the other

    def _begin(self) -> None:
        if self._is_stopped:
            return
        if not self._left:
            self._finished()
            return
        if self._left[0].is_leading:
            self._reign = self._left[0].reign
        if self._is_led_elsewhere():
            return
        progress = self._left[0].newest(self._key)
        self._after = self._noted = None if progress is None else progress_item_key(progress)
        self._slices = 0
        # Whether they become chosen or not: what comes after them knows of the index.
        once_settled(self._left[0].undecided_range(), lambda error: self._read())

    def _read(self) -> None:
        """The next slice of this partition."""
        if self._is_stopped or self._is_led_elsewhere():
            return
        partition = self._left[0]
        rows: dict[int, list[IndexRow]] = {}
        last, size = None, 0
        low = ITEM_SPACE if self._after is None else self._after + b"\0"
        for number, (key, value) in enumerate(partition.tree.scan(low, _ITEMS_END), 1):
            last = key
            self._add(rows, key, value)
            size += len(value)
            if number == SLICE_ITEMS or size >= SLICE_BYTES:
                break
        if last is None:
            self._end_partition()
            return
        if rows:
            parts = {target: Part(its, self.index.backlog) for target, its in rows.items()}
            arrived = functools.partial(self._arrived, last)
            self._send(partition.group, partition.tree.applied_slot, parts, arrived)
        else:
            self._loop.call_soon(self._arrived, last)

    def _is_led_elsewhere(self) -> bool:
        """The first partition that is left is led by another node meanwhile, which goes on with it: to the next one.

        If this node leads it again by now, it is read anew (filling.py): what another leader has sent since may have
        made the index pass over what was on its way from here, though that is said to have arrived."""
        if self._left[0].is_leading and self._left[0].reign == self._reign:
            return False
        self.partitions.remove(self._left.pop(0))
        self._loop.call_soon(self._begin)
        return True

    def _add(self, rows: dict[int, list[IndexRow]], item_key: bytes, value: bytes) -> None:
        """The row that the index has of an item, if it has one, to those for its target."""
        codec = self.index.codec
        entry = codec.entry(item_key, _decode(value[stored.HEADER_BYTES :]), stored.item_size(value))
        if entry is None:
            return
        if codec.projected is not None:
            value = stored.pack(_encode(entry.item), entry.size, stored.timestamp(value))
        rows.setdefault(self.index.partition_of(entry.key).group, []).append((entry.key, value))

    def _arrived(self, last: bytes) -> None:
        if self._is_stopped or self._is_led_elsewhere():
            return
        self._after = last
        self._slices += 1
        if self._slices == PROGRESS_SLICES:
            self._note()
        self._loop.call_soon(self._read)

    def _end_partition(self) -> None:
        if self._after != self._noted:
            self._note()
        del self._left[0]
        self._loop.call_soon(self._begin)

    def _note(self) -> None:
        assert self._after is not None
        partition = self._left[0]
        timestamp_us = partition.next_timestamp()
        row = (PUT, self._key, progress_value(self._after, timestamp_us), DERIVED)
        partition.propose([row], timestamp_us, NOBODY)
        self._noted, self._slices = self._after, 0


async def forget_progress(index_id: str, partitions: Sequence[Partition]) -> None:
    """Remove the progress rows of an index, which nobody fills now, from a table's partitions.

    Raises what the log raises: then some may still be there.
    """
    begin_to_forget(index_id, partitions)
    key = progress_key(index_id)
    # Also what somebody else has begun to forget, and the disk may refuse: afterwards nobody will know of this index.
    undecided = [proposal for partition in partitions if (proposal := partition.undecided(key)) is not None]
    if undecided:
        done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        when_settled(undecided, done.set_result)
        error = await done
        if error is not None:
            raise error


def begin_to_forget(index_id: str, partitions: Sequence[Partition]) -> None:
    """The same for who does not wait."""
    key = progress_key(index_id)
    for partition in partitions:
        if partition.newest(key) is not None:
            row = (DELETE, key, None, DERIVED)
            partition.propose([row], partition.next_timestamp(), NOBODY)
