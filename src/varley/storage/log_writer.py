"""The node's write-ahead log: all groups append to it, and one write serves all who wait (group commit).

    loop thread        append append append flush         append append flush ...
                              |      |      |      | wakes the log thread if it sleeps
    log thread                  [ frame 1: write+sync ]  on_durable  [ frame 2: ... ]

While the log thread is busy with one frame, the next collects; when it is done, it takes what has collected.
So the more writers wait, the more share a sync, and nobody chooses a batch size. Frames are written one at a
time: that the next was begun proves that the one before it is durable, which is what the reader leans on
(log_reader.py).

The two threads share the interpreter, and winning it back costs the log thread more than the disk does when
the loop is busy. So it asks for it as seldom as it can: one system call to write and sync, one call back for
all waiters, and it sleeps on a raw lock. Measured with a busy loop: waking it through a Condition costs the
loop 10 µs, through a lock 7 µs (the system's own wake-up), and 0.1 µs while the thread is awake anyway.

Segments. A file, reserved on the disk and filled with zeros before it is used (faster syncs: disk.py). The
first after a start is small, since somebody waits for it; when one is half full, a further thread prepares
the next, four times as large, until they have `segment_bytes`. So a server with little to do takes little
space. If preparing fails, nobody is told: the switch tries again. The switch writes the new segment's head,
which names the byte where the old one ends, and makes it durable before the first frame: from then on every
byte of the old one must be right. A writer never writes into a segment that it did not begin itself, and
never where something durable is.

Failures.
  - No space, a read-only file system, no more open files (DiskFull, ReadOnly, Exhausted): the frame that failed
    promised nothing. What it left on the disk is cut off by ending the segment before it, in the next segment's
    head. Each later append tries again, so a disk that gets space works again; `probe` finds that out when nobody
    appends. Slots behind a refused one are refused too, see `append`.
  - Any other failed write or sync (LogFailed): the system may have dropped what it failed to write and forget
    that it did, so trying again proves nothing (Rebello et al., "Can Applications Recover from fsync
    Failures?", ATC 2020). The log takes nothing more until it is opened again, and read.

Rejected: a log per group (one sync each); appending to the last segment after a restart (one would have to
clear a torn tail first, and a crash while doing that looks like damage); re-using old segments in place of
filling new ones with zeros (then stale frames, not zeros, are what was never written).
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, NamedTuple

from varley.errors import DiskFull, Exhausted, LogFailed, ReadOnly, WorldError
from varley.storage.disk import CANNOT_WRITE, NO_SPACE, Disk, kind_of
from varley.storage.log_format import (
    FIRST_FRAME_OFFSET,
    Row,
    SegmentHead,
    encode_frame,
    encode_record,
    encode_row_record,
    encode_segment_head,
    frame_bytes,
    segment_name,
)
from varley.storage.log_reader import LogEnd, Segment

FRAME_RECORD_BYTES_MAX: Final = 1024 * 1024    # more waits for the next frame; one larger record gets its own
_FIRST_SEGMENT_BYTES: Final = 1024 * 1024      # takes 2 ms to make
_SEGMENT_GROWTH: Final = 4
_ZERO_FILL: Final = bytes(256 * 1024)          # at a time, each synced: a frame waits for one at most


@dataclass(slots=True)
class LogStatistics:
    """What the log did since it was opened. Written by the log thread; others may read."""

    frames: int = 0
    records: int = 0
    bytes: int = 0               # of frames, as written to the disk
    sync_seconds: float = 0.0    # spent in writing and syncing frames
    sync_began: float = 0.0      # perf_counter when that of the frame under way was begun; 0: none is

    def seconds(self, now: float) -> float:
        """`sync_seconds`, with what the frame under way has taken until now: a disk that hangs finishes none."""
        began = self.sync_began     # read once: the log thread may be done meanwhile
        return self.sync_seconds + (max(0.0, now - began) if began else 0.0)


class LogWriter:
    """One per node.

    `append`, `append_row`, `probe`, `flush` and `close` are for one thread, the event loop's; `release` for any one
    thread. `on_durable(waiters)` is called on the log thread, in the order of the appends, when these are
    durable; `on_failure(error, waiters)` likewise, when they are not (after DiskFull and ReadOnly they may
    still be found in the log if the node crashes before it appends anything else: the outcome is unknown).
    Each waiter is passed to one of the two, once. Neither may raise.

    Without `background` there are no threads: `flush` writes, syncs and calls back. For the simulator and for
    tests, where the same run must make the same calls.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        end: LogEnd,
        *,
        segment_bytes: int,
        new_salt: Callable[[], int],
        on_durable: Callable[[list[Any]], None],
        on_failure: Callable[[WorldError, list[Any]], None],
        on_first_segment: Callable[[int], None] = lambda segment: None,
        background: bool = True,
    ) -> None:
        """`end` is what LogReader found in `folder`. `new_salt` gives 64 random bits. Nothing is written yet.

        `on_first_segment(number)` is called on the log thread when the head of this writer's first segment is durable,
        before anything in it is. It may block, and raise WorldError: then nothing was begun.
        """
        self.statistics = LogStatistics()
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._tail = _Tail(
            disk, folder, end, segment_bytes, new_salt, self.statistics, on_first_segment,
            prepare_in_background=background,
        )  # fmt: skip
        self._record_bytes_max = min(FRAME_RECORD_BYTES_MAX, segment_bytes // 4)
        # The loop appends to the right, the log thread takes from the left. Both are atomic.
        self._pending: deque[_Pending] = deque()
        self._push: Callable[[_Pending], None] = self._pending.append
        self._refused: dict[int, int] = {}    # group -> lowest slot refused and not yet appended again
        self._refusal: WorldError | None = None
        self._failure: LogFailed | None = None    # set once, for good
        self._is_probe_due = False    # set by the loop, cleared by the log thread
        self._closing = False
        # Locked unless the loop rang it since the log thread last woke up. Only the loop thread releases it.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._run, name="varley-log", daemon=True)
            self._thread.start()

    @property
    def bytes_in_log(self) -> int:
        """Bytes that count in all segments: what a restart would have to read."""
        return self._tail.bytes_in_log

    def oldest_slots(self) -> Mapping[int, int] | None:
        """The highest slot of each group in the segment that `release` would delete next; None: there is none."""
        return self._tail.oldest_slots()

    def append(self, group: int, ballot: int, slot: int, entry: bytes, waiter: Any) -> None:
        """Have this entry written with the next frame. Durable when `on_durable` gets the waiter, not before.

        If slot n of a group is refused, later slots of it are too, until slot n or a lower one is appended
        again: a log with a hole would be worse than one that ends, and those behind were proposed on the
        strength of n.
        """
        self._push((encode_record(group, ballot, slot, entry), group, slot, waiter))

    def append_row(self, group: int, ballot: int, slot: int, timestamp_us: int, row: Row, waiter: Any) -> None:
        """`append` for an entry of one row. HOT PATH: 0.7 µs for 1 KB."""
        self._push((encode_row_record(group, ballot, slot, timestamp_us, row), group, slot, waiter))

    def append_records(self, group: int, order: int, records: Sequence[bytes], part: Any, waiter: Any) -> None:
        """`append` of records that are encoded already, of a group whose slots do not ascend in its log (one with
        several members: see member_log.py). The first has the number `order`, which ascends by one from record to
        record of the group, and is what refusals and `release` go by in place of the slot. `waiter` waits for the
        last, `part` for each of the others."""
        push = self._push
        for record in records[:-1]:
            push((record, group, order, part))
            order += 1
        push((records[-1], group, order, waiter))

    def forget(self, group: int) -> None:
        """What was refused of this group will not be appended again: what comes next has nothing to do with it."""
        self._refused.pop(group, None)

    def probe(self) -> None:
        """Learn whether the disk takes writes: a frame without records is written, and `on_durable` or `on_failure`
        called with no waiters."""
        self._is_probe_due = True
        self.flush()

    def flush(self) -> None:
        """Wake the log thread if it sleeps. To be called when a turn of the loop has appended something."""
        if self._thread is None:
            self._write_all()
        elif self._bell.locked():    # nobody else unlocks it, so it still is
            self._bell.release()

    def close(self, checkpointed: Mapping[int, int] | None = None, live_groups: Container[int] = ()) -> None:
        """Write what was appended, then stop.

        With `checkpointed` and `live_groups`, as for `release`: delete what no replica needs, the segment being
        written too, so that the next start has nothing to read.
        """
        self._closing = True
        self._push = _refuse_to_push
        self.flush()
        if self._thread is not None:
            self._thread.join()
        if checkpointed is not None and self._failure is None:
            self._tail.leave_nothing_but(checkpointed, live_groups)
        self._tail.close(trim=self._failure is None)    # after a failure, files stay as they are

    def release(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> list[Segment]:
        """Delete the oldest segments that no replica needs, and give what was deleted.

        A segment is needed while it has a slot of a group in `live_groups` above the slot that `checkpointed`
        has for that group (durably, in its tree; no entry: nothing). Only whole segments go, oldest first, so
        the log never has a gap; the segment being written stays.

        Raises ReadOnly, Exhausted, or LogFailed if a file could not be deleted; what was deleted before that
        stays deleted.
        """
        try:
            return self._tail.release(checkpointed, live_groups)
        except OSError as error:
            raise _world_error(error, "delete", self._tail.folder, passing=_OF_FILES) from error

    # The log thread

    def _run(self) -> None:
        pending, bell = self._pending, self._bell
        while True:
            if pending or self._is_probe_due:
                self._write_batch()
            elif self._closing:
                return
            else:
                bell.acquire()

    def _write_all(self) -> None:
        while self._pending or self._is_probe_due:
            self._write_batch()

    def _write_batch(self) -> None:
        """One frame: take what has collected, write it, tell the waiters."""
        batch = self._take()
        if not batch and not self._is_probe_due:
            return
        self._is_probe_due = False    # this frame tells as well
        error = self._failure or self._write(batch)
        if error is None:
            self._on_durable([waiter for _, _, _, waiter in batch])
            return
        for _, group, slot, _ in batch:
            self._refused[group] = min(slot, self._refused.get(group, slot))
        self._refusal = error
        self._on_failure(error, [waiter for _, _, _, waiter in batch])

    def _take(self) -> list[_Pending]:
        """The next pending records that fit into one frame; a larger one alone. Refuses what must be refused."""
        pending = self._pending
        batch: list[_Pending] = []
        room = self._record_bytes_max
        while pending and (len(pending[0][0]) <= room or not batch):
            record, group, slot, waiter = taken = pending.popleft()
            if self._refused and self._is_behind_refused(group, slot):
                assert self._refusal is not None
                self._on_failure(self._refusal, [waiter])
                continue
            batch.append(taken)
            room -= len(record)
        return batch

    def _is_behind_refused(self, group: int, slot: int) -> bool:
        refused_slot = self._refused.get(group)
        if refused_slot is None:
            return False
        if slot > refused_slot:
            return True
        self._refused.pop(group, None)    # it is being filled: this group goes on from here
        return False

    def _write(self, batch: list[_Pending]) -> WorldError | None:
        try:
            self._tail.write([record for record, _, _, _ in batch])
        except LogFailed as error:
            self._failure = error
            return error
        except WorldError as error:
            return error
        except Exception as error:
            # A bug. If this thread died of it, every client would wait for ever. So the log takes nothing more.
            self._failure = LogFailed(f"writing the log: {error!r}", path=self._tail.folder, operation="write")
            self._failure.__cause__ = error
            return self._failure
        self._tail.remember_slots([(group, slot) for _, group, slot, _ in batch])
        return None


_Pending = tuple[bytes, int, int, Any]    # (encoded record, group, slot, waiter)


def _refuse_to_push(_: _Pending) -> None:
    raise AssertionError("the log is closed")


# What may pass, by what failed: a write to a file that is there, or making one or deleting one. Then nothing is wrong
# with any file. (No memory is not among them: a sync that could not be had for that may have lost pages.)
_OF_WRITES: Final = NO_SPACE | {errno.EROFS}
_OF_FILES: Final = NO_SPACE | CANNOT_WRITE | {errno.EMFILE, errno.ENFILE}


def _world_error(error: OSError, operation: str, path: str, *, passing: frozenset[int]) -> WorldError:
    kind = kind_of(error.errno) if error.errno in passing else LogFailed
    if kind is DiskFull:
        hint = "Writes go on when there is space again"
        return DiskFull("no space left for the log", path=path, operation=operation, hint=hint)
    if kind is ReadOnly:
        return ReadOnly(f"the log cannot grow: {error.strerror}", path=path, operation=operation)
    if kind is Exhausted:
        hint = "Allow this process more open files (ulimit -n), or close connections"
        return Exhausted(f"the log cannot grow: {error.strerror}", path=path, operation=operation, hint=hint)
    return LogFailed(
        f"the log failed: {error.strerror}",
        path=path,
        operation=operation,
        hint="What the last writes left on the disk is unknown; check the disk, then start this node again",
    )


class _NextSegment(NamedTuple):
    """A file that is ready to become the next segment: zeros, and durable."""

    number: int
    path: str
    file: int
    size: int


@dataclass(slots=True)
class _OpenSegment:
    """The segment that frames are written to. segment.end <= size, and every frame before segment.end is durable."""

    segment: Segment
    file: int
    size: int
    salt: int


class _Tail:
    """The end of the log on the disk: where the next frame goes. Used by the log thread, but for `release`."""

    def __init__(
        self,
        disk: Disk,
        folder: str,
        end: LogEnd,
        segment_bytes: int,
        new_salt: Callable[[], int],
        statistics: LogStatistics,
        on_first_segment: Callable[[int], None],
        *,
        prepare_in_background: bool,
    ) -> None:
        self.folder = folder
        self.next_frame = end.frame    # every frame below it is durable
        self._disk = disk
        self._segment_bytes_max = segment_bytes
        self._segment_bytes = min(_FIRST_SEGMENT_BYTES, segment_bytes)    # of the next one
        self._new_salt = new_salt
        self._statistics = statistics
        self._on_first_segment = on_first_segment
        self._prepare_in_background = prepare_in_background
        self._next_number = end.segment
        self._previous_end = end.previous_end
        self._open: _OpenSegment | None = None    # until the first frame: who writes nothing leaves nothing
        self._next: _NextSegment | None = None
        self._preparing: threading.Thread | None = None    # sets _next; joined before that is looked at
        self._is_preparation_due = True    # once per segment
        # Closed segments, oldest first. The log thread adds, `release` takes away.
        self._closed_lock = threading.Lock()
        self._closed = deque(end.closed)
        self._closed_bytes = sum(segment.end for segment in end.closed)

    @property
    def bytes_in_log(self) -> int:
        return self._closed_bytes + (self._open.segment.end if self._open is not None else 0)

    def write(self, records: Sequence[bytes]) -> None:
        """Write one frame. When this returns it is durable; if it raises, it does not count.

        Raises DiskFull, ReadOnly or Exhausted (try again later), LogFailed (never again).
        """
        size = frame_bytes(sum(map(len, records)))
        opened = self._open
        if opened is None or opened.segment.end + size > opened.size:
            opened = self._switch(size)
        segment = opened.segment
        assert segment.end + size <= opened.size
        frame = encode_frame(opened.salt, self.next_frame, records)
        statistics = self._statistics
        statistics.sync_began = started = perf_counter()
        try:
            self._disk.write_synced(opened.file, segment.end, frame)
        except OSError as error:
            opened.size = segment.end    # nothing goes behind what this may have left: the segment ends here
            raise _world_error(error, "write", segment.path, passing=_OF_WRITES) from error
        finally:
            statistics.sync_began = 0.0
        statistics.sync_seconds += perf_counter() - started
        statistics.frames += 1
        statistics.records += len(records)
        statistics.bytes += size
        segment.end += size
        self.next_frame += 1
        if self._is_preparation_due and segment.end * 2 > opened.size:
            self._is_preparation_due = False
            self._prepare_ahead()

    def remember_slots(self, slots: Sequence[tuple[int, int]]) -> None:
        """(group, slot) of the records of the frame written last."""
        assert self._open is not None
        highest = self._open.segment.highest
        for group, slot in slots:
            if slot > highest.get(group, -1):
                highest[group] = slot

    def close(self, *, trim: bool) -> None:
        """Close the files; with `trim`, give back the space that was reserved and not used."""
        self._wait_until_prepared()
        try:
            if self._next is not None:
                self._disk.close(self._next.file)
                if trim:
                    self._disk.remove(self._next.path)
            if self._open is not None:
                self._disk.close(self._open.file)
                if trim:
                    self._disk.truncate(self._open.segment.path, self._open.segment.end)
        except OSError:
            pass    # only space is lost, and the next start does without it
        self._next = self._open = None

    # Segments

    def _switch(self, frame_size: int) -> _OpenSegment:
        """Close the open segment and begin the next, with room for the frame. If this raises, nothing has changed."""
        self._wait_until_prepared()
        size = FIRST_FRAME_OFFSET + frame_size
        if self._next is not None and self._next.size < size:
            self._disk.close(self._next.file)
            self._next = None
        try:
            if self._next is None:
                self._next = self._prepare(max(size, self._segment_bytes), is_awaited=True)
            number, path, file, size = self._next
            if self._open is not None:
                # From here on the head may be on the disk, whatever the call says. If it is not acknowledged
                # and a smaller frame went into the old segment, that frame would be behind the end that the
                # head names.
                self._open.size = self._previous_end = self._open.segment.end
            head = SegmentHead(number, self._new_salt(), self.next_frame, self._previous_end)
            self._disk.write_synced(file, 0, [encode_segment_head(head)])
        except OSError as error:
            raise _world_error(error, "extend", self.folder, passing=_OF_FILES) from error
        if self._open is None:
            self._on_first_segment(number)
        # The head is durable: the old segment is closed.
        self._next = None
        self._next_number = number + 1
        self._retire(self._open)
        self._is_preparation_due = True
        self._segment_bytes = min(self._segment_bytes * _SEGMENT_GROWTH, self._segment_bytes_max)
        self._open = _OpenSegment(Segment(number, path, FIRST_FRAME_OFFSET), file, size, head.salt)
        return self._open

    def _retire(self, old: _OpenSegment | None) -> None:
        """What there was before the open segment is closed now, and what it does not use is given back."""
        if old is not None:
            with self._closed_lock:
                self._closed.append(old.segment)
                self._closed_bytes += old.segment.end
        newest = self._closed[-1] if self._closed else None
        try:
            if old is not None:
                self._disk.close(old.file)
            if newest is not None:
                self._disk.truncate(newest.path, newest.end)
        except OSError:
            pass    # what is behind the end does not count, so it may as well stay

    def _prepare_ahead(self) -> None:
        if not self._prepare_in_background:
            self._prepare_next()
            return
        self._preparing = threading.Thread(target=self._prepare_next, name="varley-log-prepare", daemon=True)
        try:
            self._preparing.start()
        except RuntimeError:    # no more threads: the switch will do it
            self._preparing = None

    def _prepare_next(self) -> None:
        try:
            self._next = self._prepare(self._segment_bytes, is_awaited=False)
        except OSError:
            pass    # the switch tries again, and reports it

    def _wait_until_prepared(self) -> None:
        if self._preparing is not None:
            self._preparing.join()
            self._preparing = None

    def _prepare(self, size: int, *, is_awaited: bool) -> _NextSegment:
        """A new file of zeros. A large one that is awaited is not filled with them: that takes 0.1 s for 64 MB."""
        path = f"{self.folder}/{segment_name(self._next_number)}"
        file = self._disk.create(path)
        try:
            self._disk.reserve(file, size)
            if not is_awaited or size <= _FIRST_SEGMENT_BYTES:
                for offset in range(0, size, len(_ZERO_FILL)):
                    self._disk.write_synced(file, offset, [_ZERO_FILL[: size - offset]])
            self._disk.sync(file)
            self._disk.sync_folder(self.folder)
        except OSError:
            self._give_up(file, path)
            raise
        return _NextSegment(self._next_number, path, file, size)

    def _give_up(self, file: int, path: str) -> None:
        """Give back the space of a file that could not be prepared: it may be the last that there was."""
        try:
            self._disk.close(file)
            self._disk.remove(path)
        except OSError:
            pass    # `create` empties it at the next attempt

    def leave_nothing_but(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> None:
        """Release all that is not needed. An empty segment takes the place of the newest: the numbers go on in it.

        What the disk refuses stays, for the next start to read.
        """
        newest = self._open.segment if self._open is not None else self._closed[-1] if self._closed else None
        if newest is None:
            return
        try:
            if newest.end > FIRST_FRAME_OFFSET and not _is_needed(newest, checkpointed, live_groups):
                self._segment_bytes = min(_FIRST_SEGMENT_BYTES, self._segment_bytes_max)
                self._switch(0)
            self.release(checkpointed, live_groups)
        except (OSError, WorldError):
            pass

    # Release, by its own thread

    def oldest_slots(self) -> Mapping[int, int] | None:
        oldest = self._oldest()
        return None if oldest is None else oldest.highest

    def _oldest(self) -> Segment | None:
        """What goes first. The newest segment stays, or numbers would begin at 1 again after a restart."""
        with self._closed_lock:
            return self._closed[0] if len(self._closed) + (self._open is not None) > 1 else None

    def release(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> list[Segment]:
        released: list[Segment] = []
        while True:
            oldest = self._oldest()
            if oldest is None or _is_needed(oldest, checkpointed, live_groups):
                return released
            try:
                self._disk.remove(oldest.path)
            except FileNotFoundError:
                pass    # an earlier attempt came so far, and failed at the next line
            self._disk.sync_folder(self.folder)    # or a power cut could bring back this one and not the next
            with self._closed_lock:
                self._closed.popleft()
                self._closed_bytes -= oldest.end
            released.append(oldest)


def _is_needed(segment: Segment, checkpointed: Mapping[int, int], live_groups: Container[int]) -> bool:
    return any(
        group in live_groups and slot > checkpointed.get(group, -1) for group, slot in segment.highest.items()
    )
