"""What an engine is to the store above it: an ordered map from keys to entries, written in durable batches.

An entry has two parts, so that what is needed of every row at start and in comparisons (a *head*: checksum, digest,
key) can be read without its *body* (the versions, up to megabytes). Engines know nothing of what the parts mean, and
check nothing that `rows.py` checks for all of them.

The paper's nodes choose among Berkeley DB, MySQL and a memory buffer by the size and kind of what is stored (section
5). Here: LMDB (a B-tree in one memory-mapped file; reads cost a microsecond, writes copy pages), SQLite (a log beside
the file; many small writes and values of many pages cost less, reads more), memory (what nobody needs after a crash).

Threads. `write` is called on the writer's thread; all else on the loop's. While a write is under way the store above
answers from what it is writing, so it does not matter whether a read meets it before `renew`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from varley.errors import WorldError


class Entry(NamedTuple):
    head: bytes     # at most 60 KB
    body: bytes


class NoRoom(WorldError):
    """Not the disk is full but what the engine has laid out. Call `grow` on the loop, and write again."""

    def __init__(self, problem: str, *, path: str, grow: Callable[[], None]) -> None:
        super().__init__(problem, path=path, operation="write")
        self.grow = grow    # raises WorldError


Batch = Mapping[bytes, Entry | None]    # key (at most 256 bytes) -> what is there from now on; None: nothing


class Engine(Protocol):
    kind: str           # as it is chosen: "lmdb"
    is_durable: bool    # what `write` has written is there after a crash

    def get(self, key: bytes) -> Entry | None:
        """Raises Damaged, WorldError."""
        ...

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, head) of [low, high), ascending. Nothing may be renewed until it is used up."""
        ...

    def write(self, batch: Batch) -> None:
        """All of it or, if it raises, nothing; durable when it returns.

        Raises NoRoom, DiskFull or Exhausted (a retry may work); any other WorldError means that nothing may be written
        again.
        """
        ...

    def renew(self) -> None:
        """Let reads see what was written. No write is under way."""
        ...

    def close(self) -> None:
        """No write is under way."""
        ...
