"""A Varley server in a process of its own, which can be killed, and a client that knows what it was promised."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=00",
    "X-Amz-Date": "20260101T000000Z",
}

# Small segments and overlays: segments change, checkpoints run and old segments go all the time.
SMALL = (
    "--segment-bytes", "65536", "--checkpoint-overlay-bytes", "65536", "--checkpoint-log-bytes", "262144",
)  # fmt: skip


class Refused(Exception):
    """The server answered, and the answer was no."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        super().__init__(f"{status} {answer}")
        self.status = status
        self.answer = answer


class NotStarted(AssertionError):
    """The server ended before it said that it is ready."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(f"the server did not start, exit code {code}:\n{log}")
        self.code = code
        self.log = log


class ServerProcess:
    """`varley serve` on a data folder. `start` returns when it says that it is ready."""

    def __init__(self, data_dir: Path, *flags: str, log: Path | None = None) -> None:
        self.data_dir = data_dir
        self.log = log or data_dir.parent / "server.log"    # what the server says, of all its starts
        self.flags = flags
        self.port = 0
        self.admin_port: int | None = None
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Raises NotStarted."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "varley", "serve", "--json", "--port", "0", "--data-dir", str(self.data_dir),
             *self.flags],
            stdout=subprocess.PIPE, stderr=self.log.open("a"), text=True,
            env={**os.environ, "VARLEY_LOG_LEVEL": "info"},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(60)
            self.process.stdout.close()
            raise NotStarted(self.process.returncode, self.log.read_text())
        shown = json.loads(line)
        self.port = shown["port"]
        self.admin_port = shown["admin_port"]

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def client(self) -> Client:
        return Client(self.port)


def resident_bytes(pid: int) -> int:
    """How much memory a process has."""
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout) * 1024


class Client:
    """One keep-alive connection. Raises Refused for an answer that is an error, OSError or HTTPException for none."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def send(self, operation: str, request: dict[str, Any], service: str = "DynamoDB") -> None:
        """Send a request whose answer nobody waits for."""
        self._connection.request(
            "POST", "/", json.dumps(request), {**HEADERS, "X-Amz-Target": f"{service}_20120810.{operation}"}
        )

    def call(self, operation: str, request: dict[str, Any], service: str = "DynamoDB") -> dict[str, Any]:
        self.send(operation, request, service)
        answer = self._connection.getresponse()
        body = json.loads(answer.read())
        if answer.status != 200:
            raise Refused(answer.status, body)
        return body

    def close(self) -> None:
        self._connection.close()
