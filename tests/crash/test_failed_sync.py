"""A disk whose sync fails, under a real node: nobody can say what is on it, so the node takes no more writes, says so
to all who wait, and stops; the next start finds all that was acknowledged (storage/log_writer.py tells why).
"""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from tests.node.running_node import RunningNode
from tests.node.writes import Waiter, Write, number_of, row_key
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import LogFailed


def test_a_failed_sync_ends_writes_and_a_restart_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    assert node.write(1, Write("a", 1)).answer == b"1"
    disk.fail("write_synced", errno.EIO)
    partition = node.partitions[1]
    first, second, refused, deleted = Waiter(), Waiter(), Waiter(), Waiter()
    partition.write(Write("a", 2), first)
    partition.write(Write("b", 3), second)
    partition.write(Write("a", 9, if_number=1), refused)    # by a row that is not decided yet
    partition.write(Write("c", None), deleted)
    assert deleted.answer is None, "there was no such row: answered by returning"
    held: list[BaseException | None] = []
    undecided = partition.undecided(row_key("a"))
    assert undecided is not None
    undecided.hold(held.append)
    node.loop.turns()
    for waiter in (first, second, refused):
        assert isinstance(waiter.answer, LogFailed)
    assert len(held) == 1
    assert isinstance(held[0], LogFailed)
    assert [type(error) for error in node.fatal] == [LogFailed]
    assert isinstance(node.node.refusal, LogFailed)
    # Nothing more is accepted, also not by a disk that works again; reads go on until the node has stopped.
    late = node.write(1, Write("a", 4))
    assert isinstance(late.answer, LogFailed)
    assert number_of(partition.get(row_key("a"))) == 1
    assert partition.get(row_key("b")) is None
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_kill())
    found = number_of(again.partitions[1].get(row_key("a")))
    assert found == 1
    assert again.write(1, Write("a", 5)).answer == b"5"
    again.stop()


@pytest.mark.parametrize("left", ["none", "torn", "all"])
def test_a_power_cut_after_a_failed_sync_keeps_all_that_was_acknowledged(tmp_path: Path, left: str) -> None:
    """What was not acknowledged may be there, whole."""
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    for number in range(5):
        assert node.write(1, Write(f"row {number}", number)).answer == b"%d" % number
    disk.fail("write_synced", errno.EIO)
    assert isinstance(node.write(1, Write("row 0", 77)).answer, LogFailed)
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_power_cut(Random(1), left))
    get = again.partitions[1].get
    assert [number_of(get(row_key(f"row {number}"))) for number in range(1, 5)] == [1, 2, 3, 4]
    assert number_of(get(row_key("row 0"))) in (0, 77)
    again.stop()


@pytest.mark.parametrize("call", ["sync", "sync_folder", "create", "reserve"])
def test_a_segment_that_cannot_be_made_for_a_broken_disk_ends_writes_too(tmp_path: Path, call: str) -> None:
    disk = ForgetfulDisk()
    node = RunningNode(tmp_path, disk)
    disk.fail(call, errno.EIO)
    assert isinstance(node.write(1, Write("a", 1)).answer, LogFailed)
    assert [type(error) for error in node.fatal] == [LogFailed]
    node.loop.run(node.node.halt())
    again = RunningNode(tmp_path, disk.after_kill())
    assert again.write(1, Write("a", 2)).answer == b"2"
    again.stop()
