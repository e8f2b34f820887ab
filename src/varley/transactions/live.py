"""The transactions that are under way on this server: somebody waits for them, or they are being finished.

Kept in memory: what was under way when a server stopped is for its recovery.
"""

from __future__ import annotations

import asyncio


class Live:
    """By id. Used from the event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._requests: dict[bytes, bytes | None] = {}
        self._expected = 0
        self._is_idle: asyncio.Future[None] | None = None    # while somebody waits for that

    def __contains__(self, transaction: bytes) -> bool:
        return transaction in self._requests

    def request_of(self, transaction: bytes) -> bytes | None:
        """What one that is live was asked with; None: nobody knows."""
        return self._requests[transaction]

    def begin(self, transaction: bytes, request: bytes | None) -> None:
        assert transaction not in self._requests
        self._requests[transaction] = request

    def end(self, transaction: bytes) -> None:
        del self._requests[transaction]
        self._tell_if_idle()

    def expect(self, count: int) -> None:
        """So many will be begun in later turns of the loop: until then this is not idle."""
        self._expected = count
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if not (self._requests or self._expected) and self._is_idle is not None:
            self._is_idle.set_result(None)
            self._is_idle = None

    async def wait_idle(self) -> None:
        """Return when none is under way, and none is expected."""
        if self._requests or self._expected:
            self._is_idle = self._is_idle or self._loop.create_future()
            await self._is_idle
