"""The power goes at every call that the log makes, and the log is opened again.

A workload with several groups, frames, segments, a release and a restart is run once to count its calls, then
once for each call with the power going in the middle of it. Each time the judge compares what the next
process finds:

  - every record that was reported durable is found (or was released);
  - what is found is a prefix of what was appended: whole records, in order;
  - the log can be written to, and the power can go again.

A planted bug, a writer whose sync does nothing, shows that the judge would notice.
"""

from __future__ import annotations

import errno
from random import Random

import pytest
from forgetful_disk import ForgetfulDisk, PowerCut
from hypothesis import given, settings
from hypothesis import strategies as st
from log_driver import FOLDER, LogDriver, Place, read_log

from varley.errors import Damaged
from varley.storage.log_reader import LogReader

SEGMENT_BYTES = 4096
MANNERS = ("none", "torn", "all")


class Workload:
    """Appends to three groups, in frames of different sizes. What was appended and what was promised is known."""

    def __init__(self, disk: ForgetfulDisk, seed: int) -> None:
        self.disk = disk
        self.random = Random(seed)
        self.appended: list[Place] = []
        self.promised = 0    # so many of them were reported durable
        self.released = 0    # so many of them may be gone
        self.slots = dict.fromkeys((1, 2, 3), 0)

    def run(self, frames: int) -> None:
        """Raises PowerCut if the disk is told to."""
        log = LogDriver(self.disk, segment_bytes=SEGMENT_BYTES)
        for number in range(frames):
            frame = [self._place() for _ in range(self.random.choice((1, 1, 2, 5)))]
            self.appended += frame
            try:
                log.write(*frame)
            finally:
                self.promised += len(log.durable)
                log.durable.clear()
            if number % 5 == 4:
                self._release(log)

    def _place(self) -> Place:
        group = self.random.choice((1, 2, 3))
        self.slots[group] += 1
        size = self.random.choice((0, 50, 400, 1500))
        # Zeros too: a sector that was written as zeros is not one that was never written.
        filling = self.random.choice((b"\0", b"x"))
        return (group, 1, self.slots[group], f"{group}/{self.slots[group]}".encode().ljust(size, filling))

    def _release(self, log: LogDriver) -> None:
        """Everything but the last few records is in trees now."""
        keep = max(0, self.promised - 6)
        self.released = keep
        checkpointed = dict.fromkeys(self.slots, 0)
        for group, _, slot, _ in self.appended[:keep]:
            checkpointed[group] = slot
        log.writer.release(checkpointed, self.slots)

    def judge(self, found: list[Place]) -> None:
        """Compare with what the next process finds in the log."""
        start = self.appended.index(found[0]) if found else self.promised
        assert found == self.appended[start : start + len(found)], "not what was appended, in order"
        assert start <= self.released, "a record that was never checkpointed is gone"
        assert start + len(found) >= self.promised, "a record that was reported durable is gone"


def count_calls(seed: int, frames: int) -> int:
    disk = ForgetfulDisk()
    Workload(disk, seed).run(frames)
    return len(disk.calls)


def cut_at(call: int, seed: int, frames: int, disk: ForgetfulDisk | None = None) -> Workload:
    workload = Workload(disk or ForgetfulDisk(), seed)
    workload.disk.cut_at = call
    with pytest.raises(PowerCut):
        workload.run(frames)
    return workload


@pytest.mark.parametrize("seed", range(8))
def test_whenever_the_power_goes_what_was_reported_durable_is_found(seed: int) -> None:
    frames = 24
    tails_torn = 0
    for call in range(count_calls(seed, frames)):
        workload = cut_at(call, seed, frames)
        for manner in MANNERS:
            log = LogDriver(workload.disk.after_power_cut(Random(f"{seed} {call}"), manner))
            workload.judge(log.places)
            tails_torn += log.end.torn_bytes > 0
    assert tails_torn    # or this test tests less than it says


@pytest.mark.parametrize("seed", range(8))
def test_the_power_goes_again_while_the_log_is_written_after_the_first_time(seed: int) -> None:
    """A torn tail, a new segment behind it, and the same once more."""
    frames = 12
    for call in range(0, count_calls(seed, frames), 3):
        first = cut_at(call, seed, frames)
        random = Random(f"{seed} {call}")
        survivor = first.disk.after_power_cut(random)
        found = read_log(survivor)
        second = Workload(survivor, seed)
        second.appended, second.promised = list(found), len(found)
        second.slots = {group: max([0, *(p[2] for p in found if p[0] == group)]) for group in (1, 2, 3)}
        second.random = random
        survivor.cut_at = len(survivor.calls) + random.randrange(20)
        try:
            second.run(6)
        except PowerCut:
            pass
        second.judge(read_log(survivor.after_power_cut(random)))


@given(seed=st.integers(0, 2**32), call=st.integers(0, 10_000), tear=st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_workload_cut_anywhere_and_torn_anyhow(seed: int, call: int, tear: Random) -> None:
    calls = count_calls(seed, 8)
    workload = cut_at(call % calls, seed, 8)
    workload.judge(read_log(workload.disk.after_power_cut(tear)))


def test_the_judge_notices_a_writer_that_does_not_sync() -> None:
    """Planted: the write reaches the system's cache and is acknowledged."""

    class NoSync(ForgetfulDisk):
        def _sync_after_write(self, file: object, offset: int, length: int) -> None:
            pass

    seed, frames = 1, 8
    noticed = 0
    for call in range(count_calls(seed, frames)):
        workload = cut_at(call, seed, frames, NoSync())
        try:
            workload.judge(read_log(workload.disk.after_power_cut(Random(call))))
        except (AssertionError, Damaged):
            noticed += 1
    assert noticed > 10


def test_the_judge_notices_a_writer_that_does_not_sync_the_folder() -> None:
    class NoFolderSync(ForgetfulDisk):
        def sync_folder(self, folder: str) -> None:
            pass

    disk = NoFolderSync()
    workload = Workload(disk, 1)
    workload.run(8)
    with pytest.raises(AssertionError, match="is gone"):
        workload.judge(read_log(disk.after_power_cut(Random(1), "none")))


def test_what_a_killed_process_left_in_the_cache_is_durable_once_it_was_read() -> None:
    """1. A process writes a frame; it is killed before the sync. 2. The next process reads the frame, and
    shows it to
    clients. 3. The power goes. What clients saw must still be there."""

    class KilledBeforeSync(ForgetfulDisk):
        def _sync_after_write(self, file: object, offset: int, length: int) -> None:
            if offset:
                raise PowerCut

    disk = KilledBeforeSync()
    log = LogDriver(disk)
    with pytest.raises(PowerCut):
        log.write((1, 1, 1, b"written"))
    assert read_log(disk.after_power_cut(Random(1), "none")) == []
    survivor = disk.after_kill()
    assert read_log(survivor) == [(1, 1, 1, b"written")]
    assert read_log(survivor.after_power_cut(Random(1), "none")) == [(1, 1, 1, b"written")]


def test_a_frame_whose_sync_failed_is_not_read_from_the_cache() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, b"durable"))
    disk.fail("write_synced", errno.EIO)
    log.write((1, 1, 2, b"not durable"))
    survivor = disk.after_kill()
    assert read_log(survivor) == [(1, 1, 1, b"durable")]
    second = LogDriver(survivor)
    second.write((1, 1, 2, b"another"))
    final = read_log(survivor.after_power_cut(Random(1), "none"))
    assert final == [(1, 1, 1, b"durable"), (1, 1, 2, b"another")]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_full_disk_and_a_power_cut(data: st.DataObject) -> None:
    """A frame fails half-way for lack of space; then more is appended, or not; then the power goes."""
    disk = ForgetfulDisk()
    log = LogDriver(disk, segment_bytes=SEGMENT_BYTES)
    for slot in range(1, 1 + data.draw(st.integers(0, 3))):
        log.write((1, 1, slot, bytes([slot]) * 700))
    call = data.draw(st.sampled_from(["write_synced", "reserve", "sync", "sync_folder", "create"]))
    disk.fail(call, errno.ENOSPC, times=data.draw(st.integers(1, 3)), skip=data.draw(st.integers(0, 3)))
    for _ in range(data.draw(st.integers(0, 6))):
        size = data.draw(st.sampled_from([10, 700, 2500]))
        next_slot = 1 + max([0, *(place[2] for place in log.durable)])
        log.write((1, 1, next_slot, data.draw(st.binary(min_size=8, max_size=8)) * (size // 8)))
    tear = data.draw(st.randoms(use_true_random=False))
    found = read_log(disk.after_power_cut(tear, data.draw(st.sampled_from(MANNERS))))
    assert found[: len(log.durable)] == log.durable
    # Behind it at most what failed last: nobody was told that it did not happen.
    assert len(found) <= len(log.durable) + 1
    assert all(place in [waiter for _, waiter in log.failed] for place in found[len(log.durable) :])


def test_a_torn_tail_is_cut_and_counted_and_the_next_segment_names_where() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, b"a"))
    disk.cut_at = len(disk.calls)
    with pytest.raises(PowerCut):
        log.write((1, 1, 2, b"b" * 1400))
    path = f"{FOLDER}/0000000000000001.log"
    torn = disk.after_kill()
    frame = bytearray(torn.contents(path))
    frame[1536:2048] = bytes(512)    # the second of its three sectors never arrived
    torn.put(path, bytes(frame))
    reader = LogReader(torn, FOLDER)
    assert [entry.slot for entry in reader] == [1]
    assert reader.end.previous_end == 1024
    assert 1024 < reader.end.torn_bytes <= 1536
    after = LogDriver(torn)
    after.write((1, 1, 2, b"c"))
    assert [place[3] for place in read_log(torn)] == [b"a", b"c"]
