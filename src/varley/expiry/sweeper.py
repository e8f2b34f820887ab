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

The same slices keep the rows right when the table's definition changes: see amendment.py.

Rejected: a task per partition (a thousand timers where one will do), deleting on read (a table that nobody reads keeps
its items, and its stream never hears), one log entry for many deletions (stream records need a slot each).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from varley.clock import Clock, MovableClock
from varley.errors import ApiError, ConditionalCheckFailed, WorldError
from varley.expiry.amendment import Amendment, are_rows_right
from varley.expiry.derived_entry import propose_derived
from varley.expiry.expiry_delete import ExpiryDelete
from varley.metadata.catalog import Described
from varley.node.elsewhere import Elsewhere
from varley.node.participant import DerivedRow
from varley.node.partition import Partition
from varley.node.settled import once_settled
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.table.expiry import (
    END_OF_ROWS,
    NEVER,
    TOO_OLD_SECONDS,
    Expiries,
    row_bound,
    seconds_of,
)

logger = logging.getLogger("varley.expiry")

_TICK_SECONDS_MAX = 1.0
_ROWS_PER_SLICE = 64    # about a millisecond
_BREATH_SECONDS = 0.001    # between slices, for everybody else
_SWEEPS_MAX = 4    # at once: when the clock is moved, all of a thousand partitions may be due


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
        self._tables: dict[str, _Table] = {}    # by name; those whose items expire, or did
        self._timer: asyncio.TimerHandle | None = None    # None while there are no such tables
        self._is_running = False
        self.sweeps = 0    # under way
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
        self._tables[table.name] = _Table(self, described, self._router.route(table.name), settled)
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
            seconds = min(max(earliest - now, 0.0) + 0.002, _TICK_SECONDS_MAX)
            self._timer = self._loop.call_later(seconds, self.tick)


class _Table:
    """One definition of one table."""

    def __init__(
        self, sweeper: Sweeper, described: Described, route: Route, settled: asyncio.Future[None]
    ) -> None:
        self.name = described.table.name
        self.route = route
        self.sweeper = sweeper
        self.is_over = False    # there is a newer definition, or no table any more
        self._settled = settled
        self._expiries = expiries = _expiries_of(route)    # None: items do not expire any more
        self._sweeps = [] if expiries is None else [_Sweep(self, each, expiries) for each in route.partitions]
        # One after the other: there may be a thousand. In the order of _sweeps.
        # By the number of their partitions. Those of partitions led elsewhere stay, in case that changes.
        self._amendments = dict(enumerate(Amendment(described.table, partition) for partition in route.partitions))
        self._amend()

    def begins_to_lead(self, group: int) -> None:
        for number, partition in enumerate(self.route.partitions):
            if partition.group == group:
                for sweep in self._sweeps[number : number + 1]:
                    sweep.hint_at = 0
                if number in self._amendments:
                    self._amend()

    def reroute(self, route: Route) -> None:
        """The route is another one now: of the same partitions, but what its followers know is lost."""
        self.route = route
        self._expiries = _expiries_of(route)
        self.look_everywhere()

    def replace(self) -> None:
        self.is_over = True
        self._settle()

    def _settle(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _amend(self) -> None:
        """A slice of putting the rows right."""
        if self.is_over:
            self._settle()
            return
        try:
            while (number := self._next_amendment()) is not None and self._amendments[number].slice(self._amended):
                del self._amendments[number]
                if self._sweeps:
                    self._sweeps[number].hint_at = 0    # no write has told of the rows that were added
        except (ApiError, WorldError, Elsewhere) as error:
            self._amended(error)
            return
        if number is None:
            self._settle()
            self.sweeper.later(0, self.sweeper.tick)

    def _next_amendment(self) -> int | None:
        """Of a partition that this node leads; None: it has nothing to do."""
        partitions = self.route.partitions
        led = (number for number in reversed(self._amendments) if self.sweeper.leads(partitions[number].group))
        return next(led, None)

    def _amended(self, error: BaseException | None) -> None:
        if error is not None:
            logger.warning("the expiries of table %s are put right later: %s", self.name, error)
        self.sweeper.later(_BREATH_SECONDS if error is None else _TICK_SECONDS_MAX, self._amend)

    def look_everywhere(self) -> None:
        for sweep in self._sweeps:
            sweep.hint_at = 0

    def look(self, now: float) -> float:
        """Sweep what is due, and say when the next is: epoch seconds."""
        if self._expiries is None:
            return NEVER
        soonest, self._expiries.soonest = self._expiries.soonest, NEVER
        earliest: float = NEVER
        for sweep in self._sweeps:
            if soonest < sweep.hint_at:
                sweep.hint_at = soonest
            if sweep.is_busy:
                continue
            if not self.sweeper.leads(sweep.group):
                sweep.hint_at = 0    # when it is led here, who knows what others have written
                continue
            look_at = min(sweep.found_at, sweep.hint_at)
            if look_at >= now:
                earliest = min(earliest, look_at)
            elif self.sweeper.sweeps < _SWEEPS_MAX:
                sweep.begin()
        return earliest


def _are_rows_right(described: Described, partition: Partition) -> bool:
    try:
        return are_rows_right(described.table, partition)
    except Elsewhere:
        return True    # nobody here knows


def _expiries_of(route: Route) -> Expiries | None:
    followers = () if route.consequences is None else route.consequences.followers
    return next((each for each in followers if isinstance(each, Expiries)), None)


class _Sweep:
    """One partition: when to look at it, and the sweep under way. It waits for the slots of its own deletions."""

    def __init__(self, table: _Table, partition: Partition, expiries: Expiries) -> None:
        self._table = table
        self._sweeper = table.sweeper
        self._partition = partition
        self._attribute = expiries.attribute
        self.found_at = 0    # no row that was applied when it was last looked at has an earlier time; 0: not looked yet
        self.hint_at = NEVER    # nor has any that was made since then an earlier one than this
        self.is_busy = False
        self._has_failed = False    # a deletion of this slice
        # Where the next slice begins. Behind all that this sweep and those before it have deleted: until the next
        # checkpoint that stands in the tree as rows that are gone, and who reads over a million of them for each slice
        # stops everybody.
        self._behind = b""

    @property
    def group(self) -> int:
        return self._partition.group

    # Of deletions

    def reply(self, body: bytes) -> None:
        if body:    # not of rows that were wrong
            name = self._table.name
            self._sweeper.expired[name] = self._sweeper.expired.get(name, 0) + 1

    def fail(self, error: BaseException) -> None:
        if not isinstance(error, ConditionalCheckFailed):
            self._has_failed = True

    # Of a sweep

    def begin(self) -> None:
        self.is_busy = True
        self._behind = row_bound(min(self.found_at, self.hint_at))
        self.hint_at = NEVER
        self._sweeper.sweeps += 1
        self._when_settled(self._slice)

    def _end(self) -> None:
        self.is_busy = False
        self._sweeper.sweeps -= 1
        self._sweeper.later(0, self._sweeper.tick)    # others may have waited for this

    def _leave(self) -> None:
        """Another node leads the partition, and sweeps it. If this one does again, it looks at everything."""
        self.hint_at = 0
        self._end()

    def _slice(self) -> None:
        if self._table.is_over:
            self._end()
            return
        if not self._sweeper.leads(self.group):
            self._leave()
            return
        self._has_failed = False
        try:
            rows = self._rows(self._behind, row_bound(math.ceil(self._sweeper.now())))
            due = [key for key, _ in islice(rows, _ROWS_PER_SLICE)]
            self._delete(due)
        except (ApiError, WorldError, Elsewhere) as error:
            self._try_later(error)
            return
        if due:
            self._when_settled(lambda: self._next(due[-1]))
        else:
            self._behind = min(self._behind, row_bound(self.hint_at))
            self.hint_at = NEVER
            self._when_settled(self._finish)

    def _rows(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Those from `low` to below `high`, oldest first, whose items are not too old to be deleted."""
        low = max(low, row_bound(math.floor(self._sweeper.now()) - TOO_OLD_SECONDS))
        return self._partition.tree.scan(low, max(low, high))

    def _delete(self, due: list[bytes]) -> None:
        """Raises Damaged, or Throttling, after some deletions perhaps."""
        partition = self._partition
        wrong: list[DerivedRow] = []
        for key in due:
            if partition.newest(key) is None:
                continue    # a write has moved it, and is not chosen yet
            delete = ExpiryDelete(key, self._attribute, self._table.route, partition)
            try:
                partition.write(delete, self)
            except ApiError as refusal:
                self.fail(refusal)
            if delete.is_row_wrong:
                wrong.append((key, None))
        if wrong:
            propose_derived(partition, wrong, self)

    def _when_settled(self, then: Callable[[], None]) -> None:
        """Go on when all is decided that is proposed now."""

        def release(error: BaseException | None) -> None:
            self._has_failed = self._has_failed or error is not None
            then()

        try:
            newest = self._partition.undecided_range()
        except Elsewhere:
            self._leave()
            return
        once_settled(newest, release)

    def _next(self, last: bytes) -> None:
        if not self._has_failed:    # else this slice again
            self._behind = last + b"\0"
        self._sweeper.later(_TICK_SECONDS_MAX if self._has_failed else _BREATH_SECONDS, self._slice)

    def _finish(self) -> None:
        """All that was due is gone, and what was proposed when the hint was set aside is applied."""
        if self._table.is_over:
            self._end()
            return
        if not self._sweeper.leads(self.group):    # what was proposed may not have been chosen
            self._leave()
            return
        try:
            first = next(self._rows(self._behind, END_OF_ROWS), None)
        except WorldError as error:
            self._try_later(error)
            return
        self.found_at = NEVER if first is None else seconds_of(first[0])
        self._end()

    def _try_later(self, error: ApiError | WorldError | Elsewhere) -> None:
        logger.warning("items of table %s expire later: %s", self._table.name, error)
        self._sweeper.later(_TICK_SECONDS_MAX, self._slice)
