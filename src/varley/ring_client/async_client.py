"""A client of the ring for programs on an event loop.

    async with varley.ring.AsyncClient(["http://127.0.0.1:8101"]) as ring:
        found = await ring.get("carts", "7")
        await ring.put("carts", "7", b"...", found.context)
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from varley.ring_client.connection import split
from varley.ring_client.directing import POLL_SECONDS, REPEATS, ClientDriven, ServerDriven
from varley.ring_client.found import Found, Reconcile, last_write_wins
from varley.ring_client.pool import Pool

Coordination = Literal["server", "client"]
T = TypeVar("T")


class AsyncClient:
    """All methods on one event loop. Keys are bytes, or text for its UTF-8.

    `endpoints`: of any nodes of the ring, http://host:port. `coordination`: see `directing`. `connect_seconds`: for a
    connection to one node, `answer_seconds`: for a request, all attempts together. `repeats`: how often a put or delete
    whose outcome is unknown is sent again, to another node; 0: never (docs/ring_api.md says what it can lead to).

    Every method raises RingRefused (the request is wrong), RingUnavailable (surely nothing was done), and those that
    write OutcomeUnknown.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        coordination: Coordination = "server",
        connect_seconds: float = 1.0,
        answer_seconds: float = 10.0,
        repeats: int = REPEATS,
        placement_seconds: float = POLL_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not endpoints or isinstance(endpoints, str):
            raise ValueError("endpoints is a list of at least one http://host:port")
        if coordination not in ("server", "client"):
            raise ValueError(f'coordination is "server" or "client", not {coordination!r}')
        if repeats < 0:
            raise ValueError(f"repeats is 0 or more, not {repeats}")
        for endpoint in endpoints:
            split(endpoint)
        self._endpoints = tuple(endpoint.rstrip("/") for endpoint in endpoints)
        self._coordination = coordination
        self._pool_options: dict[str, Any] = {
            "connect_seconds": connect_seconds, "answer_seconds": answer_seconds, "tls": tls,
        }  # fmt: skip
        self._placement_seconds = placement_seconds
        self._repeats = repeats
        self._pool: Pool | None = None      # made by the first request: it belongs to the loop of that
        self._directing: ServerDriven | ClientDriven

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, bucket: str, key: bytes | str, *, r: int | None = None) -> Found:
        """All siblings of a key. `r`: how many nodes must answer, if not as the bucket has it."""
        directing, name = self._start(), _bytes(key)
        return await _result(lambda then: directing.get(bucket, name, r, then))

    async def put(
        self, bucket: str, key: bytes | str, value: bytes, context: str | None = None, *, w: int | None = None
    ) -> str | None:
        """Put a value in place of what `context` has seen. Without a context it replaces nothing.

        Returns the context for the next put; None if there are siblings that the caller has not seen: get first.
        """
        directing, name = self._start(), _bytes(key)
        return await _result(lambda then: directing.write(bucket, name, bytes(value), context, w, then))

    async def delete(
        self, bucket: str, key: bytes | str, context: str | None, *, w: int | None = None
    ) -> str | None:
        """Delete what `context` has seen, and nothing else. Returns a context, as `put` does."""
        directing, name = self._start(), _bytes(key)
        return await _result(lambda then: directing.write(bucket, name, None, context, w, then))

    async def update(
        self,
        bucket: str,
        key: bytes | str,
        change: Callable[[bytes | None], bytes | None],
        *,
        reconcile: Reconcile = last_write_wins,
        r: int | None = None,
        w: int | None = None,
    ) -> bytes | None:
        """Get, make one value of the siblings, change it, put it. Returns what was put.

        `change` gets None if there is no such key, and returns None to delete it. It is called once: nothing is locked,
        and who updates at the same time makes a sibling, which the next update reconciles.
        """
        found = await self.get(bucket, key, r=r)
        value = change(found.reconciled(reconcile))
        if value is not None:
            await self.put(bucket, key, value, found.context, w=w)
        elif found.siblings:
            await self.delete(bucket, key, found.context, w=w)
        return value

    async def close(self) -> None:
        """Requests under way are answered NoAnswer, as if the node had gone."""
        if self._pool is not None:
            self._directing.close()
            await self._pool.close()
            self._pool = None

    def _start(self) -> ServerDriven | ClientDriven:
        if self._pool is None:
            self._pool = Pool(**self._pool_options)
            chance = random.Random()
            if self._coordination == "client":
                self._directing = ClientDriven(
                    self._pool, self._endpoints, chance, self._placement_seconds, repeats=self._repeats
                )
            else:
                self._directing = ServerDriven(self._pool, self._endpoints, chance, repeats=self._repeats)
        return self._directing


async def _result(ask: Callable[[Callable[[T | Exception], None]], None]) -> T:
    """What a callback is told, waited for. An error is raised."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def then(answer: T | Exception) -> None:
        if future.done():
            return      # the caller has given up
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    ask(then)
    return await future


def _bytes(key: bytes | str) -> bytes:
    raw = key.encode() if isinstance(key, str) else bytes(key)
    if not raw:
        raise ValueError("a key has at least one byte")
    return raw
