"""A front door on a loopback port, its loop in another thread, and clients that write bytes as they like.

The door is the real one, on uvloop; the handler is a few lines, and the clock stands still until it is moved.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from varley.errors import DiskFull, ResourceNotFound
from varley.http.call import Call
from varley.http.server import FrontDoor

T = TypeVar("T")

OPERATIONS = ("GetItem", "PutItem", "Query", "DeleteItem", "Scan", "ListTables", "GetRecords")
SOCKET_SECONDS = 5          # only a failing test waits that long

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "5d672d79" * 8
)


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return 1_700_000_000.0 + self.seconds


@dataclass
class Answer:
    status: int
    headers: dict[str, str]         # lower-case names
    body: bytes
    head: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["__type"])


class Wire:
    """A client's socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SOCKET_SECONDS)
        self.socket = sock
        self.stream = sock.makefile("rb")

    def send(self, data: bytes) -> Wire:
        self.socket.sendall(data)
        return self

    def receive(self, *, has_body: bool = True) -> Answer:
        """The next answer, which must be whole and consistent."""
        status_line = self.stream.readline()
        if not status_line:
            raise EOFError("the server closed the connection")
        lines = []
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            lines.append(line)
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.decode().partition(":")
            assert name.lower() not in headers, f"{name} is there twice"
            headers[name.lower()] = value.strip()
        status = int(status_line.split()[1])
        if status == 100:
            return Answer(status, headers, b"", status_line)
        body = self.stream.read(int(headers["content-length"])) if has_body else b""
        if has_body and "x-amz-crc32" in headers:
            assert int(headers["x-amz-crc32"]) == zlib.crc32(body)
        return Answer(status, headers, body, status_line + b"".join(lines))

    def ask(self, data: bytes, *, has_body: bool = True) -> Answer:
        return self.send(data).receive(has_body=has_body)

    def is_closed(self) -> bool:
        """Whether the server ends the connection (waits until it does, or sends something)."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


@dataclass
class House:
    """A front door, its loop, and what its handler was told to do."""

    loop: asyncio.AbstractEventLoop
    door: FrontDoor
    clock: HandClock
    port: int = 0
    calls: list[Call] = field(default_factory=list)     # all that reached the handler
    waiting: list[Call] = field(default_factory=list)   # those of Query, which the test answers
    wires: list[Wire] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def run(self, function: Callable[[], T]) -> T:
        """Call a function on the loop's thread; first let the loop read what has been sent."""

        async def call() -> T:
            await _settle()
            result = function()
            await _settle()
            return result

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(SOCKET_SECONDS)

    def pass_seconds(self, seconds: float) -> None:
        def tick() -> None:
            self.clock.seconds += seconds
            self.door.tick()

        self.run(tick)

    def connect(self) -> Wire:
        sock = socket.create_connection(("127.0.0.1", self.port), SOCKET_SECONDS)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_hostname="localhost")
        wire = Wire(sock)
        self.wires.append(wire)
        return wire

    def ask(self, data: bytes, *, has_body: bool = True) -> Answer:
        """One answer on a connection of its own."""
        return self.connect().ask(data, has_body=has_body)

    def wait_for_calls(self, count: int) -> None:
        """Until the handler has been given that many."""
        for _ in range(1000):
            if self.run(lambda: len(self.calls)) >= count:
                return
        raise AssertionError(f"{len(self.calls)} calls instead of {count}")

    def wait_for_connections(self, count: int) -> None:
        for _ in range(1000):
            if self.run(lambda: self.door.connections) == count:
                return
        raise AssertionError(f"{self.door.connections} connections instead of {count}")

    def assert_alive(self) -> None:
        """It still serves new clients."""
        answer = self.ask(request())
        assert answer.status == 200
        assert answer.body == b"{}"


async def _settle() -> None:
    # Each turn of the loop polls its sockets once.
    for _ in range(4):
        await asyncio.sleep(0)


def handle(house: House, call: Call) -> bytes | None:
    """GetItem gives its own body; Query waits for the test; the others show one thing each."""
    house.calls.append(call)
    if call.operation in ("GetItem", "GetRecords"):
        return call.body
    if call.operation == "Query":
        house.waiting.append(call)
        return None
    if call.operation == "PutItem":
        call.reply(b'{"Replied":"inside"}')
        return None
    if call.operation == "DeleteItem":
        raise ResourceNotFound("Requested resource not found")
    if call.operation == "Scan":
        raise DiskFull("The disk is full", path="/secret/path", operation="write", hint="Make room")
    raise ZeroDivisionError("a bug of ours")


def request(
    operation: str = "GetItem",
    body: bytes = b"{}",
    *,
    drop: tuple[str, ...] = (),
    line: str = "POST / HTTP/1.1",
    **headers: str,
) -> bytes:
    """A signed request. `headers` add or replace (an underscore is a hyphen); `drop` leaves some out."""
    all_headers = {
        "Host": "localhost:8000",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": AUTHORIZATION,
        "Content-Length": str(len(body)),
    }
    all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [line, *(f"{name}: {value}" for name, value in all_headers.items() if name not in drop)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
