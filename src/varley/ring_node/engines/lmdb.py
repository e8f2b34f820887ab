"""The LMDB engine: one copy-on-write B-tree in one memory-mapped file, `data.mdb`. The default.

A batch is one transaction, synced when it commits: the pages it changed are written elsewhere, then the root is, so a
crash leaves the one before or the one after. A row of 1 KB costs about four pages of 4 KB; that is why a turn of the
loop is one batch, and why a node with many small puts may be better off with SQLite or a write buffer.

An LMDB value is

    head length u16 BE | head | body

A head is read from the map alone, so a scan of heads does not touch the overflow pages that large bodies lie on. The
map is address space: MAP_BYTES at first, twice as much whenever a batch does not fit. It is moved for that between two
transactions, with the loop's read transaction put down: `write` raises NoRoom, and the store calls the `grow` of that
on the loop.

What LMDB checks of the bytes it reads: nothing. Heads and bodies carry checksums (rows.py); the structure of the tree
is proved with `lmdb.verify` when the file is shorter than it says, as in storage/lmdb_engine.py, whose ways of making
and opening a file are used here.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import Any, Final

import lmdb

from varley.errors import Damaged, DiskFull, Exhausted, ReadOnly, WorldError
from varley.ring_node.engines.engine import Batch, Entry, NoRoom
from varley.storage.disk import EXHAUSTED
from varley.storage.lmdb_engine import (
    DATA_FILE,
    code_of,
    is_for_lack_of_space,
    make_environment,
    open_environment,
    structure_problems,
)  # fmt: skip

MAP_BYTES: Final = 1 << 30
_LENGTH: Final = struct.Struct(">H")


class LmdbEngine:
    """See engine.Engine. `folder` need not exist; its parent must. Raises Damaged, DiskFull, ReadOnly, WorldError."""

    kind = "lmdb"
    is_durable = True

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = os.path.join(folder, DATA_FILE)
        self._env: Any = None
        self._txn: Any = None   # the loop's read transaction
        try:
            make_environment(folder)
            self._map_bytes = MAP_BYTES
            while self._map_bytes < 2 * os.path.getsize(self.path):
                self._map_bytes *= 2
            self._env = self._open()
            if os.path.getsize(self.path) < (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]:
                self._env.close()
                self._prove_structure()
                self._env = self._open()
            self._txn = self._env.begin(buffers=True)
        except lmdb.Error as error:
            if code_of(error) is not None:
                raise self._failed(error, "open") from error
            raise Damaged(f"the tree cannot be opened: {error}", path=self.path, hint=_HINT) from error
        except OSError as error:
            raise self._failed(error, "open") from error

    def get(self, key: bytes) -> Entry | None:
        try:
            raw = self._txn.get(key)
        except lmdb.Error as error:
            raise self._unreadable(error, key) from error
        if raw is None:
            return None
        if len(raw) < _LENGTH.size:
            raise self._unreadable("a value is cut short", key)
        (length,) = _LENGTH.unpack_from(raw)
        return Entry(bytes(raw[2 : 2 + length]), bytes(raw[2 + length :]))

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._txn.cursor()
            if not cursor.set_range(low):
                return
            for found, raw in cursor.iternext():
                key = bytes(found)
                if key >= high:
                    return
                end = 2 + _LENGTH.unpack_from(raw)[0]
                yield key, bytes(raw[2:end])
        except (lmdb.Error, struct.error) as error:
            raise self._unreadable(error, low) from error

    def write(self, batch: Batch) -> None:
        try:
            with self._env.begin(write=True) as txn:
                for key, entry in batch.items():
                    if entry is None:
                        txn.delete(key)
                    else:
                        txn.put(key, b"".join((_LENGTH.pack(len(entry.head)), entry.head, entry.body)))
        except lmdb.MapFullError:
            raise NoRoom("the map is full", path=self.path, grow=self._grow) from None
        except (lmdb.Error, OSError) as error:
            raise self._failed(error, "write") from error

    def _grow(self) -> None:
        """On the loop's thread, with no write under way: a map twice as large."""
        self._txn.abort()
        self._map_bytes *= 2
        try:
            self._env.set_mapsize(self._map_bytes)
        except (lmdb.Error, MemoryError, OSError) as error:
            raise WorldError(
                f"the tree cannot grow: {error}", path=self.path, operation="map",
                hint="Give the process more address space (ulimit -v), then start it again.",
            ) from error  # fmt: skip
        self._txn = self._env.begin(buffers=True)

    def renew(self) -> None:
        self._txn.abort()
        self._txn = self._env.begin(buffers=True)

    def close(self) -> None:
        if self._txn is not None:
            self._txn.abort()
        self._env.close()

    def _open(self) -> Any:
        return open_environment(
            self.folder, map_size=self._map_bytes, max_readers=8, max_spare_txns=1, readahead=False
        )

    def _prove_structure(self) -> None:
        problems = structure_problems(self.folder)
        if problems:
            raise Damaged(f"the tree's structure is damaged: {problems[0]}", path=self.path, hint=_HINT)

    def _unreadable(self, problem: object, key: bytes) -> Damaged:
        return Damaged(f"the tree cannot be read: {problem}", path=self.path, hint=f"LMDB key {key.hex()}. {_HINT}")

    def _failed(self, error: Exception, operation: str) -> WorldError:
        code = code_of(error)
        if is_for_lack_of_space(error, self.folder):
            return DiskFull("no space for the ring's rows", path=self.path, operation=operation,
                            hint="Writes go on when there is space again.")  # fmt: skip
        if code == errno.EROFS:
            return ReadOnly("the disk does not take writes", path=self.path, operation=operation)
        if code in EXHAUSTED:
            return Exhausted(f"the tree cannot be used: {error}", path=self.path, operation=operation,
                             hint="Allow this process more open files (ulimit -n), or close connections.")  # fmt: skip
        return WorldError(f"the disk failed: {error}", path=self.path, operation=operation,
                          hint="Restart the node; what it has not written, the other replicas bring.")  # fmt: skip


_HINT: Final = "Move the folder away and start the node with an empty one: the other replicas bring its rows."
