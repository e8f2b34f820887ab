"""One put, at its coordinator: what happened goes in, what is to be done comes out.

    begin ──> stamp: the local store applies the put, durably ──> stamped
                 │
                 ├── store to the others of the first N that can be reached     (each: stored, or failed)
                 │        failed ──> the next node of the list, with a hint for the home it stands in for
                 │
                 ├── W have it, ourselves among them ──> Written, once
                 └── deadline, or nobody left to ask  ──> Unknown, once

The local store comes first, and is durable before anything is sent: it is what makes the dot ours. Story, if both
went at once: 1. X sends (X,5) to Y and crashes before its disk has it. 2. X is back, knows of (X,4), and gives (X,5)
to another put. 3. Y takes the two for one. (A node whose store can forget says so, `Stamp.remembers_since_us`, and
may be one of those whose write is not awaited: see docs/decisions/0074-what-a-store-may-forget.md.)

What is sent is the whole set that the store then holds, not the new version alone: see siblings.py.

W counts nodes, those that stand in included: the quorum is *sloppy* (section 4.6). So R + W > N does not promise that a
get sees the last put while homes are down: the W may be others than the R are among.

After the answer the rest goes on: all N are to have it, W is only what the client waits for. `is_over` when no node is
still awaited; the driver drops us then, or at a deadline of its own, and what is missing is anti-entropy's.

Refused is certain: nothing was stamped. Unknown is not a failure: it may be read later, and a put with the same context
afterwards makes a sibling at worst.

Source: sections 4.3, 4.5 and 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from varley.ring.preference_list import IsAlive, PreferenceList, Target, healthy
from varley.ring.siblings import Siblings, Stamp
from varley.ring.vector_clock import VectorClock


@dataclass(frozen=True)
class Written:
    """W nodes have it. `siblings`: what the coordinator holds now, which may be more than this put."""

    siblings: Siblings

    @property
    def context(self) -> VectorClock | None:
        """For the client's next put. None if there are versions that it has not seen: it has to get first.

        A clock cannot say "all of Sx's up to 5, but for 4": with the clock of this put alone, the next one would
        replace a sibling that is (Sx,4) and that its author never saw. A sibling with the bytes of this put it has
        seen, in effect: it is what it wrote, most likely in an attempt before this one.
        """
        return self.siblings.clock if len({version.value for version in self.siblings}) == 1 else None


@dataclass(frozen=True)
class Unknown:
    """Fewer than W answered. It may have been written, and be read later."""

    stored: frozenset[str]


@dataclass(frozen=True)
class Refused:
    """Fewer than W nodes could be reached, so nothing was begun."""

    reached: int


Outcome = Written | Unknown | Refused


class Effects(NamedTuple):
    """In this order."""

    stamp: tuple[Stamp, Target] | None = None   # apply it locally (as a hint, if the target says so), then `stamped`
    store: tuple[Target, ...] = ()              # send each `siblings`; then `stored` or `failed`
    outcome: Outcome | None = None              # tell the client. Once


class PutQuorum:
    """Names of nodes are counted, never answers: one that answers twice is one."""

    def __init__(self, stamp: Stamp, preference: PreferenceList, n: int, w: int, is_alive: IsAlive) -> None:
        assert 1 <= w <= n
        self._stamp = stamp
        self._own = stamp.node
        self._preference = preference
        self._n = n
        self._w = w
        self._is_alive = is_alive
        self._homes: dict[str, str] = {}        # who was asked -> the home that the copy is for, maybe itself
        self._stored: set[str] = set()
        self._failed: set[str] = set()
        self._is_answered = False
        self.siblings: Siblings | None = None   # what is sent; set once, by `stamped`

    def begin(self) -> Effects:
        targets = healthy(self._preference, self._n, self._reaches, must_have=self._own)
        if len(targets) < self._w:
            self._is_answered = True
            return Effects(outcome=Refused(len(targets)))
        self._homes = {target.node: target.hint_for or target.node for target in targets}
        return Effects(stamp=(self._stamp, self._target(self._own)))

    def stamped(self, siblings: Siblings) -> Effects:
        """Our own store has it. (If it fails there is no put: the driver reports that and drops us.)"""
        assert self.siblings is None, "a put is stamped once"
        self.siblings = siblings
        self._stored.add(self._own)
        return Effects(
            store=tuple(self._target(node) for node in self._homes if node != self._own), outcome=self._maybe_outcome()
        )

    def stored(self, node: str) -> Effects:
        """Also when it comes late, after `failed`: what is stored is stored."""
        assert node in self._homes, "nobody else was asked"
        self._stored.add(node)
        return Effects(outcome=self._maybe_outcome())

    def failed(self, node: str) -> Effects:
        """It refused, cannot be reached, or did not answer in the time that one replica is given."""
        if node in self._stored or node in self._failed:
            return Effects()
        self._failed.add(node)
        home = self._homes[node]
        untried = (other for other in self._preference if other not in self._homes and self._reaches(other))
        stand_in = next(untried, None)
        if stand_in is None:
            return Effects(outcome=self._maybe_outcome())
        self._homes[stand_in] = home
        return Effects(store=(self._target(stand_in),))

    def deadline(self) -> Effects:
        """The client waits no longer."""
        return Effects(outcome=self._answer(Unknown(frozenset(self._stored))))

    @property
    def is_alone(self) -> bool:
        """Once it has begun: nobody else can be reached, or is to have it."""
        return len(self._homes) == 1

    @property
    def is_over(self) -> bool:
        return self._is_answered and not self._awaited

    @property
    def _awaited(self) -> set[str]:
        return self._homes.keys() - self._stored - self._failed

    def _maybe_outcome(self) -> Outcome | None:
        if len(self._stored) >= self._w:
            assert self.siblings is not None
            return self._answer(Written(self.siblings))
        if not self._awaited:
            return self._answer(Unknown(frozenset(self._stored)))
        return None

    def _answer(self, outcome: Outcome) -> Outcome | None:
        if self._is_answered:
            return None
        self._is_answered = True
        return outcome

    def _target(self, node: str) -> Target:
        home = self._homes[node]
        return Target(node, None if home == node else home)

    def _reaches(self, node: str) -> bool:
        return node == self._own or self._is_alive(node)
