"""From a table's name and a row's key to the partition that owns the row.

A table's rows are ordered by (hash of the partition key, sort key); each partition owns one contiguous range of
that order, so finding the owner is the floor of the key among the ranges' lower ends. A route is what the router
knows of one table: its keys and its partitions in order. Here all partitions are on this node; the
answer of `partition_of` is the partition itself.

Source: Amazon DynamoDB (ATC 2022), sections 3 and 6.6.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from varley.counters import Counters, TableCounters
from varley.errors import ResourceNotFound, ValidationError
from varley.item.key_bytes import TALLY_SPACE
from varley.metadata.catalog import Described
from varley.node.node import Node
from varley.node.partition import Partition
from varley.table.consequences import Consequences
from varley.table.followers import consequences_of
from varley.table.keys import KeyCodec
from varley.table.local_index import LocalIndexCodec
from varley.table.table_name import table_name


class Route:
    """One table, as requests see it."""

    __slots__ = (
        "_indexes", "_lows", "_only", "consequences", "counts", "index_counts", "is_closed", "keys", "name",
        "partitions",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        keys: KeyCodec,
        lows: Sequence[bytes],
        partitions: Sequence[Partition],
        counters: Counters,
        consequences: Consequences | None = None,
    ) -> None:
        assert len(lows) == len(partitions) > 0
        assert lows[0] == b"" and list(lows) == sorted(lows)
        self.name = name
        self.is_closed = False    # the table was deleted
        self.keys = keys
        self.counts = _Counts(counters, name)    # operation -> its counters on this table
        # Of each write; None: nothing follows from an item here. Changes with the table's definition, so it is looked
        # at when a write is evaluated, and not kept before.
        self.consequences = consequences
        indexes = () if consequences is None else consequences.local_indexes
        self._indexes = {index.name: index for index in indexes}
        self.index_counts = {index.name: _Counts(counters, name, index.name) for index in indexes}
        self.partitions = list(partitions)
        self._lows = list(lows)    # partition i owns [lows[i], lows[i + 1]) of (hash + sort key)
        self._only = partitions[0] if len(partitions) == 1 else None

    def index(self, name: str) -> LocalIndexCodec:
        """Raises ValidationError, the client's fault, if the table has no such index."""
        index = self._indexes.get(name)
        if index is None:
            raise ValidationError(f"The table does not have the specified index: {name}")
        return index

    def partition_of(self, row_key: bytes) -> Partition:
        """The owner of a row; `row_key` begins with its space byte."""
        only = self._only
        if only is not None:
            return only
        return self.partitions[bisect_right(self._lows, row_key[1:]) - 1]

    def partitions_over(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[Partition]:
        """The owners of [low, high), which lies in one space, in reading order. Bounds begin with the space byte."""
        first = bisect_right(self._lows, low[1:]) - 1
        last = len(self._lows) if high is None or len(high) == 1 else max(bisect_left(self._lows, high[1:]), first + 1)
        owners = self.partitions[first:last]
        return iter(reversed(owners) if reverse else owners)


class _Counts(dict[str, TableCounters]):
    """The counters of one table, or of one index of it, by operation; made when they are first asked for."""

    def __init__(self, counters: Counters, table: str, index: str = "") -> None:
        super().__init__()
        self._counters = counters
        self._table = table
        self._index = index

    def __missing__(self, operation: str) -> TableCounters:
        counts = self[operation] = self._counters.of(operation, self._table, self._index)
        return counts


class Router:
    """All routes of this server, and the partitions behind them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._routes: dict[str, Route] = {}
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

    def statistics(self, name: str) -> tuple[int, int]:
        """(items, DynamoDB bytes) of a table, exact and now; (0, 0) if there is no such table."""
        route = self._routes.get(name)
        if route is None:
            return 0, 0
        trees = [partition.tree for partition in route.partitions]
        return sum(tree.item_count for tree in trees), sum(tree.size_bytes for tree in trees)

    def index_statistics(self, name: str) -> dict[str, tuple[int, int]]:
        """(rows, DynamoDB bytes) of each local index of a table, exact and now; {} if it has none."""
        route = self._routes.get(name)
        if route is None or route.consequences is None:
            return {}
        total: dict[str, tuple[int, int]] = {}
        for partition in route.partitions:
            for index, (rows, size) in route.consequences.index_sizes(partition.get(TALLY_SPACE)).items():
                rows_before, size_before = total.get(index, (0, 0))
                total[index] = (rows_before + rows, size_before + size)
        return total

    def add(self, described: Described, partitions: Sequence[Partition]) -> None:
        """Serve a table whose partitions are open, in the order of its map."""
        lows = [each.low for each in described.partitions]
        table = described.table
        keys = KeyCodec(table.key_schema)
        consequences = consequences_of(table, keys)
        self._routes[table.name] = Route(table.name, keys, lows, partitions, self.counters, consequences)

    def redefine(self, described: Described) -> None:
        """The definition of a table has changed: what is evaluated from now on is followed by what it says."""
        route = self._routes[described.table.name]
        route.consequences = consequences_of(described.table, route.keys)

    async def open_partitions(self, described: Described) -> None:
        """Begin to serve a new table."""
        self.add(described, [self._node.create_group(each.group) for each in described.partitions])

    async def close_partitions(self, described: Described) -> None:
        """Serve a deleted table no more, and remove what its partitions held."""
        self._routes.pop(described.table.name).is_closed = True
        self.counters.forget_table(described.table.name)
        for each in described.partitions:
            await self._node.remove_group(each.group)
