"""The world of tests that cut the power: everything stands still when it is told to, so a seed is a run.

    HeardLoop             turns when it is told to
    GatedTrees, Gate      the checkpoint thread writes a transaction only while the loop stands still
    WatchedDisk           forgets what was not synced, and lets somebody look before each sync is durable
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Semaphore
from typing import Any

from tests.node.stepped_loop import SteppedLoop
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.storage.inventory import Inventory
from varley.storage.lmdb_engine import LmdbEngine
from varley.storage.tree_folder import TreeFolder


class Gate:
    """Lets the checkpoint thread write a transaction only while the loop stands still for it."""

    def __init__(self, loop: HeardLoop) -> None:
        self.under_way = 0    # checkpoints that have begun and whose last transaction is not written
        self._loop = loop
        self._arrived = Semaphore(0)
        self._let_in = Semaphore(0)
        self._written = Semaphore(0)
        self._is_last = False
        self._is_open = False

    def step(self) -> None:
        """Let one transaction be written. On the loop's thread."""
        assert self._arrived.acquire(timeout=60)
        self._let_in.release()
        assert self._written.acquire(timeout=60)
        if self._is_last:
            self.under_way -= 1
            assert self._loop.heard.acquire(timeout=60)    # of the checkpoint's end

    def write(self, write: Callable[[], None], *, is_last: bool) -> None:
        """On the checkpoint thread."""
        self._arrived.release()
        if not self._is_open:
            self._let_in.acquire()
        write()
        self._is_last = is_last
        self._written.release()

    def open(self) -> None:
        """From now on nobody waits."""
        self._is_open = True
        self._let_in.release()    # one may wait: there is one thread


class HeardLoop(SteppedLoop):
    """Knows when another thread has told it something."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = Semaphore(0)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if callback.__qualname__ in ("Checkpoints._finish", "Checkpoints._retry"):
            self.heard.release()
        return handle


class GatedTrees(TreeFolder):
    def __init__(self, path: str, inventory: Inventory, gate: Gate) -> None:
        super().__init__(path, inventory)
        self._gate = gate

    def open(self, group: int) -> LmdbEngine:
        return _GatedEngine(self.folder_of(group), group, self._gate)


class _GatedEngine(LmdbEngine):
    def __init__(self, folder: str, group: int, gate: Gate) -> None:
        super().__init__(folder, group)
        self._gate = gate

    def reserve(self, rows: int, size: int) -> None:
        self._gate.under_way += 1
        super().reserve(rows, size)

    def write(self, rows: Any, applied: Any) -> None:
        self._gate.write(lambda: LmdbEngine.write(self, rows, applied), is_last=applied is not None)


class WatchedDisk(ForgetfulDisk):
    """Calls `watch` in the middle of every call: the system's cache has it, the platter has not."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: Callable[[str], None] = lambda call: None

    def _end(self) -> None:
        super()._end()
        self.watch(self.calls[-1])

    @classmethod
    def of(cls, other: ForgetfulDisk) -> WatchedDisk:
        disk = cls()
        for path in other.paths:
            disk.put(path, other.contents(path))
        return disk
