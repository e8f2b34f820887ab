"""Where the trees of a node are kept: one folder for each replica under `trees/`, named by its group.

    trees/0000000000000007/data.mdb      group 7

In memory (`--in-memory`) the same interface keeps nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from varley.storage.inventory import Inventory
from varley.storage.lmdb_engine import LmdbEngine
from varley.storage.memory_engine import MemoryEngine


class TreeFolder:
    """The trees in a data folder. `open` is cheap; `remove` and `groups` block on the disk."""

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


class NoFolder:
    """The trees of a server that keeps nothing."""

    def open(self, group: int) -> MemoryEngine:
        return MemoryEngine()

    def remove(self, group: int) -> None:
        pass

    def remember(self, groups: Iterable[int]) -> None:
        pass
