"""What a partition accepts of transactions, what it does at their end, and what it knows after a failure."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.node.running_node import RunningNode
from tests.node.writes import Waiter, Write, number_of, row_key
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import ApiError, ConditionalCheckFailed, TransactionConflict
from varley.item.marker import Name
from varley.node.participant import DerivedRow, Newest, Participant
from varley.node.partition import Partition

TALLY = b"\x06"


class Action:
    """A write of tests.node.writes; what follows from it is a row that counts such writes."""

    def __init__(self, write: Write, *, is_check: bool = False) -> None:
        self.write = write
        self.key = write.key
        self.is_check = is_check

    def evaluate(self, old: bytes | None, timestamp_us: int) -> bytes | None:
        return self.write.evaluate(old, timestamp_us)[0]

    def follow(
        self, key: bytes, old: bytes | None, new: bytes | None, newest: Newest, timestamp_us: int
    ) -> Sequence[DerivedRow]:
        return follow(key, old, new, newest, timestamp_us)


def follow(
    key: bytes, old: bytes | None, new: bytes | None, newest: Newest, timestamp_us: int
) -> Sequence[DerivedRow]:
    before = newest(TALLY)
    return [(TALLY, b"%d" % (1 + int(before or 0))), (b"\x20" + timestamp_us.to_bytes(8, "big"), b"")]


@pytest.fixture
def disk() -> ForgetfulDisk:
    return ForgetfulDisk()


@pytest.fixture
def node(tmp_path: Path, disk: ForgetfulDisk) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path, disk)
    for name in ("a", "b", "c"):
        node.write(1, Write(name, 1))
    yield node
    node.stop()


@pytest.fixture
def partition(node: RunningNode) -> Partition:
    return node.partitions[1]


def name_of(partition: Partition, number: int = 1, *, later_us: int = 1) -> Name:
    return Name(b"%016d" % number, partition.tree.last_timestamp_us + later_us)


def prepare(partition: Partition, name: Name, *actions: Action) -> Waiter:
    evaluation = partition.participant.evaluate(actions, name.timestamp_us)
    waiter = Waiter()
    partition.participant.prepare(name, evaluation, waiter)
    return waiter


def refusals(partition: Partition, name: Name, *actions: Action) -> list[type[ApiError] | None]:
    evaluation = partition.participant.evaluate(actions, name.timestamp_us)
    assert evaluation.is_refused == any(evaluation.refusals)
    return [None if refusal is None else type(refusal) for refusal in evaluation.refusals]


def commit(partition: Partition, name: Name, *names: str) -> bool:
    return partition.participant.commit(name, [(row_key(each), follow) for each in names], Waiter())


# The four rules


def test_the_condition_has_to_hold(partition: Partition) -> None:
    name = name_of(partition)
    wanted = refusals(partition, name, Action(Write("a", 2, if_number=1)), Action(Write("b", 2, if_number=7)))
    assert wanted == [None, ConditionalCheckFailed]


def test_a_transaction_has_to_be_later_than_the_last_write(partition: Partition) -> None:
    early = Name(b"x" * 16, partition.tree.last_timestamp_us - 1)    # when b was written, before c
    assert refusals(partition, early, Action(Write("a", 2)), Action(Write("b", 2)), Action(Write("c", 2))) == [
        None,
        TransactionConflict,
        TransactionConflict,
    ]


def test_one_transaction_at_a_time_has_an_item(node: RunningNode, partition: Partition) -> None:
    prepare(partition, name_of(partition), Action(Write("a", 2)))
    later = name_of(partition, 2)
    assert refusals(partition, later, Action(Write("a", 3)), Action(Write("b", 3))) == [TransactionConflict, None]
    with pytest.raises(TransactionConflict):
        partition.write(Write("a", 3), Waiter())
    node.loop.turns()
    with pytest.raises(TransactionConflict):
        partition.write(Write("a", 3), Waiter())


def test_where_there_is_no_item_it_has_to_be_later_than_every_delete(node: RunningNode, partition: Partition) -> None:
    node.write(1, Write("a", None))
    deleted_us = partition.tree.last_timestamp_us
    assert refusals(partition, Name(b"x" * 16, deleted_us), Action(Write("a", 2))) == [TransactionConflict]
    assert refusals(partition, Name(b"x" * 16, deleted_us), Action(Write("never", 2))) == [TransactionConflict]
    assert refusals(partition, Name(b"x" * 16, deleted_us + 1), Action(Write("a", 2))) == [None]


def test_an_item_that_was_checked_cannot_be_written_by_an_earlier_transaction(
    node: RunningNode, partition: Partition
) -> None:
    checked = name_of(partition, 1, later_us=10)
    earlier = name_of(partition, 2, later_us=9)
    prepare(partition, checked, Action(Write("a", 1, if_number=1), is_check=True))
    assert commit(partition, checked, "a")
    node.loop.turns()
    assert refusals(partition, earlier, Action(Write("a", 2))) == [TransactionConflict]
    assert number_of(partition.get(row_key("a"))) == 1


# How it ends


def test_a_commit_writes_what_was_prepared_and_what_follows_from_it(node: RunningNode, partition: Partition) -> None:
    name = name_of(partition)
    prepare(partition, name, Action(Write("a", 5)), Action(Write("b", None)), Action(Write("new", 7)))
    node.loop.turns()
    assert [number_of(partition.get(row_key(each))) for each in ("a", "b", "new")] == [1, 1, None]
    before = partition.tree.applied_slot
    assert commit(partition, name, "a", "b", "new")
    node.loop.turns()
    assert partition.tree.applied_slot == before + 1
    assert [number_of(partition.get(row_key(each))) for each in ("a", "b", "new")] == [5, None, 7]
    assert partition.get(TALLY) == b"3", "each sees what follows from those before it"
    times = [key for key, _ in partition.tree.scan(b"\x20", b"\x21")]
    assert len(times) == 3, "each has a time of its own"
    assert partition.tree.item_count == 3
    assert partition.participant.markers == {}


def test_what_follows_is_worked_out_at_the_commit(node: RunningNode, partition: Partition) -> None:
    """Another transaction of the partition has changed it meanwhile."""
    first, second = name_of(partition, 1), name_of(partition, 2, later_us=2)
    prepare(partition, first, Action(Write("a", 5)))
    prepare(partition, second, Action(Write("b", 6)))
    commit(partition, second, "b")
    commit(partition, first, "a")
    node.loop.turns()
    assert partition.get(TALLY) == b"2"


def test_a_cancel_leaves_everything_as_it_was(node: RunningNode, partition: Partition) -> None:
    name = name_of(partition)
    prepare(partition, name, Action(Write("a", 5)), Action(Write("new", 5)))
    assert partition.participant.cancel(name, [row_key("a"), row_key("new")], Waiter())
    node.loop.turns()
    assert number_of(partition.get(row_key("a"))) == 1
    assert list(partition.tree.scan(b"\x50", b"\x51")) == []
    assert node.write(1, Write("a", 9)).answer == b"9"


def test_what_is_over_is_not_done_again(node: RunningNode, partition: Partition) -> None:
    name, other = name_of(partition), name_of(partition, 2)
    prepare(partition, name, Action(Write("a", 5)))
    assert not commit(partition, other, "a"), "it is another's"
    assert not partition.participant.cancel(Name(name.id, name.timestamp_us + 1), [row_key("a")], Waiter())
    assert commit(partition, name, "a")
    assert not commit(partition, name, "a")
    assert not partition.participant.cancel(name, [row_key("a")], Waiter())
    node.loop.turns()
    assert number_of(partition.get(row_key("a"))) == 5


def test_all_at_once_takes_one_slot(node: RunningNode, partition: Partition) -> None:
    name = name_of(partition)
    actions = [Action(Write("a", 5)), Action(Write("b", 1, if_number=1), is_check=True), Action(Write("c", None))]
    evaluation = partition.participant.evaluate(actions, name.timestamp_us)
    before = partition.tree.applied_slot
    assert partition.participant.write(name, evaluation, None, Waiter())
    node.loop.turns()
    assert partition.tree.applied_slot == before + 1
    assert [number_of(partition.get(row_key(each))) for each in ("a", "b", "c")] == [5, 1, None]
    assert partition.get(TALLY) == b"2"


# What is lost and what is kept


def test_a_prepare_that_the_disk_refused_is_in_nobodys_way(
    node: RunningNode, partition: Partition, disk: ForgetfulDisk
) -> None:
    disk.fail("write_synced", errno.ENOSPC, times=2)
    waiter = prepare(partition, name_of(partition), Action(Write("a", 5)))
    node.loop.turns()
    disk.heal()
    assert waiter.answer is not None
    assert partition.participant.markers == {}
    assert node.write(1, Write("a", 9)).answer == b"9"


def test_a_commit_that_the_disk_refused_leaves_the_item_prepared(
    node: RunningNode, partition: Partition, disk: ForgetfulDisk
) -> None:
    name = name_of(partition)
    prepare(partition, name, Action(Write("a", 5)))
    node.loop.turns()
    disk.fail("write_synced", errno.ENOSPC, times=2)
    commit(partition, name, "a")
    node.loop.turns()
    disk.heal()
    assert list(partition.participant.markers) == [row_key("a")]
    assert commit(partition, name, "a")
    node.loop.turns()
    assert number_of(partition.get(row_key("a"))) == 5


def test_after_a_crash_what_was_prepared_is_still_prepared(
    node: RunningNode, partition: Partition, disk: ForgetfulDisk, tmp_path: Path
) -> None:
    name = name_of(partition)
    prepare(partition, name, Action(Write("a", 5)), Action(Write("b", None)))
    node.loop.turns()
    again = RunningNode(tmp_path, disk.after_kill())
    participant: Participant = again.partitions[1].participant
    assert {key: made.name for key, made in participant.markers.items()} == {row_key("a"): name, row_key("b"): name}
    with pytest.raises(TransactionConflict):
        again.partitions[1].write(Write("a", 3), Waiter())
    assert again.partitions[1].tree.last_timestamp_us > name.timestamp_us, "later writes are later than it"
    early = Name(b"y" * 16, name.timestamp_us)
    assert refusals(again.partitions[1], early, Action(Write("never", 1))) == [TransactionConflict]
    assert commit(again.partitions[1], name, "a", "b")
    again.loop.turns()
    assert number_of(again.partitions[1].get(row_key("a"))) == 5
    assert again.partitions[1].get(row_key("b")) is None
    again.stop()


# Reading


def test_every_write_moves_the_version_of_an_item_and_so_does_its_absence(
    node: RunningNode, partition: Partition
) -> None:
    participant = partition.participant
    seen = {participant.version(row_key("d")).timestamp_us}
    for number in (1, 2, None, 3, None):
        node.write(1, Write("d", number))
        version = participant.version(row_key("d"))
        assert version.timestamp_us not in seen
        seen.add(version.timestamp_us)
        assert number_of(version.value) == number


def test_a_marker_shows_itself_to_readers_unless_it_is_a_check(node: RunningNode, partition: Partition) -> None:
    name = name_of(partition)
    prepare(partition, name, Action(Write("a", 5)), Action(Write("b", 1, if_number=1), is_check=True))
    node.loop.turns()
    assert partition.participant.version(row_key("a")).is_marked
    assert not partition.participant.version(row_key("b")).is_marked
