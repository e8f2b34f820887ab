"""Opens a log as a node does, and remembers what it was told: for the tests of the log."""

from __future__ import annotations

from itertools import count
from typing import Any

from varley.errors import WorldError
from varley.storage.disk import Disk
from varley.storage.log_format import decode_rows
from varley.storage.log_reader import LogEnd, LogEntry, LogReader
from varley.storage.log_writer import LogWriter

FOLDER = "log"
SEGMENT_BYTES = 8192

Place = tuple[int, int, int, bytes]    # (group, ballot, slot, entry): what a record is, wherever it is


class LogDriver:
    """A log that was read, and is written to in the caller's own thread."""

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, folder: str = FOLDER) -> None:
        reader = LogReader(disk, folder)
        self.found = list(reader)
        self.end: LogEnd = reader.end
        self.durable: list[Any] = []
        self.failed: list[tuple[WorldError, Any]] = []
        salts = count(0x5A17)
        self.writer = LogWriter(
            disk,
            folder,
            self.end,
            segment_bytes=segment_bytes,
            new_salt=lambda: next(salts),
            on_durable=self.durable.extend,
            on_failure=lambda error, waiters: self.failed.extend((error, waiter) for waiter in waiters),
            background=False,
        )

    def write(self, *places: Place) -> None:
        """One frame (or more, if they are large)."""
        for place in places:
            self.writer.append(*place, place)
        self.writer.flush()

    @property
    def places(self) -> list[Place]:
        return [place_of(entry) for entry in self.found]


def place_of(entry: LogEntry) -> Place:
    return (entry.group, entry.ballot, entry.slot, entry.entry)


def read_log(disk: Disk, folder: str = FOLDER) -> list[Place]:
    """What a node that opens this log finds. Raises Damaged."""
    return [place_of(entry) for entry in LogReader(disk, folder)]


def keys_of(entries: list[LogEntry]) -> list[bytes]:
    return [row[1] for entry in entries for row in decode_rows(entry.entry)]
