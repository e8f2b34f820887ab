"""The SQLite engine: one table in `ring.sqlite`, with a write-ahead log that is synced at each commit.

    CREATE TABLE entries (key BLOB PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL)

A commit appends the changed pages to the log and syncs that (`synchronous=FULL`), so it costs one sync wherever in
the file its rows lie; a thousand pages later they are copied to the file (a checkpoint, on the writer's thread).
Columns are read from the left, and a body's overflow pages only if it is asked for: `head` comes before `body`.

The loop reads through one connection while the writer's thread writes through another: in WAL neither waits for the
other. A read is a statement of its own and sees the last commit.

SQLite checks the form of the pages it meets ("malformed"), not their bytes; heads and bodies carry checksums (rows.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Final

from varley.errors import Damaged, DiskFull, ReadOnly, WorldError
from varley.ring_node.engines.engine import Batch, Entry
from varley.storage.disk import RealDisk

DATA_FILE: Final = "ring.sqlite"
APPLICATION_ID: Final = 0x56415259      # "VARY": says whose file this is
FORMAT: Final = 1                       # user_version


class SqliteEngine:
    """See engine.Engine. `folder` need not exist; its parent must. Raises Damaged, DiskFull, ReadOnly, WorldError."""

    kind = "sqlite"
    is_durable = True

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, DATA_FILE)
        try:
            os.makedirs(folder, exist_ok=True)
            self._writer = self._connect()
            self._make_or_check()
            self._reader = self._connect()
            RealDisk().sync_folder(folder)
            RealDisk().sync_folder(os.path.dirname(os.path.abspath(folder)))
        except sqlite3.Error as error:
            raise self._failed(error, "open") from error
        except OSError as error:
            raise WorldError(f"the folder cannot be made: {error}", path=folder, operation="create") from error

    def get(self, key: bytes) -> Entry | None:
        try:
            row = self._reader.execute("SELECT head, body FROM entries WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error, "read") from error
        return None if row is None else Entry(*row)

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._reader.execute(
                "SELECT key, head FROM entries WHERE key >= ? AND key < ? ORDER BY key", (low, high)
            )
        except sqlite3.Error as error:
            raise self._failed(error, "read") from error

    def write(self, batch: Batch) -> None:
        writer = self._writer
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.executemany(
                "INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET head = excluded.head, "
                "body = excluded.body",
                ((key, entry.head, entry.body) for key, entry in batch.items() if entry is not None),
            )
            writer.executemany("DELETE FROM entries WHERE key = ?", ((k,) for k, entry in batch.items() if not entry))
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise self._failed(error, "write") from error

    def renew(self) -> None:
        """Each statement sees the last commit."""

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 10000")
        return connection

    def _make_or_check(self) -> None:
        writer = self._writer
        (whose,) = writer.execute("PRAGMA application_id").fetchone()
        (version,) = writer.execute("PRAGMA user_version").fetchone()
        if (whose, version) == (0, 0):
            writer.execute("BEGIN IMMEDIATE")
            writer.execute(
                "CREATE TABLE entries (key BLOB PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL)"
            )
            writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            writer.execute(f"PRAGMA user_version = {FORMAT}")
            writer.execute("COMMIT")
        elif (whose, version) != (APPLICATION_ID, FORMAT):
            raise Damaged("this is not a file of the ring's, or of another format", path=self.path, hint=_HINT)

    def _failed(self, error: sqlite3.Error, operation: str) -> WorldError:
        name = error.sqlite_errorname if hasattr(error, "sqlite_errorname") else ""
        if name == "SQLITE_FULL":
            return DiskFull("no space for the ring's rows", path=self.path, operation=operation,
                            hint="Writes go on when there is space again.")  # fmt: skip
        if name.startswith("SQLITE_READONLY"):
            return ReadOnly("the disk does not take writes", path=self.path, operation=operation)
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return Damaged(f"the file is damaged: {error}", path=self.path, hint=_HINT)
        return WorldError(f"SQLite failed: {error} {name}", path=self.path, operation=operation,
                          hint="Restart the node; what it has not written, the other replicas bring.")  # fmt: skip


_HINT: Final = "Move the folder away and start the node with an empty one: the other replicas bring its rows."
