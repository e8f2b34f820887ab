"""Hinted handoff: what a node keeps for a home that was down, and brings to it when it is back.

A hinted replica lies in a store of its own, apart from the rows that the node is home of: it is scanned from time to
time, belongs to no hash tree, and is deleted once it is delivered (section 4.6). Two puts of one key for one home are
one hint: the sets are merged.

Delivery of one node's hints, `HintDelivery`, is given a scan of the store and keeps at most WINDOW of them under way,
so that a home that comes back is not buried. Each is deleted by *digest*: the store deletes the row only if it still
holds what was delivered. Story, without: 1. A hint of D for A is on its way. 2. A fails once more, and D takes
another put of the key, merged into the hint. 3. A's acknowledgement of the first arrives, and D deletes both.

If the home has left the ring, or is no longer the key's, the hint goes to all who are homes now, and is deleted when
each has it. The same is done with rows that became somebody else's (transfer.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from varley.ring.preference_list import PreferenceList

WINDOW = 16     # hints under way to one home: a guess that keeps both disks busy and neither queue long


class Hint(NamedTuple):
    """A row of the hint store, known by (home, key)."""

    home: str
    key: bytes
    digest: bytes   # of the set it holds


def receivers(home: str, homes: PreferenceList) -> PreferenceList:
    """To whom a hint for `home` goes, now that these are the key's homes."""
    return (home,) if home in homes else homes


class Effects(NamedTuple):
    """Nothing of it waits for anything else of it."""

    deliver: tuple[tuple[str, Hint], ...] = ()  # to whom, which; then `delivered` or `failed`
    delete: tuple[Hint, ...] = ()               # if the row still has this digest


class HintDelivery:
    """One pass over the hints for one home. The next pass finds what this one left."""

    def __init__(self, hints: Iterable[tuple[Hint, PreferenceList]], window: int = WINDOW) -> None:
        """Each hint with its receivers; a hint without any (a ring without members) stays."""
        self._waiting = [(hint, frozenset(nodes)) for hint, nodes in hints if nodes]
        self._waiting.reverse()
        self._window = window
        self._lacking: dict[Hint, set[str]] = {}    # under way -> those that have not acknowledged it

    def begin(self) -> Effects:
        return Effects(deliver=self._fill())

    def delivered(self, node: str, hint: Hint) -> Effects:
        """It has it, durably."""
        lacking = self._lacking.get(hint)
        if lacking is None or node not in lacking:
            return Effects()    # told twice, or after the pass was broken off
        lacking.discard(node)
        if lacking:
            return Effects()
        del self._lacking[hint]
        return Effects(deliver=self._fill(), delete=(hint,))

    def failed(self) -> Effects:
        """A receiver is down again: nothing more is sent; what is under way may still be acknowledged."""
        self._waiting.clear()
        return Effects()

    @property
    def is_over(self) -> bool:
        return not self._waiting and not self._lacking

    def _fill(self) -> tuple[tuple[str, Hint], ...]:
        send: list[tuple[str, Hint]] = []
        while self._waiting and len(self._lacking) < self._window:
            hint, nodes = self._waiting.pop()
            self._lacking[hint] = set(nodes)
            send += ((node, hint) for node in sorted(nodes))
        return tuple(send)
