"""Splits on a server that is alone: all partitions are here, and routes change in the step in which a child serves.

While a split switches, requests that come are held, some milliseconds: there is nobody else whom a client could ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from varley.expiry.sweeper import Sweeper
from varley.indexes.delivery import open_child
from varley.indexes.indexes import Indexes
from varley.indexes.propagation import IndexRow
from varley.metadata.catalog import Catalog, Described
from varley.metadata.split import Split
from varley.node.partition import Partition
from varley.node.settled import Done
from varley.router.routes import Groups, Router
from varley.streams.streams import Streams
from varley.table.parting import Origin

Holding = Callable[[], AbstractAsyncContextManager[None]]


class LocalHome:
    """See splits.splitting.Home."""

    is_alone = True

    def __init__(
        self, catalog: Catalog, node: Groups, router: Router, indexes: Indexes, streams: Streams, sweeper: Sweeper,
        holding: Holding,
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._node = node
        self._router = router
        self._indexes = indexes
        self._streams = streams
        self._sweeper = sweeper
        self.holding = holding
        self._found: dict[int, Partition] = {}

    def knows(self, partition: Partition) -> None:
        """It is here, and not in routes."""
        self._found[partition.group] = partition

    def leads(self, group: int) -> bool:
        return True

    def partition(self, group: int) -> Partition:
        found = self._found.get(group) or self._in_routes(group)
        if found is None:
            found = self._node.create_group(group)
        self._found[group] = found
        return found

    def _in_routes(self, group: int) -> Partition | None:
        for route in self._router.routes():
            for ranges in (route, *route.global_indexes):
                for partition in ranges.partitions:
                    if partition.group == group:
                        return partition
        return None

    def is_served(self, split: Split) -> bool:
        return self.partition(split.child).tree.origin is not None

    def open_child(self, split: Split, origin: Origin, rows: Sequence[IndexRow], done: Done) -> None:
        open_child(self.partition(split.child), origin, rows, done)

    def mapped(self, described: Described, split: Split) -> None:
        """Nothing yet: the parent is asked, until the child serves."""

    def serves(self, described: Described, split: Split) -> None:
        child = self.partition(split.child)
        child.begins_with_all()
        self._router.split(described, split, child)
        if split.owner == described.table.id:
            self._streams.repartition(described, self._router.route(split.table).partitions)
            self._sweeper.redefine(described)
        else:
            self._redirect(split)

    def redirect_all(self) -> None:
        """After a start: what was not delivered is for those who had the rows before."""
        for described in self._catalog:
            for each in described.splits.values():
                if each.split.owner != described.table.id and self.is_served(each.split):
                    self._redirect(each.split)

    def _redirect(self, split: Split) -> None:
        assert split.location is not None
        self._indexes.redirect(split.parent, split.child, split.location)

    async def remove(self, split: Split) -> None:
        """It was taken back with its table: the child will never serve."""
        if split.child in self._found:
            del self._found[split.child]
            await self._node.remove_group(split.child)
