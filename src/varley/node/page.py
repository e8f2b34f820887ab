"""Reading a range of rows, a page at a time: what Query and Scan stand on.

A page ends at the client's Limit (rows looked at, not rows that pass the filter) or once it has looked at 1 MB,
counted in DynamoDB's item sizes; the row that crosses the megabyte still belongs to the page. Source: DynamoDB
Developer Guide, "Paginating table query results".

Rows that need neither filter nor projection are never decoded: their stored JSON is spliced into the answer.

A row of an index may stand for more than it holds: if the client wants what is not projected, each row looked at has
its item fetched from the table, and filter, projection and answer work on that. The page then ends once the index rows,
rounded up to 4 KB together, and the items, each rounded up to 4 KB, come to 1 MB. Source: "Local secondary indexes",
"Read capacity units".

A page of small items that most fail the filter may take a tenth of a second, and the event loop has others to serve. So
a page is read in slices, and each slice begins anew where the one before it ended: what is written between two slices
may be in the page or not, as DynamoDB has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from varley.item.stored import HEADER_BYTES, item_size
from varley.limits import PAGE_BYTES_MAX, READ_UNIT_BYTES
from varley.node.elsewhere import RowsAway

_decode = msgspec.json.decode

Item = dict[str, dict[str, Any]]


class Rows(Protocol):
    """Rows in key order: a partition's applied state (storage.tree.Tree), rows that come from another node
    (remote/remote_rows.py), or something laid over several."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]: ...


Range = tuple[Rows, bytes, bytes | None]    # [low, high) of it


class Page:
    """One page of `ranges`, which come in reading order. Call `read` until it returns True.

    `passes` is the filter, `shape` the projection (both None: rows are copied as they are). `item_key`: the ranges are
    of an index, and items are to be fetched: from the key of an index row to the key of its item.
    """

    __slots__ = (
        "_item_key", "_limit", "_passes", "_ranges", "_reverse", "_shape", "fetched", "last", "rows", "scanned", "size",
    )  # fmt: skip

    def __init__(
        self,
        ranges: Iterable[Range],
        *,
        reverse: bool,
        limit: int | None,
        passes: Callable[[Item], bool] | None,
        shape: Callable[[Item], bytes] | None,
        item_key: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._ranges = list(ranges)    # what is still to be read
        self._reverse = reverse
        self._limit = limit or 0
        self._passes = passes
        self._shape = shape
        self._item_key = item_key
        self.rows: list[bytes] = []    # the JSON of each item that passed
        self.scanned = 0    # rows looked at
        self.size = 0    # their DynamoDB bytes
        self.fetched = 0    # units of 4 KB of the items fetched, each rounded up
        # The JSON of the last row looked at, if the page ended before the range may have.
        self.last: bytes | None = None

    def read(self, rows_max: int) -> bool:
        """Look at up to `rows_max` rows more; whether the page is complete.

        Raises Damaged (the world failed), and RowsAway if rows have to be fetched first: then call it again.
        """
        ranges, reverse, limit, passes, shape = self._ranges, self._reverse, self._limit, self._passes, self._shape
        rows, scanned, size = self.rows, self.scanned, self.size
        stop = scanned + rows_max
        key: bytes | None = None
        try:
            while ranges:
                tree, low, high = ranges[0]
                key = None    # the last row of it that was looked at
                for key, value in tree.scan(low, high, reverse=reverse):
                    scanned += 1
                    size += item_size(value)
                    if self._item_key is not None:
                        value = self._fetch(tree, self._item_key(key))
                    if passes is None and shape is None:
                        rows.append(value[HEADER_BYTES:])
                    else:
                        item = _decode(value[HEADER_BYTES:])
                        if passes is None or passes(item):
                            rows.append(value[HEADER_BYTES:] if shape is None else shape(item))
                    if scanned == limit or size >= PAGE_BYTES_MAX or (self.fetched and self._is_full(size)):
                        self.last = value[HEADER_BYTES:]
                        ranges.clear()
                        break
                    if scanned == stop:
                        ranges[0] = (tree, low, key) if reverse else (tree, key + b"\0", high)
                        self.scanned, self.size = scanned, size
                        return False
                else:
                    del ranges[0]
        except RowsAway:    # of `tree`: all that is here was looked at
            if key is not None:
                ranges[0] = (tree, low, key) if reverse else (tree, key + b"\0", high)
            self.scanned, self.size = scanned, size
            raise
        self.scanned, self.size = scanned, size
        return True

    def _fetch(self, tree: Rows, key: bytes) -> bytes:
        """The stored item at `key`, which has a row in the index: both are rows of one tree, so they agree."""
        value = tree.get(key)
        assert value is not None, f"an index row without its item, {key.hex()}"
        self.fetched += _blocks(item_size(value))
        return value

    def _is_full(self, size: int) -> bool:
        return (_blocks(size) + self.fetched) * READ_UNIT_BYTES >= PAGE_BYTES_MAX


def _blocks(size: int) -> int:
    return -(-size // READ_UNIT_BYTES)
