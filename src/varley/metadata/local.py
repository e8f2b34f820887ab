"""Metadata of one process, in an LMDB environment: <data>/metadata/data.mdb.

LMDB commits a transaction with one write of its root page after everything else is on disk, so a change of
several keys is there whole or not at all after a crash, and there is no log to replay. Commits wait for the
disk; so all work is done by one thread of this store's own, in the order in which it was asked for, and the
event loop never waits. That order is also what makes compare_and_set atomic.

What a key holds
================

    u8   format version, 1
    u8   0, three times
    u32  CRC32C of the key and of all that follows (little-endian, like all numbers here)
    u64  version: the number of the compare_and_set that wrote it
    ...  the value

    key b"table/Music", value b"{}", written by the 7th compare_and_set:
    01 000000 | crc32c("table/Music" 0700000000000000 "{}") | 0700000000000000 | 7b7d

The CRC covers the key, so a value that LMDB shows under a wrong key is found too. Bytes that are not those
that were written raise Damaged, and nobody guesses: a table that is silently missing would look like a
deleted one. The key 00 holds the number of the last compare_and_set, in the same form, with an empty value.

LMDB checks nothing of what it reads, and damaged page numbers can make it touch memory outside the file.
The file is small, so it is read whole as bytes, and proved to be a sound tree, before LMDB is given it.

Keys under a lease are kept in memory only, and never on the disk: whoever holds the lease is in this process, so its
end is the last moment at which they may be there. A change of such keys alone costs no write. Its version is not on
the disk either: after the next start versions go on from the last one that is.

After a write that failed for another reason than a full or read-only disk, nobody knows what the disk has;
then this store makes no more changes until it is opened again, which finds out. (redb and fjall do the
same.)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import google_crc32c
import lmdb

from varley.clock import Clock, SystemClock
from varley.errors import Damaged, DiskFull, LogFailed, ReadOnly, WorldError
from varley.metadata.in_process import InProcessLease, Watchers, refuse_ended_leases
from varley.metadata.store import ABSENT, Change, Changed, Entry, Lease, Listed, Told
from varley.storage.disk import CANNOT_WRITE
from varley.storage.lmdb_engine import (
    code_of,
    is_for_lack_of_space,
    make_environment,
    open_environment,
    structure_problems,
)

_FORMAT_VERSION: Final = 1
_HEADER: Final = struct.Struct("<B3xIQ")
_VERSION: Final = struct.Struct("<Q")
_VERSION_KEY: Final = b"\x00"    # no key of anybody else begins so
_MAP_BYTES_MIN: Final = 64 * 1024 * 1024    # address space, not disk; doubled when it is full

T = TypeVar("T")


class LocalStore:
    """See store.Store. Made by `open`."""

    def __init__(self, folder: str, disk: ThreadPoolExecutor, clock: Clock, *, is_read_only: bool) -> None:
        self._folder = folder
        self._disk = disk
        self._clock = clock
        self._is_read_only = is_read_only
        self._loop = asyncio.get_running_loop()
        self._watchers = Watchers()
        # Set by _open; used only on the disk thread. None: nothing was ever stored, and nothing can be.
        self._environment: Any = None
        self._failure: WorldError | None = None    # why no more changes are made; set once
        self._version = ABSENT    # given out last
        self._leases: set[InProcessLease] = set()
        self._leased: dict[str, tuple[Entry, InProcessLease]] = {}    # by key: what is under a lease, and which

    @classmethod
    async def open(cls, folder: str, *, is_read_only: bool = False, clock: Clock | None = None) -> LocalStore:
        """The store in `folder`, which is made if it is not there.

        With `is_read_only` nothing is made or touched, and every change raises ReadOnly. Raises DiskFull, ReadOnly
        or Damaged.
        """
        disk = ThreadPoolExecutor(1, thread_name_prefix="varley-metadata")
        store = cls(folder, disk, SystemClock() if clock is None else clock, is_read_only=is_read_only)
        try:
            await store._on_disk_thread(store._open)
        except BaseException:
            store._disk.shutdown(wait=False)
            raise
        return store

    async def get(self, key: str) -> Entry | None:
        return await self._on_disk_thread(lambda: self._found(key))

    async def list(self, prefix: str) -> Sequence[Entry]:
        return await self._on_disk_thread(lambda: self._all(prefix))

    async def snapshot(self, prefix: str) -> Listed:
        return await self._on_disk_thread(lambda: Listed(self._all(prefix), self._version))

    async def compare_and_set(self, changes: Sequence[Change]) -> int | None:
        assert len({change.key for change in changes}) == len(changes) > 0
        return await self._on_disk_thread(lambda: self._compare_and_set(changes))

    async def watch(self, prefix: str) -> AsyncGenerator[Told, None]:
        def begin() -> None:
            listed = Listed(self._all(prefix), self._version)
            # By way of this thread, so in the order in which it tells of changes.
            self._tell(self._watchers.begin, queue, listed)

        queue = self._watchers.add(prefix)
        try:
            await self._on_disk_thread(begin)
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(queue)

    async def lease(self, seconds: float) -> Lease:
        def look() -> None:
            self._disk.submit(self._end_leases)

        async def wait_for_look() -> None:
            await self._on_disk_thread(self._end_leases)

        lease = InProcessLease(seconds, self._clock, look, wait_for_look)
        await self._on_disk_thread(lambda: self._leases.add(lease))
        return lease

    async def close(self) -> None:
        """Wait for what is under way, and give the file back."""
        for lease in self._leases:
            lease.has_ended()
        if self._environment is not None:
            await self._on_disk_thread(self._environment.close)
        self._disk.shutdown(wait=False)

    async def _on_disk_thread(self, work: Callable[[], T]) -> T:
        # Shielded: a caller that is cancelled does not undo what the disk thread has begun, nor hide its failure.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._disk, work))

    # All below runs on the disk thread.

    def _open(self) -> None:
        with self._telling("open"):
            if not self._is_read_only:
                make_environment(self._folder)
            elif not os.path.exists(self._file):
                return
            problems = structure_problems(self._folder)
            if problems:
                raise self._damaged(f"Its structure is damaged: {problems[0]}")
            map_bytes = max(_MAP_BYTES_MIN, 2 * os.path.getsize(self._file))
            self._environment = open_environment(self._folder, is_read_only=self._is_read_only, map_size=map_bytes)
            with self._environment.begin() as transaction:
                self._version = self._stored_version(transaction)

    def _found(self, key: str) -> Entry | None:
        self._end_leases()
        leased = self._leased.get(key)
        return self._get(key) if leased is None else leased[0]

    def _all(self, prefix: str) -> Sequence[Entry]:
        self._end_leases()
        found = self._list(prefix)
        leased = [entry for key, (entry, _lease) in self._leased.items() if key.startswith(prefix)]
        return sorted([*found, *leased], key=lambda entry: entry.key.encode()) if leased else found

    def _get(self, key: str) -> Entry | None:
        if self._environment is None:
            return None
        with self._telling("read"), self._environment.begin() as transaction:
            raw = transaction.get(key.encode())
            return None if raw is None else self._unpack(key.encode(), raw)

    def _list(self, prefix: str) -> Sequence[Entry]:
        wanted = prefix.encode()
        found: list[Entry] = []
        if self._environment is None:
            return found
        with self._telling("read"), self._environment.begin() as transaction, transaction.cursor() as cursor:
            more = cursor.set_range(wanted) if wanted else cursor.first()
            while more:
                key, raw = cursor.item()
                if not key.startswith(wanted):
                    break
                if key != _VERSION_KEY:
                    found.append(self._unpack(key, raw))
                more = cursor.next()
        return found

    def _compare_and_set(self, changes: Sequence[Change]) -> int | None:
        if self._failure is not None:
            raise self._failure
        if self._is_read_only:
            raise ReadOnly(
                "The data folder is read-only: tables cannot be made, changed or deleted",
                path=self._folder, operation="write",
            )  # fmt: skip
        self._end_leases()
        refuse_ended_leases(changes)
        found = {change.key: self._get(change.key) for change in changes if change.key not in self._leased}
        for change in changes:
            entry = self._leased[change.key][0] if change.key in self._leased else found[change.key]
            if (ABSENT if entry is None else entry.version) != change.expected_version:
                return None
        to_disk = [
            change
            for change in changes
            if found.get(change.key) is not None or (change.lease is None and change.value is not None)
        ]
        version = self._version + 1
        if to_disk:
            self._write(to_disk, version)
        self._has_changed(changes, version)
        return version

    def _write(self, changes: Sequence[Change], version: int) -> None:
        while True:
            try:
                with self._telling("write"), self._environment.begin(write=True) as transaction:
                    for change in changes:
                        _write(transaction, change, version)
                    transaction.put(_VERSION_KEY, _pack(_VERSION_KEY, version, b""))
                return
            except lmdb.MapFullError:
                # This thread is the only user, so nobody has the map open, and it may be made anew.
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            except LogFailed as failure:
                self._failure = failure
                raise

    def _has_changed(self, changes: Sequence[Change], version: int) -> None:
        self._version = version
        written = []
        for change in changes:
            self._leased.pop(change.key, None)
            if change.value is None:
                continue
            entry = Entry(change.key, change.value, version)
            written.append(entry)
            if change.lease is not None:
                assert isinstance(change.lease, InProcessLease)
                self._leased[change.key] = entry, change.lease
        deleted = [change.key for change in changes if change.value is None and change.expected_version != ABSENT]
        self._tell(self._watchers.tell, Changed(version, written, deleted))

    def _end_leases(self) -> None:
        for lease in [each for each in self._leases if each.is_due]:
            self._leases.remove(lease)
            lease.is_over = True
            keys = {key: entry for key, (entry, each) in self._leased.items() if each is lease}
            if keys:
                changes = [Change(key, entry.version, None) for key, entry in keys.items()]
                self._has_changed(changes, self._version + 1)
            self._tell(lease.has_ended)

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(callback, *arguments)

    def _stored_version(self, transaction: Any) -> int:
        raw = transaction.get(_VERSION_KEY)
        return ABSENT if raw is None else self._unpack(_VERSION_KEY, raw).version

    def _unpack(self, key: bytes, raw: bytes) -> Entry:
        if len(raw) < _HEADER.size:
            raise self._damaged(f"The value of {key!r} has {len(raw)} bytes")
        format_version, crc, version = _HEADER.unpack_from(raw)
        value = raw[_HEADER.size :]
        if crc != _crc(key, version, value):
            raise self._damaged(f"The checksum of {key!r} does not fit")
        if format_version != _FORMAT_VERSION:
            raise WorldError(
                f"Metadata has format version {format_version}, and this Varley reads version {_FORMAT_VERSION}",
                path=self._file,
                operation="read",
                hint="A newer Varley wrote it; start that one",
            )
        return Entry(key.decode(), value, version)

    def _damaged(self, problem: str) -> Damaged:
        return Damaged(
            f"Metadata is not what was written. {problem}",
            path=self._file,
            hint="Restore the metadata folder from a copy. The items of tables are kept elsewhere",
        )

    @contextlib.contextmanager
    def _telling(self, operation: str) -> Iterator[None]:
        """Turns what LMDB and the system say into errors of ours; a full map is for the caller to handle."""
        try:
            yield
        except lmdb.MapFullError:
            raise
        except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError) as error:
            raise self._damaged(str(error)) from error
        except (lmdb.Error, OSError) as error:
            if is_for_lack_of_space(error, self._folder):
                raise DiskFull(
                    "No space for metadata", path=self._folder, operation=operation, hint="Make room, try again"
                ) from error
            if code_of(error) in CANNOT_WRITE:
                raise ReadOnly("Metadata cannot be written", path=self._folder, operation=operation) from error
            raise LogFailed(
                f"Metadata cannot be kept: {error}",
                path=self._folder,
                operation=operation,
                hint="Look after the disk, then restart the server",
            ) from error

    @property
    def _file(self) -> str:
        return os.path.join(self._folder, "data.mdb")


def _write(transaction: Any, change: Change, version: int) -> None:
    key = change.key.encode()
    assert key
    assert key[:1] != _VERSION_KEY
    if change.value is None or change.lease is not None:
        transaction.delete(key)
    else:
        transaction.put(key, _pack(key, version, change.value))


def _pack(key: bytes, version: int, value: bytes) -> bytes:
    return _HEADER.pack(_FORMAT_VERSION, _crc(key, version, value), version) + value


def _crc(key: bytes, version: int, value: bytes) -> int:
    crc: int = google_crc32c.value(key + _VERSION.pack(version) + value)
    return crc
