"""Emptying a node, so that it may stop for good or for an upgrade: how far it is.

What is done for it is done group by group, in repair.py: a node that is to be emptied is led from no longer, gets no
new replicas, and each of its replicas goes once another is there. So a drain has no plan of its own, only a mark on the
node; taking the mark away leaves every group whole at whatever point that was, and what was built elsewhere is then one
replica too many somewhere, or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from varley.autoadmin.view import GroupView, Stuck
from varley.node.member import node_of


@dataclass(frozen=True, slots=True)
class Emptied:
    """How far a node is."""

    node: str
    groups: tuple[int, ...]     # that have a member on it
    led: tuple[int, ...]        # and are led from it
    unknown: tuple[int, ...]    # that have one by what was published, and whose leader did not say
    stuck: tuple[Stuck, ...]    # why some of them stay

    @property
    def may_stop(self) -> bool:
        """Nothing of it is needed any more."""
        return not (self.groups or self.led or self.unknown)


def emptied(
    node: str, groups: Iterable[GroupView], published: Iterable[tuple[int, Iterable[str]]], stuck: Iterable[Stuck]
) -> Emptied:
    """`published`: all groups with the names of their members, as metadata has them; `groups`: what leaders say."""
    told = {group.group: group for group in groups}
    here = [group for group in told.values() if any(node_of(name) == node for name in group.configuration.names)]
    unknown = [
        group
        for group, names in published
        if group not in told and any(node_of(name) == node for name in names)
    ]
    numbers = {group.group for group in here}
    return Emptied(
        node,
        tuple(sorted(numbers)),
        tuple(sorted(group.group for group in here if node_of(group.leader) == node)),
        tuple(sorted(unknown)),
        tuple(one for one in stuck if one.group in numbers),
    )
