"""Chance, as the ring asks for it: a `random.Random` is one, and a test hands in a seeded one.

The ring names what it needs instead of importing `random`, so that nothing here can draw from the process's own
generator by mistake: a run that cannot be repeated from its seed cannot be explained either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Chance(Protocol):
    def choice(self, seq: Sequence[T], /) -> T:
        """One of them. IndexError if there is none."""

    def getrandbits(self, k: int, /) -> int:
        """A number of k bits."""
