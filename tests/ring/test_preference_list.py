from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from varley.ring.preference_list import Target, coordinator, exchanged, healthy, walk

rings = st.lists(st.sampled_from(["a1", "a2", "b1", "b2", "c1"]), min_size=1, max_size=20)
sets = st.sets(st.sampled_from(["a1", "a2", "b1", "b2", "c1"]))


def zones(ring: list[str]) -> dict[str, str]:
    return {node: node[0] for node in ring}


@given(rings, st.integers(0, 19))
def test_all_nodes_stand_in_the_list_once_and_the_owner_first(ring: list[str], start: int) -> None:
    start %= len(ring)
    preference = walk(ring, start, zones(ring))
    assert sorted(preference) == sorted(set(ring))
    assert preference[0] == ring[start]


@given(rings, st.integers(0, 19), st.integers(1, 4))
def test_the_homes_stand_in_as_many_zones_as_can_be(ring: list[str], start: int, n: int) -> None:
    homes = walk(ring, start % len(ring), zones(ring))[:n]
    assert len({node[0] for node in homes}) == min(len(homes), len({node[0] for node in ring}))


def test_the_example_of_the_docstring() -> None:
    assert walk(["b1", "b2", "a1", "c1"], 0, {"a1": "a", "b1": "b", "b2": "b", "c1": "c"}) == ("b1", "a1", "c1", "b2")


@given(rings, sets, st.integers(1, 4))
def test_who_stands_in_stands_in_for_another_home_each(ring: list[str], alive: set[str], n: int) -> None:
    preference = walk(ring, 0, zones(ring))
    targets = healthy(preference, n, alive.__contains__)
    assert [target.node for target in targets] == [node for node in preference if node in alive][:n]
    hinted = [target.hint_for for target in targets if target.hint_for]
    assert len(hinted) == len(set(hinted))
    assert not set(hinted) & alive
    assert {target.node for target in targets if target.hint_for is None} <= set(preference[:n])


def test_a_coordinator_that_is_no_member_stores_for_the_first_home() -> None:
    assert healthy(("a1",), 3, lambda _: True, must_have="b1") == (Target("a1", None), Target("b1", "a1"))


def test_a_put_goes_to_the_home_that_answered_the_get_fastest_if_it_can_be_reached() -> None:
    preference = ("a1", "b1", "c1", "a2")
    assert coordinator(preference, 3, "b1", lambda _: True, remembered="c1") == "c1"
    assert coordinator(preference, 3, "b1", lambda node: node != "c1", remembered="c1") == "b1"
    assert coordinator(preference, 3, "b1", lambda _: True, remembered="a2") == "b1", "it is no home any more"
    assert coordinator(preference, 3, "a2", lambda node: node != "a1") == "b1"
    assert coordinator(preference, 3, "a2", lambda _: False) == "a2"


@given(st.permutations("ABCDEFG"), st.permutations("ABCDEFG"), st.integers(1, 5), st.data())
def test_whom_exchanged_homes_ask_make_any_r_of_one_side_meet_any_w_of_the_other(
    before: list[str], after: list[str], n: int, data: st.DataObject
) -> None:
    old, new = before[:n], after[:n]
    r = data.draw(st.integers(1, n))
    had_by = data.draw(st.permutations(old))[: n - r + 1]
    asked = data.draw(st.permutations(new))[:r]
    for put_at, got_from in (had_by, asked), (asked, had_by):
        heard = set(got_from).union(*(exchanged(node, old, new) for node in got_from))
        assert heard & set(put_at)
