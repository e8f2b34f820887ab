"""The coordinator of one transaction that writes: what happened goes in, what is to be done comes out.

             begin: prepare at every participant
               |
               +--- all have prepared ---> ledger: COMMITTING ---> commit at all ---> ledger: COMMITTED
               |
               +--- one refuses ---> cancel at all

The *ledger* decides: a transaction is to be committed from the moment on at which the ledger has COMMITTING, and what
it knows nothing of is to be cancelled (*presumed abort*). It takes a state only from one that it may follow
(`FOLLOWS`), and tells what it holds then: so two coordinators of one transaction, the first and one that was asked to
finish it, may run at the same time, and both do what was decided first. Whatever they repeat, participants notice that
it is over and do nothing (their answer is `done` all the same).

Whoever finishes what another has begun, and finds nothing in the ledger, writes CANCELLED there before anything else.
Story: 1. A has its last prepare acknowledged, and is cut off for a moment. 2. B meets the marker at participant P, and
asks the ledger, which knows of nothing. 3. B cancels at P. 4. A is back, has the ledger take COMMITTING, and has it
committed: at P it is gone, elsewhere it is not. B's CANCELLED stands between 3 and 4: A's COMMITTING is refused, and A
cancels too. So that record stays for as long as a message may be late (record.py).

Rejected: the paper's states PREPARING and CANCELLING in the ledger. A recovery cancels whatever it finds in them, which
is what it does when it finds nothing; each would be one more entry of the log for every transaction. What they tell
besides, which transactions are under way, the markers tell too.

Source: ATC 2023, sections 3.3 and 3.5; presumed abort: Mohan, Lindsay, Obermarck, "Transaction management in the R*
distributed database management system", TODS 11(4), 1986.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

P = TypeVar("P")    # what a participant is known by


class State(Enum):
    """What the ledger holds of a transaction."""

    COMMITTING = "COMMITTING"   # decided
    COMMITTED = "COMMITTED"     # every participant has done it
    CANCELLED = "CANCELLED"     # decided; nobody will find out later that it should have been done

    @property
    def is_over(self) -> bool:
        """Nothing depends on this record but what is told to who asks again."""
        return self is not State.COMMITTING


# What the ledger holds -> what it takes in its place. None: it knows nothing of the transaction. (COMMITTED at once is
# one of a single partition, where there is nothing to prepare: it was done in one slot.)
FOLLOWS: Final[dict[State | None, frozenset[State]]] = {
    None: frozenset(State),
    State.COMMITTING: frozenset((State.COMMITTED,)),
    State.COMMITTED: frozenset(),
    State.CANCELLED: frozenset(),
}


class Effects(NamedTuple, Generic[P]):
    """What is to be done now. Nothing of it has to wait for anything else of it."""

    prepare: tuple[P, ...] = ()         # then `prepared` or `refused`
    record: State | None = None         # ask the ledger for this; `recorded` tells what it holds then
    commit: tuple[P, ...] = ()          # then `done`
    cancel: tuple[P, ...] = ()          # then `done`
    outcome: State | None = None        # COMMITTED or CANCELLED: it is, everywhere. Told once


class _Phase(Enum):
    PREPARING = 1
    COMMITTING = 2
    CANCELLING = 3


_NOTHING: Final[Effects[P]] = Effects()  # type: ignore[valid-type]


class Coordinator(Generic[P]):
    """Each call tells what has happened, and gives what is to be done. Anything may be told twice, or late."""

    __slots__ = ("_done", "_is_over", "_participants", "_phase", "_prepared")

    def __init__(self, participants: Iterable[P]) -> None:
        self._participants = tuple(participants)
        self._phase = _Phase.PREPARING
        self._prepared: set[P] = set()
        self._done: set[P] = set()      # have done what was decided
        self._is_over = False           # `outcome` was told

    @property
    def is_over(self) -> bool:
        return self._is_over

    def begin(self) -> Effects[P]:
        return Effects(prepare=self._participants)

    def resume(self, found: State | None) -> Effects[P]:
        """Finish what another coordinator has begun; `found` is what the ledger holds."""
        if found is None:
            return Effects(record=State.CANCELLED)
        if found is State.COMMITTED:
            # Every participant has done its part. A marker that is there all the same was prepared twice.
            found = State.CANCELLED
        return self.recorded(found)

    def prepared(self, participant: P) -> Effects[P]:
        if self._phase is _Phase.CANCELLING:
            return Effects(cancel=(participant,))    # too late, and it must not stay
        if self._phase is _Phase.COMMITTING or participant in self._prepared:
            return _NOTHING
        self._prepared.add(participant)
        return Effects(record=State.COMMITTING) if len(self._prepared) == len(self._participants) else _NOTHING

    def refused(self, participant: P) -> Effects[P]:
        """It did not prepare, and will not."""
        assert participant not in self._prepared
        if self._phase is not _Phase.PREPARING:
            return _NOTHING
        self._phase = _Phase.CANCELLING
        return Effects(cancel=self._participants)

    def recorded(self, state: State) -> Effects[P]:
        """The ledger holds `state`, whoever wrote that."""
        if self._phase is not _Phase.PREPARING:
            return _NOTHING
        if state is State.CANCELLED:
            self._phase = _Phase.CANCELLING
            return self._finish() or Effects(cancel=self._participants)
        self._phase = _Phase.COMMITTING
        return self._finish() or Effects(commit=self._participants)

    def done(self, participant: P) -> Effects[P]:
        """It has committed or cancelled, as it was told; perhaps long ago."""
        self._done.add(participant)
        return self._finish() or _NOTHING

    def _finish(self) -> Effects[P] | None:
        """None: somebody is still to do its part, or all was told."""
        if self._is_over or len(self._done) < len(self._participants):
            return None
        assert self._phase is not _Phase.PREPARING
        self._is_over = True
        if self._phase is _Phase.CANCELLING:
            return Effects(outcome=State.CANCELLED)
        return Effects(record=State.COMMITTED, outcome=State.COMMITTED)
