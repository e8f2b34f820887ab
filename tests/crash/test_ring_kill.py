"""A ring node as a process, killed (-9) while it is written to: what it acknowledged is there when it is back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from varley.ring import Client
from varley.ring_client.outcomes import RingClientError


def start(folder: Path, engine: str) -> tuple[subprocess.Popen[str], str]:
    command = [
        sys.executable, "-m", "varley", "ring", "serve", "--name", "a", "--port", "0", "--link-port", "0", "--n", "1",
        "--r", "1", "--w", "1", "--partitions", "8", "--engine", engine, "--data-dir", str(folder), "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ)
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return process, said["endpoint"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["lmdb", "sqlite"])
def test_nothing_that_was_acknowledged_is_lost(engine: str, tmp_path: Path) -> None:
    acknowledged: dict[str, str | None] = {}
    for life in range(3):
        process, endpoint = start(tmp_path / "data", engine)
        enough = threading.Semaphore(0)

        def write(
            writer: int, life: int = life, endpoint: str = endpoint, enough: threading.Semaphore = enough
        ) -> None:
            with Client([endpoint], answer_seconds=5) as ring:
                number = 0
                while True:
                    number += 1
                    key = f"{life}.{writer}.{number}"
                    try:
                        acknowledged[key] = ring.put("b", key, key.encode() * 100)
                    except RingClientError:
                        return      # it was killed
                    enough.release()

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in writers:
            thread.start()
        for _ in range(100):
            assert enough.acquire(timeout=30)
        process.kill()
        process.wait()
        for thread in writers:
            thread.join()
    process, endpoint = start(tmp_path / "data", engine)
    try:
        with Client([endpoint]) as ring:
            for key in acknowledged:
                assert ring.get("b", key).values == (key.encode() * 100,)
            # A key that lived through a kill goes on where it was: one actor, and the context still replaces it.
            key, context = next(iter(acknowledged.items()))
            ring.put("b", key, b"new", context)
            assert ring.get("b", key).values == (b"new",)
    finally:
        process.terminate()
        process.wait()
