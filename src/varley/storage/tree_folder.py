"""Where the trees of a node are kept: one folder for each replica under `trees/`, named by its group.

    trees/0000000000000007/data.mdb         group 7
                           incoming/        a tree that comes from another member, until it is whole
                           snapshot.json    what came with the newest that did

A tree that comes from another member takes the place of the old one in one rename. What came with it (the origin of
its last entry, and who belongs to the group) is written before that, and is true whether the rename comes to pass or
not: a chosen slot has one origin. So a crash leaves the old state or the new one, and what the log does not know of
the new one is in that file.

In memory (`--in-memory`) the same interface keeps nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from typing import Final

import msgspec
from google_crc32c import value as crc32c

from varley.paxos.membership import Configuration
from varley.storage.disk import RealDisk, failure
from varley.storage.inventory import Inventory
from varley.storage.lmdb_engine import DATA_FILE, LmdbEngine
from varley.storage.memory_engine import MemoryEngine
from varley.storage.tree import Engine

INCOMING: Final = "incoming"
SNAPSHOT_FILE: Final = "snapshot.json"
NEW_SNAPSHOT_FILE: Final = "snapshot.json.new"      # while it is being written
_FORMAT: Final = 1


class SnapshotNote(msgspec.Struct, frozen=True):
    """What belongs to the state that all entries up to `slot` come to."""

    slot: int
    origin: int     # of the entry of `slot`
    configuration: Configuration    # in force there

    def encoded(self) -> bytes:
        line = json.dumps({"format": _FORMAT, **msgspec.to_builtins(self)}).encode()
        return line + b"\n%08x\n" % crc32c(line)


def decode_note(data: bytes) -> SnapshotNote | None:
    """None if this is not what was written."""
    line, _, rest = data.partition(b"\n")
    if rest != b"%08x\n" % crc32c(line):
        return None
    try:
        return msgspec.json.decode(line, type=SnapshotNote)
    except msgspec.DecodeError:
        return None


class TreeFolder:
    """The trees in a data folder. `open` is cheap; the rest blocks on the disk."""

    def __init__(self, path: str, inventory: Inventory | None = None, *, is_read_only: bool = False) -> None:
        """`inventory`: of the data folder that `path` is in; without it, nothing is known of what was there."""
        self.path = path
        self.inventory = inventory or Inventory(os.path.dirname(path))
        self._is_read_only = is_read_only

    def open(self, group: int) -> LmdbEngine:
        """The engine of a group; nothing is written before its first checkpoint. Raises Damaged."""
        return LmdbEngine(self.folder_of(group), group, is_read_only=self._is_read_only)

    def remove(self, group: int) -> None:
        """Remove the tree of a group, if it has one and can be removed. Its engine is closed."""
        shutil.rmtree(self.folder_of(group), ignore_errors=True)

    def remember(self, groups: Iterable[int]) -> None:
        """The trees of `groups` have had a checkpoint: from now on it is damage if one has none. Raises WorldError."""
        self.inventory.add(trees=groups)

    def groups(self) -> list[int]:
        """The groups that have a folder here, in order."""
        names = [name for name in os.listdir(self.path) if len(name) == 16]
        return sorted(int(name, 16) for name in names)

    def folder_of(self, group: int) -> str:
        return os.path.join(self.path, f"{group:016x}")

    # A tree that comes from another member

    def open_incoming(self, group: int) -> LmdbEngine:
        """An empty engine for it; what came of an earlier one is gone. Raises WorldError."""
        folder = os.path.join(self.folder_of(group), INCOMING)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        except OSError as error:
            raise failure(error, "A tree cannot be taken in", folder, "write") from error
        return LmdbEngine(folder, group)

    def note_snapshot(self, group: int, note: SnapshotNote) -> None:
        """Durable when it returns. Raises WorldError."""
        folder = self.folder_of(group)
        path = os.path.join(folder, SNAPSHOT_FILE)
        try:
            RealDisk().replace(path, os.path.join(folder, NEW_SNAPSHOT_FILE), note.encoded())
        except OSError as error:
            raise failure(error, "What came with a tree cannot be written", path, "write") from error

    def noted_snapshot(self, group: int) -> SnapshotNote | None:
        try:
            with open(os.path.join(self.folder_of(group), SNAPSHOT_FILE), "rb") as file:
                return decode_note(file.read())
        except FileNotFoundError:
            return None

    def install_incoming(self, group: int, incoming: Engine) -> LmdbEngine:
        """Put the incoming tree, which is whole, where the old one was, whose engine is closed."""
        incoming.close()
        folder = self.folder_of(group)
        os.rename(os.path.join(folder, INCOMING, DATA_FILE), os.path.join(folder, DATA_FILE))
        return self.open(group)

    def settle_incoming(self, group: int) -> None:
        """Make that durable. Raises WorldError."""
        folder = self.folder_of(group)
        try:
            RealDisk().sync_folder(folder)
        except OSError as error:
            raise failure(error, "A tree cannot be taken in", folder, "write") from error
        shutil.rmtree(os.path.join(folder, INCOMING), ignore_errors=True)


class NoFolder:
    """The trees of a server that keeps nothing."""

    def open(self, group: int) -> MemoryEngine:
        return MemoryEngine()

    def remove(self, group: int) -> None:
        pass

    def remember(self, groups: Iterable[int]) -> None:
        pass

    def open_incoming(self, group: int) -> MemoryEngine:
        return MemoryEngine()

    def note_snapshot(self, group: int, note: SnapshotNote) -> None:
        pass

    def install_incoming(self, group: int, incoming: Engine) -> Engine:
        return incoming

    def settle_incoming(self, group: int) -> None:
        pass
