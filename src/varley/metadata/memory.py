"""Metadata in memory: for a server that keeps nothing, and for tests of what stands above the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from varley.clock import Clock, SystemClock
from varley.metadata.in_process import InProcessLease, Watchers, refuse_ended_leases
from varley.metadata.store import ABSENT, Change, Changed, Entry, Lease, Listed, Told


class MemoryStore:
    """See store.Store. Nothing here waits, so every method is one moment."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._entries: dict[str, Entry] = {}
        self._version = 0    # versions given out
        self._leases: set[InProcessLease] = set()
        self._leased: dict[str, InProcessLease] = {}    # by key
        self._watchers = Watchers()

    async def get(self, key: str) -> Entry | None:
        self._end_leases()
        return self._entries.get(key)

    async def list(self, prefix: str) -> Sequence[Entry]:
        self._end_leases()
        return self._list(prefix)

    async def snapshot(self, prefix: str) -> Listed:
        self._end_leases()
        return Listed(self._list(prefix), self._version)

    async def compare_and_set(self, changes: Sequence[Change]) -> int | None:
        assert len({change.key for change in changes}) == len(changes) > 0
        self._end_leases()
        refuse_ended_leases(changes)
        for change in changes:
            entry = self._entries.get(change.key)
            if (ABSENT if entry is None else entry.version) != change.expected_version:
                return None
        return self._make(changes)

    async def watch(self, prefix: str) -> AsyncGenerator[Told, None]:
        queue = self._watchers.add(prefix)
        try:
            self._watchers.begin(queue, await self.snapshot(prefix))
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(queue)

    async def lease(self, seconds: float) -> Lease:
        async def wait_for_look() -> None:
            self._end_leases()

        lease = InProcessLease(seconds, self._clock, self._end_leases, wait_for_look)
        self._leases.add(lease)
        return lease

    async def close(self) -> None:
        for lease in self._leases:
            lease.has_ended()
        self._leases.clear()

    def _list(self, prefix: str) -> Sequence[Entry]:
        found = [entry for key, entry in self._entries.items() if key.startswith(prefix)]
        return sorted(found, key=lambda entry: entry.key.encode())

    def _make(self, changes: Sequence[Change]) -> int:
        self._version += 1
        written = []
        for change in changes:
            self._leased.pop(change.key, None)
            if change.value is None:
                self._entries.pop(change.key, None)
                continue
            entry = self._entries[change.key] = Entry(change.key, change.value, self._version)
            written.append(entry)
            if change.lease is not None:
                assert isinstance(change.lease, InProcessLease)
                self._leased[change.key] = change.lease
        deleted = [change.key for change in changes if change.value is None and change.expected_version != ABSENT]
        self._watchers.tell(Changed(self._version, written, deleted))
        return self._version

    def _end_leases(self) -> None:
        for lease in [each for each in self._leases if each.is_due]:
            self._leases.remove(lease)
            lease.is_over = True
            keys = [key for key, each in self._leased.items() if each is lease]
            if keys:
                self._make([Change(key, self._entries[key].version, None) for key in keys])
            lease.has_ended()
