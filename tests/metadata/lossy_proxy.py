"""A way to etcd on which requests and answers get lost, or come late, as a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto


class Fate(Enum):
    PASS = auto()
    LOSE_REQUEST = auto()
    LOSE_ANSWER = auto()
    DELAY = auto()    # the client sees the connection break; the request arrives when `deliver` is called


class LossyProxy:
    """`fate`: of each request, by its path."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.fate: Callable[[str], Fate] = lambda _path: Fate.PASS
        self.port = 0
        self.delayed: list[bytes] = []
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LossyProxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.break_all()

    async def deliver(self) -> None:
        """Let what was delayed arrive, in the order in which it was sent."""
        delayed, self.delayed = self.delayed, []
        for request in delayed:
            await self._ask(request)

    def break_all(self) -> None:
        """Break all connections that there are."""
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            path = head.split(b" ")[1].decode().removeprefix("/v3/")
            # One request a connection: then its end is the answer's end.
            request = head[:-2] + b"Connection: close\r\n\r\n" + await reader.readexactly(length)
            match self.fate(path):
                case Fate.PASS if path == "watch":
                    await self._ask(request, writer)
                case Fate.PASS:
                    writer.write(await self._ask(request))
                case Fate.LOSE_REQUEST:
                    pass
                case Fate.LOSE_ANSWER:
                    await self._ask(request)
                case Fate.DELAY:
                    self.delayed.append(request)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _ask(self, request: bytes, to: asyncio.StreamWriter | None = None) -> bytes:
        """The whole answer; or, if it does not end, what comes is written to `to` as long as that is open."""
        answer = b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._writers.add(writer)
        try:
            writer.write(request)
            while part := await reader.read(65536):
                if to is None:
                    answer += part
                elif to.is_closing():
                    break
                else:
                    to.write(part)
        finally:
            self._writers.discard(writer)
            writer.close()
        return answer
