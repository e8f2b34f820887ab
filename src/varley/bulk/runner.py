"""Runs bulk operations, and goes on with them after a restart; what they need of the server.

What an operation does is handed in (api/bulk_put.py): it checks items as requests are checked, which is above this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from varley.bulk.operations import BulkOperation, BulkOperations, TakenOver
from varley.clock import Clock
from varley.remote.peers import Peers
from varley.router.routes import Route, Router
from varley.storage.object_folder import NoBucket, ObjectFolder

logger = logging.getLogger("varley.bulk")


class BulkRunner:
    """Of one server. Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        router: Router,
        operations: BulkOperations,
        objects: ObjectFolder | None,
        work: Callable[[BulkRunner, int], Coroutine[Any, Any, None]],
        keep: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`objects` None: there is nothing to read from.

        `work` runs the operation of a number to its end; `keep` runs a coroutine and holds on to it.
        """
        self.operations = operations
        self.objects = objects
        self._loop = loop
        self._clock = clock
        self._router = router
        self._work = work
        self._keep = keep
        self._is_stopping = False
        self._running: set[int] = set()
        self.peers: Peers | None = None    # who puts what other nodes lead; None: all is here
        self.name = ""    # of this node, in a cluster
        self.starts = asyncio.Lock()    # held by whoever starts one: it must not be started twice

    def resume(self) -> None:
        """Go on with what a stop or a crash has interrupted."""
        for operation in self.operations:
            if not operation.is_over:
                self.run(operation)

    def run(self, operation: BulkOperation) -> None:
        """Begin with an operation that this node owns, or go on."""
        assert operation.owner == self.name and operation.number not in self._running
        self._running.add(operation.number)
        self._keep(self._run(operation.number))

    def is_running(self, number: int) -> bool:
        """Whether it is run here."""
        return number in self._running

    async def _run(self, number: int) -> None:
        try:
            await self._work(self, number)
        except TakenOver:
            logger.info("bulk operation %d is run elsewhere, or over", number)
        finally:
            self._running.discard(number)

    async def cancel(self, number: int) -> BulkOperation | None:
        """Let an operation end after its next lines. None: it has ended. Raises what Store raises."""
        try:
            return await self.operations.change(number, status="CANCELLING")
        except TakenOver:
            return None

    async def has_objects(self, operation: BulkOperation) -> bool:
        """Whether this node can read what the operation reads."""
        given = operation.request["InputS3Configuration"]
        if self.objects is None:
            return False
        try:
            await self.on_disk(self.objects.list, given["S3Bucket"], given.get("S3KeyPrefix", ""))
        except (NoBucket, OSError):
            return False
        return True

    def stop(self) -> None:
        """Let running operations end after their next lines; the next start goes on with them."""
        self._is_stopping = True

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    async def on_disk(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(None, work, *arguments)

    def now(self) -> float:
        return self._clock.time()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def route(self, operation: BulkOperation) -> Route:
        """Raises ResourceNotFound."""
        return self._router.route(operation.table_name)
