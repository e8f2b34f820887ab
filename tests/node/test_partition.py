"""Who is told what, and when: writes, refusals and reads of rows whose last write is not decided yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.running_node import RunningNode
from tests.node.writes import Waiter, Write, number_of, row_key, size_of
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import ConditionalCheckFailed
from varley.node.partition import Partition
from varley.node.settled import when_settled


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path, ForgetfulDisk())
    yield node
    node.stop()


@pytest.fixture
def partition(node: RunningNode) -> Partition:
    return node.partitions[1]


def propose(partition: Partition, write: Write) -> Waiter:
    """Begin a write that is not answered at once."""
    waiter = Waiter()
    assert partition.write(write, waiter) is None
    assert waiter.answer is None
    return waiter


def test_a_write_is_answered_when_it_is_chosen_and_applied(node: RunningNode, partition: Partition) -> None:
    waiter = propose(partition, Write("a", 1))
    assert partition.get(row_key("a")) is None, "nobody sees it before"
    assert number_of(partition.newest(row_key("a"))) == 1, "but the next write"
    node.loop.turns()
    assert waiter.answer == b"1"
    assert number_of(partition.get(row_key("a"))) == 1
    assert (partition.tree.item_count, partition.tree.size_bytes) == (1, size_of(1))


def test_writes_to_one_row_are_evaluated_in_order_before_any_is_chosen(node: RunningNode, partition: Partition) -> None:
    waiters = [propose(partition, Write("a", 1, add=True)) for _ in range(5)]
    node.loop.turns()
    assert [waiter.answer for waiter in waiters] == [b"1", b"2", b"3", b"4", b"5"]
    assert number_of(partition.get(row_key("a"))) == 5
    assert partition.tree.applied_slot == 5
    assert partition.tree.item_count == 1


def test_a_refusal_by_a_decided_row_is_raised_at_once(node: RunningNode, partition: Partition) -> None:
    assert node.write(1, Write("a", 1)).answer == b"1"
    with pytest.raises(ConditionalCheckFailed):
        partition.write(Write("a", 2, if_number=7), Waiter())
    assert partition.tree.applied_slot == 1, "a refusal takes no slot"


def test_a_refusal_by_an_undecided_row_is_told_when_that_is_chosen(node: RunningNode, partition: Partition) -> None:
    first = propose(partition, Write("a", 1))
    refused = propose(partition, Write("a", 2, if_number=7))
    node.loop.turns()
    assert first.answer == b"1"
    assert isinstance(refused.answer, ConditionalCheckFailed)
    assert refused.answer.item == 1
    assert partition.tree.applied_slot == 1


def test_deleting_what_is_not_there_takes_no_slot_and_is_answered_at_once(partition: Partition) -> None:
    assert partition.write(Write("a", None), Waiter()) == b"deleted"
    assert partition.undecided_range() is None


def test_deleting_what_was_deleted_a_moment_ago_waits_for_that(node: RunningNode, partition: Partition) -> None:
    assert node.write(1, Write("a", 1)).answer == b"1"
    first = propose(partition, Write("a", None))
    second = propose(partition, Write("a", None))
    node.loop.turns()
    assert (first.answer, second.answer) == (b"deleted", b"deleted")
    assert partition.tree.applied_slot == 2
    assert (partition.tree.item_count, partition.tree.size_bytes) == (0, 0)


def test_a_strong_read_waits_for_the_newest_write_of_its_row(node: RunningNode, partition: Partition) -> None:
    propose(partition, Write("a", 1))
    propose(partition, Write("a", 2))
    propose(partition, Write("b", 9))
    undecided = partition.undecided(row_key("a"))
    assert undecided is not None
    read: list[int | None] = []
    undecided.hold(lambda error: read.append(number_of(partition.get(row_key("a")))))
    assert number_of(partition.get(row_key("a"))) is None, "an eventual read does not wait"
    assert read == []
    node.loop.turns()
    assert read == [2]
    assert partition.undecided(row_key("a")) is None
    assert partition.undecided_range() is None


def test_a_strong_read_of_a_range_waits_for_the_newest_write_of_the_partition(
    node: RunningNode, partition: Partition
) -> None:
    propose(partition, Write("a", 1))
    propose(partition, Write("b", 2))
    undecided = partition.undecided_range()
    assert undecided is not None
    read: list[int] = []
    undecided.hold(lambda error: read.append(sum(1 for _ in partition.tree.scan(b"", None))))
    node.loop.turns()
    assert read == [2]


def test_a_read_of_several_partitions_waits_for_the_last_of_them(node: RunningNode) -> None:
    for group in (1, 2):
        propose(node.partitions[group], Write("a", group))
    undecided = [node.partitions[group].undecided(row_key("a")) for group in (1, 2)]
    read: list[list[int | None]] = []

    def both(error: BaseException | None) -> None:
        assert error is None
        read.append([number_of(node.partitions[group].get(row_key("a"))) for group in (1, 2)])

    when_settled([each for each in undecided if each is not None], both)
    assert read == []
    node.loop.turns()
    assert read == [[1, 2]]


def test_timestamps_rise_though_the_clock_stands(node: RunningNode, partition: Partition) -> None:
    before = partition.tree.last_timestamp_us
    for number in range(3):
        propose(partition, Write("a", number))
        assert partition.tree.last_timestamp_us > before
        before = partition.tree.last_timestamp_us
