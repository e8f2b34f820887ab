"""The seam behind which metadata is kept: a small linearizable store of keys and values.

One process keeps it in LMDB (local.py) or in memory (memory.py). The operations are those that a cluster's
store has too, so nothing above this seam changes when metadata moves there:

    get, list            what is there now, with versions
    compare_and_set      several keys at once, all or nothing, if none has changed since it was read

There is no lock and no transaction that stays open. Whoever changes something reads it, computes, and
writes on the condition that what was read is still so; who loses reads again. A *version* is the number of
the compare_and_set that last wrote a key, counted over the whole store, so it never repeats, not even for a
key that was deleted and written again.

Data never goes here: values are small, and every change is a durable write.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Store(Protocol):
    """All methods may be called at the same time; each takes place at one moment between its call and its end.

    Raises, and it is the world's fault: DiskFull, ReadOnly (nothing was changed; a retry may work),
    LogFailed (a change may or may not be there after the next start; all later changes fail), Damaged (from
    reads).
    """

    async def get(self, key: str) -> Entry | None: ...

    async def list(self, prefix: str) -> Sequence[Entry]:
        """All entries whose keys begin with `prefix`, in the order of their keys' UTF-8 bytes."""
        ...

    async def compare_and_set(self, changes: Sequence[Change]) -> int | None:
        """Make all changes, durably, if every key has its expected version; else make none.

        Returns the version that the written keys have now, or None if a key was not as expected. No key may
        appear twice.
        """
        ...

    async def close(self) -> None: ...
