"""The placement of strategy 1: what a history says about who stores what, where every node has random tokens.

A partition is what lies between a token and the one before it, and is known by its token's position: it keeps that name
when another token cuts off its front, and its extent with it changes. So a join or a leave changes partitions, and with
them the hash trees, and what is to be transferred has to be cut out of what there was: the reasons for which the paper
left this strategy. It is here to be compared with, and for rings whose settings say so.

The tokens follow from the history, as owners do in strategy 3 (decision 0071): what stands for chance is the MD5 of the
node, the time of the change by which it joined, and the number of the token. A node that leaves and joins again draws
anew; one that joins again with another capacity or address keeps what it has, and draws more or gives some back.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from varley.ring import preference_list
from varley.ring.membership import Change, History, Kind, Member
from varley.ring.preference_list import PreferenceList
from varley.ring.tokens import POSITION_BITS, Tokens, range_of, ring_of

TOKENS_DEFAULT = 32     # T: of a node of capacity 1


@dataclass(frozen=True)
class TokenPlacement:
    history: History
    tokens_per_capacity: int = TOKENS_DEFAULT
    _lists: dict[int, PreferenceList] = field(default_factory=dict, repr=False, compare=False)  # as they are asked for

    @cached_property
    def members(self) -> dict[str, Member]:
        return self.history.members()

    @cached_property
    def ring(self) -> Tokens:
        """All tokens, ascending; empty if the ring has no members."""
        drawn_at: dict[str, int] = {}
        for change, _ in self.history.walk():
            if change.kind == Kind.JOIN.value:
                drawn_at.setdefault(change.node, change.time_us)
            else:
                drawn_at.pop(change.node, None)
        return ring_of([self._drawn(name, drawn_at[name]) for name in self.members])

    @cached_property
    def owners(self) -> tuple[str, ...]:
        return tuple(node for _, node in self.ring)

    def before(self, change: Change) -> TokenPlacement:
        """As it was without this one of its changes, and all that came after it."""
        return TokenPlacement(self.history.before(change), self.tokens_per_capacity)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        return tuple(position for position, _ in self.ring)

    def partition_of(self, key: bytes) -> int:
        """0 if the ring has no members."""
        return self.ids[range_of(key, self.ring)] if self.ring else 0

    def spans(self, partition: int) -> tuple[tuple[int, int], ...]:
        """Which positions lie in it: [low, high) of each stretch. Two where it goes round the end; none if unknown."""
        index = bisect_left(self.ids, partition)
        if index == len(self.ids) or self.ids[index] != partition:
            return ()
        if index:
            return ((self.ids[index - 1], partition),)
        return ((0, partition), (self.ids[-1], 1 << POSITION_BITS))

    def overlapping(self, low: int, high: int) -> tuple[int, ...]:
        """The partitions that have something of [low, high)."""
        if not self.ids:
            return ()
        first, last = bisect_right(self.ids, low), bisect_left(self.ids, high)
        return tuple(dict.fromkeys(self.ids[index % len(self.ids)] for index in range(first, last + 1)))

    def preference(self, partition: int) -> PreferenceList:
        """Empty if there is no such partition now."""
        found = self._lists.get(partition)
        if found is None:
            index = bisect_left(self.ids, partition)
            if index == len(self.ids) or self.ids[index] != partition:
                return ()
            zones = {name: member.zone for name, member in self.members.items()}
            found = self._lists[partition] = preference_list.walk(self.owners, index, zones)
        return found

    def homes(self, partition: int, n: int) -> PreferenceList:
        return self.preference(partition)[:n]

    def _drawn(self, node: str, time_us: int) -> Tokens:
        count = max(1, round(self.members[node].capacity * self.tokens_per_capacity))
        lots = (hashlib.md5(f"{node}/{time_us}/{index}".encode(), usedforsecurity=False) for index in range(count))
        return tuple((int.from_bytes(lot.digest(), "big"), node) for lot in lots)
