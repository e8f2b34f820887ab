"""Hints and rows that moved, where what nodes know of each other differs, and where there is much of it."""

from __future__ import annotations

import pytest

from tests.ring_node.pretended import PretendedRing, settings
from varley.ring_node.keys import ring_key


@pytest.mark.slow
def test_two_nodes_that_take_each_other_for_the_home_do_not_both_give_a_row_away() -> None:
    """A was told to leave and hands x to B; B, which has not heard of that, hands x to A. Each of them still has x when
    the other's copy arrives, and says so; if each then deleted its own, x would be gone."""
    ring = PretendedRing(2, ring=settings(n=1, r=1, w=1))
    name = ring_key("b", b"k")
    first, second = ("n0", "n1") if ring.homes(b"k") == ("n0",) else ("n1", "n0")
    ring.put(first, b"k", b"v")
    ring.run(2)
    ring[second].store.merge(name, ring[first].store.row(name), None, lambda: None)
    ring.run(0.01)
    for own, other in (first, second), (second, first):
        members = ring[own].members
        members.homes = lambda range_id, other=other: (other,)  # type: ignore[method-assign, misc]
    ring.network.troubles.delay_us_max = 100    # as long for all: the copies cross, and then what acknowledges them
    for own in first, second:
        ring[own]._handoff.tick()
    for _ in range(200):
        ring.run(0.01)
        assert any(len(ring[node].store.row(name)) for node in (first, second)), "an acknowledged write is gone"
