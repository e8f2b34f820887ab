"""What one process knows of some of the keys in the metadata store, kept up to date from two sides.

The watch tells every change in order, a little later than it was made. A change that this process has made itself is in
its mirror at once: whoever was told that a table is there finds it. So the mirror runs ahead of the watch, and what the
watch tells of the past must not undo that. A story:

1. A table is created: version 7. The mirror has it.
2. The watch is at version 5, and tells everything anew, as of version 6: without the table. It stays.
3. The watch tells version 7. The mirror has it already, and runs ahead no more.

Versions decide: a key that is ahead at version v takes nothing from before v. While some keys are ahead and others are
not, what there is need not fit together: a name may belong to our new table already, and the map of one that had the
name before, deleted since, may still come and go (`is_ahead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varley.metadata.store import Change, Entry, Listed, Told


class Mirror:
    """Of the keys that begin with one of `prefixes`. Used from the event loop only."""

    def __init__(self, *prefixes: str) -> None:
        self.entries: dict[str, Entry] = {}
        self._prefixes = prefixes
        self._version = 0    # all up to this one was told
        self._ahead: dict[str, int] = {}    # by key: the version of our own change, above self._version

    @property
    def is_ahead(self) -> bool:
        """Whether it has a change of this process that the watch has not told yet."""
        return bool(self._ahead)

    def see(self, told: Told) -> Mapping[str, Entry | None]:
        """Take it in. Returns what is another now, with what was there before."""
        before: dict[str, Entry | None] = {}
        if told.version < self._version or (told.version == self._version and not isinstance(told, Listed)):
            return before    # older than a snapshot that was read since
        if isinstance(told, Listed):
            found = {entry.key: entry for entry in told.entries if entry.key.startswith(self._prefixes)}
            keys = [*found, *(key for key in self.entries if key not in found)]
        else:
            found = {entry.key: entry for entry in told.written if entry.key.startswith(self._prefixes)}
            keys = [*found, *(key for key in told.deleted if key.startswith(self._prefixes))]
        for key in keys:
            if self._ahead.get(key, 0) < told.version:
                self._become(key, found.get(key), before)
        self._version = told.version
        self._ahead = {key: version for key, version in self._ahead.items() if version > told.version}
        return before

    def made(self, changes: Sequence[Change], version: int) -> Mapping[str, Entry | None]:
        """Take in a compare_and_set of this process, which had this version. Returns the same as `see`."""
        before: dict[str, Entry | None] = {}
        for change in changes:
            if not change.key.startswith(self._prefixes) or version <= self._version:
                continue
            entry = None if change.value is None else Entry(change.key, change.value, version)
            self._become(change.key, entry, before)
            self._ahead[change.key] = version
        return before

    def _become(self, key: str, entry: Entry | None, before: dict[str, Entry | None]) -> None:
        old = self.entries.get(key)
        if entry == old:
            return
        before[key] = old
        if entry is None:
            del self.entries[key]
        else:
            self.entries[key] = entry
