"""The engine of a replica on disk: one LMDB environment, a copy-on-write B-tree in one memory-mapped file.

    trees/<group, 16 hex digits>/data.mdb, lock.mdb         made at the replica's first checkpoint

A replica that was never checkpointed has no file; a laptop's hundred empty tables cost nothing. The checkpoint
thread is the only writer. The loop keeps one read transaction open and renews it after each checkpoint, so a read
is one look-up in the map and no system call.

Damage
======

LMDB checks none of the bytes that it reads, so Varley does. What is caught, and when:

1. *A row that is read*: every LMDB value ends with the CRC32C of its LMDB key and all before it, and it is checked
   on each read. Damaged bytes of a value or a key are never served.
2. *A row that is not found*: a damaged key is a row at a place where nobody looks for it, and "no such row" would
   be a wrong answer too. LMDB finds the place between two neighbours; an absence is believed only if both are
   intact and do stand on either side of the key. So damaged keys are found on whichever read they mislead, in leaf
   pages and in branch pages. This costs a miss about a microsecond, and a hit nothing.
3. *Structure* (page headers, page numbers in branch pages, LMDB's free list, root pages): a few bytes per page that
   1 and 2 cannot prove; damaged, they can hide a page of rows, or make LMDB touch memory outside the file, which
   kills the process. So before LMDB is given a file at start, `lmdb.verify` reads it as bytes and proves that it is a
   sound tree (see recovery.py: up to a number of bytes per start, because it costs 4 s per GB), and `varley check`
   does so for any size, with the rows' checksums, order, number and sizes on top. What remains: damage to the
   structure of a large tree, or while the server runs, is found by `varley check`, not by the read that it misleads.
4. *A file cut short* would end the process with SIGBUS at the first read past its end. LMDB may leave the file a
   little shorter than its header says (pages that a transaction took and gave back), so a short file is not wrong by
   itself, but it is always walked with `lmdb.verify` before it is used.

Rejected: a checksum per page in a side file (LMDB does not say which pages a transaction wrote), a hash tree over
the rows or a link from each row to its neighbour (they do prove absence, but a write then rewrites its neighbours).

Making the file
===============

LMDB writes the first two pages of a new file without a sync, and its lock file through a memory map. A power cut soon
after could leave a file without those pages, which is what a damaged tree looks like; a full disk would end the
process with SIGBUS when the lock file's page cannot be had. So the lock file's space is reserved first, and a new file
is made under another name, synced, and only then given its own: whatever has the name `data.mdb` was a sound tree once.

Only reading
============

On a disk that takes no writes there is no lock file either: whoever opens a tree for reading only has the data folder's
lock, and knows that nobody writes.

The map
=======

The map is address space, not memory. It is made by need (`reserve`): one GB at first, a power of two above the worst
case of the next checkpoint after that, so that a write never meets a full map. It is only resized between
checkpoints, with the read transaction put down, because LMDB moves the map.

Measured with rows of 400 bytes: a row found 0.58 us while its pages are in the processor's cache (0.21 LMDB, 0.17
checksum), 1.3 us when they are not; none found 1.5 us; a range 0.8 us a row. Source: LMDB 0.9's lmdb.h and mdb.c.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import Any, Final

import lmdb
import lmdb.verify
from google_crc32c import value as _crc32c

from varley.errors import Damaged, DiskFull, Exhausted, ReadOnly, WorldError
from varley.storage import long_keys
from varley.storage.disk import CANNOT_WRITE, EXHAUSTED, NO_SPACE, RealDisk
from varley.storage.long_keys import LMDB_KEY_BYTES_MAX, ROWS_END
from varley.storage.tree import NOTHING, Applied, Entry, SnapshotGone, first_rows

DATA_FILE: Final = "data.mdb"
NEW_DATA_FILE: Final = "data.mdb.new"     # while it is being made
LOCK_FILE: Final = "lock.mdb"
CRC_BYTES: Final = 4
PAGE_BYTES_MAX: Final = 65536   # LMDB's; its page is the operating system's, 4096 nearly everywhere

# The tree's own row: format version, is a checkpoint under way, group, applied slot, item count, size in bytes, time.
META_KEY: Final = b"\xff\xff"   # above all others: there is always something behind a row
META_VERSION: Final = 1
_META: Final = struct.Struct("<HH4xQQQQQ")

SNAPSHOTS_MAX: Final = 4        # read at once: LMDB has a place for each reader
_MAP_BYTES_MIN: Final = 1 << 30
_MAP_PAGES_PER_ROW: Final = 12  # a row copies its path and may split each page of it: 2 * depth + 1, depth <= 5
_LOCK_FILE_BYTES: Final = 16384 # more than LMDB uses for 126 readers
_LIBRARY: Final = 0             # LMDB 0.9, whatever the environment variable of py-lmdb says: docs/formats.md says so
_PROBE_FILE: Final = "probe"
_PROBE_BYTES: Final = 1 << 20   # about a transaction
_disk: Final = RealDisk()
_pack_crc = struct.Struct("<I").pack

# Appending to bytes their own CRC32C, little-endian, always gives this CRC32C. So a check needs no cutting.
INTACT: Final = 0x48674BC7


class LmdbEngine:
    """See tree.Engine. `folder`: the replica's own folder, which need not exist yet; its parent must.

    Raises Damaged if the tree in it is not one that Varley has written, or is cut short; DiskFull, ReadOnly or
    WorldError if the system cannot open it. With `is_read_only` nothing in the folder is touched.
    """

    __slots__ = (
        "_cursor", "_env", "_is_broken", "_is_read_only", "_look_up", "_map_bytes", "_txn", "applied", "folder",
        "group", "has_partial_checkpoint", "snapshots",
    )  # fmt: skip

    def __init__(self, folder: str, group: int, *, is_read_only: bool = False) -> None:
        self.folder = folder
        self.group = group
        self.applied: Applied = NOTHING
        self.has_partial_checkpoint = False # rows of slots above applied.slot may be in the file; the log has them
        self._map_bytes = _MAP_BYTES_MIN
        self._is_broken = False             # a write failed in a way that only opening anew can repair
        self._is_read_only = is_read_only
        self._env: Any = None               # None: no file yet. Made by the checkpoint thread
        self._txn: Any = None               # the loop's read transaction; None: it sees no file
        self._look_up: Any = _no_row        # _txn.get
        self._cursor: Any = None            # in _txn, for misses; made when first needed
        self.snapshots: list[LmdbSnapshot] = []     # those that are being read
        if os.path.exists(self.path):
            self._open_existing()

    @property
    def path(self) -> str:
        return os.path.join(self.folder, DATA_FILE)

    # Reading: the loop thread

    def get(self, key: bytes) -> bytes | None:
        """The stored value at `key`. Raises Damaged."""
        if len(key) >= LMDB_KEY_BYTES_MAX:
            key = long_keys.place(key)[0]
        try:
            raw = self._look_up(key)
        except lmdb.Error as error:
            raise self._damaged("The tree cannot be read", key) from error
        if raw is None:
            self._believe_absent(key)
            return None
        if _crc32c(key + raw) != INTACT:
            raise self._damaged("A row's checksum is wrong", key)
        value: bytes = raw[:-CRC_BYTES]
        return value

    def _believe_absent(self, key: bytes) -> None:
        """Believe that LMDB has no `key`: the rows on either side of the gap are intact and enclose it."""
        if self._txn is None:
            return
        try:
            cursor = self._cursor
            if cursor is None:
                cursor = self._cursor = self._txn.cursor()
            if not cursor.set_range(key):   # the tree's own row is always there, and last of all
                raise self._damaged("The tree has lost its end", key)
            after, raw = cursor.item()
            if after <= key:
                raise self._damaged("The tree is out of order", key)
            if _crc32c(after + raw) != INTACT:
                raise self._damaged("A row's checksum is wrong", after)
            if cursor.prev():
                before, raw = cursor.item()
                if before >= key:
                    raise self._damaged("The tree is out of order", key)
                if _crc32c(before + raw) != INTACT:
                    raise self._damaged("A row's checksum is wrong", before)
        except lmdb.Error as error:
            raise self._damaged("The tree cannot be read", key) from error

    def scan(self, low: bytes, high: bytes | None, reverse: bool) -> Iterator[Entry]:
        """The rows of [low, high) in order. Raises Damaged."""
        if self._txn is None:
            self._look_up(low)
            return
        try:
            yield from long_keys.walk(self._txn.cursor, self.open_row, low, high, reverse)
        except lmdb.Error as error:
            raise self._damaged("The tree cannot be read", low) from error

    def open_row(self, physical: bytes, raw: bytes) -> bytes:
        if _crc32c(physical + raw) != INTACT:
            raise self._damaged("A row's checksum is wrong", physical)
        return raw[:-CRC_BYTES]

    def renew(self) -> None:
        """Let reads see what was written."""
        self._stop_reading()
        self._start_reading()

    def snapshot(self) -> LmdbSnapshot:
        """See tree.Engine. Pages that it sees are not used again before it is closed: the file grows meanwhile."""
        assert not self.has_partial_checkpoint
        assert len(self.snapshots) < SNAPSHOTS_MAX, "who asks limits how many there are"
        snapshot = LmdbSnapshot(self, None if self._env is None else self._env.begin())
        self.snapshots.append(snapshot)
        return snapshot

    def _close_snapshots(self) -> None:
        for snapshot in list(self.snapshots):
            snapshot.close()

    def _start_reading(self) -> None:
        if self._env is not None:
            self._txn = self._env.begin()
            self._look_up = self._txn.get

    def _stop_reading(self) -> None:
        if self._txn is not None:
            self._txn.abort()
            self._txn, self._cursor, self._look_up = None, None, _no_row

    def reserve(self, rows: int, size: int) -> None:
        """Make sure that a checkpoint of `rows` rows and `size` bytes will fit. Before `write`, not during it."""
        need = 2 * size + (rows + 1024) * _MAP_PAGES_PER_ROW * 4096
        if self._env is not None:
            need += (self._env.info()["last_pgno"] + 1) * 4096
        if need <= self._map_bytes:
            return
        map_bytes = 1 << need.bit_length()
        if self._env is not None:
            self._stop_reading()
            self._close_snapshots()     # LMDB moves its map
            # If the system has no more addresses, the environment is unusable: reads must say so, not find nothing.
            self._look_up = _unreadable
            try:
                self._env.set_mapsize(map_bytes)
            except (lmdb.Error, MemoryError, OSError) as error:
                self._is_broken = True
                raise WorldError(
                    f"The tree cannot grow: {error}", path=self.path, operation="map",
                    hint="Give the process more address space (ulimit -v), then start it again.",
                ) from error  # fmt: skip
            self._start_reading()
        self._map_bytes = map_bytes

    def close(self) -> None:
        self._stop_reading()
        self._close_snapshots()
        self._look_up = _closed
        if self._env is not None:
            self._env.close()
            self._env = None

    # Writing: the checkpoint thread

    def write(self, rows: Iterator[tuple[bytes, bytes | None]], applied: Applied | None) -> None:
        """See tree.Engine."""
        assert not self._is_read_only
        if self._is_broken:
            raise WorldError(
                "An earlier write to this tree failed", path=self.path, operation="write",
                hint="Restart the server: it recovers the tree from the log.",
            )  # fmt: skip
        try:
            if self._env is None:
                make_environment(self.folder)
                self._env = self._open()
            with self._env.begin(write=True) as txn:
                for key, value in rows:
                    _write_row(txn, key, value)
                self._write_meta(txn, applied)
        except (lmdb.Error, OSError) as error:
            raise self._failed_write(error) from error
        self.has_partial_checkpoint = applied is None
        if applied is not None:
            self.applied = applied

    def _write_meta(self, txn: Any, applied: Applied | None) -> None:
        if applied is None and self.has_partial_checkpoint:
            return      # it stands there already
        txn.put(META_KEY, encode_meta(self.group, applied or self.applied, is_partial=applied is None))

    def _failed_write(self, error: Exception) -> WorldError:
        code = code_of(error)
        if is_for_lack_of_space(error, self.folder):
            return DiskFull("No space for a checkpoint", path=self.path, operation="write",
                            hint="The log keeps everything; the checkpoint is tried again.")  # fmt: skip
        if code == errno.EROFS:
            return ReadOnly("The disk does not take writes", path=self.path, operation="write")
        if self._env is None and code in EXHAUSTED:    # it was not even opened
            return Exhausted(f"A tree cannot be opened: {error}", path=self.path, operation="open",
                             hint="Allow this process more open files (ulimit -n), or close connections.")  # fmt: skip
        # After a failed write or sync nobody knows what is on disk. Copy-on-write keeps the last transaction safe.
        self._is_broken = True
        return WorldError(f"A checkpoint failed: {error}", path=self.path, operation="write",
                          hint="Restart the server: it recovers the tree from the log.")  # fmt: skip

    # Opening

    def _open(self) -> Any:
        # lock=True although one process owns the file: it is LMDB's table of readers that keeps the writer from
        # using again the pages that the loop's read transaction sees. sync: each commit is durable.
        # readahead off: rows are read one at a time from anywhere.
        return open_environment(
            self.folder, is_read_only=self._is_read_only,
            map_size=self._map_bytes, max_readers=8, max_spare_txns=1, readahead=False,
        )  # fmt: skip

    def _open_existing(self) -> None:
        length = os.path.getsize(self.path)
        if length == 0:
            return      # made, and then the power went: the log has everything, or recovery finds the hole
        while self._map_bytes < 2 * length:
            self._map_bytes *= 2
        try:
            self._env = self._open()
            pages = self._env.info()["last_pgno"] + 1
            if length < pages * self._env.stat()["psize"]:
                self._env.close()
                self._env = None
                verify_structure(self.folder, self.group)
                self._env = self._open()
            if self._env.info()["last_txnid"] == 0:
                return  # made, and nothing was ever written
            self._start_reading()
            self._read_meta()
        except lmdb.Error as error:
            self.close()
            if code_of(error) is not None:
                raise self._failed_write(error) from error
            raise self._damaged("The tree cannot be opened", META_KEY) from error
        except OSError as error:
            self.close()
            raise self._failed_write(error) from error
        except Damaged:
            self.close()
            raise

    def _read_meta(self) -> None:
        try:
            self.applied, self.has_partial_checkpoint = decode_meta(self._look_up(META_KEY), self.group)
        except ValueError as error:
            raise self._damaged(str(error), META_KEY) from None

    def _damaged(self, problem: str, physical: bytes) -> Damaged:
        return Damaged(
            problem, path=self.path, group=self.group,
            hint=f"LMDB key {physical.hex()}. Stop the server, run `varley check`, restore the folder from a copy.",
        )  # fmt: skip


class LmdbSnapshot:
    """See tree.EngineSnapshot."""

    def __init__(self, engine: LmdbEngine, txn: Any) -> None:
        self.applied = engine.applied
        self._engine = engine
        self._txn = txn     # None: there is no file yet, or it is closed
        self._is_gone = False

    def rows(self, after: bytes, bytes_max: int) -> list[Entry]:
        if self._is_gone:
            raise SnapshotGone
        if self._txn is None:
            return []
        # The key that follows `after`, in the order of bytes, is `after` and a zero.
        rows = long_keys.walk(self._txn.cursor, self._engine.open_row, after + b"\0", None, False)
        return first_rows(rows, bytes_max)

    def close(self) -> None:
        if not self._is_gone:
            self._is_gone = True
            self._engine.snapshots.remove(self)
            if self._txn is not None:
                self._txn.abort()


def make_environment(folder: str) -> None:
    """Make an empty LMDB environment in `folder`, durably, unless there is one; make the folder too.

    Raises OSError and lmdb.Error.
    """
    path = os.path.join(folder, DATA_FILE)
    if os.path.exists(path):
        return
    os.makedirs(folder, exist_ok=True)
    _reserve(os.path.join(folder, LOCK_FILE), _LOCK_FILE_BYTES)
    new_path = os.path.join(folder, NEW_DATA_FILE)
    if os.path.exists(new_path):
        os.remove(new_path)     # an earlier attempt came so far
    new = lmdb.open(new_path, subdir=False, lock=False, mode=0o700, map_size=_MAP_BYTES_MIN, lib_version=_LIBRARY)
    try:
        new.sync(True)
    finally:
        new.close()
    os.rename(new_path, path)
    _disk.sync_folder(folder)
    _disk.sync_folder(os.path.dirname(os.path.abspath(folder)))


def open_environment(folder: str, *, is_read_only: bool = False, **options: Any) -> Any:
    """The LMDB environment in `folder`, which exists. `options` are lmdb.open's. Raises OSError and lmdb.Error."""
    if not is_read_only:
        _reserve(os.path.join(folder, LOCK_FILE), _LOCK_FILE_BYTES)
    return lmdb.open(
        folder, readonly=is_read_only, lock=not is_read_only, create=False, mode=0o700, lib_version=_LIBRARY, **options
    )


def _reserve(path: str, size: int) -> None:
    """Make sure that the first `size` bytes of a file have their place on the disk."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o700)
    try:
        _disk.reserve(file, size)
    finally:
        os.close(file)


def encode_meta(group: int, applied: Applied, *, is_partial: bool) -> bytes:
    """The tree's own row, checksum included."""
    payload = _META.pack(META_VERSION, is_partial, group, *applied)
    return payload + _pack_crc(_crc32c(META_KEY + payload))


def decode_meta(raw: bytes | None, group: int) -> tuple[Applied, bool]:
    """(Applied, whether a checkpoint is incomplete) of a tree's own row. ValueError says what is wrong with it."""
    if raw is None:
        raise ValueError("The tree's own row is missing")
    if len(raw) != _META.size + CRC_BYTES or _crc32c(META_KEY + raw) != INTACT:
        raise ValueError("The tree's own row is damaged")
    version, is_partial, its_group, *applied = _META.unpack(raw[:-CRC_BYTES])
    if version != META_VERSION:
        raise ValueError(f"The tree has format version {version}, this Varley reads {META_VERSION}")
    if its_group != group:
        raise ValueError(f"The tree is that of group {its_group}, not {group}")
    return Applied(*applied), bool(is_partial)


def verify_structure(folder: str, group: int) -> None:
    """Prove from its bytes, without LMDB, that the tree in `folder` is sound. Costs about 4 s per GB.

    Raises Damaged. The first finding is in its text; `check` lists all.
    """
    path = os.path.join(folder, DATA_FILE)
    problems = structure_problems(folder)
    if problems:
        raise Damaged(f"The tree's structure is damaged: {problems[0]}", path=path, group=group,
                      hint="Stop the server, run `varley check`, restore the folder from a copy.")  # fmt: skip


def structure_problems(folder: str) -> list[str]:
    """What is wrong with the pages of the tree in `folder`, as text; empty: nothing."""
    try:
        problems: list[str] = lmdb.verify.verify(folder)  # type: ignore[no-untyped-call]
    except lmdb.verify.VerifyError as error:
        return [str(error)]
    return problems


def _write_row(txn: Any, key: bytes, value: bytes | None) -> None:
    assert b"" < key < ROWS_END, "the first byte of a row key is its space, and that is not FF"
    if len(key) < LMDB_KEY_BYTES_MAX:
        if value is None:
            txn.delete(key)
        else:
            txn.put(key, value + _pack_crc(_crc32c(key + value)))
        return
    physical, pointers = long_keys.place(key)
    if value is None:
        if txn.delete(physical):
            long_keys.remove_empty_subtrees(key, pointers, txn)
        return
    txn.put(physical, value + _pack_crc(_crc32c(physical + value)))
    for pointer in pointers:
        txn.put(pointer, _pack_crc(_crc32c(pointer)))


def _unreadable(key: bytes) -> bytes | None:
    raise WorldError("The tree can no longer be read", operation="read", hint="Start the server again.")


def _no_row(key: bytes) -> None:
    """What a look-up gives while there is no file."""
    return


def _closed(key: bytes) -> None:
    raise AssertionError("the tree is closed")


def is_for_lack_of_space(error: Exception, folder: str) -> bool:
    """Whether LMDB or the system failed in `folder` because the disk is full.

    LMDB calls a write that was cut short, which is how a full disk begins, an input/output error. That is tried out,
    then: to take a full disk for a broken one would stop the server, and the other way round does no harm, since a
    transaction that is tried again writes all of its pages again.
    """
    code = code_of(error)
    if code != errno.EIO:
        return code in NO_SPACE
    path = os.path.join(folder, _PROBE_FILE)
    try:
        _reserve(path, _PROBE_BYTES)
    except OSError as refusal:
        return refusal.errno in NO_SPACE
    finally:
        try:
            os.remove(path)
        except OSError:
            pass    # it was not even made
    return False


def code_of(error: Exception) -> int | None:
    """The errno of an OSError, or of an lmdb.Error, where LMDB gives it as text; None if that has none."""
    if isinstance(error, OSError):
        return error.errno
    text = str(error)
    for code in (*NO_SPACE, *CANNOT_WRITE, *EXHAUSTED, errno.EIO):
        if os.strerror(code) in text:
            return code
    return None
