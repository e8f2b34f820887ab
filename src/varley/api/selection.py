"""What a SELECT reads, of a table or of an index: ranges of row keys, one after the other or merged, a page at a time.

    nothing about the partition key            one range: every item
    pk = 'a' AND sk > 5                        one range
    pk = 'a' AND sk IN [1, 5]                  a range for each sort key
    pk IN ['a', 'b'] AND sk > 5                a range for each partition key, in the order of the list,
      … ORDER BY pk                            in the order of the partition keys,
      … ORDER BY sk                            or merged: items come in the order of their sort keys
    pk = 'a' AND sk = 5                        one item, as GetItem reads it

A page ends where Query's does (node.page), and after so many partition keys of a list ([DG] "IN"). It says where it
ended twice: as a LastEvaluatedKey, and as the NextToken (next_token.py) with which the client gets the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from typing import Final, NamedTuple

import msgspec

from varley.api import capacity, next_token
from varley.api.expressions import BoundCondition, Shape
from varley.api.next_token import Place
from varley.api.page_reading import PageReading, RowsOf, rows_here
from varley.api.ranges import COLLECTION_BYTES, ReadIndex, after, count_page, item_key_of
from varley.errors import ValidationError
from varley.http.call import Call
from varley.item.stored import HEADER_BYTES, item_size
from varley.item.units import read_units
from varley.item.value import Item, check_item
from varley.limits import PARTIQL_HASH_VALUES_PER_PAGE
from varley.node.page import Page, Range, Rows
from varley.node.partition import Partition
from varley.node.replica import Proposal
from varley.node.settled import reply_when_settled, when_settled
from varley.router.routes import GlobalIndexRoute, Route
from varley.table.global_index import GlobalIndexCodec
from varley.table.keys import KeyCodec
from varley.table.local_index import LocalIndexCodec

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode

_OPERATION: Final = "ExecuteStatement"

Row = tuple[bytes, bytes]


class KeyRange(NamedTuple):
    """Row keys in [low, high), with their space byte, all of one item collection (or every item)."""

    collection: int    # the how-manieth of the statement's partition keys it belongs to
    low: bytes
    high: bytes


@dataclass(frozen=True, slots=True)
class Selection:
    """A SELECT bound to its table."""

    route: Route    # of the table
    ranges: Sequence[KeyRange]    # disjoint; in reading order, which is descending in a collection if `reverse`
    passes: Callable[[Item], bool] | None
    shape: Shape | None
    reverse: bool = False
    is_merged: bool = False
    is_one_item: bool = False     # there can be no second: at most one range, of one key
    is_filtered: bool = True      # there is more in the WHERE clause than one partition key and one sort key
    index: ReadIndex | None = None    # what the row keys are of; None: of the table
    is_fetching: bool = False     # of a local index more is wanted than it projects: items are read too

    @property
    def owner(self) -> Route | GlobalIndexRoute:
        """What has the rows."""
        return self.route if self.index is None else self.index.ranges

    @property
    def codec(self) -> KeyCodec | LocalIndexCodec | GlobalIndexCodec:
        return self.route.keys if self.index is None else self.index.codec

    def filtered(self, condition: BoundCondition) -> Selection:
        """With a filter. Of a local index that lacks what it asks for, the items are asked."""
        is_fetching, shape = self.is_fetching, self.shape
        if (
            self.index is not None and not self.index.is_global
            and not is_fetching and not self.index.codec.projects(condition.names)
        ):  # fmt: skip
            is_fetching = True
            shape = shape or self.index.codec.projected_json
        return replace(self, passes=condition.holds_for, shape=shape, is_fetching=is_fetching)

    @property
    def is_whole_key(self) -> bool:
        """Whether the WHERE clause is the key of one item and nothing else."""
        return self.is_one_item and not self.is_filtered

    def partitions(self) -> list[Partition]:
        """Where the rows are, each once."""
        found = {
            partition.group: partition
            for each in self.ranges
            for partition in self.owner.partitions_over(each.low, each.high)
        }
        return list(found.values())

    def undecided(self) -> list[Proposal]:
        """What a strong read of the one item has to wait for."""
        assert self.is_one_item
        found = [self._partition(each.low).undecided(each.low) for each in self.ranges]
        return [proposal for proposal in found if proposal is not None]

    @property
    def partition(self) -> Partition:
        """Where the one item is."""
        assert self.is_one_item
        return self._partition(self.ranges[0].low)

    def one(self, values: Mapping[bytes, bytes] | None = None) -> tuple[bytes | None, int]:
        """The one item, shaped, if it is there and passes; and its size (0: it is not there).

        `values`: what was fetched from another node, by row key.
        """
        assert self.is_one_item
        get = values.get if values is not None else self._get
        stored = get(self.ranges[0].low) if self.ranges else None
        if stored is None:
            return None, 0
        json = stored[HEADER_BYTES:]
        size = item_size(stored)
        if self.passes is None and self.shape is None:
            return json, size
        item = _decode_item(json)
        if self.passes is not None and not self.passes(item):
            return None, size
        return json if self.shape is None else self.shape(item), size

    def place_after(self, page: Page, begun: Place) -> Place | None:
        """Where the page after this one begins; None if this was the last. `begun` is where this one began."""
        if page.last is not None:
            key = self.codec.key_of(_decode_item(page.last))
            row = self.codec.row_key(key)
            return Place(0 if self.is_merged else self._range_of(row), key)
        end = self._end(begun)
        return Place(end, None) if end < len(self.ranges) else None

    def page_ranges(self, place: Place, rows_of: RowsOf = rows_here, limit: int | None = None) -> list[Range]:
        """What to read for the page that begins there. Raises ValidationError for a place that cannot be."""
        item_key = item_key_of(self.index) if self.is_fetching else None
        row = None if place.key is None else self._row_of(place.key)
        if self.is_merged:
            if place.number != 0 or (row is not None and self._range_of(row) == len(self.ranges)):
                raise next_token.invalid()
            rows = MergedRows(self.owner, self.ranges, lambda partition: rows_of(partition, item_key, limit))
            low, high = (b"", row) if self.reverse else (b"" if row is None else after(row), None)
            return [(rows, low, high)]
        if row is not None and self._range_of(row) != place.number:
            raise next_token.invalid()
        if place.number > len(self.ranges):
            raise next_token.invalid()
        ranges = list(self.ranges[place.number : self._end(place)])
        if row is not None:
            collection, low, high = ranges[0]
            ranges[0] = KeyRange(collection, low, row) if self.reverse else KeyRange(collection, after(row), high)
        return [
            (rows_of(partition, item_key, limit), low, high)
            for each in ranges
            for partition, low, high in self.owner.pieces(each.low, each.high, reverse=self.reverse)
        ]

    def _end(self, place: Place) -> int:
        """The number of the first range behind the page that begins at `place`."""
        if self.is_merged or place.number >= len(self.ranges):
            return len(self.ranges)
        end = self.ranges[place.number].collection + PARTIQL_HASH_VALUES_PER_PAGE
        return next((i for i, each in enumerate(self.ranges) if each.collection >= end), len(self.ranges))

    def _range_of(self, row: bytes) -> int:
        """The number of the range that holds this row key; len(ranges) if none does."""
        return next((i for i, each in enumerate(self.ranges) if each.low <= row < each.high), len(self.ranges))

    def _row_of(self, key: Item) -> bytes:
        try:
            check_item(key)
            return self.codec.row_key(key)
        except ValidationError:
            raise next_token.invalid() from None

    def _partition(self, row: bytes) -> Partition:
        return self.owner.partition_of(row)

    def _get(self, row: bytes) -> bytes | None:
        return self.owner.partition_of(row).get(row)


class MergedRows:
    """The rows of several item collections in the order of their sort keys; equal ones in that of the collections.

    To begin behind a row is to begin, in its collection and those before it, behind its sort key; and in those after
    it, at its sort key.
    """

    __slots__ = ("_owner", "_ranges", "_rows_in", "_rows_of")

    def __init__(
        self, owner: Route | GlobalIndexRoute, ranges: Sequence[KeyRange], rows_of: Callable[[Partition], Rows]
    ) -> None:
        self._owner = owner
        self._ranges = ranges
        self._rows_of = rows_of
        # By where a range ends or begins and whose it is: what was fetched of it is kept from one scan to the next.
        self._rows_in: dict[tuple[int, int, int], Rows] = {}

    def get(self, key: bytes) -> bytes | None:
        """The item of a row that `scan` has given."""
        group = self._owner.partition_of(key).group
        for (_, _, of), rows in self._rows_in.items():
            if of == group and (found := rows.get(key)) is not None:
                return found
        return None

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[Row]:
        """`low` is b"" or `after` a row's key, `high` is None or (reverse) a row's key: where to begin."""
        row = (high or b"") if reverse else low[:-1]
        prefix, sort = row[:COLLECTION_BYTES], row[COLLECTION_BYTES:]
        numbers = {each.low[:COLLECTION_BYTES]: each.collection for each in self._ranges}
        by_collection: dict[int, list[tuple[int, KeyRange]]] = {}
        for number, each in enumerate(self._ranges):
            if row:
                each = _clipped(each, sort, is_behind=each.collection <= numbers[prefix], reverse=reverse)
            by_collection.setdefault(each.collection, []).append((number, each))
        return merge(
            *(self._rows(ranges, reverse=reverse) for ranges in by_collection.values()),
            key=lambda found: found[0][COLLECTION_BYTES:],
            reverse=reverse,
        )

    def _rows(self, ranges: list[tuple[int, KeyRange]], *, reverse: bool) -> Iterator[Row]:
        for number, (collection, low, high) in ranges:
            if low < high:
                for partition in self._owner.partitions_over(low, high, reverse=reverse):
                    place = (collection, number, partition.group)
                    rows = self._rows_in.get(place)
                    if rows is None:
                        rows = self._rows_in[place] = self._rows_of(partition)
                    yield from rows.scan(low, high, reverse=reverse)


def _clipped(each: KeyRange, sort: bytes, *, is_behind: bool, reverse: bool) -> KeyRange:
    """What of a range is left to read; `is_behind` if its row with this sort key has been read."""
    row = each.low[:COLLECTION_BYTES] + sort
    if reverse:
        return each._replace(high=min(each.high, row if is_behind else after(row)))
    return each._replace(low=max(each.low, after(row) if is_behind else row))


@dataclass(frozen=True, slots=True)
class SelectionRead(PageReading):
    """One page of a Selection, to be read for a client."""

    selection: Selection
    place: Place
    limit: int | None
    consistent: bool
    capacity_mode: str | None
    token: Callable[[Place], str]    # the NextToken for a place

    @property
    def owner(self) -> Route | GlobalIndexRoute:
        return self.selection.owner

    @property
    def is_strong(self) -> bool:
        return self.consistent

    def partitions(self) -> Sequence[Partition]:
        return self.selection.partitions()

    def run(self, call: Call) -> bytes | None:
        if not self.selection.is_one_item:
            return PageReading.run(self, call)
        undecided = self.selection.undecided() if self.consistent else ()
        if undecided:
            when_settled(undecided, reply_when_settled(call, self._one))
            return None
        return self._one()

    def page(self, rows_of: RowsOf) -> Page:
        selection = self.selection
        return Page(
            selection.page_ranges(self.place, rows_of, self.limit),
            reverse=selection.reverse,
            limit=self.limit,
            passes=selection.passes,
            shape=selection.shape,
            item_key=item_key_of(selection.index) if selection.is_fetching else None,
        )

    def body(self, page: Page) -> bytes:
        following = self.selection.place_after(page, self.place)
        members = b""
        if following is not None:
            members = b',"NextToken":' + _encode(self.token(following))
            if following.key is not None:
                members += b',"LastEvaluatedKey":' + _encode(following.key)
        route, index = self.selection.route, self.selection.index
        members += count_page(route, index, page, _OPERATION, self.consistent, self.capacity_mode, route.name)
        return b'{"Items":[' + b",".join(page.rows) + b"]" + members + b"}"

    def _one(self) -> bytes:
        found, size = self.selection.one()
        route = self.selection.route
        units = read_units(size, self.consistent)
        counts = route.counts[_OPERATION]
        counts.consumed_read_units += units
        counts.returned_items += found is not None
        items = b'{"Items":[' + (found or b"") + b"]"
        return items + capacity.member(route.name, units, self.capacity_mode) + b"}"
