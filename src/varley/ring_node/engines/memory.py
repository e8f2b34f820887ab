"""The memory engine: a dict, gone with the process. The other replicas are what makes a ring of such nodes durable."""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from varley.ring_node.engines.engine import Batch, Entry


class MemoryEngine:
    """See engine.Engine. Its `write` may be called on the loop's thread: it waits for nothing."""

    kind = "memory"
    is_durable = False

    def __init__(self) -> None:
        self._entries: SortedDict[bytes, Entry] = SortedDict()

    def get(self, key: bytes) -> Entry | None:
        found: Entry | None = self._entries.get(key)
        return found

    def scan(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        entries = self._entries
        return ((key, entries[key].head) for key in entries.irange(low, high, (True, False)))

    def write(self, batch: Batch) -> None:
        for key, entry in batch.items():
            if entry is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = entry

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass
