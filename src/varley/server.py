"""One server: every part of it is built and wired here, and nowhere else.

    front door ---> api ---> router ---> node ---> log, trees
        |            |                    |
      clock       catalog (metadata)   checkpoints

Start: lock the data folder, load the catalog, open the trees and replay the log over them, open the partitions, and
only then listen; so whoever is answered is answered from complete data, and `/ready` needs no more than "it listens".
Stop: let requests end, make everything durable in the trees, unlock.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import random
import signal
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from varley.admin.metrics import Metrics, Reading
from varley.admin.pages import Pages
from varley.admin.port import AdminPort
from varley.api.operations import OPERATIONS
from varley.api.services import Services
from varley.clock import Clock, MovableClock
from varley.counters import Counters
from varley.errors import WorldError
from varley.http.call import Call
from varley.http.reception import FrontDoorSettings
from varley.http.server import FrontDoor
from varley.metadata.catalog import Catalog
from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Store
from varley.node.node import Log, Node
from varley.router.routes import Router
from varley.settings import ClusterSettings, NodeSettings
from varley.storage.data_folder import DataFolder
from varley.storage.disk import RealDisk
from varley.storage.log_writer import LogWriter
from varley.storage.memory_log import MemoryLog
from varley.storage.recovery import Recovered, recover
from varley.storage.tree import Tree
from varley.storage.tree_folder import NoFolder, TreeFolder

logger = logging.getLogger("varley.server")


@dataclass(slots=True)
class _Storage:
    """What a server keeps its data in, opened."""

    store: Store
    log: Log
    trees: dict[int, Tree]    # by group, as recovery left them
    folder: DataFolder | None    # None: in memory


class Server:
    """From `start` to `wait_stopped`, on one event loop."""

    def __init__(self, node: NodeSettings, cluster: ClusterSettings, clock: Clock) -> None:
        self._settings = node
        self._cluster = cluster
        self._clock = clock
        self._stopped: asyncio.Future[None]
        self._tasks: set[asyncio.Task[None]] = set()    # kept: a task that nobody holds may vanish
        self._is_stopping = False
        self.port = 0
        self.admin_port: int | None = None

    async def start(self) -> None:
        """Return when requests are served. Raises WorldError: the folder, the port or a setting is not usable."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        self._node = Node(
            loop,
            self._clock,
            engines=NoFolder() if settings.in_memory else TreeFolder(""),
            overlay_bytes_max=settings.checkpoint_overlay_bytes,
            log_bytes_max=settings.checkpoint_log_bytes,
            on_fatal=self._fail,
        )

    def _handle(self, call: Call) -> bytes | None:
        return OPERATIONS[call.operation](self._services, call)

    def _spawn(self, work: Coroutine[Any, Any, bytes], call: Call) -> None:
        """Run `work` and answer `call` with what it returns or raises."""
        task = asyncio.get_running_loop().create_task(_answer(work, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answer(work: Coroutine[Any, Any, bytes], call: Call) -> None:
    try:
        body = await work
    except Exception as error:    # the call is the one who must hear of it, whatever it is
        call.fail(error)
    else:
        call.reply(body)
