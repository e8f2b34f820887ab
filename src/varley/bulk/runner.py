"""Starts bulk operations, and starts them again after a restart; what they need of the server.

What an operation does is handed in (api/bulk_put.py): it checks items as requests are checked, which is above this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from varley.bulk.operations import BulkOperation, BulkOperations
from varley.clock import Clock
from varley.remote.peers import Peers
from varley.router.routes import Route, Router
from varley.storage.object_folder import ObjectFolder


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
        self.peers: Peers | None = None    # who puts what other nodes lead; None: all is here
        self.starts = asyncio.Lock()    # held by whoever starts one: it must not be started twice

    def resume(self) -> None:
        """Go on with what a stop or a crash has interrupted."""
        for operation in self.operations:
            if not operation.is_over:
                self.run(operation)

    def run(self, operation: BulkOperation) -> None:
        """Begin with an operation, or go on."""
        self._keep(self._work(self, operation.number))

    async def cancel(self, number: int) -> BulkOperation | None:
        """Let an operation end after its next lines. None: it has ended. Raises what Store raises."""
        async with self.starts:
            operation = self.operations.get(number)
            if operation.is_over:
                return None
            return await self.operations.change(number, status="CANCELLING")

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
