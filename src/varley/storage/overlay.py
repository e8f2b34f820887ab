"""Rows that are applied and not yet checkpointed, in memory: found by key, and read in order.

Nearly every write is followed by no range read at all, so order is not kept but made when somebody asks for it:
a new key goes to the end of an unsorted list, and the first range read after it merges that list into the sorted
keys. A write thus costs one store into a dict and one append. A sorted container that is always in order was
rejected: it costs ten times as much per write, and buys nothing until a range is read.

A deleted row stays as a tombstone (None), because it hides the row that lies in a layer below.
"""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedList

# What CPython spends on one row apart from the bytes of its key and its value: the headers of two bytes objects
# (33 bytes each), a dict entry at the usual load (about 50), places in the lists (16). Measured: 120 to 160.
ROW_OVERHEAD_BYTES = 140


class Overlay:
    """One layer of rows. Not thread-safe, but once nobody calls `put` any more, `rows` may be read by any thread."""

    __slots__ = ("_sorted", "_unsorted", "bytes", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}       # key -> stored value, None: the row is deleted
        self.bytes = 0                                  # about the memory this layer takes
        self._sorted: SortedList[bytes] = SortedList()  # _sorted and _unsorted: each key of rows once, in one of them
        self._unsorted: list[bytes] = []

    def put(self, key: bytes, value: bytes | None) -> None:
        """The row at `key` is `value` now; None: it is deleted."""
        rows = self.rows
        if key in rows:
            prior = rows[key]
            if prior is not None:
                self.bytes -= len(prior)
        else:
            self._unsorted.append(key)
            self.bytes += len(key) + ROW_OVERHEAD_BYTES
        rows[key] = value
        if value is not None:
            self.bytes += len(value)

    def range(self, low: bytes, high: bytes | None, reverse: bool) -> Iterator[tuple[bytes, bytes | None]]:
        """The rows of [low, high) in order, tombstones too. `high` None: to the end."""
        if self._unsorted:
            self._sorted.update(self._unsorted)
            self._unsorted.clear()
        rows = self.rows
        for key in self._sorted.irange(low, high, (True, False), reverse):
            yield key, rows[key]

    def free(self, rows_max: int) -> bool:
        """Forget up to `rows_max` rows; True: there are more. For a layer that nobody reads any more.

        Python frees 100,000 rows in 20 ms and lets no other thread run meanwhile; this frees them piece by piece.
        """
        for _ in range(min(rows_max, len(self.rows))):
            self.rows.popitem()
        del self._unsorted[-rows_max:]
        for _ in range(min(rows_max, len(self._sorted))):
            self._sorted.pop()
        return bool(self.rows or self._unsorted or self._sorted)
