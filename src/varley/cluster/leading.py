"""What follows when this node begins to lead a group, or ends to: told to the others, and to what works at leaders only.

    begins    all other nodes hear it (channel ROUTES); indexes, expiry and the like take up the partition
    ends      nobody is told: whoever begins next tells it, and whoever asks here is sent on
    a link    to a node is there (again): that node hears of all that is led here, since what was sent before is lost
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from varley.cluster.hosting import Hosting
from varley.net.channels import ROUTES
from varley.net.links import Links
from varley.node.member import node_of
from varley.node.member_partition import MemberPartition
from varley.remote.peers import Peers


class AtLeaders(Protocol):
    """Something that is done for a partition where it is led."""

    def begins_to_lead(self, group: int) -> None: ...


class Leading:
    """Its first two methods are what Node is given. Used from the event loop only."""

    def __init__(self, links: Links, peers: Peers, others: Callable[[], Iterable[str]]) -> None:
        """`others`: the names of all other nodes."""
        self._links = links
        self._peers = peers
        self._others = others
        self.hosting: Hosting | None = None         # set when it is made
        self.at_leaders: list[AtLeaders] = []       # who hears that a partition is led here
        links.watch(self._link_has_changed)

    def on_leading(self, partition: MemberPartition, ballot: int) -> None:
        assert self.hosting is not None
        group = partition.group
        self.hosting.attach(group, partition)
        news = self._peers.begins_to_lead(group, ballot, self.hosting.nodes_of(group))
        for other in self._others():
            self._links.send(other, ROUTES, news)
        for each in self.at_leaders:
            each.begins_to_lead(group)

    def on_following(self, partition: MemberPartition) -> None:
        self._peers.leaders.has_left(partition.group, self._links.name)

    def _link_has_changed(self, peer: str, is_up: bool) -> None:
        if is_up:
            self._links.send(peer, ROUTES, self._peers.all_led())
