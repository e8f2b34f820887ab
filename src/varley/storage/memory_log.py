"""The log of a server that keeps nothing (`--in-memory`): the interface of LogWriter, and no disk.

Everything is as durable as it will ever be when `flush` is called, so waiters are released in that call.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from varley.storage.log_format import Row
from varley.storage.log_reader import Segment
from varley.storage.log_writer import LogStatistics


class MemoryLog:
    """See LogWriter. Nothing ever fails; `on_durable` is called by the thread that calls `flush`."""

    def __init__(self, *, on_durable: Callable[[list[Any]], None]) -> None:
        self._on_durable = on_durable
        self._waiters: list[Any] = []
        self.statistics = LogStatistics()
        self.bytes_in_log = 0

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
        self._on_durable([])

    def flush(self) -> None:
        waiters = self._waiters
        if not waiters:
            return
        self._waiters = []    # on_durable may append
        self.statistics.frames += 1
        self.statistics.records += len(waiters)
        self._on_durable(waiters)

    def release(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> list[Segment]:
        return []

    def close(self, checkpointed: Mapping[int, int] | None = None, live_groups: Container[int] = ()) -> None:
        self.flush()
