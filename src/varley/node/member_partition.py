"""A partition whose group has members on other nodes too: it may lead now, and follow later.

It lives as long as its member is hosted here. While the member leads, it is a Partition like any other. While it
follows, its applied state can be read, and may be behind; everything else raises NotLeading, which says that nothing
was done, and who may do it.

What a leader keeps beside its log begins anew with each leadership: the markers of transactions are read from the
applied state, which is complete then, and times go on behind the last one in it. So timestamps ascend through all
leaders of a group: each begins with everything applied that was ever chosen.

What runs at the leader only (sweeping, indexes, streams, transactions that were left) begins when `on_leading` is
called and ends when `on_following` is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from varley.errors import NotLeading
from varley.node.elsewhere import Elsewhere, Need
from varley.node.member import HostedMember, node_of
from varley.node.participant import Participant
from varley.node.partition import Partition, Pressure, Write
from varley.node.replica import Done, Outgoing, Proposal, Waiter
from varley.storage.log_format import Row


class MemberPartition(Partition):
    """Used from the event loop only."""

    __slots__ = ("_member", "_on_following", "_on_leading", "is_barred")

    def __init__(
        self,
        member: HostedMember,
        now_us: Callable[[], int],
        pressure: Pressure,
        *,
        on_leading: Callable[[MemberPartition, int], None],
        on_following: Callable[[MemberPartition], None],
    ) -> None:
        """`on_leading(partition, ballot)` is called when it may be written to, `on_following` when it no longer may."""
        self._member = member
        self._replica = member
        self._tree = self.tree = member.tree
        self._speculative = member.speculative
        self._now_us = now_us
        self._pressure = pressure
        self.group = member.group
        self.get = member.tree.get
        self.scan = member.tree.scan
        self.is_barred = False  # its member leads, but nothing is to be asked of it yet: see cluster/definitions.py
        # `participant` and `_markers` are there while it leads: see leads, follows, __getattr__.
        self._on_leading = on_leading
        self._on_following = on_following
        member.partition = self

    # From the member

    def leads(self, ballot: int) -> None:
        self.is_barred = False
        self.participant = Participant(self._member, self.next_timestamp)
        self._markers = self.participant.markers
        self._on_leading(self, ballot)

    def follows(self) -> None:
        del self.participant, self._markers
        self._member.on_abandon = None
        self._on_following(self)

    def __getattr__(self, name: str) -> object:
        # Reached only for what is not there.
        if name in ("participant", "_markers"):
            raise self.not_leading()
        raise AttributeError(name)

    # Who leads

    @property
    def is_leading(self) -> bool:
        return self._member.is_leading and not self.is_barred

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as this one knows; its own name if it is that."""
        name = self._member.leader_name
        return None if name is None else node_of(name)

    @property
    def has_state(self) -> bool:
        return self._tree.applied_slot > 0    # the first members of a group begin with slot 1

    @property
    def ballot(self) -> int:
        return self._member.ballot

    def moved(self) -> Exception:
        tree = self.tree
        there = tree.parting if tree.end is None or tree.end.at != tree.closed_from else tree.end
        assert there is not None
        return Elsewhere(there.child, Need.WRITE)

    def not_leading(self) -> NotLeading:
        leader = self.leader
        # It may know of its own ballot only, which it has just lost or not won yet.
        return NotLeading(self.group, None if leader == node_of(self._member.name) else leader)

    def may_answer(self, ballot: int) -> bool:
        return self._member.may_answer(ballot)

    def confirm(self, then: Done) -> None:
        self._member.confirm(then)

    # As in Partition, while it leads

    def write(self, write: Write, waiter: Waiter) -> bytes | None:
        if not self._member.is_leading or self.is_barred:
            raise self.not_leading()
        if self._member.is_full:
            raise self.overload()
        return super().write(write, waiter)

    def next_timestamp(self, count: int = 1, *, after_us: int = 0) -> int:
        self._check_leading()
        return super().next_timestamp(count, after_us=after_us)

    def propose(self, rows: Sequence[Row], timestamp_us: int, waiter: Waiter) -> None:
        self._check_leading()
        super().propose(rows, timestamp_us, waiter)

    @property
    def is_under_pressure(self) -> bool:
        return self._pressure.is_high or self._member.is_full

    def newest(self, key: bytes) -> bytes | None:
        self._check_leading()
        return super().newest(key)

    def undecided(self, key: bytes) -> Proposal | None:
        self._check_leading()
        return self._speculative.get(key)

    def undecided_range(self) -> Proposal | None:
        self._check_leading()
        return self._member.newest

    def _check_leading(self) -> None:
        if not self._member.is_leading or self.is_barred:
            raise self.not_leading()

    def carry_outgoing(self, outgoing: Outgoing | None) -> None:
        self._member.carry(outgoing)
