"""The log writer: group commit, segments, failures; alone in one thread, and with its own thread on a real
disk.
"""

from __future__ import annotations

import errno
import queue
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forgetful_disk import ForgetfulDisk
from log_driver import FOLDER, SEGMENT_BYTES, LogDriver, read_log

from varley.errors import DiskFull, Exhausted, LogFailed, ReadOnly, WorldError
from varley.storage.disk import RealDisk
from varley.storage.log_format import ABSENT, PUT, decode_rows, encode_record, encode_rows
from varley.storage.log_reader import LogEnd, LogReader
from varley.storage.log_writer import LogWriter

MEGABYTE = 1024 * 1024


def entry(slot: int, size: int = 100) -> bytes:
    return f"entry {slot} ".encode().ljust(size, b".")


def writes(disk: ForgetfulDisk) -> int:
    return disk.calls.count("write_synced")


# One frame for all who wait


def test_records_appended_before_a_flush_share_one_write() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, entry(1)))
    before = writes(disk)
    places = [(group, 1, slot, entry(slot)) for slot in (2, 3) for group in (1, 2, 3)]
    log.write(*places)
    assert writes(disk) == before + 1
    assert log.durable[1:] == places
    assert read_log(disk)[1:] == places


def test_a_flush_with_nothing_to_write_writes_nothing() -> None:
    disk = ForgetfulDisk()
    LogDriver(disk).write()
    assert disk.calls == []


def test_a_log_that_is_opened_and_never_appended_to_leaves_no_file() -> None:
    disk = ForgetfulDisk()
    LogDriver(disk).writer.close()
    assert disk.paths == []


def test_more_than_a_frame_holds_becomes_several_frames_in_order() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    places = [(1, 1, slot, entry(slot, 900)) for slot in range(1, 8)]
    log.write(*places)
    assert log.writer.statistics.frames > 1
    assert log.writer.statistics.records == 7
    assert log.durable == read_log(disk) == places


def test_an_entry_larger_than_a_segment_gets_a_larger_segment() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    places = [(1, 1, 1, entry(1)), (1, 1, 2, entry(2, 5 * SEGMENT_BYTES)), (1, 1, 3, entry(3))]
    for place in places:
        log.write(place)
    assert log.durable == read_log(disk) == places


def test_an_entry_larger_than_the_segment_that_is_prepared_gets_a_larger_one() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    slot = 0
    while len(disk.paths) < 2:
        slot += 1
        log.write((1, 1, slot, entry(slot, 1000)))
    log.write((1, 1, slot + 1, entry(slot + 1, 2 * SEGMENT_BYTES)))
    log.write((1, 1, slot + 2, entry(slot + 2)))
    assert [place[2] for place in read_log(disk)] == list(range(1, slot + 3))


def test_segments_begin_small_and_grow() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk, segment_bytes=10 * MEGABYTE)
    log.write((1, 1, 1, entry(1)))
    assert [len(disk.contents(path)) for path in disk.paths] == [MEGABYTE]
    log.write((1, 1, 2, entry(2, MEGABYTE // 2)))
    assert [len(disk.contents(path)) for path in disk.paths] == [MEGABYTE, 4 * MEGABYTE]
    log.write((1, 1, 3, entry(3, 3 * MEGABYTE)))
    log.write((1, 1, 4, entry(4, 6 * MEGABYTE)))
    log.write((1, 1, 5, entry(5, 6 * MEGABYTE)))
    assert [len(disk.contents(path)) // MEGABYTE for path in disk.paths[2:]] == [6, 10, 10]
    assert [place[2] for place in read_log(disk)] == [1, 2, 3, 4, 5]


def test_appending_a_row_is_appending_its_entry() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.writer.append_row(4, 1, 1, 99, (PUT, b"key", b"value", ABSENT), "waiter")
    log.writer.flush()
    assert log.durable == ["waiter"]
    ((group, ballot, slot, data),) = read_log(disk)
    assert (group, ballot, slot) == (4, 1, 1)
    assert decode_rows(data) == [(PUT, b"key", b"value", ABSENT)]


def test_nothing_is_appended_to_a_closed_log() -> None:
    log = LogDriver(ForgetfulDisk())
    log.writer.close()
    with pytest.raises(AssertionError, match="closed"):
        log.write((1, 1, 1, entry(1)))


def test_statistics_count_what_is_on_the_disk() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, entry(1)))
    log.write((1, 1, 2, entry(2, 1000)), (2, 1, 1, entry(1)))
    statistics = log.writer.statistics
    assert (statistics.frames, statistics.records, statistics.bytes) == (2, 3, 512 + 1536)
    assert log.writer.bytes_in_log == 512 + statistics.bytes


# Segments


def fill_segments(log: LogDriver, segments: int, group: int = 1) -> int:
    """Append to one group until that many segments are closed; gives the slot appended last."""
    slot = 0
    while log.writer.bytes_in_log < segments * SEGMENT_BYTES:
        slot += 1
        log.write((group, 1, slot, entry(slot, 1000)))
    return slot


def test_a_segment_is_prepared_when_the_one_before_it_is_half_full() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    slot = 0
    while len(disk.paths) < 2:
        slot += 1
        log.write((1, 1, slot, entry(slot, 400)))
    assert log.writer.bytes_in_log == SEGMENT_BYTES // 2 + 512
    calls = len(disk.calls)
    while log.writer.bytes_in_log <= SEGMENT_BYTES:
        slot += 1
        log.write((1, 1, slot, entry(slot, 400)))
    # The switch itself: the new head, the space of the old segment given back, and the frame.
    assert disk.calls[calls:].count("create") == disk.calls[calls:].count("reserve") == 0
    assert [place[2] for place in read_log(disk)] == list(range(1, slot + 1))


def test_a_restart_goes_on_in_a_new_segment_and_gives_back_the_rest_of_the_old_one() -> None:
    disk = ForgetfulDisk()
    LogDriver(disk).write((1, 1, 1, entry(1)))
    log = LogDriver(disk.after_kill())
    log.write((1, 1, 2, entry(2)))
    again = LogDriver(disk := log_disk(log))
    assert [place[2] for place in again.places] == [1, 2]
    assert again.end.segment == 3
    assert again.end.frame == 3
    assert len(disk.contents(disk.paths[0])) == 1024


def log_disk(log: LogDriver) -> ForgetfulDisk:
    disk = log.writer._tail._disk
    assert isinstance(disk, ForgetfulDisk)
    return disk


def test_a_clean_end_leaves_no_space_reserved() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    slot = fill_segments(log, 2)
    log.writer.close()
    assert sum(len(disk.contents(path)) for path in disk.paths) == log.writer.statistics.bytes + 512 * len(disk.paths)
    assert len(read_log(disk)) == slot


def test_release_deletes_the_oldest_segments_whose_records_are_all_checkpointed() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((9, 1, 1, entry(1)))
    slot = fill_segments(log, 3)
    before = disk.paths
    assert log.writer.release({1: slot}, {1, 9}) == []    # group 9 still needs the first segment
    assert log.writer.release({9: 1}, {1, 9}) == []
    released = log.writer.release({9: 1, 1: 5}, {1, 9})
    assert [segment.path for segment in released] == before[:1]
    assert disk.paths == before[1:]
    assert released[0].highest == {9: 1, 1: 4}
    # A group that lives here no more needs nothing.
    assert len(log.writer.release({}, {9})) == len(before) - 2
    left = read_log(disk)
    assert left[-1][2] == slot
    assert log.writer.bytes_in_log == disk_bytes_that_count(disk)


def disk_bytes_that_count(disk: ForgetfulDisk) -> int:
    reader = LogReader(disk, FOLDER)
    list(reader)
    return sum(segment.end for segment in reader.end.closed)


def test_release_after_a_restart_knows_what_the_old_segments_hold() -> None:
    disk = ForgetfulDisk()
    slot = fill_segments(LogDriver(disk), 2)
    disk = disk.after_kill()
    log = LogDriver(disk)
    assert log.writer.release({1: 3}, {1}) == []
    # The newest stays though nobody needs it: else segments would be numbered from 1 again.
    assert [segment.number for segment in log.writer.release({1: slot}, {1})] == [1]
    assert log.writer.release({1: slot}, {1}) == []
    log.write((1, 1, slot + 1, entry(slot + 1)))
    assert log.writer.release({1: slot}, {1}) != []
    assert read_log(disk) == [(1, 1, slot + 1, entry(slot + 1))]


def test_closing_leaves_nothing_to_read_of_what_is_checkpointed_and_the_frames_go_on() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    places = [(7, 1, slot, entry(slot, 1200)) for slot in range(1, 7)]
    for place in places:
        log.write(place)
    frames = log.writer.statistics.frames
    log.writer.close({7: 6}, {7})
    again = LogDriver(disk)
    assert again.places == []
    assert again.end.frame == frames + 1
    assert len(disk.paths) == 1
    again.writer.close({7: 6}, {7})    # an empty segment is not followed by another
    assert len(disk.paths) == 1
    assert LogDriver(disk).end.frame == frames + 1


def test_closing_leaves_what_a_checkpoint_lacks() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    places = [(7, 1, 1, entry(1)), (8, 1, 1, entry(1))]
    for place in places:
        log.write(place)
    log.writer.close({7: 1, 8: 0}, {7, 8})
    assert read_log(disk) == places


def test_release_reports_a_disk_that_cannot_delete() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    slot = fill_segments(log, 2)
    disk.fail("remove", errno.EROFS)
    with pytest.raises(ReadOnly):
        log.writer.release({1: slot}, {1})
    disk.fail("sync_folder", errno.EIO)
    with pytest.raises(LogFailed):
        log.writer.release({1: slot}, {1})
    assert log.writer.release({1: slot}, {1})[0].number == 1
    assert read_log(disk)[-1][2] == slot


# Failures that may pass


def test_a_full_disk_refuses_writes_only_when_the_segment_is_full_and_goes_on_when_there_is_space() -> None:
    disk = ForgetfulDisk(capacity=SEGMENT_BYTES + 100)
    log = LogDriver(disk)
    slot = 0
    while not log.failed:
        slot += 1
        log.write((1, 1, slot, entry(slot, 400)))
    assert slot == 16    # 15 frames of one sector behind the head
    error, waiter = log.failed[0]
    assert isinstance(error, DiskFull)
    assert error.retryable
    assert waiter == (1, 1, 16, entry(16, 400))
    assert [place[2] for place in read_log(disk)] == list(range(1, 16))
    disk.capacity = None
    log.write((1, 1, 16, b"the same slot, something else"))
    assert log.durable[-1] == (1, 1, 16, b"the same slot, something else")
    assert read_log(disk)[15:] == [(1, 1, 16, b"the same slot, something else")]


@pytest.mark.parametrize(
    ("error_number", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EROFS, ReadOnly)],
)
def test_a_frame_that_could_not_be_written_is_cut_off_and_the_next_goes_to_a_new_segment(
    error_number: int, kind: type[WorldError]
) -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, entry(1)))
    disk.fail("write_synced", error_number)
    log.write((1, 1, 2, entry(2, 1000)))
    assert [type(error) for error, _ in log.failed] == [kind]
    log.write((1, 1, 2, b"again"))
    assert len(disk.paths) == 2
    assert read_log(disk) == [(1, 1, 1, entry(1)), (1, 1, 2, b"again")]


def test_a_probe_tells_whether_the_disk_takes_writes_when_nobody_appends() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    told: list[str] = []
    writer = LogWriter(
        disk, "log", log.end, segment_bytes=SEGMENT_BYTES, new_salt=lambda: 1, background=False,
        on_durable=lambda waiters: told.append(f"durable {waiters}"),
        on_failure=lambda error, waiters: told.append(f"{type(error).__name__} {waiters}"),
    )  # fmt: skip
    disk.fail("write_synced", errno.ENOSPC, times=2)    # the frame, and the head of the next segment
    writer.append(1, 1, 1, entry(1), "write")
    writer.flush()
    writer.probe()
    writer.probe()
    writer.append(1, 1, 1, entry(1), "write")
    writer.flush()
    assert told == ["DiskFull ['write']", "DiskFull []", "durable []", "durable ['write']"]
    assert read_log(disk) == [(1, 1, 1, entry(1))], "a frame without records is skipped"
    writer.close()


def test_nothing_goes_into_a_segment_whose_end_may_have_been_named_already() -> None:
    """The head of the next segment failed half-way: it may be on the disk, and names an end.

    A smaller frame would still fit into the old segment, behind that end: acknowledged, and not read back.
    """
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, entry(1)))
    # 7.9 KB more do not fit, so a new segment begins: it is filled with zeros, then its head fails.
    disk.fail("write_synced", errno.ENOSPC, skip=1)
    log.write((1, 1, 2, entry(2, SEGMENT_BYTES - 300)))
    assert len(log.failed) == 1
    assert len(disk.paths) == 2
    log.write((1, 1, 2, entry(2)))
    assert log.durable == read_log(disk) == [(1, 1, 1, entry(1)), (1, 1, 2, entry(2))]


def test_slots_behind_a_refused_one_are_refused_until_it_is_appended_again() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, entry(1)), (2, 1, 1, entry(1)))
    disk.fail("write_synced", errno.ENOSPC)
    log.write((1, 1, 2, b"refused"), (1, 1, 3, b"refused with it"))
    log.write((1, 1, 4, b"was under way"), (2, 1, 2, b"another group"))
    log.write((1, 1, 5, b"was under way too"))
    assert [waiter[2] for _, waiter in log.failed] == [2, 3, 4, 5]
    assert {type(error) for error, _ in log.failed} == {DiskFull}
    log.write((1, 1, 2, b"new"))
    log.write((1, 1, 3, b"new"))
    assert log.durable[2:] == read_log(disk)[2:] == [
        (2, 1, 2, b"another group"), (1, 1, 2, b"new"), (1, 1, 3, b"new"),
    ]  # fmt: skip


def member_record(number: int) -> bytes:
    return encode_record(7, 65537, 10 - number, encode_rows([(PUT, b"key", b"%d" % number, ABSENT)], number))


def test_records_of_a_member_are_refused_and_released_by_their_numbers_not_by_their_slots() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.writer.append_records(7, 1, [member_record(1), member_record(2)], "part", "first")
    log.writer.flush()
    assert log.durable == ["part", "first"]
    disk.fail("write_synced", errno.ENOSPC)
    log.writer.append_records(7, 3, [member_record(3)], "part", "refused")
    log.writer.flush()
    log.writer.append_records(7, 4, [member_record(4)], "part", "behind it")
    log.writer.flush()
    assert [waiter for _, waiter in log.failed] == ["refused", "behind it"]
    log.writer.append_records(7, 3, [member_record(3)], "part", "again")
    log.writer.append_records(7, 4, [member_record(4)], "part", "and this")
    log.writer.flush()
    assert log.durable == ["part", "first", "again", "and this"]
    assert [slot for _, _, slot, _ in read_log(disk)] == [9, 8, 7, 6]
    assert log.writer.release({7: 1}, {7}) == []
    assert len(log.writer.release({7: 2}, {7})) == 1, "the segment that the refusal has ended"


def test_what_was_refused_of_a_group_can_be_forgotten() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, b"first"))
    disk.fail("write_synced", errno.ENOSPC)
    log.writer.append_records(7, 1, [member_record(1)], "part", "refused")
    log.writer.flush()
    log.writer.forget(7)
    log.writer.append_records(7, 100, [member_record(2)], "part", "another life")
    log.writer.flush()
    assert log.durable[1:] == ["another life"]


def test_a_segment_that_could_not_be_prepared_ahead_is_prepared_at_the_switch() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    disk.fail("reserve", errno.ENOSPC, skip=1)
    slot = fill_segments(log, 2)
    assert not log.failed
    assert len(read_log(disk)) == slot


@pytest.mark.parametrize("call", ["create", "reserve", "sync", "sync_folder"])
def test_too_many_open_files_while_a_segment_is_made_stops_no_one_for_good(call: str) -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    disk.fail(call, errno.EMFILE)
    log.write((1, 1, 1, entry(1)))
    assert [type(error) for error, _ in log.failed] == [Exhausted]
    log.write((1, 1, 1, entry(1)))
    assert log.durable == read_log(disk) == [(1, 1, 1, entry(1))]


# Failures that do not pass


@pytest.mark.parametrize("call", ["write_synced", "sync", "reserve", "create", "sync_folder"])
def test_after_any_other_failure_the_log_takes_nothing_more(call: str) -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    disk.fail(call, errno.EIO)
    log.write((1, 1, 1, entry(1)))
    calls = len(disk.calls)
    log.write((2, 1, 1, entry(1)))
    log.write((1, 1, 1, entry(1)))
    log.writer.close()
    assert log.durable == []
    assert [type(error) for error, _ in log.failed] == [LogFailed] * 3
    assert len(disk.calls) == calls    # the disk is left alone


def test_a_failed_sync_is_not_forgiven_when_the_next_would_succeed() -> None:
    disk = ForgetfulDisk()
    log = LogDriver(disk)
    log.write((1, 1, 1, entry(1)))
    disk.fail("write_synced", errno.EIO)
    log.write((1, 1, 2, entry(2)))
    disk.heal()
    log.write((1, 1, 2, entry(2)))
    assert log.durable == [(1, 1, 1, entry(1))]
    assert len(log.failed) == 2
    # The cache of the system still shows what never reached the disk; a restart is not fooled.
    assert read_log(disk.after_kill()) == [(1, 1, 1, entry(1))]


def test_a_bug_in_the_writer_fails_its_waiters_and_does_not_leave_them_waiting() -> None:
    class BrokenDisk(ForgetfulDisk):
        def reserve(self, file: int, size: int) -> None:
            raise ZeroDivisionError("planted")

    log = LogDriver(BrokenDisk())
    log.write((1, 1, 1, entry(1)))
    ((error, _),) = log.failed
    assert isinstance(error, LogFailed)
    assert "planted" in str(error)


# With its own thread, on the machine's disk


class Clients:
    """Threads' side of a log: waits for waiters to be told."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def on_durable(self, waiters: list[Any]) -> None:
        for waiter in waiters:
            self.told.put(("durable", waiter))

    def on_failure(self, error: WorldError, waiters: list[Any]) -> None:
        for waiter in waiters:
            self.told.put((type(error).__name__, waiter))

    def next(self) -> tuple[str, Any]:
        return self.told.get(timeout=20)


@pytest.fixture
def clients() -> Clients:
    return Clients()


@pytest.fixture
def writer(tmp_path: Path, clients: Clients) -> Iterator[LogWriter]:
    writer = open_writer(RealDisk(), tmp_path, clients)
    yield writer
    writer.close()


def open_writer(disk: RealDisk, folder: Path, clients: Clients, segment_bytes: int = 256 * 1024) -> LogWriter:
    return LogWriter(
        disk,
        str(folder),
        LogEnd(),
        segment_bytes=segment_bytes,
        new_salt=lambda: secrets.randbits(64),
        on_durable=clients.on_durable,
        on_failure=clients.on_failure,
    )


def test_many_waiters_over_many_segments_are_told_in_order(
    tmp_path: Path, clients: Clients, writer: LogWriter
) -> None:
    """32 clients, each of which appends again when it is told: frames, segments and their preparation overlap."""
    waiting = 32
    slots = 1500
    sent: list[int] = []
    told: list[int] = []
    for slot in range(1, waiting + 1):
        writer.append(1, 1, slot, entry(slot, 1000), slot)
        sent.append(slot)
    writer.flush()
    while len(told) < slots:
        outcome, slot = clients.next()
        assert outcome == "durable"
        told.append(slot)
        if len(sent) < slots:
            sent.append(len(sent) + 1)
            writer.append(1, 1, sent[-1], entry(sent[-1], 1000), sent[-1])
            writer.flush()
    assert told == sent
    assert writer.statistics.records == slots
    writer.close()
    assert [place[2] for place in read_log(RealDisk(), str(tmp_path))] == sent
    assert len(list(tmp_path.iterdir())) >= 5


def test_closing_writes_what_was_appended(tmp_path: Path, clients: Clients, writer: LogWriter) -> None:
    for slot in range(1, 100):
        writer.append(1, 1, slot, entry(slot), slot)
    writer.close()
    assert len(read_log(RealDisk(), str(tmp_path))) == 99
    assert [clients.next() for _ in range(99)] == [("durable", slot) for slot in range(1, 100)]


def test_what_is_durable_can_be_read_while_the_writer_is_alive(
    tmp_path: Path, clients: Clients, writer: LogWriter
) -> None:
    for slot in range(1, 20):
        writer.append(1, 1, slot, entry(slot), slot)
        writer.flush()
        assert clients.next() == ("durable", slot)
        assert len(read_log(RealDisk(), str(tmp_path))) == slot


def test_while_one_frame_is_written_the_next_collects(tmp_path: Path, clients: Clients) -> None:
    class SlowDisk(RealDisk):
        """Says when a frame is being written, and finishes when told to."""

        begun: queue.SimpleQueue[None] = queue.SimpleQueue()
        go_on = threading.Semaphore(0)

        def write_synced(self, file: int, offset: int, parts: Any) -> None:
            if offset:
                self.begun.put(None)
                assert self.go_on.acquire(timeout=20)
            super().write_synced(file, offset, parts)

    disk = SlowDisk()
    writer = open_writer(disk, tmp_path, clients)
    writer.append(1, 1, 1, entry(1), 1)
    writer.flush()
    disk.begun.get(timeout=20)
    for slot in range(2, 34):
        writer.append(1, 1, slot, entry(slot), slot)
        writer.flush()
    assert clients.told.empty()
    disk.go_on.release(1000)
    assert [clients.next()[1] for _ in range(33)] == list(range(1, 34))
    assert writer.statistics.frames == 2
    writer.close()


APPEND_UNTIL_KILLED = """
import os, secrets, sys
from varley.storage.disk import RealDisk
from varley.storage.log_reader import LogReader
from varley.storage.log_writer import LogWriter

def on_durable(slots):
    os.write(1, b"".join(b"%d\\n" % slot for slot in slots))
    semaphore.release(len(slots))

disk, folder = RealDisk(), sys.argv[1]
reader = LogReader(disk, folder)
slot = max([0, *(entry.slot for entry in reader)])
import threading
semaphore = threading.Semaphore(16)
writer = LogWriter(disk, folder, reader.end, segment_bytes=65536, new_salt=lambda: secrets.randbits(64),
                   on_durable=on_durable, on_failure=print)
while True:
    semaphore.acquire()
    slot += 1
    writer.append(1, 1, slot, b"%d" % slot * 100, slot)
    writer.flush()
"""


@pytest.mark.slow
def test_a_killed_process_has_lost_nothing_that_it_said_is_durable(tmp_path: Path) -> None:
    folder = str(tmp_path)
    promised = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", APPEND_UNTIL_KILLED, folder], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(400):
                promised = int(process.stdout.readline())
            process.kill()
            for line in process.stdout.read().splitlines():
                promised = int(line)
        found = read_log(RealDisk(), folder)
        assert [place[2] for place in found] == list(range(1, len(found) + 1))
        assert promised <= len(found) <= promised + 16


def test_a_failure_reaches_its_waiters_from_the_log_thread(tmp_path: Path, clients: Clients) -> None:
    class FullDisk(RealDisk):
        def reserve(self, file: int, size: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    writer = open_writer(FullDisk(), tmp_path, clients)
    writer.append(1, 1, 1, entry(1), "first")
    writer.flush()
    assert clients.next() == ("DiskFull", "first")
    writer.append(1, 1, 1, entry(1), "second")
    writer.flush()
    assert clients.next() == ("DiskFull", "second")
    writer.close()
    assert list(tmp_path.iterdir()) == []
