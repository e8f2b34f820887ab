"""A node between its log, its checkpoints and a disk that is full."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from tests.node.running_node import RunningNode
from tests.node.writes import Waiter, Write, number_of, row_key
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import Damaged, DiskFull, WorldError
from varley.storage import checkpoint
from varley.storage.inventory import Inventory
from varley.storage.lmdb_engine import LmdbEngine


def fill(node: RunningNode, rows: int, group: int = 1, start: int = 0) -> None:
    for number in range(start, start + rows):
        assert node.write(group, Write(f"row {number}", number)).answer == b"%d" % number


def test_requests_of_one_turn_share_a_frame(tmp_path: Path) -> None:
    node = RunningNode(tmp_path, ForgetfulDisk())
    waiters = [Waiter() for _ in range(4)]
    for number, waiter in enumerate(waiters):
        node.partitions[1 + number % 2].write(Write(f"row {number}", number), waiter)
    node.loop.turns()
    assert [waiter.answer for waiter in waiters] == [b"%d" % number for number in range(4)]
    assert node.log.statistics.frames == 1
    node.stop()


def test_a_full_disk_refuses_what_was_proposed_and_later_writes_work_again(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    fill(node, 3)
    disk.fail("write_synced", errno.ENOSPC, times=2)    # the frame, and the head of the next segment
    waiters = [Waiter() for _ in range(3)]
    for waiter in waiters:
        node.partitions[1].write(Write("row 0", 1, add=True), waiter)
    refused = Waiter()
    node.partitions[1].write(Write("row 0", 9, if_number=0), refused)
    node.loop.turns()
    for waiter in (*waiters, refused):
        assert isinstance(waiter.answer, DiskFull)
    assert isinstance(node.node.refusal, DiskFull)
    assert node.fatal == []
    assert number_of(node.partitions[1].get(row_key("row 0"))) == 0, "reads go on, and show nothing of it"
    assert node.partitions[1].undecided_range() is None
    disk.heal()
    assert node.write(1, Write("row 0", 5, add=True)).answer == b"5", "evaluated on what was chosen"
    assert node.node.refusal is None
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_kill())
    assert number_of(again.partitions[1].get(row_key("row 0"))) == 5
    assert again.partitions[1].tree.applied_slot == 4
    again.stop()


def test_after_a_refusal_the_node_finds_out_by_itself_when_the_disk_takes_writes_again(tmp_path: Path) -> None:
    """1. The disk is full, a write is refused, the node is not ready. 2. Whoever looks at that sends no more writes.
    3. There is space again: without an attempt of its own the node would never be ready again."""
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    fill(node, 3)
    disk.fail("write_synced", errno.ENOSPC, times=3)    # the frame, and the next segment's head twice
    assert isinstance(node.write(1, Write("row 0", 1)).answer, DiskFull)
    assert node.node.refused_writes == {"DiskFull": 1}
    node.loop.advance(1.1)
    node.loop.turns()
    assert isinstance(node.node.refusal, DiskFull), "it has tried, and was refused"
    node.loop.advance(1.1)
    node.loop.turns()
    assert isinstance(node.node.refusal, DiskFull)
    disk.heal()
    node.loop.advance(1.1)
    node.loop.turns()
    assert node.node.refusal is None
    frames = node.log.statistics.frames
    node.loop.advance(5.0)
    node.loop.turns()
    assert node.log.statistics.frames == frames, "it tries no more"
    assert node.node.refused_writes == {"DiskFull": 1}
    node.stop()


def test_stopping_makes_the_next_start_replay_nothing(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    fill(node, 50)
    before = len(disk.list("log"))
    node.stop()
    assert len(disk.list("log")) <= 2 < before, "the next start would read segments that no tree needs"
    again = RunningNode(tmp_path, disk)
    tree = again.partitions[1].tree
    assert tree.applied_slot == tree.checkpointed_slot == 50
    assert tree.overlay_bytes == 0
    again.stop()


def test_halting_leaves_everything_to_the_log(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    fill(node, 50)
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_kill())
    assert again.partitions[1].tree.item_count == 50
    assert again.partitions[1].tree.checkpointed_slot == 0
    again.stop()


def _refuse(error: WorldError) -> object:
    def write(part: object, one: object, other: object) -> None:
        raise error

    return write


FULL = DiskFull("No space for a checkpoint")


def test_a_node_stops_on_a_disk_that_takes_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    fill(node, 20)
    with monkeypatch.context() as patch:
        patch.setattr(LmdbEngine, "write", _refuse(FULL))
        node.stop()
    again = RunningNode(tmp_path, disk)
    assert again.partitions[1].tree.item_count == 20
    again.stop()


def test_a_checkpoint_that_did_not_fit_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = RunningNode(tmp_path, ForgetfulDisk(), overlay_bytes_max=1000)
    fill(node, 20)
    with monkeypatch.context() as patch:
        patch.setattr(LmdbEngine, "write", _refuse(FULL))
        node.loop.advance(0.2)
        node.loop.wait_for_call()
    assert node.node.checkpoints == 0
    node.loop.advance(1.1)
    node.loop.wait_for_call()
    assert node.node.checkpoints == 1
    assert node.node.checkpoint_seconds > 0
    assert node.fatal == []
    node.stop()


def test_a_group_whose_checkpoint_does_not_fit_can_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = RunningNode(tmp_path, ForgetfulDisk(), overlay_bytes_max=1000)
    fill(node, 20)
    with monkeypatch.context() as patch:
        patch.setattr(LmdbEngine, "write", _refuse(FULL))
        node.loop.advance(0.2)
        node.loop.wait_for_call()
        node.loop.run(node.node.remove_group(1))
    fill(node, 3, group=2)
    node.stop()


def test_a_bug_in_a_checkpoint_stops_the_node_and_not_only_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = RunningNode(tmp_path, ForgetfulDisk(), overlay_bytes_max=1000)
    fill(node, 20)

    def write_frozen(*arguments: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_frozen", write_frozen)
        node.loop.advance(0.2)
        node.loop.wait_for_call()
    assert len(node.fatal) == 1
    assert "ZeroDivisionError" in str(node.fatal[0])
    node.loop.run(node.node.halt())


def test_old_segments_are_released_by_one_thread_at_a_time(tmp_path: Path) -> None:
    """1. A checkpoint ends, and a disk thread begins to delete old segments; the disk is slow. 2. The next checkpoint
    ends. A second thread would delete the same segment, and each would strike one off the list: the second one's is
    forgotten and stays, those after it go, and the next start finds a log with a hole."""
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk, overlay_bytes_max=1000)
    node.loop.holds_disk_threads = True
    for round_number in range(4):
        fill(node, 20, start=20 * round_number)
        node.loop.advance(0.2)
        node.loop.wait_for_call()
    assert node.node.checkpoints >= 2
    assert len(node.loop.held) == 1
    node.loop.holds_disk_threads = False
    node.loop.let_disk_threads_go()
    node.stop()
    RunningNode(tmp_path, disk).stop()


def test_no_segment_is_deleted_before_the_trees_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1. The first checkpoint of a group ends. 2. Its segments are deleted. 3. The power goes, and the group was not
    remembered. 4. Its tree is lost: the table would be served as if it were empty."""
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk, overlay_bytes_max=1000)
    fill(node, 60)
    segments = len(disk.list("log"))
    with monkeypatch.context() as patch:
        patch.setattr(Inventory, "_write", _refuse(FULL))
        node.loop.advance(0.2)
        node.loop.wait_for_call()
        assert node.node.checkpoints == 1
        assert len(disk.list("log")) == segments
    assert node.fatal == []
    fill(node, 20)
    node.loop.advance(0.2)
    node.loop.wait_for_call()
    assert len(disk.list("log")) < segments
    assert node.engines.inventory.trees == {1}
    node.loop.run(node.node.halt())
    shutil.rmtree(tmp_path / "trees" / f"{1:016x}")
    with pytest.raises(Damaged, match="The tree is missing"):
        RunningNode(tmp_path, disk.after_kill())


def test_a_log_that_is_gone_is_noticed_though_nothing_was_in_a_tree(tmp_path: Path) -> None:
    node = RunningNode(tmp_path, ForgetfulDisk())
    fill(node, 1)
    node.loop.run(node.node.halt())
    with pytest.raises(Damaged, match="the log is empty, and segment 1 was begun"):
        RunningNode(tmp_path, ForgetfulDisk())


def test_a_write_is_refused_when_the_first_segment_cannot_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    with monkeypatch.context() as patch:
        patch.setattr(Inventory, "_write", _refuse(FULL))
        assert isinstance(node.write(1, Write("row 0", 1)).answer, DiskFull)
    fill(node, 3)
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_kill())
    assert again.partitions[1].tree.item_count == 3
    again.stop()


def test_a_removed_group_leaves_no_tree_and_its_log_entries_are_skipped(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    fill(node, 20)
    fill(node, 5, group=2)
    node.loop.run(node.node.remove_group(1))
    assert node.engines.groups() == []
    node.stop()
    again = RunningNode(tmp_path, disk.after_kill())
    assert again.partitions[2].tree.item_count == 5
    again.stop()


def test_a_group_that_is_made_while_segments_are_deleted_keeps_its_entries(tmp_path: Path) -> None:
    """1. A checkpoint ends, and a disk thread begins to delete segments that no group needs. 2. A table is made, and
    its writes fill segments. 3. The thread comes to those: it must not take a group for dead because it is new."""
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk, overlay_bytes_max=1000)
    node.loop.run(node.node.remove_group(2))
    node.loop.holds_disk_threads = True
    fill(node, 20)
    node.loop.advance(0.2)
    node.loop.wait_for_call()
    assert len(node.loop.held) == 1
    node.partitions[2] = node.node.create_group(2)
    fill(node, 60, group=2)
    node.loop.holds_disk_threads = False
    node.loop.let_disk_threads_go()
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_kill())
    assert again.partitions[2].tree.item_count == 60
    again.stop()


def test_many_small_overlays_are_written_as_one_large_one_is(tmp_path: Path) -> None:
    """Else no group would be due for a checkpoint, all together would be too much, and writes refused for ever."""
    node = RunningNode(tmp_path, ForgetfulDisk(), overlay_bytes_max=10_000)
    for group in range(3, 20):
        node.partitions[group] = node.node.create_group(group)
        fill(node, 20, group=group)
    sizes = [partition.tree.overlay_bytes for partition in node.partitions.values()]
    assert max(sizes) < 10_000 < 40_000 < sum(sizes)
    node.loop.advance(0.2)
    while node.node.checkpoints < 10:
        node.loop.wait_for_call()
    assert sum(partition.tree.overlay_bytes for partition in node.partitions.values()) < 40_000
    node.stop()
