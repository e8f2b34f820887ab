"""One server: every part of it is built and wired here, and nowhere else.

    front door ---> api ---> router ---> node ---> log, trees
        |            |                    |
      clock       catalog (metadata)   checkpoints
                     |
                  indexes: from the log of a table's partitions to those of its global indexes

Start: lock the data folder, load the catalog, open the trees and replay the log over them, open the partitions, and
only then listen; so whoever is answered is answered from complete data. `/ready` adds whether writes are taken.
Stop: let requests end, make everything durable in the trees, unlock.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import signal
import ssl
import uuid
from collections.abc import Coroutine, Iterator
from typing import Any

from varley.admin.metrics import Metrics, Reading
from varley.admin.pages import Pages
from varley.admin.port import AdminPort
from varley.api import operations
from varley.api.bulk_put import run_bulk_put
from varley.api.services import Services
from varley.bulk.operations import BulkOperations
from varley.bulk.runner import BulkRunner
from varley.clock import Clock, MovableClock
from varley.errors import BadSettings, Damaged, WorldError
from varley.expiry.sweeper import Sweeper
from varley.http.call import Call
from varley.http.reception import FrontDoorSettings
from varley.http.server import FrontDoor
from varley.indexes.indexes import Indexes
from varley.listening import cannot_listen
from varley.metadata.catalog import Catalog
from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Store
from varley.node.node import Node
from varley.router.routes import Router
from varley.settings import ClusterSettings, NodeSettings
from varley.storage.data_folder import DataFolder
from varley.storage.disk import ReadOnlyDisk, RealDisk, failure
from varley.storage.inventory import Inventory
from varley.storage.log_reader import LogEntry, LogReader
from varley.storage.log_writer import LogWriter
from varley.storage.memory_log import MemoryLog
from varley.storage.object_folder import ObjectFolder
from varley.storage.recovery import recover
from varley.storage.refusing_log import RefusingLog
from varley.storage.tree import Tree
from varley.storage.tree_folder import NoFolder, TreeFolder
from varley.storage.undelivered import IndexGroups, Undelivered
from varley.streams.streams import Streams
from varley.streams.upkeep import Upkeep
from varley.table.outgoing import id_bytes
from varley.transactions.record import ledger_table
from varley.transactions.transactions import Transactions
from varley.vectors.search import VectorSearch

logger = logging.getLogger("varley.server")


class Server:
    """From `start` to `wait_stopped`, on one event loop."""

    def __init__(self, node: NodeSettings, cluster: ClusterSettings, clock: Clock) -> None:
        self._settings = node
        self._cluster = cluster
        self._clock = clock
        self._stopped: asyncio.Future[None]
        self._tasks_of_calls: set[asyncio.Task[None]] = set()    # held: a task that nobody holds may vanish
        self._background: set[asyncio.Task[None]] = set()    # what the parts do by themselves; held likewise
        self._last_task: asyncio.Task[None]    # stopping; held likewise
        self._is_stopping = False
        self._does_node_run = False    # between node.start and node.stop or node.halt
        self._folder: DataFolder | None = None    # None: in memory
        self._store: Store | None = None
        self._node: Node
        self._log: LogWriter | MemoryLog | RefusingLog
        self._catalog: Catalog
        self._router: Router
        self._sweeper: Sweeper
        self._bulk: BulkRunner
        self._streams: Streams
        self._upkeep: Upkeep | None = None    # of streams; None if nothing can be written
        self._transactions: Transactions
        self._random = random.Random(random.SystemRandom().getrandbits(128))    # ids of tables and transactions
        self._indexes: Indexes
        self._undelivered: list[Undelivered] = []    # from recovery to the indexes
        self._services: Services
        self._door: FrontDoor | None = None    # not None once the storage is open
        self._admin: AdminPort | None = None
        self.port = 0
        self.admin_port: int | None = None

    async def start(self) -> None:
        """Return when requests are served. Raises WorldError: the folder, the port or a setting is not usable."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        if not settings.in_memory:
            self._folder = await loop.run_in_executor(None, DataFolder.open, settings.data_dir)
        try:
            await self._open_storage(loop)
            await self._open_ports()
        except BaseException:
            await self._close()
            raise
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._begin_to_stop)
            except (ValueError, RuntimeError):
                pass    # not the main thread: whoever embeds the server has the signals

    async def _open_storage(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self._settings
        folder = self._folder
        is_read_only = folder is not None and folder.is_read_only
        store: Store = (
            MemoryStore() if folder is None else await LocalStore.open(folder.metadata, is_read_only=is_read_only)
        )
        self._store = store
        self._catalog = Catalog(store)
        await self._catalog.load()
        engines: TreeFolder | NoFolder = NoFolder()
        if folder is not None:
            engines = TreeFolder(folder.trees, Inventory.read(folder.path), is_read_only=is_read_only)
        self._node = Node(
            loop,
            self._clock,
            engines=engines,
            overlay_bytes_max=settings.checkpoint_overlay_bytes,
            # The segment being written can never be released, so it does not count.
            log_bytes_max=settings.checkpoint_log_bytes + settings.segment_bytes,
            on_fatal=self._fail,
        )
        self._router = Router(self._node, index_backlog_bytes=settings.index_backlog_bytes)
        self._transactions = Transactions(loop, self._clock, self._random, self._router)
        self._indexes = Indexes(
            loop,
            self._clock,
            self._catalog,
            self._router,
            delay_seconds=settings.index_delay_seconds,
            keep=self._keep_in_background,
        )
        if folder is None:
            self._log = MemoryLog(on_durable=self._node.log_is_durable)
            trees: dict[int, Tree] = {}
        else:
            assert isinstance(engines, TreeFolder)
            try:
                trees = await loop.run_in_executor(None, self._recover, folder, engines)
            except OSError as error:
                path = error.filename or folder.path
                raise failure(error, "The data folder cannot be opened", path, "open") from error
        self._streams = Streams(self._clock)
        for described in self._catalog:
            partitions = {
                group: self._node.open_group(group, trees.pop(group)) for group in described.groups
            }
            self._router.add(
                described,
                [partitions[each.group] for each in described.partitions],
                {
                    index: [partitions[each.group] for each in ranges]
                    for index, ranges in described.index_partitions.items()
                },
            )
            self._streams.open(described, [partitions[each.group] for each in described.partitions])
        for described in self._catalog.deleted.values():
            opened = [self._node.open_group(each.group, trees.pop(each.group)) for each in described.partitions]
            self._streams.open(described, opened)
        if self._catalog.ledger is not None:
            [group] = self._catalog.ledger.groups
            self._transactions.open_ledger(self._node.open_group(group, trees.pop(group)))
        assert not trees
        self._node.start(self._log, is_read_only=is_read_only)
        self._does_node_run = True
        self._sweeper = Sweeper(loop, self._clock, self._router, delay_seconds=settings.ttl_delay)
        bulk_operations = BulkOperations(store)
        await bulk_operations.load(self._clock.time())
        objects = None if settings.s3_dir is None else ObjectFolder(settings.s3_dir)
        self._bulk = BulkRunner(
            loop, self._clock, self._router, bulk_operations, objects, run_bulk_put, self._keep_in_background
        )
        if not is_read_only:
            self._sweeper.start(self._catalog)
            self._indexes.start(self._undelivered)
            await self._start_transactions()    # what was left is committed now, and indexes take what follows
            self._bulk.resume()
        self._undelivered = []
        if is_read_only:
            logger.warning("%s is read-only: reads are answered, writes are refused", settings.data_dir)
            return
        self._upkeep = Upkeep(
            loop,
            self._clock,
            self._streams,
            self._catalog,
            shard_seconds=self._cluster.stream_shard_seconds,
            remove_group=self._node.remove_group,
            keep=self._keep_in_background,
        )
        self._upkeep.start()

    async def _start_transactions(self) -> None:
        if self._catalog.ledger is None:
            try:
                await self._create_ledger()
            except WorldError as error:
                logger.warning("no transactions until the next start: %s", error)
                self._transactions.why_no_ledger = error
        self._transactions.start()
        await self._transactions.wait_idle()    # so that nobody meets what a crash has left

    async def _create_ledger(self) -> None:
        """Once in the life of a data folder. Raises what Store raises."""
        async with self._catalog.changes:
            table = ledger_table(str(uuid.UUID(int=self._random.getrandbits(128), version=4)), self._clock.time())
            [group] = (await self._catalog.create_ledger(table)).groups
        self._transactions.open_ledger(self._node.create_group(group))

    def _recover(self, folder: DataFolder, engines: TreeFolder) -> dict[int, Tree]:
        """Open trees and log; on a disk thread."""
        groups = [group for described in self._catalog.described() for group in described.groups]
        indexes = {
            id_bytes(index): IndexGroups([each.low for each in ranges], [each.group for each in ranges])
            for described in self._catalog
            for index, ranges in described.index_partitions.items()
        }
        disk = ReadOnlyDisk() if folder.is_read_only else RealDisk()
        strays = sorted(set(engines.groups()).difference(groups))
        if strays and strays[-1] > self._catalog.groups_given:
            raise Damaged(
                f"There is a tree of group {strays[-1]}, and the metadata knows of groups up to "
                f"{self._catalog.groups_given}",
                path=folder.metadata,
                hint="The metadata is missing or older than the trees. Restore the whole folder from a copy",
            )
        if not folder.is_read_only:
            for group in strays:    # its table was deleted, and the server killed before the tree was removed
                logger.info("removing the tree of group %d, whose table was deleted", group)
                engines.remove(group)
        inventory = engines.inventory
        reader = LogReader(disk, folder.log, newest_segment=inventory.newest_segment)
        recovered = recover(
            engines,
            groups,
            reader,
            groups_given=self._catalog.groups_given,
            progress=_log_replay,
            indexes=indexes,
        )
        self._undelivered = recovered.undelivered
        if recovered.entries:
            logger.info("replayed %d log entries that were in no checkpoint", recovered.entries)
        if recovered.unverified:
            logger.info(
                "%d trees were too large to be walked at the start; `varley check` walks all", len(recovered.unverified)
            )
        if folder.is_read_only:
            self._log = RefusingLog(folder.log, reader.end, on_failure=self._node.log_has_failed)
            return recovered.trees
        self._log = LogWriter(
            disk,
            folder.log,
            reader.end,
            segment_bytes=self._settings.segment_bytes,
            new_salt=functools.partial(random.SystemRandom().getrandbits, 64),
            on_durable=self._node.log_is_durable,
            on_failure=self._node.log_has_failed,
            on_first_segment=lambda segment: inventory.add(newest_segment=segment),
        )
        inventory.keep_only(groups)
        try:
            inventory.add(
                trees=[group for group, tree in recovered.trees.items() if tree.checkpointed_slot > 0],
                newest_segment=reader.end.segment - 1,
            )
        except WorldError as error:    # a full disk can still be read
            logger.warning("that trees and log are there is not remembered: %s", error)
        return recovered.trees

    async def _open_ports(self) -> None:
        settings = self._settings
        self._services = Services(
            settings=settings,
            cluster=self._cluster,
            clock=self._clock,
            random=self._random,
            catalog=self._catalog,
            router=self._router,
            sweeper=self._sweeper,
            bulk=self._bulk,
            vectors=VectorSearch(bytes_max=settings.vector_cache_bytes),
            streams=self._streams,
            transactions=self._transactions,
            indexes=self._indexes,
            spawn=self._spawn,
        )
        self._door = FrontDoor(
            self._handle,
            is_ready=lambda: self._why_not_ready() is None,
            operations=[*operations.OPERATIONS, *operations.NOT_OFFERED],
            settings=FrontDoorSettings(
                connections_max=settings.max_connections,
                head_seconds=settings.head_timeout_seconds,
                body_seconds=settings.body_timeout_seconds,
                idle_seconds=settings.idle_timeout_seconds,
                cors_origins=tuple(origin.strip() for origin in settings.cors.split(",") if origin.strip()),
                tls=self._tls(),
            ),
        )
        try:
            self.port = await self._door.start(settings.host, settings.port)
        except OSError as error:
            raise cannot_listen(error, settings.host, settings.port) from error
        if settings.admin_port is not None:
            pages = Pages(
                Metrics(self._door.traffic, self._router.counters, [self._readings]),
                self._clock,
                movable_clock=self._clock
                if settings.clock_is_movable and isinstance(self._clock, MovableClock)
                else None,
                why_not_ready=self._why_not_ready,
                rotate_shards=self._streams.rotate,
            )
            self._admin = AdminPort(pages, settings.admin_host, settings.admin_port)
            await self._admin.start()
            self.admin_port = self._admin.port

    def _why_not_ready(self) -> str | None:
        """For `/ready`: in a few words why other servers should be asked, or None."""
        if self._is_stopping:
            return "stopping"
        refusal = self._node.refusal
        if refusal is None or (self._folder is not None and self._folder.is_read_only):
            return None    # whoever serves a folder that cannot be written wants it to be read
        return f"writes are refused: {refusal.problem}"

    def _tls(self) -> ssl.SSLContext | None:
        settings = self._settings
        if settings.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise BadSettings(
                f"The TLS certificate or its key cannot be used: {error}",
                path=f"{settings.tls_cert}, {settings.tls_key}",
                operation="load",
                hint="Both are files in PEM format, and the key belongs to the certificate",
            ) from error
        return context

    async def wait_stopped(self) -> None:
        """Return when the server has stopped. Raises the WorldError that stopped it, if one did."""
        await asyncio.shield(self._stopped)

    async def stop(self) -> None:
        """Let running requests end, make everything durable, close. May be called again."""
        self._begin_to_stop()
        await self.wait_stopped()

    async def reset(self) -> None:
        """Drop every table."""
        async with self._catalog.changes:
            for described in list(self._catalog):
                await self._catalog.delete(described.table.name)
                self._streams.drop(described.table)
                await self._router.close_partitions(described)
            for described in list(self._catalog.deleted.values()):
                self._streams.drop(described.table)
                await self._catalog.forget(described)
                for each in described.partitions:
                    await self._node.remove_group(each.group)
            await self._transactions.forget()

    async def rotate_shards(self, table_name: str) -> None:
        """End the open shards of the table's stream, if it has one, and begin new ones."""
        self._streams.rotate(table_name)
        for stream in self._streams.readable(table_name):
            for partition in stream.partitions:
                decided = asyncio.Event()
                if partition.settle(decided.set):
                    await decided.wait()

    def _begin_to_stop(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._keep(self._stop(None))
        elif self._door is not None:
            self._door.close_now()    # told a second time: whoever says so does not want to wait for clients

    def _fail(self, error: WorldError) -> None:
        """Something that this server cannot go on without has failed."""
        if not self._is_stopping:
            self._is_stopping = True
            self._keep(self._stop(error))

    async def _stop(self, reason: WorldError | None) -> None:
        assert self._door is not None
        try:
            await self._door.drain(self._settings.drain_seconds if reason is None else 0.5)
            if self._tasks_of_calls:
                await asyncio.wait(self._tasks_of_calls)
            self._stop_upkeep()
            self._sweeper.stop()
            self._bulk.stop()
            if reason is None:
                await self._transactions.stop()
                self._does_node_run = False
                await self._indexes.stop()
                if self._background:
                    await asyncio.wait(self._background)
                await self._node.stop()
            await self._close()
        except Exception as error:
            self._stopped.set_exception(error)
            return
        if reason is None:
            self._stopped.set_result(None)
        else:
            self._stopped.set_exception(reason)

    async def _close(self) -> None:
        """Close what is open, whatever that is."""
        if self._door is not None:
            self._door.close_now()
        if self._admin is not None:
            await self._admin.stop()
        self._stop_upkeep()
        if self._does_node_run:
            self._transactions.halt()
            self._does_node_run = False
            self._sweeper.stop()
            self._indexes.close()
            await self._node.halt()
        if self._store is not None:
            await self._store.close()
        if self._folder is not None:
            self._folder.close()

    def _stop_upkeep(self) -> None:
        if self._upkeep is not None:
            self._upkeep.stop()

    def _readings(self) -> Iterator[Reading]:
        """What the parts have to tell when metrics are read."""
        assert self._door is not None
        yield Reading("varley_connections", self._door.connections)
        yield Reading("varley_log_syncs_total", self._log.statistics.frames)
        yield Reading("varley_log_sync_seconds_total", self._log.statistics.sync_seconds)
        yield Reading("varley_log_records_total", self._log.statistics.records)
        yield Reading("varley_log_bytes_total", self._log.statistics.bytes)
        yield Reading("varley_log_size_bytes", self._log.bytes_in_log)
        for error, count in self._node.refused_writes.items():
            yield Reading("varley_refused_writes_total", count, (error,))
        yield Reading("varley_overlay_bytes", self._node.overlay_bytes)
        yield Reading("varley_checkpoints_total", self._node.checkpoints)
        yield Reading("varley_checkpoint_seconds_total", self._node.checkpoint_seconds)
        for described in self._catalog:
            table = described.table
            items, size_bytes = self._router.statistics(table.name)
            yield Reading("varley_table_items", items, (table.name, ""))
            yield Reading("varley_table_bytes", size_bytes, (table.name, ""))
            if table.name in self._sweeper.expired:
                yield Reading("varley_expired_items_total", self._sweeper.expired[table.name], (table.name,))
            yield Reading("varley_provisioned_read_units", table.provisioned.read_units, (table.name, ""))
            yield Reading("varley_provisioned_write_units", table.provisioned.write_units, (table.name, ""))
            for name, (rows, row_bytes) in self._router.index_statistics(table.name).items():
                yield Reading("varley_table_items", rows, (table.name, name))
                yield Reading("varley_table_bytes", row_bytes, (table.name, name))
        for each in self._indexes.readings():
            labels = (each.table, each.name)
            yield Reading("varley_index_undelivered_changes", each.changes, labels)
            yield Reading("varley_index_undelivered_bytes", each.bytes, labels)
            if each.backfill_ratio is not None:
                yield Reading("varley_index_backfill_ratio", each.backfill_ratio, labels)

    def _handle(self, call: Call) -> bytes | None:
        return operations.run(self._services, call)

    def _spawn(self, work: Coroutine[Any, Any, bytes], call: Call) -> None:
        """Run `work` and answer `call` with what it returns or raises."""
        task = asyncio.get_running_loop().create_task(_answer(work, call))
        self._tasks_of_calls.add(task)
        task.add_done_callback(self._tasks_of_calls.discard)

    def _keep_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_has_ended)

    def _background_has_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        task.result()    # what it raises goes to the loop, which says it aloud

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self._last_task = asyncio.get_running_loop().create_task(work)


def _log_replay(entry: LogEntry) -> None:
    logger.info("replaying the log: segment %d, byte %d", entry.segment, entry.offset)


async def _answer(work: Coroutine[Any, Any, bytes], call: Call) -> None:
    try:
        body = await work
    except Exception as error:    # the call is the one who must hear of it, whatever it is
        call.fail(error)
    else:
        call.reply(body)
