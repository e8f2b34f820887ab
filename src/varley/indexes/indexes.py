"""The global indexes of all tables on this server: what comes and goes, and who does what for them.

    sources     what chosen entries of tables' partitions carry     source.py       ---> channels
    sending     from channels to partitions of indexes              sending.py      ---> delivery.py
    filling     what was there before an index                      filling.py      ---> channels

An index comes and goes by Indexes.create and delete, for the tables' definitions and for what is behind them. Live
changes reach a new index before the first of the older items does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from varley.clock import Clock
from varley.indexes.abroad import Abroad
from varley.indexes.backfill import forget_progress
from varley.indexes.filling import Filling
from varley.indexes.propagation import IndexRow, Part, Propagation
from varley.indexes.sending import Sending, to_child
from varley.indexes.source import Source
from varley.metadata.catalog import Catalog, Described
from varley.node.partition import Partition
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.storage.undelivered import Undelivered
from varley.table import schema
from varley.table.global_index_follower import Backlog, Backlogs
from varley.table.outgoing import id_bytes
from varley.table.schema import AttributeDefinition, GlobalIndex, Table

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
        """`delay_seconds`: see sending.py. `keep` runs a coroutine, and says aloud if it fails.

        `abroad`: how partitions that are led by other nodes are reached; None: there are none.
        """
        self._catalog = catalog
        self._router = router
        self.abroad = abroad
        self.sending = Sending(loop, clock, delay_seconds=delay_seconds, abroad=abroad)
        self.filling = Filling(loop, catalog, router, self.sending, abroad, keep)
        self.sources: dict[int, Source] = {}    # by group
        # Of tables that have global indexes, or had some since the start; in a cluster, of all.
        self._routes: dict[str, Route] = {}
        self._child_backlogs = Backlogs(_NO_BOUND)  # they refuse no writes: splits/splitting.py sees to them
        router.watchers.append(self)

    def start(self, undelivered: Iterable[Undelivered] = ()) -> None:
        """Begin to send; first what recovery found in the log, in the order of each source's slots."""
        assert not self.sending.is_log_known
        for each in undelivered:
            backlog_of = self.sources[each.source].backlog_of
            children = self.sources[each.source].children
            parts = {}
            for group, rows in each.rows.items():
                target = to_child(group) if group in children else group
                parts[target] = Part(rows, backlog_of(target))
            self.propagation.changed(each.source, each.slot, parts)
        self.sending.start()
        for source in self.sources.values():
            source.read_soon()
        for route in self._routes.values():
            self.filling.begin(route)

    async def stop(self) -> None:
        """Send what there is. Returns when all has arrived, or what has not cannot now: the log has it."""
        self.filling.stop()
        await self.sending.stop()

    def close(self) -> None:
        """Send no more."""
        self.filling.stop()
        self.sending.close()

    @property
    def propagation(self) -> Propagation:
        """All channels."""
        return self.sending.propagation

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way to an index from here, and none is being filled."""
        return self.filling.is_idle and self.sending.is_idle

    def readings(self) -> Iterator[IndexReading]:
        for route in self._routes.values():
            for index in route.global_indexes:
                yield IndexReading(
                    route.name, index.name, index.backlog.changes, index.backlog.bytes, self.filling.ratio(index.id)
                )

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
        self.filling.stop_index(index.id)
        try:
            # First: progress rows of an index that nobody knows would stay for ever. Also if it is filled: the disk may
            # have refused to forget them then.
            await forget_progress(index.id, self.filling.led(route.partitions))
            before, after = await self._catalog.change(table_name, new)
        except BaseException:
            self.filling.begin(route)
            raise
        await self._router.update(after)
        return before, after

    # The router tells

    def opened(self, route: Route) -> None:
        if not route.global_indexes and route.name not in self._routes and self.abroad is None:
            return    # with others, it may have had some: what entries carry to those is read, and let go
        self._routes[route.name] = route
        indexes = {id_bytes(index.id): index for index in route.global_indexes}
        for index in route.global_indexes:
            for partition in index.partitions:
                self.sending.add_target(partition)
        for partition in route.partitions:
            source = self._source(partition)
            source.route, source.indexes = route, indexes
        if self.sending.is_running:
            self.filling.follow(route)

    # Partitions that are split
    #
    # What a partition that is being split has for its child goes there as changes go to an index: both what was there
    # before, and what is decided meanwhile.

    def begin_to_carry(self, source: Partition, child: Partition, at: bytes) -> None:
        """From now on, what entries of `source` say that they have for `child` goes there. Harmless if it does."""
        self.sending.add_target(child, to_child(child.group))
        self._source(source).children.setdefault(child.group, (at, Backlog(self._child_backlogs)))

    def end_carrying(self, source: Partition, child: int) -> None:
        """Nothing is carried any more. Harmless if nothing was."""
        there = self.sources.get(source.group)
        if there is None or there.children.pop(child, None) is None:
            return
        self.sending.remove_target(to_child(child))
        if not there.children and there.route is None:
            source.carry_outgoing(None)
            self.propagation.remove_source(source.group)
            del self.sources[source.group]

    def redirect(self, target: int, child: int, at: bytes) -> None:
        """`target`, a partition of an index, ends at `at` now, and `child` has the rest: so has what is on its way."""
        self.sending.split_target(target, child, at)

    def send_to_child(
        self, source: int, slot: int, child: int, rows: list[IndexRow], then: Callable[[], None]
    ) -> None:
        """Rows that `source` has as of `slot`. `then` is called when they have arrived."""
        _, backlog = self.sources[source].children[child]
        self.sending.filled(source, slot, {to_child(child): Part(rows, backlog)}, then)

    def bytes_for_child(self, source: int, child: int) -> int:
        """About the memory of what is on its way to `child`; 0 if nothing is carried there."""
        there = self.sources.get(source)
        return 0 if there is None or child not in there.children else there.children[child][1].bytes

    def has_sent_all(self, source: Partition, slot: int) -> bool:
        """Whether all has arrived, at indexes and children, that the entries of `source` carry up to `slot`, which is
        applied."""
        there = self.sources.get(source.group)
        return there is None or there.kept_after(source.tree.applied_slot) >= slot

    def _source(self, partition: Partition) -> Source:
        source = self.sources.get(partition.group)
        if source is None:
            source = self.sources[partition.group] = Source(self.sending, partition)
            self.propagation.add_source(partition.group)
            partition.carry_outgoing(source)
        return source

    # The router tells that partitions are led, and are gone

    def begins_to_lead(self, group: int) -> None:
        """This node leads `group` from now on: indexes are filled from here with what its partition has."""
        source = self.sources.get(group)
        if source is not None and source.route is not None and self.sending.is_running:
            self.filling.begin_again(source.route)

    def index_closed(self, index: GlobalIndexRoute) -> None:
        self.filling.closed(index)
        for partition in index.partitions:
            self.sending.remove_target(partition.group)

    def closed(self, route: Route) -> None:
        if self._routes.pop(route.name, None) is None:
            return
        for partition in route.partitions:
            for child in self.sources[partition.group].children:
                self.sending.remove_target(to_child(child))
            partition.carry_outgoing(None)
            self.propagation.remove_source(partition.group)
            del self.sources[partition.group]


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
