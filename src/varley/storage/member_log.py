"""What a member of a group with several members keeps in the log of its node.

A group of one has one kind of record: an entry, in the order of slots. A member of a larger group must remember more
(paxos/records.py), and may write a slot again, in a higher ballot. In the log they are:

    Appended        one record for each entry: of kind ROWS exactly as a group of one writes it; the record's ballot is
                    the entry's *origin*. Being cut between two of them does no harm: the leader might have sent fewer
    Promised, Adopted, Learnt, Based    one record of kind RECORD each, with all of its entries inside: a record is
                    never split between two frames, and a frame counts wholly or not at all
    State           what all records before come to, but for the entries after the base

Why State. The log is one for all groups, and its oldest segments go when nobody needs them. Entries are needed until a
checkpoint has them; but a promise is needed until there is a higher one, and an idle group makes none for months. So
before a segment goes that holds the newest State of a group, the group writes another, a few hundred bytes. Each life
of a member begins with one (`begins`), durable before the member says anything: so a log in which there is none was
lost, and a member that never promised anything can be told from one that has forgotten.

Reading begins somewhere in the middle, then. Up to the first State whose entries are all there, entries are collected
as they come, each dropping all behind it; what is missing or left over then is below the base that the State names or
behind its last slot. From that State on every record is replayed as it was written (Acceptor.replay).

*Order.* Slots do not ascend here, so the log writer counts a member's records instead: the first that is still needed
decides which segments stay. Of entries it is the oldest with a slot above the base that the newest durable State names
(the member itself may have trimmed its log since); of all others, that State.

Damage makes a member of a past life of this one: what is damaged may have been a promise. `why_lost` says what it was;
a life that begins behind the damage does not depend on it. See paxos/membership.py for what follows.

Rejected: a file for each group's promises (a sync each), and copying the entries after the base into each State (then
each checkpoint writes again what came while it was written).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from varley.errors import Damaged
from varley.paxos.acceptor import Acceptor
from varley.paxos.membership import Configuration, Member
from varley.paxos.messages import CONFIGURATION, NOTHING, VALUE, Entry
from varley.paxos.records import Adopted, Appended, Based, Learnt, Promised, Record
from varley.storage import log_format
from varley.storage.log_format import (
    NotThisFormat,
    decode_other,
    encode_other,
    encode_record,
    entry_kind,
)
from varley.storage.log_reader import LogEntry, Segment
from varley.storage.tree_folder import SnapshotNote


class Before(msgspec.Struct, frozen=True, array_like=True):
    """The life before this one, whose log was lost. Remembered, or a member that goes down before the group has heard
    of its rebirth would wait for ever to be let in."""

    lost: str               # its name
    known: tuple[str, ...]  # members of the group, to be told


class State(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What the records of a member before this one come to; the entries of (base, last] are in records of their own."""

    member: Member
    begins: bool            # a life of this member: what stands before it was another's
    promised: int
    accepted_ballot: int
    is_level: bool          # see paxos/acceptor.py, also for the next
    learnt: int
    base: int
    base_origin: int
    configuration: Configuration    # in force at the base
    last: int
    last_origin: int
    before: Before | None   # set if it follows a life whose log was lost


def first_state(member: Member, records: Iterable[Record], before: Before | None = None) -> State:
    """With which a life begins; `records`: what it has from the start, without entries."""
    return state_of(member, Acceptor(records), before, begins=True)


def state_of(member: Member, acceptor: Acceptor, before: Before | None, *, begins: bool = False) -> State:
    log = acceptor.log
    last_origin = log.origin(log.last)
    assert last_origin is not None
    return State(
        member, begins, acceptor.promised, acceptor.accepted_ballot, acceptor.is_level, acceptor.learnt, log.base,
        log.base_origin, log.configuration_at(log.base), log.last, last_origin, before,
    )  # fmt: skip


def records_of(state: State, entries: tuple[Entry, ...]) -> list[Record]:
    """Records that come to the same as those before `state`, whose entries after the base are these."""
    assert len(entries) == state.last - state.base
    records: list[Record] = []
    if state.base:
        if state.accepted_ballot:
            records.append(Adopted(state.accepted_ballot, 0, ()))
        records.append(Based(state.base, state.base_origin, state.configuration))   # level with nobody, from here on
    if state.is_level:
        records.append(Adopted(state.accepted_ballot, state.base, entries))
        if state.learnt > state.base:
            records.append(Learnt(state.learnt, (entries[state.learnt - state.base - 1],)))
    elif entries:
        assert state.learnt == state.last, "level with nobody, and has what was not learnt"
        records.append(Learnt(state.base + 1, entries))
    if state.promised > state.accepted_ballot:
        records.append(Promised(state.promised))
    return records


# Records of the log


def encode(group: int, record: Record | State) -> list[bytes]:
    """The log's records for one of a member. HOT PATH for Appended: 0.7 µs for each entry of 1 KB."""
    match record:
        case Appended(first, entries):
            return [
                encode_record(
                    group, entry.origin, slot,
                    entry.value if entry.kind == VALUE else encode_other(_KIND_IN_LOG[entry.kind], entry.value),
                )
                for slot, entry in enumerate(entries, first)
            ]  # fmt: skip
        case Adopted(ballot) | Promised(ballot):
            return [_encode_other(group, ballot, record)]
        case Learnt() | Based() | State():
            return [_encode_other(group, 0, record)]


def _encode_other(group: int, ballot: int, record: Record | State) -> bytes:
    return encode_record(group, ballot, 0, encode_other(log_format.RECORD, _ENCODER.encode(record)))


def decode(read: LogEntry) -> Record | State:
    """Raises NotThisFormat."""
    kind = entry_kind(read.entry)
    if kind == log_format.ROWS:
        return Appended(read.slot, (Entry(read.ballot, VALUE, read.entry),))
    kind, content = decode_other(read.entry)
    try:
        if kind == log_format.RECORD:
            return _DECODER.decode(content)
        entry = Entry(read.ballot, _KIND_IN_GROUP[kind], content)
        if entry.kind == CONFIGURATION:
            _CONFIGURATION_DECODER.decode(content)
    except msgspec.DecodeError as error:
        raise NotThisFormat(f"a member's record of another format: {error}") from error
    return Appended(read.slot, (entry,))


_KIND_IN_LOG: Final = {NOTHING: log_format.NOTHING, CONFIGURATION: log_format.CONFIGURATION}
_KIND_IN_GROUP: Final = {log_format.NOTHING: NOTHING, log_format.CONFIGURATION: CONFIGURATION}
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Promised | Adopted | Learnt | Based | State]] = msgspec.msgpack.Decoder(
    Promised | Adopted | Learnt | Based | State
)
_CONFIGURATION_DECODER: Final = msgspec.msgpack.Decoder(Configuration)


# Which of them are needed


@dataclass(slots=True)
class Orders:
    """The numbers of a member's records in the log of its node, and which of them are still needed."""

    next: int = 1
    state: int = 0      # of the newest State that is surely durable; 0: there is none
    base: int = 0       # that this State names: reading may begin with it, and then needs all entries behind this slot
    # (number of a record with entries, the first of some; the last slot of these), the oldest first
    entries: deque[tuple[int, int]] = field(default_factory=deque)

    def noted(self, state: int, base: int) -> None:
        """A State with this number and base is durable."""
        self.state, self.base = state, base
        entries = self.entries
        while entries and entries[0][1] <= base:
            entries.popleft()

    @property
    def releasable(self) -> int:
        """Records up to this number are of no more use."""
        entries = self.entries
        return min(self.state, entries[0][0] if entries else self.state) - 1

    @property
    def is_held_by_state(self) -> bool:
        """Whether writing another State would let older records go."""
        return not self.entries or self.state < self.entries[0][0]


# Reading


@dataclass(slots=True)
class RecoveredMember:
    """What the log of this node says about its member of a group."""

    group: int
    member: Member | None       # None: nothing is known of one
    records: list[Record]       # to begin from
    base: int                   # its entries begin after this slot,
    last: int                   # and end here
    orders: Orders
    why_lost: str | None        # what must not be relied upon any more, and why; None: it is all there
    before: Before | None = None
    ahead: SnapshotNote | None = None   # the tree is of this slot, which the log does not lead to
    is_absent: bool = False             # the log is whole, and has nothing of it: it never began


class MemberReading:
    """The records of one group as they are read, oldest first."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._member: Member | None = None
        self._before: Before | None = None
        self._acceptor: Acceptor | None = None      # None: no State was met yet, entries are collected
        self._collected: dict[int, Entry] = {}
        self._collected_last = 0
        self._why_lost: str | None = None
        self._why_not_begun = "the log has nothing of it"   # while _acceptor is None
        self._orders = Orders()
        self._highest: dict[int, int] = {}          # segment -> number of the last record in it

    def take(self, read: LogEntry) -> None:
        order = self._orders.next
        self._orders.next += 1
        self._highest[read.segment] = order
        try:
            record = decode(read)
        except NotThisFormat as error:
            self.lose(str(error))
            return
        if isinstance(record, State):
            self._take_state(record)
            self._orders.noted(order, record.base)
            return
        last = last_slot(record)
        if last:
            self._orders.entries.append((order, last))
        if self._why_lost is not None:
            return
        if self._acceptor is None:
            self._collect(record)
            return
        try:
            self._acceptor.replay(record)
        except AssertionError as error:
            self.lose(f"a record of the log cannot follow those before it: {error}")

    def lose(self, why: str) -> None:
        """Something that this member may have written is not as it was."""
        self._why_lost = self._why_lost or why

    def _take_state(self, state: State) -> None:
        if state.begins:
            self._why_lost = None
            self._acceptor = Acceptor(records_of(state, ()))
            self._orders.entries.clear()
        elif self._why_lost is None and self._acceptor is None:
            self._begin_with(state)
        elif self._acceptor is not None and not _is_like(state_of(state.member, self._acceptor, state.before), state):
            self.lose("the log does not come to what its member had noted")
        self._member, self._before = state.member, state.before

    def _begin_with(self, state: State) -> None:
        slots = range(state.base + 1, state.last + 1)
        missing = next((slot for slot in slots if slot not in self._collected), None)
        if missing is not None:
            # They may have gone because a later State, with a higher base, does not need them.
            self._why_not_begun = f"slot {missing} is missing"
            return
        entries = tuple(self._collected[slot] for slot in slots)
        if entries and entries[-1].origin != state.last_origin:
            self._why_not_begun = f"slot {state.last} is not the one that was written last"
            return
        self._acceptor = Acceptor(records_of(state, entries))
        self._collected.clear()

    def _collect(self, record: Record) -> None:
        match record:
            case Appended(first, entries):
                self._collect_entries(first, entries)
            case Adopted(_, after, entries):
                self._collect_entries(after + 1, entries)
            case Learnt(first, entries):
                for slot, entry in enumerate(entries, first):
                    known = self._collected.get(slot)
                    # One that is not there is below the base: whatever it was.
                    if slot > self._collected_last or (known is not None and known.origin != entry.origin):
                        self._collect_entries(slot, entries[slot - first :])
                        return
            case Promised() | Based():
                pass    # the State to come says what that led to

    def _collect_entries(self, first: int, entries: tuple[Entry, ...]) -> None:
        for slot in range(first, self._collected_last + 1):
            self._collected.pop(slot, None)
        self._collected.update(enumerate(entries, first))
        self._collected_last = first + len(entries) - 1

    def recovered(self, closed: Iterable[Segment]) -> RecoveredMember:
        """After the last record. `closed`: the segments that were read; they are told what this group needs of them."""
        for segment in closed:
            if segment.number in self._highest:
                segment.highest[self._group] = self._highest[segment.number]
        acceptor = self._acceptor
        if acceptor is None or self._member is None or self._why_lost is not None:
            why = self._why_lost or self._why_not_begun
            is_absent = self._orders.next == 1 and self._why_lost is None
            return RecoveredMember(self._group, self._member, [], 0, 0, self._orders, why, is_absent=is_absent)
        state = state_of(self._member, acceptor, self._before)
        records = records_of(state, acceptor.log.after(state.base))
        return RecoveredMember(
            self._group, self._member, records, state.base, state.last, self._orders, None, self._before
        )


def _is_like(found: State, noted: State) -> bool:
    """What was learnt below the base is of no interest, and not found again where reading began later."""
    found = msgspec.structs.replace(found, learnt=max(found.learnt, found.base))
    return found == msgspec.structs.replace(noted, learnt=max(noted.learnt, noted.base))


class MemberReadings:
    """Those of all groups of a node that have several members."""

    def __init__(self, groups: Iterable[int]) -> None:
        self._by_group = {group: MemberReading(group) for group in groups}
        self._is_begun = False
        self._damage_of_all: str | None = None

    def __contains__(self, group: int) -> bool:
        return group in self._by_group

    def take(self, read: LogEntry) -> None:
        self._is_begun = True
        self._by_group[read.group].take(read)

    def damaged(self, damage: Damaged) -> None:
        """Something in the log, behind what was taken so far, is not as it was written: whose is known, or it may have
        been anybody's."""
        if damage.group is not None:
            if damage.group in self._by_group:
                self._by_group[damage.group].lose(str(damage))
        elif not self._is_begun:
            self._damage_of_all = str(damage)   # segments are missing: nobody knows what stood in them, or where
        else:
            for reading in self._by_group.values():
                reading.lose(str(damage))

    def recovered(self, closed: Sequence[Segment]) -> dict[int, RecoveredMember]:
        """After the last record; `closed` as for MemberReading.recovered."""
        for reading in self._by_group.values():
            if self._damage_of_all is not None:
                reading.lose(self._damage_of_all)
        return {group: reading.recovered(closed) for group, reading in self._by_group.items()}


def last_slot(record: Record | State) -> int:
    """The last one of which the record holds the entry; 0: of none."""
    match record:
        case Appended(first, entries) | Learnt(first, entries):
            return first + len(entries) - 1 if entries else 0
        case Adopted(_, after, entries):
            return after + len(entries) if entries else 0
        case Promised() | Based() | State():
            return 0
