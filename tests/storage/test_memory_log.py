"""The log that keeps nothing tells its waiters at once."""

from __future__ import annotations

from typing import Any

from varley.storage.log_format import ABSENT, PUT
from varley.storage.log_writer import LogWriter
from varley.storage.memory_log import MemoryLog


def test_waiters_are_told_when_the_log_is_flushed_and_in_order() -> None:
    told: list[list[Any]] = []
    log = MemoryLog(on_durable=told.append)
    log.append(1, 1, 1, b"entry", "first")
    log.append_row(1, 1, 2, 99, (PUT, b"key", b"value", ABSENT), "second")
    assert told == []
    log.flush()
    assert told == [["first", "second"]]
    log.flush()
    assert len(told) == 1
    assert (log.statistics.frames, log.statistics.records, log.bytes_in_log) == (1, 2, 0)
    assert log.release({1: 2}, {1}) == []


def test_a_waiter_may_append_while_it_is_told() -> None:
    told: list[Any] = []

    def on_durable(waiters: list[Any]) -> None:
        told.extend(waiters)
        if len(told) < 3:
            log.append(1, 1, len(told) + 1, b"entry", len(told) + 1)
            log.flush()

    log = MemoryLog(on_durable=on_durable)
    log.append(1, 1, 1, b"entry", 1)
    log.close()
    assert told == [1, 2, 3]


def test_it_has_what_the_log_on_disk_has() -> None:
    public = {name for name in vars(LogWriter) if not name.startswith("_")} | {"statistics"}
    log = MemoryLog(on_durable=lambda waiters: None)
    assert not [name for name in public if not hasattr(log, name)]
