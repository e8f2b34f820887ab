"""Replacing what is lost, on a model of a cluster."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.autoadmin.model import PATIENCE, Cluster, Group
from varley.autoadmin.budget import Limits
from varley.autoadmin.repair import next_step
from varley.autoadmin.view import Add, Condition, LedBy, MoveOrder, Reconfigured, Step
from varley.node.member import node_of
from varley.paxos.events import Promote, Remove, Replace
from varley.paxos.membership import FULL, LOG, Configuration

MB = 1024 * 1024
ZONES = {"a1": "a", "b1": "b", "c1": "c", "a2": "a", "b2": "b", "c2": "c"}


def shape(group: Group) -> list[tuple[str, str, bool]]:
    return sorted((node_of(one.name), one.kind, one.votes) for one in group.configuration.members)


def told(cluster: Cluster) -> list[str]:
    """The steps that were done, in short."""
    names = []
    for _, step in cluster.steps:
        match step.action:
            case Add(node, kind):
                names.append(f"add {kind} on {node}")
            case Reconfigured(Promote(name)):
                names.append(f"vote for {node_of(name)}")
            case Reconfigured(Remove(name)):
                names.append(f"remove {node_of(name)}")
            case Reconfigured(Replace(name, _)):
                names.append(f"no vote for {node_of(name)}")
            case LedBy(name):
                names.append(f"led by {node_of(name)}")
    return names


def test_a_group_that_is_whole_is_left_alone() -> None:
    cluster = Cluster(ZONES)
    cluster.found(1, "a1", "b1", "c1")
    cluster.settle()
    assert cluster.steps == []


def test_a_lost_replica_is_replaced_as_the_story_says() -> None:
    cluster = Cluster(ZONES | {"c3": "c"})
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.settle()
    assert told(cluster) == [
        "add log on c2", "no vote for c1", "remove c1", "add full on c3", "vote for c3", "remove c2",
    ]  # fmt: skip
    assert [kind for _, kind, votes in shape(group) if votes] == [FULL] * 3


def test_another_votes_within_seconds_and_the_loss_of_a_second_is_survived() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(9)
    assert [node for node, _, votes in shape(group) if votes] == ["a1", "b1", "c2"]
    cluster.up["b1"] = False
    cluster.wait(1)
    assert cluster.view(group) is not None, "nobody can choose any more"


def test_leaders_stand_in_by_themselves_while_nobody_is_active() -> None:
    cluster = Cluster(ZONES)
    cluster.has_active = False
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.settle(100)
    assert shape(group) == [("a1", FULL, True), ("b1", FULL, True), ("c1", FULL, False), ("c2", LOG, True)]


def test_a_node_that_comes_back_in_time_keeps_its_replica() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(30)
    cluster.up["c1"] = True
    cluster.settle()
    assert told(cluster) == ["add log on c2", "no vote for c1", "vote for c1", "remove c2"]
    assert shape(group) == [("a1", FULL, True), ("b1", FULL, True), ("c1", FULL, True)]


def test_a_short_silence_changes_nothing() -> None:
    cluster = Cluster(ZONES)
    cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(4)
    cluster.up["c1"] = True
    cluster.settle()
    assert cluster.steps == []


def test_the_loss_of_the_leader_s_node_is_repaired_too() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["a1"] = False
    cluster.settle()
    assert len(group.configuration.full_voters) == 3
    assert "a1" not in {node_of(name) for name in group.configuration.names}


def test_one_copy_and_two_logs_wait_for_nobody() -> None:
    cluster = Cluster(ZONES | {"a3": "a", "b3": "b"})
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(10)
    cluster.up["b1"] = False
    cluster.wait(10)
    assert [kind for _, kind, votes in shape(group) if votes].count(LOG) == 2
    assert any(kind == FULL and not votes and cluster.up[node] for node, kind, votes in shape(group))


def test_while_there_is_one_copy_whoever_may_have_another_stays_a_member() -> None:
    cluster = Cluster(ZONES | {"a3": "a", "b3": "b"})
    cluster.hopeless.update(cluster.zones)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(10)
    cluster.up["b1"] = False
    cluster.wait(100)
    assert {"b1", "c1"} <= {node for node, _, _ in shape(group)}
    assert any(kind == FULL and cluster.up[node] for node, kind, votes in shape(group) if not votes), "one is built"
    cluster.hopeless.remove("b1")
    cluster.up["b1"] = True
    cluster.wait(60)
    assert {"a1", "b1"} <= {node for node, kind, votes in shape(group) if kind == FULL and votes}
    cluster.hopeless.clear()
    cluster.settle()
    assert [kind for _, kind, votes in shape(group) if votes] == [FULL] * 3 and len(shape(group)) == 3


def test_a_leader_on_a_slow_disk_hands_over_at_once_and_its_vote_stays_for_a_while() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    view, nodes = cluster.view(group), cluster.nodes()
    assert view is not None
    nodes["a1"] = replace(nodes["a1"], is_ailing=True)
    nodes["b1"] = replace(nodes["b1"], is_ailing=True)
    found = next_step(view, nodes, PATIENCE)
    assert isinstance(found, Step) and found.action == LedBy("c1"), "not to another that is slow"
    assert next_step(replace(view, leader="c1"), nodes, PATIENCE) is None
    nodes["a1"] = replace(nodes["a1"], is_troubled=True)
    found = next_step(replace(view, leader="c1"), nodes, PATIENCE)
    assert isinstance(found, Step) and found.action == Add("a2", LOG)


def test_the_only_node_that_is_free_gets_a_full_replica_in_the_end() -> None:
    cluster = Cluster({"a1": "a", "b1": "b", "c1": "c", "c2": "c"})
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.settle()
    assert shape(group) == [("a1", FULL, True), ("b1", FULL, True), ("c2", FULL, True)]


def test_a_copy_that_comes_to_a_stop_is_given_up_for_one_elsewhere() -> None:
    cluster = Cluster(ZONES | {"c3": "c", "c4": "c"})
    cluster.hopeless.add("c3")
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.settle()
    assert told(cluster) == [
        "add log on c2", "no vote for c1", "remove c1", "add full on c3", "remove c3", "add full on c4", "vote for c4",
        "remove c2",
    ]  # fmt: skip
    assert [kind for _, kind, votes in shape(group) if votes] == [FULL] * 3


def test_no_copy_goes_to_a_disk_that_it_would_fill_and_a_log_member_may() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    view = cluster.view(group)
    assert view is not None
    nodes = cluster.nodes()
    nodes["c1"] = replace(nodes["c1"], condition=Condition.LOST)
    for full in ("c2", "a2"):
        nodes[full] = replace(nodes[full], free_bytes=1200 * MB)
    stood_in = next_step(replace(view, bytes=1000 * MB), nodes, PATIENCE)
    assert isinstance(stood_in, Step) and stood_in.action == Add("c2", LOG)
    group.configuration = Configuration(group.configuration.members[:2])
    view = cluster.view(group)
    assert view is not None
    built = next_step(replace(view, bytes=1000 * MB), nodes, PATIENCE)
    assert isinstance(built, Step) and built.action == Add("b2", FULL)
    built = next_step(replace(view, bytes=900 * MB), nodes, PATIENCE)
    assert isinstance(built, Step) and built.action == Add("c2", FULL)


def test_a_copy_goes_on_where_no_other_node_could_have_it() -> None:
    cluster = Cluster({"a1": "a", "b1": "b", "c1": "c", "c2": "c"})
    cluster.hopeless.add("c2")
    cluster.up["c1"] = False
    group = cluster.found(1, "a1", "b1")
    cluster.wait(1000)
    assert told(cluster) == ["add full on c2"]
    cluster.hopeless.clear()
    cluster.settle()
    assert shape(group) == [("a1", FULL, True), ("b1", FULL, True), ("c2", FULL, True)]


def test_a_replica_that_is_back_after_long_is_given_the_time_to_catch_up() -> None:
    """It lacks the same while it is away: that is not in vain."""
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(58)
    group.behind["c1"] = 100
    cluster.up["c1"] = True
    cluster.settle()
    assert told(cluster) == ["add log on c2", "no vote for c1", "vote for c1", "remove c2"]


def test_three_nodes_wait_for_the_one_that_is_lost() -> None:
    cluster = Cluster({"a1": "a", "b1": "b", "c1": "c"})
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.up["c1"] = False
    cluster.wait(500)
    assert cluster.steps == [] and [each.why for each in cluster.stuck] == ["no node can take another replica"]
    cluster.up["c1"] = True
    cluster.settle()
    assert cluster.steps == [] and len(group.configuration.full_voters) == 3


def test_a_group_that_began_short_is_made_whole_when_nodes_come() -> None:
    cluster = Cluster({"a1": "a", "b1": "b", "c1": "c"})
    cluster.up["c1"] = False
    group = cluster.found(1, "a1", "b1")
    cluster.wait(100)
    cluster.up["c1"] = True
    cluster.settle()
    assert told(cluster) == ["add full on c1", "vote for c1"]
    assert len(group.configuration.full_voters) == 3


def test_a_node_that_comes_and_goes_does_not_churn() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    for _ in range(50):
        cluster.up["c1"] = False
        cluster.wait(7)
        cluster.up["c1"] = True
        cluster.wait(13)
    assert len(cluster.steps) <= 10, told(cluster)
    cluster.settle()
    assert {"a1", "b1"} < {node for node, _, votes in shape(group) if votes}
    assert len(group.configuration.full_voters) == 3


def test_copies_under_way_are_bounded() -> None:
    zones = {f"{zone}{number}": zone for zone in "abc" for number in range(1, 5)}
    cluster = Cluster(zones, limits=Limits(copies_max=5, copies_to_node_max=2, copies_from_node_max=3))
    for number in range(40):
        cluster.found(number, *(f"{zone}{1 + (number // 3 ** turn) % 2}" for turn, zone in enumerate("abc")))
    cluster.wait(20)
    cluster.up["c1"] = False
    most = 0
    for _ in range(900):
        cluster.wait(1)
        copies = [
            node_of(one.name)
            for group in cluster.groups.values()
            for one in group.configuration.members
            if one.kind == FULL and not one.votes and node_of(one.name) != "c1"
        ]
        most = max(most, len(copies))
        assert len(copies) <= 5 and all(copies.count(node) <= 2 for node in copies)
    assert most >= 3
    assert all(len(group.configuration.full_voters) == 3 for group in cluster.groups.values())
    assert all("c1" not in {node_of(n) for n in group.configuration.names} for group in cluster.groups.values())


def test_a_drained_node_is_left_without_ever_a_copy_less() -> None:
    cluster = Cluster(ZONES)
    groups = [cluster.found(number, "a1", "b1", "c1") for number in range(4)]
    cluster.wait(20)
    cluster.draining.add("a1")
    cluster.settle()
    for group in groups:
        assert len(group.configuration.full_voters) == 3 == len(group.configuration.members)
        assert "a1" not in {node_of(name) for name in group.configuration.names}
    assert told(cluster).count("led by b1") == 4
    assert not any(" log " in each for each in told(cluster))


def test_a_drain_in_a_cluster_without_room_hands_over_and_waits() -> None:
    cluster = Cluster({"a1": "a", "b1": "b", "c1": "c"})
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.draining.add("a1")
    cluster.wait(100)
    assert told(cluster) == ["led by b1"] and len(group.configuration.full_voters) == 3
    assert cluster.stuck


def test_a_replica_moves_where_it_is_told_and_the_leader_hands_over() -> None:
    cluster = Cluster(ZONES)
    group = cluster.found(1, "a1", "b1", "c1")
    cluster.wait(20)
    cluster.moves[1] = MoveOrder(1, "a1", "a2")
    cluster.settle()
    assert told(cluster) == ["led by b1", "add full on a2", "vote for a2", "remove a1"]
    assert shape(group) == [("a2", FULL, True), ("b1", FULL, True), ("c1", FULL, True)]
    assert not cluster.moves


def test_five_replicas_lose_two_nodes() -> None:
    zones = {f"{zone}{number}": zone for zone in "abc" for number in range(1, 4)}
    cluster = Cluster(zones)
    group = cluster.found(1, "a1", "b1", "c1", "a2", "b2", wanted=5)
    cluster.wait(20)
    cluster.up["c1"] = cluster.up["b2"] = False
    cluster.wait(12)
    assert len(group.configuration.voters) == 5 and all(cluster.up[node_of(n)] for n in group.configuration.voters)
    cluster.settle()
    assert len(group.configuration.full_voters) == 5 == len(group.configuration.members)


events = st.lists(
    st.tuples(
        st.sampled_from(["down", "up", "drain", "keep", "move", "active", "second", "hopeless"]),
        st.integers(0, 8),
        st.integers(0, 8),
        st.integers(1, 90),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 9), st.integers(1, 4), events)
def test_whatever_happens_each_step_is_sound_and_in_the_end_all_is_whole(
    count: int, groups: int, happenings: list[tuple[str, int, int, int]]
) -> None:
    names = [f"{'abc'[number % 3]}{number // 3}" for number in range(count)]
    cluster = Cluster({name: name[0] for name in names})
    for number in range(groups):
        cluster.found(number, *(names[(number + turn) % count] for turn in range(3)))
    cluster.wait(20)
    for what, first, second, seconds in happenings:
        node, other = names[first % count], names[second % count]
        group = second % groups
        match what:
            case "down":
                cluster.up[node] = False
            case "up":
                cluster.up[node] = True
            case "drain":
                cluster.draining = {node}
            case "keep":
                cluster.draining = set()
            case "active":
                cluster.has_active = not cluster.has_active
            case "second":
                cluster.has_second = not cluster.has_second
            case "hopeless":
                cluster.hopeless ^= {node}
            case _:
                on = {node_of(name) for name in cluster.groups[group].configuration.names}
                if node in on and other not in on:
                    cluster.moves[group] = MoveOrder(group, node, other)
        cluster.wait(seconds)
    cluster.has_active = True
    cluster.hopeless.clear()
    cluster.moves.clear()
    cluster.draining.clear()
    for name in names:
        cluster.up[name] = True
    cluster.settle(700)
    assert all(each.condition is Condition.TRUSTED for each in cluster.nodes().values())
    assert cluster.stuck == []
    for each in cluster.groups.values():
        members = each.configuration.members
        assert len(members) == 3 and all(one.votes and one.kind == FULL for one in members), (members, told(cluster))
        assert len({node_of(one.name) for one in members}) == 3
