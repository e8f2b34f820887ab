"""One server of etcd, spoken to in JSON over HTTP/1.1: requests with one answer, and streams of lines.

Every etcd since 3.4 has this door (its "gRPC gateway") on its client port: POST /v3/kv/range and so on, the messages of
its gRPC as JSON. See decision 0094 for why not gRPC itself. A connection carries one request at a time and is kept for
the next; a stream has one for itself.

Each failure says which of two it is, because all that stands above depends on it:

    NotSent      there was no connection: the request surely was not acted on
    NoAnswer     it went out, or part of it did: nobody knows

httptools parses the answers, as it does the requests of clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncGenerator
from typing import Final

import httptools

from varley.metadata.etcd_address import shown

_IDLE_MAX: Final = 4    # connections kept
_READ_BYTES: Final = 65536


class NotSent(Exception):
    pass


class NoAnswer(Exception):
    pass


class Endpoint:
    """One of etcd's servers. Used from the event loop only."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self.name = shown(host, port)
        self._host = host
        self._port = port
        self._tls = tls
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes, token: str, seconds: float) -> tuple[int, bytes]:
        """The status and the body of the answer. Raises NotSent or NoAnswer, also when `seconds` are over."""
        async with self._connection(seconds) as connection:
            try:
                async with asyncio.timeout(seconds):
                    connection.send(self._request(path, body, token))
                    while not connection.answer.is_complete:
                        await connection.read()
            except TimeoutError:
                raise NoAnswer(f"no answer within {seconds:g} s") from None
            answer = connection.answer
            if connection.is_usable and len(self._idle) < _IDLE_MAX:
                self._idle.append(connection.renewed())
                connection.is_kept = True
            return answer.status, bytes(answer.body)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, body: bytes, token: str, seconds: float) -> AsyncGenerator[Stream, None]:
        """An answer that does not end. `seconds`: for the connection. Raises NotSent or NoAnswer."""
        async with self._connection(seconds) as connection:
            connection.send(self._request(path, body, token))
            yield Stream(connection)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    @contextlib.asynccontextmanager
    async def _connection(self, seconds: float) -> AsyncGenerator[_Connection, None]:
        connection = None
        while self._idle and connection is None:
            connection = self._idle.pop()
            if connection.is_closed:
                connection.close()
                connection = None
        if connection is None:
            connection = await self._connect(seconds)
        try:
            yield connection
        finally:
            if not connection.is_kept:
                connection.close()
            connection.is_kept = False

    async def _connect(self, seconds: float) -> _Connection:
        try:
            async with asyncio.timeout(seconds):
                return _Connection(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))
        except TimeoutError:
            raise NotSent(f"no connection within {seconds:g} s") from None
        except OSError as error:    # also what TLS and name resolution have to say
            raise NotSent(_words(error)) from error

    def _request(self, path: str, body: bytes, token: str) -> bytes:
        authorization = f"Authorization: {token}\r\n" if token else ""
        head = (
            f"POST /v3/{path} HTTP/1.1\r\nHost: {self.name}\r\n{authorization}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Stream:
    """An answer that comes line by line."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def line(self, seconds: float) -> bytes | None:
        """The next one; None if none has come for so long. Raises NoAnswer: the stream has ended."""
        answer = self._connection.answer
        try:
            async with asyncio.timeout(seconds):
                while (end := answer.body.find(b"\n")) < 0:
                    if answer.is_complete:
                        raise NoAnswer(f"the stream ended: {bytes(answer.body[:200])!r}")
                    await self._connection.read()
        except TimeoutError:
            return None
        line = bytes(answer.body[:end])
        del answer.body[: end + 1]
        return line

    @property
    def status(self) -> int:
        """Of HTTP; 0 before anything has come."""
        return self._connection.answer.status


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.answer = _Answer()
        self.is_kept = False    # goes on living after the request

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    @property
    def is_usable(self) -> bool:
        return self.answer.keeps_alive and not self.is_closed

    def renewed(self) -> _Connection:
        self.answer = _Answer()
        return self

    def send(self, request: bytes) -> None:
        self._writer.write(request)

    async def read(self) -> None:
        """Add to `answer`. Raises NoAnswer."""
        try:
            raw = await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise NoAnswer(_words(error)) from error
        if not raw:
            raise NoAnswer("the connection was closed")
        try:
            self.answer.parser.feed_data(raw)
        except httptools.HttpParserError as error:
            raise NoAnswer(f"what answers does not speak HTTP: {error}") from error

    def close(self) -> None:
        self._writer.close()


class _Answer:
    """What has come of one, filled by httptools, which calls the on_… methods."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_complete = False
        self.status = 0
        self.keeps_alive = False
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.is_complete = True
        self.keeps_alive = self.parser.should_keep_alive()


def _words(error: OSError) -> str:
    """The system's own: the event loop's name the address a second time. TLS and the resolver have other numbers."""
    if isinstance(error, ssl.SSLError) or not error.errno or error.errno < 0:
        return error.strerror or str(error)
    return os.strerror(error.errno)
