"""Members that nobody counts: which of those that nodes host belong to no configuration any more.

A member is removed by a change of its group's configuration, which does not tell it: it may be down, or away, or the
message lost. It does no harm (its promises count nowhere), takes room, and keeps its node from getting another replica
of the group. And a step that was cut short may have left one that never was in any.

Only what a leader says counts, not what was published: of the group's own configuration, with its slot. A node refuses
to end a member that has just begun, that leads, or that knows a newer configuration with itself in it (service.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from varley.autoadmin.messages import NodeReport
from varley.autoadmin.view import GroupView


@dataclass(frozen=True, slots=True)
class Leftover:
    node: str
    group: int
    name: str
    epoch: int      # of the configuration that does not have it


def leftovers(reports: Iterable[NodeReport], groups: Mapping[int, GroupView]) -> list[Leftover]:
    return [
        Leftover(report.node, member.group, member.name, groups[member.group].epoch)
        for report in reports
        for member in report.members
        if member.group in groups
        and not member.is_young
        and groups[member.group].configuration.member(member.name) is None
    ]
