"""Who belongs to a group, and how that changes: by entries of the log, one change at a time.

A *configuration* is in force from the slot of its entry on, as soon as the entry is in a member's log, chosen or not:
what comes after it is counted by it. Two configurations that follow each other differ in at most one voter, so any
majority of one meets any majority of the other. Exchanging a voter in one step is not safe: of {A,B,C} and {A,B,D} the
majorities {A,C} and {B,D} have nobody in common, and each could choose something else (`follows` refuses it).

A member has a name and a number; both belong to one life of it. A replica that has lost its log, or cannot trust it,
has forgotten what it promised: it comes back under another name and number, as a *learner*, which stores everything
and has no vote; its old life loses its vote in the same change (`replaced`). Whoever counts the old life's promises,
which may still be under way, counts by a configuration that has it no longer.
Rejected: to let it vote again under its name once it has seen one whole instance [PML 5.1]. Story, five members:
1. X sends prepare(9); P promises; the promise is slow. 2. P loses its disk. 3. Q leads in ballot 5 and chooses slot 7
with R and S; P sees all of it and votes again. 4. Slot 8 is chosen in ballot 5 by P, Q, R. 5. P's old promise reaches
X, and S promises too. X leads in ballot 9 with P, S, X, none of whom told it of slot 8, and chooses another value.

Two kinds of members: FULL ones keep the state; LOG ones keep the log only (Amazon DynamoDB's log replicas; Megastore's
witnesses): they vote, but never lead and never serve. Either kind may be a learner at first.

Source: [RT] 4.1, 4.2.1, and its author's correction of 2015: a leader proposes no configuration before an entry of its
own ballot is chosen. The leader sees to that.
"""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property
from typing import Final

import msgspec

from varley.paxos.ballot import NUMBER_MAX

FULL: Final = "full"
LOG: Final = "log"


class Member(msgspec.Struct, frozen=True, array_like=True):
    name: str
    number: int             # 1..65535, part of its ballots; never given to another member, nor to another life of it
    kind: str = FULL        # FULL or LOG
    votes: bool = True      # False: a learner
    joins: bool = False     # of a learner: it gets a vote as soon as it has caught up

    @property
    def may_lead(self) -> bool:
        return self.votes and self.kind == FULL


class Configuration(msgspec.Struct, frozen=True, array_like=True, dict=True):    # dict: for what is cached
    """The members of a group. Empty: nobody knows yet, as in a member that was just made."""

    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        # Raised as what it is: decoding takes it for a refusal (msgspec.ValidationError), nobody else catches it.
        if len({member.name for member in self.members}) < len(self.members):
            raise ValueError("a name stands twice")
        if len({member.number for member in self.members}) < len(self.members):
            raise ValueError("a number stands twice")
        if not all(1 <= member.number <= NUMBER_MAX for member in self.members):
            raise ValueError("a number that no ballot can have")

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members)

    @cached_property
    def voters(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members if member.votes)

    @cached_property
    def full_voters(self) -> frozenset[str]:
        """Those that keep the state: how many copies of it there are, which a quorum does not tell."""
        return frozenset(member.name for member in self.members if member.may_lead)

    def others(self, name: str) -> tuple[str, ...]:
        """All members but this one."""
        found = self._others.get(name)
        if found is None:
            found = self._others[name] = tuple(member.name for member in self.members if member.name != name)
        return found

    @cached_property
    def _others(self) -> dict[str, tuple[str, ...]]:
        return {}

    def member(self, name: str) -> Member | None:
        for member in self.members:
            if member.name == name:
                return member
        return None

    def name_of(self, number: int) -> str | None:
        for member in self.members:
            if member.number == number:
                return member.name
        return None

    def encoded(self) -> bytes:
        return _ENCODER.encode(self)

    # The changes that there are. Each returns the next configuration; ValueError says why there is none.

    def with_learner(self, learner: Member) -> Configuration:
        if self.member(learner.name) is not None or self.name_of(learner.number) is not None:
            raise ValueError("the name or the number is taken")
        if learner.votes:
            raise ValueError("a member comes without a vote")
        return Configuration((*self.members, learner))

    def promoted(self, name: str) -> Configuration:
        learner = self.member(name)
        if learner is None or learner.votes:
            raise ValueError("no such learner")
        voter = Member(learner.name, learner.number, learner.kind)
        return Configuration(tuple(voter if member is learner else member for member in self.members))

    def without(self, name: str) -> Configuration:
        if self.member(name) is None:
            raise ValueError("no such member")
        if self.voters == {name}:
            raise ValueError("the last voter stays")
        return Configuration(tuple(member for member in self.members if member.name != name))

    def replaced(self, name: str, learner: Member) -> Configuration:
        """Without `name`, with `learner`, which has no vote yet: one change, since one voter goes and none comes."""
        return self.without(name).with_learner(learner)


def decoded(configuration: bytes) -> Configuration:
    return _DECODER.decode(configuration)


def follows(after: Configuration, before: Configuration) -> bool:
    """Whether every majority of the one meets every majority of the other."""
    return len(_voters(after) ^ _voters(before)) <= 1


def _voters(configuration: Configuration) -> Set[str]:
    return configuration.voters


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Configuration)
