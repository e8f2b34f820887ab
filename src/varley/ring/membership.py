"""Membership: who has joined the ring and who has left, as a history that everybody ends up with.

A node that does not answer is not gone: it is down, and will be back. So nobody is added or taken out by what others
observe; an administrator tells any one node of a join or a leave, that node keeps it with its time, and gossip
carries it (sections 4.8.1 and 4.8.2). A history is a set of such changes, and two are reconciled by taking both:
order, repetition and delay make no difference. What counts for a node is its latest change; it may leave and return
any number of times.

A change is to be on disk before it is told to anybody, or acted on: see `gossip.Effects`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple


class Kind(Enum):
    JOIN = "join"
    LEAVE = "leave"


class Member(NamedTuple):
    address: str        # where its peers reach it
    zone: str           # "" if zones are not told apart
    capacity: float     # > 0: its share of partitions is its share of all capacity
    endpoint: str = ""  # where clients reach it, if they do


class Change(NamedTuple):
    time_us: int        # when the administrator's command was taken; changes are told apart by time, node and kind
    node: str
    kind: str           # a value of Kind
    member: Member      # on leave: as it was


@dataclass(frozen=True)
class History:
    changes: tuple[Change, ...] = ()    # ascending, each once

    def __post_init__(self) -> None:
        assert list(self.changes) == sorted(set(self.changes))

    def reconcile(self, other: History | Iterable[Change]) -> History:
        """What either knows. Commutative, associative, idempotent."""
        return History(tuple(sorted({*self.changes, *(other.changes if isinstance(other, History) else other)})))

    def join(self, node: str, member: Member, now_us: int) -> History:
        """Also for a member that is to have another address, zone or capacity."""
        return self._with(Kind.JOIN, node, member, now_us)

    def leave(self, node: str, now_us: int) -> History:
        """Raises KeyError if it is no member: the administrator's mistake."""
        return self._with(Kind.LEAVE, node, self.members()[node], now_us)

    def before(self, change: Change) -> History:
        """What there was when this one of the changes came."""
        return History(self.changes[: self.changes.index(change)])

    def _with(self, kind: Kind, node: str, member: Member, now_us: int) -> History:
        """Whatever this machine's clock says, a new change comes after those of the node that are known."""
        last_us = max((change.time_us for change in self.changes if change.node == node), default=-1)
        return self.reconcile([Change(max(now_us, last_us + 1), node, kind.value, member)])

    def walk(self) -> Iterator[tuple[Change, dict[str, Member]]]:
        """Each change, with the members there are after it."""
        members: dict[str, Member] = {}
        for change in self.changes:
            members.pop(change.node, None)
            if change.kind == Kind.JOIN.value:
                members[change.node] = change.member
            yield change, dict(members)

    def members(self) -> dict[str, Member]:
        *_, (_, members) = [(None, {}), *self.walk()]
        return dict(sorted(members.items()))

    @cached_property
    def digest(self) -> bytes:
        """16 bytes: two nodes with the same digest know the same changes."""
        return hashlib.blake2b(repr([tuple(change) for change in self.changes]).encode(), digest_size=16).digest()
