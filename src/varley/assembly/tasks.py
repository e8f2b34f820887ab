"""Coroutines that run beside everything else. Tasks are started here and nowhere else in this server.

The loop itself holds a task only weakly: one that nobody holds may be collected half way. And one that fails is silent
until somebody asks for its result: here it is asked for. A coroutine handles what it can expect, a full disk or nodes
that are away. What it raises all the same is an error of ours, and what becomes of that depends on what it was for:

    of a call           its client is told (answer, below)
    of what this node cannot be without, and others can (its registration)
                        Life.fail: the node stops; others go on
    of what all nodes of a cluster do alike (the metadata is followed, groups are guarded)
                        logged and counted, and begun again where that makes sense: if it stopped the node, the same
                        error would stop them all
    of one thing of many (a group, an index)
                        logged and counted; that one waits for the next start, the others go on

Counted: `varley_background_failures_total`, which should be 0 for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from varley.admin.metrics import Reading
from varley.http.call import Call

logger = logging.getLogger("varley.server")

_AGAIN_SECONDS: Final = 5.0     # from a failure of what is kept running to its next begin


class Tasks:
    """Those that run now. Used from the event loop only."""

    def __init__(self, what: str) -> None:
        """`what` they are, in a word or two: for the log and for metrics."""
        self.what = what
        self.failures = 0
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def keep_running(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin it again, some seconds later, each time it fails. It is over when it returns."""
        self.start(self._again_and_again(run))

    async def _again_and_again(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await run()
                return
            except Exception as error:
                self._failed(error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def wait_ended(self) -> None:
        """Return when all have ended that run now."""
        if self._running:
            await asyncio.wait(self._running)

    async def end_within(self, seconds: float) -> None:
        """Let all that run now end; what has not by then is cancelled, and said aloud."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=seconds)
        if late:
            logger.warning("%s: %d did not end within %g s, and are given up", self.what, len(late), seconds)
            await self.cancel()

    async def cancel(self) -> None:
        """End all that run now, and return when they have ended."""
        for task in self._running:
            task.cancel()
        await self.wait_ended()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        logger.error("%s: an error of ours", self.what, exc_info=error)


async def answer(work: Coroutine[Any, Any, bytes], call: Call) -> None:
    """Answer `call` with what `work` returns or raises."""
    try:
        body = await work
    except Exception as error:    # the call is the one who must hear of it, whatever it is
        call.fail(error)
    else:
        call.reply(body)


def of_tasks(*all_tasks: Tasks) -> Iterator[Reading]:
    """For metrics."""
    for each in all_tasks:
        yield Reading("varley_background_failures_total", each.failures, (each.what,))
