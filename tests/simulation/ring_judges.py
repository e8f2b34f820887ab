"""Judges of a ring: they watch from outside, and know what really happened.

Each write has a number, by which its dot is known (tombstones have one too). What a write descends from is kept as a
set of numbers: what its author was shown, and what that descended from. Nothing of this is computed from vector
clocks: they are what is being judged.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.simulation.ring_node import RingNode
from varley.ring.placement import Placement
from varley.ring.siblings import NONE, Siblings

Dot = tuple[str, int]


class Truth:
    """What clients were shown, wrote and were promised."""

    def __init__(self) -> None:
        self.by_dot: dict[tuple[bytes, Dot], int] = {}
        self.descends_from: dict[int, frozenset[int]] = {}
        self.acknowledged: dict[bytes, set[int]] = {}
        self.doubly_stamped: list[str] = []

    def begun(self, write: int, shown: Iterable[int]) -> None:
        self.descends_from[write] = frozenset(shown).union(*(self.descends_from[other] for other in shown))

    def stamped(self, write: int, key: bytes, siblings: Siblings) -> None:
        """The version with the newest time is the one that was stamped just now."""
        dot = max(siblings, key=lambda version: version.dot.time_us).dot[:2]
        if (key, dot) in self.by_dot:
            self.doubly_stamped.append(f"{key!r}: {dot} is write {self.by_dot[key, dot]} and {write}")
        self.by_dot[key, dot] = write

    def numbers(self, key: bytes, siblings: Siblings) -> set[int]:
        return {self.by_dot[key, version.dot[:2]] for version in siblings}

    def lost(self, key: bytes, siblings: Siblings) -> list[int]:
        """Acknowledged writes that are neither there nor an ancestor of what is."""
        there = self.numbers(key, siblings)
        known = there.union(*(self.descends_from[write] for write in there))
        return sorted(self.acknowledged.get(key, set()) - known)


def lost_writes(truth: Truth, nodes: Iterable[RingNode], keys: Iterable[bytes], n: int) -> list[str]:
    """Judged by what one home holds in the end: `not_converged` sees to it that the others hold the same."""
    found = list(truth.doubly_stamped)
    by_name = {node.name: node for node in nodes}
    placement = next(iter(by_name.values())).placement
    for key in keys:
        home = placement.homes(placement.partition_of(key), n)[0]
        held = dict(by_name[home].rows()).get(key, NONE)
        found += [f"{key!r}: write {write} was acknowledged and is gone" for write in truth.lost(key, held)]
    return found


def not_converged(nodes: Iterable[RingNode], keys: Iterable[bytes], n: int) -> list[str]:
    nodes = list(nodes)
    if len({node.history for node in nodes}) > 1:
        return ["nodes know different histories"]
    placement: Placement = nodes[0].placement
    found = []
    for key in keys:
        homes = placement.homes(placement.partition_of(key), n)
        held = {node.name: dict(node.rows()).get(key, NONE).digest for node in nodes if node.name in homes}
        if len(set(held.values())) > 1:
            found.append(f"{key!r}: homes hold different versions: {held}")
        found += [
            f"{key!r}: {node.name} is no home and has a row" for node in nodes
            if node.name not in homes and key in dict(node.rows())
        ]
    return found


def undelivered_hints(nodes: Iterable[RingNode]) -> list[str]:
    return [f"{node.name} still holds a hint of {key!r} for {home}" for node in nodes for home, key, _ in node.hints()]


def untrue_trees(nodes: Iterable[RingNode]) -> list[str]:
    found = []
    for node in nodes:
        for partition, tree in node.trees.items():
            rows = {key: held.digest for key, held in node.rows() if node.placement.partition_of(key) == partition}
            found += [f"{node.name}, partition {partition}: {rule}" for rule in tree.broken_rules(rows)]
    return found
