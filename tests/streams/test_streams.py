"""A stream from its enabling to its end: enabled, disabled, over; and longer than its table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from tests.streams.running_streams import DAY, HOUR, RunningStreams, number_of
from varley.streams.streams import OpenStream, name_in_arn

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/Music/stream/"


@pytest.fixture
def running() -> Iterator[RunningStreams]:
    running = RunningStreams()
    yield running
    running.stop()


def found(running: RunningStreams, stream: OpenStream) -> bool:
    assert (stream in running.streams.readable("Music")) == (stream in running.streams.readable(None))
    is_found = running.streams.find(ARN + stream.stream.label) is stream
    assert is_found == (stream in running.streams.readable("Music"))
    return is_found


def all_numbers(running: RunningStreams, stream: OpenStream) -> list[int]:
    [partition] = stream.partitions
    return [
        number_of(value)
        for shard in partition.shards(running.now_us)
        for _, value in partition.read(shard, partition.oldest(shard, running.now_us), 1000, running.now_us).rows
    ]


def test_arns_are_taken_apart() -> None:
    assert name_in_arn(ARN + "2026-11-21T14:03:05.123") == ("Music", "2026-11-21T14:03:05.123")
    for wrong in ("", ARN, ARN[:-8], ARN + "a|b", ARN + "a/b", "x" + ARN + "a", ARN.replace("Music", "a!") + "a"):
        assert name_in_arn(wrong) is None, wrong


def test_a_disabled_stream_has_ended_when_its_last_records_are_decided(running: RunningStreams) -> None:
    stream = running.stream
    assert stream.status == "ENABLED"
    running.put("a", 1, wait=False)
    over = running.streams.outliving(running.described.table)
    assert over is not None
    running.router.add(dataclasses.replace(running.described, table=over), running.route.partitions)
    stream.disable(over.streams[-1])
    [shard] = stream.shards(running.clock.time())
    assert stream.status == "DISABLING"
    assert not stream.has_ended(shard), "a record is still to come"
    running.loop.turns()
    assert stream.status == "DISABLED"
    assert stream.has_ended(shard)
    assert all_numbers(running, stream) == [1]


def test_it_has_ended_too_when_they_were_refused(running: RunningStreams) -> None:
    running.log.is_full = True
    running.put("a", 1, wait=False)
    running.disable()
    running.loop.turns()
    assert running.stream.status == "DISABLED"
    assert all_numbers(running, running.stream) == []


def test_writes_after_the_end_are_not_recorded(running: RunningStreams) -> None:
    running.put("a", 1)
    running.disable()
    running.put("a", 2)
    assert all_numbers(running, running.stream) == [1]
    assert running.route.consequences is None, "and cost nothing"


def test_a_disabled_stream_is_found_for_a_day(running: RunningStreams) -> None:
    running.put("a", 1)
    stream = running.stream
    running.disable()
    running.clock.advance(DAY - 1)
    assert found(running, stream)
    assert all_numbers(running, stream) == [1]
    running.clock.advance(1)
    assert not found(running, stream)
    running.look()
    assert running.rows() == 0
    running.look()
    assert list(running.streams) == []
    assert running.described.table.streams[-1].label == stream.stream.label, "the table still names it"


def test_rows_of_a_stream_that_ended_while_nobody_looked_go(running: RunningStreams) -> None:
    for number in range(5):
        running.put("a", number)
        running.streams.rotate("Music")
        running.loop.turns()
    running.disable()
    running.clock.advance(3 * DAY)
    running.restart()
    assert running.streams.readable(None) == []
    running.look()
    running.look()
    assert running.rows() == 0
    assert list(running.streams) == []


def test_a_stream_that_is_enabled_again_is_another(running: RunningStreams) -> None:
    running.put("a", 1)
    first = running.stream
    running.disable()
    running.enable("OLD_IMAGE")    # in the same millisecond
    second = running.stream
    assert second.stream.label > first.stream.label
    running.put("a", 2)
    running.put("a", 3)
    assert all_numbers(running, first) == [1]
    assert all_numbers(running, second) == [1, 2], "old images"
    assert found(running, first)
    assert found(running, second)


def test_streams_that_are_forgotten_leave_the_definition(running: RunningStreams) -> None:
    running.put("a", 1)
    running.disable()
    running.enable()
    running.disable()
    assert len(running.described.table.streams) == 2
    running.clock.advance(2 * DAY)
    running.look()
    running.look()
    running.enable()
    assert len(running.described.table.streams) == 1
    running.put("a", 2)
    assert all_numbers(running, running.stream) == [2]


def test_a_stream_outlives_its_table(running: RunningStreams) -> None:
    running.put("a", 1)
    stream = running.stream
    group = running.described.partitions.partitions[0].group
    kept = running.delete_table()
    assert kept is not None
    assert found(running, stream)
    assert stream.status == "DISABLED"
    assert all_numbers(running, stream) == [1]
    running.clock.advance(HOUR)
    running.look()
    assert found(running, stream)
    assert running.removed == []
    running.clock.advance(DAY)
    assert not found(running, stream)
    running.look()
    assert running.removed == [group]
    assert running.catalog.described() == []
    assert list(running.streams) == []


def test_a_table_whose_streams_are_over_leaves_nothing(running: RunningStreams) -> None:
    running.disable()
    running.clock.advance(2 * DAY)
    assert running.delete_table() is None
    assert list(running.streams) == []
    assert running.catalog.described() == []
