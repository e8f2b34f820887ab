"""The simulator's runs on real drivers: crashes, cuts, loss, joins and leaves; then everything is healed and judged.

RING_NODE_RUNS=100 runs as many seeds; RING_SEED=17 runs that one and tells what happened in it.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.ring_node import pretended
from tests.ring_node.driven import DrivenNode, TappedGet
from tests.ring_node.pretended import ForgetfulDisk
from tests.simulation.ring_node import Settings
from tests.simulation.ring_run import RingRun
from varley.ring.siblings import Mode
from varley.ring_node import requests
from varley.ring_node.rows import HINTS, ROWS

RUNS = int(os.environ.get("RING_NODE_RUNS", "2"))
SEEDS = [int(os.environ["RING_SEED"])] if "RING_SEED" in os.environ else range(RUNS)

always_writable = Settings(n=3, r=1, w=1)
usual = Settings(n=3, r=2, w=2)


class DrivenByTokens(DrivenNode):
    strategy = 1


class Buffered(DrivenNode):
    buffer_bytes = 1 << 20


@pytest.fixture(autouse=True)
def gets_are_tapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_GetDrive", TappedGet)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("node", [DrivenNode, DrivenByTokens], ids=["strategy 3", "strategy 1"])
@pytest.mark.parametrize("settings", [usual, always_writable], ids=["R=2 W=2", "R=1 W=1"])
def test_nothing_acknowledged_is_lost_and_all_replicas_converge(settings: Settings, node: Any, seed: int) -> None:
    report = RingRun(seed, settings, node).run()
    assert report.wrong == [], f"RING_SEED={seed}\n" + "\n".join(report.happened)
    assert report.acknowledged > 50, "a run in which nothing is written shows nothing"
    assert report.hints_seen > 0, "a run without hints shows nothing about them"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("settings", [usual, always_writable], ids=["R=2 W=2", "R=1 W=1"])
def test_nothing_is_lost_on_slow_disks_where_a_key_is_always_being_written(
    settings: Settings, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown while it is on its way to the disk is numbered twice after a crash; this found it."""
    monkeypatch.setattr(pretended, "SYNC_US", 30_000)
    report = RingRun(seed, settings, DrivenNode, keys=2).run()  # type: ignore[arg-type]
    assert report.wrong == [], f"RING_SEED={seed}\n" + "\n".join(report.happened)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_with_last_write_wins_all_replicas_converge(seed: int) -> None:
    report = RingRun(seed, Settings(mode=Mode.LAST_WRITE_WINS), DrivenNode).run()  # type: ignore[arg-type]
    assert report.not_converged + report.undelivered_hints + report.untrue_trees == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_write_buffer_all_replicas_converge_after_crashes(seed: int) -> None:
    """What a crash has taken is gone, and nothing else follows from it."""
    report = RingRun(seed, usual, Buffered).run()  # type: ignore[arg-type]
    assert report.not_converged + report.undelivered_hints + report.untrue_trees == []


class ForgetsHints(DrivenNode):
    """The hint store is in memory only."""

    def crash(self) -> None:
        super().crash()
        disk = self.process.disk
        assert isinstance(disk, ForgetfulDisk)
        disk.synced.write({key: None for key, _ in list(disk.scan(HINTS, ROWS))})


@pytest.mark.slow
def test_the_judges_catch_a_planted_bug() -> None:
    assert any(RingRun(seed, always_writable, ForgetsHints).run().lost for seed in range(8))  # type: ignore[arg-type]
