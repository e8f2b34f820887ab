"""The one server that the tests of the public API speak to.

`pytest tests/aws` starts a Varley in a process of its own, in memory, on a free port, and stops it at the
end. `pytest tests/aws --endpoint URL` speaks to whatever listens there instead: another Varley, DynamoDB
Local, or the service itself. The same tests against several endpoints are how we know that a test says
what DynamoDB does and not merely what Varley does.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from tests.etcd_server import etcd, etcd_program, own_etcd, three_etcds

__all__ = ["etcd", "etcd_program", "own_etcd", "three_etcds"]    # fixtures, for whatever needs a cluster's metadata

READY_SECONDS_MAX = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--endpoint",
        metavar="URL",
        default=None,
        help="run tests/aws against this DynamoDB endpoint; without it they start a Varley of their own",
    )


# How long an example takes is the machine's doing, which may be busy with other tests.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "varley_only: says what Varley does where DynamoDB has no equivalent")
    config.addinivalue_line("markers", "node: needs Node.js and the packages of tests/clients")


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL that the tests of the API speak to, without a slash at its end."""
    given: str | None = request.config.getoption("--endpoint")
    if given:
        yield given.rstrip("/")
        return
    port = free_port()
    with open(tmp_path_factory.mktemp("varley") / "server.log", "w+b") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "varley",
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--in-memory",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(server, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Return once GET /ready says 200. Fails the session if the server ends or says nothing for too long."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if is_ready(port):
            return
        try:
            # Waiting for the server's end is the pause between two looks, and notices that end at once.
            server.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        pytest.exit(f"varley serve ended with {server.returncode}:\n{text_of(log)}", returncode=3)
    pytest.exit(f"varley serve was not ready after {READY_SECONDS_MAX} s:\n{text_of(log)}", returncode=3)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def text_of(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def endpoint_kind(given: str | None) -> str:
    """Who answers at an endpoint: "varley", "dynamodb-local" or "aws"."""
    if not given:
        return "varley"
    parts = urlsplit(given)
    host = parts.hostname or "127.0.0.1"
    if host.endswith(".amazonaws.com"):
        return "aws"
    connection = http.client.HTTPConnection(host, parts.port or 80, timeout=10)
    try:
        connection.request("GET", "/")
        server = connection.getresponse().getheader("Server", "")
    except OSError as error:
        raise pytest.UsageError(f"nobody answers at --endpoint {given}: {error}") from error
    finally:
        connection.close()
    return "dynamodb-local" if server.startswith("Jetty") else "varley"
