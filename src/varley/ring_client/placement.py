"""Who stores a key, as far as the client knows: a node's answer to GET /ring/v1/placement, read.

It may be old. A node that is asked in vain says so or forwards the request, so nothing goes wrong by it but time.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import msgspec

from varley.ring import preference_list
from varley.ring.preference_list import PreferenceList
from varley.ring.siblings import Mode
from varley.ring.tokens import partition_of, position_of
from varley.ring_node.keys import ring_key


class _Placement(msgspec.Struct):
    version: str
    strategy: int
    owners: list[str]
    zones: dict[str, str]
    endpoints: dict[str, str]
    settings: str
    positions: list[str] | None = None


class KnownPlacement:
    """Immutable but for what it has worked out already."""

    def __init__(self, body: bytes) -> None:
        """Raises ValueError if it is not a placement (not a node of a ring, or a later version)."""
        try:
            read = msgspec.json.decode(body, type=_Placement)
            self._settings: dict[str, Any] = msgspec.json.decode(read.settings)
        except msgspec.DecodeError as error:
            raise ValueError(f"this is not the placement of a ring: {error}") from None
        self.version = read.version
        self.endpoints = read.endpoints
        self._owners = read.owners
        self._zones = read.zones
        self._positions = None if read.positions is None else [int(each, 16) for each in read.positions]
        self._lists: dict[int, PreferenceList] = {}

    def preference(self, bucket: str, key: bytes) -> PreferenceList:
        """All nodes, in the order in which they store the key; empty if the ring has no members."""
        if not self._owners:
            return ()
        place = self._place(ring_key(bucket, key))
        found = self._lists.get(place)
        if found is None:
            found = self._lists[place] = preference_list.walk(self._owners, place, self._zones)
        return found

    def quorum(self, bucket: str) -> tuple[int, int, Mode]:
        """(N, R, mode) of the bucket."""
        chosen = self._settings["buckets"].get(bucket, self._settings["default"])
        return chosen["n"], chosen["r"], Mode(chosen["mode"])

    def _place(self, name: bytes) -> int:
        if self._positions is None:
            return partition_of(name, len(self._owners))
        return bisect_right(self._positions, position_of(name)) % len(self._positions)
