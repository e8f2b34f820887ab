"""Strong answers without leases (`--strong-reads read-index`): a quorum is asked before each.

Where a partition is led is what it is; only `may_answer` never says yes. So each strong answer is computed, a quorum is
asked whether this node still leads, and it is computed again from what is applied then (gateway/asked.py): what leaves
depends on no clock. One round of messages serves all requests that wait for one. Leases go on beside it: they keep
leaders in office, and others from being elected.
"""

from __future__ import annotations

from varley.node.member_partition import MemberPartition
from varley.node.settled import Done
from varley.remote.hosted import Lead


def by_lease(partition: MemberPartition) -> Lead:
    """The usual way: a partition says itself whether its lease still runs."""
    return partition


class ByQuorum:
    """A Lead."""

    __slots__ = ("_partition",)

    def __init__(self, partition: MemberPartition) -> None:
        self._partition = partition

    @property
    def is_leading(self) -> bool:
        return self._partition.is_leading

    @property
    def ballot(self) -> int:
        return self._partition.ballot

    @property
    def leader(self) -> str | None:
        return self._partition.leader

    def may_answer(self, ballot: int) -> bool:
        return False

    def confirm(self, then: Done) -> None:
        self._partition.confirm(then)
