"""Reading a range of rows, a page at a time: what Query and Scan stand on.

A page ends at the client's Limit (rows looked at, not rows that pass the filter) or once it has looked at 1 MB,
counted in DynamoDB's item sizes; the row that crosses the megabyte still belongs to the page. Source: DynamoDB
Developer Guide, "Paginating table query results".

Rows that need neither filter nor projection are never decoded: their stored JSON is spliced into the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from varley.item.stored import HEADER_BYTES, item_size
from varley.limits import PAGE_BYTES_MAX
from varley.storage.tree import Tree

_decode = msgspec.json.decode

Item = dict[str, dict[str, Any]]
Range = tuple[Tree, bytes, bytes | None]    # [low, high) of one partition's applied state


class Page:
    """What one page holds.

    `rows`: the JSON of each item that passed; `scanned`: rows looked at; `size`: their DynamoDB bytes; `last`:
    the JSON of the last row looked at, if the page ended before the range may have.
    """

    __slots__ = ("last", "rows", "scanned", "size")

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.scanned = 0
        self.size = 0
        self.last: bytes | None = None


def read_page(
    ranges: Iterable[Range],
    *,
    reverse: bool,
    limit: int | None,
    passes: Callable[[Item], bool] | None,
    shape: Callable[[Item], bytes] | None,
) -> Page:
    """The first page of `ranges`, which come in reading order.

    `passes` is the filter, `shape` the projection (both None: rows are copied as they are). Raises Damaged (the world
    failed) for a row whose checksum is wrong.
    """
    page = Page()
    rows = page.rows
    scanned = size = 0
    limit = limit or 0
    for tree, low, high in ranges:
        for _, value in tree.scan(low, high, reverse=reverse):
            scanned += 1
            size += item_size(value)
            if passes is None and shape is None:
                rows.append(value[HEADER_BYTES:])
            else:
                item = _decode(value[HEADER_BYTES:])
                if passes is None or passes(item):
                    rows.append(value[HEADER_BYTES:] if shape is None else shape(item))
            if scanned == limit or size >= PAGE_BYTES_MAX:
                page.last = value[HEADER_BYTES:]
                break
        if page.last is not None:
            break
    page.scanned = scanned
    page.size = size
    return page
