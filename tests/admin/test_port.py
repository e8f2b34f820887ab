"""The admin port over a real socket."""

from __future__ import annotations

import asyncio

import pytest

from varley.admin.metrics import Metrics
from varley.admin.pages import Pages
from varley.admin.port import AdminPort
from varley.clock import MovableClock, StoppedClock
from varley.counters import Counters
from varley.errors import WorldError
from varley.http.traffic import Traffic


def new_port(port: int = 0) -> AdminPort:
    clock = MovableClock(StoppedClock())
    metrics = Metrics(Traffic(["GetItem"]), Counters())
    pages = Pages(metrics, clock, movable_clock=clock, why_not_ready=lambda: None)
    return AdminPort(pages, "127.0.0.1", port)


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, one packet each, and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


def ask(*pieces: bytes) -> bytes:
    async def session() -> bytes:
        admin = new_port()
        await admin.start()
        try:
            return await exchange(admin.port, *pieces)
        finally:
            await admin.stop()

    return asyncio.run(session())


def test_a_get() -> None:
    head, body = ask(b"GET /health?x=1 HTTP/1.1\r\nHost: x\r\n\r\n").split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 8" in head
    assert body == b"healthy\n"


def test_a_head_has_no_body() -> None:
    head, body = ask(b"HEAD /health HTTP/1.1\r\n\r\n").split(b"\r\n\r\n")
    assert b"content-length: 8" in head
    assert body == b""


def test_a_post_in_pieces() -> None:
    answer = ask(
        b"POST /clock HTTP/1.1\r\nContent-Le",
        b'ngth: 22\r\n\r\n{"advance_sec',
        b'onds":60}',
    )
    assert b'"offset_seconds":60.0' in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"POST /clock HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /clock HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        b"POST /clock HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_a_request_is_answered_400(request_bytes: bytes) -> None:
    assert ask(request_bytes).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_head_without_end_is_answered_and_closed() -> None:
    assert ask(b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000).startswith(b"HTTP/1.1 400")


def test_a_port_in_use_names_its_flag() -> None:
    async def session() -> None:
        first = new_port()
        await first.start()
        try:
            with pytest.raises(WorldError, match="--admin-port 0 takes a free one"):
                await new_port(first.port).start()
        finally:
            await first.stop()

    asyncio.run(session())
