"""How many copies may be under way at once: in the cluster, to one node, and from one node.

Nothing is counted and given back, which a crash in between would leave counted for ever: what is under way is seen in
the configurations themselves. A full learner that is heard is a copy on its way from its group's leader, or one that
has just arrived. (One that is not heard is waited for, and costs nothing.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from varley.autoadmin.view import GroupView
from varley.node.member import node_of
from varley.paxos.membership import FULL


@dataclass(frozen=True, slots=True)
class Limits:
    copies_max: int = 16            # in the cluster
    copies_to_node_max: int = 2
    copies_from_node_max: int = 2
    heard_seconds: float = 5.0      # who was not heard for so long takes no copy


class Budget:
    """For one look at the cluster."""

    def __init__(self, limits: Limits, groups: Iterable[GroupView]) -> None:
        self._limits = limits
        self._to: Counter[str] = Counter()
        self._from: Counter[str] = Counter()
        for group in groups:
            for member in group.configuration.members:
                is_heard = group.silent.get(member.name, 0.0) < limits.heard_seconds
                if member.kind == FULL and not member.votes and is_heard:
                    self.take(node_of(group.leader), node_of(member.name))

    def take(self, source: str, target: str) -> None:
        self._from[source] += 1
        self._to[target] += 1

    @property
    def under_way(self) -> int:
        return self._to.total()

    def may_build(self, source: str, target: str) -> bool:
        limits = self._limits
        return (
            self.under_way < limits.copies_max
            and self._to[target] < limits.copies_to_node_max
            and self._from[source] < limits.copies_from_node_max
        )
