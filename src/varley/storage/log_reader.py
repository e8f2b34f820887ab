"""Reads the log back, in order, and tells a torn tail from damage.

After a crash the end of the log may be torn: the last frame was on its way and only some of its sectors
arrived. Nobody was told that it is durable, so it is cut. Anything else that is not as it was written is
damage: it may hold writes that clients were told are durable, so it must never be cut silently (cutting at
the first bad checksum, as many logs do, loses acknowledged writes; Alagappan et al., "Protocol-Aware
Recovery", FAST 2018).

What tells them apart:

  - In a closed segment nothing is torn. The head of the next segment, which was durable before the next
    segment's first frame was, names the byte where this one ends; every byte before it must be right.
  - In the last segment a frame is written only after the one before it is durable. So a frame that is not
    right and has a right one after it was durable once: damage.
  - A disk writes a sector wholly or not at all, and a segment is zeros until it is written. So a frame that
    is torn has at least one sector that is still zero. A frame that is wrong though each of its sectors was
    written is damage. A frame may have sectors that were written as zeros, since a client may store zeros;
    its head says how many, and only more than those count.
  - At most one frame is on its way at a time: bytes behind a torn one are damage.

The blind spot: the last frame of the last segment, if a whole sector of it became zero after it was
acknowledged (a disk that lies about its sync, a file cut by hand), looks torn; so does a log whose last
segments are gone. Only somebody else who remembers that they were there can tell: the replica's tree, whose
applied slot is then beyond the log, the data folder's inventory (`newest_segment`), or the replica's peers.

After a torn tail the writer never touches that file again: it starts a new segment, whose head names where
the valid part of the old one ends. From then on the old one is closed, and what is behind its end does not
count. A crash before that head is durable leaves everything as it was.

A whole frame of the last segment may be one that nobody was told about. It is kept; the system's cache may be
the only place where it is, so it is made durable before it is read (`Disk.settle`): what recovery has shown
to anybody must not disappear at the next power cut.

Not noticed here: a missing slot between two records of a group. Recovery sees that when it applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from varley.errors import Damaged, WorldError
from varley.storage.disk import Disk
from varley.storage.log_format import (
    FIRST_FRAME_OFFSET,
    FRAME_HEAD_BYTES,
    RECORD_HEAD_BYTES,
    SECTOR_BYTES,
    FrameHead,
    NotThisFormat,
    RecordHead,
    SegmentHead,
    decode_frame_head,
    decode_record_head,
    decode_segment_head,
    entry_of_record,
    find_frame_magic,
    frame_bytes,
    is_whole,
    segment_name,
    segment_of_name,
    zero_sectors,
)

_READ_AHEAD_BYTES: Final = 1024 * 1024
_ZEROS: Final = bytes(_READ_AHEAD_BYTES)
_NEWER_HINT: Final = "Start the version of Varley that wrote it, or a later one"
_HINT: Final = "Keep the file: the other replicas of the group, or a backup, can replace what it lost"


class LogEntry(NamedTuple):
    """One record. `segment` and `offset` say where it is."""

    group: int
    ballot: int
    slot: int
    entry: bytes    # log_format.decode_rows gives the rows
    segment: int
    offset: int


@dataclass(slots=True)
class Segment:
    """A segment that nobody writes to any more."""

    number: int
    path: str
    end: int    # bytes that count
    highest: dict[int, int] = field(default_factory=dict)    # group -> highest slot of it that is in here


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a log ends, and so where its writer begins: in a new segment."""

    segment: int = 1                    # number of the next segment
    frame: int = 1                      # number of the next frame
    previous_end: int = 0               # bytes that count of the segment before; 0: there is none
    closed: tuple[Segment, ...] = ()    # what there is, oldest first
    torn_bytes: int = 0                 # what a crash left behind the end, and does not count


class LogReader:
    """Iterate over it once; `end` is known afterwards.

    Without `on_damage` the first damage is raised. With it, each is passed to it, and reading goes on with
    the next record that is right; then there is no `end` that one could go on writing from.

    Raises Damaged; WorldError itself if a newer version of Varley wrote this log; OSError.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        *,
        newest_segment: int = 0,
        on_damage: Callable[[Damaged], None] | None = None,
    ) -> None:
        """`newest_segment`: one that the log once had, and so must not end before (inventory.py); 0: none is known."""
        self._disk = disk
        self._folder = folder
        self._newest_segment = newest_segment
        self._on_damage = on_damage
        self._is_damaged = False
        self._closed: list[Segment] = []
        self._end: LogEnd | None = None
        self._last_end: LogEnd | None = None    # also if something before it is damaged
        self._latest: dict[int, tuple[int, int]] = {}    # group -> (ballot, slot) of the record read last

    @property
    def end(self) -> LogEnd:
        assert self._end is not None, "the log was not read to its end, or is damaged"
        return self._end

    @property
    def end_in_spite_of_damage(self) -> LogEnd:
        """As `end`; where a writer may go on if nobody relies any more on what was damaged."""
        assert self._last_end is not None, "the log was not read to its end"
        return self._last_end

    def __iter__(self) -> Iterator[LogEntry]:
        heads = self._read_heads()
        next_frame = heads[0][0].first_frame if heads else 1
        position = LogEnd()
        for index, (head, path) in enumerate(heads):
            if head.first_frame != next_frame:
                self._report(f"the segment begins with frame {head.first_frame}, not {next_frame}", path, 0)
            end = _end_by(heads[index + 1 : index + 2], head.segment)
            reading = _Reading(self._disk, path, head, end)
            try:
                yield from self._read_segment(reading)
            finally:
                reading.close()
            next_frame = reading.next_frame
            self._closed.append(reading.segment)
            position = LogEnd(
                segment=head.segment + 1,
                frame=next_frame,
                previous_end=reading.segment.end,
                closed=tuple(self._closed),
                torn_bytes=reading.torn_bytes,
            )
        self._last_end = position
        if not self._is_damaged:
            self._end = position

    # Segments

    def _read_heads(self) -> list[tuple[SegmentHead, str]]:
        """The heads of all segments in use, with their paths, oldest first."""
        numbers = sorted(
            number for number in map(segment_of_name, self._disk.list(self._folder)) if number is not None
        )
        heads: list[tuple[SegmentHead, str]] = []
        for number in numbers:
            path = f"{self._folder}/{segment_name(number)}"
            if heads and heads[-1][0].segment + 1 != number:
                missing = f"{self._folder}/{segment_name(heads[-1][0].segment + 1)}"
                self._report("a segment in the middle of the log is missing", missing, None)
            head = self._read_head(path, is_last=number == numbers[-1])
            if head is None:
                continue
            if head.segment != number:
                self._report(f"the file holds segment {head.segment}, not {number}", path, 0)
                continue
            heads.append((head, path))
        newest = heads[-1][0].segment if heads else 0
        if newest < self._newest_segment:
            ends = f"the log ends with segment {newest}" if newest else "the log is empty"
            missing = f"{self._folder}/{segment_name(self._newest_segment)}"
            self._report(f"{ends}, and segment {self._newest_segment} was begun", missing, None)
        return heads

    def _read_head(self, path: str, *, is_last: bool) -> SegmentHead | None:
        """None if the segment is not in use: it was prepared for later."""
        file = _File(self._disk, path)
        try:
            sector = file.read(0, SECTOR_BYTES)
            try:
                head = decode_segment_head(sector)
            except NotThisFormat as error:
                raise WorldError(str(error), path=path, operation="read", hint=_NEWER_HINT) from error
            if head is not None:
                return head
            # A head is durable before its segment gets a frame, so one without a head has none.
            if not is_last or not file.is_zero_from(0):
                self._report("the segment has no valid head", path, 0)
            return None
        finally:
            file.close()

    def _read_segment(self, reading: _Reading) -> Iterator[LogEntry]:
        while not reading.is_at_end():
            whole = reading.whole_frame(reading.at, reading.next_frame)
            if whole is not None:
                yield from self._records(reading, whole)
                reading.advance(whole.head)
            elif reading.end is None and reading.is_torn():
                reading.cut()
            else:
                later = reading.later_frame()
                yield from self._salvage(reading)
                reading.skip_to(later)
        reading.segment.end = reading.at

    # Records

    def _records(self, reading: _Reading, frame: _Frame) -> Iterator[LogEntry]:
        """The records of a whole frame."""
        at = FRAME_HEAD_BYTES
        for _ in range(frame.head.records):
            head = decode_record_head(frame.data, at)
            entry = None if head is None else entry_of_record(frame.data, at, head)
            if head is None or entry is None:    # right as a frame, wrong as a record: it was wrong when written
                self._report("a record is not as it was encoded", reading.segment.path, reading.at + at)
                return
            yield self._entry(reading, head, entry, at)
            at += RECORD_HEAD_BYTES + len(entry)

    def _salvage(self, reading: _Reading) -> Iterator[LogEntry]:
        """Report what is damaged in the frame at hand, and give the records in it that are right."""
        path = reading.segment.path
        frame = reading.frame_with_head(reading.at, reading.next_frame)
        if frame is None:
            self._report(f"frame {reading.next_frame} is not as it was written", path, reading.at)
            return
        at = FRAME_HEAD_BYTES
        damages = 0
        for _ in range(frame.head.records):
            head = decode_record_head(frame.data, at)
            entry = None if head is None else entry_of_record(frame.data, at, head)
            if head is not None and entry is not None:
                yield self._entry(reading, head, entry, at)
            else:
                group = head.group if head is not None and self._is_plausible(head) else None
                problem = f"a record in frame {frame.head.number} is not as it was written"
                self._report(problem, path, reading.at + at, group)
                damages += 1
                if head is None or group is None:
                    return    # its length cannot be trusted either
            at += RECORD_HEAD_BYTES + head.entry_bytes
        if not damages:
            self._report(f"the padding of frame {frame.head.number} is not as it was written", path, reading.at + at)

    def _entry(self, reading: _Reading, head: RecordHead, entry: bytes, at: int) -> LogEntry:
        group, slot = head.group, head.slot
        self._latest[group] = (head.ballot, slot)
        highest = reading.segment.highest
        if slot > highest.get(group, -1):
            highest[group] = slot
        return LogEntry(group, head.ballot, slot, entry, reading.segment.number, reading.at + at)

    def _is_plausible(self, head: RecordHead) -> bool:
        """Whether a record with a wrong checksum names the group that it was written for.

        It does if its ballot and slot go on where that group was: a broken group number would hardly.
        """
        ballot, slot = self._latest.get(head.group, (0, -1))
        return slot >= 0 and head.ballot >= ballot and 0 < head.slot <= slot + 1

    def _report(self, problem: str, path: str, offset: int | None, group: int | None = None) -> None:
        damage = Damaged(problem, path=path, operation="read", offset=offset, group=group, hint=_HINT)
        self._is_damaged = True
        if self._on_damage is None:
            raise damage
        self._on_damage(damage)


def _end_by(next_head: Sequence[tuple[SegmentHead, str]], segment: int) -> int | None:
    """Where the next segment says that this one ends; None if there is no next."""
    if next_head and next_head[0][0].segment == segment + 1:
        return next_head[0][0].previous_end
    return None


class _Frame(NamedTuple):
    head: FrameHead
    data: bytes    # from the head to the end of the padding; shorter if the file ends


class _Reading:
    """A segment being read, and how far."""

    def __init__(self, disk: Disk, path: str, head: SegmentHead, end: int | None) -> None:
        self.segment = Segment(head.segment, path, end or 0)
        self.end = end              # None: this is the last segment, its end is to be found
        self.at = FIRST_FRAME_OFFSET
        self.next_frame = head.first_frame
        self.torn_bytes = 0
        self._salt = head.salt
        self._file = _File(disk, path)
        if end is None:
            self._file.settle()

    def close(self) -> None:
        self._file.close()

    def is_at_end(self) -> bool:
        """Whether all that counts was read. In the last segment: whether nothing but zeros follows."""
        if self.end is not None:
            return self.at >= self.end
        if self._file.read(self.at, SECTOR_BYTES).strip(b"\0"):
            return False
        return self._file.is_zero_from(self.at)

    def frame_with_head(self, at: int, number: int | None) -> _Frame | None:
        """The frame at `at` if its head is right, whatever its body is; of any later number if that is None."""
        head = decode_frame_head(self._file.read(at, FRAME_HEAD_BYTES))
        if head is None or head.salt != self._salt:
            return None
        if head.number != number if number is not None else head.number <= self.next_frame:
            return None
        return _Frame(head, self._file.read(at, frame_bytes(head.records_bytes)))

    def whole_frame(self, at: int, number: int | None) -> _Frame | None:
        frame = self.frame_with_head(at, number)
        if frame is None or not is_whole(frame.head, frame.data):
            return None
        return frame if self.end is None or at + len(frame.data) <= self.end else None

    def advance(self, head: FrameHead) -> None:
        self.at += frame_bytes(head.records_bytes)
        self.next_frame = head.number + 1

    def is_torn(self) -> bool:
        """Whether the frame at hand, which is not right, is one that was never durable. The rules are above."""
        frame = self.frame_with_head(self.at, self.next_frame)
        if frame is None:
            head_sector = self._file.read(self.at, SECTOR_BYTES)
            return not head_sector.strip(b"\0") and self.later_frame() is None
        length = frame_bytes(frame.head.records_bytes)
        missing = zero_sectors(frame.data.ljust(length, b"\0")) - frame.head.zero_sectors
        return missing > 0 and self._file.is_zero_from(self.at + length)

    def cut(self) -> None:
        """What follows does not count."""
        self.torn_bytes = self._file.last_written(self.at) - self.at
        self.end = self.at

    def later_frame(self) -> int | None:
        """Where the next whole frame after the one at hand begins; None: there is none."""
        here = self.frame_with_head(self.at, self.next_frame)
        # A body may contain anything, so it is not searched if it is known where it ends.
        start = self.at + (SECTOR_BYTES if here is None else frame_bytes(here.head.records_bytes))
        stop = self._file.size if self.end is None else self.end
        while start < stop:
            window = self._file.read(start, _READ_AHEAD_BYTES)
            found = find_frame_magic(window, 0)
            while found >= 0:
                if self.whole_frame(start + found, None) is not None:
                    return start + found
                found = find_frame_magic(window, found + 1)
            start += _READ_AHEAD_BYTES
        return None

    def skip_to(self, later: int | None) -> None:
        """Go on after damage."""
        if later is not None:
            frame = self.whole_frame(later, None)
            assert frame is not None
            self.at, self.next_frame = later, frame.head.number
        else:
            self.at = self.end = self._file.size if self.end is None else self.end


class _File:
    """A file that is read forwards, mostly, and a megabyte at a time."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._file = disk.open(path)
        self.size = disk.size(self._file)
        self._start = 0
        self._bytes = b""

    def settle(self) -> None:
        self._disk.settle(self._file)

    def close(self) -> None:
        self._disk.close(self._file)

    def read(self, at: int, length: int) -> bytes:
        """`length` bytes, fewer where the file ends."""
        start = at - self._start
        if start < 0 or start + length > len(self._bytes):
            self._bytes = self._disk.read(self._file, at, max(length, _READ_AHEAD_BYTES))
            self._start, start = at, 0
        return self._bytes[start : start + length]

    def last_written(self, at: int) -> int:
        """Where the last byte at or behind `at` ends that is not zero."""
        end = at
        while at < self.size:
            window = self.read(at, min(_READ_AHEAD_BYTES, self.size - at)).rstrip(b"\0")
            if window:
                end = at + len(window)
            at += _READ_AHEAD_BYTES
        return end

    def is_zero_from(self, at: int) -> bool:
        while at < self.size:
            window = self.read(at, min(_READ_AHEAD_BYTES, self.size - at))
            if window != _ZEROS[: len(window)]:
                return False
            at += _READ_AHEAD_BYTES
        return True
