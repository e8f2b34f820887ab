"""A real etcd for tests: started, stopped, killed, frozen.

Without the program `etcd` (`apt install etcd-server`) its tests are skipped, and say so; where CI says that it is CI
they fail instead, since nobody reads the skips of a green run.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from varley.cluster.local_etcd import command, free_ports

_READY_TRIES: Final = 1500    # of 20 ms


class EtcdServer:
    """Keeps its address and its data through `kill` and `start`."""

    def __init__(self, folder: Path, *more: str, tls: bool = False) -> None:
        self.port, self.peer_port = free_ports(2)
        self.folder = folder
        self._more = more
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> EtcdServer:
        """Returns when it answers."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self, *more: str) -> None:
        """`more`: arguments beside those of its own, kept for later launches."""
        self._more = (*self._more, *more)
        program = shutil.which("etcd")
        assert program is not None
        arguments = list(command(program, str(self.folder / "data"), self.port, self.peer_port))
        if self._tls:
            plain, secret = f"http://127.0.0.1:{self.port}", f"https://127.0.0.1:{self.port}"
            arguments = [each.replace(plain, secret) for each in arguments]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen([*arguments, *self._more], stdout=log, stderr=log)

    def wait_ready(self) -> None:
        assert self._process is not None
        for _ in range(_READY_TRIES):
            try:
                self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                if self._answers():
                    return
            else:
                break
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def url(self, prefix: str, *, port: int | None = None, credentials: str = "") -> str:
        return f"etcd://{credentials}127.0.0.1:{port or self.port}/{prefix}"

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()    # type: ignore[union-attr]

    def freeze(self) -> None:
        """Returns when it has stopped: the system tells that to the parent, not to whoever sent the signal."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def forget_everything(self) -> None:
        """While it is dead."""
        shutil.rmtree(self.folder / "data")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        if self._tls:    # its certificate is made at the start, and nobody here trusts it yet
            return b"ready to serve client requests" in (self.folder / "log").read_bytes()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v3/kv/range", data=b'{"key":"AA=="}', method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=1) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code in (400, 401)    # authentication is enabled
        except OSError:
            return False


@pytest.fixture(scope="session")
def etcd_program() -> None:
    if shutil.which("etcd") is None:
        text = "etcd is not in PATH, so nothing of a cluster's metadata is tested: apt install etcd-server"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)


@pytest.fixture(scope="session")
def etcd(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One for all tests: each has a prefix of its own, and lets it run."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd")).start()
    yield server
    server.stop()


@pytest.fixture
def own_etcd(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One for this test, which may do to it what it likes."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd")).start()
    yield server
    server.stop()


@pytest.fixture
def three_etcds(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EtcdServer]]:
    """One etcd of three servers."""
    servers = [EtcdServer(tmp_path_factory.mktemp("etcd")) for _ in range(3)]
    peers = ",".join(f"s{number}=http://127.0.0.1:{each.peer_port}" for number, each in enumerate(servers))
    try:
        for number, each in enumerate(servers):
            each.launch(f"--name=s{number}", f"--initial-cluster={peers}")
        for each in servers:
            each.wait_ready()
        yield servers
    finally:
        for each in servers:
            each.stop()
