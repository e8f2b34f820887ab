"""Rows of a partition that is on another node, read as those of a tree are: what node.page.Page reads a page from.

    Page ---> scan ---> rows that have come      none left: RowsAway ---> fetch ---> the node that has the partition
                              ^                                                          |
                              +----------------------------------------------------------+

One of these reads one range, from one end to the other; Page begins anew behind the last row that it has looked at, and
what is before that is let go. The filter and the projection stay where the request arrived: it costs the network what
the filter drops, and everything that bounds a page (Limit, 1 MB, items fetched for an index) is in one place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from varley.errors import ApiError
from varley.node.elsewhere import Fetched, RowsAway

Row = tuple[bytes, bytes]    # key, stored value


class FetchRange(Protocol):
    def __call__(
        self, low: bytes, high: bytes | None, reverse: bool, then: Callable[[list[Row], bool, ApiError | None], None]
    ) -> None:
        """The first rows of [low, high) in reading order; and whether these are all of it."""
        ...


FetchItems = Callable[[list[bytes], Callable[[dict[bytes, bytes], ApiError | None], None]], None]


class RemoteRows:
    """Of one range of one partition. `item_key`: from a row of a local index to its item, if items are wanted too."""

    __slots__ = ("_fetch_items", "_fetch_range", "_is_all", "_item_key", "_items", "_rows")

    def __init__(
        self, fetch_range: FetchRange, fetch_items: FetchItems, item_key: Callable[[bytes], bytes] | None
    ) -> None:
        self._fetch_range = fetch_range
        self._fetch_items = fetch_items
        self._item_key = item_key
        self._rows: deque[Row] = deque()    # that have come and were not passed, in reading order
        self._is_all = False                # there are none behind them
        self._items: dict[bytes, bytes] = {}    # of `_rows`, if items are wanted

    def get(self, key: bytes) -> bytes | None:
        """The item of a row that `scan` has given."""
        return self._items.get(key)

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[Row]:
        """Raises RowsAway behind the last row that is here, if there may be more."""
        rows = self._rows
        while rows and (rows[0][0] < low if not reverse else high is not None and rows[0][0] >= high):
            rows.popleft()
        yield from list(rows)
        if not self._is_all:
            if rows and reverse:
                high = rows[-1][0]
            elif rows:
                low = rows[-1][0] + b"\0"
            raise RowsAway(lambda then: self._fetch(low, high, reverse, then))

    def _fetch(self, low: bytes, high: bytes | None, reverse: bool, then: Fetched) -> None:
        def heard(rows: list[Row], is_all: bool, error: ApiError | None) -> None:
            if error is not None:
                then(error)
                return
            self._is_all = is_all
            if self._item_key is None or not rows:
                self._rows.extend(rows)
                then(None)
                return
            item_key = self._item_key
            self._fetch_items([item_key(key) for key, _ in rows], lambda items, error: had(rows, items, error))

        def had(rows: list[Row], items: dict[bytes, bytes], error: ApiError | None) -> None:
            if error is not None:
                then(error)
                return
            assert self._item_key is not None
            # An item may have gone since its index row was read: then that has gone too.
            self._items = items
            self._rows.extend(row for row in rows if self._item_key(row[0]) in items)
            then(None)

        self._fetch_range(low, high, reverse, heard)
