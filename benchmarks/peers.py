"""The servers that are measured side by side: how each is installed, started and stopped.

Peers run in memory, which is their fastest mode; Varley runs on disk with a durable log (fdatasync before every
acknowledgement) unless it is told otherwise. That is unfair to Varley on purpose.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / ".peers"


def install() -> None:
    """npm install of the peers, once. Needs npm; DynamoDB Local also needs a Java runtime."""
    PEERS.mkdir(exist_ok=True)
    shutil.copy(HERE / "package.json", PEERS / "package.json")
    if not (PEERS / "node_modules" / "dynalite").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=PEERS, check=True)
    (PEERS / "node_modules/@dynoxide/linux-x64/dynoxide").chmod(0o755)


@dataclass
class Target:
    """A server under measurement. `command(port, folder)` starts it; `ready_path` answers 200 when it serves."""

    name: str
    version: str
    command: list[str]
    cwd: Path | None = None
    port: int = 0
    folder: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    start_seconds: float = 0.0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.port = self.port or free_port()
        self.folder = self.folder or tempfile.mkdtemp(prefix="varley-bench-", dir=os.environ.get("BENCH_DIR"))
        command = [part.format(port=self.port, folder=self.folder) for part in self.command]
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command, cwd=self.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_until_it_answers(self.port, self.process)
        self.start_seconds = time.perf_counter() - began

    def memory_bytes(self) -> int:
        """Resident memory of the process and its children."""
        assert self.process is not None
        total = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            try:
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        total += int(line.split()[1]) * 1024
            except FileNotFoundError:
                pass
        return total

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = ""


def children(pid: int) -> list[int]:
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    direct = [int(word) for word in out.split()]
    return direct + [grandchild for child in direct for grandchild in children(child)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it served")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} did not serve within {seconds} s")


def varley(*flags: str, name: str = "varley") -> Target:
    from varley import __version__

    storage = [] if "--in-memory" in flags else ["--data-dir", "{folder}"]
    return Target(
        name, __version__, [sys.executable, "-m", "varley", "serve", "--port", "{port}", *storage, *flags]
    )


def dynoxide() -> Target:
    return Target(
        "dynoxide", "1.2.1", [str(PEERS / "node_modules/@dynoxide/linux-x64/dynoxide"), "--port", "{port}"]
    )


def dynalite() -> Target:
    return Target(
        "dynalite", "4", ["node", "node_modules/dynalite/cli.js", "--port", "{port}", "--createTableMs", "0"], cwd=PEERS
    )


def dynamodb_local() -> Target:
    emulator = PEERS / "node_modules/amplify-dynamodb-simulator/emulator"
    return Target(
        "DynamoDB Local",
        "2",
        ["java", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar",
         "-inMemory", "-sharedDb", "-port", "{port}"],
        cwd=emulator,
    )  # fmt: skip
