"""Hints and rows that moved, where what nodes know of each other differs, and where there is much of it."""

from __future__ import annotations

import pytest

from tests.ring_node.pretended import PretendedRing, settings
from tests.ring_node.test_store import one
from varley.ring_node import handoff, rows
from varley.ring_node.keys import ring_key
from varley.ring_node.node import RingNode


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


def test_hints_of_a_home_that_is_down_are_not_all_looked_at_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is down for hours, and takes a million hints: the loop would do nothing but read their heads."""
    ring = PretendedRing(3)
    node = ring["n0"]
    ring.processes["n2"].kill()
    for index in range(5000):
        hint_for(node, b"%d" % index, "n2")
    ring.run(5)
    assert not node.peers.is_alive("n2")
    looked_at = 0
    decode_head = rows.decode_head

    def counted(key: bytes, head: bytes) -> rows.Head:
        nonlocal looked_at
        looked_at += 1
        return decode_head(key, head)

    monkeypatch.setattr(rows, "decode_head", counted)
    node._handoff.tick()
    assert looked_at <= handoff.LOOK + 1


@pytest.mark.slow
def test_a_hint_among_many_that_cannot_be_delivered_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key has other homes by now, which can be reached, though the one that it was kept for cannot."""
    monkeypatch.setattr(handoff, "LOOK", 10)
    ring = PretendedRing(5)
    node = ring["n0"]
    ring.processes["n4"].kill()
    keys = [b"%d" % index for index in range(200)]
    for key in keys:
        hint_for(node, key, "n4")
    moved = {key for key in keys if "n4" not in ring.homes(key)}
    assert 20 < len(moved) < 180
    ring.wait(lambda: node.store.hint_counts["n4"] == len(keys) - len(moved), 120)
    ring.processes["n4"].start()
    ring.wait(lambda: not node.store.hint_counts, 120)


def hint_for(node: RingNode, key: bytes, home: str) -> None:
    node.store.merge(ring_key("b", key), one(b"v"), home, lambda: None)
