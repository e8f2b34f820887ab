"""What the hot path counts by table: plain numbers, read only when somebody asks.

A metrics library that locks, looks up label sets and formats costs more than a GetItem may. So the hot path
adds to attributes of an object, on the one thread of the event loop, and everything else (names, labels,
text) happens on a scrape, in admin/metrics.py. What is counted by operation alone is the front door's
(http/traffic.py).

    counts = counters.of("GetItem", "Music")        # one dict look-up
    counts.consumed_read_units += 0.5

Rejected: one counter object per metric and label set (several look-ups per request instead of one).
"""

from __future__ import annotations

from collections.abc import Iterator


class TableCounters:
    """Counts of one operation on one table or index. All only ever grow."""

    __slots__ = ("consumed_read_units", "consumed_write_units", "returned_items")

    def __init__(self) -> None:
        self.consumed_read_units = 0.0
        self.consumed_write_units = 0.0
        self.returned_items = 0         # by Query and Scan


class Counters:
    """All table counters of one server."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str, str], TableCounters] = {}

    def of(self, operation: str, table: str, index: str = "") -> TableCounters:
        """Only for tables that exist: a name that a client made up would stay here for ever."""
        key = (operation, table, index)
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = TableCounters()
        return found

    def forget_table(self, table: str) -> None:
        """The table is deleted: its series end, so that tables made and deleted by tests do not pile up."""
        for key in [key for key in self._by_key if key[1] == table]:
            del self._by_key[key]

    def forget_index(self, table: str, index: str) -> None:
        """The same of an index."""
        for key in [key for key in self._by_key if key[1:] == (table, index)]:
            del self._by_key[key]

    def __iter__(self) -> Iterator[tuple[tuple[str, str, str], TableCounters]]:
        """((operation, table, index), counters), in the order of the keys."""
        return iter(sorted(self._by_key.items(), key=lambda entry: entry[0]))
