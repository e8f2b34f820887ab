"""The global indexes of all tables on this server: the event loop's side of propagation.py and backfill.py.

    a slot of a table's partition is chosen ---> chosen ---> channels
    end of the loop's turn ---> for each channel that has something: one batch ---> delivery.deliver
    acknowledged ---> next batch        unknown ---> the same again, a moment later

So all changes that a table's partitions have chosen in one turn of the loop, which is one frame of the log, go to a
partition of an index in one slot: an index costs a sync more, not a sync for each change.

An index comes and goes by Indexes.create and delete, for the tables' definitions and for what is behind them. Live
changes reach a new index before the first of the older items does.

`delay_seconds` holds changes back for those who want to see what they do not see yet: on a machine of one's own an
index is a millisecond behind its table, in the service it may be a second.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from varley.clock import Clock
from varley.errors import WorldError
from varley.indexes.abroad import Abroad
from varley.indexes.backfill import Backfill, begin_to_forget, forget_progress
from varley.indexes.delivery import deliver
from varley.indexes.propagation import BATCH_ROWS_MAX, Delivery, IndexRow, Part, Propagation
from varley.item.key_bytes import ITEM_SPACE, OUTGOING_SPACE
from varley.metadata.catalog import Catalog, Described
from varley.node.partition import Partition
from varley.node.settled import after_calls
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.storage.log_format import Row
from varley.storage.undelivered import Undelivered
from varley.table import schema
from varley.table.global_index_follower import Backlog, Backlogs
from varley.table.outgoing import OUTGOING_KEY_AT, THE_ITEM, id_bytes
from varley.table.parting import carried_to, goes
from varley.table.schema import AttributeDefinition, GlobalIndex, Table

logger = logging.getLogger("varley.indexes")

_RETRY_SECONDS: Final = 0.25    # after a delivery whose outcome is unknown
_LOOK_SECONDS: Final = 0.05     # how often the clock is looked at while changes are held back
_UNKNOWN_SECONDS: Final = 10.0  # so long an entry that carries something to an unknown index holds up those behind it
_READ_ENTRIES: Final = 400      # of the log in one step, by a new leader
_OUTGOING: Final = OUTGOING_SPACE[0]
_ITEM: Final = ITEM_SPACE[0]
_FIRST_SLOT: Final = 1      # of every group
_NO_BOUND: Final = 1 << 62


class IndexReading(NamedTuple):
    """How one index is, for metrics."""

    table: str
    name: str
    changes: int        # undelivered
    bytes: int
    backfill_ratio: float | None    # None: it is filled


class Indexes:
    """Used from the event loop only. Watches the router: build it before any table is opened."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        catalog: Catalog,
        router: Router,
        *,
        delay_seconds: float,
        keep: Callable[[Coroutine[Any, Any, None]], None],
        abroad: Abroad | None = None,
    ) -> None:
        """`keep` runs a coroutine, and says aloud if it fails.

        `abroad`: how partitions that are led by other nodes are reached; None: there are none.
        """
        self.abroad = abroad
        if abroad is not None:
            abroad.is_filled = self._is_filled
        self._loop = loop
        self._clock = clock
        self._catalog = catalog
        self._router = router
        self._delay_seconds = delay_seconds
        self._keep = keep
        self.propagation = Propagation()
        self._child_backlogs = Backlogs(_NO_BOUND)  # they refuse no writes: splits/splitting.py sees to them
        self._sources: dict[int, _Source] = {}
        self._targets: dict[int, Partition] = {}
        self._routes: dict[str, Route] = {}     # of tables with global indexes
        self._backfills: dict[str, Backfill] = {}   # by index id
        self._ready: set[int] = set()       # targets to look at when this turn of the loop ends
        self._stalled: set[int] = set()     # targets that wait for _retry
        self._held_back: set[int] = set()   # targets whose next batch is not due
        self._is_flush_scheduled = False
        self._retry: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._is_running = False    # between start and stop
        self.is_log_known = False   # what it carries to indexes is in the channels: from start on, for good
        self._drained: asyncio.Future[None] | None = None   # while stopping
        router.watchers.append(self)

    def start(self, undelivered: Iterable[Undelivered] = ()) -> None:
        """Begin to send; first what recovery found in the log, in the order of each source's slots."""
        assert not self.is_log_known
        self._is_running = True
        for each in undelivered:
            source = self._sources[each.source]
            parts = {}
            for group, rows in each.rows.items():
                target = _to_child(group) if group in source.children else group
                parts[target] = Part(rows, source.backlog_of(target))
            self.propagation.changed(each.source, each.slot, parts)
            self._make_ready(parts)
        self.is_log_known = True
        for source in self._sources.values():
            source.read_soon()
        for route in self._routes.values():
            self._fill(route)
            self._forget_progress_of_filled(route)

    async def stop(self) -> None:
        """Send what there is. Returns when all has arrived, or what has not cannot now: the log has it."""
        for backfill in self._backfills.values():
            backfill.stop()
        if not self._is_running:
            return
        self._drained = self._loop.create_future()
        self._stalled.clear()
        self._make_ready(list(self.propagation.targets()))
        await self._drained
        self.close()

    def close(self) -> None:
        """Send no more."""
        self._is_running = False
        for backfill in self._backfills.values():
            backfill.stop()
        for timer in (self._retry, self._look):
            if timer is not None:
                timer.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way to an index from here, and none is being filled."""
        propagation = self.propagation
        return not self._backfills and all(propagation.is_empty(target) for target in propagation.targets())

    def readings(self) -> Iterator[IndexReading]:
        for route in self._routes.values():
            for index in route.global_indexes:
                backfill = self._backfills.get(index.id)
                yield IndexReading(
                    route.name, index.name, index.backlog.changes, index.backlog.bytes,
                    None if backfill is None else backfill.ratio,
                )  # fmt: skip

    # Indexes that come and go later than their table

    async def create(
        self,
        table_name: str,
        index: GlobalIndex,
        change: Callable[[Table], Table] | None = None,
        *,
        partitions: int,
    ) -> tuple[Described, Described]:
        """Add an index to a table, durably, and begin to fill it; gives (before, after).

        It is CREATING until it is filled, which may take long; then it becomes ACTIVE by itself. `change`: what else
        shall become of the table's definition, in the same moment; it may raise. The definitions of the index's key
        attributes are added. `partitions`: how many the index gets. The caller holds `catalog.changes`, and has checked
        that the index can be. Raises what Catalog.change raises.
        """
        index = _with(index, status="CREATING", is_backfilling=True)

        def new(table: Table) -> Table:
            table = table if change is None else change(table)
            return _with_indexes(table, (*table.global_indexes, index))

        before, after = await self._catalog.change(table_name, new, index_partitions={index.id: partitions})
        await self._router.update(after)
        return before, after

    async def delete(
        self, table_name: str, index_name: str, change: Callable[[Table], Table] | None = None
    ) -> tuple[Described, Described]:
        """Remove an index of a table with all that it has, also one that is being filled; gives (before, after).

        The definitions of attributes that are no key any more go too. `change` and the rest as in `create`.
        """
        described = self._catalog.get(table_name)
        assert described is not None
        index = next(each for each in described.table.global_indexes if each.name == index_name)

        def new(table: Table) -> Table:
            table = table if change is None else change(table)
            return _with_indexes(table, tuple(each for each in table.global_indexes if each.id != index.id))

        route = self._routes[table_name]
        backfill = self._backfills.pop(index.id, None)
        if backfill is not None:
            backfill.stop()
        try:
            # First: progress rows of an index that nobody knows would stay for ever. Also if it is filled: the disk may
            # have refused to forget them then.
            await forget_progress(index.id, self._led(route.partitions))
            before, after = await self._catalog.change(table_name, new)
        except BaseException:
            self._fill(route)
            raise
        await self._router.update(after)
        return before, after

    # The router tells

    def opened(self, route: Route) -> None:
        if not route.global_indexes and route.name not in self._routes:
            return
        self._routes[route.name] = route
        indexes = {id_bytes(index.id): index for index in route.global_indexes}
        for index in route.global_indexes:
            for partition in index.partitions:
                self._targets[partition.group] = partition
                self.propagation.add_target(partition.group)
        for partition in route.partitions:
            self._source(partition).indexes = indexes
        if self._is_running:
            for index in route.global_indexes:
                if not index.is_backfilling and index.id in self._backfills:    # another node has made it ACTIVE
                    self._backfills.pop(index.id).stop()
                    begin_to_forget(index.id, self._led(route.partitions))
            self._fill(route)

    # Partitions that are split
    #
    # What a partition that is being split has for its child goes there as changes go to an index: both what was there
    # before, and what is decided meanwhile.

    def begin_to_carry(self, source: Partition, child: Partition, at: bytes) -> None:
        """From now on, what entries of `source` say that they have for `child` goes there. Harmless if it does."""
        channel = _to_child(child.group)
        self._targets[channel] = child
        self.propagation.add_target(channel)
        self._source(source).children.setdefault(child.group, (at, Backlog(self._child_backlogs)))

    def end_carrying(self, source: Partition, child: int) -> None:
        """Nothing is carried any more. Harmless if nothing was."""
        there = self._sources.get(source.group)
        if there is None or there.children.pop(child, None) is None:
            return
        self.propagation.remove_target(_to_child(child))
        del self._targets[_to_child(child)]
        if not there.children and not there.indexes:
            source.carry_outgoing(None)
            self.propagation.remove_source(source.group)
            del self._sources[source.group]

    def redirect(self, target: int, child: int, at: bytes) -> None:
        """`target`, a partition of an index, ends at `at` now, and `child` has the rest: so has what is on its way."""
        self.propagation.split_target(target, child, at)
        self._make_ready((child,))

    def send_to_child(
        self, source: int, slot: int, child: int, rows: list[IndexRow], then: Callable[[], None]
    ) -> None:
        """Rows that `source` has as of `slot`. `then` is called when they have arrived."""
        _, backlog = self._sources[source].children[child]
        self._send_filling(source, slot, {_to_child(child): Part(rows, backlog)}, then)

    def bytes_for_child(self, source: int, child: int) -> int:
        """About the memory of what is on its way to `child`; 0 if nothing is carried there."""
        there = self._sources.get(source)
        return 0 if there is None or child not in there.children else there.children[child][1].bytes

    def has_sent_all(self, source: Partition, slot: int) -> bool:
        """Whether all has arrived, at indexes and children, that the entries of `source` carry up to `slot`, which is
        applied."""
        there = self._sources.get(source.group)
        return there is None or there.kept_after(source.tree.applied_slot) >= slot

    def _source(self, partition: Partition) -> _Source:
        source = self._sources.get(partition.group)
        if source is None:
            source = self._sources[partition.group] = _Source(self, partition)
            self.propagation.add_source(partition.group)
            partition.carry_outgoing(source)
        return source

    def begins_to_lead(self, group: int) -> None:
        """This node leads `group` from now on: indexes are filled from here with what its partition has."""
        if group not in self._sources or not self._is_running:
            return
        for route in self._routes.values():
            if any(partition.group == group for partition in route.partitions):
                for index in route.global_indexes:
                    if index.is_backfilling and index.id in self._backfills:
                        self._backfills.pop(index.id).stop()
                self._fill(route)
                self._forget_progress_of_filled(route)

    def _led(self, partitions: Iterable[Partition]) -> list[Partition]:
        return [each for each in partitions if self.abroad is None or self.abroad.is_led_here(each.group)]

    def _forget_progress_of_filled(self, route: Route) -> None:
        """Of indexes that were filled when the server was killed before it forgot how far it was."""
        for index in route.global_indexes:
            if not index.is_backfilling:
                begin_to_forget(index.id, self._led(route.partitions))

    def index_closed(self, index: GlobalIndexRoute) -> None:
        backfill = self._backfills.pop(index.id, None)
        if backfill is not None:
            backfill.stop()
            begin_to_forget(index.id, self._led(backfill.partitions))
        for partition in index.partitions:
            self.propagation.remove_target(partition.group)
            del self._targets[partition.group]
        self._end_if_drained()

    def closed(self, route: Route) -> None:
        if self._routes.pop(route.name, None) is None:
            return
        for partition in route.partitions:
            for child in list(self._sources[partition.group].children):
                self.propagation.remove_target(_to_child(child))
                del self._targets[_to_child(child)]
            partition.carry_outgoing(None)
            self.propagation.remove_source(partition.group)
            del self._sources[partition.group]

    # Sending

    def soon(self, work: Callable[[], None], seconds: float = 0.0) -> None:
        """Do `work` in a turn of its own, if this runs then."""
        self._loop.call_later(seconds, self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        if self._is_running:
            work()

    def loop_time(self) -> float:
        return self._loop.time()

    def chosen(self, source: int, slot: int, parts: Mapping[int, Part]) -> None:
        """`slot` of `source` is chosen, and carries `parts`, by target."""
        self.propagation.changed(source, slot, parts)
        self._make_ready(parts)

    def due_of(self, index: GlobalIndexRoute) -> float:
        """When a change for `index` that is chosen now may be sent."""
        if not self._delay_seconds or index.is_backfilling:    # nobody can look into it while it is being filled
            return 0.0
        return self._clock.monotonic() + self._delay_seconds

    def _make_ready(self, targets: Iterable[int]) -> None:
        self._ready.update(targets)
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """One batch to each target that is ready, as many as are one slice of the loop's time."""
        self._is_flush_scheduled = False
        if not self._is_running:
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
        def done(error: BaseException | None) -> None:
            self._delivered(target, error)

        if self.abroad is None or self.abroad.is_led_here(partition.group):
            deliver(partition, batch, done)
        else:
            self.abroad.deliver(partition.group, batch, done)

    def _now(self) -> float:
        if self._drained is not None:
            return math.inf    # stopping: nothing is held back any longer
        return self._clock.monotonic() if self._delay_seconds else 0.0

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
            self._retry = self._loop.call_later(_RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        stalled, self._stalled = self._stalled, set()
        self._make_ready(stalled)

    def _hold_back(self, target: int) -> None:
        self._held_back.add(target)
        if self._look is None:
            # The clock may be moved by hand, and no timer of the loop hears of that.
            self._look = self._loop.call_later(min(self._delay_seconds, _LOOK_SECONDS), self._look_again)

    def _look_again(self) -> None:
        self._look = None
        held_back, self._held_back = self._held_back, set()
        self._make_ready(held_back)

    def _end_if_drained(self) -> None:
        if self._drained is None or self._drained.done():
            return
        if all(target in self._stalled or self.propagation.is_empty(target) for target in self.propagation.targets()):
            self._drained.set_result(None)

    # Filling

    def _fill(self, route: Route) -> None:
        """Begin to fill what is to be filled and is not being filled."""
        for index in route.global_indexes:
            if index.is_backfilling and index.id not in self._backfills:
                self._backfills[index.id] = backfill = Backfill(
                    self._loop, index, self._led(route.partitions), self._send_filling,
                    lambda route=route, index=index: self._filled_here(route, index.id),  # type: ignore[misc]
                )  # fmt: skip
                backfill.start()

    def _is_filled(self, group: int, index_id: str) -> bool:
        backfill = self._backfills.get(index_id)
        return backfill is not None and backfill.is_through(group)

    def _filled_here(self, route: Route, index_id: str) -> None:
        """All that this node leads of a table is read. Whoever leads its first partition makes the index ACTIVE."""
        groups = [partition.group for partition in route.partitions]
        if self.abroad is None:
            self._keep(self._activate(route.name, index_id))
        elif self.abroad.is_led_here(groups[0]):
            self._ask_whether_filled(self.abroad, route, index_id)

    def _ask_whether_filled(self, abroad: Abroad, route: Route, index_id: str) -> None:
        if not self._is_running or index_id not in self._backfills:
            return
        is_all_filled = True

        def heard(is_filled: bool) -> None:
            nonlocal is_all_filled
            is_all_filled = is_all_filled and is_filled
            done(None)

        def told(error: BaseException | None) -> None:
            if is_all_filled:
                self._keep(self._activate(route.name, index_id))
            else:
                self._loop.call_later(_RETRY_SECONDS, self._ask_whether_filled, abroad, route, index_id)

        done = after_calls(len(route.partitions), told)
        for partition in route.partitions:
            abroad.ask_whether_filled(partition.group, index_id, heard)

    def _send_filling(self, source: int, slot: int, parts: Mapping[int, Part], then: Callable[[], None]) -> None:
        self.propagation.filled(source, slot, parts, then)
        self._make_ready(parts)

    async def _activate(self, table_name: str, index_id: str) -> None:
        """An index is filled: say so, durably, and then forget how far it was."""
        def new(table: Table) -> Table:
            return schema.changed(
                table,
                global_indexes=tuple(
                    _with(index, status="ACTIVE", is_backfilling=False) if index.id == index_id else index
                    for index in table.global_indexes
                ),
            )

        try:
            async with self._catalog.changes:
                if index_id not in self._backfills:    # the index was deleted meanwhile
                    return
                _, after = await self._catalog.change(table_name, new)
                # Another than the one that has finished, if somebody has tried in vain to delete the index meanwhile.
                self._backfills.pop(index_id).stop()
                await self._router.update(after)
                # If the disk refuses that, the rows go when the index does, or at the next start.
                begin_to_forget(index_id, self._led(self._routes[table_name].partitions))
        except WorldError as error:
            logger.warning("an index of %s is filled, which cannot be written down yet: %s", table_name, error)
            if index_id in self._backfills and error.retryable and self._is_running:
                self._loop.call_later(1.0, self._activate_later, table_name, index_id)

    def _activate_later(self, table_name: str, index_id: str) -> None:
        if self._is_running:
            self._keep(self._activate(table_name, index_id))


class _Source:
    """Takes from the entries of one partition of a table what they carry. See node.replica.Outgoing.

    follows --begins--> reads --at the end of what is applied--> takes what is chosen --ends--> follows

    A member that begins to lead reads its log from where all has arrived, as the leader before has told; nothing that
    is chosen meanwhile is taken, the reading comes to it. What it had put into channels when it led before is there
    still: it reads on behind that.

    The log may tell of an index that this node does not know: it was deleted, or the node's view of the metadata is
    behind. What follows waits then, since a target passes over what comes behind its time.
    """

    __slots__ = (
        "_group", "_indexes", "_is_live", "_partition", "_rows", "_taken", "_waits_until", "children", "indexes",
    )  # fmt: skip

    def __init__(self, indexes: Indexes, partition: Partition) -> None:
        self._indexes = indexes
        self._partition = partition
        self._group = partition.group
        self._is_live = True    # what is chosen goes into channels. A group of one is not told when to begin.
        self._taken = 0         # in channels, or arrived, is all up to this slot; since then it led no longer, or reads
        self._rows: Callable[[int], Iterator[tuple[int, Sequence[Row]]]] | None = None    # of the log, while it reads
        self._waits_until: float | None = None      # for an index to become known
        self.indexes: dict[bytes, GlobalIndexRoute] = {}    # by the 16 bytes of their ids
        # Partitions that this one is being split into: where they begin, and what is on its way to them.
        self.children: dict[int, tuple[bytes, Backlog]] = {}

    @property
    def oldest(self) -> int | None:
        """All of the log is needed while nobody has told what of it has not arrived.

        A node makes checkpoints, and shortens its log after each, from before `Indexes.start` on.
        """
        return self._indexes.propagation.oldest(self._group) if self._indexes.is_log_known else _FIRST_SLOT

    def begins(self, kept: int, applied_rows: Callable[[int], Iterator[tuple[int, Sequence[Row]]]]) -> None:
        self._taken = max(self._taken, kept)
        self._is_live = False
        self._waits_until = None
        self._rows = applied_rows
        self.read_soon()

    def ends(self) -> None:
        self._is_live = False
        self._rows = None

    def kept_after(self, applied: int) -> int:
        oldest = self._indexes.propagation.oldest(self._group)
        taken = applied if self._is_live else self._taken
        return taken if oldest is None else min(taken, oldest - 1)

    def read_soon(self) -> None:
        if self._rows is not None:
            self._indexes.soon(functools.partial(self._read, self._rows))

    def _read(self, rows_behind: Callable[[int], Iterator[tuple[int, Sequence[Row]]]]) -> None:
        """Some entries of the log. One step of the loop, so at its end nothing is applied that was not read."""
        if rows_behind is not self._rows:    # it leads no longer, or anew, or has read to the end
            return
        for slot, rows in itertools.islice(rows_behind(self._taken), _READ_ENTRIES):
            if self._must_wait_for_index(rows):
                self._indexes.soon(functools.partial(self._read, rows_behind), _RETRY_SECONDS)
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
            self._indexes.soon(functools.partial(self._read, rows_behind))

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
        if is_known:
            self._waits_until = None
            return False
        now = self._indexes.loop_time()
        if self._waits_until is None:
            self._waits_until = now + _UNKNOWN_SECONDS
        return now < self._waits_until

    def chosen(self, slot: int, rows: Sequence[Row]) -> None:
        """HOT PATH of writes to tables with global indexes: 1 µs a row."""
        if not self._is_live:
            return
        self._taken = slot
        if len(rows) > 1:
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
                    parts[target] = Part([row], index.backlog, self._indexes.due_of(index))
                else:
                    part.rows.append(row)
            elif space == _ITEM:
                item_value = value
        if parts:
            self._indexes.chosen(self._group, slot, parts)

    def _take_for_child(self, child: int, rows: Sequence[Row], parts: dict[int, Part]) -> None:
        if child not in self.children:    # an entry of long ago, read again: the split is over
            return
        at, backlog = self.children[child]
        parts[_to_child(child)] = Part([(key, value) for _, key, value, _ in rows if goes(key, at)], backlog)

    def backlog_of(self, target: int) -> Backlog:
        """Of the index that the partition `target` belongs to, or of the child that it is."""
        if target < 0:
            return self.children[-target][1]
        return next(
            index.backlog for index in self.indexes.values()
            if any(partition.group == target for partition in index.partitions)
        )  # fmt: skip


def _to_child(group: int) -> int:
    """The channel to the child of a split: another than the one to the same group as a partition of an index, which is
    for what comes when it serves, and waits until it does."""
    return -group


def _with(index: GlobalIndex, **changes: Any) -> GlobalIndex:
    return msgspec.structs.replace(index, **changes)


def _with_indexes(table: Table, indexes: tuple[GlobalIndex, ...]) -> Table:
    """`table` with these global indexes, and the attribute definitions that belong to its keys then."""
    known = {each.name: each for each in table.attribute_definitions}
    for index in indexes:
        for each in (*index.hash_keys, *index.range_keys):
            known.setdefault(each.name, AttributeDefinition(name=each.name, kind=each.kind))
    used = {*table.key_schema.names, *(index.range_name for index in table.local_indexes)}
    used.update(name for index in indexes for name in index.key_names)
    used.update(name for vectors in table.vector_indexes for name in vectors.search_names)
    definitions = tuple(each for name, each in known.items() if name in used)
    return schema.changed(table, global_indexes=indexes, attribute_definitions=definitions)
