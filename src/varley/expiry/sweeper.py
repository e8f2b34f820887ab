"""Deletes items whose time has come, in small slices, beside everything else that a server does.

Each partition of a table whose items expire has a row per item that does, ordered by time (table/expiry.py). So there
is little to do and little to know: of each partition, the earliest time among its rows.

    tick (each second, or when the earliest time is there, or when the clock was moved)
      for each partition whose earliest time has passed:
        slice      up to 64 due rows: delete their items, each on condition that it still expires then
        wait       until the slots of the slice are chosen; a breath; the next slice
        none left  the partition's first row says when to look again

An expired item stays visible until it is deleted, and may be rescued: whoever changes its attribute in time moves or
removes the row in the same log entry, and the deletion looks at the item again when it is evaluated. A deletion counts
no capacity, and what follows from it (index rows, stream records) is told that it was no client's.

How the earliest time stays known. Rows are made by writes, whose follower keeps the earliest time it has made since it
was last asked (`Expiries.soonest`, one number per table). A tick takes that as a hint for each partition. A hint may
only be dropped once the rows that were proposed before it are applied, or this happens:

    1. a write with an early time is evaluated: the hint is there, the row is not chosen yet
    2. the end of a sweep reads the partition's first applied row: a late one. It forgets the hint, remembers that
    3. the early row is applied, and nobody looks for it until the late time comes

So the end of a sweep sets the hint aside first, waits for what is undecided then, and reads afterwards. So does its
beginning: no applied row is before the earlier of what was found last and of the hint, so the sweep begins there, and
does not pass by all that earlier sweeps have deleted. What is made meanwhile, with whatever time, moves the hint again.

`delay_seconds` makes everything late by so much. The service is late too, by minutes to days; programs that forget to
filter out expired items are found with it.

The same slices keep the rows right when the table's definition changes: see amendment.py. One table is in
swept_table.py, one partition in sweep.py.

Rejected: a task per partition (a thousand timers where one will do), deleting on read (a table that nobody reads keeps
its items, and its stream never hears), one log entry for many deletions (stream records need a slot each).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from varley.clock import Clock, MovableClock
from varley.expiry.amendment import are_rows_right
from varley.expiry.sweep import TICK_SECONDS_MAX
from varley.expiry.swept_table import SweptTable
from varley.metadata.catalog import Described
from varley.node.elsewhere import Elsewhere
from varley.node.partition import Partition
from varley.router.routes import GlobalIndexRoute, Route, Router


def _always(group: int) -> bool:
    return True


class Sweeper:
    """Of one server. Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, router: Router, *, delay_seconds: float = 0.0,
        leads: Callable[[int], bool] = _always,
    ) -> None:  # fmt: skip
        """`leads`: whether this node leads a group. Others sweep the partitions that they lead."""
        self.leads = leads
        self._loop = loop
        self._clock = clock
        self._router = router
        self._delay_seconds = delay_seconds
        self._tables: dict[str, SweptTable] = {}    # by name; those whose items expire, or did
        self._timer: asyncio.TimerHandle | None = None    # None while there are no such tables
        self._is_running = False
        self.under_way = 0  # sweeps
        self.expired: dict[str, int] = {}    # by table: items deleted since the start

    def start(self, tables: Iterable[Described]) -> None:
        """Begin. Not on a disk that takes no writes."""
        self._is_running = True
        self._router.watchers.append(self)
        if isinstance(self._clock, MovableClock):
            self._clock.watch(self._clock_was_moved)
        for described in tables:
            self.redefine(described)

    def stop(self) -> None:
        """Begin nothing more. What is proposed will be chosen or not, as any write. May be called again."""
        if not self._is_running:
            return
        self._is_running = False
        self._router.watchers.remove(self)
        if isinstance(self._clock, MovableClock):
            self._clock.unwatch(self._clock_was_moved)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def redefine(self, described: Described) -> asyncio.Future[None]:
        """Follow the definition of a table, which the router has already.

        The future is done when the table's rows are right for it, or when a newer definition comes.
        """
        settled: asyncio.Future[None] = self._loop.create_future()
        table = described.table
        known = self._tables.pop(table.name, None)
        if known is not None:
            known.replace()
        if not self._is_running or table.time_to_live_revision == 0:
            settled.set_result(None)
            return settled
        self._tables[table.name] = SweptTable(self, described, self._router.route(table.name), settled)
        self.tick()
        return settled

    # What the router tells

    def opened(self, route: Route) -> None:
        table = self._tables.get(route.name)
        if table is not None:
            table.reroute(route)

    def index_closed(self, index: GlobalIndexRoute) -> None:
        """Nothing here is about indexes."""

    def closed(self, route: Route) -> None:
        table = self._tables.pop(route.name, None)
        if table is not None:
            table.replace()
        self.expired.pop(route.name, None)

    def is_settled(self, described: Described, route: Route) -> bool:
        """Whether all rows are there that the definition asks for, and no others, in the partitions that have a replica
        here. One that follows may be behind, and then has not yet what the newest definition asks for."""
        return all(_are_rows_right(described, partition) for partition in route.partitions)

    def begins_to_lead(self, group: int) -> None:
        """This node leads `group` from now on: what its partition has is looked at as if it had just been opened."""
        for table in self._tables.values():
            table.begins_to_lead(group)
        self.tick()

    def now(self) -> float:
        """Items whose time is before this are to go. Epoch seconds."""
        return self._clock.time() - self._delay_seconds

    def has_expired(self, table: str) -> None:
        """An item of it was deleted because its time had come."""
        self.expired[table] = self.expired.get(table, 0) + 1

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do `work` after so long, unless this stops before."""
        if self._is_running:
            self._loop.call_later(seconds, self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        if self._is_running:
            work()

    def _clock_was_moved(self) -> None:
        self._loop.call_soon_threadsafe(self._look_everywhere)

    def _look_everywhere(self) -> None:
        """The clock may have gone back, too: what was too old to be deleted may not be so any more."""
        for table in self._tables.values():
            table.look_everywhere()
        self.tick()

    def tick(self) -> None:
        """Begin what is due, and see to it that this is called again in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_running:
            return
        now = self.now()
        earliest = min((table.look(now) for table in self._tables.values()), default=None)
        if earliest is not None:
            # A moment behind the second, since an item expires when its time is past.
            seconds = min(max(earliest - now, 0.0) + 0.002, TICK_SECONDS_MAX)
            self._timer = self._loop.call_later(seconds, self.tick)


def _are_rows_right(described: Described, partition: Partition) -> bool:
    try:
        return are_rows_right(described.table, partition)
    except Elsewhere:
        return True    # nobody here knows
