"""Connections to all nodes, and which nodes did not answer lately.

A node that fails is asked last for a second: it may be back, but others are likelier to answer now. Nothing more is
made of it, since a node that is away for one client may be there for another.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from varley.net.outcome import NotSent
from varley.ring_client.connection import Connection, Then, split
from varley.ring_client.outcomes import Reply, Response
from varley.ring_client.protocol import addressed

AVOIDED_SECONDS: Final = 1.0
IDLE_MAX: Final = 64            # connections kept for each node


class Pool:
    """Event loop only. `connect_seconds` for a connection, `answer_seconds` for an answer."""

    def __init__(self, connect_seconds: float, answer_seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._tls = tls             # made when the first https endpoint is asked, if it was not given
        self._idle: dict[str, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._avoided: dict[str, float] = {}            # endpoint -> until when, by the loop's clock
        self._connecting: set[asyncio.Task[None]] = set()   # held: a task that nobody holds may vanish
        self._is_closed = False

    def now(self) -> float:
        return self._loop.time()

    def deadline(self) -> float:
        """Of a request that begins now."""
        return self._loop.time() + self._answer_seconds

    def ask(
        self, endpoint: str, request: bytes, then: Callable[[Reply], None], seconds: float | None = None
    ) -> None:
        """`then` is called once, later. `seconds`: for the answer, when there is a connection."""
        seconds = self._answer_seconds if seconds is None else seconds
        told = partial(self._told, endpoint, then)
        if self._is_closed:     # a request that was under way tries its next node
            self._loop.call_soon(then, NotSent("the client was closed"))
            return
        idle = self._idle.get(endpoint)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                self._send(connection, endpoint, request, told, seconds)
                return
        task = self._loop.create_task(self._connect_and_send(endpoint, request, told, seconds))
        self._connecting.add(task)
        task.add_done_callback(partial(self._has_connected, told))

    def is_avoided(self, endpoint: str) -> bool:
        until = self._avoided.get(endpoint)
        return until is not None and until > self._loop.time()

    async def close(self) -> None:
        self._is_closed = True
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def _connect_and_send(self, endpoint: str, request: bytes, then: Then, seconds: float) -> None:
        host, port, is_tls = split(endpoint)
        if is_tls and self._tls is None:
            self._tls = ssl.create_default_context()
        tls = self._tls if is_tls else None
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(partial(self._freed, endpoint), self._open.discard), host, port, ssl=tls
                )
        except TimeoutError:
            then(NotSent(f"{endpoint} takes no connection within {self._connect_seconds:g} s"))
            return
        except (OSError, ValueError) as error:      # ValueError: no such name can be
            then(NotSent(f"{endpoint} cannot be reached: {getattr(error, 'strerror', None) or error}"))
            return
        self._open.add(connection)
        if not connection.is_open:
            then(NotSent(f"{endpoint} closed the connection"))
            return
        self._send(connection, endpoint, request, then, seconds)

    def _has_connected(self, then: Then, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if task.cancelled():
            then(NotSent("the client was closed"))
        else:
            task.result()       # a bug of ours: the loop says it aloud

    def _send(self, connection: Connection, endpoint: str, request: bytes, then: Then, seconds: float) -> None:
        timer = self._loop.call_later(
            seconds, connection.abort, f"{endpoint} did not answer within {seconds:.2g} s"
        )

        def answered(reply: Reply) -> None:
            timer.cancel()
            then(reply)

        host = endpoint.partition("://")[2].rstrip("/").encode()
        connection.ask(addressed(request, host), answered)

    def _freed(self, endpoint: str, connection: Connection) -> None:
        idle = self._idle.setdefault(endpoint, [])
        if len(idle) < IDLE_MAX and not self._is_closed:
            idle.append(connection)
        else:
            connection.close()

    def _told(self, endpoint: str, then: Then, reply: Reply) -> None:
        if isinstance(reply, Response):
            self._avoided.pop(endpoint, None)
        else:
            self._avoided[endpoint] = self._loop.time() + AVOIDED_SECONDS
        then(reply)
