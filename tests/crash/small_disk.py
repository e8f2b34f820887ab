"""A disk that is really full, or really cannot be written: a file system of its own, for which one must be root."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_BYTES = 8 * 1024 * 1024


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of DISK_BYTES on `folder`. Skips the test, loudly, if that is not allowed."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "varley-test", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount `folder` over itself, such that nothing in it can be written."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    mounted = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if mounted.returncode:
        reason = f"NOT TESTED, a file system must be mounted: run this as root. mount: {mounted.stderr.strip()}"
        warnings.warn(reason, stacklevel=3)
        pytest.skip(reason)


class Filling:
    """A file that takes space away, down to the last page, and gives it back."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filling"

    def take(self, leave: int = 0) -> None:
        """All that is left but `leave` bytes."""
        free = os.statvfs(self._path.parent).f_bavail * os.statvfs(self._path.parent).f_frsize
        with open(self._path, "ab", buffering=0) as file:
            at = os.path.getsize(self._path)
            if free > leave:
                os.posix_fallocate(file.fileno(), at, free - leave)

    def give_back(self) -> None:
        self._path.unlink()
