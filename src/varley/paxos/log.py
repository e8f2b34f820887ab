"""The entries that a member has: one stretch of slots, without holes, and the configurations in it.

    base            the slot before the first entry. What is up to there is chosen and in the state of full members
    base + 1 .. last

All entries are in memory: the store trims the log as checkpoints go on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from varley.paxos.membership import Configuration, decoded
from varley.paxos.messages import CONFIGURATION, Entry


class Log:
    __slots__ = ("_configurations", "_ends", "_entries", "base", "base_origin")

    def __init__(self) -> None:
        self.base = 0
        self.base_origin = 0
        self._entries: list[Entry] = []
        # Bytes of all values from some point on, up to and with that of the slot base + index: differences count.
        self._ends: list[int] = [0]
        # (slot from which on it is in force, configuration), ascending; the first one's slot <= base
        self._configurations: list[tuple[int, Configuration]] = [(0, Configuration())]

    @property
    def last(self) -> int:
        return self.base + len(self._entries)

    def entry(self, slot: int) -> Entry:
        assert self.base < slot <= self.last, (self.base, slot, self.last)
        return self._entries[slot - self.base - 1]

    def origin(self, slot: int) -> int | None:
        """The origin of the entry at `slot`; None if it is not known (any more)."""
        if slot == self.base:
            return self.base_origin
        return self.entry(slot).origin if self.base < slot <= self.last else None

    def after(self, slot: int, entries_max: int | None = None, bytes_max: int | None = None) -> tuple[Entry, ...]:
        """The entries after `slot`, at most so many, with at most so many bytes in their values; the first of them
        however large it is, unless `bytes_max` is 0 or less."""
        assert slot >= self.base, (slot, self.base)
        start = slot - self.base
        end = len(self._entries) if entries_max is None else min(start + entries_max, len(self._entries))
        if bytes_max is not None and self._ends[end] - self._ends[start] > bytes_max:
            fits = bisect_right(self._ends, self._ends[start] + bytes_max, start, end + 1) - 1
            end = fits if bytes_max <= 0 else max(fits, start + 1)
            end = max(end, start)
        return tuple(self._entries[start:end])

    def bytes_between(self, slot: int, last: int) -> int:
        """Of the values after `slot`, up to and with `last`; both are in the log."""
        assert self.base <= slot <= self.last and last <= self.last, (self.base, slot, last, self.last)
        return self._ends[last - self.base] - self._ends[slot - self.base]

    def bytes_after(self, slot: int) -> int:
        """Of the values after `slot`, as far as they are in the log."""
        return self._ends[-1] - self._ends[min(max(slot - self.base, 0), len(self._entries))]

    @property
    def configuration(self) -> Configuration:
        """The newest one, chosen or not."""
        return self._configurations[-1][1]

    @property
    def configuration_slot(self) -> int:
        return self._configurations[-1][0]

    def configuration_at(self, slot: int) -> Configuration:
        """The one in force there: what a snapshot that ends at `slot` carries."""
        return self.configuration_since(slot)[1]

    def configuration_since(self, slot: int) -> tuple[int, Configuration]:
        """(the slot from which on it is in force, the configuration in force at `slot`)."""
        for mark in reversed(self._configurations):
            if mark[0] <= slot:
                return mark
        raise AssertionError("a log begins with a configuration")

    def append(self, entries: Sequence[Entry]) -> None:
        ends = self._ends
        for entry in entries:
            self._entries.append(entry)
            ends.append(ends[-1] + len(entry.value))
            if entry.kind == CONFIGURATION:
                self._configurations.append((self.last, decoded(entry.value)))

    def cut(self, after: int) -> None:
        """Drop all entries after `after`."""
        assert after >= self.base, (after, self.base)
        del self._entries[after - self.base :]
        del self._ends[after - self.base + 1 :]
        while self._configurations[-1][0] > max(after, self._configurations[0][0]):
            self._configurations.pop()

    def rebase(self, slot: int, origin: int, configuration: Configuration) -> None:
        """Begin after `slot`; see records.Based."""
        assert slot >= self.base, (slot, self.base)
        if self.origin(slot) == origin:
            del self._entries[: slot - self.base]
            del self._ends[: slot - self.base]
            later = [mark for mark in self._configurations if mark[0] > slot]
        else:
            self._entries, self._ends, later = [], [0], []
        self.base, self.base_origin = slot, origin
        self._configurations = [(slot, configuration), *later]
