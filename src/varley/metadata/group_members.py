"""Who belongs to each replica group of a cluster, as its storage nodes have published it.

    members/7    {"format_version": 1, "epoch": 41, "next_number": 5, "members": [{"name": "n1", "number": 1}, …]}

The group itself is the authority: its members are what its log says, and whoever leads it publishes that here, for
those who look for the group from outside. The *epoch* is the slot of the configuration's entry, so of two publications
the one with the higher epoch is newer, whoever comes first: a lower one is refused, however late it arrives. And there
is nothing that takes a publication back: only the table's end does, by the compare-and-set that deletes the table. So
no slow publisher can put an old plan over a new one, nor clean up a plan that is in force [facts 1.14: the outage of
October 2025 was that].

The founding members are written by the compare-and-set that creates the table, by whoever executes CreateTable.

A member's number is part of its ballots and must never come back in the group, also not after the member has left, nor
if nobody ever used it. So numbers are given out here, by compare-and-set, before the group is asked to take the member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from varley.errors import ResourceInUse
from varley.metadata.mirror import Mirror
from varley.metadata.split import SPLITS, decode_split
from varley.metadata.store import ABSENT, Change, Entry, Store, Told
from varley.metadata.stored_value import damaged, decoded
from varley.paxos.ballot import NUMBER_MAX
from varley.paxos.membership import FULL, LOG, Configuration, Member
from varley.table.stored_format import Stored, stored_decoder

_PREFIX: Final = "members/"
_FORMAT_VERSION: Final = 1
FOUNDING_EPOCH: Final = 1    # the slot of a group's first configuration

# From the ids of new groups to who founds each.
Founders = Callable[[Sequence[int]], Mapping[int, Configuration]]


@dataclass(frozen=True, slots=True)
class Published:
    """What is known of one group."""

    configuration: Configuration
    epoch: int    # the slot of the configuration's entry in the group's log
    next_number: int    # above all numbers of members that ever were given out
    version: int    # in the store


class GroupMembers:
    """Of all groups. Used from the event loop only.

    `listeners` are called with (group, before, after) when one has changed, come (before: None) or gone (after: None),
    whoever has changed it.
    """

    def __init__(self, store: Store, founders: Founders) -> None:
        self._store = store
        self._founders = founders
        self._mirror = Mirror(_PREFIX, SPLITS)
        # By group: the one that it comes of by a split. Here too, and not in the catalog alone, since whoever hosts a
        # new group must know that before it does, and the catalog may take in later what comes (Catalog.see).
        self.parents: dict[int, int] = {}
        self._published: dict[int, Published] = {}
        self.listeners: list[Callable[[int, Published | None, Published | None], None]] = []

    def get(self, group: int) -> Published | None:
        return self._published.get(group)

    def __iter__(self) -> Iterator[int]:
        return iter(self._published)

    def __len__(self) -> int:
        return len(self._published)

    def items(self) -> Mapping[int, Published]:
        """All, by group; not to be changed."""
        return self._published

    def see(self, told: Told) -> None:
        """Take in what a watch tells. Raises Damaged, or WorldError if a newer Varley wrote it."""
        self._refresh(self._mirror.see(told))

    def made(self, changes: Sequence[Change], version: int) -> None:
        """The same of a compare_and_set of this process."""
        self._refresh(self._mirror.made(changes, version))

    async def publish(self, group: int, configuration: Configuration, epoch: int) -> bool:
        """Say who belongs to the group since slot `epoch` of its log, where that is newer than what is known.

        False: something newer is there, or the group is gone with its table. Raises what Store raises.
        """
        while True:
            entry = await self._store.get(f"{_PREFIX}{group}")
            if entry is None:
                return False
            there = _published(entry)
            if epoch < there.epoch:
                return False
            if epoch == there.epoch:
                assert configuration == there.configuration, "one slot of a log has one configuration"
                return True
            numbers = [member.number for member in configuration.members]
            after = max(there.next_number, *(number + 1 for number in numbers))
            if await self._replace(entry, _encoded(configuration, epoch, after)):
                return True

    async def give_number(self, group: int) -> int | None:
        """A number for a new member, which nobody had or will have in the group. None: the group is gone.

        Raises what Store raises; OverflowError if all 65535 were given.
        """
        while True:
            entry = await self._store.get(f"{_PREFIX}{group}")
            if entry is None:
                return None
            there = _published(entry)
            number = there.next_number
            if number > NUMBER_MAX:
                raise OverflowError(f"group {group} has had {NUMBER_MAX} members")
            if await self._replace(entry, _encoded(there.configuration, there.epoch, number + 1)):
                return number

    def founding(self, groups: Sequence[int]) -> Sequence[Change]:
        """What to write together with the table that new groups belong to."""
        founders = self._founders(groups)
        return [
            Change(f"{_PREFIX}{group}", ABSENT, _founded(founders[group]))
            for group in groups
        ]

    def founding_as(self, group: int, other: int) -> Sequence[Change]:
        """The same for a new group that is founded where `other` has its voters. Raises ResourceInUse if that is not
        whole: a log member votes in place of one that is away."""
        there = self._published.get(other)
        voters = [] if there is None else [each for each in there.configuration.members if each.votes]
        if there is None or len(voters) < len(there.configuration.members) or any(each.kind != FULL for each in voters):
            raise ResourceInUse(f"The members of group {other} are being changed: split it afterwards")
        members = tuple(Member(each.name.partition("#")[0], number) for number, each in enumerate(voters, 1))
        return [Change(f"{_PREFIX}{group}", ABSENT, _founded(Configuration(members)))]

    def removal(self, groups: Sequence[int]) -> Sequence[Change]:
        """What to write together with the end of their table. A group that is not known has nothing to remove."""
        known = [(group, self._published.get(group)) for group in groups]
        return [Change(f"{_PREFIX}{group}", there.version, None) for group, there in known if there is not None]

    async def _replace(self, entry: Entry, value: bytes) -> bool:
        changes = [Change(entry.key, entry.version, value)]
        version = await self._store.compare_and_set(changes)
        if version is not None:
            self.made(changes, version)
        return version is not None

    def _refresh(self, before: Mapping[str, Entry | None]) -> None:
        for key in before:
            entry = self._mirror.entries.get(key)
            if key.startswith(SPLITS) and entry is not None:
                split = decoded(entry, decode_split)
                self.parents[split.child] = split.parent
        for key in before:
            if key.startswith(SPLITS):
                continue
            group = _group_of(key)
            old = self._published.pop(group, None)
            entry = self._mirror.entries.get(key)
            new = None if entry is None else _published(entry)
            if new is not None:
                self._published[group] = new
            for listener in list(self.listeners):
                listener(group, old, new)


class _StoredMember(Stored, frozen=True, kw_only=True):
    name: str
    number: int
    kind: str = FULL
    votes: bool = True
    joins: bool = False


class _StoredMembers(Stored, frozen=True, kw_only=True):
    format_version: int
    epoch: int
    next_number: int
    members: tuple[_StoredMember, ...]


_decode = stored_decoder(_StoredMembers, _FORMAT_VERSION)


def _founded(configuration: Configuration) -> bytes:
    assert configuration.voters, "somebody must decide"
    return _encoded(configuration, FOUNDING_EPOCH, 1 + max(member.number for member in configuration.members))


def _encoded(configuration: Configuration, epoch: int, next_number: int) -> bytes:
    members = tuple(
        _StoredMember(name=each.name, number=each.number, kind=each.kind, votes=each.votes, joins=each.joins)
        for each in configuration.members
    )
    stored = _StoredMembers(
        format_version=_FORMAT_VERSION, epoch=epoch, next_number=next_number, members=members
    )
    return msgspec.json.encode(stored)


def _published(entry: Entry) -> Published:
    stored = decoded(entry, _decode)
    members = tuple(Member(each.name, each.number, each.kind, each.votes, each.joins) for each in stored.members)
    numbers = {each.number for each in members}
    names = {each.name for each in members}
    is_sound = (
        len(numbers) == len(names) == len(members) > 0
        and all(1 <= number < stored.next_number for number in numbers)
        and all(each.kind in (FULL, LOG) for each in members)
    )
    if not is_sound:
        raise damaged(entry.key, "its members cannot be those of a group")
    return Published(Configuration(members), stored.epoch, stored.next_number, entry.version)


def _group_of(key: str) -> int:
    group = key.removeprefix(_PREFIX)
    if not group.isascii() or not group.isdecimal():
        raise damaged(key, "groups have numbers")
    return int(group)
