"""What a server does without being asked.

    indexes         changes of items go on to global indexes; new indexes are filled      (indexes/)
    transactions    what a crash has left of them is finished; the ledger is kept short   (transactions/)
    sweeper         items whose time has come are deleted                                 (expiry/)
    splits          partitions are split, where that was ordered                          (splits/)
    upkeep          old shards of streams end, old records go                             (streams/)
    bulk            puts of whole objects go on where the last run ended                  (bulk/)

They are built before tables are opened, since some of them watch the router, and started after that, when writes are
taken; on a folder that cannot be written, never.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from varley.api.bulk_put import run_bulk_put
from varley.assembly.local_home import Holding, LocalHome
from varley.assembly.tasks import Tasks
from varley.bulk.operations import BulkOperations
from varley.bulk.runner import BulkRunner
from varley.clock import Clock
from varley.errors import WorldError
from varley.expiry.sweeper import Sweeper
from varley.indexes.abroad import Abroad as IndexesAbroad
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog, Described
from varley.metadata.store import Store
from varley.node.partition import Partition
from varley.router.routes import Groups, Router
from varley.settings import ClusterSettings, NodeSettings
from varley.splits.splits import Splits
from varley.splits.splitting import Home
from varley.storage.object_folder import ObjectFolder
from varley.storage.undelivered import Undelivered
from varley.streams.streams import Streams
from varley.streams.upkeep import Upkeep
from varley.table.schema import Table
from varley.transactions.abroad import Abroad as TransactionsAbroad
from varley.transactions.record import ledger_table
from varley.transactions.transactions import Transactions

logger = logging.getLogger("varley.server")

_OTHERS_SECONDS = 5.0    # how long a node that stops waits for others


@dataclass(frozen=True, slots=True)
class Abroad:
    """What a node of a cluster has for partitions that other nodes lead."""

    leads: Callable[[int], bool]                            # whether this node leads a group
    indexes: Callable[[], IndexesAbroad]
    transactions: Callable[[Router], TransactionsAbroad]
    home: Callable[[Background], Home]                      # where splits are carried out


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
        node: Groups,
        router: Router,
        abroad: Abroad | None = None,
        holding: Holding | None = None,
    ) -> None:
        """`node`: where groups are opened and removed. `abroad`: None on a single server. `holding`: while that is
        entered, requests that come to a single server wait."""
        self._clock = clock
        self._random = random
        self._catalog = catalog
        self._node = node
        self.tasks = Tasks("background")
        self.transactions = Transactions(
            loop, clock, random, router, None if abroad is None else abroad.transactions(router)
        )
        self.indexes = Indexes(
            loop,
            clock,
            catalog,
            router,
            delay_seconds=settings.index_delay_seconds,
            keep=self.tasks.start,
            abroad=None if abroad is None else abroad.indexes(),
        )
        self._abroad = abroad
        leads = _leads_all if abroad is None else abroad.leads
        self.sweeper = Sweeper(loop, clock, router, delay_seconds=settings.ttl_delay, leads=leads)
        self.streams = Streams(clock)
        self._upkeep = Upkeep(
            loop,
            clock,
            self.streams,
            catalog,
            shard_seconds=cluster.stream_shard_seconds,
            remove_group=node.remove_group,
            keep=self.tasks.start,
            leads=leads,
        )
        self._local_home = LocalHome(
            catalog, node, router, self.indexes, self.streams, self.sweeper,
            holding or contextlib.nullcontext,
        )  # fmt: skip
        home = self._local_home if abroad is None else abroad.home(self)
        self.splits = Splits(
            loop, catalog, router, self.indexes, self.streams, home, self.tasks.start,
            keep_seconds=cluster.split_keep_seconds,
        )  # fmt: skip
        objects = None if settings.s3_dir is None else ObjectFolder(settings.s3_dir)
        self.bulk = BulkRunner(loop, clock, router, BulkOperations(store), objects, run_bulk_put, self.tasks.start)

    def knows_child(self, partition: Partition) -> None:
        """The child of a split, which serves nobody yet."""
        self._local_home.knows(partition)

    async def load(self) -> None:
        """Read what is known of bulk operations. Raises what Store raises."""
        await self.bulk.operations.load(self._clock.time())

    async def start(self, undelivered: Iterable[Undelivered]) -> None:
        """Begin; `undelivered` is what recovery found. Returns when nobody can meet what a crash has left."""
        self.sweeper.start(self._catalog)
        self.splits.know_all()
        self.indexes.start(undelivered)
        self._local_home.redirect_all()
        self.splits.start()
        await self._start_transactions()    # what was left is committed now, and indexes take what follows
        self.bulk.resume()
        self._upkeep.start()

    def start_in_cluster(self) -> None:
        """The same for a node of a cluster, whose partitions begin to be led at any time; what works where they are
        led is told of that. Bulk operations are gone on with by who owns them (bulk/owning.py).
        """
        self.sweeper.start(self._catalog)
        self.splits.know_all()
        self.indexes.start()
        self.splits.start()
        self.transactions.start()
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
            [group] = (await self._catalog.create_ledger(self._ledger_table())).groups
        self.transactions.open_ledger(self._node.create_group(group))

    async def create_ledger_in_cluster(self) -> Described:
        """The ledger of the cluster; another node may be quicker. Raises what Store raises."""
        async with self._catalog.changes:
            if self._catalog.ledger is not None:
                return self._catalog.ledger
            return await self._catalog.create_ledger(self._ledger_table())

    def _ledger_table(self) -> Table:
        return ledger_table(str(uuid.UUID(int=self._random.getrandbits(128), version=4)), self._clock.time())

    async def stop(self) -> None:
        """Begin nothing more, and return when what is under way is over, or cannot go on now. No request runs."""
        self._begin_nothing_more()
        await self.transactions.stop()
        await self.indexes.stop()
        await self.tasks.wait_ended()

    async def stop_in_cluster(self) -> None:
        """The same on a node of a cluster: what has not arrived at indexes is known to other members too."""
        self._begin_nothing_more()
        self.indexes.close()
        try:
            async with asyncio.timeout(_OTHERS_SECONDS):
                await self.transactions.stop()
                await self.tasks.wait_ended()
        except TimeoutError:
            logger.warning("something that waits for other nodes is left to them")

    async def halt(self) -> None:
        """Begin nothing more, and leave what is under way as it is. Harmless after stop(), and if never started."""
        self._begin_nothing_more()
        self.transactions.halt()
        self.indexes.close()
        await self.tasks.cancel()

    def _begin_nothing_more(self) -> None:
        self._upkeep.stop()
        self.splits.stop()
        self.sweeper.stop()
        self.bulk.stop()


def _leads_all(group: int) -> bool:
    return True
