"""Searching a vector index: every item of the table is looked at, and the nearest are kept.

Exact, and always up to date: there is no structure beside the items that could be behind them. What it costs is the
walk, for which vectors are kept in memory once they were decoded, as 32-bit floats, up to a bound; what is kept of an
item is good as long as the item's time of writing is the same, and that is in the header of its row. So a search after
the first reads rows and headers, and multiplies: 100,000 multiplications take about 5 ms.

It runs in slices, since others are to be served meanwhile; what is written between two of them may be found or not,
as the service has it.

Rejected: a graph of neighbours (approximate, as the service is; it must be kept, checked and recovered, for a machine
that has tens of thousands of vectors and not a billion), rows of 32-bit floats beside the items (what they save, the
memory saves too), numpy (twenty times faster, and thirty megabytes for those who have no vectors).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from varley.errors import ResourceNotFound
from varley.item.key_bytes import ITEM_SPACE
from varley.item.stored import HEADER_BYTES, timestamp
from varley.item.value import Item
from varley.node.elsewhere import Need, RowsAway
from varley.node.page import Rows
from varley.node.partition import Partition
from varley.remote.peers import Peers
from varley.router.routes import Route
from varley.table.vector_index import Distance, Vector, VectorIndexCodec, length_of

_FETCHED_ROWS: Final = 1000    # of another node, at once
_ITEMS_END: Final = bytes((ITEM_SPACE[0] + 1,))
_NUMBERS_PER_SLICE: Final = 16_384    # about a millisecond
_FLOAT_BYTES: Final = 4
_COUNTED_MAX: Final = 1000    # indexes whose sizes are remembered
_KEPT_OVERHEAD_BYTES: Final = 400    # of one vector in memory, beside its numbers
_decode = msgspec.json.decode


class Found(NamedTuple):
    """An item near the vector that was searched for."""

    item: Item    # whole, as it is stored
    score: float


class Finding(NamedTuple):
    """What a search comes to."""

    found: list[Found]    # nearest first
    examined: int    # vectors looked at


class _Kept(NamedTuple):
    """What is known of one item."""

    timestamp_us: int
    vector: Vector[float] | None    # None: it is not in the index
    length: float    # of the vector
    values: Mapping[str, Any]    # of the attributes that a search may ask for
    size: int    # DynamoDB bytes in the index; 0: it is not in it


class VectorSearch:
    """The memory of one server, and the searches that use it. Used from the event loop only."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, bytes], _Kept] = OrderedDict()    # (index id, item key); last used last
        # Index id -> the partitions' applied slots, and what the index has as of them.
        self._counted: dict[str, tuple[tuple[int, ...], tuple[int, int]]] = {}

    async def nearest(
        self,
        route: Route,
        index: VectorIndexCodec,
        query: Vector[float],
        count: int,
        wanted: Mapping[str, Any],
        peers: Peers | None = None,
    ) -> Finding:
        """The `count` items nearest to `query` whose attributes have the `wanted` values.

        `peers`: who has partitions that are not here; None: all are. Raises ResourceNotFound if the table is deleted
        meanwhile, Damaged.
        """
        nearest = _Nearest(Distance(index.distance, query), count)

        def consider(kept: _Kept, value: bytes) -> None:
            assert kept.vector is not None
            if all(kept.values.get(name) == each for name, each in wanted.items()):
                nearest.consider(kept.vector, kept.length, value)

        for partition, low, high in route.pieces(ITEM_SPACE, _ITEMS_END):
            await self._look(route, _rows_of(partition, peers), low, high, index, consider)
        return nearest.finding()

    async def statistics(self, route: Route, peers: Peers | None = None) -> dict[str, tuple[int, int]]:
        """(items, DynamoDB bytes) of each vector index of a table. Looks at every item, unless nothing was written.

        Raises ResourceNotFound if the table is deleted meanwhile, Damaged.
        """
        slots: tuple[int, ...] | None = None    # where partitions are elsewhere nobody knows what was written there
        if peers is None or all(peers.is_here(partition.group, Need.COPY) for partition in route.partitions):
            slots = tuple(partition.tree.applied_slot for partition in route.partitions)
        found = {}
        for index in route.vector_indexes:
            counted = self._counted.get(index.id)
            if counted is None or slots is None or counted[0] != slots:
                total = _Total()
                for partition, low, high in route.pieces(ITEM_SPACE, _ITEMS_END):
                    await self._look(route, _rows_of(partition, peers), low, high, index, total.add)
                self._counted[index.id] = counted = (slots or (), (total.items, total.size))
                while len(self._counted) > _COUNTED_MAX:
                    del self._counted[next(iter(self._counted))]
            found[index.name] = counted[1]
        return found

    async def _look(
        self, route: Route, rows_of: Rows, low: bytes, high: bytes | None, index: VectorIndexCodec,
        take: Callable[[_Kept, bytes], None],
    ) -> None:  # fmt: skip
        """`take` gets what is in the index, each with its stored item."""
        rows_max = max(_NUMBERS_PER_SLICE // index.dimensions, 4)
        while True:
            if route.is_closed:
                raise ResourceNotFound("Requested resource not found")
            try:
                rows = list(islice(rows_of.scan(low, high), rows_max))
            except RowsAway as away:
                fetched: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
                away.fetch(fetched.set_result)
                error = await fetched
                if error is not None:
                    raise error from None
                continue
            for key, value in rows:
                kept = self._known(index, key, value)
                if kept.vector is not None:
                    take(kept, value)
            if len(rows) < rows_max:
                return
            low = rows[-1][0] + b"\0"
            await asyncio.sleep(0)

    def _known(self, index: VectorIndexCodec, key: bytes, value: bytes) -> _Kept:
        place = (index.id, key)
        kept = self._kept.get(place)
        if kept is not None and kept.timestamp_us == timestamp(value):
            self._kept.move_to_end(place)
            return kept
        if kept is not None:
            self._bytes -= _size(kept)
        item = _decode(value[HEADER_BYTES:])
        vector = index.vector_of(item)
        length = 0.0 if vector is None else length_of(vector)
        size = 0 if vector is None else index.entry_size(item)
        kept = _Kept(timestamp(value), vector, length, index.search_values(item), size)
        self._kept[place] = kept
        self._kept.move_to_end(place)
        self._bytes += _size(kept)
        while self._bytes > self._bytes_max:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return kept

    @property
    def bytes_kept(self) -> int:
        """About how much memory they take."""
        return self._bytes


def _rows_of(partition: Partition, peers: Peers | None) -> Rows:
    """`peers`: who has partitions that are not here; None: all are."""
    if peers is None or peers.is_here(partition.group, Need.COPY):
        return partition
    return peers.rows(partition.group, Need.COPY, _FETCHED_ROWS, None)


def _size(kept: _Kept) -> int:
    return _KEPT_OVERHEAD_BYTES + (0 if kept.vector is None else len(kept.vector) * _FLOAT_BYTES)


class _Total:
    """What an index has."""

    def __init__(self) -> None:
        self.items = 0
        self.size = 0

    def add(self, kept: _Kept, value: bytes) -> None:
        self.items += 1
        self.size += kept.size


class _Nearest:
    """The nearest of those that were considered."""

    def __init__(self, distance: Distance, count: int) -> None:
        self._distance = distance
        self._count = count
        self._heap: list[tuple[float, int, bytes]] = []    # -rank, -number, stored item: the farthest first
        self._considered = 0

    def consider(self, vector: Vector[float], length: float, value: bytes) -> None:
        self._considered += 1
        # Of equals, those that come first in the table: the same every time.
        entry = (-self._distance.rank(vector, length), -self._considered, value)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def finding(self) -> Finding:
        found = [
            Found(_decode(value[HEADER_BYTES:]), self._distance.score(-negative))
            for negative, _, value in sorted(self._heap, reverse=True)
        ]
        return Finding(found, self._considered)
