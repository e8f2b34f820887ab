"""Who founds the replica groups of a new table: the nodes that are up, chosen by metadata/placement.py.

The view of what is up and of who has how much may be old. Then a founder is chosen that has just died, and the group
begins with two of three, which is a quorum; or two tables that are made at the same time on two nodes load the same
node, which later moves even out. Neither needs more than a view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from varley.errors import NodesMissing
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import NodeInfo, Nodes
from varley.metadata.placement import Place, place
from varley.node.member import node_of
from varley.paxos.membership import Configuration, Member


def is_serving(info: NodeInfo) -> bool:
    """A node that starts says that it is up before it has an API."""
    return bool(info.api)


def machines(nodes: Iterable[NodeInfo]) -> int:
    """On how many the serving ones of these are: so many replicas a group can have."""
    return len({info.machine or f"{info.name}/" for info in nodes if is_serving(info)})    # no name has a slash


class Founders:
    """Called by GroupMembers with the ids of new groups. Used from the event loop only."""

    def __init__(self, nodes: Nodes, *, replicas: int, may_found: Callable[[NodeInfo], bool] = is_serving) -> None:
        """`replicas`: of each group. `may_found`: whether a node that is up may get new replicas."""
        self._nodes = nodes
        self._replicas = replicas
        self.may_found = may_found
        self.members: GroupMembers | None = None    # set by whoever makes it of this

    def __call__(self, groups: Sequence[int]) -> Mapping[int, Configuration]:
        """Raises NodesMissing if there is no node that could have a replica."""
        chosen = place(groups, self._replicas, self.places())
        if groups and not chosen[groups[0]].nodes:
            raise NodesMissing(
                "No node of the cluster can take a replica", operation="place",
                hint="Wait until nodes are ready: `varley cluster status`",
            )  # fmt: skip
        return {
            group: Configuration(tuple(Member(node, number) for number, node in enumerate(each.nodes, 1)))
            for group, each in chosen.items()
        }

    def places(self) -> list[Place]:
        """The nodes that may get replicas, and how many each has."""
        assert self.members is not None
        has = Counter(
            node_of(member.name)
            for published in self.members.items().values()
            for member in published.configuration.members
        )
        return [
            Place(info.name, info.zone, info.capacity, replicas=has[info.name], machine=info.machine)
            for info in self._nodes
            if self.may_found(info)
        ]
