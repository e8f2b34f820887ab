"""Who founds the groups of a new table."""

from __future__ import annotations

import pytest

from varley.cluster.founders import Founders
from varley.errors import NodesMissing
from varley.metadata.group_members import GroupMembers
from varley.metadata.memory import MemoryStore
from varley.metadata.nodes import FORMAT_VERSION, NodeInfo, Nodes


def founders(*infos: NodeInfo) -> Founders:
    store = MemoryStore()
    nodes = Nodes(store)
    nodes._nodes = {info.name: info for info in infos}
    found = Founders(nodes, replicas=3)
    found.members = GroupMembers(store, found)
    return found


def node(name: str, zone: str, *, api: str = "http://there") -> NodeInfo:
    return NodeInfo(
        format_version=FORMAT_VERSION, name=name, zone=zone, api=api, link_host="h", link_port=1, data_id=name,
        version="1",
    )  # fmt: skip


def test_a_group_is_founded_in_as_many_zones_as_there_are() -> None:
    found = founders(node("a", "1"), node("b", "1"), node("c", "2"), node("d", "3"))([1, 2])
    assert all({"c", "d"} <= each.voters for each in found.values())
    assert frozenset[str]().union(*(each.voters for each in found.values())) == {"a", "b", "c", "d"}
    assert [member.number for member in found[1].members] == [1, 2, 3]


def test_a_node_that_is_starting_founds_nothing() -> None:
    assert founders(node("a", "1"), node("b", "2", api=""))([1])[1].names == {"a"}


def test_without_nodes_there_are_no_founders() -> None:
    with pytest.raises(NodesMissing):
        founders()([1])
