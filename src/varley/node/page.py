"""Reading a range of rows, a page at a time: what Query and Scan stand on.

A page ends at the client's Limit (rows looked at, not rows that pass the filter) or once it has looked at 1 MB,
counted in DynamoDB's item sizes; the row that crosses the megabyte still belongs to the page. Source: DynamoDB
Developer Guide, "Paginating table query results".

Rows that need neither filter nor projection are never decoded: their stored JSON is spliced into the answer.

A page of small items that most fail the filter may take a tenth of a second, and the event loop has others to serve. So
a page is read in slices, and each slice begins anew where the one before it ended: what is written between two slices
may be in the page or not, as DynamoDB has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from varley.item.stored import HEADER_BYTES, item_size
from varley.limits import PAGE_BYTES_MAX

_decode = msgspec.json.decode

Item = dict[str, dict[str, Any]]


class Rows(Protocol):
    """Rows in key order: a partition's applied state (storage.tree.Tree), or something laid over several."""

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]: ...


Range = tuple[Rows, bytes, bytes | None]    # [low, high) of it


class Page:
    """One page of `ranges`, which come in reading order. Call `read` until it returns True.

    `passes` is the filter, `shape` the projection (both None: rows are copied as they are).
    """

    __slots__ = ("_limit", "_passes", "_ranges", "_reverse", "_shape", "last", "rows", "scanned", "size")

    def __init__(
        self,
        ranges: Iterable[Range],
        *,
        reverse: bool,
        limit: int | None,
        passes: Callable[[Item], bool] | None,
        shape: Callable[[Item], bytes] | None,
    ) -> None:
        self._ranges = list(ranges)    # what is still to be read
        self._reverse = reverse
        self._limit = limit or 0
        self._passes = passes
        self._shape = shape
        self.rows: list[bytes] = []    # the JSON of each item that passed
        self.scanned = 0    # rows looked at
        self.size = 0    # their DynamoDB bytes
        # The JSON of the last row looked at, if the page ended before the range may have.
        self.last: bytes | None = None

    def read(self, rows_max: int) -> bool:
        """Look at up to `rows_max` rows more; whether the page is complete. Raises Damaged (the world failed)."""
        ranges, reverse, limit, passes, shape = self._ranges, self._reverse, self._limit, self._passes, self._shape
        rows, scanned, size = self.rows, self.scanned, self.size
        stop = scanned + rows_max
        while ranges:
            tree, low, high = ranges[0]
            for key, value in tree.scan(low, high, reverse=reverse):
                scanned += 1
                size += item_size(value)
                if passes is None and shape is None:
                    rows.append(value[HEADER_BYTES:])
                else:
                    item = _decode(value[HEADER_BYTES:])
                    if passes is None or passes(item):
                        rows.append(value[HEADER_BYTES:] if shape is None else shape(item))
                if scanned == limit or size >= PAGE_BYTES_MAX:
                    self.last = value[HEADER_BYTES:]
                    ranges.clear()
                    break
                if scanned == stop:
                    ranges[0] = (tree, low, key) if reverse else (tree, key + b"\0", high)
                    self.scanned, self.size = scanned, size
                    return False
            else:
                del ranges[0]
        self.scanned, self.size = scanned, size
        return True
