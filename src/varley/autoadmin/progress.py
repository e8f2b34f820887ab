"""Whether a replica that is being built comes nearer to having everything: one that never will is given up.

A copy can come to a stop while its member is heard: the disk that it goes to is full, what gives it fails again and
again, a part of the taker hangs. Nobody would notice: the member counts as coming, takes a place among the copies that
may be under way, and no other is begun.

Time alone says nothing: a GB takes its minutes. So what counts is to be nearer than ever before: to lack fewer slots
than it ever did, or to have got more bytes of a state. A copy that begins again and again gets as far each time, and no
farther, and that is no progress. What it is given grows with the state, as after a new beginning all of it comes again.

Rejected: a rate that it must keep (a busy disk is no reason to begin again elsewhere); counting attempts (who takes a
state begins again by itself, and is right to).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

_STALL_SECONDS: Final = 120.0
_BYTES_PER_SECOND: Final = 2 * 1024 * 1024     # the slowest copy that may begin again once

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Copy:
    since: float            # it came nearer then, or was not heard until then
    lag: int | None         # the least that it ever was, slots; None: never known
    taken: int              # the most that it ever had, bytes


class Progress(Generic[Key]):
    """Of many copies. `now` is seconds that never go back."""

    def __init__(self, stall_seconds: float = _STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._copies: dict[Key, _Copy] = {}

    def look(self, key: Key, now: float, *, is_heard: bool, lag: int | None, taken: int) -> None:
        """How far one is: slots that it lacks, if that is known, and bytes of the state that it is being given."""
        copy = self._copies.setdefault(key, _Copy(now, lag, taken))
        is_nearer = taken > copy.taken or (lag is not None and (copy.lag is None or lag < copy.lag))
        if is_nearer or not is_heard:
            copy.since = now
        copy.taken = max(taken, copy.taken)
        copy.lag = copy.lag if lag is None else lag if copy.lag is None else min(lag, copy.lag)

    def has_stalled(self, key: Key, now: float, *, state_bytes: int) -> bool:
        """Whether it is in vain to wait for this one, whose group's state is so large."""
        copy = self._copies.get(key)
        return copy is not None and now - copy.since >= self._stall_seconds + state_bytes / _BYTES_PER_SECOND

    def forget(self, is_gone: Callable[[Key], bool]) -> None:
        self._copies = {key: copy for key, copy in self._copies.items() if not is_gone(key)}
