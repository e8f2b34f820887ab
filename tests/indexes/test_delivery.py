"""A batch takes one slot of the index's partition, counts what it changes, and is passed over if it came before."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.running_node import RunningNode
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import DiskFull
from varley.indexes.delivery import deliver
from varley.indexes.propagation import Delivery, IndexRow, Ledger, Part
from varley.item import stored
from varley.table.global_index_follower import Backlog, Backlogs
from varley.table.outgoing import source_key, source_slot

TARGET, SOURCE, OTHER = 1, 7, 8
A, B = b"\x00" + b"a" * 16, b"\x00" + b"b" * 16


def value(size: int) -> bytes:
    return stored.pack(b"{}", size, size)


def delivery(slot: int, *rows: IndexRow, source: int = SOURCE, is_filling: bool = False) -> Delivery:
    return Delivery(source, Ledger(slot, 1, None), Part(list(rows), Backlog(Backlogs(1))), is_filling=is_filling)


@pytest.fixture
def disk() -> ForgetfulDisk:
    return ForgetfulDisk()


@pytest.fixture
def node(tmp_path: Path, disk: ForgetfulDisk) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path, disk)
    yield node
    node.stop()


def send(node: RunningNode, *batch: Delivery) -> BaseException | None:
    """What `done` was told."""
    told: list[BaseException | None] = []
    deliver(node.partitions[TARGET], batch, told.append)
    node.loop.turns()
    assert len(told) == 1
    return told[0]


def has(node: RunningNode, source: int = SOURCE) -> int:
    return source_slot(node.partitions[TARGET].get(source_key(source)))


def test_a_batch_takes_one_slot_and_what_is_last_counts(node: RunningNode) -> None:
    batch = (
        delivery(3, (A, value(10)), (B, value(20))),
        delivery(1, (B, value(21)), source=OTHER),
        delivery(4, (A, value(11))),
        delivery(6, (B, None)),
    )
    assert send(node, *batch) is None
    tree = node.partitions[TARGET].tree
    assert tree.applied_slot == 1
    assert (tree.get(A), tree.get(B)) == (value(11), None)
    assert (has(node), has(node, OTHER)) == (6, 1)
    assert (tree.item_count, tree.size_bytes) == (1, 11)


def test_rows_are_counted_by_what_they_replace(node: RunningNode) -> None:
    send(node, delivery(1, (A, value(10)), (B, value(20))))
    send(node, delivery(2, (A, value(15))), delivery(3, (B, None)))
    tree = node.partitions[TARGET].tree
    assert (tree.item_count, tree.size_bytes) == (1, 15)
    send(node, delivery(4, (B, None)))    # nothing is there
    assert (tree.item_count, tree.size_bytes) == (1, 15)
    assert has(node) == 4


def test_what_came_before_is_passed_over(node: RunningNode) -> None:
    send(node, delivery(3, (A, value(10))))
    send(node, delivery(5, (A, value(11))))
    tree = node.partitions[TARGET].tree
    assert send(node, delivery(3, (A, value(10))), delivery(5, (A, value(11)))) is None
    assert tree.get(A) == value(11)
    assert tree.applied_slot == 2, "nothing new, and yet a slot"
    send(node, delivery(5, (A, value(11))), delivery(6, (B, value(12))))
    assert (tree.get(A), tree.get(B), has(node)) == (value(11), value(12), 6)


def test_filling_as_of_a_slot_counts_unless_there_is_a_later_one(node: RunningNode) -> None:
    send(node, delivery(3, (A, value(10))))
    send(node, delivery(3, (B, value(20)), is_filling=True))
    tree = node.partitions[TARGET].tree
    assert (tree.get(B), has(node)) == (value(20), 3)
    send(node, delivery(4, (B, None)))
    send(node, delivery(3, (B, value(20)), is_filling=True))    # sent again, and late
    assert tree.get(B) is None


def test_nobody_knows_what_the_disk_refused(node: RunningNode, disk: ForgetfulDisk) -> None:
    disk.fail("write_synced", errno.ENOSPC, times=2)    # the frame, and the head of the next segment
    assert isinstance(send(node, delivery(3, (A, value(10)))), DiskFull)
    disk.heal()
    assert has(node) == 0
    assert send(node, delivery(3, (A, value(10)))) is None
    assert has(node) == 3


def test_what_is_there_but_undecided_is_acknowledged_when_it_is_decided(node: RunningNode) -> None:
    first: list[BaseException | None] = []
    again: list[BaseException | None] = []
    partition = node.partitions[TARGET]
    deliver(partition, [delivery(3, (A, value(10)))], first.append)
    deliver(partition, [delivery(3, (A, value(10)))], again.append)
    assert (first, again) == ([], [])
    node.loop.turns()
    assert (first, again) == ([None], [None])
    assert partition.tree.applied_slot == 1
