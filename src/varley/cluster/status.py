"""How the cluster is, asked of all nodes by the one that an operator asks; and leadership handed over at their wish.

    ["groups"]            service STATUS       -> what a node knows of the groups that it has, as JSON
    ["to", group, to]     service HAND_OVER    -> why it is refused, or nothing: it is under way

Of each group the leader's answer is shown, since only a leader knows how far behind the others are; of a group that
nobody leads, what any member says. A node that does not answer within a second or two is shown as not reached, and
that is all that is known of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from varley.cluster.neighbours import Neighbours
from varley.metadata.catalog import Catalog
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import Nodes
from varley.net.channels import HAND_OVER, STATUS
from varley.net.links import Links
from varley.net.outcome import Answer, NoAnswer, NotSent
from varley.node.member import node_of
from varley.node.node import Node
from varley.remote.memds_node import MemdsNode

_ANSWER_SECONDS: Final = 1.5


class GroupStatus(msgspec.Struct, kw_only=True, frozen=True):
    """As one of its members has it; members are nodes, by name."""

    group: int
    node: str               # who says so
    role: str               # leader, follower, learner, log
    leader: str | None
    ballot: int
    epoch: int
    chosen: int
    applied: int
    is_healthy: bool        # it has a lease, or its leader has shown one
    members: dict[str, str]             # name of the member -> voter, learner, log
    lag: dict[str, int]                 # name of the member -> slots that it is behind, as far as that is known
    silent_seconds: dict[str, float]    # name of the member -> since it was last heard of


_decode = msgspec.json.Decoder(list[GroupStatus]).decode
_decode_wish = msgspec.msgpack.Decoder(tuple[int, str | None]).decode


class Status:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        cluster: str,
        links: Links,
        node: Node,
        nodes: Nodes,
        neighbours: Neighbours,
        members: GroupMembers,
        catalog: Catalog,
        memds: MemdsNode,
    ) -> None:
        self._loop = loop
        self._cluster = cluster    # its name
        self._links = links
        self._node = node
        self._nodes = nodes
        self._neighbours = neighbours
        self._members = members
        self._catalog = catalog
        self._memds = memds
        links.serve_requests(STATUS, lambda sender, payload, answer: answer(msgspec.json.encode(self.of_groups_here())))
        links.serve_requests(HAND_OVER, self._asked_to_hand_over)

    def of_groups_here(self) -> list[GroupStatus]:
        return [self._of(group) for group in sorted(self._node.members.by_group)]

    def _of(self, group: int) -> GroupStatus:
        status = self._node.member_status(group)
        return GroupStatus(
            group=group,
            node=self._links.name,
            role=status.role,
            leader=None if status.leader is None else node_of(status.leader),
            ballot=status.ballot,
            epoch=status.epoch,
            chosen=status.chosen,
            applied=status.applied,
            is_healthy=status.is_healthy,
            members={
                each.name: "voter" if each.votes and each.kind == "full" else "log" if each.votes else "learner"
                for each in status.configuration.members
            },
            lag=status.lag,
            silent_seconds={
                peer.name: round(peer.silent_us / 1e6, 3) for peer in status.peers if peer.silent_us is not None
            },
        )

    async def of_cluster(self) -> dict[str, Any]:
        """What `varley cluster status --json` shows."""
        reports = await self._reports()
        found: dict[int, GroupStatus] = {}
        for report in reports.values():
            for each in report or ():
                known = found.get(each.group)
                if known is None or (each.role == "leader", each.ballot) > (known.role == "leader", known.ballot):
                    found[each.group] = each
        return {
            "cluster": self._cluster,
            "node": self._links.name,
            "nodes": self._node_rows(reports),
            "groups": [self._group_row(*each, found.get(each[0])) for each in self._groups()],
        }

    def _node_rows(self, reports: Mapping[str, list[GroupStatus] | None]) -> list[dict[str, Any]]:
        names = sorted({self._links.name, *self._neighbours, *(info.name for info in self._nodes)})
        rows = []
        for name in names:
            info, report = self._nodes.get(name), reports.get(name)
            rows.append(
                {
                    "name": name,
                    "zone": None if info is None else info.zone,
                    "endpoint": None if info is None else info.api or None,
                    "version": None if info is None else info.version,
                    "state": _state(is_registered=info is not None, is_reached=report is not None),
                    "replicas": None if report is None else len(report),
                    "leads": None if report is None else sum(each.role == "leader" for each in report),
                }
            )
        return rows

    def _groups(self) -> list[tuple[int, str, str | None]]:
        """(group, table, index) of all."""
        groups: list[tuple[int, str, str | None]] = []
        for described in self._catalog.described():
            table = described.table
            groups += ((each.group, table.name, None) for each in described.partitions)
            for index in table.global_indexes:
                partitions = described.index_partitions.get(index.id)
                groups += ((each.group, table.name, index.name) for each in partitions or ())
        return sorted(groups)

    def _group_row(self, group: int, table: str, index: str | None, status: GroupStatus | None) -> dict[str, Any]:
        published = self._members.get(group)
        if status is None:
            names = {} if published is None else {each.name: "unknown" for each in published.configuration.members}
            return {
                "group": group, "table": table, "index": index, "leader": None, "is_healthy": False,
                "epoch": None if published is None else published.epoch, "ballot": None, "chosen": None,
                "members": names, "lag": {}, "silent_seconds": {},
            }  # fmt: skip
        return {
            "group": group, "table": table, "index": index,
            "leader": status.node if status.role == "leader" else None,
            "is_healthy": status.role == "leader" and status.is_healthy, "epoch": status.epoch,
            "ballot": status.ballot, "chosen": status.chosen, "members": status.members, "lag": status.lag,
            "silent_seconds": status.silent_seconds,
        }  # fmt: skip

    async def _reports(self) -> dict[str, list[GroupStatus] | None]:
        """By node; None: it was not reached."""
        own = self.of_groups_here()
        others = list(self._neighbours)
        answers = await asyncio.gather(*(self._ask(other, STATUS, b"") for other in others))
        reports: dict[str, list[GroupStatus] | None] = {self._links.name: own}
        reports.update(
            (other, None if answer is None else _decode(answer)) for other, answer in zip(others, answers, strict=True)
        )
        return reports

    async def _ask(self, to: str, service: int, payload: bytes) -> bytes | None:
        heard: asyncio.Future[bytes | NotSent | NoAnswer] = self._loop.create_future()
        self._links.request(to, service, payload, heard.set_result, timeout_seconds=_ANSWER_SECONDS)
        answer = await heard
        return answer if isinstance(answer, bytes) else None

    # Leadership

    def led_by(self, node: str) -> list[int]:
        """The groups that a node leads, as far as this one knows."""
        return sorted(self._memds.led_by(node))

    async def hand_over(self, group: int, to: str | None) -> str | None:
        """Let the node `to` lead, or anybody else. Says why not, or None: it is under way."""
        leader = self._memds.find(group).leader
        if leader is None:
            return f"nobody is known to lead group {group}"
        answer = await self._ask(leader, HAND_OVER, msgspec.msgpack.encode((group, to)))
        return f"{leader} does not answer" if answer is None else answer.decode() or None

    def _asked_to_hand_over(self, sender: str, payload: bytes, answer: Answer) -> None:
        group, to = _decode_wish(payload)
        answer((self._hand_over_here(group, to) or "").encode())

    def _hand_over_here(self, group: int, to: str | None) -> str | None:
        member = self._node.members.by_group.get(group)
        if member is None or not member.is_leading:
            return f"{self._links.name} does not lead group {group}"
        if to is None:
            return None if member.hand_over_to_anybody() else "there is no other member that could lead"
        name = next((each.name for each in member.configuration[1].members if node_of(each.name) == to), None)
        return f"{to} has no member of group {group}" if name is None else self._node.hand_over(group, name)


def _state(*, is_registered: bool, is_reached: bool) -> str:
    if is_reached:
        return "up" if is_registered else "up, without etcd"
    return "not reached" if is_registered else "down"
