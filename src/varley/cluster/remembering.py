"""What this node knows of the cluster's metadata, kept in its own folder, so that it can start while etcd is away.

    the watch ---> see ---> a moment later ---+
                                              +--> one write at a time ---> metadata/remembered.bin
    hosting ---> hosts (waits for it) --------+

A node that starts without etcd goes by what it was told last: which tables there are, who belongs to which group, where
the other nodes are. That may be old, and does no harm: its groups know by themselves who belongs to them, whoever leads
says so to all, and a table that it has not heard of is answered by other nodes. What would change anything waits until
etcd is back (static stability): no member begins or is removed, since that would be decided from an old view.

Of what is in the folder the node must not be mistaken, though. Story: 1. A learner of group 7 begins on n4. 2. It gets
its vote, and promises something. 3. n4 is killed before it hears that the metadata names it, and etcd goes. 4. n4
starts by what it remembers, in which it has nothing of group 7, and removes what is there: a vote is forgotten. So the
groups that are hosted are in the file too, each before its first record.

Rejected: a store of its own for each node that is written before the views are told (each change of a table would wait
for the disks of all nodes); taking all groups of which the log has something for hosted (what has moved away stays in
the log for days, and would come back).

Source: Amazon DynamoDB (ATC 2022), section 6.5: what a request depends on is cached, and serves as it is while its
source is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from varley.errors import Damaged, Unreachable, WorldError
from varley.metadata.etcd import EtcdStore
from varley.metadata.mirror import Mirror
from varley.metadata.store import Entry, Listed, Told
from varley.storage.data_folder import DataFolder
from varley.storage.remembered import Remembered, encode, read, write

logger = logging.getLogger("varley.cluster")

# What tables, members and nodes are made of. Not what is written each second.
KEPT: Final = ("nodes/", "members/", "table/", "partitions/", "deleted/", "splits/", "groups")
_PAUSE_SECONDS: Final = 0.2     # changes of that time are one write
_AGAIN_SECONDS: Final = 2.0     # after the disk has refused
FIRST_SECONDS: Final = 4.0      # for etcd to answer a node that could start without it


class Remembering:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: DataFolder | None,
        keep: Callable[[Coroutine[Any, Any, None]], None],
        etcd: Callable[[], int] = lambda: 0,
    ) -> None:
        """`folder`: None, then nothing is kept. `keep` runs a coroutine, and says aloud if it fails. `etcd`: its id."""
        self._loop = loop
        self._folder = folder
        self._keep = keep
        self._etcd = etcd
        self._mirror = Mirror(*KEPT)
        self._version = 0
        self._hosted: set[int] = set()
        self._changes = 0       # so often has something become another
        self._written = 0       # so many of them are in the file; <= _changes
        self._writing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None      # not None while a change waits for its moment
        self._is_stopped = False

    def see(self, told: Told) -> None:
        """As a view of the metadata (metadata/following.py), the first of them."""
        self._version = max(self._version, told.version)
        if self._mirror.see(told):
            self._has_changed()

    async def hosts(self, *groups: int) -> None:
        """Members of these groups are about to begin here. In the file when this returns. Raises WorldError."""
        if not self._hosted.issuperset(groups):
            self._hosted.update(groups)
            self._changes += 1
        await self.save()

    def hosts_no_more(self, group: int) -> None:
        """What was here of it is removed."""
        if group in self._hosted:
            self._hosted.discard(group)
            self._has_changed()

    async def save(self) -> None:
        """Return when all that is known now is in the file. Raises WorldError."""
        wanted = self._changes
        async with self._writing:
            if self._folder is None or self._folder.is_read_only or self._written >= wanted:
                return
            covered = self._changes
            entries = [(each.key, each.value, each.version) for each in self._mirror.entries.values()]
            data = encode(Remembered(self._etcd(), self._version, self._hosted, entries))
            await self._loop.run_in_executor(None, write, self._folder, data)
            self._written = covered

    def stop(self) -> None:
        """Write nothing more, unless `save` is called."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _has_changed(self) -> None:
        self._changes += 1
        self._save_in(_PAUSE_SECONDS)

    def _save_in(self, seconds: float) -> None:
        if self._timer is None and not self._is_stopped:
            self._timer = self._loop.call_later(seconds, self._save_now)

    def _save_now(self) -> None:
        self._timer = None
        self._keep(self._save_or_later())

    async def _save_or_later(self) -> None:
        try:
            await self.save()
        except WorldError as error:
            logger.warning("this node could not start without etcd: %s", error)
            self._save_in(_AGAIN_SECONDS)


async def first_listed(
    loop: asyncio.AbstractEventLoop, store: EtcdStore, folder: DataFolder | None
) -> tuple[Listed, Remembered | None]:
    """What a node begins with: all that etcd has, and None; or, if it cannot be reached, what is remembered, and that.

    Raises Unreachable: and nothing is remembered; Damaged; Refused if etcd does not let us in.
    """
    remembered = None if folder is None else await loop.run_in_executor(None, _read, folder)
    if not isinstance(remembered, Remembered):
        found = await store.snapshot("")
        if remembered is not None:
            logger.warning("%s", remembered)
        return found, None
    try:
        async with asyncio.timeout(FIRST_SECONDS):
            return await store.snapshot(""), None
    except (Unreachable, TimeoutError) as error:
        store.trouble = error if isinstance(error, Unreachable) else Unreachable(
            "etcd has not answered in time", path=str(store.address), operation="read"
        )
        store.has_told(remembered.etcd, remembered.version)
        entries = tuple(Entry(*each) for each in remembered.entries)
        return Listed(entries, remembered.version), remembered


def _read(folder: DataFolder) -> Remembered | Damaged | None:
    try:
        return read(folder)
    except Damaged as error:
        return error    # no harm while etcd is there
