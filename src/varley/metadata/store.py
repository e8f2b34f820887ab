"""The seam behind which metadata is kept: a small linearizable store of keys and values.

One process keeps it in LMDB (local.py) or in memory (memory.py), a cluster in etcd (etcd.py). Nothing above this seam
knows which:

    get, list            what is there now, with versions
    compare_and_set      several keys at once, all or nothing, if none has changed since it was read
    watch                what is there now, and from then on every change, in order and without gaps
    lease                a time for which keys stay, renewed by whoever holds it: how others learn that it is gone

There is no lock and no transaction that stays open. Whoever changes something reads it, computes, and
writes on the condition that what was read is still so; who loses reads again. A *version* is the number of
the compare_and_set that last wrote a key. Numbers ascend over the whole store, and need not be consecutive; so a
version never repeats, not even for a key that was deleted and written again.

What a watch tells
==================

First all keys with its prefix (`Listed`), as of one version; then, one by one, every compare_and_set that touched some
of them (`Changed`), whole, in the order of their versions. Where that is not possible, since the store was away for so
long that it has forgotten what happened meanwhile, it tells everything anew, as `Listed`, and goes on from there. So
whoever replaces its view at each Listed and applies each Changed has at any time what the store had at one moment;
there is no third case to forget. A store that cannot be reached tells nothing: those who watch go on with what they
have (static stability), and what they have missed is told when it is back.

Rejected: a revision to begin from, as etcd's own watch has. Its callers would all have to list first, and again when
the revision is gone; those are the two lines that are easily got wrong.

Data never goes here: values are small, and every change is a durable write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

ABSENT: Final = 0    # the version of a key that is not there


@dataclass(frozen=True, slots=True)
class Entry:
    """A key that is there, as it was when it was read."""

    key: str
    value: bytes
    version: int    # > ABSENT


@dataclass(frozen=True, slots=True)
class Change:
    """What shall become of one key."""

    key: str
    expected_version: int    # what it must be now; ABSENT: the key must not be there
    value: bytes | None    # None: delete the key
    lease: Lease | None = None    # the key goes when this ends; a later change that names none takes it out of it


@dataclass(frozen=True, slots=True)
class Listed:
    """All that there is with a watch's prefix, in the order of the keys' UTF-8 bytes: forget what was told before."""

    entries: Sequence[Entry]
    version: int    # every compare_and_set up to this one is in it, and none after it


@dataclass(frozen=True, slots=True)
class Changed:
    """What one compare_and_set, or the end of one lease, has done to the keys with a watch's prefix."""

    version: int    # more than that of what was told before
    written: Sequence[Entry]    # all of this version
    deleted: Sequence[str]


Told = Listed | Changed


class Lease(Protocol):
    """A time that its holder extends again and again; when it is over, the keys under it are deleted.

    `lost` is set once: when the store says that it has ended, or when it was not renewed for so long that it may have.
    It is set no later than the keys go, as far as both sides' clocks run equally fast. Whoever holds it must not rely
    on its keys any more from then on; nothing brings a lease back.
    """

    seconds: float
    lost: asyncio.Event

    async def renew(self) -> bool:
        """Extend it to `seconds` from now. False: it is lost. Raises Unreachable; then it may be renewed later."""
        ...

    async def keep(self) -> None:
        """Renew it three times in its length, and return when it is lost. Cancel it to stop."""
        ...

    async def end(self) -> None:
        """Delete the keys under it now. If the store cannot be reached they go when the time is over."""
        ...


class Store(Protocol):
    """All methods may be called at the same time; each takes place at one moment between its call and its end.

    Raises, and it is the world's fault: DiskFull, ReadOnly, Unreachable (nothing was changed; a retry may work),
    LogFailed (a change may or may not be there after the next start; all later changes fail), OutcomeUnknown (a change
    may or may not take place; read again), Damaged (from reads).
    """

    async def get(self, key: str) -> Entry | None: ...

    async def list(self, prefix: str) -> Sequence[Entry]:
        """All entries whose keys begin with `prefix`, in the order of their keys' UTF-8 bytes."""
        ...

    async def snapshot(self, prefix: str) -> Listed:
        """The same, and as of which version it is so: what a watch that began now would tell first."""
        ...

    async def compare_and_set(self, changes: Sequence[Change]) -> int | None:
        """Make all changes, durably, if every key has its expected version; else make none.

        Returns the version that the written keys have now, or None if a key was not as expected. No key may
        appear twice. Raises also LeaseEnded, and then nothing was changed.
        """
        ...

    def watch(self, prefix: str) -> AsyncGenerator[Told, None]:
        """See above. It never ends by itself; `aclose()` or the end of the task that waits for it stops it.

        Raises WorldError if what the store says cannot be: it is another store than before, or an older state of it.
        """
        ...

    async def lease(self, seconds: float) -> Lease:
        """A new lease. The holder has `keep` run in a task, or calls `renew` itself."""
        ...

    async def close(self) -> None: ...
