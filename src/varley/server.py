"""One server: every part of it is built and wired here and in assembly/, and nowhere else.

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
import contextlib
import functools
import logging
import random
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from varley.admin import readings
from varley.api import operations
from varley.api.services import Services
from varley.assembly.background import Background
from varley.assembly.life import Life
from varley.assembly.opened_log import Log, engines_of, open_log
from varley.assembly.ports import Ports
from varley.assembly.services import services
from varley.assembly.split_pages import SplitPages
from varley.assembly.tables import drop_tables, expected_of, open_tables
from varley.assembly.tasks import Tasks, answer, of_tasks
from varley.clock import Clock
from varley.http.call import Call
from varley.metadata.catalog import Catalog
from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Store
from varley.node.node import Node
from varley.router.routes import Router
from varley.settings import ClusterSettings, NodeSettings
from varley.storage.data_folder import DataFolder
from varley.storage.node_folder import refuse_nodes_folder

logger = logging.getLogger("varley.server")

_HELD_SECONDS: Final = 1.0    # requests, at most, while a partition is split

_CALLS_SECONDS: Final = 5.0    # for calls to end whose connections are closed already


class Server(Life):
    """See Life."""

    def __init__(self, node: NodeSettings, cluster: ClusterSettings, clock: Clock) -> None:
        super().__init__(node)
        self._cluster = cluster
        self._clock = clock
        self._random = random.Random(random.SystemRandom().getrandbits(128))    # ids of tables and transactions
        self._loop: asyncio.AbstractEventLoop
        self._held: list[Call] | None = None    # those that came while they wait; None: none do
        self._calls = Tasks("calls")    # what takes longer than its step of the loop, on behalf of a call
        self._does_node_run = False    # between node.start and node.stop or node.halt
        # Built by _open(), in this order.
        self._folder: DataFolder | None = None    # None: in memory
        self._store: Store | None = None
        self._catalog: Catalog
        self._node: Node
        self._router: Router
        self._background: Background | None = None
        self._log: Log
        self._services: Services
        self._ports: Ports | None = None    # not None once the storage is open
        self.port = 0
        self.admin_port: int | None = None

    async def _open(self) -> None:
        """Raises WorldError: the folder, the port or a setting is not usable, or the disk failed."""
        self._loop = asyncio.get_running_loop()
        if not self._settings.in_memory:
            self._folder = await self._loop.run_in_executor(None, DataFolder.open, self._settings.data_dir)
        self._store = await self._open_metadata()
        self._catalog = Catalog(self._store)
        await self._catalog.load()
        background = await self._open_storage(self._store)
        await self._open_ports(background)

    @property
    def _is_read_only(self) -> bool:
        return self._folder is not None and self._folder.is_read_only

    async def _open_metadata(self) -> Store:
        if self._folder is None:
            return MemoryStore()
        refuse_nodes_folder(self._folder)
        return await LocalStore.open(self._folder.metadata, is_read_only=self._is_read_only)

    async def _open_storage(self, store: Store) -> Background:
        """All from the node up to the tables' partitions, and what works on these by itself."""
        settings = self._settings
        engines = engines_of(self._folder)
        self._node = Node(
            self._loop,
            self._clock,
            engines=engines,
            overlay_bytes_max=settings.checkpoint_overlay_bytes,
            # The segment being written can never be released, so it does not count.
            log_bytes_max=settings.checkpoint_log_bytes + settings.segment_bytes,
            on_fatal=self.fail,
        )
        self._router = Router(self._node, index_backlog_bytes=settings.index_backlog_bytes)
        background = self._background = Background(
            self._loop,
            self._clock,
            self._random,
            settings=settings,
            cluster=self._cluster,
            store=store,
            catalog=self._catalog,
            node=self._node,
            router=self._router,
            holding=self._holding,
        )
        self._log, opened = await open_log(
            self._loop, self._node, self._folder, engines, expected_of(self._catalog),
            segment_bytes=settings.segment_bytes,
        )  # fmt: skip
        trees = {} if opened is None else opened.trees
        open_tables(self._catalog, trees, self._node, self._router, background)
        self._node.start(self._log, is_read_only=self._is_read_only)
        self._does_node_run = True
        await background.load()
        if self._is_read_only:
            logger.warning("%s is read-only: reads are answered, writes are refused", settings.data_dir)
        else:
            await background.start([] if opened is None else opened.undelivered)
        return background

    async def _open_ports(self, background: Background) -> None:
        self._services = services(
            self._settings,
            self._cluster,
            self._clock,
            self._random,
            catalog=self._catalog,
            router=self._router,
            background=background,
            spawn=self._spawn,
        )
        self._ports = Ports(
            self._settings,
            self._clock,
            self._handle,
            why_not_ready=self._why_not_ready,
            counters=self._router.counters,
            readings=[
                functools.partial(readings.of_log, self._log),
                functools.partial(readings.of_node, self._node),
                functools.partial(readings.of_tables, self._catalog, self._router, background.sweeper),
                functools.partial(readings.of_indexes, background.indexes),
                functools.partial(of_tasks, self._calls, background.tasks),
            ],
            rotate_shards=background.streams.rotate,
            more_pages=SplitPages(background.splits).pages(),
        )
        await self._ports.open()
        self.port, self.admin_port = self._ports.port, self._ports.admin_port

    # Requests

    def _handle(self, call: Call) -> bytes | None:
        if self._held is not None:
            self._held.append(call)
            return None
        return operations.run(self._services, call)

    @contextlib.asynccontextmanager
    async def _holding(self) -> AsyncIterator[None]:
        """While a partition is about to be another's: some milliseconds."""
        assert self._held is None, "one holds them at a time"
        held = self._held = []
        late = self._loop.call_later(_HELD_SECONDS, self._let_go, held)
        try:
            yield
        finally:
            late.cancel()
            self._let_go(held)

    def _let_go(self, held: list[Call]) -> None:
        """What they waited for is over, or takes long: then some of them are told to try again."""
        if self._held is held:
            self._held = None
            for call in held:
                self._loop.call_soon(self._handle_late, call)

    def _handle_late(self, call: Call) -> None:
        try:
            body = self._handle(call)
        except Exception as error:    # it has no caller: the client is its caller
            call.fail(error)
        else:
            if body is not None:
                call.reply(body)

    def _spawn(self, work: Coroutine[Any, Any, bytes], call: Call) -> None:
        """Run `work` and answer `call` with what it returns or raises."""
        self._calls.start(answer(work, call))

    def _why_not_ready(self) -> str | None:
        """For `/ready`: in a few words why other servers should be asked, or None."""
        if self._is_stopping:
            return "stopping"
        refusal = self._node.refusal
        if refusal is None or self._is_read_only:
            return None    # whoever serves a folder that cannot be written wants it to be read
        return f"writes are refused: {refusal.problem}"

    # For those who embed it

    async def reset(self) -> None:
        """Drop every table."""
        assert self._background is not None
        await drop_tables(self._catalog, self._node, self._router, self._background)

    async def rotate_shards(self, table_name: str) -> None:
        """End the open shards of the table's stream, if it has one, and begin new ones."""
        assert self._background is not None
        streams = self._background.streams
        streams.rotate(table_name)
        for stream in streams.readable(table_name):
            for partition in stream.partitions:
                decided = asyncio.Event()
                if partition.settle(decided.set):
                    await decided.wait()

    # Stopping

    async def _wind_down(self, failure: Exception | None) -> None:
        assert self._ports is not None and self._background is not None
        await self._ports.door.drain(self.drain_seconds)
        await self._calls.end_within(_CALLS_SECONDS)
        if failure is None:
            await self._background.stop()
            self._does_node_run = False
            await self._node.stop()

    def _hurry(self) -> None:
        if self._ports is not None:
            self._ports.door.close_now()

    async def _close(self) -> None:
        if self._ports is not None:
            await self._ports.close()
        if self._background is not None:
            await self._background.halt()
        if self._does_node_run:
            self._does_node_run = False
            await self._node.halt()
        if self._store is not None:
            await self._store.close()
        if self._folder is not None:
            self._folder.close()
