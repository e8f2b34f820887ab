"""Nodes of a ring together: put, get, hints and their delivery, restart."""

from __future__ import annotations

import pytest

from tests.ring_node.pretended import PretendedRing, settings
from varley.ring_node import service
from varley.ring_node.keys import ring_key
from varley.ring_node.service import Got, Put


def data(got: Got) -> list[bytes]:
    assert isinstance(got, Got), got
    return [value.data for value in got.values]


def test_what_is_put_at_one_node_is_read_at_another() -> None:
    ring = PretendedRing(3)
    nothing = ring.get("n1", b"k")
    assert data(nothing) == [] and nothing.context is None
    put = ring.put("n0", b"k", b"v")
    assert isinstance(put, Put)
    assert data(ring.get("n2", b"k")) == [b"v"]


def test_a_put_with_a_context_replaces_what_was_read_and_one_without_lies_beside() -> None:
    ring = PretendedRing(3)
    ring.put("n0", b"k", b"1")
    ring.put("n1", b"k", b"2", ring.get("n2", b"k").context)
    assert data(ring.get("n0", b"k")) == [b"2"]
    assert ring.put("n1", b"k", b"3").context is None, "there is a sibling that the client has not seen"
    both = ring.get("n0", b"k")
    assert sorted(data(both)) == [b"2", b"3"]
    ring.put("n0", b"k", b"4", both.context)
    assert data(ring.get("n0", b"k")) == [b"4"]


def test_a_delete_leaves_a_context_and_no_value() -> None:
    ring = PretendedRing(3)
    put = ring.put("n0", b"k", b"v")
    ring.put("n1", b"k", None, put.context)
    got = ring.get("n2", b"k")
    assert data(got) == [] and got.context is not None


def test_a_hint_is_kept_for_a_home_that_is_down_and_delivered_when_it_is_back() -> None:
    ring = PretendedRing(4)
    homes = ring.homes(b"k")
    (outside,) = set(ring.processes) - set(homes)
    ring.processes[homes[2]].kill()
    assert isinstance(ring.put(homes[0], b"k", b"v"), Put)
    ring.wait(lambda: ring[outside].status().hints == 1)
    assert next(m.hints for m in ring[outside].status().members if m.name == homes[2]) == 1
    ring.processes[homes[2]].start()
    ring.wait(lambda: ring[outside].status().hints == 0)
    assert ring[homes[2]].store.row(ring_key("b", b"k")).values == (b"v",)


def test_what_was_acknowledged_is_there_after_all_were_killed() -> None:
    ring = PretendedRing(3)
    for index in range(20):
        assert isinstance(ring.put("n0", b"%d" % index, b"v%d" % index), Put)
    for process in ring.processes.values():
        process.kill()
    for process in ring.processes.values():
        process.start()
    for index in range(20):
        assert data(ring.get("n1", b"%d" % index)) == [b"v%d" % index]


def test_a_node_that_is_no_home_forwards_a_put() -> None:
    ring = PretendedRing(5)
    homes = ring.homes(b"k")
    outside = next(name for name in ring.processes if name not in homes)
    put = ring.put(outside, b"k", b"v")
    assert put.coordinator in homes
    assert ring[outside].counters().values["puts_forwarded"] == 1


def test_with_w_of_one_a_put_is_taken_while_any_node_lives() -> None:
    ring = PretendedRing(3, ring=settings(r=1, w=1))
    ring.processes["n1"].kill()
    ring.processes["n2"].kill()
    ring.put("n0", b"first", b"v")
    assert isinstance(ring.put("n0", b"k", b"v"), Put)
    assert data(ring.get("n0", b"k")) == [b"v"]


def test_too_few_nodes_are_said_to_be_too_few() -> None:
    ring = PretendedRing(3)
    ring.processes["n1"].kill()
    ring.processes["n2"].kill()
    assert isinstance(ring.put("n0", b"k", b"v"), service.Unknown), "it was begun before anybody knew"
    ring.put("n0", b"k", b"v")
    assert ring.put("n0", b"k", b"v") == service.NotEnough("1 nodes can be reached, and W is 2", 1, 2)
    assert isinstance(ring.get("n0", b"k"), service.NotEnough)


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 1, 2, 5, 20])
def test_what_is_under_way_when_a_node_stops_ends_with_it(milliseconds: int) -> None:
    """Its disk is closed; the loop, and the other nodes, go on: nothing may be read or written any more."""
    ring = PretendedRing(4)
    ring.processes["n3"].kill()
    keys = [b"%d" % index for index in range(20)]
    for key in keys:
        ring.put("n0", key, b"v")
        ring.put("n0", key, None)
    for name in "n1", "n2":
        ring[name].store.delete(ring_key("b", b"0"), None, ring[name].store.row(ring_key("b", b"0")).digest, 1)
    ring.processes["n3"].start()
    ring.wait(lambda: ring["n0"].peers.is_alive("n3"))
    for key in keys:
        ring["n0"].get("b", key, r=None, then=lambda _: None)
        ring["n0"].put("b", key, None, b"w", w=None, then=lambda _: None)
    ring["n0"]._handoff.tick()
    ring.run(milliseconds / 1000)
    node = ring["n0"]
    node.close()
    node.store.engine.get = node.store.engine.scan = None  # type: ignore[assignment, method-assign]
    ring.run(5)
