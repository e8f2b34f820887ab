"""One get, at the node that received it: what happened goes in, what is to be done comes out.

    begin ──> fetch from the first N that can be reached      (each: fetched, or failed)
                 failed ──> the next node of the list: it may hold what a home missed
                 │
                 ├── R have answered ──> Found, once; then *linger* for the others
                 ├── deadline, or nobody left to ask ──> NotEnough, once
                 │
              linger is over, or all have answered ──> repair: the homes that lacked something get all of it

Versions are reconciled by descent; those left are all returned, with a context that descends from each of them. An
answer of nothing is an answer. The repair comes after the reply, so that no client waits for it, and holds what came
late as well. It carries the whole set and is merged where it arrives: so it can be late, lost or repeated.

Not repaired are nodes that stand in: what they lack is none of theirs.

Source: section 5, "Request coordination": the state machine is described there step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from varley.ring.preference_list import IsAlive, PreferenceList, healthy
from varley.ring.siblings import NONE, Context, Mode, Siblings, reconcile


@dataclass(frozen=True)
class Found:
    """R nodes answered. `siblings` may hold nothing, or tombstones only: then there is no such key."""

    siblings: Siblings
    context: Context


@dataclass(frozen=True)
class NotEnough:
    """Fewer than R answered. Nothing was changed: the client may ask again."""

    answered: frozenset[str]


Outcome = Found | NotEnough


class Repair(NamedTuple):
    node: str
    siblings: Siblings


class Effects(NamedTuple):
    """Nothing of it waits for anything else of it."""

    fetch: tuple[str, ...] = ()         # ask each what it holds; then `fetched` or `failed`
    outcome: Outcome | None = None      # tell the client. Once
    repair: tuple[Repair, ...] = ()     # send, and expect nothing


class GetQuorum:
    def __init__(
        self, own: str, preference: PreferenceList, n: int, r: int, is_alive: IsAlive, mode: Mode = Mode.SIBLINGS
    ) -> None:
        assert 1 <= r <= n
        self._own = own
        self._preference = preference
        self._n = n
        self._r = r
        self._is_alive = is_alive
        self._mode = mode
        self._asked: set[str] = set()
        self._failed: set[str] = set()
        self._answers: dict[str, Siblings] = {}     # in the order in which they came
        self._is_answered = False
        self._is_repaired = False

    def begin(self) -> Effects:
        nodes = tuple(target.node for target in healthy(self._preference, self._n, self._reaches))
        if len(nodes) < self._r:
            return Effects(outcome=self._answer(NotEnough(frozenset())))
        self._asked.update(nodes)
        return Effects(fetch=nodes)

    def fetched(self, node: str, siblings: Siblings) -> Effects:
        assert node in self._asked, "nobody else was asked"
        self._answers.setdefault(node, siblings)
        return self._next()

    def failed(self, node: str) -> Effects:
        """It refused, cannot be reached, or did not answer in the time that one replica is given."""
        if node in self._failed or node in self._answers:
            return Effects()
        self._failed.add(node)
        other = next((node for node in self._preference if node not in self._asked and self._reaches(node)), None)
        if other is None or self._is_answered:
            return self._next()
        self._asked.add(other)
        return Effects(fetch=(other,))

    def deadline(self) -> Effects:
        """The client waits no longer."""
        return Effects(outcome=self._answer(NotEnough(frozenset(self._answers))))

    def linger_is_over(self) -> Effects:
        """Late answers were waited for long enough."""
        return Effects(repair=self._repairs())

    @property
    def is_over(self) -> bool:
        return self._is_repaired

    def _next(self) -> Effects:
        outcome: Outcome | None = None
        is_complete = not self._asked - self._answers.keys() - self._failed
        if len(self._answers) >= self._r:
            outcome = self._answer(self._found())
        elif is_complete:
            outcome = self._answer(NotEnough(frozenset(self._answers)))
        return Effects(outcome=outcome, repair=self._repairs() if is_complete else ())

    def _found(self) -> Found:
        siblings = reconcile(self._answers.values(), self._mode)
        homes = self._preference[: self._n]
        fastest = next((node for node in self._answers if node in homes), None)
        return Found(siblings, Context(siblings.clock, fastest))

    def _repairs(self) -> tuple[Repair, ...]:
        if self._is_repaired:
            return ()
        self._is_repaired = True
        newest = reconcile(self._answers.values(), self._mode)
        if newest == NONE:
            return ()
        homes = self._preference[: self._n]
        return tuple(
            Repair(node, newest) for node, held in self._answers.items() if node in homes and held != newest
        )

    def _answer(self, outcome: Outcome) -> Outcome | None:
        if self._is_answered:
            return None
        self._is_answered = True
        return outcome

    def _reaches(self, node: str) -> bool:
        return node == self._own or self._is_alive(node)
