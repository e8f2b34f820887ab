"""What a member keeps in its node's log, against what its core has in memory; and docs/formats.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.simulation.paxos_cluster import FAST, SECOND, Cluster
from varley.errors import Damaged
from varley.paxos.acceptor import Acceptor
from varley.paxos.membership import Configuration, Member
from varley.paxos.messages import CONFIGURATION, NOTHING, VALUE, Entry
from varley.paxos.records import Adopted, Appended, Based, Learnt, Promised, Record
from varley.paxos.replica import first_records
from varley.storage.log_format import ABSENT, PUT, decode_record_head, encode_rows, entry_of_record
from varley.storage.log_reader import LogEntry, Segment
from varley.storage.member_log import (
    Before,
    MemberReading,
    MemberReadings,
    State,
    decode,
    encode,
    first_state,
    last_slot,
    records_of,
    state_of,
)

GROUP = 7
MEMBERS = (Member("n1", 1), Member("n2", 2), Member("n3", 3, "log"))
CONFIGURATION_OF_THREE = Configuration(MEMBERS)


def value(number: int) -> bytes:
    return encode_rows([(PUT, b"\x00key", b"value %d" % number, ABSENT)], number)


def entries_read(records: list[bytes], segment: int = 1) -> list[LogEntry]:
    read: list[LogEntry] = []
    for data in records:
        head = decode_record_head(data, 0)
        assert head is not None
        entry = entry_of_record(data, 0, head)
        assert entry is not None
        read.append(LogEntry(head.group, head.ballot, head.slot, entry, segment, 0))
    return read


def is_same(one: Acceptor, other: Acceptor) -> bool:
    member = MEMBERS[0]
    first, second = (
        msgspec.structs.replace(state, learnt=max(state.learnt, state.base))    # below the base it is of no interest
        for state in (state_of(member, one, None), state_of(member, other, None))
    )
    return first == second and one.log.after(one.log.base) == other.log.after(other.log.base)


@pytest.mark.parametrize(
    "record",
    [
        Promised(65537),
        Adopted(65537, 1, (Entry(65537, NOTHING, b""), Entry(65537, VALUE, value(2)))),
        Learnt(2, (Entry(65537, VALUE, value(2)), Entry(65537, CONFIGURATION, CONFIGURATION_OF_THREE.encoded()))),
        Learnt(10, ()),
        Based(9, 65537, CONFIGURATION_OF_THREE),
        first_state(MEMBERS[0], first_records(CONFIGURATION_OF_THREE), Before("n1", ("n2", "n3"))),
    ],
)
def test_a_record_is_one_record_of_the_log_and_comes_back(record: Record | State) -> None:
    [data] = encode(GROUP, record)
    [read] = entries_read([data])
    assert decode(read) == record
    assert read.group == GROUP


def test_entries_are_records_of_their_own() -> None:
    entries = (
        Entry(65537, NOTHING, b""),
        Entry(65537, VALUE, value(2)),
        Entry(65538, CONFIGURATION, CONFIGURATION_OF_THREE.encoded()),
    )
    read = entries_read(encode(GROUP, Appended(5, entries)))
    assert [(each.slot, each.ballot) for each in read] == [(5, 65537), (6, 65537), (7, 65538)]
    assert [decode(each) for each in read] == [Appended(5 + index, (entry,)) for index, entry in enumerate(entries)]
    assert read[1].entry == value(2), "as a group of one writes it"


def simulated_records(seed: int) -> dict[str, tuple[Member, list[Record]]]:
    """Of members that have lived through elections, crashes, snapshots. Values are made to be entries of rows."""
    cluster = Cluster(seed, full=3, logs=seed % 2, timing=replace(FAST, chunk_bytes=24) if seed & 2 else FAST)
    cluster.live(6 * SECOND)
    return {
        name: (node.member, [with_rows(record) for record in node.records]) for name, node in cluster.nodes.items()
    }


def with_rows(record: Record) -> Record:
    def rows(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(
            Entry(entry.origin, VALUE, value(int(entry.value))) if entry.kind == VALUE else entry for entry in entries
        )

    match record:
        case Adopted(ballot, after, entries):
            return Adopted(ballot, after, rows(entries))
        case Appended(first, entries):
            return Appended(first, rows(entries))
        case Learnt(first, entries):
            return Learnt(first, rows(entries))
        case _:
            return record


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_state_and_the_entries_behind_it_come_to_what_all_records_came_to(seed: int) -> None:
    for member, records in simulated_records(seed).values():
        acceptor = Acceptor()
        for number, record in enumerate(records):
            acceptor.replay(record)
            if number % 7 == 0:
                state = state_of(member, acceptor, None)
                assert is_same(Acceptor(records_of(state, acceptor.log.after(state.base))), acceptor)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_reading_gives_what_was_written_also_when_old_segments_are_gone(seed: int) -> None:
    """States are noted now and then; after each, a crash, with all segments that `releasable` allows gone."""
    print("seed", seed)
    chance = Random(seed)
    for member, records in simulated_records(seed).values():
        acceptor = Acceptor()
        log: list[bytes] = encode(GROUP, State(member, True, 0, 0, False, 0, 0, 0, Configuration(), 0, 0, None))
        orders = [0]    # so many records of the log are gone
        reading = MemberReading(GROUP)
        for read in entries_read(log):
            reading.take(read)
        for record in records:
            acceptor.replay(record)
            log += encode(GROUP, record)
            if chance.random() < 0.05:
                log += encode(GROUP, state_of(member, acceptor, None))
            if chance.random() < 0.1:
                gone = orders[-1]
                reading = MemberReading(GROUP)
                for read in entries_read(log[gone:]):
                    reading.take(read)
                recovered = reading.recovered([])
                assert recovered.why_lost is None
                assert recovered.member == member
                assert is_same(Acceptor(recovered.records), acceptor)
                orders.append(gone + chance.randint(0, max(0, recovered.orders.releasable)))


def read_all(*records: Record | State) -> MemberReading:
    reading = MemberReading(GROUP)
    for read in entries_read([data for record in records for data in encode(GROUP, record)]):
        reading.take(read)
    return reading


FIRST = first_state(MEMBERS[0], first_records(CONFIGURATION_OF_THREE))


def test_a_log_without_a_state_is_a_lost_one() -> None:
    assert MemberReading(GROUP).recovered([]).why_lost == "the log has nothing of it"
    assert read_all(Promised(65537)).recovered([]).why_lost is not None


def test_a_later_life_does_not_depend_on_what_was_damaged_before_it() -> None:
    reading = read_all(FIRST, Promised(65537))
    reading.lose("damaged")
    assert reading.recovered([]).why_lost == "damaged"
    second = first_state(Member("n1#2", 4, votes=False), (), Before("n1", ("n2",)))
    for read in entries_read(encode(GROUP, second)):
        reading.take(read)
    recovered = reading.recovered([])
    assert recovered.why_lost is None
    assert recovered.member == Member("n1#2", 4, votes=False)
    assert recovered.before == Before("n1", ("n2",))
    assert Acceptor(recovered.records).promised == 0


def test_a_record_that_cannot_follow_loses_the_member() -> None:
    reading = read_all(FIRST, Promised(131073), Promised(65537))
    assert "promise was taken back" in (reading.recovered([]).why_lost or "")


def test_a_state_that_is_not_what_came_before_it_loses_the_member() -> None:
    other = first_state(MEMBERS[0], [*first_records(CONFIGURATION_OF_THREE), Promised(65537)])
    reading = read_all(FIRST, Promised(131073), msgspec.structs.replace(other, begins=False))
    assert "had noted" in (reading.recovered([]).why_lost or "")


def test_segments_are_told_what_the_group_needs_of_them() -> None:
    reading = MemberReading(GROUP)
    records = [*encode(GROUP, FIRST), *encode(GROUP, Adopted(65537, 1, ())), *encode(GROUP, Promised(131073))]
    for number, read in enumerate(entries_read(records)):
        reading.take(read._replace(segment=1 + number // 2))
    closed = [Segment(1, "1", 0, {GROUP: 5}), Segment(2, "2", 0, {GROUP: 0, 8: 3}), Segment(3, "3", 0, {8: 4})]
    recovered = reading.recovered(closed)
    assert [segment.highest for segment in closed] == [{GROUP: 2}, {GROUP: 3, 8: 3}, {8: 4}]
    assert recovered.orders.next == 4
    assert recovered.orders.releasable == 0, "the only State is the first record"


def test_damage_that_is_nobodys_is_everybodys() -> None:
    readings = MemberReadings((7, 8))
    for group in (7, 8):
        for read in entries_read(encode(group, FIRST)):
            readings.take(read)
    readings.damaged(Damaged("a", path="log", group=8))
    readings.damaged(Damaged("b", path="log", group=99))
    assert [member.why_lost is None for member in readings.recovered([]).values()] == [True, False]
    readings.damaged(Damaged("c", path="log"))
    assert [member.why_lost is None for member in readings.recovered([]).values()] == [False, False]


def test_segments_that_are_missing_from_the_beginning_lose_everybody_whatever_follows() -> None:
    readings = MemberReadings((7,))
    readings.damaged(Damaged("the log is empty, and segment 3 was begun", path="log"))
    for read in entries_read(encode(7, FIRST)):
        readings.take(read)
    assert readings.recovered([])[7].why_lost is not None


def test_the_examples_in_the_documentation_are_these_bytes() -> None:
    documentation = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())
    records: list[Record | State] = [
        Promised(65537),
        Adopted(65537, 1, (Entry(65537, NOTHING, b""),)),
        first_state(MEMBERS[0], first_records(Configuration((MEMBERS[0],)))),
    ]
    for record in records:
        [data] = encode(GROUP, record)
        assert data.hex() in documentation, data.hex(" ")


def test_which_slots_a_record_holds() -> None:
    assert last_slot(Appended(5, (Entry(1, NOTHING, b""),) * 3)) == 7
    assert last_slot(Adopted(1, 4, ())) == 0
    assert last_slot(Adopted(1, 4, (Entry(1, NOTHING, b""),))) == 5
    assert last_slot(Promised(1)) == last_slot(FIRST) == 0
