"""Coroutines that run beside everything else. Tasks are started here and nowhere else in this server.

The loop itself holds a task only weakly: one that nobody holds may be collected half way. And one that fails is
silent until somebody asks for its result: here it is asked for, and the loop says aloud what it raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from varley.http.call import Call


class Tasks:
    """Those that run now. Used from the event loop only."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def wait_ended(self) -> None:
        """Return when all have ended that run now."""
        if self._running:
            await asyncio.wait(self._running)

    async def cancel(self) -> None:
        """End all that run now, and return when they have ended."""
        for task in self._running:
            task.cancel()
        await self.wait_ended()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.result()    # what it raises goes to the loop


async def answer(work: Coroutine[Any, Any, bytes], call: Call) -> None:
    """Answer `call` with what `work` returns or raises."""
    try:
        body = await work
    except Exception as error:    # the call is the one who must hear of it, whatever it is
        call.fail(error)
    else:
        call.reply(body)
