"""What a data folder surely has, so that a start notices when it is gone.

A tree that was deleted, or a log of which nothing is left, looks like one that was never begun: the table would be
served as if it were empty. So one small file beside them remembers that they were there:

    inventory.json      {"format": 1, "newest_segment": 12, "trees": [1, 2, 7]}
                        22ba4185                                                    CRC32C of the line before it

Why no crash makes it wrong:

    trees     A tree is remembered after its first checkpoint is durable, and before any log segment is deleted on the
              strength of it. So a tree that is not remembered has all of its entries in the log, from slot 1 on: if it
              is lost, it is replayed. One that is remembered was there.
    segment   A segment is remembered after its head is durable. From then on the log never ends before it: only the
              oldest segments are ever deleted, and the newest one stays. Not each segment is remembered (that would be
              two syncs more for each): the first of each run, before anything in it is acknowledged, and the newest
              that a start finds.

The file is replaced as a whole: written under another name, synced, renamed. A folder without it is one that an older
version made, or a new one; a start writes it.

Rejected: a record in the metadata (a cluster shares its metadata, and this is about one node's folder), the log's
position in each tree's own row (it tells of a lost log only where there is a tree), and a mark in each tree's folder
(it would go with the folder).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from threading import Lock
from typing import Final, Self

from google_crc32c import value as crc32c

from varley.errors import Damaged, WorldError
from varley.storage.disk import RealDisk, failure

INVENTORY_FILE: Final = "inventory.json"
NEW_INVENTORY_FILE: Final = "inventory.json.new"    # while it is being written
_FORMAT: Final = 1


class Inventory:
    """What is remembered. `add` may be called from several threads; it blocks."""

    def __init__(self, folder: str, newest_segment: int = 0, trees: Iterable[int] = ()) -> None:
        """Use `Inventory.read`."""
        self.newest_segment = newest_segment    # a segment of the log that was begun; 0: none is known
        self.trees = frozenset(trees)           # groups whose first checkpoint is durable
        self._folder = folder
        self._lock = Lock()

    @classmethod
    def read(cls, folder: str) -> Self:
        """What `folder` remembers, nothing if it has no such file. Raises Damaged, or WorldError if a newer version
        wrote it."""
        path = os.path.join(folder, INVENTORY_FILE)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return cls(folder)
        line, _, rest = data.partition(b"\n")
        if rest != b"%08x\n" % crc32c(line):
            raise Damaged(
                "This is not the list of trees and log segments that was written", path=path,
                hint="Run `varley check`. If everything else is there, delete this file: a start makes it anew",
            )  # fmt: skip
        content = json.loads(line)
        if content["format"] != _FORMAT:
            raise WorldError(
                f"The list of trees and log segments has format {content['format']}, this Varley knows {_FORMAT}",
                path=path, operation="read", hint="Start the version that wrote it, or a later one",
            )  # fmt: skip
        return cls(folder, content["newest_segment"], content["trees"])

    def add(self, *, trees: Iterable[int] = (), newest_segment: int = 0) -> None:
        """Remember these too. Durable when it returns; does nothing if they are known.

        Raises DiskFull, ReadOnly or another WorldError; then nothing more is remembered than before.
        """
        with self._lock:
            all_trees = self.trees.union(trees)
            newest = max(self.newest_segment, newest_segment)
            if all_trees == self.trees and newest == self.newest_segment:
                return
            self._write(newest, all_trees)
            self.newest_segment, self.trees = newest, all_trees

    def log_was_lost(self, newest_segment: int) -> None:
        """What this remembers of the log's later segments is over: nobody relies on them any more, and the log goes on
        behind `newest_segment`. Durable when it returns. Raises as `add`."""
        with self._lock:
            if newest_segment < self.newest_segment:
                self._write(newest_segment, self.trees)
                self.newest_segment = newest_segment

    def keep_only(self, groups: Collection[int]) -> None:
        """Forget the trees of all other groups, whose tables were deleted. Written with the next `add`."""
        with self._lock:
            self.trees = self.trees.intersection(groups)

    def _write(self, newest_segment: int, trees: Collection[int]) -> None:
        content = {"format": _FORMAT, "newest_segment": newest_segment, "trees": sorted(trees)}
        line = json.dumps(content).encode()
        path = os.path.join(self._folder, INVENTORY_FILE)
        try:
            RealDisk().replace(path, os.path.join(self._folder, NEW_INVENTORY_FILE), line + b"\n%08x\n" % crc32c(line))
        except OSError as error:
            raise failure(error, "The list of trees and log segments cannot be written", path, "write") from error
