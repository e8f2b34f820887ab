"""A cluster whose nodes are in network namespaces of their own, each on a line to one router, with three etcds.

                      router: the namespace of the game day itself, with the clients and the etcds
                      10.77.254.1
        10.77.1.254 /       |       \\ 10.77.3.254
                   |        |        |          lines: veth pairs, which can be cut, one way too, or made narrow
        10.77.1.1  n1       n2       n3

What is cut here is lost by the kernel, and TCP goes on sending it: closer to life than POST /links, which loses what
TCP has delivered. A rule `from n1 to n2 blackhole` in the router loses one direction, and tells nobody. A narrow line
(a token bucket: `tc … tbf`) is late, and loses what does not fit into its queue. Loss by chance and another order would
take the kernel's netem.

One must be root, and everything must be in a namespace that nobody else uses: `enter` sees to that.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.campaigns.etcds import Etcds, client_port
from tests.cluster.local_cluster import LocalCluster

ROUTER: Final = "10.77.254.1"
_INSIDE: Final = "GAME_DAY_INSIDE"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_NARROW: Final = ("rate", "1mbit", "burst", "16kb", "latency", "100ms")

Direction = tuple[str, str]


def enter(words: Iterable[str]) -> None:
    """Run this game day again, in a network namespace of its own, unless it is in one. Does not return then."""
    if os.environ.get(_INSIDE) != "yes":
        os.environ[_INSIDE] = "yes"
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-m", "tests.campaigns.game_day", *words])


class NamespacedCluster(LocalCluster):
    """Only one at a time in a router's namespace."""

    def __init__(self, folder: Path, *words: str, nodes: int) -> None:
        """`words`: for `varley serve` of each."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._words = words
        self._spaces = {f"n{number}": f"varley-{os.getpid()}-n{number}" for number in range(1, nodes + 1)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.etcds = Etcds.three(folder / "etcd", ROUTER)
        try:
            self._lay_lines()
            self.etcds.start()
            self.etcds.wait_elected(ROUTER)
            for name in self._spaces:
                self._spawn(name)
            for name in self._spaces:
                self._wait_started(name)
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.etcds.close()
        for space in self._spaces.values():
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        return 0

    def start(self, node: str) -> None:
        self._spawn(node)
        self._wait_started(node)

    # Lines

    def lose(self, cut: set[Direction], before: set[Direction]) -> None:
        """These directions, and no others: `before` is what was lost until now."""
        for one, other in before - cut:
            _ip("rule", "del", "from", _address(one), "to", _address(other), "blackhole")
        for one, other in cut - before:
            _ip("rule", "add", "from", _address(one), "to", _address(other), "blackhole")

    def narrow(self, names: Iterable[str]) -> None:
        """What goes to these nodes, and what they send, fits through 1 Mbit/s, or is lost."""
        for name in names:
            queue = "root", "tbf", *_NARROW
            _run("tc", "qdisc", "replace", "dev", f"line-{name}", *queue)
            _run("ip", "netns", "exec", self._spaces[name], "tc", "qdisc", "replace", "dev", "line", *queue)

    def widen(self, names: Iterable[str]) -> None:
        for name in names:
            _run("tc", "qdisc", "del", "dev", f"line-{name}", "root")
            _run("ip", "netns", "exec", self._spaces[name], "tc", "qdisc", "del", "dev", "line", "root")

    def _lay_lines(self) -> None:
        _ip("link", "set", "lo", "up")
        _ip("addr", "add", f"{ROUTER}/32", "dev", "lo")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for name, space in self._spaces.items():
            _ip("netns", "add", space)
            _ip("link", "add", f"line-{name}", "type", "veth", "peer", "name", "line", "netns", space)
            _ip("addr", "add", f"{_gate(name)}/24", "dev", f"line-{name}")
            _ip("link", "set", f"line-{name}", "up")
            inside = ["netns", "exec", space, "ip"]
            _ip(*inside, "link", "set", "lo", "up")
            _ip(*inside, "addr", "add", f"{_address(name)}/24", "dev", "line")
            _ip(*inside, "link", "set", "line", "up")
            _ip(*inside, "route", "add", "default", "via", _gate(name))

    # Processes

    def _spawn(self, name: str) -> None:
        etcd = ",".join(f"{ROUTER}:{client_port(number)}" for number in range(3))
        number, address = int(name[1:]), _address(name)
        words = ["ip", "netns", "exec", self._spaces[name], sys.executable, "-m", "varley", "serve"]
        words += ["--cluster", f"etcd://{etcd}", "--name", name, "--zone", f"z{number}", "--insecure"]
        words += ["--host", address, "--port", "8000", "--link-port", "7000"]
        words += ["--admin-host", address, "--admin-port", "8001", "--data-dir", str(self.folder / name)]
        with open(self._log_of(name), "ab") as log:
            self._processes[name] = subprocess.Popen(
                [*words, *self._words, "--json", "--stop-with-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def _wait_started(self, name: str) -> None:
        process = self._processes[name]
        assert process.stdout is not None
        says, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline() if says else b""
        assert line, self._log_of(name).read_text()[-2000:]
        self.nodes[name] = {"host": _address(name), **json.loads(line)}
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_known(name):
            assert time.monotonic() < deadline, f"{name} does not serve"
            time.sleep(0.05)

    def _is_known(self, name: str) -> bool:
        try:
            self.admin(name, "/cluster")
        except OSError:
            return False
        return True

    def _log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _address(name: str) -> str:
    return f"10.77.{name[1:]}.1"


def _gate(name: str) -> str:
    return f"10.77.{name[1:]}.254"


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
