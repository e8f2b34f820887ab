"""What is done to streams in the background: old shards end, old records go, streams that are over vanish.

    every second   for each enabled stream      shards that are older than a setting end, new ones begin
                   for each stream              records older than 24 hours are removed, some hundred in one log entry,
                                                the next ones once that entry is applied
                   for each that is over        all of its rows, likewise; then it is forgotten
                   for each deleted table       when its last stream is over: its partitions

All of it is a look at the clock that is handed in; the loop's timer only says when to look. A look at a stream with
nothing to do costs a comparison. Nothing is lost when this does not run: what is too old is not shown (see
partition_stream.py), it only takes up space.

What is refused, because the disk is full or too much waits for it, is tried again at a later look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from varley.clock import Clock
from varley.errors import Throttling, WorldError
from varley.metadata.catalog import Catalog, Described
from varley.streams.partition_stream import PartitionStream
from varley.streams.streams import OpenStream, Streams

logger = logging.getLogger("varley.streams")

_LOOK_SECONDS: Final = 1.0
_ROWS_AT_ONCE: Final = 200    # removed by one entry: half a millisecond of the loop's time


class Upkeep:
    """From start() to stop(). `keep` runs a coroutine to its end; `remove_group` is that of the node."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        streams: Streams,
        catalog: Catalog,
        *,
        shard_seconds: float,
        remove_group: Callable[[int], Awaitable[None]],
        keep: Callable[[Coroutine[Any, Any, None]], None],
        leads: Callable[[int], bool] = lambda group: True,
    ) -> None:
        """`leads`: whether this node leads a group. Others look after what they lead."""
        self._leads = leads
        self._loop = loop
        self._clock = clock
        self._streams = streams
        self._catalog = catalog
        self._shard_seconds = shard_seconds
        self._remove_group = remove_group
        self._keep = keep
        self._timer: asyncio.TimerHandle | None = None    # not None exactly while it runs
        self._queue: deque[tuple[OpenStream, PartitionStream]] = deque()    # of which something may be removed
        self._is_step_scheduled = False
        self._dropping: set[str] = set()    # ids of deleted tables whose partitions are being removed

    def start(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look_again)

    def stop(self) -> None:
        """Harmless if it was never started. A change that is proposed already is decided by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look_again)
        self.look()

    def look(self) -> None:
        """Begin whatever is due. What takes longer goes on in small steps, each in its own turn of the loop."""
        now = self._clock.time()
        self._drop_deleted(now)
        for stream in self._streams:
            led = [partition for partition in stream.partitions if partition.is_led]
            if stream.is_over(now) and all(partition.is_empty for partition in led):
                if stream.table.id not in self._catalog.deleted:
                    self._streams.forget(stream)
                continue
            try:
                if stream.status == "ENABLED":
                    stream.rotate(int((now - self._shard_seconds) * 1_000_000))
            except Throttling:
                return
            self._queue += ((stream, partition) for partition in led)
        self._schedule_step()

    def _schedule_step(self) -> None:
        if self._queue and not self._is_step_scheduled:
            self._is_step_scheduled = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        """Go through what is queued up to the first that has something to remove, and propose that."""
        self._is_step_scheduled = False
        now = self._clock.time()
        while self._queue:
            stream, partition = self._queue.popleft()
            if stream in self._streams and partition.is_led and self._trim(stream, partition, now):
                break
        self._schedule_step()

    def _trim(self, stream: OpenStream, partition: PartitionStream, now: float) -> bool:
        """Whether something was proposed."""

        def then() -> None:
            if self._timer is not None:
                self._queue.append((stream, partition))
                self._schedule_step()

        try:
            return partition.trim(int(now * 1_000_000), _ROWS_AT_ONCE, then, is_over=stream.is_over(now))
        except Throttling:
            self._queue.clear()
            return False

    def _drop_deleted(self, now: float) -> None:
        for described in list(self._catalog.deleted.values()):
            table = described.table
            streams = [stream for stream in self._streams if stream.table.id == table.id]
            if not self._leads(next(iter(described.partitions)).group):
                continue    # one node does it: the one that leads the first of them
            if table.id not in self._dropping and all(stream.is_over(now) for stream in streams):
                self._dropping.add(table.id)
                for stream in streams:
                    self._streams.forget(stream)
                self._keep(self._drop(described))

    async def _drop(self, described: Described) -> None:
        """A deleted table whose streams are over: nothing of it is needed any more."""
        try:
            async with self._catalog.changes:
                if described.table.id in self._catalog.deleted:
                    await self._catalog.forget(described)
                    for each in described.partitions:
                        await self._remove_group(each.group)
        except WorldError as error:
            logger.warning("a deleted table's partitions are removed later: %s", error)
        finally:
            self._dropping.discard(described.table.id)
