"""What a node of a cluster needs to start while etcd is away: `metadata/remembered.bin`. Drawn in docs/formats.md.

    offset  bytes
         0      4   "VRM1"
         4      4   CRC32C of all that follows, little-endian
         8          MessagePack: [etcd's id, version, [group, …], [[key, value, version], …]]

The entries are the metadata as the node was told of it last. The groups are those that have a member in this folder. A
group is in the file before its member here writes its first record, so what is remembered may be behind the metadata,
but never behind the folder: no member that has promised something is taken for one that was removed.

The file is replaced as a whole. If it is damaged the node has to wait for etcd, which has all of it: no harm is done.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from struct import Struct
from typing import Final, NamedTuple

import msgspec
from google_crc32c import value as crc32c

from varley.errors import Damaged
from varley.storage.data_folder import DataFolder
from varley.storage.disk import RealDisk, failure

_FILE: Final = "remembered.bin"
_MAGIC: Final = b"VRM1"
_head = Struct("<4sI")


class Remembered(NamedTuple):
    """What the file says."""

    etcd: int           # the id of the etcd that has told it; 0: not known
    version: int        # as of which
    hosted: Collection[int]
    entries: Sequence[tuple[str, bytes, int]]     # key, value, version


def encode(remembered: Remembered) -> bytes:
    body = msgspec.msgpack.encode(
        (remembered.etcd, remembered.version, sorted(remembered.hosted), remembered.entries)
    )
    return _head.pack(_MAGIC, crc32c(body)) + body


def decode(data: bytes) -> Remembered:
    """Raises ValueError if it is not what was written."""
    if len(data) < _head.size:
        raise ValueError("it is too short")
    magic, checksum = _head.unpack_from(data)
    body = data[_head.size :]
    if magic != _MAGIC:
        raise ValueError("another version has written it, or it is another file")
    if crc32c(body) != checksum:
        raise ValueError("its checksum is not that of its bytes")
    return _decode_body(body)


def read(folder: DataFolder) -> Remembered | None:
    """None: there is no such file. Blocks. Raises Damaged."""
    try:
        with open(_path(folder), "rb") as file:
            return decode(file.read())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Damaged(
            f"What this node remembers of the cluster cannot be used: {error}",
            path=_path(folder), hint="Start it when etcd can be reached: then it is written anew",
        ) from error  # fmt: skip


def write(folder: DataFolder, data: bytes) -> None:
    """Durably. Blocks. Raises WorldError if the disk refuses."""
    path = _path(folder)
    try:
        RealDisk().replace(path, path + ".new", data)
    except OSError as error:
        raise failure(error, "What is known of the cluster cannot be remembered", path, "write") from error


def _path(folder: DataFolder) -> str:
    return os.path.join(folder.metadata, _FILE)


_decode_body = msgspec.msgpack.Decoder(Remembered).decode
