"""One TCP connection to another node: bytes in, a hello and then frames out. Knows nothing of who wins.

asyncio's protocol and not its streams: a frame is handled in the call stack that received its last byte, without a
task that would have to be woken first.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Protocol, cast

from varley.net.frame import ALIVE, FrameReader, Hello, WireError, decode_hello, encode_frame, encode_hello

# What the transport takes before it says stop. What it has taken may have gone out; what it has not surely did not.
_WRITE_BUFFER_BYTES = 1024 * 1024

_ALIVE_FRAME = encode_frame(ALIVE)


class Host(Protocol):
    """Who has connections. All are called on the event loop."""

    def now(self) -> float:
        """Seconds; never less than before."""

    def connection_made(self, connection: Connection) -> None: ...

    def hello_came(self, connection: Connection, hello: Hello) -> None: ...

    def frame_came(self, connection: Connection, kind: int, body: bytes) -> None:
        """Raises WireError if the body is not what it should be."""

    def may_write(self, connection: Connection) -> None:
        """The transport takes bytes again."""

    def connection_lost(self, connection: Connection, why: str) -> None:
        """Once for each that was made, also after `end`; in a later turn than that."""


class Connection(asyncio.Protocol):
    """See the top of the file."""

    __slots__ = (
        "_hello_bytes", "_host", "_reader", "_transport", "_why", "bytes_received", "frames_received", "heard_at",
        "is_over", "is_paused", "made_at", "peer", "sent_at", "version",
    )  # fmt: skip

    def __init__(self, host: Host, peer: str | None = None) -> None:
        self.peer = peer                 # whom this node dialled, or who has said that it is them; None: not known yet
        self.version = 0                 # of the frames; 0 until both hellos are known
        self.is_over = False             # nothing is sent or taken any more
        self.is_paused = False           # the transport has enough
        self.made_at = 0.0
        self.heard_at = 0.0              # when bytes came last
        self.sent_at = 0.0               # when bytes were handed to the transport last
        self.bytes_received = 0
        self.frames_received = 0
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._hello_bytes = b""
        self._reader: FrameReader | None = None    # None until the hello is there
        self._why = ""                   # why we ended it, if we did

    @property
    def address(self) -> str:
        """Of the other side, for people."""
        found = self._extra("peername")
        return f"{found[0]}:{found[1]}" if isinstance(found, tuple) else "an unknown address"

    @property
    def certificate(self) -> dict[str, Any]:
        """The peer's, once TLS has checked it; {} without TLS."""
        return self._extra("peercert") or {}

    def _extra(self, name: str) -> Any:
        return self._transport.get_extra_info(name) if self._transport is not None else None

    # ---- out

    def say(self, hello: Hello) -> None:
        self.write(encode_hello(hello))

    def say_alive(self) -> None:
        self.write(_ALIVE_FRAME)

    def write(self, data: bytes) -> None:
        if self.is_over or self._transport is None:
            return
        self.sent_at = self._host.now()
        self._transport.write(data)

    def end(self, why: str, *, at_once: bool = False) -> None:
        """Close; what was written before goes out first, unless `at_once`. Host.connection_lost will be called."""
        if self.is_over:
            return
        self.is_over = True
        self.heard_at = self._host.now()    # whatever it says from now on is not heard
        self._why = why
        if self._transport is not None:
            if at_once:
                self._transport.abort()
            else:
                self._transport.close()

    def cut_off(self) -> None:
        """Whatever has not gone out stays here. After `end`, if its patience is over."""
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_WRITE_BUFFER_BYTES)
        found = self._extra("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.made_at = self.heard_at = self.sent_at = self._host.now()
        if self.is_over:    # ended while it was being made
            self._transport.abort()
        self._host.connection_made(self)

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        self.heard_at = self._host.now()
        self.bytes_received += len(data)
        try:
            if self._reader is None:
                data = self._take_hello(data)
            if self._reader is not None:
                for kind, body in self._reader.feed(data):
                    self.frames_received += 1
                    self._host.frame_came(self, kind, body)
                    if self.is_over:
                        return
        except WireError as error:
            self.end(f"{self.peer or 'it'} sent what it should not: {error}", at_once=True)

    def _take_hello(self, data: bytes) -> bytes:
        """What follows the hello."""
        self._hello_bytes += data
        found = decode_hello(self._hello_bytes)
        if found is None:
            return b""
        hello, end = found
        rest = self._hello_bytes[end:]
        self._hello_bytes = b""
        self._reader = FrameReader()
        self._host.hello_came(self, hello)
        return b"" if self.is_over else rest

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        if not self.is_over:
            self._host.may_write(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_over = True
        self._transport = None
        self._host.connection_lost(self, self._why or str(error or "") or "the other side closed the connection")
