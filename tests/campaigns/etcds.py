"""The servers of etcd that a cluster is told of, as processes that can be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.cluster.local_cluster import LocalCluster
from varley.cluster.local_etcd import command, find_etcd, free_ports

_ANSWER_SECONDS_MAX: Final = 30.0
_OWN_WORDS: Final = 6       # what precedes the program in local_etcd.command: it ends with the thread that starts it


class Etcds:
    """Blocks: for a thread. `pids`: of each, None while it does not run."""

    def __init__(self, commands: list[list[str]], log: Path, pids: list[int | None]) -> None:
        self.pids = pids
        self._commands = commands
        self._log = log
        self._own: dict[int, subprocess.Popen[bytes]] = {}

    @classmethod
    def of(cls, cluster: LocalCluster) -> Etcds:
        """The one that `varley cluster up` has started."""
        folder = cluster.folder
        port = json.loads((folder / "cluster.json").read_text())["etcd_port"]
        words = command(find_etcd(), str(folder / "etcd" / "data"), port, free_ports(1)[0])
        return cls([list(words[_OWN_WORDS:])], folder / "etcd" / "etcd.log", [cluster.etcd_pid()])

    @classmethod
    def three(cls, folder: Path, host: str) -> Etcds:
        """One cluster of three on `host`; none of them runs yet."""
        folder.mkdir(parents=True)
        peers = ",".join(f"e{number}=http://{host}:{_peer_port(number)}" for number in range(3))
        commands = []
        for number in range(3):
            words = list(command(find_etcd(), str(folder / f"e{number}"), client_port(number), _peer_port(number)))
            words = [word.replace("127.0.0.1", host) for word in words[_OWN_WORDS:]]
            words = [word for word in words if not word.startswith(("--name=", "--initial-cluster="))]
            commands.append([*words, f"--name=e{number}", f"--initial-cluster={peers}"])
        return cls(commands, folder / "etcd.log", [None, None, None])

    def start(self) -> None:
        """All that do not run."""
        for number, pid in enumerate(self.pids):
            if pid is None:
                with open(self._log, "ab") as log:
                    self._own[number] = subprocess.Popen(
                        self._commands[number], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                self.pids[number] = self._own[number].pid

    def kill(self, number: int) -> None:
        pid = self.pids[number]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        if number in self._own:
            self._own.pop(number).wait()
        self.pids[number] = None

    def wait_elected(self, host: str) -> None:
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while self.leader(host) is None:
            assert time.monotonic() < deadline, "the etcds have no leader"
            time.sleep(0.1)

    def leader(self, host: str) -> int | None:
        for number, pid in enumerate(self.pids):
            if pid is not None:
                with contextlib.suppress(OSError, ValueError):
                    status = _status(f"http://{host}:{client_port(number)}")
                    if status.get("leader") == status["header"]["member_id"]:
                        return number
        return None

    def close(self) -> None:
        for process in self._own.values():
            process.send_signal(signal.SIGCONT)     # it may be frozen still, if something went wrong
            process.kill()
        for process in self._own.values():
            process.wait()


def client_port(number: int) -> int:
    return 2379 + 10 * number


def _peer_port(number: int) -> int:
    return client_port(number) + 1


def _status(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url + "/v3/maintenance/status", data=b"{}", timeout=2) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
