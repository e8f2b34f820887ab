"""The log of a server whose data folder cannot be written: the interface of LogWriter, and every append is refused.

A backup, a snapshot or a mounted copy can so be served and looked at: reads go on, writes hear why not.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from varley.errors import ReadOnly, WorldError
from varley.storage.log_format import Row
from varley.storage.log_reader import LogEnd, Segment
from varley.storage.log_writer import LogStatistics


class RefusingLog:
    """See LogWriter. `on_failure` is called by the thread that calls `flush`."""

    def __init__(self, folder: str, end: LogEnd, *, on_failure: Callable[[WorldError, list[Any]], None]) -> None:
        self.statistics = LogStatistics()
        self.bytes_in_log = sum(segment.end for segment in end.closed)
        self._on_failure = on_failure
        self._refusal = ReadOnly(
            "The data folder is read-only: this server answers reads and takes no writes",
            path=folder,
            operation="write",
        )
        self._waiters: list[Any] = []

    def oldest_slots(self) -> None:
        return None

    def append(self, group: int, ballot: int, slot: int, entry: bytes, waiter: Any) -> None:
        self._waiters.append(waiter)

    def append_row(self, group: int, ballot: int, slot: int, timestamp_us: int, row: Row, waiter: Any) -> None:
        self._waiters.append(waiter)

    def append_records(self, group: int, order: int, records: Sequence[bytes], part: Any, waiter: Any) -> None:
        self._waiters.append(waiter)

    def forget(self, group: int) -> None:
        pass

    def probe(self) -> None:
        self._on_failure(self._refusal, [])

    def flush(self) -> None:
        waiters, self._waiters = self._waiters, []
        if waiters:
            self._on_failure(self._refusal, waiters)

    def release(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> list[Segment]:
        return []

    def close(self, checkpointed: Mapping[int, int] | None = None, live_groups: Container[int] = ()) -> None:
        self.flush()
