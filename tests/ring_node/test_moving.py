"""Gets while ranges change their homes: two of three at once, all of them told of it at different times."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ring_node.pretended import PretendedRing
from tests.ring_node.test_promises import KEYS, fill, is_in_its_place, newcomer, total
from varley.ring.siblings import decode
from varley.ring_node import moving
from varley.ring_node.deliveries import Deliveries
from varley.ring_node.keys import ring_key
from varley.ring_node.service import Got, Put


class Traffic:
    """Gets of all keys at all nodes, and puts. What was acknowledged before a get began is in what it finds."""

    def __init__(self, ring: PretendedRing, keys: list[bytes]) -> None:
        self.ring = ring
        self.gets = 0
        self.missed: list[tuple[float, str, bytes, str]] = []
        self._acknowledged = {key: {b"v" + key} for key in keys}
        self._puts = 0

    def go_on(self, seconds: float) -> None:
        """Each 50 ms, at each member, a get of every key and one put."""
        until_us = self.ring.world.now_us + seconds * 1e6
        while self.ring.world.now_us < until_us:
            for process in self.ring.processes.values():
                if process.node.is_ready():
                    for key in self._acknowledged:
                        self._get(process.name, key)
                    self._put(process.name)
            self.ring.run(0.05)

    def _get(self, at: str, key: bytes) -> None:
        wanted = set(self._acknowledged[key])

        def then(answer: Any) -> None:
            self.gets += 1
            if isinstance(answer, Got) and not wanted <= {value.data for value in answer.values}:
                self.missed.append((self.ring.world.now_us / 1e6, at, key, f"{answer.answered}"))

        self.ring[at].get("b", key, r=None, then=then)

    def _put(self, at: str) -> None:
        """Without a context: it stays beside what is there, so every one of them is to be found."""
        self._puts += 1
        keys = list(self._acknowledged)
        key, value = keys[self._puts % len(keys)], b"put %d" % self._puts

        def then(answer: Any) -> None:
            if isinstance(answer, Put):
                self._acknowledged[key].add(value)

        self.ring[at].put("b", key, None, value, w=None, then=then)


class Deliverer:
    """Brings nothing to where it belongs until `is_held` is false: disks are slow, or ranges large."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_held = True
        send = Deliveries._send

        def sent(*arguments: Any) -> None:
            if not self.is_held:
                send(*arguments)

        monkeypatch.setattr(Deliveries, "_send", sent)


@pytest.mark.slow
def test_gets_find_all_that_was_acknowledged_while_two_nodes_join_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = PretendedRing(3, seed=2)
    fill(ring)
    traffic, deliverer = Traffic(ring, KEYS), Deliverer(monkeypatch)
    for name, by in ("n3", "n1"), ("n4", "n2"):
        newcomer(ring, name, seeds={by: (by, 1)})
        ring[name].join_now(None, None, lambda: None)
    traffic.go_on(0.5)
    deliverer.is_held = False
    traffic.go_on(0.5)
    assert traffic.gets > 500 and not traffic.missed


@pytest.mark.slow
def test_gets_find_all_that_was_acknowledged_while_two_nodes_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = PretendedRing(5)
    fill(ring)
    traffic, deliverer = Traffic(ring, KEYS), Deliverer(monkeypatch)
    for name, told in ("n3", "n1"), ("n4", "n2"):
        ring[told].members.leave(name, lambda: None)
    traffic.go_on(0.5)
    deliverer.is_held = False
    traffic.go_on(0.5)
    assert traffic.gets > 500 and not traffic.missed


@pytest.mark.slow
def test_a_joiner_that_starts_anew_before_it_was_given_anything_still_asks_whose_place_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring = PretendedRing(3)
    fill(ring)
    monkeypatch.setattr(Deliveries, "_send", lambda *_: None)   # nothing is brought to where it belongs
    joiner = newcomer(ring, "n3")
    joiner.node.join_now(None, None, lambda: None)
    ring.wait(lambda: all(len(p.node.status().members) == 4 for p in ring.processes.values()))
    joiner.kill()
    joiner.start()
    gained = next(key for key in KEYS if "n3" in ring.homes(key))
    found: list[Any] = []
    joiner.node.fetch("b", gained, found.append)
    ring.wait(lambda: bool(found))
    assert decode(found[0]).values == (b"v" + gained,)
    assert not len(joiner.node.store.row(ring_key("b", gained))), "it has nothing itself"


@pytest.mark.slow
def test_nobody_is_asked_any_more_when_all_have_said_that_nothing_is_left() -> None:
    ring = PretendedRing(3)
    fill(ring)
    newcomer(ring, "n3").node.join_now(None, None, lambda: None)
    ring.wait(lambda: all(len(p.node.status().members) == 4 for p in ring.processes.values()))
    assert not any(process.node._moving.is_settled for process in ring.processes.values())
    ring.wait(lambda: all(process.node._moving.is_settled for process in ring.processes.values()))
    assert is_in_its_place(ring)
    united = total(ring, "fetches_united")
    for key in KEYS:
        assert isinstance(ring.get("n3", key), Got)
    assert total(ring, "fetches_united") == united


@pytest.mark.slow
def test_a_member_that_is_down_keeps_a_change_from_being_settled_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moving, "SETTLE_SECONDS", 60.0)
    ring = PretendedRing(4)
    ring["n0"].members.leave("n3", lambda: None)
    ring.processes["n3"].kill()
    ring.run(10)
    assert not ring["n0"]._moving.is_settled
    ring.run(moving.SETTLE_SECONDS)
    assert ring["n0"]._moving.is_settled
