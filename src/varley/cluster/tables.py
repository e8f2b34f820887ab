"""The tables of the cluster as this node serves them: those that it had at the start, and what others do to them.

Whoever executes CreateTable, UpdateTable or DeleteTable brings its own routes up to that, as on one machine. All other
nodes hear of it by the watch (metadata/catalog.py), and do what that node has done there:

    a table has come        routes and streams are opened
    it is another now       routes, streams and expiries follow its definition
    it has gone             routes are closed; what its partitions held is removed where they are (hosting)
    it is kept, deleted     its streams can still be read

Each is done in the step of the loop in which it is told. Partitions are there for routes whether or not a replica is
here (remote/routed_partition.py), so nothing here depends on which.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from varley.expiry.sweeper import Sweeper
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog, Described
from varley.metadata.split import Split
from varley.node.partition import Partition
from varley.remote.memds_node import MemdsNode
from varley.remote.places import Places
from varley.router.routes import Router
from varley.streams.streams import Streams
from varley.table.partition_map import PartitionMap
from varley.table.table_name import LEDGER_NAME
from varley.transactions.transactions import Transactions


class Tables:
    """The catalog's listener. Used from the event loop only."""

    def __init__(
        self,
        catalog: Catalog,
        places: Places,
        router: Router,
        streams: Streams,
        sweeper: Sweeper,
        transactions: Transactions,
        indexes: Indexes,
        memds: MemdsNode,
    ) -> None:
        self._catalog = catalog
        self._places = places
        self._router = router
        self._streams = streams
        self._sweeper = sweeper
        self._transactions = transactions
        self._indexes = indexes
        self._memds = memds
        self._has_ledger = False
        self.is_serving = False     # set when transactions have been started

    def open_all(self) -> None:
        """What the catalog has at the start."""
        for described in self._catalog:
            _step(self._router.open_partitions(described))
            self._streams.open(described, self._partitions(described))
        for described in self._catalog.deleted.values():
            self._streams.open(described, self._partitions(described))
        if self._catalog.ledger is not None:
            self.open_ledger(self._catalog.ledger)
        self._catalog.listener = self

    def open_ledger(self, described: Described) -> None:
        """Harmless if it is open."""
        if self._has_ledger:
            return
        self._has_ledger = True
        [group] = described.groups
        self._transactions.open_ledger(self._places.partition(group))
        if self.is_serving:
            self._transactions.start()

    # As catalog.Listener

    def changed(self, before: Described | None, after: Described | None) -> None:
        described = after or before
        assert described is not None
        if described.table.name == LEDGER_NAME:
            if before is None:
                self.open_ledger(described)
        elif before is None:
            self._come(described)
        elif after is None:
            self._go(described)
        else:
            self._become(before, after)

    def kept(self, deleted: Described) -> None:
        """Its streams are read from now on as `_go` finds them."""

    def forgotten(self, deleted: Described) -> None:
        self._streams.drop(deleted.table)
        for group in deleted.groups:
            _step(self._places.remove_group(group))

    def _come(self, described: Described) -> None:
        _step(self._router.open_partitions(described))
        self._streams.open(described, self._partitions(described))
        self._sweeper.redefine(described)

    def _become(self, before: Described, after: Described) -> None:
        _step(self._router.update(after))
        self._follow_splits(before, after)
        self._streams.redefine(after, self._partitions(after))
        if after.table.time_to_live_revision != before.table.time_to_live_revision:
            self._sweeper.redefine(after)

    def split(self, after: Described, split: Split) -> None:
        """This node has just given the split's child its part of the map."""
        self._follow_splits(after.before_splits(lambda child: child == split.child), after)

    def _follow_splits(self, before: Described, after: Described) -> None:
        """Partitions have become smaller, and others have the rest."""
        maps = [(before.partitions, after.partitions)]
        maps += (
            (before.index_partitions[index], ranges)
            for index, ranges in after.index_partitions.items()
            if index in before.index_partitions
        )
        new = [each for old, ranges in maps if old != ranges for each in ranges if each.group not in _groups(old)]
        if not new:
            return
        self._router.repartition(after)
        of_table = _groups(after.partitions)
        for child in new:
            assert child.parent is not None
            if child.group in of_table:
                self._streams.repartition(after, self._partitions(after))
                self._sweeper.redefine(after)
            else:
                self._indexes.redirect(child.parent, child.group, child.low)
            self._memds.was_split(child.parent)

    def _go(self, described: Described) -> None:
        kept = self._catalog.deleted.get(described.table.id)
        if kept is None:
            self._streams.drop(described.table)
        else:
            self._streams.redefine(kept, self._partitions(kept))
        _step(self._router.close_partitions(described, keep_groups=kept is not None))

    def _partitions(self, described: Described) -> Sequence[Partition]:
        return [self._places.partition(each.group) for each in described.partitions]


def _groups(ranges: PartitionMap) -> set[int]:
    return {each.group for each in ranges}


def _step(work: Coroutine[Any, Any, None]) -> None:
    """Run what is a coroutine for the sake of a single server, and has nothing to wait for here."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")
