"""The coordinator of one transaction that writes: what happened goes in, what is to be done comes out.

                      begin
                        |                 ledger: PREPARING, and at the same time prepare at every participant
                        v
                   PREPARING ---------------------------------- one refuses
                        |  all have prepared, the ledger has it      |
                        v                                            v
        ledger:    COMMITTING                                   CANCELLING      from here on there is no way back
                        |  commit at all participants                |  cancel at all participants
                        v                                            v
        ledger:    COMMITTED                                     CANCELLED      the paper's COMPLETED, by its outcome

The *ledger* decides. It takes a state only from one that it may follow (`FOLLOWS`), and tells what it holds then: so
two coordinators of one transaction, the first and one that was asked to finish it, may run at the same time, and both
do what was decided first. Whatever they repeat, participants notice that it is over and do nothing (their answer is
`done` all the same).

Why prepares need not wait for the ledger. Story: 1. A sends its prepares, and PREPARING to the ledger. 2. Participant P
has prepared; A is cut off before the ledger hears of it. 3. Somebody meets P's marker and asks the ledger, which knows
of nothing. Unknown means cancelled, but A may be alive, so that is written first: CANCELLING. 4. A is back, its
PREPARING arrives late and is refused: A learns that it is cancelled, and cancels. So the ledger keeps what was
cancelled for as long as a message may be late (record.py); without step 3's record A would go on and commit what P has
forgotten.

Left out of the paper's: resuming a transaction whose state is PREPARING by preparing again. It is cancelled: whoever
wanted it has been told that nobody knows, or is gone.

Source: ATC 2023, sections 3.3 and 3.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

P = TypeVar("P")    # what a participant is known by


class State(Enum):
    """Of a transaction, in the ledger."""

    PREPARING = "PREPARING"
    COMMITTING = "COMMITTING"
    CANCELLING = "CANCELLING"
    COMMITTED = "COMMITTED"
    CANCELLED = "CANCELLED"

    @property
    def is_over(self) -> bool:
        """Every participant has done its part."""
        return self in (State.COMMITTED, State.CANCELLED)


# What the ledger holds -> what it takes in its place. None: it knows nothing of the transaction. (COMMITTED at once is
# one of a single partition, where there is nothing to prepare: it was done in one slot.)
FOLLOWS: Final[dict[State | None, frozenset[State]]] = {
    None: frozenset((State.PREPARING, State.CANCELLING, State.COMMITTED)),
    State.PREPARING: frozenset((State.COMMITTING, State.CANCELLING)),
    State.COMMITTING: frozenset((State.COMMITTED,)),
    State.CANCELLING: frozenset((State.CANCELLED,)),
    State.COMMITTED: frozenset(),
    State.CANCELLED: frozenset(),
}


class Effects(NamedTuple, Generic[P]):
    """What is to be done now. Nothing of it has to wait for anything else of it."""

    record: State | None = None         # ask the ledger for this; `recorded` tells what it holds then
    prepare: tuple[P, ...] = ()         # then `prepared` or `refused`
    commit: tuple[P, ...] = ()          # then `done`
    cancel: tuple[P, ...] = ()          # then `done`
    outcome: State | None = None        # COMMITTED or CANCELLED: it is, everywhere. Told once


class Coordinator(Generic[P]):
    """Each call tells what has happened, and gives what is to be done. Anything may be told twice, or late."""

    __slots__ = ("_done", "_is_recorded", "_is_told", "_participants", "_prepared", "state")

    def __init__(self, participants: Iterable[P]) -> None:
        self._participants = tuple(participants)
        self._prepared: set[P] = set()
        self._done: set[P] = set()      # since the outcome was decided
        self._is_recorded = False       # the ledger has PREPARING
        self._is_told = False
        # As far as this coordinator knows; what the ledger holds is this, or what was asked of it, or later.
        self.state = State.PREPARING

    def begin(self) -> Effects[P]:
        return Effects(record=State.PREPARING, prepare=self._participants)

    def resume(self, found: State | None) -> Effects[P]:
        """Finish what another coordinator has begun; `found` is what the ledger holds."""
        if found in (None, State.PREPARING):
            return Effects(record=State.CANCELLING)
        if found is State.COMMITTED:
            # Every participant has done its part. A marker that is there all the same was prepared twice.
            found = State.CANCELLED
        assert found is not None
        return self.recorded(found)

    def recorded(self, state: State) -> Effects[P]:
        """The ledger holds `state`, whoever wrote that."""
        if state is State.PREPARING:
            self._is_recorded = True
            return self._decide()
        if self.state is not State.PREPARING:
            return Effects()
        if state in (State.COMMITTING, State.COMMITTED):
            self.state = State.COMMITTING
            return self._finish() or Effects(commit=self._participants)
        self.state = State.CANCELLING
        return self._finish() or Effects(cancel=self._participants)

    def prepared(self, participant: P) -> Effects[P]:
        if self.state in (State.CANCELLING, State.CANCELLED):
            return Effects(cancel=(participant,))    # too late, and it must not stay
        self._prepared.add(participant)
        return self._decide()

    def refused(self, participant: P) -> Effects[P]:
        """It did not prepare, and will not."""
        assert participant not in self._prepared
        return Effects(record=State.CANCELLING) if self.state is State.PREPARING else Effects()

    def done(self, participant: P) -> Effects[P]:
        """It has committed or cancelled, as it was told; perhaps long ago."""
        self._done.add(participant)
        return self._finish() or Effects()

    def _decide(self) -> Effects[P]:
        is_ready = self._is_recorded and self._prepared.issuperset(self._participants)
        if is_ready and self.state is State.PREPARING:
            return Effects(record=State.COMMITTING)
        return Effects()

    def _finish(self) -> Effects[P] | None:
        """None: somebody is still to do its part, or all was told."""
        if self._is_told or not self._done.issuperset(self._participants):
            return None
        assert self.state in (State.COMMITTING, State.CANCELLING)
        self._is_told = True
        self.state = State.COMMITTED if self.state is State.COMMITTING else State.CANCELLED
        return Effects(record=self.state, outcome=self.state)
