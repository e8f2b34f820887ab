"""A partition, wherever it is: what the routes of a cluster have in place of node.partition.Partition.

It can be asked what a Partition can be asked. If this node can answer, the replica here does, and it is noted that the
answer relies on this node's leading (hosted.py); else `Elsewhere` is raised, before anything was done. So the code that
answers requests is the same on one machine and on many, and knows nothing of who leads.

On one machine routes have the Partition itself, and none of this is there.

    get, scan, tree                             any replica that is here, whether or not it leads
    undecided, undecided_range, reign           the leader; this is what a strong read asks first
    write, newest, propose, participant, …      the leader

Whoever takes what entries carry to other groups, or wants to hear of markers, says so once, and it holds for each
replica of the group that comes to this node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from varley.errors import Throttling
from varley.item.key_bytes import ITEM_SPACE
from varley.item.marker import Marker
from varley.node.elsewhere import Elsewhere, Need
from varley.node.participant import Participant
from varley.node.partition import Partition, Write
from varley.node.replica import Outgoing, Proposal, Waiter
from varley.remote.hosted import Hosted
from varley.remote.sums import Sums
from varley.storage.log_format import Row
from varley.storage.tree import Tree
from varley.table.parting import Parting


class AbsentTree:
    """Of a partition that has no replica here: what is known of its size, and no rows."""

    __slots__ = ("_group", "_sums")

    end: Final = None    # what is known of that, who has it says

    def __init__(self, group: int, sums: Sums) -> None:
        self._group = group
        self._sums = sums

    @property
    def parting(self) -> Parting | None:
        raise Elsewhere(self._group, Need.COPY)

    @property
    def item_count(self) -> int:
        return self._sums.of(self._group).items

    @property
    def size_bytes(self) -> int:
        return self._sums.of(self._group).size_bytes

    def get(self, key: bytes) -> bytes | None:
        tallies = self._sums.tallies(self._group, key)
        if tallies is None:
            raise Elsewhere(self._group, Need.COPY)
        return tallies or None

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        raise Elsewhere(self._group, Need.COPY)


class RoutedPartition:
    """Used from the event loop only."""

    __slots__ = ("_absent", "_hosted", "_markers_to", "_outgoing", "group")

    def __init__(self, group: int, hosted: Hosted, sums: Sums) -> None:
        self.group = group
        self._hosted = hosted
        self._absent = AbsentTree(group, sums)
        self._outgoing: Outgoing | None = None
        self._markers_to: Callable[[Marker], None] | None = None
        hosted.watch(group, self._changed)

    def _changed(self) -> None:
        """A replica has come, or gone, or begun to lead."""
        found = self._hosted.partitions.get(self.group)
        if found is not None:
            found[0].carry_outgoing(self._outgoing)
            if self._markers_to is not None and found[1].is_leading:
                found[0].tell_of_markers(self._markers_to)

    # Any replica

    @property
    def tree(self) -> Tree:
        partition = self._hosted.copy(self.group)
        return cast(Tree, self._absent) if partition is None else partition.tree

    def get(self, key: bytes) -> bytes | None:
        partition = self._hosted.copy(self.group)
        if partition is None:
            raise Elsewhere(self.group, Need.COPY)
        end = partition.tree.end
        if end is not None and key[:1] == ITEM_SPACE and key[1:] >= end.at:
            raise Elsewhere(end.child, Need.COPY)    # this node's map is old
        return partition.get(key)

    def check_reading(self, high: bytes | None) -> None:
        end = self.tree.end
        if end is not None and (high is None or len(high) == 1 or high[1:] > end.at):
            raise Elsewhere(end.child, Need.COPY)

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Whoever reads a slice at a time asks anew for each: the replica may have gone in between, with its tree."""
        return self.tree.scan(low, high, reverse=reverse)

    # The leader

    def _led(self, need: Need) -> Partition:
        found = self._hosted.partitions.get(self.group)
        if found is None or not found[1].is_leading:
            raise Elsewhere(self.group, need)
        return found[0]

    def _relied_on(self) -> Partition:
        partition = self._led(Need.LEADER)
        relied = self._hosted.relied_on
        if relied is not None:
            relied.on(self.group, self._hosted.partitions[self.group][1])
        return partition

    @property
    def is_leading(self) -> bool:
        return self._hosted.leads(self.group)

    @property
    def reign(self) -> int:
        """The ballot in which this node leads: what is known of the partition from an earlier one may not be so."""
        self._relied_on()
        return self._hosted.partitions[self.group][1].ballot

    def undecided(self, key: bytes) -> Proposal | None:
        return self._relied_on().undecided(key)

    def undecided_range(self) -> Proposal | None:
        return self._relied_on().undecided_range()

    def _asked_to_write(self) -> Partition:
        partition = self._led(Need.WRITE)
        relied = self._hosted.relied_on
        if relied is not None:
            relied.on_write(self.group, partition, self._hosted.partitions[self.group][1])
        return partition

    def write(self, write: Write, waiter: Waiter) -> bytes | None:
        return self._asked_to_write().write(write, waiter)

    @property
    def participant(self) -> Participant:
        return self._asked_to_write().participant

    def newest(self, key: bytes) -> bytes | None:
        return self._led(Need.WRITE).newest(key)

    def next_timestamp(self, count: int = 1, *, after_us: int = 0) -> int:
        return self._led(Need.WRITE).next_timestamp(count, after_us=after_us)

    def propose(self, rows: Sequence[Row], timestamp_us: int, waiter: Waiter) -> None:
        self._led(Need.WRITE).propose(rows, timestamp_us, waiter)

    @property
    def is_under_pressure(self) -> bool:
        """Of this node, if it leads: of another it is heard when that is asked to write."""
        found = self._hosted.partitions.get(self.group)
        return found is not None and found[1].is_leading and found[0].is_under_pressure

    def overload(self) -> Throttling:
        return self._led(Need.WRITE).overload()

    # Whoever wants to be told

    def carry_outgoing(self, outgoing: Outgoing | None) -> None:
        self._outgoing = outgoing
        self._changed()

    def tell_of_markers(self, met: Callable[[Marker], None]) -> None:
        self._markers_to = met
        self._changed()


def routed(group: int, hosted: Hosted, sums: Sums) -> Partition:
    """The partition of `group`, for routes. A RoutedPartition has all that is asked of a Partition from above."""
    return cast(Partition, RoutedPartition(group, hosted, sums))
