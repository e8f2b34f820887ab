"""Evening out nodes: which replicas should move, and which groups should be led from elsewhere.

Only while the cluster is whole: a group that lacks something, a node that is not trusted, a copy under way, and nothing
is begun. Replicas first (placement.py: by weight, with a tolerance, then by number; it never proposes a move back), a
few at a time; then leaders.

A replica weighs its group's share of all bytes, and its share of all that is written: a node that has its part of both
has its part of the work. What is written is averaged over ten minutes (sight.py), since a copy of a GB is not made for
a burst. Where there is next to nothing of one of them, that one does not count: a share of nearly nothing is chance.
Rejected: evening out numbers before weights, as new groups are placed. A table is as a rule one group of many that are
empty, and its bytes would stay where they are.

Leaders cost more than followers: they evaluate, and answer. Each group counts as one, and as its share of all that is
done (writes, their bytes, answers), so idle groups are spread too. One hand-over at a time per node, and only from a
node to one that would still lead less than the first afterwards, by a margin: leadership that was evened out to the
last group would go back and forth with the load. A group whose leader has just changed is left alone (`rested`).

Source: [ATC22] 4.3: proactive balancing of partitions by their throughput and storage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from varley.autoadmin.view import (
    CAUGHT_UP_SLOTS,
    GroupView,
    LedBy,
    MoveOrder,
    NodeView,
    Step,
)
from varley.metadata import placement
from varley.node.member import node_of
from varley.paxos.membership import FULL

_BYTES_MIN: Final = 64 * 1024 * 1024    # with less in all groups together, bytes do not count
_WRITES_MIN: Final = 100.0              # units per second of all groups together; with fewer, writes do not count
_LEADER_LOAD_MIN: Final = 1.0           # units per second of a group on average; with fewer, a unit counts for less


@dataclass(frozen=True, slots=True)
class Tolerance:
    moves_max: int = 2              # at the same time
    weight_share: float = 0.1       # of the heavier node, that a move for weight must gain
    leaders: float = 2.0            # a node leads at least so many groups (or their weight) more than the next


def is_quiet(groups: Collection[GroupView], nodes: Mapping[str, NodeView], *, groups_known: int) -> bool:
    """Whether there is nothing more urgent than balance. `groups_known`: how many there are, told of or not."""
    return (
        len(groups) == groups_known
        and all(is_settled(node) for node in nodes.values())
        and all(_is_whole(group) for group in groups)
    )


def is_settled(node: NodeView) -> bool:
    """Whether nothing is about to become of a node: it may have replicas, or is empty, and stays so."""
    return node.takes_replicas or (node.is_draining and not node.replicas)


def _is_whole(group: GroupView) -> bool:
    return all(member.votes and member.kind == FULL for member in group.configuration.members)


def moves(
    groups: Collection[GroupView], nodes: Mapping[str, NodeView], under_way: Collection[MoveOrder], tolerance: Tolerance
) -> list[MoveOrder]:
    """What to begin. The groups that are moved already are left alone, and counted where they will be."""
    moved = {order.group: order for order in under_way}
    weights = _weights(groups)
    places = {node.name: replace(node.place, weight=0.0) for node in nodes.values() if node.takes_replicas}
    for group in groups:
        for node in {node_of(name) for name in group.configuration.names} & places.keys():
            places[node] = replace(places[node], weight=places[node].weight + weights[group.group])
    for order in under_way:
        weight = weights.get(order.group, 0.0)
        if order.source in places and order.target in places:
            places[order.source] = places[order.source].with_one_less(weight)
            places[order.target] = places[order.target].with_one_more(weight)
    still = [
        placement.Replicas(
            group.group, [node_of(name) for name in sorted(group.configuration.names)], weights[group.group]
        )
        for group in groups
        if group.group not in moved and _is_whole(group)
    ]
    found = placement.moves(
        still,
        places.values(),
        moves_max=max(0, tolerance.moves_max - len(under_way)),
        tolerance=tolerance.weight_share,
    )
    # One for each group: the second would be made from what the first has not done yet.
    orders: dict[int, MoveOrder] = {}
    for each in found:
        orders.setdefault(each.group, MoveOrder(each.group, each.source, each.target))
    return list(orders.values())


def _weights(groups: Collection[GroupView]) -> dict[int, float]:
    """By group: its share of the bytes, and its share of the writes; 2 of all together."""
    total_bytes = sum(group.bytes for group in groups)
    total_writes = sum(group.usual_writes for group in groups)
    return {
        group.group: (group.bytes / total_bytes if total_bytes >= _BYTES_MIN else 0.0)
        + (group.usual_writes / total_writes if total_writes >= _WRITES_MIN else 0.0)
        for group in groups
    }


def leaders(
    groups: Collection[GroupView], nodes: Mapping[str, NodeView], rested: Collection[int], tolerance: Tolerance
) -> list[Step]:
    """Which groups should be led from another of their members: at most one from each node."""
    led = _Led(groups, nodes)
    found: list[Step] = []
    for source in led.most_first():
        candidates = [
            (led.unevenness_after(group, target), group.group, to.name, group)
            for group in groups
            if node_of(group.leader) == source and group.group in rested
            for to in group.configuration.members
            if to.may_lead and group.lag.get(to.name, CAUGHT_UP_SLOTS + 1) <= CAUGHT_UP_SLOTS
            for target in [node_of(to.name)]
            if led.may_take(group, target, tolerance.leaders)
        ]
        if not candidates:
            continue
        _, _, member, group = min(candidates)
        target = node_of(member)
        why = f"{source} leads {led.by_node[source]:.1f}, {target} {led.by_node[target]:.1f}"
        found.append(Step(group.group, group.epoch, LedBy(member), why))
        led.move(group, target)
    return found


class _Led:
    """What each node leads, for its capacity. A group is one, and as many again as are its due by what is done: two on
    average, where anything is."""

    def __init__(self, groups: Collection[GroupView], nodes: Mapping[str, NodeView]) -> None:
        total = max(sum(group.load for group in groups), len(groups) * _LEADER_LOAD_MIN)
        self._nodes = nodes
        self._share = len(groups) / total if total else 0.0
        self.by_node = {node.name: 0.0 for node in nodes.values() if node.takes_replicas}
        for group in groups:
            self._add(node_of(group.leader), self._weight(group))

    def most_first(self) -> list[str]:
        return sorted(self.by_node, key=lambda node: (-self.by_node[node], node))

    def may_take(self, group: GroupView, target: str, margin: float) -> bool:
        """Whether `target` leads less by the margin, and no more than the other after it has taken the group."""
        source = node_of(group.leader)
        return (
            target in self.by_node
            and self.by_node[source] - self.by_node[target] >= margin
            and self.unevenness_after(group, target) >= 0
        )

    def unevenness_after(self, group: GroupView, target: str) -> float:
        source, weight = node_of(group.leader), self._weight(group)
        after_source = self.by_node[source] - weight / self._nodes[source].capacity
        return after_source - self.by_node[target] - weight / self._nodes[target].capacity

    def move(self, group: GroupView, target: str) -> None:
        self._add(node_of(group.leader), -self._weight(group))
        self._add(target, self._weight(group))

    def _weight(self, group: GroupView) -> float:
        return 1.0 + group.load * self._share

    def _add(self, node: str, weight: float) -> None:
        if node in self.by_node:
            self.by_node[node] += weight / self._nodes[node].capacity
