"""What happens by itself, in small steps: shards end with age, old records go, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.streams.running_streams import DAY, HOUR, RunningStreams
from varley.node.partition import Partition
from varley.storage.tree import Tree


def test_shards_end_with_age() -> None:
    running = RunningStreams(shard_seconds=4 * HOUR, partitions=2)
    ids = []
    for _ in range(3):
        running.clock.advance(4 * HOUR - 1)
        running.look()
        ids.append(len(running.stream.shards(running.clock.time())))
        running.clock.advance(1)
        running.look()
        running.look()
        ids.append(len(running.stream.shards(running.clock.time())))
    assert ids == [2, 4, 4, 6, 6, 8]
    running.clock.advance(5 * DAY)
    running.look()
    assert len(running.stream.shards(running.clock.time())) == 4, "one after all that time, and the one before it"
    running.stop()


def test_many_records_go_in_small_steps() -> None:
    running = RunningStreams()
    for number in range(1000):
        running.put("a", number, wait=number % 100 == 0)
    running.loop.turns()
    running.clock.advance(2 * DAY)
    slots = slot(running.route.partitions[0])
    running.look()
    assert running.rows() == 1
    assert slot(running.route.partitions[0]) - slots == 5, "200 rows an entry"
    running.stop()


def test_large_records_go_in_smaller_steps() -> None:
    running = RunningStreams()
    for number in range(30):
        running.put("a", number, text="x" * 100_000, wait=False)
    running.loop.turns()
    running.clock.advance(2 * DAY)
    slots = slot(running.route.partitions[0])
    running.look()
    assert running.rows() == 1
    assert slot(running.route.partitions[0]) - slots == 3, "a megabyte an entry"
    running.stop()


def test_what_was_removed_is_not_passed_over_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next checkpoint it is still there, hidden: to begin with the first record that ever was costs more with
    each step."""
    lows = []
    scan = Tree.scan

    def noted(tree: Tree, low: bytes, high: bytes | None, *, reverse: bool = False) -> Any:
        lows.append(low)
        return scan(tree, low, high, reverse=reverse)

    running = RunningStreams()
    for number in range(1000):
        running.put("a", number, wait=number % 100 == 99)
    running.clock.advance(2 * DAY)
    monkeypatch.setattr(Tree, "scan", noted)
    running.look()
    assert len(lows) >= 5
    assert len(set(lows[:5])) == 5 and lows == sorted(lows)
    removed = lows[-1]
    lows.clear()
    partition = running.partition()
    [shard] = partition.shards(running.now_us)
    partition.newest(shard, running.now_us)
    partition.ending(shard)
    assert len(lows) == 2 and min(lows) >= removed
    running.stop()


def test_nothing_is_written_when_there_is_nothing_to_do() -> None:
    running = RunningStreams(partitions=2)
    running.put("a", 1)
    before = [slot(partition) for partition in running.route.partitions]
    for _ in range(3):
        running.clock.advance(6 * HOUR)
        running.look()
    assert [slot(partition) for partition in running.route.partitions] == before
    running.stop()


def test_it_looks_again_every_second_until_it_is_stopped() -> None:
    running = RunningStreams(shard_seconds=1)
    running.upkeep.start()
    for _ in range(3):
        running.clock.advance(1)
        running.loop.advance(1)
        running.loop.turns()
    assert len(running.stream.shards(running.clock.time())) == 4
    running.upkeep.stop()
    running.clock.advance(10)
    running.loop.advance(10)
    running.loop.turns()
    assert len(running.stream.shards(running.clock.time())) == 4
    running.stop()


def test_what_the_log_refuses_is_tried_again_later() -> None:
    running = RunningStreams()
    running.put("a", 1)
    running.clock.advance(2 * DAY)
    running.log.is_full = True
    running.look()
    assert running.rows() == 1
    running.log.is_full = False
    running.look()
    assert running.rows() == 1, "how far it is trimmed"
    assert running.numbers() == []
    running.stop()


def test_it_waits_while_checkpoints_do_not_keep_up() -> None:
    running = RunningStreams(shard_seconds=HOUR)
    running.put("a", 1)
    running.clock.advance(2 * DAY)
    running.checkpoints_lag(True)
    running.look()
    assert running.rows() == 1
    running.checkpoints_lag(False)
    running.look()
    running.look()
    assert running.rows() == 2, "how far it is trimmed, and a shard"
    running.stop()


def slot(partition: Partition) -> int:
    return partition.tree.applied_slot
