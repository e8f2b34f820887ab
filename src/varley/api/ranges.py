"""What Query and Scan have in common once they know their range of rows: read a page of it, and answer.

The rows are items, or those of an index. A local index has its rows in the table's partitions, and may be asked for
what it does not project: then each row's item is read too. A global index has partitions of its own, which may be
behind their table, so it is never read strongly, and it has no more to give than it projects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from varley.api import capacity
from varley.api.expressions import Shape
from varley.api.page_reading import PageReading, RowsOf
from varley.counters import TableCounters
from varley.errors import ValidationError
from varley.expression.projection import Projection
from varley.item.key_bytes import ITEM_SPACE, PARTITION_HASH_BYTES
from varley.item.units import read_units
from varley.item.value import Item, check_item
from varley.node.page import Page
from varley.node.partition import Partition
from varley.router.routes import GlobalIndexRoute, Route
from varley.table.global_index import GlobalIndexCodec
from varley.table.local_index import LocalIndexCodec

_INVALID = "One or more parameter values were invalid: "

_encode = msgspec.json.encode
_decode_item = msgspec.json.decode

ITEMS_END = b"\x01"    # the first key after the item space
COLLECTION_BYTES = len(ITEM_SPACE) + PARTITION_HASH_BYTES    # what all row keys of one partition key begin with


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """An index that is read."""

    codec: LocalIndexCodec | GlobalIndexCodec
    ranges: Route | GlobalIndexRoute    # where its rows lie: in its table's partitions, or in its own
    counts: Mapping[str, TableCounters]    # by operation

    @property
    def is_global(self) -> bool:
        return isinstance(self.codec, GlobalIndexCodec)


@dataclass(frozen=True, slots=True)
class RangeRead(PageReading):
    """One page to read: rows of `route`, or of an index of it, in [low, high), row keys with their space byte."""

    route: Route
    table: str    # as the client named it
    operation: str
    low: bytes
    high: bytes
    reverse: bool
    limit: int | None
    consistent: bool
    passes: Callable[[Item], bool] | None
    shape: Shape | None
    count_only: bool
    capacity_mode: str | None
    index: ReadIndex | None = None    # None: the rows are items
    is_fetching: bool = False    # what is asked for is not projected: items are read too
    end: bytes | None = None    # the row behind which there can be no other: a page that comes to it is the last

    @property
    def is_strong(self) -> bool:
        return self.consistent

    def partitions(self) -> Sequence[Partition]:
        return list(self.owner.partitions_over(self.low, self.high))

    def page(self, rows_of: RowsOf) -> Page:
        item_key = item_key_of(self.index) if self.is_fetching else None
        return Page(
            [
                (rows_of(partition, item_key, self.limit), low, high)
                for partition, low, high in self.owner.pieces(self.low, self.high, reverse=self.reverse)
            ],
            reverse=self.reverse,
            limit=self.limit,
            passes=self.passes,
            shape=self.shape,
            item_key=item_key,
        )

    @property
    def owner(self) -> Route | GlobalIndexRoute:
        return self.route if self.index is None else self.index.ranges

    def body(self, page: Page) -> bytes:
        parts = [b'{"Count":%d' % len(page.rows)]
        if not self.count_only:
            parts += (b',"Items":[', b",".join(page.rows), b"]")
        parts.append(b',"ScannedCount":%d' % page.scanned)
        if page.last is not None:
            codec = self.route.keys if self.index is None else self.index.codec
            last_key = codec.key_of(_decode_item(page.last))
            if self.end is None or self.route.keys.row_key(last_key) != self.end:
                parts += (b',"LastEvaluatedKey":', _encode(last_key))
        parts.append(
            count_page(self.route, self.index, page, self.operation, self.consistent, self.capacity_mode, self.table)
        )
        parts.append(b"}")
        return b"".join(parts)


def count_page(
    route: Route,
    index: ReadIndex | None,
    page: Page,
    operation: str,
    consistent: bool,
    capacity_mode: str | None,
    table: str,
) -> bytes:
    """Count what a page has cost; gives the ConsumedCapacity member of its answer, or b""."""
    units = read_units(page.size, consistent)
    counts = (route if index is None else index).counts[operation]
    counts.consumed_read_units += units
    counts.returned_items += len(page.rows)
    if index is not None:
        fetch_units = float(page.fetched) if consistent else page.fetched * 0.5
        route.counts[operation].consumed_read_units += fetch_units
        return capacity.member(
            table, fetch_units, capacity_mode, {index.codec.name: units}, route.index_members
        )
    return b"" if capacity_mode is None else capacity.member(table, units, capacity_mode)


def item_key_of(index: ReadIndex | None) -> Callable[[bytes], bytes]:
    """From the key of a row of a local index to the key of its item."""
    assert index is not None
    assert isinstance(index.codec, LocalIndexCodec), "items are fetched for the rows of a local index only"
    return index.codec.item_key


def space_end(space: bytes) -> bytes:
    """The first key after a space."""
    return bytes((space[0] + 1,))


def after(row_key: bytes) -> bytes:
    """The least key greater than `row_key`."""
    return row_key + b"\x00"


def check_start_key(start_key: Item) -> None:
    """What can be said of an ExclusiveStartKey before the table is known. Raises ValidationError."""
    try:
        check_item(start_key)
    except ValidationError as error:
        raise ValidationError(f"The provided starting key is invalid: {error.message}") from None


def index_of(route: Route, name: str, *, consistent: bool) -> ReadIndex:
    """Raises ValidationError, the client's fault, if there is no such index to be read, or not in this way."""
    index = route.index(name)
    if isinstance(index, LocalIndexCodec):
        return ReadIndex(index, route, route.index_counts[name])
    if consistent:
        raise ValidationError("Consistent reads are not supported on global secondary indexes")
    return ReadIndex(index.codec, index, index.counts)


def start_row(route: Route, index: ReadIndex | None, start_key: Item, *, operation: str) -> bytes:
    """The row key of an ExclusiveStartKey. Raises ValidationError if it cannot be a key of the table or index.

    Query and Scan have different words for a key of other attributes (users' reports: pynamodb#50, dynogels#184 of
    Query; laravel-dynamodb#200 of Scan).
    """
    if operation == "Query" and index is None and start_key.keys() != set(route.keys.names):
        raise ValidationError("The provided starting key is invalid")
    if index is not None:
        return index.codec.row_key(start_key)
    try:
        return route.keys.row_key(start_key)
    except ValidationError as error:
        raise ValidationError(f"The provided starting key is invalid: {error.message}") from None


def check_select(
    select: str | None,
    *,
    projection_expression: str | None,
    attributes_to_get: list[str] | None,
    index_name: str | None,
) -> bool:
    """Whether only the count is wanted. Raises ValidationError where Select and the projection disagree."""
    asked = (
        "ProjectionExpression" if projection_expression is not None
        else "AttributesToGet" if attributes_to_get is not None
        else None
    )  # fmt: skip
    if select in ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT") and asked is not None:
        choice = {"COUNT": "only the Count"}.get(select, select)
        raise ValidationError(f"Cannot specify the {asked} when choosing to get {choice}")
    if select == "SPECIFIC_ATTRIBUTES" and asked is None:
        raise ValidationError(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if select == "ALL_PROJECTED_ATTRIBUTES" and index_name is None:
        raise ValidationError("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    return select == "COUNT"


def needs_items(index: ReadIndex, select: str | None, projection: Projection | None) -> bool:
    """Whether the client asks for more than the index projects; then each row's item is fetched from the table.

    Raises ValidationError if it is a global index, whose items are not fetched.
    """
    if projection is not None:
        return needs_items_for(index, projection.top_names)
    codec = index.codec
    if select != "ALL_ATTRIBUTES" or codec.projected is None:
        return False
    if index.is_global:
        raise ValidationError(
            f"{_INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index {codec.name} because "
            "its projection type is not ALL"
        )
    return True


def needs_items_for(index: ReadIndex, names: Collection[str]) -> bool:
    """The same for attributes that are asked for by name."""
    codec = index.codec
    if codec.projects(names):
        return False
    if index.is_global:
        assert codec.projected is not None
        missing = ", ".join(sorted(set(names) - codec.projected))    # the service has them in an order of its own
        raise ValidationError(f"{_INVALID}Global secondary index {codec.name} does not project [{missing}]")
    return True
