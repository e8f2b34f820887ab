"""A client of the ring for everybody else: the asynchronous one, on an event loop in a thread of its own.

    with varley.ring.Client(["http://127.0.0.1:8101"]) as ring:
        found = ring.get("carts", "7")
        ring.put("carts", "7", b"...", found.context)

A get that the client coordinates talks to three nodes at a time, and the placement is asked for again while nobody
calls. That wants a loop, so there is one, and one implementation. Its price is a change of threads for each request.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from varley.ring_client.async_client import AsyncClient
from varley.ring_client.found import Found, Reconcile, last_write_wins

T = TypeVar("T")


class Client:
    """May be used from any number of threads. Options, methods and errors are AsyncClient's."""

    def __init__(self, endpoints: Sequence[str], **options: Any) -> None:
        self._client = AsyncClient(endpoints, **options)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None     # runs from the first request to close()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, bucket: str, key: bytes | str, *, r: int | None = None) -> Found:
        return self._run(self._client.get(bucket, key, r=r))

    def put(
        self, bucket: str, key: bytes | str, value: bytes, context: str | None = None, *, w: int | None = None
    ) -> str | None:
        return self._run(self._client.put(bucket, key, value, context, w=w))

    def delete(self, bucket: str, key: bytes | str, context: str | None, *, w: int | None = None) -> str | None:
        return self._run(self._client.delete(bucket, key, context, w=w))

    def update(
        self,
        bucket: str,
        key: bytes | str,
        change: Callable[[bytes | None], bytes | None],
        *,
        reconcile: Reconcile = last_write_wins,
        r: int | None = None,
        w: int | None = None,
    ) -> bytes | None:
        return self._run(self._client.update(bucket, key, change, reconcile=reconcile, r=r, w=w))

    def close(self) -> None:
        """Requests of other threads are told that the client was closed. May be called again; a request after it
        starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    async def _end(self) -> None:
        """Who is told needs a few turns of the loop to hear it."""
        await self._client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                import uvloop  # here: a program that only imports the client starts without it

                self._loop = uvloop.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="varley ring client", daemon=True)
                self._thread.start()
            # With the lock held: what is begun before a `close` is told by it.
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        return answer.result()
