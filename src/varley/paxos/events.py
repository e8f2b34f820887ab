"""What can happen to a member. One of these and the time is what a step takes. (Structs of msgspec, since there are
thousands in a second, and frozen dataclasses take four times as long to make.)"""

from __future__ import annotations

import msgspec

from varley.paxos.membership import Configuration, Member
from varley.paxos.messages import AnyMessage


class Tick(msgspec.Struct, frozen=True):
    """The time that `Effects.timers` named has come. Earlier or later does no harm."""


class Received(msgspec.Struct, frozen=True):
    sender: str
    message: AnyMessage


class Propose(msgspec.Struct, frozen=True):
    """Give these values the next slots. They were evaluated under the leadership of `ballot`: if that was lost, they
    are refused, also if it was won again since."""

    ballot: int
    values: tuple[bytes, ...]


class Read(msgspec.Struct, frozen=True):
    """When may a strong read be computed? `by_lease` False: ask a quorum, whatever the clocks say."""

    read: int           # any number; the effect repeats it
    by_lease: bool


class HandOver(msgspec.Struct, frozen=True):
    """Let this member lead, without waiting for a lease to end."""

    to: str


class AddLearner(msgspec.Struct, frozen=True):
    member: Member


class Promote(msgspec.Struct, frozen=True):
    name: str


class Remove(msgspec.Struct, frozen=True):
    name: str


class Replace(msgspec.Struct, frozen=True):
    name: str
    member: Member


Change = AddLearner | Promote | Remove | Replace


class Reconfigure(msgspec.Struct, frozen=True):
    change: Change


class SnapshotInstalled(msgspec.Struct, frozen=True):
    """The state up to `slot` is durable here, with what the snapshot carried: the origin of the slot's entry and the
    configuration in force. Given only if `slot` is above `Replica.chosen`, and again after a restart if the log does
    not reach it."""

    slot: int
    origin: int
    configuration: Configuration


class Trim(msgspec.Struct, frozen=True):
    """The state up to `slot` is durable here (a log member has none). `archived`: so far the log is kept elsewhere, for
    ever."""

    slot: int
    archived: int = 0


Event = Tick | Received | Propose | Read | HandOver | Reconfigure | SnapshotInstalled | Trim
