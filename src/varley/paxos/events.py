"""What can happen to a member. One of these and the time is what a step takes."""

from __future__ import annotations

from dataclasses import dataclass

from varley.paxos.membership import Configuration, Member
from varley.paxos.messages import AnyMessage


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that `Effects.timers` named has come. Earlier or later does no harm."""


@dataclass(frozen=True, slots=True)
class Received:
    sender: str
    message: AnyMessage


@dataclass(frozen=True, slots=True)
class Propose:
    """Give these values the next slots. They were evaluated under the leadership of `ballot`: if that was lost, they
    are refused, also if it was won again since."""

    ballot: int
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """When may a strong read be computed? `by_lease` False: ask a quorum, whatever the clocks say."""

    read: int           # any number; the effect repeats it
    by_lease: bool


@dataclass(frozen=True, slots=True)
class HandOver:
    """Let this member lead, without waiting for a lease to end."""

    to: str


@dataclass(frozen=True, slots=True)
class AddLearner:
    member: Member


@dataclass(frozen=True, slots=True)
class Promote:
    name: str


@dataclass(frozen=True, slots=True)
class Remove:
    name: str


@dataclass(frozen=True, slots=True)
class Replace:
    name: str
    member: Member


Change = AddLearner | Promote | Remove | Replace


@dataclass(frozen=True, slots=True)
class Reconfigure:
    change: Change


@dataclass(frozen=True, slots=True)
class SnapshotInstalled:
    """The state up to `slot` is durable here, with what the snapshot carried: the origin of the slot's entry and the
    configuration in force. Given only if `slot` is above `Replica.chosen`, and again after a restart if the log does
    not reach it."""

    slot: int
    origin: int
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Trim:
    """The state up to `slot` is durable here (a log member has none). `archived`: so far the log is kept elsewhere, for
    ever."""

    slot: int
    archived: int = 0


Event = Tick | Received | Propose | Read | HandOver | Reconfigure | SnapshotInstalled | Trim
