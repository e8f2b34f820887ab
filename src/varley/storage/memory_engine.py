"""The engine of a server that keeps nothing (`--in-memory`): rows of past checkpoints, in memory.

It exists so that a tree without a disk is the same tree: the overlay still ends as rows of an engine and its
tombstones go away, by the same calls from the same threads.

The checkpoint thread writes while the loop reads. A row that is being written is hidden by the frozen overlay, so
it does not matter which version a reader meets; what matters is that the sorted keys do not change under an
iterator. So both sides take a lock, a write for a few rows at a time, a read for a block of rows at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from threading import Lock
from typing import Final

from sortedcontainers import SortedList

from varley.storage.tree import NOTHING, Applied, Entry, first_rows

_BLOCK_ROWS: Final = 128    # how many rows a range read takes at once


class MemoryEngine:
    """See tree.Engine."""

    __slots__ = ("_is_closed", "_keys", "_lock", "_rows", "applied", "has_partial_checkpoint")

    def __init__(self) -> None:
        self.applied: Applied = NOTHING
        self.has_partial_checkpoint = False     # nothing outlives the process, so nobody will ask
        self._rows: dict[bytes, bytes] = {}
        self._keys: SortedList[bytes] = SortedList()    # the keys of _rows, whenever _lock is free
        self._lock = Lock()
        self._is_closed = False

    def get(self, key: bytes) -> bytes | None:
        return self._rows.get(key)

    def scan(self, low: bytes, high: bytes | None, reverse: bool) -> Iterator[Entry]:
        assert not self._is_closed, "the tree is closed"
        rows, inclusive = self._rows, (True, False)
        while True:
            with self._lock:
                keys = islice(self._keys.irange(low, high, inclusive, reverse), _BLOCK_ROWS)
                block = [(key, rows[key]) for key in keys]
            yield from block
            if len(block) < _BLOCK_ROWS:
                return
            if reverse:
                high = block[-1][0]
            else:
                low, inclusive = block[-1][0], (False, False)

    def reserve(self, rows: int, size: int) -> None:
        pass

    def write(self, rows: Iterator[tuple[bytes, bytes | None]], applied: Applied | None) -> None:
        for key, value in rows:
            with self._lock:
                if key not in self._rows:
                    if value is not None:
                        self._keys.add(key)
                        self._rows[key] = value
                elif value is not None:
                    self._rows[key] = value
                else:
                    del self._rows[key]
                    self._keys.remove(key)
        if applied is not None:
            self.applied = applied

    def renew(self) -> None:
        pass

    def snapshot(self) -> MemorySnapshot:
        with self._lock:
            return MemorySnapshot(self.applied, [(key, self._rows[key]) for key in self._keys])

    def close(self) -> None:
        self._is_closed = True


class MemorySnapshot:
    """See tree.EngineSnapshot."""

    def __init__(self, applied: Applied, rows: list[Entry]) -> None:
        self.applied = applied
        self._rows = rows

    def rows(self, after: bytes, bytes_max: int) -> list[Entry]:
        start = bisect_right(self._rows, after, key=_key_of)
        return first_rows(iter(self._rows[start:]), bytes_max)

    def close(self) -> None:
        self._rows = []


def _key_of(row: Entry) -> bytes:
    return row[0]
