"""One keep-alive connection to one node: a request, its answer, the next request.

Requests are not pipelined. What waits behind another request for as long as that takes is what a client with a list of
nodes to choose from should not do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools

from varley.net.outcome import NoAnswer
from varley.ring_client.outcomes import Reply, Response

Then = Callable[[Reply], None]


class Connection(asyncio.Protocol):
    """`freed` is called when it can take another request, `lost` when it can take none any more."""

    _then: Then | None      # who waits for the answer; None: nothing is under way

    def __init__(self, freed: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._freed = freed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._then = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes, then: Then) -> None:
        assert self._transport is not None and self._then is None, "one request at a time"
        self._then = then
        self._transport.write(request)

    def abort(self, why: str) -> None:
        """The answer is waited for no longer. What comes of it cannot be told apart from the next one's: so it ends."""
        if self._transport is not None:
            self._transport.abort()
        self._settle(NoAnswer(why))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.abort(f"the answer is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost(self)
        self._settle(NoAnswer(str(error) if error else "the node closed the connection"))

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            return
        response = Response(status, self._headers, b"".join(self._body))
        self._headers, self._body = {}, []
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        then, self._then = self._then, None
        if self.is_open:
            self._freed(self)
        if then is not None:
            then(response)

    def _settle(self, reply: Reply) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(reply)


def split(endpoint: str) -> tuple[str, int, bool]:
    """http://host:port -> (host, port, TLS). Raises ValueError (the caller's fault)."""
    from urllib.parse import urlsplit  # here: once for each node

    parts: Any = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"a node's endpoint is http://host:port, not {endpoint!r}")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), parts.scheme == "https"
