"""Evening out, and when not to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from varley.autoadmin import balance
from varley.autoadmin.balance import Tolerance
from varley.autoadmin.view import Condition, GroupView, LedBy, MoveOrder, NodeView
from varley.node.member import node_of
from varley.paxos.membership import LOG, Configuration, Member

TOLERANCE = Tolerance()


def group(number: int, *nodes: str, load: float = 0.0, bytes: int = 0, writes: float = 0.0) -> GroupView:
    members = tuple(Member(node, each) for each, node in enumerate(nodes, 1))
    lag = dict.fromkeys(nodes, 0)
    return GroupView(number, 1, Configuration(members), nodes[0], 3, {}, lag, bytes, load, writes)


def nodes(**counts: int) -> dict[str, NodeView]:
    return {name: NodeView(name, name[0], replicas=count) for name, count in counts.items()}


def test_replicas_move_to_a_node_that_has_none() -> None:
    groups = [group(number, "a1", "b1", "c1") for number in range(6)]
    found = balance.moves(groups, nodes(a1=6, b1=6, c1=6, a2=0), [], TOLERANCE)
    assert [(each.source, each.target) for each in found] == [("a1", "a2")] * 2
    assert len({each.group for each in found}) == 2


def test_moves_under_way_count_as_done_and_against_the_budget() -> None:
    groups = [group(number, "a1", "b1", "c1") for number in range(6)]
    under_way = [MoveOrder(0, "a1", "a2"), MoveOrder(1, "a1", "a2")]
    assert balance.moves(groups, nodes(a1=6, b1=6, c1=6, a2=0), under_way, TOLERANCE) == []
    three = Tolerance(moves_max=3)
    found = balance.moves(groups, nodes(a1=6, b1=6, c1=6, a2=0), under_way, three)
    assert [(each.source, each.target) for each in found] == [("a1", "a2")]
    assert found[0].group not in (0, 1)


def test_nothing_is_evened_out_while_something_is_not_whole() -> None:
    whole = [group(1, "a1", "b1", "c1")]
    view = nodes(a1=1, b1=1, c1=1)
    assert balance.is_quiet(whole, view, groups_known=1)
    assert not balance.is_quiet(whole, view, groups_known=2)
    away = {**view, "a2": NodeView("a2", "a", Condition.AWAY)}
    assert not balance.is_quiet(whole, away, groups_known=1)
    draining = {**view, "a2": NodeView("a2", "a", replicas=1, is_draining=True)}
    assert not balance.is_quiet(whole, draining, groups_known=1)
    emptied = {**view, "a2": NodeView("a2", "a", is_draining=True)}
    assert balance.is_quiet(whole, emptied, groups_known=1)
    with_log = GroupView(
        1, 2, whole[0].configuration.with_learner(Member("a2#4", 4, LOG, votes=False)), "a1", 3
    )
    assert not balance.is_quiet([with_log], view, groups_known=1)


def spread(groups: list[GroupView], view: dict[str, NodeView]) -> list[GroupView]:
    """After all that balance moves, one after the other."""
    for _ in range(100):
        orders = balance.moves(groups, view, [], TOLERANCE)
        if not orders:
            return groups
        order = orders[0]
        old = groups[order.group]
        names = [order.target if node == order.source else node for node in sorted(old.configuration.names)]
        groups[order.group] = group(order.group, *names, bytes=old.bytes, writes=old.usual_writes)
        held = [node_of(name) for one in groups for name in one.configuration.names]
        view = {name: NodeView(name, node.zone, replicas=held.count(name)) for name, node in view.items()}
    raise AssertionError("it does not come to an end")


def test_bytes_are_evened_out_though_numbers_are_even() -> None:
    large, small = 2**30, 2**20
    groups = [group(0, "a1", bytes=large), group(1, "a1", bytes=large)]
    groups += [group(2, "a2", bytes=small), group(3, "a2", bytes=small)]
    after = spread(groups, nodes(a1=2, a2=2))
    on = [next(iter(one.configuration.names)) for one in after]
    assert sorted(on[:2]) == ["a1", "a2"] and sorted(on[2:]) == ["a1", "a2"]


def test_writes_are_evened_out_though_numbers_are_even() -> None:
    groups = [group(0, "a1", writes=1000), group(1, "a1", writes=1000), group(2, "a2"), group(3, "a2")]
    after = spread(groups, nodes(a1=2, a2=2))
    assert {next(iter(one.configuration.names)) for one in after[:2]} == {"a1", "a2"}


def test_next_to_nothing_moves_nothing() -> None:
    groups = [group(0, "a1", writes=3, bytes=4096), group(1, "a1", writes=2), group(2, "a2"), group(3, "a2")]
    assert balance.moves(groups, nodes(a1=2, a2=2), [], TOLERANCE) == []


def test_leaders_are_spread() -> None:
    groups = [group(number, "a1", "b1", "c1") for number in range(6)]
    steps = balance.leaders(groups, nodes(a1=6, b1=6, c1=6), range(6), TOLERANCE)
    assert len(steps) == 1 and isinstance(steps[0].action, LedBy) and steps[0].action.member in ("b1", "c1")


def test_a_group_whose_leader_has_just_changed_rests() -> None:
    groups = [group(number, "a1", "b1", "c1") for number in range(6)]
    steps = balance.leaders(groups, nodes(a1=6, b1=6, c1=6), {4}, TOLERANCE)
    assert [step.group for step in steps] == [4]


def test_the_busy_group_stays_and_the_idle_ones_go() -> None:
    busy = group(0, "a1", "b1", "c1", load=1000)
    groups = [busy, *(group(number, "a1", "b1", "c1") for number in range(1, 4))]
    steps = balance.leaders(groups, nodes(a1=4, b1=4, c1=4), range(4), TOLERANCE)
    assert len(steps) == 1 and steps[0].group != 0


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 6), st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0, 50.0])), max_size=30))
def test_spreading_leaders_comes_to_an_end(count: int, made: list[tuple[int, float]]) -> None:
    names = [f"n{number}" for number in range(count)]
    view = {name: NodeView(name, name) for name in names}
    groups = [
        group(number, *(names[(first + turn) % count] for turn in range(3)), load=load)
        for number, (first, load) in enumerate(made)
    ]
    for _ in range(200):
        steps = balance.leaders(groups, view, range(len(groups)), TOLERANCE)
        if not steps:
            return
        for step in steps:
            assert isinstance(step.action, LedBy)
            old = groups[step.group]
            assert step.action.member != old.leader
            groups[step.group] = GroupView(
                old.group, old.epoch, old.configuration, step.action.member, 3, {}, old.lag, 0, old.load
            )
    raise AssertionError({name: sum(node_of(one.leader) == name for one in groups) for name in names})
