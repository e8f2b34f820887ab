"""A transaction that reads: what was found goes in, and whether that is one state of all items comes out.

The items lie in several partitions, which are read one after the other, so what is read need not have been there at any
one moment. So they are read twice, in two rounds: the second begins when the first is complete. If nothing has changed
from one to the other, then all values were there together, at the moment between the rounds. An item that a transaction
is about to write may be committed elsewhere already: then the whole is refused.

An item that is not there has no timestamp that could show that it came and went between the rounds. It has that of the
last delete in its partition (node/participant.py), which such a delete moves.

A round that found changes is the first round of another attempt; after `ROUNDS_MAX` rounds the items are taken to
change too often. Nothing is written for all this: readers do not get in the way of writers.

Source: ATC 2023, section 3.4; sequence numbers of the log there are timestamps of the items here, which each
write moves as well, and which stay with an item when it moves to another partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from varley.node.participant import Version

ROUNDS_MAX: Final = 6


class Verdict(Enum):
    READ = "read"               # `values` were there at one moment
    AGAIN = "again"             # read all items once more
    CONFLICT = "conflict"       # `conflicts`: they are being written


class Reading:
    """One transaction. Each round tells of every item once, in any order."""

    __slots__ = ("_before", "_found", "_left", "_rounds", "conflicts", "values")

    def __init__(self, count: int) -> None:
        """`count`: how many items."""
        self._rounds = 0
        self._before: list[Version | None] = [None] * count    # by item, what the round before found
        self._found: list[Version | None] = [None] * count
        self._left = count
        self.conflicts: list[bool] = [False] * count
        self.values: list[bytes | None] = []    # stored values, by item; None: there is none

    def found(self, items: Iterable[tuple[int, Version]]) -> Verdict | None:
        """What a read has found of some items, by number. None: the round is not complete."""
        for number, version in items:
            assert self._found[number] is None, "one round tells of an item once"
            self._found[number] = version
            self._left -= 1
        return None if self._left else self._judge()

    def _judge(self) -> Verdict:
        versions = [version for version in self._found if version is not None]
        assert len(versions) == len(self._found)
        self.conflicts = [version.is_marked for version in versions]
        if any(self.conflicts):
            return Verdict.CONFLICT
        self._rounds += 1
        if self._rounds > 1:
            self.conflicts = [now != before for now, before in zip(versions, self._before, strict=True)]
            if not any(self.conflicts):
                self.values = [version.value for version in versions]
                return Verdict.READ
            if self._rounds == ROUNDS_MAX:
                return Verdict.CONFLICT
        self._before = self._found
        self._found = [None] * len(versions)
        self._left = len(versions)
        return Verdict.AGAIN
