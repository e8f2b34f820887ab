"""Metadata in memory: for a server that keeps nothing, and for tests of what stands above the store."""

from __future__ import annotations

from collections.abc import Sequence

from varley.metadata.store import ABSENT, Change, Entry


class MemoryStore:
    """See store.Store. Nothing here waits, so every method is one moment."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0    # versions given out

    async def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    async def list(self, prefix: str) -> Sequence[Entry]:
        found = [entry for key, entry in self._entries.items() if key.startswith(prefix)]
        return sorted(found, key=lambda entry: entry.key.encode())

    async def compare_and_set(self, changes: Sequence[Change]) -> int | None:
        assert len({change.key for change in changes}) == len(changes) > 0
        for change in changes:
            entry = self._entries.get(change.key)
            if (ABSENT if entry is None else entry.version) != change.expected_version:
                return None
        self._revision += 1
        for change in changes:
            if change.value is None:
                self._entries.pop(change.key, None)
            else:
                self._entries[change.key] = Entry(change.key, change.value, self._revision)
        return self._revision

    async def close(self) -> None:
        pass
