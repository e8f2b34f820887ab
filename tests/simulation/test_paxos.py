"""Groups in bad weather, and broken groups that the judges must notice.

The rules are in paxos_judges.py. SIMULATION_SEEDS and SIMULATION_SECONDS (of the group's own time, each followed by
healing) make it longer, SIMULATION_SEED=17 runs one seed alone. A failure names its seed, which decides everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct

from tests.simulation.paxos_cluster import (
    FAST,
    FAULTS,
    HEALED_US,
    SECOND,
    Bugs,
    Cluster,
    Weather,
    add_member,
    crash,
    crash_leader,
    heal_links,
    hub,
    isolate,
    lose,
    one_way,
)
from tests.simulation.paxos_judges import Broken, Stuck
from varley.paxos import election, leader, lease, replica
from varley.paxos.effects import Outbox
from varley.paxos.events import AddLearner, Change
from varley.paxos.lease import Timing
from varley.paxos.membership import FULL, LOG, Configuration, Member
from varley.paxos.messages import Entry, Promise, Resigned
from varley.paxos.replica import Replica

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "2000"))
SECONDS = int(os.environ.get("SIMULATION_SECONDS", "2"))
ONLY = os.environ.get("SIMULATION_SEED")

SHAPES = ((3, 0), (2, 1), (5, 0), (3, 2))   # full members, log members
PARTS = 20      # of the seeds, for several processes


def run(seed: int, seconds: int = SECONDS, **settings: object) -> Cluster:
    full, logs = SHAPES[seed % len(SHAPES)]
    cluster = Cluster(seed, **{"full": full, "logs": logs, **settings})  # type: ignore[arg-type]
    cluster.live(seconds * SECOND)
    cluster.calm_down()
    return cluster


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_chosen_stays_and_all_clients_see_one_history(part: int) -> None:
    writes = steps = faults = at_rest = 0
    for seed in [int(ONLY)] if ONLY else range(part, SEEDS, PARTS):
        try:
            # Some write down after every few bytes what is chosen.
            cluster = run(seed, timing=replace(FAST, chunk_bytes=24) if seed & 4 else FAST)
            writes += cluster.judges.writes
            steps += cluster.steps
            faults += cluster.faults
            at_rest += cluster.at_rest
        except (Broken, AssertionError) as error:
            pytest.fail(f"SIMULATION_SEED={seed} SIMULATION_SECONDS={SECONDS}: {type(error).__name__}: {error}")
    print(f"{writes} writes acknowledged in {steps} steps, {faults} troubles, {at_rest} leases granted at rest")
    assert writes > 0
    assert at_rest > 0 or ONLY or SEEDS < 20 * PARTS, "of few groups none may come to rest"


def test_a_seed_decides_everything() -> None:
    one, other = (run(3, 4) for _ in range(2))
    assert one.judges.chosen == other.judges.chosen
    assert one.now == other.now and one._count == other._count


def test_clocks_may_be_wrong_by_a_fifth_if_all_reckon_with_it() -> None:
    timing = replace(FAST, drift_permille=200)
    for seed in range(4):
        run(seed, 6, weather=Weather(drift_permille=200), timing=timing)


def time_without_a_leader(seed: int, *, at_rest: bool) -> int:
    """From when a leader hears nobody any more, and is heard by all, until another serves. With the times of a real
    group."""
    weather = Weather(loss=0.001, late=0, lulls=0, fault_every_us=10**12)
    cluster = Cluster(seed, full=(3, 2, 5)[seed % 3], logs=seed % 3 % 2, weather=weather, timing=Timing(), troubles=())
    if not at_rest:
        cluster.load()
    cluster.run(6 * SECOND + seed * 31_000)
    [deaf] = cluster.leaders()
    granted = cluster.at_rest
    for name in cluster.nodes:
        if name != deaf.name:
            cluster.cut(name, deaf.name, both=False)
    since = cluster.now
    while not any(node is not deaf for node in cluster.leaders()):
        cluster.run(10_000)
        assert cluster.now < since + HEALED_US
    assert (granted > 0) == at_rest
    return cluster.now - since


@pytest.mark.parametrize("at_rest", [False, True])
def test_a_leader_that_is_heard_and_hears_nobody_is_followed_within_three_seconds(at_rest: bool) -> None:
    times = [time_without_a_leader(seed, at_rest=at_rest) for seed in range(30)]
    assert max(times) < 3 * SECOND, times


# Planted bugs. Each is seen by the judges, or by an assert of the core, within a few seeds.


def planted(seed: int, **settings: object) -> Cluster:
    """Among faults alone: most bugs need several of those, one soon after the other."""
    return run(seed, 6, **{"troubles": FAULTS, **settings})


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
    first_broken(lambda seed: planted(seed, bugs=Bugs(sends_before_sync=True), weather=STORMY))


def test_bug_a_restarted_member_forgets_its_grants() -> None:
    # Elections come fast here: otherwise a member that just started waits longer than a lease anyway.
    timing = replace(FAST, election_us=90_000, spread_us=50_000)
    for seed in range(4):
        run(seed, 6, timing=timing)
    first_broken(lambda seed: planted(seed, bugs=Bugs(forgets_grants=True), timing=timing, weather=STORMY))


def test_bug_reads_are_answered_without_looking_at_the_lease_again() -> None:
    assert "a read saw" in first_broken(lambda seed: planted(seed, bugs=Bugs(answers_unchecked=True), weather=STORMY))


def test_bug_the_lease_reckons_with_perfect_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease.Timing, "leader_lease_us", property(lambda timing: timing.lease_us))
    timing = replace(FAST, drift_permille=200, election_us=90_000, spread_us=50_000)
    weather, troubles = Weather(drift_permille=200), (isolate, isolate, heal_links)
    found = first_broken(lambda seed: planted(seed, weather=weather, timing=timing, troubles=troubles), seeds=100)
    assert "lease" in found


def test_bug_a_member_at_rest_grants_what_it_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a look at the ballot, a leader of the past gets its lease again."""

    def grant_at_rest(self: Replica, sender: str, ballot: int, slot: int, lease_left: int, now: int) -> bool:
        return grant_as_it_is(self, sender, max(ballot, self.promised), self.log.last, lease_left, now) or True

    grant_as_it_is = Replica.grant_at_rest
    monkeypatch.setattr(Replica, "grant_at_rest", grant_at_rest)
    weather = Weather(lulls=0.1, fault_every_us=300_000)
    assert "lease" in first_broken(lambda seed: planted(seed, weather=weather))


def test_bug_a_leader_resigns_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def beat(self: leader.Leader, now: int, out: Outbox) -> None:
        beat_as_it_is(self, now, out)
        out.send_at_once.extend((name, Resigned(self.ballot)) for name in sorted(self.configuration.names))

    beat_as_it_is = leader.Leader.beat
    monkeypatch.setattr(leader.Leader, "beat", beat)
    assert "lease" in first_broken(planted, seeds=100)


def test_bug_promises_are_counted_and_not_who_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[int, int] = {}

    def promised(candidate: election.Candidate, sender: str, promise: Promise) -> None:
        candidate.promises[sender] = promise
        counts[id(candidate)] = counts.get(id(candidate), 0) + 1

    def is_elected(candidate: election.Candidate) -> bool:
        return 2 * counts[id(candidate)] > len(candidate.configuration.voters)

    monkeypatch.setattr(election.Candidate, "promised", promised)
    monkeypatch.setattr(election.Candidate, "is_elected", is_elected)
    first_broken(lambda seed: planted(seed, weather=Weather(repeats=0.3, fault_every_us=300_000)))


def test_bug_each_slot_by_its_own_highest_ballot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classic rule, right where entries do not depend on each other."""

    def best(candidate: election.Candidate) -> tuple[str, Promise]:
        longest = max(candidate.promises.items(), key=lambda of: of[1].last)
        entries: list[Entry] = []
        for at in range(len(longest[1].entries)):
            entries.append(max((p.entries[at] for p in candidate.promises.values() if at < len(p.entries)),
                               key=lambda entry: entry.origin))  # fmt: skip
        name, promise = longest
        return name, replace_struct(promise, accepted_ballot=0, entries=tuple(entries))

    monkeypatch.setattr(election.Candidate, "best", best)
    first_broken(lambda seed: planted(seed, weather=STORMY))


def test_bug_a_member_is_swapped_for_another_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """{A,B,C} -> {A,B,D}, and D votes at once: {A,C} and {B,D} are majorities that have nobody in common."""

    def swapped(configuration: Configuration, change: Change) -> Configuration:
        if isinstance(change, AddLearner):
            voter = replace_vote(change.member)
            others = [member for member in configuration.members if member.number != configuration.members[-1].number]
            return Configuration((*others, voter))
        return changed_as_it_is(configuration, change)

    changed_as_it_is = replica._changed
    monkeypatch.setattr(replica, "_changed", swapped)
    monkeypatch.setattr(leader, "follows", lambda after, before: True)
    troubles = (add_member, add_member, crash, crash_leader, isolate, hub, one_way, heal_links)
    first_broken(lambda seed: planted(seed, weather=STORMY, troubles=troubles), seeds=300)


def replace_vote(member: Member) -> Member:
    return Member(member.name, member.number, member.kind)


def one_full_member_is_left(seed: int) -> Cluster:
    """Two full members and a log member. One full member is cut off for a while, then the other one's disk is gone."""
    cluster = Cluster(seed, full=2, logs=1, weather=Weather(checkpoint_every_us=100_000), troubles=())
    cluster.load()
    cluster.checkpoints()
    cluster.run(3 * SECOND)
    [ahead] = cluster.leaders()
    [behind] = [node for node in cluster.nodes.values() if node is not ahead and node.member.kind == FULL]
    for name in cluster.nodes:
        if name != behind.name:
            cluster.cut(behind.name, name)
    cluster.run(2 * SECOND)
    lose(cluster, ahead)
    cluster.calm_down()
    return cluster


def test_a_log_member_gives_a_full_member_what_that_lacks() -> None:
    for seed in range(10):
        one_full_member_is_left(seed)


def test_bug_a_log_member_drops_what_one_full_member_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def trim(self: Replica, slot: int, archived: int, out: Outbox) -> None:
        if self.kind == LOG:
            archived = self.chosen
        trim_as_it_is(self, slot, archived, out)

    trim_as_it_is = Replica._trim
    monkeypatch.setattr(Replica, "_trim", trim)
    with pytest.raises(Stuck):    # nobody has what was acknowledged: they rightly refuse to go on without it
        for seed in range(10):
            one_full_member_is_left(seed)
