"""Whether something may be relied on, judged over time: a node, or the link from a leader to a member.

One look does not tell a restart from a loss, nor a node that is back from one that comes and goes. So what was not
well is trusted again only after it has been well for a while, twice as long each time it failed not long ago; and what
has not been trusted for much longer than a loss takes is lost too, though it may answer at this moment. Otherwise a
node that goes away for six seconds in every twenty would have a thousand votes taken and given for ever.

It is not to wait for long either. Until it is trusted, one that has everything has no vote, and somebody who has no
state votes in its place: the group can write, and is one full replica short. So the doubling stops early, at four times
(40 s), and failures are forgotten after five minutes. What fails more seldom than that costs each of its groups a vote
taken and given every 40 s, which is two entries of a log. Once it was sixteen times, and fifteen minutes: after a game
day groups waited for minutes for a vote that nothing stood against.

A judge that has just begun trusts what is well at its first look: its predecessor's doubts are forgotten, which costs
some steps too many, once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from varley.autoadmin.view import Condition

_FLAPS_REMEMBERED_SECONDS: Final = 300.0
_DOUBLINGS_MAX: Final = 2
_DOUBTED_FACTOR: Final = 5      # in doubt for so many times the patience for a loss: lost

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Trust:
    """Seconds."""

    lost_seconds: float = 60.0      # not well for so long
    trust_seconds: float = 10.0     # well for so long after a failure; doubled for each that is remembered


class _Trail:
    """What is remembered of one."""

    __slots__ = ("changed_at", "doubted_since", "failures", "is_well")

    def __init__(self, is_well: bool, now: float) -> None:
        self.is_well = is_well
        self.changed_at = now
        self.doubted_since: float | None = None if is_well else now
        self.failures: list[float] = [] if is_well else [now]


class Health(Generic[Key]):
    """Of many. `now` is seconds that never go back."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._trails: dict[Key, _Trail] = {}

    def look(self, well: Mapping[Key, bool], now: float) -> None:
        """Take in how each is now. One that is not named is as it was."""
        for key, is_well in well.items():
            trail = self._trails.get(key)
            if trail is None:
                self._trails[key] = _Trail(is_well, now)
                continue
            if is_well != trail.is_well:
                trail.is_well, trail.changed_at = is_well, now
                if not is_well:
                    trail.failures = [*(at for at in trail.failures if now - at < _FLAPS_REMEMBERED_SECONDS), now]
                    trail.doubted_since = now if trail.doubted_since is None else trail.doubted_since
            if is_well and now - trail.changed_at >= self._needed(trail, now):
                trail.doubted_since = None

    def condition(self, key: Key, now: float) -> Condition:
        """What was never looked at is lost: nobody knows anything good of it."""
        trail = self._trails.get(key)
        if trail is None:
            return Condition.LOST
        if trail.doubted_since is None:
            return Condition.TRUSTED
        lost_seconds = self._trust.lost_seconds
        if now - trail.doubted_since >= lost_seconds * _DOUBTED_FACTOR:
            return Condition.LOST
        if trail.is_well:
            return Condition.RETURNED
        return Condition.LOST if now - trail.changed_at >= lost_seconds else Condition.AWAY

    def known(self) -> frozenset[Key]:
        return frozenset(self._trails)

    def forget(self, is_gone: Callable[[Key], bool]) -> None:
        self._trails = {key: trail for key, trail in self._trails.items() if not is_gone(key)}

    def _needed(self, trail: _Trail, now: float) -> float:
        recent = sum(1 for at in trail.failures if now - at < _FLAPS_REMEMBERED_SECONDS)
        return float(self._trust.trust_seconds * 2 ** min(max(0, recent - 1), _DOUBLINGS_MAX))
