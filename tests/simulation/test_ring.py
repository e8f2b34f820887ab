"""A whole ring in one process: whatever happens, no acknowledged write is lost, and all replicas end up the same.

Seeds are few by default. RING_RUNS=1000 runs as many; RING_SEED=17 runs that one and tells what happened in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import fields

import pytest

from tests.simulation.ring_node import ClientPut, RingNode, Settings
from tests.simulation.ring_run import Report, RingRun
from varley.ring import siblings, vector_clock
from varley.ring.hash_tree import HashTree
from varley.ring.preference_list import Target
from varley.ring.siblings import Mode, Siblings, Stamp, put

RUNS = int(os.environ.get("RING_RUNS", "3"))
SEEDS = [int(os.environ["RING_SEED"])] if "RING_SEED" in os.environ else range(RUNS)

always_writable = Settings(n=3, r=1, w=1)
usual = Settings(n=3, r=2, w=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("settings", [usual, always_writable], ids=["R=2 W=2", "R=1 W=1"])
def test_nothing_acknowledged_is_lost_and_all_replicas_converge(settings: Settings, seed: int) -> None:
    report = RingRun(seed, settings).run()
    assert report.wrong == [], f"RING_SEED={seed}\n" + "\n".join(report.happened)
    assert report.acknowledged > 50, "a run in which nothing is written shows nothing"
    assert report.hints_seen > 0, "a run without hints shows nothing about them"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_with_last_write_wins_all_replicas_converge(seed: int) -> None:
    report = RingRun(seed, Settings(mode=Mode.LAST_WRITE_WINS)).run()
    assert report.not_converged + report.undelivered_hints + report.untrue_trees == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_short_clocks_bring_old_siblings_back_and_lose_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many coordinators as a key sees in a run are too few to truncate ten entries, so there are three."""
    for module in (vector_clock, siblings):
        monkeypatch.setattr(module, "SEEN_ENTRIES_MAX", 2)
    report = RingRun(seed, always_writable, keys=4).run()
    assert report.wrong == [], f"RING_SEED={seed}\n" + "\n".join(report.happened)


def test_a_run_is_its_seed() -> None:
    once, again = (RingRun(7, usual, seconds=2, healing_seconds=2).run() for _ in range(2))
    assert once == again


# ---- The judges can see: rings with one thing wrong


class DropsASibling(RingNode):
    """A store that keeps one of two concurrent versions."""

    def merge(self, sets: Iterable[Siblings]) -> Siblings:
        return Siblings(super().merge(sets).versions[-1:])


class ForgetsHints(RingNode):
    """The hint store is in memory only."""

    def crash(self) -> None:
        super().crash()
        for home, key, _ in self.hints():
            del self.disk.rows["hint", home, key], self.disk.synced["hint", home, key]


class StaleTree(HashTree):
    """Changes a bucket and not the nodes above it."""

    def _climb(self, bucket: int) -> None:
        if self.hash_at(1, bucket // 16) == bytes(16):
            super()._climb(bucket)


class DoesNotUpdateItsTrees(RingNode):
    tree_type = StaleTree


class NumbersByNode(RingNode):
    """Its actor is its name, as in the paper: once a hint is handed over, its number is given to another event."""

    def _stamp(self, request: ClientPut, stamp: Stamp, target: Target, then: Callable[[Siblings], None]) -> None:
        super()._stamp(request, StampedByNode(*(getattr(stamp, f.name) for f in fields(stamp))), target, then)


class StampedByNode(Stamp):
    def apply(self, held: Siblings, hint_for: str | None = None) -> Siblings:
        return put(held, self.context, self.node, self.now_us, self.value, self.mode)


def _first_that_shows(node_type: type[RingNode], settings: Settings, what: str, keys: int) -> Report | None:
    for seed in range(12):
        report = RingRun(seed, settings, node_type, keys=keys).run()
        if getattr(report, what):
            return report
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node_type", "settings", "what", "keys"),
    [
        (DropsASibling, usual, "lost", 12),
        (ForgetsHints, always_writable, "lost", 12),
        (NumbersByNode, always_writable, "lost", 12),
        # With many keys some are not read again: only the trees can find out what a replica has missed.
        (DoesNotUpdateItsTrees, always_writable, "not_converged", 100),
    ],
)
def test_the_judges_catch_a_planted_bug(
    node_type: type[RingNode], settings: Settings, what: str, keys: int
) -> None:
    assert _first_that_shows(node_type, settings, what, keys) is not None
