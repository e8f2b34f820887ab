"""What a server does without being asked.

    indexes         changes of items go on to global indexes; new indexes are filled      (indexes/)
    transactions    what a crash has left of them is finished; the ledger is kept short   (transactions/)
    sweeper         items whose time has come are deleted                                 (expiry/)
    upkeep          old shards of streams end, old records go                             (streams/)
    bulk            puts of whole objects go on where the last run ended                  (bulk/)

They are built before tables are opened, since some of them watch the router, and started after that, when writes are
taken; on a folder that cannot be written, never.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable
from random import Random

from varley.api.bulk_put import run_bulk_put
from varley.assembly.tasks import Tasks
from varley.bulk.operations import BulkOperations
from varley.bulk.runner import BulkRunner
from varley.clock import Clock
from varley.errors import WorldError
from varley.expiry.sweeper import Sweeper
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog
from varley.metadata.store import Store
from varley.node.node import Node
from varley.router.routes import Router
from varley.settings import ClusterSettings, NodeSettings
from varley.storage.object_folder import ObjectFolder
from varley.storage.undelivered import Undelivered
from varley.streams.streams import Streams
from varley.streams.upkeep import Upkeep
from varley.transactions.record import ledger_table
from varley.transactions.transactions import Transactions

logger = logging.getLogger("varley.server")


class Background:
    """All of that. Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        random: Random,
        *,
        settings: NodeSettings,
        cluster: ClusterSettings,
        store: Store,
        catalog: Catalog,
        node: Node,
        router: Router,
    ) -> None:
        self._clock = clock
        self._random = random
        self._catalog = catalog
        self._node = node
        self._tasks = Tasks()
        self.transactions = Transactions(loop, clock, random, router)
        self.indexes = Indexes(
            loop,
            clock,
            catalog,
            router,
            delay_seconds=settings.index_delay_seconds,
            keep=self._tasks.start,
        )
        self.sweeper = Sweeper(loop, clock, router, delay_seconds=settings.ttl_delay)
        self.streams = Streams(clock)
        self._upkeep = Upkeep(
            loop,
            clock,
            self.streams,
            catalog,
            shard_seconds=cluster.stream_shard_seconds,
            remove_group=node.remove_group,
            keep=self._tasks.start,
        )
        objects = None if settings.s3_dir is None else ObjectFolder(settings.s3_dir)
        self.bulk = BulkRunner(loop, clock, router, BulkOperations(store), objects, run_bulk_put, self._tasks.start)

    async def load(self) -> None:
        """Read what is known of bulk operations. Raises what Store raises."""
        await self.bulk.operations.load(self._clock.time())

    async def start(self, undelivered: Iterable[Undelivered]) -> None:
        """Begin; `undelivered` is what recovery found. Returns when nobody can meet what a crash has left."""
        self.sweeper.start(self._catalog)
        self.indexes.start(undelivered)
        await self._start_transactions()    # what was left is committed now, and indexes take what follows
        self.bulk.resume()
        self._upkeep.start()

    async def _start_transactions(self) -> None:
        if self._catalog.ledger is None:
            try:
                await self._create_ledger()
            except WorldError as error:
                logger.warning("no transactions until the next start: %s", error)
                self.transactions.why_no_ledger = error
        self.transactions.start()
        await self.transactions.wait_idle()

    async def _create_ledger(self) -> None:
        """Once in the life of a data folder. Raises what Store raises."""
        async with self._catalog.changes:
            table = ledger_table(str(uuid.UUID(int=self._random.getrandbits(128), version=4)), self._clock.time())
            [group] = (await self._catalog.create_ledger(table)).groups
        self.transactions.open_ledger(self._node.create_group(group))

    async def stop(self) -> None:
        """Begin nothing more, and return when what is under way is over, or cannot go on now. No request runs."""
        self._begin_nothing_more()
        await self.transactions.stop()
        await self.indexes.stop()
        await self._tasks.wait_ended()

    def halt(self) -> None:
        """Begin nothing more, and leave what is under way as it is. Harmless after stop(), and if never started."""
        self._begin_nothing_more()
        self.transactions.halt()
        self.indexes.close()

    def _begin_nothing_more(self) -> None:
        self._upkeep.stop()
        self.sweeper.stop()
        self.bulk.stop()
