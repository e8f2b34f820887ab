"""What a node knows about its member of a group: for the console, and for whoever replaces members that are gone."""

from __future__ import annotations

from dataclasses import dataclass

from varley.node.member import HostedMember
from varley.paxos.membership import Configuration


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """Another member, as seen from here."""

    name: str
    matched: int | None         # the last slot that it has as the leader has it; None: not known, or not led here
    silent_us: int | None       # since it was last heard of; None: never, since this node is up


@dataclass(frozen=True, slots=True)
class MemberStatus:
    group: int
    name: str                   # of the member on this node
    role: str                   # "leader", "follower", "learner" (has no vote), "log" (has no state)
    ballot: int                 # the highest promised
    leader: str | None          # name of the member that leads, as far as this one knows
    is_healthy: bool            # it leads and has a lease; or its leader has shown one that still runs
    is_stalled: bool            # its log takes no writes
    base: int                   # entries begin after this slot
    applied: int                # the state has this slot
    chosen: int                 # so much is known to be chosen
    last: int                   # and so much is written down
    epoch: int                  # the slot of `configuration`: the higher one is the newer
    configuration: Configuration    # the newest that is surely chosen
    undecided_bytes: int        # proposed here, and not decided
    peers: tuple[PeerStatus, ...]

    @property
    def lag(self) -> dict[str, int]:
        """By member, as its leader knows it: how many slots it is behind. Only where it is known."""
        return {peer.name: max(0, self.chosen - peer.matched) for peer in self.peers if peer.matched is not None}

    def silent_for(self, seconds: float) -> list[str]:
        """The members of the configuration of which nothing was heard for so long, or ever."""
        return [
            peer.name for peer in self.peers if peer.silent_us is None or peer.silent_us >= seconds * 1_000_000
        ]


def status_of(member: HostedMember, heard_us: dict[str, int], now_us: int) -> MemberStatus:
    """`heard_us`: by name of a member, when something of it last came."""
    core = member.core
    epoch, configuration = member.configuration
    matched = core.matched
    peers = tuple(
        PeerStatus(one.name, matched.get(one.name), None if one.name not in heard_us else now_us - heard_us[one.name])
        for one in configuration.members
        if one.name != member.name
    )
    return MemberStatus(
        group=member.group, name=member.name, role=_role(member, configuration), ballot=core.promised,
        leader=member.leader_name, is_healthy=core.is_leader_healthy(now_us), is_stalled=member.is_stalled,
        base=core.log.base, applied=member.tree.applied_slot if member.has_tree else core.log.base, chosen=core.chosen,
        last=core.log.last, epoch=epoch, configuration=configuration, undecided_bytes=member.undecided_bytes,
        peers=peers,
    )  # fmt: skip


def _role(member: HostedMember, configuration: Configuration) -> str:
    if not member.has_tree:
        return "log"
    if member.is_leading:
        return "leader"
    return "follower" if member.name in configuration.voters else "learner"
