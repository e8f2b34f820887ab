"""Which node of a cluster runs which bulk operation.

    StartBulkPutItems at n1 ---> owner n1, claim 1
    n1 is down (its lease has ended, or it said so) ---> n2 and n3 see that ---> one compare_and_set: owner n2, claim 2
    n1 is up again, and runs nothing of it ---> if it still owns it: claim 2, and it goes on

The owner is in the operation's own record, so whoever takes it goes on from exactly what the record says, and the one
before cannot write over that. For a moment both may put the lines behind the record, which an operation that goes on
after a crash does as well: a put without a condition comes to the same (api/bulk_put.py).

Only a node that can read the objects takes one over: `--s3-dir` has to be the same folder on all nodes, on a file
system that they share. Where it is not, the operation waits for the node that has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from varley.bulk.operations import BulkOperation, TakenOver
from varley.bulk.runner import BulkRunner
from varley.clock import Clock
from varley.errors import WorldError
from varley.metadata.nodes import NodeInfo, Nodes

logger = logging.getLogger("varley.bulk")

_LOOK_SECONDS: Final = 1.0


class Owning:
    """From start() to stop(). Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        runner: BulkRunner,
        nodes: Nodes,
        clock: Clock,
        keep: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._loop = loop
        self._runner = runner
        self._nodes = nodes
        self._clock = clock
        self._keep = keep
        self._claiming: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None    # not None exactly while it runs
        nodes.listeners.append(self._changed)

    def start(self) -> None:
        self._keep(self._forget_old())
        self._look_again()

    def stop(self) -> None:
        """Take nothing more. Harmless if it was never started."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Take what nobody runs."""
        for operation in self._runner.operations:
            number = operation.number
            if operation.is_over or self._runner.is_running(number) or number in self._claiming:
                continue
            if operation.owner == self._runner.name or self._nodes.get(operation.owner) is None:
                self._claiming.add(number)
                self._keep(self._claim(operation))

    def _changed(self, before: NodeInfo | None, after: NodeInfo | None) -> None:
        if after is None and self._timer is not None:
            self.look()

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look_again)
        self.look()

    async def _claim(self, operation: BulkOperation) -> None:
        try:
            if not await self._runner.has_objects(operation):
                return
            claimed = await self._runner.operations.change(
                operation.number, by=operation, owner=self._runner.name, claim=operation.claim + 1
            )
        except TakenOver:
            return      # another node was quicker
        except WorldError as error:
            logger.warning("bulk operation %d is taken over later: %s", operation.number, error)
            return
        finally:
            self._claiming.discard(operation.number)
        if self._timer is not None:
            logger.info("bulk operation %d, which %s ran, goes on here", operation.number, operation.owner or "nobody")
            self._runner.run(claimed)

    async def _forget_old(self) -> None:
        try:
            await self._runner.operations.forget_old(self._clock.time())
        except WorldError as error:
            logger.warning("old bulk operations are forgotten later: %s", error)
