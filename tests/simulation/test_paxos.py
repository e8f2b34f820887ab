"""Groups in bad weather, and broken groups that the judges must notice.

The rules are in judges.py. Short by default; SIMULATION_SEEDS=2000 and SIMULATION_SECONDS=60 (of the group's own
time) make it long, SIMULATION_SEED=17 runs one seed alone. A failure names its seed, and the seed decides everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulation.paxos_cluster import FAST, SECOND, Bugs, Cluster, Weather
from tests.simulation.paxos_judges import Broken, Stuck
from varley.paxos import election, lease
from varley.paxos.messages import Entry, Promise

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "8"))
SECONDS = int(os.environ.get("SIMULATION_SECONDS", "6"))
ONLY = os.environ.get("SIMULATION_SEED")

SHAPES = ((3, 0), (2, 1), (5, 0), (3, 2))   # full members, log members


def run(seed: int, seconds: int = SECONDS, **settings: object) -> Cluster:
    full, logs = SHAPES[seed % len(SHAPES)]
    cluster = Cluster(seed, **{"full": full, "logs": logs, **settings})  # type: ignore[arg-type]
    cluster.live(seconds * SECOND)
    cluster.calm_down()
    return cluster


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_what_is_chosen_stays_and_all_clients_see_one_history(shape: int) -> None:
    writes = 0
    for seed in [int(ONLY)] if ONLY else range(shape, SEEDS, len(SHAPES)):
        try:
            writes += run(seed).judges.writes
        except (Broken, AssertionError) as error:
            pytest.fail(f"SIMULATION_SEED={seed} SIMULATION_SECONDS={SECONDS}: {type(error).__name__}: {error}")
    assert writes > 0


def test_a_seed_decides_everything() -> None:
    one, other = (run(3, 4) for _ in range(2))
    assert one.judges.chosen == other.judges.chosen
    assert one.now == other.now and one._count == other._count


def test_clocks_may_be_wrong_by_a_fifth_if_all_reckon_with_it() -> None:
    timing = replace(FAST, drift_permille=200)
    for seed in range(4):
        run(seed, 6, weather=Weather(drift_permille=200), timing=timing)


# Planted bugs. Each is seen by the judges, or by an assert of the core, within a few seeds.


def first_broken(make: Callable[[int], Cluster], seeds: int = 40) -> str:
    for seed in range(seeds):
        try:
            make(seed)
        except (Broken, AssertionError) as error:
            if isinstance(error, Stuck):
                continue    # what is broken must be seen as wrong, not as slow
            return f"{type(error).__name__} {error}"
    pytest.fail(f"nobody noticed in {seeds} runs")


STORMY = Weather(loss=0.1, late=0.05, sync_us=40_000, fault_every_us=300_000)


def test_bug_messages_leave_before_the_disk_has_what_they_say() -> None:
    first_broken(lambda seed: run(seed, bugs=Bugs(sends_before_sync=True), weather=STORMY))


def test_bug_a_restarted_member_forgets_its_grants() -> None:
    # Elections come fast here: otherwise a member that just started waits longer than a lease anyway.
    timing = replace(FAST, election_us=90_000, spread_us=50_000)
    for seed in range(4):
        run(seed, 6, timing=timing)
    first_broken(lambda seed: run(seed, bugs=Bugs(forgets_grants=True), timing=timing, weather=STORMY))


def test_bug_reads_are_answered_without_looking_at_the_lease_again() -> None:
    assert "a read saw" in first_broken(lambda seed: run(seed, bugs=Bugs(answers_unchecked=True), weather=STORMY))


def test_bug_the_lease_reckons_with_perfect_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease.Timing, "leader_lease_us", property(lambda timing: timing.lease_us))
    timing = replace(FAST, drift_permille=200, election_us=90_000, spread_us=50_000)
    weather = Weather(drift_permille=200)
    assert "lease" in first_broken(lambda seed: run(seed, 6, weather=weather, timing=timing))


def test_bug_promises_are_counted_and_not_who_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[int, int] = {}

    def promised(candidate: election.Candidate, sender: str, promise: Promise) -> None:
        candidate.promises[sender] = promise
        counts[id(candidate)] = counts.get(id(candidate), 0) + 1

    def is_elected(candidate: election.Candidate) -> bool:
        return 2 * counts[id(candidate)] > len(candidate.configuration.voters)

    monkeypatch.setattr(election.Candidate, "promised", promised)
    monkeypatch.setattr(election.Candidate, "is_elected", is_elected)
    first_broken(lambda seed: run(seed, weather=Weather(repeats=0.3, fault_every_us=300_000)))


def test_bug_each_slot_by_its_own_highest_ballot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classic rule, right where entries do not depend on each other."""

    def best(candidate: election.Candidate) -> tuple[str, Promise]:
        longest = max(candidate.promises.items(), key=lambda of: of[1].last)
        entries: list[Entry] = []
        for at in range(len(longest[1].entries)):
            entries.append(max((p.entries[at] for p in candidate.promises.values() if at < len(p.entries)),
                               key=lambda entry: entry.origin))  # fmt: skip
        whole = Promise(longest[1].ballot, 0, longest[1].chosen, longest[1].base, longest[1].last, tuple(entries))
        return longest[0], whole

    monkeypatch.setattr(election.Candidate, "best", best)
    first_broken(lambda seed: run(seed, weather=STORMY))
