"""Placement against its own sentences: apart, over zones, evenly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from varley.metadata.placement import Move, Place, Replicas, moves, place, replacement

nodes = st.lists(st.sampled_from("abc"), min_size=0, max_size=9).map(
    lambda zones: [Place(f"n{number}", zone) for number, zone in enumerate(zones)]
)


def zone_of(places: Iterable[Place]) -> dict[str, str]:
    return {each.name: each.zone for each in places}


def test_three_zones_get_one_each() -> None:
    places = [Place("a1", "a"), Place("a2", "a"), Place("b1", "b"), Place("c1", "c")]
    chosen = place([1, 2], 3, places)
    assert [sorted(each.nodes) for each in chosen.values()] == [["a1", "b1", "c1"], ["a2", "b1", "c1"]]


def test_with_fewer_nodes_than_replicas_it_says_so() -> None:
    assert place([7], 3, [Place("n1", "a"), Place("n2", "a")])[7].nodes == ["n1", "n2"]
    assert place([7], 3, [Place("n1", "a"), Place("n2", "a")])[7].is_short
    assert place([7], 3, [])[7].nodes == []
    assert not place([7], 1, [Place("n1", "a")])[7].is_short


def test_partitions_of_one_table_are_spread_whatever_else_the_nodes_have() -> None:
    """Two processes, one of which has the ledger; and a node that has just come to a cluster that has much."""
    processes = [Place("n1.1", "", replicas=0), Place("n1.2", "", replicas=1)]
    assert sorted(each.nodes[0] for each in place([2, 3], 1, processes).values()) == ["n1.1", "n1.2"]
    nodes = [Place("n1", "a", replicas=40), Place("n2", "a", replicas=41), Place("new", "a")]
    chosen = place(range(9), 1, nodes)
    assert Counter(each.nodes[0] for each in chosen.values()) == {"n1": 3, "n2": 3, "new": 3}
    assert place([1], 1, nodes)[1].nodes == ["new"]


def test_no_two_replicas_are_on_one_machine_even_if_a_zone_is_crowded() -> None:
    processes = [Place(f"{machine}.{number}", "a", machine=machine) for machine in ("m1", "m2") for number in (1, 2)]
    for each in place(range(8), 3, processes).values():
        assert sorted(node.partition(".")[0] for node in each.nodes) == ["m1", "m2"] and each.is_short
    alone = Place("m3", "a")
    assert set(place([1], 3, [*processes, alone])[1].nodes) > {"m3"}
    assert replacement(["m1.1", "m3"], [*processes, alone]) == "m2.1"
    assert replacement(["m1.1", "m2.2"], processes) is None
    # m1.2 and m2.2 have nothing: a replica may go to the process beside it, and not to a machine that has one.
    loaded = [Place(f"{machine}.1", "a", machine=machine, replicas=4) for machine in ("m1", "m2")]
    full = [*loaded, *processes[1::2]]
    groups = [Replicas(group, ["m1.1", "m2.1"]) for group in range(4)]
    found = moves(groups, full, moves_max=8)
    assert found
    assert all(move.source.partition(".")[0] == move.target.partition(".")[0] for move in found)


def test_the_least_loaded_comes_first_by_replicas_then_by_weight() -> None:
    places = [
        Place("n1", "a", replicas=2),
        Place("n2", "a", replicas=1, weight=9),
        Place("n3", "a", replicas=1, weight=8),
    ]
    assert place([1], 3, places)[1].nodes == ["n3", "n2", "n1"]


def test_twice_the_capacity_gets_twice_the_replicas() -> None:
    chosen = place(range(30), 1, [Place("big", "a", capacity=2), Place("small", "a")])
    assert Counter(each.nodes[0] for each in chosen.values()) == {"big": 20, "small": 10}


@settings(deadline=None)
@given(nodes, st.integers(1, 5), st.integers(0, 40))
def test_replicas_are_apart_over_zones_and_even(places: list[Place], replicas: int, groups: int) -> None:
    chosen = place(range(groups), replicas, places)
    zones = zone_of(places)
    sizes = Counter(zones.values())
    for each in chosen.values():
        assert len(set(each.nodes)) == len(each.nodes) == min(replicas, len(places))
        assert each.is_short == (len(places) < replicas)
        per_zone = Counter(zones[node] for node in each.nodes)
        for zone, count in per_zone.items():
            for other in sizes:
                # No zone has two more than another one that had a node left for one of them.
                assert count <= per_zone[other] + 1 or per_zone[other] == sizes[other], (zone, other)
    for zone in sizes:
        load = Counter({each.name: 0 for each in places if each.zone == zone})
        load.update(node for each in chosen.values() for node in each.nodes if zones[node] == zone)
        assert max(load.values()) - min(load.values()) <= 1, "nodes of one zone differ by more than one replica"


@settings(deadline=None)
@given(nodes, st.data())
def test_a_replacement_is_elsewhere_and_restores_the_zones(places: list[Place], data: st.DataObject) -> None:
    [chosen] = place([1], 3, places).values()
    if not chosen.nodes:
        return
    lost = data.draw(st.sampled_from(list(chosen.nodes)))
    staying = [node for node in chosen.nodes if node != lost]
    found = replacement(staying, places, lost=lost)
    assert (found is None) == (len(places) <= len(chosen.nodes))
    if found is None:
        return
    assert found not in chosen.nodes
    zones = zone_of(places)
    counts = Counter(zones[node] for node in staying)
    candidates = [each for each in places if each.name not in chosen.nodes]
    assert counts[zones[found]] == min(counts[each.zone] for each in candidates)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Replicas], list[Place]]:
    """Groups anywhere, and nodes that know what they have."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 6)))]
    zones = {name: draw(st.sampled_from("abc")) for name in names}
    some = st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=3)
    groups = [Replicas(group, draw(some), draw(st.integers(0, 9))) for group in range(draw(st.integers(0, 12)))]
    capacity = {name: draw(st.sampled_from([1.0, 1.0, 2.0])) for name in names}
    places = [
        Place(
            name, zones[name], capacity[name], sum(name in each.nodes for each in groups),
            sum(each.weight for each in groups if name in each.nodes),
        )
        for name in names
    ]  # fmt: skip
    return groups, places


def made(groups: list[Replicas], move: Move) -> list[Replicas]:
    return [
        Replicas(each.group, [move.target if node == move.source else node for node in each.nodes], each.weight)
        if each.group == move.group
        else each
        for each in groups
    ]


@settings(max_examples=200, deadline=None)
@given(clusters())
def test_moves_end_and_make_nothing_worse(cluster: tuple[list[Replicas], list[Place]]) -> None:
    groups, places = cluster
    zones = zone_of(places)
    found = moves(groups, places, moves_max=1000)
    assert len(found) < 1000, "it never ends"
    for move in found:
        [group] = [each for each in groups if each.group == move.group]
        assert move.source in group.nodes
        assert move.target not in group.nodes
        before = Counter(zones[node] for node in group.nodes)
        groups = made(groups, move)
        [group] = [each for each in groups if each.group == move.group]
        after = Counter(zones[node] for node in group.nodes)
        assert sorted(after.values(), reverse=True) <= sorted(before.values(), reverse=True), "zones got worse"
    for group in groups:
        per_zone = Counter(zones[node] for node in group.nodes)
        for each in places:
            if each.name not in group.nodes:
                assert max(per_zone.values()) - per_zone[each.zone] < 2, "it could still be brought apart"


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 20))
def test_moves_fill_a_node_that_has_come(old: int, groups: int) -> None:
    before = place(range(groups), 1, [Place(f"n{number}", "a") for number in range(old)])
    all_groups = [Replicas(group, each.nodes) for group, each in before.items()]
    load = Counter(node for each in before.values() for node in each.nodes)
    places = [Place(f"n{number}", "a", replicas=load[f"n{number}"]) for number in range(old + 1)]
    found = moves(all_groups, places, moves_max=1000)
    load.update({f"n{number}": 0 for number in range(old + 1)})
    for move in found:
        load[move.source] -= 1
        load[move.target] += 1
    assert max(load.values()) - min(load.values()) <= 1
    assert len(found) <= groups // (old + 1) + 1, "it moves no more than it must"


def test_weights_are_evened_out() -> None:
    sizes = {1: ("n1", 100), 2: ("n1", 100), 3: ("n1", 1), 4: ("n2", 1), 5: ("n2", 1)}
    groups = [Replicas(group, [node], weight) for group, (node, weight) in sizes.items()]
    places = [Place("n1", "a", replicas=3, weight=201), Place("n2", "a", replicas=2, weight=2)]
    assert moves(groups, places, moves_max=9) == [Move(1, "n1", "n2")]


def test_no_more_moves_than_asked_for() -> None:
    groups = [Replicas(group, ["n1"]) for group in range(10)]
    assert len(moves(groups, [Place("n1", "a", replicas=10), Place("n2", "a")], moves_max=3)) == 3


def test_what_is_on_a_node_that_is_down_stays_where_it_is() -> None:
    groups = [Replicas(group, ["gone"]) for group in range(10)]
    assert moves(groups, [Place("n1", "a"), Place("n2", "b")], moves_max=9) == []
