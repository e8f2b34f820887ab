"""Writes at the full rate for minutes, with checkpoints: no errors, memory within a bound, and how long they took.

    LOAD_SECONDS=300 pytest tests/crash/test_load.py -s
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from random import Random

import pytest

from tests.crash.server_process import ServerProcess, resident_bytes
from tests.crash.test_full_disk import TABLE, item

SECONDS = float(os.environ.get("LOAD_SECONDS", "3"))
WRITERS = 8
KEYS = 20_000
OVERLAY_BYTES = 4 * 1024 * 1024
# 45 MB at first; overlays up to 16 times what starts a checkpoint, then writes are refused; and pages of the trees'
# files, 20 MB of items at most, which the system counts as the process's own.
RESIDENT_BYTES_MAX = 200 * 1024 * 1024


class Writer(threading.Thread):
    def __init__(self, server: ServerProcess, number: int, until: float) -> None:
        super().__init__()
        self.client = server.client()
        self.random = Random(number)
        self.until = until
        self.seconds: list[float] = []    # each write took
        self.surprise: BaseException | None = None

    def run(self) -> None:
        try:
            while (started := time.perf_counter()) < self.until:
                number = self.random.randrange(KEYS)
                self.client.call("PutItem", {"TableName": "things", "Item": item(f"key-{number}", number)})
                self.seconds.append(time.perf_counter() - started)
        except BaseException as error:
            self.surprise = error
        finally:
            self.client.close()


@pytest.mark.slow
def test_writes_at_full_rate_keep_memory_within_bounds(tmp_path: Path) -> None:
    server = ServerProcess(
        tmp_path / "data", "--checkpoint-overlay-bytes", str(OVERLAY_BYTES), "--initial-partitions", "4"
    )
    server.start()
    client = server.client()
    client.call("CreateTable", {"TableName": "things", **TABLE})
    until = time.perf_counter() + SECONDS
    writers = [Writer(server, number, until) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    most = 0
    while any(writer.is_alive() for writer in writers):
        writers[0].join(0.2)
        for writer in writers:
            if not writer.is_alive():
                writer.join(0.2)
        most = max(most, resident_bytes(server.pid))
    for writer in writers:
        if writer.surprise is not None:
            raise writer.surprise
    took = sorted(seconds for writer in writers for seconds in writer.seconds)
    p50, p99, p999 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99, 0.999))
    count = client.call("DescribeTable", {"TableName": "things"})["Table"]["ItemCount"]
    assert 0 < count <= KEYS
    client.close()
    assert server.stop() == 0
    said = server.log.read_text()
    print(
        f"{len(took)} writes in {SECONDS:g} s, {count} items; ms: p50 {p50:.1f}, p99 {p99:.1f}, p99.9 {p999:.1f}, "
        f"longest {took[-1] * 1000:.0f}; at most {most / 1e6:.0f} MB resident"
    )
    assert "ERROR" not in said, said
    assert "WARNING" not in said, said
    assert most < RESIDENT_BYTES_MAX
