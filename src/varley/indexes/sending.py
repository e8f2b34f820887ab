"""Sending: what is in the channels of this node goes to the partitions of indexes that it is for.

    changed, filled ---> channels (propagation.py)
    end of the loop's turn ---> for each channel that has something: one batch ---> delivery.deliver
    acknowledged ---> next batch        unknown ---> the same again, a moment later

So all changes that a table's partitions have chosen in one turn of the loop, which is one frame of the log, go to a
partition of an index in one slot: an index costs a sync more, not a sync for each change.

`delay_seconds` holds changes back for those who want to see what they do not see yet: on a machine of one's own an
index is a millisecond behind its table, in the service it may be a second.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from varley.clock import Clock
from varley.indexes.abroad import Abroad
from varley.indexes.delivery import deliver
from varley.indexes.propagation import BATCH_ROWS_MAX, Delivery, Part, Propagation
from varley.node.partition import Partition
from varley.router.routes import GlobalIndexRoute

RETRY_SECONDS: Final = 0.25     # after what somebody else has to do first, or has not answered
_LOOK_SECONDS: Final = 0.05     # how often the clock is looked at while changes are held back


class Sending:
    """From `start` to `stop` or `close`; what comes before is sent then. Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, *, delay_seconds: float, abroad: Abroad | None
    ) -> None:
        """`abroad`: how partitions that are led by other nodes are reached; None: there are none."""
        self.delay_seconds = delay_seconds
        self.propagation = Propagation()
        self.is_running = False     # between start and stop
        self.is_log_known = False   # what it carries to indexes is in the channels: from start on, for good
        self._abroad = abroad
        self._loop = loop
        self._clock = clock
        self._targets: dict[int, Partition] = {}
        self._ready: set[int] = set()       # targets to look at when this turn of the loop ends
        self._stalled: set[int] = set()     # targets that wait for _retry
        self._held_back: set[int] = set()   # targets whose next batch is not due
        self._is_flush_scheduled = False
        self._retry: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None   # while stopping

    def start(self) -> None:
        """What recovery has found in the log is in the channels."""
        self.is_running = self.is_log_known = True
        self._make_ready(list(self.propagation.targets()))

    async def stop(self) -> None:
        """Send what there is. Returns when all has arrived, or what has not cannot now: the log has it."""
        if not self.is_running:
            return
        self._drained = self._loop.create_future()
        self._stalled.clear()
        self._make_ready(list(self.propagation.targets()))
        await self._drained
        self.close()

    def close(self) -> None:
        """Send no more."""
        self.is_running = False
        for timer in (self._retry, self._look):
            if timer is not None:
                timer.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way to an index from here."""
        return all(self.propagation.is_empty(target) for target in self.propagation.targets())

    def soon(self, work: Callable[[], None], seconds: float = 0.0) -> None:
        """Do `work` in a turn of its own, if this runs then."""
        self._loop.call_later(seconds, self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        if self.is_running:
            work()

    def is_current(self, group: int) -> bool:
        """Whether an index that this node does not know was deleted, if entries of this group carry something to it."""
        return self._abroad is None or self._abroad.is_current(group)

    # What is to be sent

    def add_target(self, partition: Partition, channel: int | None = None) -> None:
        """`channel`: None: that of its group."""
        target = partition.group if channel is None else channel
        self._targets[target] = partition
        self.propagation.add_target(target)

    def remove_target(self, target: int) -> None:
        self.propagation.remove_target(target)
        del self._targets[target]
        self._end_if_drained()

    def split_target(self, target: int, child: int, at: bytes) -> None:
        """See Propagation.split_target."""
        self.propagation.split_target(target, child, at)
        self._make_ready((child,))

    def changed(self, source: int, slot: int, parts: Mapping[int, Part]) -> None:
        """See Propagation.changed."""
        self.propagation.changed(source, slot, parts)
        self._make_ready(parts)

    def filled(self, source: int, slot: int, parts: Mapping[int, Part], then: Callable[[], None]) -> None:
        """See Propagation.filled."""
        self.propagation.filled(source, slot, parts, then)
        self._make_ready(parts)

    def due_of(self, index: GlobalIndexRoute) -> float:
        """When a change for `index` that is chosen now may be sent."""
        if not self.delay_seconds or index.is_backfilling:    # nobody can look into it while it is being filled
            return 0.0
        return self._clock.monotonic() + self.delay_seconds

    # Batches

    def _make_ready(self, targets: Iterable[int]) -> None:
        self._ready.update(targets)
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """One batch to each target that is ready, as many as are one slice of the loop's time."""
        self._is_flush_scheduled = False
        if not self.is_running:
            return
        now = self._now()
        rows = 0
        while self._ready and rows < BATCH_ROWS_MAX:
            target = self._ready.pop()
            if target in self._stalled or not self.propagation.is_target(target):
                continue
            partition = self._targets[target]
            if partition.is_under_pressure:
                self._stall(target)
                continue
            batch = self.propagation.next_batch(target, now)
            if batch:
                rows += sum(len(delivery.rows) for delivery in batch)
                self._deliver(target, partition, batch)
            elif self.propagation.due(target) is not None:
                self._hold_back(target)
        if self._ready:
            self._make_ready(())
        self._end_if_drained()

    def _deliver(self, target: int, partition: Partition, batch: Sequence[Delivery]) -> None:
        done = functools.partial(self._delivered, target)
        if self._abroad is None or self._abroad.is_led_here(partition.group):
            deliver(partition, batch, done)
        else:
            self._abroad.deliver(partition.group, batch, done)

    def _now(self) -> float:
        if self._drained is not None:
            return math.inf    # stopping: nothing is held back any longer
        return self._clock.monotonic() if self.delay_seconds else 0.0

    def _delivered(self, target: int, error: BaseException | None) -> None:
        if not self.propagation.is_target(target):    # removed meanwhile
            return
        if error is None:
            for call in self.propagation.acknowledged(target):
                call()
            if not self.propagation.is_empty(target):
                self._make_ready((target,))
        else:
            self.propagation.unknown(target)
            self._stall(target)
        self._end_if_drained()

    def _stall(self, target: int) -> None:
        """Try again in a moment."""
        self._stalled.add(target)
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        stalled, self._stalled = self._stalled, set()
        self._make_ready(stalled)

    def _hold_back(self, target: int) -> None:
        self._held_back.add(target)
        if self._look is None:
            # The clock may be moved by hand, and no timer of the loop hears of that.
            self._look = self._loop.call_later(min(self.delay_seconds, _LOOK_SECONDS), self._look_again)

    def _look_again(self) -> None:
        self._look = None
        held_back, self._held_back = self._held_back, set()
        self._make_ready(held_back)

    def _end_if_drained(self) -> None:
        if self._drained is None or self._drained.done():
            return
        if all(target in self._stalled or self.propagation.is_empty(target) for target in self.propagation.targets()):
            self._drained.set_result(None)


def to_child(group: int) -> int:
    """The channel to the child of a split: another than the one to the same group as a partition of an index, which is
    for what comes when it serves, and waits until it does."""
    return -group
