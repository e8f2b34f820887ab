"""Whoever starts a ring may be killed at any time, with other children about: no node outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ring_cli.local_ring import wait_for_end

# A program as a run of tests is one: a ring, and children before and after it that go on when it is killed.
_STARTER = """
import json, subprocess, sys
from pathlib import Path
from tests.ring_cli.local_ring import Up

def child():
    return subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

others = [child()]
ring = Up(Path(sys.argv[1]), "--nodes", "2", "--engine", "memory")
others.append(child())
print(json.dumps({"up": ring.process.pid, "nodes": [node["pid"] for node in ring.nodes],
                  "others": [other.pid for other in others]}), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["starter", "up", "both"])
def test_nodes_end_with_whoever_started_them(first: str, tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(tmp_path / "ring")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    others: list[int] = []
    try:
        assert starter.stdout is not None
        said = json.loads(starter.stdout.readline())
        others = said["others"]
        doomed = {"starter": [starter.pid], "up": [said["up"]], "both": [starter.pid, said["up"]]}[first]
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        for pid in said["nodes"]:
            wait_for_end(pid)
        wait_for_end(said["up"])
        for pid in others:
            os.kill(pid, 0)     # they were there all the time
    finally:
        starter.kill()
        starter.communicate()
        for pid in others:
            os.kill(pid, signal.SIGKILL)
