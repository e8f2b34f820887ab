"""`varley ring up` as a child of a test, and commands that are run against it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from unittest import mock

from varley.cli import main

SECONDS_MAX = 90    # for what takes a few
VARLEY = [sys.executable, "-m", "varley"]


def varley(*words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as it is typed."""
    return subprocess.run([*VARLEY, *words], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


class Said(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Up:
    """`nodes`: what it said of them. Stopped at the end, if a test has not done that."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*VARLEY, "ring", "up", "--port", "0", "--data-dir", str(folder), "--json", "--stop-with-stdin", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1].decode())
        self.nodes: list[dict[str, Any]] = json.loads(line)["nodes"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self.process.communicate()

    @property
    def endpoint(self) -> str:
        return str(self.nodes[0]["endpoint"])

    def run(self, *words: str, stdin: bytes = b"") -> Said:
        """`varley ring …` against the first node, in this process: to start one takes half a second."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
            mock.patch.dict(os.environ, {"VARLEY_RING_ENDPOINT": self.endpoint, "COLUMNS": "200"}),
        ):
            code = main(["ring", *words])
        return Said(code, *(each.buffer.getvalue().decode() for each in (out, err)))  # type: ignore[attr-defined]

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS_MAX)


def wait_for_end(pid: int) -> None:
    """Of a process that is nobody's child here: until it is gone, or a zombie."""
    for _ in range(SECONDS_MAX * 200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        subprocess.run(["true"], check=True)    # gives way for a millisecond
    raise AssertionError(f"process {pid} is still there")
