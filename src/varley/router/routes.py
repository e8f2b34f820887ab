"""From a table's name and a row's key to the partition that owns the row.

A table's rows are ordered by (hash of the partition key, sort key); each partition owns one contiguous range of
that order, so finding the owner is the floor of the key among the ranges' lower ends. A route is what the router
knows of one table: its keys and its partitions in order. Here all partitions are on this node; the
answer of `partition_of` is the partition itself.

A global index has partitions of its own, whose rows are found in the same way, so it has a route of its own within its
table's. When a table's definition changes such that other things follow from its items, its route changes, and stays
the same object: whoever holds it (a transaction that is not over, a page that is being read) goes by what is so now.

Source: Amazon DynamoDB (ATC 2022), sections 3 and 6.6.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from varley.counters import Counters, TableCounters
from varley.errors import ResourceNotFound, ValidationError, WorldError
from varley.item.key_bytes import TALLY_SPACE
from varley.metadata.catalog import Described
from varley.metadata.split import Split
from varley.node.partition import Partition
from varley.table.consequences import Consequences
from varley.table.followers import consequences_of
from varley.table.global_index import GlobalIndexCodec
from varley.table.global_index_follower import Backlog, Backlogs
from varley.table.keys import KeyCodec
from varley.table.local_index import LocalIndexCodec
from varley.table.partition_map import PartitionMap
from varley.table.schema import GlobalIndex
from varley.table.table_name import table_name
from varley.table.vector_index import VectorIndexCodec, VectorIndexFollower

VECTOR_INDEXES: Final = "VectorIndexes"


class Ranges:
    """Partitions in the order of the ranges that they own."""

    __slots__ = ("_lows", "_only", "partitions")

    def __init__(self, lows: Sequence[bytes], partitions: Sequence[Partition]) -> None:
        self.repartition(lows, partitions)

    def repartition(self, lows: Sequence[bytes], partitions: Sequence[Partition]) -> None:
        """From now on these own the ranges that begin there."""
        assert len(lows) == len(partitions) > 0
        assert lows[0] == b"" and list(lows) == sorted(lows)
        self.partitions = list(partitions)
        self._lows = list(lows)    # partition i owns [lows[i], lows[i + 1]) of (hash + sort key)
        self._only = partitions[0] if len(partitions) == 1 else None

    def partition_of(self, row_key: bytes) -> Partition:
        """The owner of a row; `row_key` begins with its space byte."""
        only = self._only
        if only is not None:
            return only
        return self.partitions[bisect_right(self._lows, row_key[1:]) - 1]

    def partitions_over(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[Partition]:
        """The owners of [low, high), which lies in one space, in reading order. Bounds begin with the space byte."""
        first, last = self._numbers_over(low, high)
        owners = self.partitions[first:last]
        return iter(reversed(owners) if reverse else owners)

    def pieces(
        self, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[Partition, bytes, bytes | None]]:
        """The owners of [low, high), each with the part of it that it owns. What a replica has beyond its part is of a
        split of which it has not heard yet, or is about to go: it must not be read. Raises Elsewhere where this node
        has not heard of a split."""
        first, last = self._numbers_over(low, high)
        space = low[:1]
        for number in reversed(range(first, last)) if reverse else range(first, last):
            own_high = space + self._lows[number + 1] if number + 1 < len(self._lows) else None
            if own_high is None or (high is not None and high < own_high):
                own_high = high
            partition = self.partitions[number]
            partition.check_reading(own_high)
            yield partition, max(low, space + self._lows[number]), own_high

    def _numbers_over(self, low: bytes, high: bytes | None) -> tuple[int, int]:
        first = bisect_right(self._lows, low[1:]) - 1
        return first, (
            len(self._lows) if high is None or len(high) == 1 else max(bisect_left(self._lows, high[1:]), first + 1)
        )


class GlobalIndexRoute(Ranges):
    """One global index. The same object as long as the index is there, whatever becomes of its table's route."""

    __slots__ = ("backlog", "codec", "counts", "id", "is_backfilling", "is_closed", "name")

    def __init__(
        self,
        index: GlobalIndex,
        codec: GlobalIndexCodec,
        lows: Sequence[bytes],
        partitions: Sequence[Partition],
        counts: _Counts,
        backlog: Backlog,
    ) -> None:
        super().__init__(lows, partitions)
        self.id = index.id
        self.name = index.name
        self.codec = codec
        self.counts = counts    # operation -> its counters on this index
        self.backlog = backlog
        self.is_backfilling = index.is_backfilling    # it has no more than a part of what it will have
        self.is_closed = False    # the index, or its table, was deleted


class Route(Ranges):
    """One table, as requests see it."""

    __slots__ = (
        "_counters", "_indexes", "consequences", "counts", "global_indexes", "index_counts",
        "index_members", "is_closed", "keys", "name", "vector_indexes",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        keys: KeyCodec,
        lows: Sequence[bytes],
        partitions: Sequence[Partition],
        counters: Counters,
        consequences: Consequences | None = None,
        global_indexes: Sequence[GlobalIndexRoute] = (),
    ) -> None:
        super().__init__(lows, partitions)
        self.name = name
        self.is_closed = False    # the table was deleted
        self.keys = keys
        self.counts = _Counts(counters, name)    # operation -> its counters on this table
        self._counters = counters
        self.become(consequences, global_indexes)

    def become(self, consequences: Consequences | None, global_indexes: Sequence[GlobalIndexRoute]) -> None:
        """From now on this follows from items, and these are the global indexes."""
        self.consequences = consequences    # of each write; None: nothing follows from an item here
        self.global_indexes = tuple(global_indexes)
        local_indexes = () if consequences is None else consequences.local_indexes
        self._indexes: dict[str, LocalIndexCodec | GlobalIndexRoute] = {}
        self._indexes.update((index.name, index) for index in local_indexes)
        self._indexes.update((index.name, index) for index in global_indexes)
        self.index_counts = {index.name: _Counts(self._counters, self.name, index.name) for index in local_indexes}
        self.index_counts.update((index.name, index.counts) for index in global_indexes)
        # By index: the member of ConsumedCapacity that tells of it.
        self.index_members = dict.fromkeys((index.name for index in local_indexes), "LocalSecondaryIndexes")
        self.index_members.update((index.name, "GlobalSecondaryIndexes") for index in global_indexes)
        followers = () if consequences is None else consequences.followers
        vectors = next((each for each in followers if isinstance(each, VectorIndexFollower)), None)
        self.vector_indexes: Sequence[VectorIndexCodec] = () if vectors is None else vectors.indexes
        self.index_members.update((index.name, VECTOR_INDEXES) for index in self.vector_indexes)

    def index(self, name: str) -> LocalIndexCodec | GlobalIndexRoute:
        """Raises ValidationError, the client's fault, if the table has no such index, or one that is not filled yet."""
        index = self._indexes.get(name)
        if index is None:
            raise ValidationError(f"The table does not have the specified index: {name}")
        if isinstance(index, GlobalIndexRoute) and index.is_backfilling:
            raise ValidationError(f"Cannot read from backfilling global secondary index: {name}")
        return index


    def vector_index(self, name: str) -> VectorIndexCodec:
        """Raises ValidationError, the client's fault, if the table has no such vector index."""
        for index in self.vector_indexes:
            if index.name == name:
                return index
        raise ValidationError(f"The table does not have the specified index: {name}")


class _Counts(dict[str, TableCounters]):
    """The counters of one table, or of one index of it, by operation; made when they are first asked for."""

    def __init__(self, counters: Counters, table: str, index: str = "") -> None:
        super().__init__()
        self._counters = counters
        self._table = table
        self._index = index

    def forget(self) -> None:
        """There is no such index any more: its series end. Who still counts, a page that was begun, tells nobody."""
        self._counters.forget_index(self._table, self._index)
        self._counters = Counters()
        self.clear()

    def __missing__(self, operation: str) -> TableCounters:
        counts = self[operation] = self._counters.of(operation, self._table, self._index)
        return counts


class Watcher(Protocol):
    """Somebody who has work to do for tables. Called on the event loop, in the step that makes the change."""

    def opened(self, route: Route) -> None:
        """A table is served from now on, or what follows from its items has changed."""
        ...

    def index_closed(self, index: GlobalIndexRoute) -> None:
        """An index is there no more; its partitions are removed next."""
        ...

    def closed(self, route: Route) -> None:
        """The same of a table; of its global indexes `index_closed` was called before."""
        ...


class Groups(Protocol):
    """Where new partitions come from: node.node.Node, or in a cluster remote.places.Places."""

    @property
    def refusal(self) -> WorldError | None: ...

    def create_group(self, group: int) -> Partition: ...

    async def remove_group(self, group: int) -> None: ...


class Router:
    """All routes of this server, and the partitions behind them."""

    def __init__(self, node: Groups, *, index_backlog_bytes: int = 2**62) -> None:
        self._node = node
        self._backlogs = Backlogs(index_backlog_bytes)
        self._routes: dict[str, Route] = {}
        self.watchers: list[Watcher] = []
        self.counters = Counters()    # by operation and table; see counters.py

    def __contains__(self, name: str | None) -> bool:
        """Whether there is a table of this name (an ARN is not looked into). HOT PATH."""
        return name in self._routes

    def route(self, name_or_arn: str) -> Route:
        """Raises ValidationError for what cannot be a table's name, ResourceNotFound for a table that is not."""
        route = self._routes.get(name_or_arn)
        if route is None:
            route = self._routes.get(table_name(name_or_arn))
            if route is None:
                raise ResourceNotFound("Requested resource not found")
        return route

    def routes(self) -> Iterable[Route]:
        return self._routes.values()

    @property
    def refusal(self) -> WorldError | None:
        """Why the disk takes no writes; None: it took the last one. The node finds out by itself when that is over."""
        return self._node.refusal

    def statistics(self, name: str) -> tuple[int, int]:
        """(items, DynamoDB bytes) of a table, exact and now; (0, 0) if there is no such table."""
        route = self._routes.get(name)
        return (0, 0) if route is None else _statistics(route)

    def index_statistics(self, name: str) -> dict[str, tuple[int, int]]:
        """(rows, DynamoDB bytes) of each index of a table, exact and now; {} if it has none.

        Of a global index: what has arrived there.
        """
        route = self._routes.get(name)
        if route is None or route.consequences is None:
            return {}
        total = {index.name: _statistics(index) for index in route.global_indexes}
        if route.consequences.local_indexes:
            for partition in route.partitions:
                for index, (rows, size) in route.consequences.index_sizes(partition.tree.get(TALLY_SPACE)).items():
                    rows_before, size_before = total.get(index, (0, 0))
                    total[index] = (rows_before + rows, size_before + size)
        return total

    def add(
        self,
        described: Described,
        partitions: Sequence[Partition],
        index_partitions: Mapping[str, Sequence[Partition]] | None = None,
    ) -> None:
        """Serve a table whose partitions are open, in the order of its map; those of its global indexes by index id."""
        table = described.table
        keys = KeyCodec(table.key_schema)
        before = self._routes.get(table.name)
        there = {} if before is None else {index.id: index for index in before.global_indexes}
        indexes = []
        for index in table.global_indexes:
            open_index = there.get(index.id)
            if open_index is None:
                assert index_partitions is not None
                open_index = self._index_route(described, index, keys, index_partitions[index.id])
            open_index.is_backfilling = index.is_backfilling
            indexes.append(open_index)
        consequences = consequences_of(table, keys, {index.id: index.backlog for index in indexes})
        if before is None:
            lows = _lows(described.partitions)
            route = Route(table.name, keys, lows, partitions, self.counters, consequences, indexes)
            self._routes[table.name] = route
        else:
            route = before
            route.become(consequences, indexes)
        for watcher in self.watchers:
            watcher.opened(route)

    def _index_route(
        self, described: Described, index: GlobalIndex, keys: KeyCodec, partitions: Sequence[Partition]
    ) -> GlobalIndexRoute:
        return GlobalIndexRoute(
            index,
            GlobalIndexCodec(index, keys),
            _lows(described.index_partitions[index.id]),
            partitions,
            _Counts(self.counters, described.table.name, index.name),
            Backlog(self._backlogs),
        )

    async def open_partitions(self, described: Described) -> None:
        """Begin to serve a new table."""
        open_indexes = {index: self._open(each) for index, each in described.index_partitions.items()}
        self.add(described, self._open(described.partitions), open_indexes)

    def repartition(self, described: Described) -> None:
        """Serve a table by its map as it has become, where partitions are made of their groups' numbers alone."""
        route = self._routes[described.table.name]
        for ranges, owner in [(described.partitions, route), *(
            (described.index_partitions[index.id], index) for index in route.global_indexes
        )]:    # fmt: skip
            owner.repartition(_lows(ranges), self._open(ranges))
        for watcher in self.watchers:
            watcher.opened(route)

    def split(self, described: Described, split: Split, child: Partition) -> None:
        """Serve a table by its map as it has become: `child` is the partition of the split's child."""
        route = self._routes[described.table.name]
        index = next((each for each in route.global_indexes if each.id == split.owner), None)
        owner: Ranges = route if index is None else index
        known = {partition.group: partition for partition in (*owner.partitions, child)}
        ranges = described.map_of(split.owner)
        owner.repartition(_lows(ranges), [known[each.group] for each in ranges])
        for watcher in self.watchers:
            watcher.opened(route)

    async def update(self, described: Described) -> None:
        """Serve a table by its definition as it has become: other things may follow from its items from now on.

        Partitions of global indexes that it has now are opened, those of indexes that it has no more are removed.
        """
        route = self._routes[described.table.name]
        there = {index.id for index in route.global_indexes}
        closed = [index for index in route.global_indexes if index.id not in described.index_partitions]
        opened = {
            index: self._open(each) for index, each in described.index_partitions.items() if index not in there
        }
        self.add(described, route.partitions, opened)
        for index in closed:
            self._close_index(index)
        for index in closed:
            await self._remove(index)

    async def close_partitions(self, described: Described, *, keep_groups: bool = False) -> None:
        """Serve a deleted table no more, and remove what its partitions held.

        `keep_groups`: what its own partitions held stays (something of it is still read), not that of its indexes.
        """
        route = self._routes.pop(described.table.name)
        route.is_closed = True
        for index in route.global_indexes:
            self._close_index(index)
        for watcher in self.watchers:
            watcher.closed(route)
        self.counters.forget_table(described.table.name)
        for ranges in route.global_indexes if keep_groups else (*route.global_indexes, route):
            await self._remove(ranges)

    def _close_index(self, index: GlobalIndexRoute) -> None:
        index.is_closed = True
        index.counts.forget()
        for watcher in self.watchers:
            watcher.index_closed(index)

    async def _remove(self, ranges: Ranges) -> None:
        for partition in ranges.partitions:
            await self._node.remove_group(partition.group)

    def _open(self, partitions: PartitionMap) -> list[Partition]:
        return [self._node.create_group(each.group) for each in partitions]


def _lows(partitions: PartitionMap) -> list[bytes]:
    return [each.low for each in partitions]


def _statistics(ranges: Ranges) -> tuple[int, int]:
    trees = [partition.tree for partition in ranges.partitions]
    return sum(tree.item_count for tree in trees), sum(tree.size_bytes for tree in trees)
