"""Strategy 1: the placement that follows from a history, and what a join changes of it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from varley.ring.membership import History, Member
from varley.ring.token_placement import TokenPlacement
from varley.ring.tokens import POSITION_BITS, position_of

names = st.lists(st.sampled_from("abcdefg"), min_size=1, unique=True)


def placement_of(members: list[str], capacity: float = 1.0) -> TokenPlacement:
    history = History()
    for at, name in enumerate(members):
        history = history.join(name, Member(name, "", capacity), at)
    return TokenPlacement(history, 4)


@given(names, st.binary(max_size=10))
def test_a_key_lies_in_the_spans_of_its_partition_and_in_no_other(members: list[str], key: bytes) -> None:
    placement, position = placement_of(members), position_of(key)
    inside = [
        partition for partition in placement.ids
        if any(low <= position < high for low, high in placement.spans(partition))
    ]  # fmt: skip
    assert inside == [placement.partition_of(key)]
    assert set(placement.preference(inside[0])) == set(members)


@given(names)
def test_spans_are_the_whole_ring_once(members: list[str]) -> None:
    placement = placement_of(members)
    spans = sorted(span for partition in placement.ids for span in placement.spans(partition))
    assert spans[0][0] == 0 and spans[-1][1] == 1 << POSITION_BITS
    assert all(one[1] == other[0] for one, other in pairwise(spans))


@given(names, st.integers(0, (1 << POSITION_BITS) - 2), st.integers(1, 1 << 125))
def test_overlapping_is_what_has_a_common_position(members: list[str], low: int, size: int) -> None:
    placement, high = placement_of(members), min(low + size, 1 << POSITION_BITS)
    expected = {
        partition for partition in placement.ids
        if any(low < end and start < high for start, end in placement.spans(partition))
    }  # fmt: skip
    assert expected == set(placement.overlapping(low, high))


@given(names)
def test_who_joins_changes_nothing_of_the_tokens_of_others(members: list[str]) -> None:
    before, after = placement_of(members), placement_of([*members, "new"])
    assert set(before.ring) == {token for token in after.ring if token[1] != "new"}
    assert sum(node == "new" for _, node in after.ring) == 4


def test_a_member_with_another_capacity_keeps_the_tokens_it_has() -> None:
    small = placement_of(["a", "b"])
    history = small.history.join("a", Member("a", "", 2.0), 99)
    large = TokenPlacement(history, 4)
    assert set(small.ring) < set(large.ring) and len(large.ring) == 12


def test_a_ring_without_members_has_no_partitions() -> None:
    placement = TokenPlacement(History())
    assert placement.ids == () and placement.partition_of(b"k") == 0 and placement.preference(0) == ()
    assert placement.overlapping(0, 9) == placement.spans(0) == ()
