"""What a get finds, and how an application makes one value of several.

The ring reconciles what it can tell apart by descent. Values that nobody has seen together are left to the application
(section 4.4 of the paper): only it knows that two carts are merged by uniting them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce


@dataclass(frozen=True, slots=True)
class Sibling:
    value: bytes
    modified: float     # seconds since 1970, by the clock of the put's coordinator


# Given at least one; returns the one value that takes the place of all.
Reconcile = Callable[[Sequence[Sibling]], bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """`context` goes with the next put or delete of the key: what that replaces is what was found here.

    None if there never was anything. `siblings`: usually one; none if there is no such key.
    """

    siblings: tuple[Sibling, ...]
    context: str | None

    @property
    def values(self) -> tuple[bytes, ...]:
        return tuple(sibling.value for sibling in self.siblings)

    @property
    def value(self) -> bytes | None:
        """The only one, or None. Raises ValueError if there are several: they are for `reconciled`."""
        if len(self.siblings) > 1:
            raise ValueError(f"there are {len(self.siblings)} siblings: reconcile them")
        return self.siblings[0].value if self.siblings else None

    def reconciled(self, reconcile: Reconcile) -> bytes | None:
        """One value; None if there is none."""
        if not self.siblings:
            return None
        return self.siblings[0].value if len(self.siblings) == 1 else reconcile(self.siblings)


def last_write_wins(siblings: Sequence[Sibling]) -> bytes:
    """The newest by the clocks of the nodes; what the others say is lost. For sessions and caches."""
    return max(siblings, key=lambda sibling: (sibling.modified, sibling.value)).value


def merging(merge: Callable[[bytes, bytes], bytes]) -> Reconcile:
    """Of two values one, and of that and the next one, and so on. `merge` must not depend on the order."""
    return lambda siblings: reduce(merge, (sibling.value for sibling in siblings))
