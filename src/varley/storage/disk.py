"""The few things that the log asks of a disk, and the real disk.

This is a seam because there is a second disk: tests and the simulator run the log on one that forgets what
was not synced (tests/storage/forgetful_disk.py). A promise is written on each call: whether what it did
survives a power cut.

How a write is made durable was measured with 2 KB writes (ext4 on a virtual disk; median of 1,500, µs):

    file that grows, write then fdatasync           134
    space reserved by fallocate                     118     each write still changes the file's extents
    space reserved and filled with zeros             89     nothing changes but the data
    the same, one pwritev with RWF_DSYNC             88     and one return to Python

Hence `reserve`, zeros written ahead of need where nobody waits for them, and one call for write and sync.
While a thread is in a system call the event loop has the interpreter, and each return from one must win it
back.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from varley.errors import DiskFull, Exhausted, ReadOnly, WorldError

# What the system says in these cases says nothing about the bytes that are on the disk, and may pass.
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
CANNOT_WRITE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def kind_of(code: int | None) -> type[WorldError]:
    """What an errno means: DiskFull, ReadOnly, Exhausted; WorldError itself for all else."""
    for codes, kind in ((NO_SPACE, DiskFull), (CANNOT_WRITE, ReadOnly), (EXHAUSTED, Exhausted)):
        if code in codes:
            return kind
    return WorldError


def failure(error: OSError, problem: str, path: str, operation: str) -> WorldError:
    """What has failed, as `kind_of` says."""
    kind = kind_of(error.errno)
    return kind(f"{problem}: {error.strerror}", path=path, operation=operation, hint=_HINTS.get(kind, ""))


_HINTS: Final[dict[type[WorldError], str]] = {
    Exhausted: "Allow this process more open files (ulimit -n), or close connections",
    DiskFull: "Make room on that disk",
    ReadOnly: "Let this user write there (owner, permissions, a file system that is not mounted read-only)",
}


class Disk(Protocol):
    """Files are named by path and, once opened, by the number that opening gave. Every call may raise OSError."""

    def create(self, path: str) -> int:
        """Open a new, empty file for writing; what was there under this name is gone. Not durable by itself."""
        ...

    def open(self, path: str) -> int:
        """Open for reading."""
        ...

    def close(self, file: int) -> None: ...

    def reserve(self, file: int, size: int) -> None:
        """Make the file `size` bytes long: what was not written reads as zeros, and has its place on the disk."""
        ...

    def write_synced(self, file: int, offset: int, parts: Sequence[bytes]) -> None:
        """Write all of `parts`, one after the other. When this returns they are durable.

        If it raises, any of their sectors may or may not be on the disk, now or later.
        """
        ...

    def sync(self, file: int) -> None:
        """Make the file's bytes and size durable; not the folder's entry for it."""
        ...

    def settle(self, file: int) -> None:
        """Make durable what a dead process left in the system's cache; then forget the cache.

        Reads afterwards show what is on the disk, which after a failed sync is not what the cache shows: some
        file systems then keep pages as clean that were never written.
        """
        ...

    def size(self, file: int) -> int: ...

    def read(self, file: int, offset: int, length: int) -> bytes:
        """`length` bytes, or fewer where the file ends."""
        ...

    def truncate(self, path: str, size: int) -> None:
        """Cut the file. Not durable by itself."""
        ...

    def list(self, folder: str) -> list[str]:
        """Names in the folder, in no order."""
        ...

    def remove(self, path: str) -> None:
        """Not durable before `sync_folder`."""
        ...

    def sync_folder(self, folder: str) -> None:
        """Make durable which names the folder holds."""
        ...


class RealDisk:
    """The machine's disk. Its calls block; they may be made from several threads."""

    def __init__(self) -> None:
        # False once the system has said that it cannot write and sync in one call.
        self._can_write_synced = hasattr(os, "RWF_DSYNC") and hasattr(os, "pwritev")

    def create(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self, file: int) -> None:
        os.close(file)

    def reserve(self, file: int, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file, 0, size)
                return
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
        os.ftruncate(file, size)    # reads as zeros, and the disk may be full when it is written to

    def write_synced(self, file: int, offset: int, parts: Sequence[bytes]) -> None:
        if self._can_write_synced:
            try:
                written = os.pwritev(file, parts, offset, os.RWF_DSYNC)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                self._can_write_synced = False
            else:
                if written == sum(map(len, parts)):
                    return
                # A short write: whatever stopped it will be reported when the rest is written.
                _write_all(file, offset + written, b"".join(parts)[written:])
                _sync_data(file)
                return
        _write_all(file, offset, b"".join(parts))
        _sync_data(file)

    def sync(self, file: int) -> None:
        _sync(file)

    def settle(self, file: int) -> None:
        _sync(file)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def size(self, file: int) -> int:
        return os.fstat(file).st_size

    def read(self, file: int, offset: int, length: int) -> bytes:
        parts = []
        while length:
            part = os.pread(file, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(path, size)

    def list(self, folder: str) -> list[str]:
        return os.listdir(folder)

    def remove(self, path: str) -> None:
        os.remove(path)

    def replace(self, path: str, new_path: str, data: bytes) -> None:
        """Have `data` under the name `path`, durably: after a crash there is this file, or the one before, whole.

        `new_path`: another name in the same folder, for the time until that is so.
        """
        file = self.create(new_path)
        try:
            self.write_synced(file, 0, [data])
        finally:
            self.close(file)
        folder = os.path.dirname(path)
        self.sync_folder(folder)    # the new file, before the name that vouches for it
        os.rename(new_path, path)
        self.sync_folder(folder)

    def sync_folder(self, folder: str) -> None:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _sync(file)
        finally:
            os.close(file)


class ReadOnlyDisk(RealDisk):
    """For a folder that takes no writes: it is read as it is."""

    def settle(self, file: int) -> None:
        """Nobody has written here since the file system was mounted, so nothing is left to be made durable."""


def _write_all(file: int, offset: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        offset += written
        rest = rest[written:]


if sys.platform == "darwin":
    import fcntl

    def _sync(file: int) -> None:
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)    # fsync on macOS stops at the disk's own cache

    _sync_data = _sync
else:
    _sync = os.fsync
    _sync_data = os.fdatasync
