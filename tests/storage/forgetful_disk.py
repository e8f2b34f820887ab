"""A disk in memory that forgets at a power cut what was not synced.

It implements `varley.storage.disk.Disk` and keeps two versions of everything: what the system shows (its
cache), and what is on the platter. A power cut leaves the platter, plus whatever part of the cache happened
to get there: each sector of 512 bytes for itself, each name in a folder for itself. Which ones is drawn from
a seeded Random, so that a failing run can be had again.

    disk.cut_at = 17         the 17th call from now is the last: PowerCut in the middle of it
    disk.fail(...)           calls that raise OSError, having done half of their work
    disk.after_power_cut(random, "torn")    the disk that the next process finds
    disk.after_kill()                       the same after kill -9: the cache survives, and nothing was synced by that

What it is strict about, as POSIX is and real file systems mostly are not: syncing a file does not make its
name durable, and names created or removed are durable in no particular order until the folder is synced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from random import Random

SECTOR = 512


class PowerCut(BaseException):
    """Not an Exception, so that nothing handles it: no code runs after the power went."""


class _File:
    def __init__(self, platter: bytes = b"") -> None:
        self.platter = bytearray(platter)
        self.cache = bytearray(platter)
        # Sectors whose sync failed: the cache holds them as clean, so that no later sync writes them.
        self.dropped: set[int] = set()

    def sync(self) -> None:
        old = self.platter
        self.platter = bytearray(self.cache)
        for sector in self.dropped:
            at = sector * SECTOR
            size = len(self.platter[at : at + SECTOR])
            self.platter[at : at + size] = old[at : at + SECTOR].ljust(size, b"\0")[:size]

    def drop_unsynced(self) -> None:
        """What a failed sync leaves: on the platter nothing new, in the cache everything, and no memory of it."""
        for sector in range(-(-len(self.cache) // SECTOR)):
            place = slice(sector * SECTOR, (sector + 1) * SECTOR)
            if self.cache[place] != self.platter[place]:
                self.dropped.add(sector)

    def cut(self, random: Random, manner: str) -> bytes:
        if manner == "none":
            return bytes(self.platter)
        if manner == "all":
            self.sync()
            return bytes(self.platter)
        size = random.choice((len(self.platter), len(self.cache)))
        image = bytearray(self.platter.ljust(size, b"\0")[:size])
        for sector in range(-(-size // SECTOR)):
            place = slice(sector * SECTOR, min((sector + 1) * SECTOR, size))
            new = self.cache[place].ljust(place.stop - place.start, b"\0")
            if sector not in self.dropped and new != image[place] and random.random() < 0.5:
                image[place] = new
        return bytes(image)


class ForgetfulDisk:
    """See above. `capacity` is what all files may take together; None: there is always space."""

    def __init__(self, *, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.calls: list[str] = []           # every call that changes something, in order
        self.cut_at: int | None = None       # the power goes in the middle of the call with this index
        self._failures: list[tuple[str, int]] = []    # (call, error), the first of each call is next; 0: none
        self._names: dict[str, _File] = {}            # as the system shows them
        self._platter_names: dict[str, _File] = {}    # as a power cut leaves them
        self._opened: dict[int, _File] = {}

    # What a test does to it

    def fail(self, call: str, error: int, *, times: int = 1, skip: int = 0) -> None:
        """The next `times` calls of that name fail, after `skip` that do not."""
        self._failures += [(call, 0)] * skip + [(call, error)] * times

    def heal(self) -> None:
        self._failures.clear()

    def after_power_cut(self, random: Random, manner: str = "torn") -> ForgetfulDisk:
        """`manner`: what of the unsynced got to the platter: "none", "all", or "torn" (some)."""
        disk = ForgetfulDisk(capacity=self.capacity)
        names = sorted(self._names.keys() | self._platter_names.keys())
        for name in names:
            kept = self._platter_names.get(name), self._names.get(name)
            file = kept[0] if manner == "none" else kept[1] if manner == "all" else random.choice(kept)
            if file is not None:
                disk._names[name] = disk._platter_names[name] = _File(file.cut(random, manner))
        return disk

    def after_kill(self) -> ForgetfulDisk:
        disk = ForgetfulDisk(capacity=self.capacity)
        disk._names = dict(self._names)
        disk._platter_names = dict(self._platter_names)
        return disk

    def flip(self, path: str, offset: int, mask: int = 0xFF) -> None:
        """Damage one byte, wherever it is kept."""
        file = self._names[path]
        file.cache[offset] ^= mask
        file.platter = bytearray(file.cache)

    def contents(self, path: str) -> bytes:
        return bytes(self._names[path].cache)

    def put(self, path: str, data: bytes) -> None:
        """A file that has always been there."""
        self._names[path] = self._platter_names[path] = _File(data)

    @property
    def paths(self) -> list[str]:
        return sorted(self._names)

    # What the log does to it

    def create(self, path: str) -> int:
        self._begin("create")
        # A new file: what was under this name may come back at a power cut.
        file = self._names[path] = _File()
        self._end()
        return self._open(file)

    def open(self, path: str) -> int:
        if path not in self._names:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._open(self._names[path])

    def close(self, file: int) -> None:
        del self._opened[file]

    def reserve(self, file: int, size: int) -> None:
        self._begin("reserve")
        opened = self._opened[file]
        used = sum(len(other.cache) for other in self._names.values()) - len(opened.cache)
        if self.capacity is not None and used + size > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        opened.cache = opened.cache.ljust(size, b"\0")
        self._end()

    def write_synced(self, file: int, offset: int, parts: Sequence[bytes]) -> None:
        data = b"".join(parts)
        opened = self._opened[file]

        def write(length: int) -> None:
            if offset + length > len(opened.cache):
                opened.cache = opened.cache.ljust(offset + length, b"\0")
            opened.cache[offset : offset + length] = data[:length]

        error = self._begin("write_synced", raises=False)
        if error == errno.EIO:    # the write went into the cache, and the sync did not reach the platter
            write(len(data))
            opened.drop_unsynced()
        elif error:
            # The first half, in whole sectors, since space is given out in blocks; of one sector, all of it: a call
            # that fails may have done its work.
            sectors = -(-len(data) // SECTOR)
            write(min(-(-sectors // 2) * SECTOR, len(data)))
        else:
            write(len(data))
        if error:
            raise OSError(error, os.strerror(error))
        self._end()
        self._sync_after_write(opened, offset, len(data))

    def _sync_after_write(self, file: _File, offset: int, length: int) -> None:
        """Only what was written is made durable (and the file's size, which it needs to be found)."""
        file.platter = file.platter.ljust(min(offset + length, len(file.cache)), b"\0")
        file.platter[offset : offset + length] = file.cache[offset : offset + length]

    def sync(self, file: int) -> None:
        self._begin("sync")
        self._end()
        self._opened[file].sync()

    def settle(self, file: int) -> None:
        self._begin("settle")
        self._end()
        opened = self._opened[file]
        opened.sync()
        opened.dropped.clear()
        opened.cache = bytearray(opened.platter)

    def size(self, file: int) -> int:
        return len(self._opened[file].cache)

    def read(self, file: int, offset: int, length: int) -> bytes:
        return bytes(self._opened[file].cache[offset : offset + length])

    def truncate(self, path: str, size: int) -> None:
        self._begin("truncate")
        del self._names[path].cache[size:]
        self._end()

    def list(self, folder: str) -> list[str]:
        return [name.rpartition("/")[2] for name in self._names if name.rpartition("/")[0] == folder]

    def remove(self, path: str) -> None:
        self._begin("remove")
        if path not in self._names:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        del self._names[path]
        self._end()

    def sync_folder(self, folder: str) -> None:
        self._begin("sync_folder")
        self._end()
        self._platter_names = dict(self._names)

    def _open(self, file: _File) -> int:
        number = max(self._opened, default=2) + 1
        self._opened[number] = file
        return number

    def _begin(self, call: str, *, raises: bool = True) -> int:
        """Count the call. Gives (or raises) the error that it is to fail with; 0: none."""
        assert self.cut_at is None or len(self.calls) <= self.cut_at, "a call after the power cut"
        self.calls.append(call)
        for index, (name, error) in enumerate(self._failures):
            if name == call:
                del self._failures[index]
                if error and raises:
                    raise OSError(error, os.strerror(error))
                return error
        return 0

    def _end(self) -> None:
        """The call has changed the cache, and not the platter yet: here the power goes."""
        if self.cut_at is not None and len(self.calls) > self.cut_at:
            raise PowerCut
