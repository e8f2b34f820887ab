"""A folder that stands for Amazon S3: a folder in it is a bucket, a file below that is an object.

    objects/                    the folder (setting `s3_dir`)
    └── music-data/             bucket
        └── 2026/part-1.json    object; its key is 2026/part-1.json

Blocking: called on a disk thread. Raises OSError: who asked has to say what that means for the client.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO, Final, cast

LINES_PER_CHUNK: Final = 64
_BYTES_PER_CHUNK: Final = 1024 * 1024


class NoBucket(OSError):
    """There is no such folder."""


class OutsideBucket(ValueError):
    """A key that leads out of its bucket, as no key of the service's can: ../../etc/passwd."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    size: int    # bytes, as they lie there


class ObjectFolder:
    """The buckets."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)

    def list(self, bucket: str, prefix: str) -> list[StoredObject]:
        """The objects whose keys begin with `prefix`, in the order of their keys. Raises NoBucket."""
        folder = self._bucket(bucket)
        found = []
        for top, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(top, name)
                key = os.path.relpath(path, folder).replace(os.sep, "/")
                if key.startswith(prefix):
                    found.append(StoredObject(key, os.path.getsize(path)))
        return sorted(found, key=lambda each: each.key.encode())

    def lines(self, bucket: str, key: str, *, is_gzip: bool, skip: int) -> LineReader:
        """The lines of an object, without the first `skip`. Close it."""
        return LineReader(self._file(bucket, key), is_gzip=is_gzip, skip=skip)

    def append(self, bucket: str, key: str, at: int, data: bytes) -> None:
        """Let an object consist of its first `at` bytes and `data`; make it, and what is above it, if it is not there.

        Nothing stays of what was behind byte `at`: a writer that was killed goes on where it knows that it was.
        Raises NoBucket, OutsideBucket.
        """
        self._bucket(bucket)
        path = self._file(bucket, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "r+b" if os.path.exists(path) else "w+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def check(self, bucket: str, key: str) -> None:
        """Raises NoBucket, OutsideBucket."""
        self._bucket(bucket)
        self._file(bucket, key)

    def _bucket(self, bucket: str) -> str:
        folder = os.path.join(self._path, bucket)
        if not os.path.isdir(folder):
            raise NoBucket(f"There is no folder {folder}")
        return folder

    def _file(self, bucket: str, key: str) -> str:
        folder = os.path.join(self._path, bucket)
        path = os.path.normpath(os.path.join(folder, key))
        if not path.startswith(folder + os.sep):
            raise OutsideBucket(key)
        return path


class LineReader:
    """One object, a few lines at a time."""

    def __init__(self, path: str, *, is_gzip: bool, skip: int) -> None:
        self._raw: BufferedReader = open(path, "rb")    # noqa: SIM115 - close() closes it
        self._lines: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw)) if is_gzip else self._raw
        for _ in self._some(skip):
            pass

    def next_lines(self) -> list[bytes]:
        """Some lines, without their ends; [] at the end of the object. Raises OSError, EOFError for bad gzip."""
        lines: list[bytes] = []
        size = 0
        for line in self._some(LINES_PER_CHUNK):
            lines.append(line.rstrip(b"\r\n"))
            size += len(line)
            if size >= _BYTES_PER_CHUNK:
                break
        return lines

    @property
    def bytes_read(self) -> int:
        """Of the object as it lies there; of a compressed one, a little more than what the lines came from."""
        return self._raw.tell()

    def close(self) -> None:
        self._lines.close()
        self._raw.close()

    def _some(self, count: int) -> Iterator[bytes]:
        for _ in range(count):
            line = self._lines.readline()
            if not line:
                return
            yield line
