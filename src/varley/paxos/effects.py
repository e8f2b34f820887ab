"""What is to be done after a step, and in which order.

The order is the protocol: an acceptor that promises before it has written the promise down may, after a power cut,
promise the opposite. It is written here, on the fields, and whoever drives a replica keeps to it:

    1. `send_at_once` may go when it likes: nothing in it says that something is durable here.
    2. `persist` goes to the log, in order, behind the records of earlier steps.
    3. `send`, `apply`, `serving` and `reads` of a step wait until its records *and those of all earlier steps* are
       durable, also if the step has no records itself, and are done in the order of the steps.
    4. The rest tells the driver what has become of its requests, and takes effect at once.

Messages to the member itself are among those in `send`, and are to be delivered like others: that is how a leader's own
vote counts once its own disk has it, and not before; and why a leader whose disk hangs loses its lease.

What is applied is durable in the member's own log (3), so the state is never ahead of the log.
If a record cannot be written, the member is to be stopped: nothing says what the disk holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from varley.paxos.messages import AnyMessage, Entry
from varley.paxos.records import Record


@dataclass(frozen=True, slots=True)
class Proposed:
    """The values of a Propose stand at `first_slot` and the slots after it. Chosen is each when it comes in `apply`."""

    first_slot: int


@dataclass(frozen=True, slots=True)
class NotProposed:
    """They surely did not happen: this member does not lead in the ballot they were evaluated in."""

    leader: str | None      # who may, as far as known


@dataclass(frozen=True, slots=True)
class ReadAt:
    """The read may be computed once `slot` is applied. By lease (`is_leased`): `Replica.may_answer(ballot, now)` must
    be true *after* it was computed, with a time read after that; if not, the read begins again."""

    read: int
    slot: int
    ballot: int
    is_leased: bool


@dataclass(frozen=True, slots=True)
class NotRead:
    read: int
    leader: str | None


@dataclass(frozen=True, slots=True)
class Serving:
    """This member leads and may evaluate writes: over what is applied by now, which is all that there is. If the
    leadership was dropped while this waited, proposals are refused by their ballot."""

    ballot: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """It leads no longer. The speculative layer of that ballot goes: what was proposed and is not applied may happen or
    not, so its proposers are told that nobody knows."""

    ballot: int


class Effects(msgspec.Struct, frozen=True):
    persist: tuple[Record, ...]                         # first
    send_at_once: tuple[tuple[str, AnyMessage], ...]    # (to whom, what); need not wait for anything
    send: tuple[tuple[str, AnyMessage], ...]            # persist before send
    apply: tuple[tuple[int, Entry], ...]                # persist before apply; slots ascend by one, over all steps
    serving: Serving | None                             # after `apply`
    reads: tuple[ReadAt | NotRead, ...]                 # after `apply`
    proposed: Proposed | NotProposed | None             # the answer to a Propose
    refusal: str | None                                 # why a Reconfigure, a HandOver was refused; None: it was not
    dropped: Dropped | None                             # at once
    snapshots: tuple[str, ...]                          # members that need a snapshot of this one's state
    timers: int                                         # step(Tick(), now) is due at this time, if nothing comes before


class Outbox(msgspec.Struct):
    """The effects of the step that is under way."""

    persist: list[Record] = []
    send_at_once: list[tuple[str, AnyMessage]] = []
    send: list[tuple[str, AnyMessage]] = []
    apply: list[tuple[int, Entry]] = []
    serving: Serving | None = None
    reads: list[ReadAt | NotRead] = []
    proposed: Proposed | NotProposed | None = None
    refusal: str | None = None
    dropped: Dropped | None = None
    snapshots: list[str] = []

    def sealed(self, timers: int) -> Effects:
        return Effects(
            tuple(self.persist), tuple(self.send_at_once), tuple(self.send), tuple(self.apply), self.serving,
            tuple(self.reads), self.proposed, self.refusal, self.dropped, tuple(self.snapshots), timers,
        )  # fmt: skip
