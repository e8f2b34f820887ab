"""What is known of groups and nodes when a decision is made: values, as of one moment.

A group is seen through the eyes of its leader, which alone knows whom it hears and how far each is. A node is seen by
its state, which health.py judges over time: one look does not tell a restart from a loss.

    TRUSTED     well, and has been for a while
    RETURNED    well, but not for long: it keeps what it has, and is given nothing
    AWAY        not well, but not for long: its replicas are waited for, and others vote in their place meanwhile
    LOST        not well for long: its replicas are built elsewhere
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from varley.metadata.placement import Place
from varley.node.member import member_name
from varley.paxos import events
from varley.paxos.events import Change
from varley.paxos.membership import Configuration

_SPARE_BYTES: Final = 32 * 1024 * 1024


class Condition(StrEnum):
    TRUSTED = "trusted"
    RETURNED = "returned"
    AWAY = "away"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    zone: str
    condition: Condition = Condition.TRUSTED
    capacity: float = 1.0
    replicas: int = 0
    bytes: int = 0
    is_draining: bool = False
    is_ailing: bool = False         # its disk is full or slow at this moment: nothing should be led from it
    is_troubled: bool = False       # and has been for a while: what it has counts as if it were not heard
    free_bytes: int | None = None   # on its disk; None: not known
    machine: str = ""               # that it shares with other nodes

    @property
    def takes_replicas(self) -> bool:
        return self.condition is Condition.TRUSTED and not (self.is_draining or self.is_ailing)

    def __post_init__(self) -> None:
        assert self.is_ailing or not self.is_troubled

    def has_room(self, state_bytes: int) -> bool:
        """For one more full replica: with what is written while it comes, and without filling the disk."""
        return self.free_bytes is None or self.free_bytes >= state_bytes * 5 // 4 + _SPARE_BYTES

    @property
    def place(self) -> Place:
        return Place(self.name, self.zone, self.capacity, self.replicas, self.bytes, machine=self.machine)


@dataclass(frozen=True, slots=True)
class GroupView:
    """As its leader tells it. `leader` is a member of `configuration`, which is chosen."""

    group: int
    epoch: int                      # the slot of `configuration`: what a change of it is made from
    configuration: Configuration
    leader: str                     # name of the member
    wanted: int                     # so many full voters it is to have
    silent: Mapping[str, float] = field(default_factory=dict)   # member -> seconds since the leader heard of it
    lag: Mapping[str, int] = field(default_factory=dict)        # member -> slots it lacks; absent: not known
    bytes: int = 0                  # of one full replica
    load: float = 0.0               # units per second: see hosted.py
    usual_writes: float = 0.0       # of them what every replica does, over minutes: what a replica is moved for
    doubted: frozenset[str] = frozenset()   # members that the leader hears, and not for long
    stalled: frozenset[str] = frozenset()   # members without a vote that come no nearer to having everything
    avoid: frozenset[str] = frozenset()     # nodes that had a member which the leader did not hear, or which stalled


@dataclass(frozen=True, slots=True)
class MoveOrder:
    """Somebody wants the replica on `source` to be on `target`."""

    group: int
    source: str
    target: str


# What can be done for a group, one thing at a time.


@dataclass(frozen=True, slots=True)
class Add:
    """Begin a member on `node`, without a vote. Its number and name are given when that is done."""

    node: str
    kind: str       # FULL or LOG; a log member gets its vote as soon as it has caught up


@dataclass(frozen=True, slots=True)
class Reconfigured:
    change: Change  # Promote, Remove or Replace


@dataclass(frozen=True, slots=True)
class LedBy:
    member: str


Action = Add | Reconfigured | LedBy


@dataclass(frozen=True, slots=True)
class Step:
    """Made from what the group was at `epoch`: if it is another by then, the step is refused."""

    group: int
    epoch: int
    action: Action
    why: str        # for people


@dataclass(frozen=True, slots=True)
class Stuck:
    """Something is to be done, and cannot be now."""

    group: int
    why: str


CAUGHT_UP_SLOTS: Final = 1024   # who lacks no more may vote; the leader's core judges again


def name_on(node: str, number: int) -> str:
    """The name of a member that begins on `node`: its life there is counted by its number, which never comes back."""
    assert number > 1, "the first number is a founder's, whose name is its node's"
    return member_name(node, number)


def said(step: Step) -> str:
    """What a step does, in words."""
    match step.action:
        case Add(node, kind):
            return f"a {kind} replica on {node}"
        case LedBy(member):
            return f"led by {member}"
        case Reconfigured(events.Replace(name, _)):
            return f"no vote for {name}"
        case Reconfigured(events.Promote(name)):
            return f"a vote for {name}"
        case Reconfigured(change):
            return f"without {change.name}" if isinstance(change, events.Remove) else str(change)
        case _:
            assert_never(step.action)
