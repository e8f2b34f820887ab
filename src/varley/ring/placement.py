"""The placement: what a history of membership says about who stores what. Immutable, the same on all who know the same.

Requests that are under way keep the placement that they began with; a new one takes effect for what begins
afterwards. Two nodes may see different ones for as long as gossip takes, so a home may change under a request: the
version then lies with a node that is no longer a home, which hands it over as it does a hint (transfer.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from varley.ring import preference_list
from varley.ring.membership import Change, History, Member
from varley.ring.preference_list import PreferenceList
from varley.ring.tokens import POSITION_BITS, Owners, partition_of, rebalance

PARTITIONS_DEFAULT = 256    # Q: many more than nodes. Fixed when the ring is made


@dataclass(frozen=True)
class Placement:
    history: History
    partitions: int = PARTITIONS_DEFAULT
    _lists: dict[int, PreferenceList] = field(default_factory=dict, repr=False, compare=False)  # as they are asked for

    @cached_property
    def members(self) -> dict[str, Member]:
        return self.history.members()

    @cached_property
    def _steps(self) -> list[Owners]:
        """The owners after each change in turn, in the order that all agree on."""
        owners: Owners = ()
        steps = []
        for change, members in self.history.walk():
            capacities = {name: member.capacity for name, member in members.items()}
            owners = rebalance(owners, capacities, self.partitions, salt=f"{change.time_us}/{change.node}")
            steps.append(owners)
        return steps

    @property
    def owners(self) -> Owners:
        return self._steps[-1] if self._steps else ()

    def before(self, change: Change) -> Placement:
        """As it was without this one of its changes, and all that came after it."""
        former = Placement(self.history.before(change), self.partitions)
        vars(former)["_steps"] = self._steps[: len(former.history.changes)]     # not to be worked out again
        return former

    @property
    def ids(self) -> range:
        return range(self.partitions)

    def partition_of(self, key: bytes) -> int:
        return partition_of(key, self.partitions)

    def spans(self, partition: int) -> tuple[tuple[int, int], ...]:
        """Which positions lie in it: [low, high) of each stretch."""
        low, high = (-(-(index << POSITION_BITS) // self.partitions) for index in (partition, partition + 1))
        return ((low, high),)

    def preference(self, partition: int) -> PreferenceList:
        """Empty if the ring has no members."""
        found = self._lists.get(partition)
        if found is None:
            zones = {name: member.zone for name, member in self.members.items()}
            found = preference_list.walk(self.owners, partition, zones) if self.owners else ()
            self._lists[partition] = found
        return found

    def homes(self, partition: int, n: int) -> PreferenceList:
        return self.preference(partition)[:n]
