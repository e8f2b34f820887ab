"""A world for coordinators: a ledger, participants, and messages that are late, come twice, or never.

The ledger and the participants here are as small as they can be and keep nothing but what is durable; what is looked at
is the coordinators between them. A coordinator may be cut off at any moment, and another one asked to finish.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from varley.transactions.coordinator import FOLLOWS, Coordinator, Effects, State


class Participant:
    """Holds one item, of which only is known whether the transaction has written it."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.has_marker = False
        self.writes = 0             # how often the item was written by the transaction
        self.is_passed = False      # the item's timestamp has reached the transaction's: it is accepted no more

    def prepare(self) -> bool:
        if self.has_marker:
            return True
        if self.refuses or self.is_passed:
            return False
        self.has_marker = True
        return True

    def commit(self) -> None:
        if self.has_marker:
            self.has_marker = False
            self.is_passed = True
            self.writes += 1

    def cancel(self) -> None:
        self.has_marker = False


class Ledger:
    def __init__(self) -> None:
        self.state: State | None = None

    def ask(self, wanted: State) -> State:
        """As transactions.ledger: what is held afterwards."""
        if wanted in FOLLOWS[self.state]:
            self.state = wanted
        return State.CANCELLED if self.state is None else self.state


class LedgerThatForgets(Ledger):
    """The planted mistake: it takes a decision back."""

    def ask(self, wanted: State) -> State:
        self.state = wanted
        return wanted


class HastyCoordinator(Coordinator[int]):
    """The planted mistake: it has the ledger decide before all have prepared."""

    def prepared(self, participant: int) -> Effects[int]:
        effects = super().prepared(participant)
        return Effects(record=State.COMMITTING) if len(self._prepared) == 1 else effects


class SureCoordinator(Coordinator[int]):
    """The planted mistake: asked to finish what the ledger does not know, it cancels without saying so."""

    def resume(self, found: State | None) -> Effects[int]:
        return super().resume(found or State.CANCELLED)


@dataclass
class World:
    """`messages` are on their way: calling one delivers it. Whoever runs the world decides which, and how often."""

    refusing: list[bool]
    make: Callable[[range], Coordinator[int]] = Coordinator
    ledger: Ledger = field(default_factory=Ledger)
    messages: list[Callable[[], None]] = field(default_factory=list)
    coordinators: list[Coordinator[int]] = field(default_factory=list)
    cut_off: set[int] = field(default_factory=set)      # coordinators that hear and say nothing more
    outcomes: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.participants = [Participant(refuses=each) for each in self.refusing]

    def begin(self) -> None:
        self._perform(self._new(), lambda coordinator: coordinator.begin())

    def recover(self) -> None:
        """Somebody has met a marker, or a record that is not over, and asks for the transaction to be finished."""
        number = self._new()
        found = self.ledger.state
        self.messages.append(lambda: self._perform(number, lambda coordinator: coordinator.resume(found)))

    def _new(self) -> int:
        self.coordinators.append(self.make(range(len(self.participants))))
        return len(self.coordinators) - 1

    def _perform(self, number: int, tell: Callable[[Coordinator[int]], Effects[int]]) -> None:
        if number in self.cut_off:
            return
        effects = tell(self.coordinators[number])
        for participant in effects.prepare:
            self.messages.append(lambda participant=participant: self._prepare(number, participant))
        if effects.record is not None:
            wanted = effects.record
            self.messages.append(lambda: self._ask(number, wanted))
        for participant in effects.commit:
            self.messages.append(lambda participant=participant: self._end(number, participant, is_commit=True))
        for participant in effects.cancel:
            self.messages.append(lambda participant=participant: self._end(number, participant, is_commit=False))
        if effects.outcome is not None:
            self.outcomes.append(effects.outcome)

    def _prepare(self, number: int, participant: int) -> None:
        has_prepared = self.participants[participant].prepare()
        told = (lambda c: c.prepared(participant)) if has_prepared else (lambda c: c.refused(participant))
        if not has_prepared and participant in self.coordinators[number]._prepared:
            return    # a repeated prepare came after the commit: whoever repeats does not listen
        self.messages.append(lambda: self._answer(number, participant, told, has_prepared))

    def _answer(
        self, number: int, participant: int, told: Callable[[Coordinator[int]], Effects[int]], has_prepared: bool
    ) -> None:
        if not has_prepared and participant in self.coordinators[number]._prepared:
            return
        self._perform(number, told)

    def _ask(self, number: int, wanted: State) -> None:
        held = self.ledger.ask(wanted)
        self.messages.append(lambda: self._perform(number, lambda coordinator: coordinator.recorded(held)))

    def _end(self, number: int, participant: int, *, is_commit: bool) -> None:
        if is_commit:
            self.participants[participant].commit()
        else:
            self.participants[participant].cancel()
        self.messages.append(lambda: self._perform(number, lambda coordinator: coordinator.done(participant)))

    # Judging

    def check(self) -> None:
        """What must hold at any moment."""
        assert len(set(self.outcomes)) <= 1, "two coordinators have told different ends"
        assert all(each.writes <= 1 for each in self.participants), "an item was written twice"
        if State.COMMITTED in self.outcomes:
            assert all(each.writes == 1 for each in self.participants), "told as committed, and not done everywhere"
        if State.CANCELLED in self.outcomes:
            assert not any(each.writes for each in self.participants), "told as cancelled, and done somewhere"
        if any(each.writes for each in self.participants):
            assert not any(each.refuses for each in self.participants), "done though somebody had refused"

    def settle(self) -> None:
        """Deliver everything, and finish what is left, until nothing is."""
        for _ in range(100):
            while self.messages:
                self.messages.pop(0)()
                self.check()
            if not any(each.has_marker for each in self.participants) and self.ledger.state is not State.COMMITTING:
                break
            self.recover()
        assert not any(each.has_marker for each in self.participants), "a marker stays for ever"
        written = [each.writes for each in self.participants]
        assert sum(written) in (0, len(written)), "some items were written and others not"
        self.check()
