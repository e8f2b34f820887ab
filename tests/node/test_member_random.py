"""Random writes and reads at whoever leads, while machines die, links fail and disks forget. A run is its seed.

What is judged: no answered write is lost; what was told to be surely not done is not there; strong reads of a row see a
state between what was acknowledged before they began and what was ever tried before they ended, and never go back; all
trees are equal at equal slots."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.node.member_cluster import GROUP, Machine, MemberCluster
from tests.node.writes import Waiter, Write, number_of, row_key
from varley.errors import LeaderReplaced, NotLeading, Throttling
from varley.node.member import HostedMember, Step
from varley.paxos.leader import Leader
from varley.paxos.lease import Timing
from varley.paxos.replica import Replica
from varley.storage.member_log import Orders

MS = 1000
TIMING = Timing(
    lease_us=400 * MS, beat_us=80 * MS, rest_us=120 * MS, together_us=20 * MS, election_us=430 * MS, spread_us=150 * MS,
    answer_us=80 * MS, resend_us=60 * MS,
    hand_over_us=300 * MS, window_entries=64, chunk_entries=16, window_bytes=8192, chunk_bytes=4096,
)  # fmt: skip
ROWS = 6


class WriteWaiter(Waiter):
    def __init__(self, then: Callable[[bytes | BaseException], None]) -> None:
        super().__init__()
        self._then = then

    def reply(self, body: bytes) -> None:
        super().reply(body)
        self._then(body)

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        self._then(error)


TROUBLES = (
    "kill", "kill", "kill leader", "cut", "isolate", "weather", "heal", "heal", "checkpoint", "checkpoint",
    "hand over", "lose log", "full disk", "power", "restart", "restart", "restart",
)  # fmt: skip


class Idle(AssertionError):
    """Nothing wrong was done, and nothing right either."""


class Run:
    """Each write adds 1 to what the row holds, as the leader knows it: so the number that a row holds counts the writes
    that came to pass, and an acknowledged write was given the count at its place: no two get the same, and a read is at
    least as high as each acknowledged before it began."""

    def __init__(self, cluster: MemberCluster, troubles: Sequence[str]) -> None:
        self.cluster = cluster
        self.troubles = troubles
        self.random = cluster.random
        self.seen = [0] * ROWS              # the highest number that any answer has shown
        self.given: list[set[int]] = [set() for _ in range(ROWS)]
        self.tried = [0] * ROWS             # writes that may have come to pass
        self.writes = self.reads = self.unknown = self.refused = 0
        self.trees: dict[int, list[tuple[bytes, bytes]]] = {}
        self.broken: list[str] = []         # what must not be; whoever tells an answer goes on if that raises
        self.is_calm = False
        self.only_reads: set[str] = set()   # machines that are only read from, for a while

    def write(self, machine: Machine) -> None:
        row = self.random.randrange(ROWS)
        assert machine.partition is not None
        before = self.seen[row]
        self.tried[row] += 1

        def answered(answer: bytes | BaseException) -> None:
            if isinstance(answer, bytes):
                number = int(answer)
                self.must(number > before, f"an acknowledged write of row {row} was lost: {number} after {before}")
                self.must(number not in self.given[row], f"two writes of row {row} were told {number}")
                self.given[row].add(number)
                self.seen[row] = max(self.seen[row], number)
                self.writes += 1
            elif isinstance(answer, LeaderReplaced):
                self.unknown += 1
            else:
                self.must(isinstance(answer, NotLeading), repr(answer))
                self.tried[row] -= 1
                self.refused += 1

        try:
            assert machine.partition.write(Write(f"{row}", 1, add=True), WriteWaiter(answered)) is None
        except (NotLeading, Throttling):
            self.tried[row] -= 1

    def read(self, machine: Machine) -> None:
        """A strong read, as the API does it: by lease, or, if that does not do, confirmed and done again."""
        partition, row = machine.partition, self.random.randrange(ROWS)
        assert partition is not None
        before = self.seen[row]
        try:
            ballot, observed = partition.ballot, partition.undecided(row_key(f"{row}"))
        except NotLeading:
            return

        def compute(error: BaseException | None) -> None:
            if error is None:
                number = number_of(partition.get(row_key(f"{row}"))) or 0
                if partition.may_answer(ballot):
                    self.judge_read(row, before, number)
                else:
                    partition.confirm(confirmed)

        def confirmed(error: BaseException | None) -> None:
            if error is None:
                self.judge_read(row, before, number_of(partition.get(row_key(f"{row}"))) or 0)

        if observed is not None:
            observed.hold(compute)
        elif self.random.random() < 0.5:
            compute(None)
        else:
            partition.confirm(confirmed)

    def judge_read(self, row: int, before: int, number: int) -> None:
        self.must(number >= before, f"row {row}: {number} was read, and {before} had been shown before that began")
        self.must(number <= self.tried[row], f"row {row} holds {number} after {self.tried[row]} attempts")
        self.seen[row] = max(self.seen[row], number)
        self.reads += 1

    def must(self, is_right: bool, what: str) -> None:
        if not is_right:
            self.broken.append(what)

    def load(self) -> None:
        if self.random.random() < 0.1 and not self.is_calm:
            self.only_reads ^= {self.random.choice(list(self.cluster.machines))}
        for machine in self.up():
            if machine.partition is None:
                continue
            for _ in range(self.random.choice((1, 1, 2, 10))):
                if machine.partition.is_leading or self.random.random() < 0.05:
                    is_write = machine.name not in self.only_reads and self.random.random() < 0.6
                    (self.write if is_write else self.read)(machine)

    def up(self) -> list[Machine]:
        return [machine for machine in self.cluster.machines.values() if machine.is_up]

    # Troubles

    def trouble(self) -> None:
        cluster, random = self.cluster, self.random
        machine = random.choice(list(cluster.machines.values()))
        kind = random.choice(self.troubles)
        if kind == "kill leader":
            machine = cluster.leader() or machine
        if kind in ("kill", "kill leader") and machine.is_up:
            machine.kill(power_cut=random.random() < 0.7)
        elif kind == "power":
            for each in self.up():
                each.kill(power_cut=True)
            self.restart()
        elif kind == "restart":
            self.restart()
        elif kind == "cut":
            other = random.choice(list(cluster.machines))
            cluster.network.cut.add((machine.name, other))
        elif kind == "isolate":
            cluster.network.isolate(machine.name)
        elif kind == "weather":
            cluster.network.loss, cluster.network.late = random.choice((0.0, 0.05, 0.2)), random.choice((0.0, 0.02))
        elif kind == "heal":
            cluster.network.heal()
        elif kind == "checkpoint" and machine.is_up:
            machine.checkpoint()
        elif kind == "hand over" and (leader := cluster.leader()) is not None:
            leader.node.hand_over(GROUP, random.choice(sorted(leader.core.configuration.voters)))
        elif kind == "lose log" and machine.is_up and self.may_lose_a_log():
            machine.kill()
            machine.lose_log()
            cluster.restart(machine)
        elif kind == "full disk" and machine.is_up:
            machine.disk.fail("write_synced", 28, times=random.randint(1, 3))

    def may_lose_a_log(self) -> bool:
        """A group lives through one lost disk at a time: not before the one before has its vote again."""
        cluster = self.cluster
        return all(
            machine.is_up and machine.core.configuration.voters == set(cluster.names.values())
            for machine in cluster.machines.values()
        )

    def restart(self) -> None:
        for machine in self.cluster.machines.values():
            if not machine.is_up:
                self.cluster.restart(machine)

    def compare_trees(self) -> None:
        for machine in self.up():
            if machine.partition is not None:
                tree = machine.partition.tree
                rows = list(tree.scan(b"", None))
                assert self.trees.setdefault(tree.applied_slot, rows) == rows, f"trees differ at {tree.applied_slot}"


def live(tmp_path: Path, seed: int, full: int, steps: int, troubles: Sequence[str] = TROUBLES) -> Run:
    """Bad times, then good ones. Raises AssertionError if something is not as it must be."""
    cluster = MemberCluster(tmp_path, seed, full=full, timing=TIMING, segment_bytes=8192)
    cluster.sync_seconds = cluster.random.choice((0.001, 0.003, 0.02))
    run = Run(cluster, troubles)
    for _ in range(steps):
        run.load()
        cluster.loop.run_for(cluster.random.choice((0.001, 0.01, 0.05)))
        for machine in run.up():
            machine.wait_for_checkpoint()
        if run.random.random() < 0.1:
            run.trouble()
        run.compare_trees()
        assert run.broken == []
    cluster.network.heal()
    for machine in cluster.machines.values():
        machine.disk.heal()
    run.restart()
    cluster.settle(20)     # a request that was on its way may have to time out
    writes, reads = run.writes, run.reads
    run.only_reads.clear()
    run.is_calm = True
    for _ in range(20):
        run.load()
        cluster.loop.run_for(0.05)
    if run.writes == writes or run.reads == reads:
        raise Idle("everything is healed, and nothing is written or read")
    cluster.settle(2)
    run.compare_trees()
    slots = {machine.partition.tree.applied_slot for machine in run.up() if machine.partition is not None}
    if len(slots) > 1:
        raise Idle(f"everything is healed, and some do not catch up: {slots}")
    assert run.broken == []
    cluster.stop()
    return run


@pytest.mark.slow
@pytest.mark.parametrize("full", [3, 5])
@pytest.mark.parametrize("seed", range(int(os.environ.get("MEMBER_SEEDS", "6"))))
def test_nothing_that_was_answered_is_lost(tmp_path: Path, seed: int, full: int) -> None:
    print("seed", seed)
    run = live(tmp_path, seed, full, int(os.environ.get("MEMBER_STEPS", "300")))
    print(run.writes, run.reads, run.unknown, run.refused, run.cluster.names)


def sends_before_the_disk_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be sent once it is durable is sent at once."""
    init = Step.__init__

    def durable(step: Step, *arguments: Any) -> None:
        init(step, *arguments)
        step.is_durable = True

    persist = HostedMember._persist

    def release(member: HostedMember, *arguments: Any, **settings: Any) -> None:
        persist(member, *arguments, **settings)
        member._release()

    monkeypatch.setattr(Step, "__init__", durable)
    monkeypatch.setattr(HostedMember, "_persist", release)


def leads_on_without_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leader, "has_quorum_until", property(lambda leader: 2**62))
    monkeypatch.setattr(HostedMember, "may_answer", lambda member, ballot: True)


def lets_go_of_the_log_with_the_newest_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a State held the entries that are behind its base."""
    monkeypatch.setattr(Orders, "releasable", property(lambda orders: orders.state - 1))


def forgets_the_speculative_layer_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a leader proposed and lost stands in the way of what it evaluates when it leads again."""

    class Kept(dict[bytes, Any]):
        def clear(self) -> None:
            pass

    init = HostedMember.__init__

    def keeping(member: HostedMember, *arguments: Any) -> None:
        init(member, *arguments)
        member.speculative = Kept()

    monkeypatch.setattr(HostedMember, "__init__", keeping)


def answers_before_the_log_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told as soon as a write is proposed."""
    flush = HostedMember.flush

    def flushing(member: HostedMember) -> None:
        proposals = [proposal for proposal, _ in member._pending]
        flush(member)
        for proposal in proposals:
            if not proposal.waiter.answers:     # type: ignore[attr-defined]
                proposal.waiter.reply(proposal.answer)
                proposal.waiter = Waiter()

    monkeypatch.setattr(HostedMember, "flush", flushing)


def takes_all_that_it_has_for_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower applies what its leader has sent, whoever else has it."""

    def learn(replica: Replica, chosen: int, held: int) -> None:
        replica._learner.learn(replica.log.last)

    monkeypatch.setattr(Replica, "_learn_from_leader", learn)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "troubles"),
    [
        (answers_before_the_log_has_it, ["isolate", "heal", "power", "hand over"]),
        (takes_all_that_it_has_for_chosen, ["isolate", "heal", "kill leader", "restart"]),
        (sends_before_the_disk_has_it, ["power", *["heal"] * 5]),
        (leads_on_without_a_lease, ["isolate", "heal"]),
        (lets_go_of_the_log_with_the_newest_state, ["power", "checkpoint", "checkpoint"]),
        (forgets_the_speculative_layer_late, ["hand over", "isolate", "heal"]),
    ],
)
def test_what_is_planted_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    troubles: Sequence[str],
) -> None:
    """By a judge, or by what the code asserts of itself; that nothing gets done any more does not count."""
    plant(monkeypatch)
    for seed in range(40):
        try:
            run = live(tmp_path / str(seed), seed, 3, 400, troubles)
        except Idle:
            continue
        except AssertionError:
            return
        if any(why is not None and "is missing" in why for _, why in run.cluster.lost):
            return
    pytest.fail("nobody has noticed")
