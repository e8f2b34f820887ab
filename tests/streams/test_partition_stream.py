"""One stream in one partition: shards follow each other without a gap, and nothing that is read is missed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.streams.running_streams import DAY, HOUR, RunningStreams, number_of
from varley.streams.partition_stream import TrimmedDataAccess
from varley.streams.shard import place_of


@pytest.fixture
def running() -> Iterator[RunningStreams]:
    running = RunningStreams()
    yield running
    running.stop()


def rotate(running: RunningStreams) -> None:
    assert running.streams.rotate("Music") == len(running.route.partitions)
    running.loop.turns()


def test_a_record_shows_itself_when_its_write_is_chosen(running: RunningStreams) -> None:
    waiter = running.put("a", 1, wait=False)
    assert running.read().rows == []
    running.loop.turns()
    assert waiter.answer == b"done"
    assert running.numbers() == [1]


def test_what_the_log_refused_is_no_change(running: RunningStreams) -> None:
    running.put("a", 1)
    running.log.is_full = True
    running.put("a", 2)
    running.log.is_full = False
    running.put("a", 3)
    assert running.numbers() == [1, 3]


def test_reading_goes_on_where_it_stopped(running: RunningStreams) -> None:
    for number in range(7):
        running.put("a", number)
    found, position = [], None
    for expected in (False, False, True):
        page = running.read(position_us=position, limit=3)
        found += [number_of(value) for _, value in page.rows]
        position = page.position_us
        assert page.is_all == expected
    assert found == list(range(7))
    assert running.read(position_us=position).rows == []


def test_the_first_page_of_a_clock_that_stands_still_misses_nothing(running: RunningStreams) -> None:
    """Created, written and read in one microsecond: the times of entries ascend all the same."""
    for number in range(3):
        running.put("a", number)
    times = [time for time, _ in running.read().rows]
    assert times == sorted(set(times))


def test_latest_is_behind_the_newest_record_and_before_those_under_way(running: RunningStreams) -> None:
    running.put("a", 1)
    running.put("a", 2, wait=False)
    partition = running.partition()
    [shard] = partition.shards(running.now_us)
    latest = partition.newest(shard, running.now_us)
    running.loop.turns()
    assert [number_of(value) for _, value in running.read(position_us=latest).rows] == [2]


def test_a_shard_ends_where_the_next_begins(running: RunningStreams) -> None:
    running.put("a", 1)
    running.put("a", 2, wait=False)
    running.streams.rotate("Music")
    running.put("a", 3, wait=False)
    assert len(running.partition().shards(running.now_us)) == 1, "nothing is chosen yet"
    running.loop.turns()
    first, second = running.partition().shards(running.now_us)
    assert (running.numbers(0), running.numbers(1)) == ([1, 2], [3])
    assert (first.parent, second.parent) == (None, first.id)
    assert first.end_us == second.start_us
    ending = place_of(running.partition().ending(first))[0]
    assert ending == running.read(0).rows[-1][0] < second.start_us < running.read(1).rows[0][0]
    assert running.stream.has_ended(first)
    assert not running.stream.has_ended(second)


def test_shards_of_one_millisecond_have_different_ids(running: RunningStreams) -> None:
    for number in range(5):
        running.put("a", number)
        rotate(running)
    shards = running.stream.shards(running.clock.time())
    assert len({shard.id for shard in shards}) == 6
    assert [shard.parent for shard in shards] == [None, *(shard.id for shard in shards[:-1])]
    assert [running.numbers(number) for number in range(6)] == [[0], [1], [2], [3], [4], []]


def test_an_empty_shard_ends_where_it_began(running: RunningStreams) -> None:
    rotate(running)
    rotate(running)
    for shard in running.partition().shards(running.now_us)[:2]:
        assert place_of(running.partition().ending(shard)) == (shard.start_us, shard.group)


def test_one_rotation_at_a_time(running: RunningStreams) -> None:
    running.streams.rotate("Music")
    running.streams.rotate("Music")
    running.loop.turns()
    assert len(running.partition().shards(running.now_us)) == 2


def test_a_rotation_that_the_log_refused_did_not_happen(running: RunningStreams) -> None:
    running.log.is_full = True
    rotate(running)
    running.log.is_full = False
    running.put("a", 1)
    assert len(running.partition().shards(running.now_us)) == 1
    rotate(running)
    assert len(running.partition().shards(running.now_us)) == 2
    assert running.numbers(0) == [1]


def test_shards_are_the_same_after_a_restart(running: RunningStreams) -> None:
    for number in range(3):
        running.put("a", number)
        rotate(running)
    before = running.stream.shards(running.clock.time())
    running.restart()
    assert running.stream.shards(running.clock.time()) == before
    running.put("a", 3)
    assert [running.numbers(number) for number in range(4)] == [[0], [1], [2], [3]]


def test_a_clock_that_is_set_back_loses_nothing(running: RunningStreams) -> None:
    running.put("a", 1)
    rotate(running)
    running.clock.set(running.clock.time() - 10 * DAY)
    running.put("a", 2)
    rotate(running)
    running.put("a", 3)
    assert [running.numbers(number) for number in range(3)] == [[1], [2], [3]]
    numbers = [place_of(running.partition().ending(shard)) for shard in running.partition().shards(running.now_us)]
    assert numbers == sorted(numbers)


def test_each_partition_has_shards_of_its_own() -> None:
    running = RunningStreams(partitions=3)
    for number in range(30):
        running.put(str(number), number)
    rotate(running)
    shards = running.stream.shards(running.clock.time())
    assert [shard.parent is None for shard in shards] == [True] * 3 + [False] * 3
    found = []
    for partition in running.stream.partitions:
        first, second = partition.shards(running.now_us)
        assert second.parent == first.id
        found += partition.read(first, 0, 1000, running.now_us).rows
    assert sorted(number_of(value) for _, value in found) == list(range(30))
    running.stop()


# What is too old


def test_a_record_can_be_read_for_a_day(running: RunningStreams) -> None:
    running.put("a", 1)
    running.clock.advance(DAY - 60)
    running.put("a", 2)
    assert running.numbers() == [1, 2]
    running.clock.advance(60 + 1)
    assert running.numbers() == [2], "TRIM_HORIZON begins after it"


def test_a_place_at_the_horizon_is_good_for_some_seconds(running: RunningStreams) -> None:
    running.put("a", 1)
    running.clock.advance(DAY - 1)
    partition = running.partition()
    [shard] = partition.shards(running.now_us)
    place = partition.oldest(shard, running.now_us)
    running.clock.advance(2)
    assert len(running.read(position_us=place).rows) == 1
    running.clock.advance(10)
    with pytest.raises(TrimmedDataAccess):
        running.read(position_us=place)


def test_what_is_trimmed_is_refused_and_not_passed_over(running: RunningStreams) -> None:
    running.put("a", 1)
    running.put("a", 2)
    [(first, _), (second, _)] = running.read().rows
    running.clock.advance(DAY + HOUR)
    running.put("a", 3)
    [shard] = running.partition().shards(running.now_us)
    for is_removed in (False, True):
        for place in (0, first - 1, first):
            assert running.partition().is_trimmed_after(shard, place, running.now_us)
            with pytest.raises(TrimmedDataAccess):
                running.read(position_us=place)
        assert not running.partition().is_trimmed_after(shard, second, running.now_us), "it has read all that is gone"
        assert [number_of(value) for _, value in running.read(position_us=second).rows] == [3]
        if not is_removed:
            assert running.rows() == 3
            running.look()
            assert running.rows() == 2, "the new record, and how far the others are gone"


def test_what_is_trimmed_stays_so_when_the_clock_is_set_back(running: RunningStreams) -> None:
    running.put("a", 1)
    running.clock.advance(2 * DAY)
    running.look()
    running.clock.set(running.clock.time() - 2 * DAY)
    running.put("a", 2)
    running.restart()
    assert running.numbers() == [2]
    with pytest.raises(TrimmedDataAccess):
        running.read(position_us=0)


def test_an_idle_stream_has_nothing_to_refuse(running: RunningStreams) -> None:
    running.put("a", 1)
    place = running.read().position_us
    running.clock.advance(30 * DAY)
    running.look()
    assert running.read(position_us=place).rows == []
    [shard] = running.partition().shards(running.now_us)
    latest = running.partition().newest(shard, running.now_us)
    running.put("a", 2)
    for place_now in (place, latest):
        assert [number_of(value) for _, value in running.read(position_us=place_now).rows] == [2]


def test_a_shard_goes_a_day_after_it_ended(running: RunningStreams) -> None:
    running.put("a", 1)
    rotate(running)
    first, second = running.partition().shards(running.now_us)
    running.clock.advance(DAY - HOUR)
    running.put("a", 2)
    rotate(running)
    running.clock.advance(2 * HOUR)
    for _ in range(2):
        shards = running.partition().shards(running.now_us)
        assert shards[0].id == second.id
        assert shards[0].parent == first.id, "also when that is gone"
        assert len(shards) == 2
        running.look()
    running.clock.advance(DAY)
    for _ in range(2):
        assert len(running.partition().shards(running.now_us)) == 1
        running.look()
        running.restart()
    assert running.rows() == 2, "the open shard, and how far the records are gone"


def test_the_ending_of_a_shard_stays_when_its_records_go(running: RunningStreams) -> None:
    running.put("a", 1)
    running.clock.advance(DAY - HOUR)
    rotate(running)
    first = running.partition().shards(running.now_us)[0]
    ending = running.partition().ending(first)
    running.clock.advance(2 * HOUR)
    running.look()
    assert running.partition().shards(running.now_us)[0] == first, "it ended only two hours ago"
    assert running.numbers(0) == []
    assert running.partition().ending(first) == ending
