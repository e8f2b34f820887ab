"""Items and bytes of partitions that are elsewhere: what DescribeTable adds up.

The service counts a table's items every six hours or so ([API] DescribeTable, ItemCount); here the count of a partition
that is on this node is exact, and that of another is asked for when somebody wants to know it, and kept for some
seconds. Until the first answer it is nothing: whoever must not show that waits for `refresh`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from varley.clock import Clock
from varley.item.key_bytes import TALLY_SPACE
from varley.node.settled import Done, after_calls

KEPT_SECONDS: Final = 2.0


class Sum(NamedTuple):
    """Of one partition."""

    items: int
    size_bytes: int     # DynamoDB bytes
    tallies: bytes      # the stored row of its local indexes' sizes; b"" if it has none


_NOTHING: Final = Sum(0, 0, b"")


class Sums:
    """Used from the event loop only."""

    def __init__(self, clock: Clock, fetch: Callable[[int, Callable[[Sum | None], None]], None]) -> None:
        """`fetch(group, then)` asks whoever has the group; None: nobody could be reached."""
        self._clock = clock
        self._fetch = fetch
        self._known: dict[int, tuple[float, Sum]] = {}     # group -> when it was heard, and what

    def of(self, group: int) -> Sum:
        known = self._known.get(group)
        return _NOTHING if known is None else known[1]

    def tallies(self, group: int, key: bytes) -> bytes | None:
        """The row of TALLY_SPACE as it was last heard; None: it is another row that is asked for."""
        return self.of(group).tallies if key == TALLY_SPACE else None

    def refresh(self, groups: Iterable[int], then: Done) -> None:
        """Ask for those that are not known, or were heard of too long ago; `then` is called when all have answered."""
        now = self._clock.monotonic()
        old = [each for each in groups if each not in self._known or self._known[each][0] + KEPT_SECONDS <= now]
        if not old:
            then(None)
            return
        done = after_calls(len(old), then)

        def heard(group: int, found: Sum | None) -> None:
            if found is not None:
                self._known[group] = self._clock.monotonic(), found
            done(None)

        for group in old:
            self._fetch(group, partial(heard, group))

    def forget(self, group: int) -> None:
        self._known.pop(group, None)
