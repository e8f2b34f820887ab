"""Members of a group on several nodes: elections, writes, reads, and what a kill leaves."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.node.carrying import Carrying
from tests.node.member_cluster import GROUP, Machine, MemberCluster
from tests.node.writes import Waiter, Write, number_of, row_key
from varley.errors import LeaderReplaced, NotLeading, Throttling
from varley.paxos.events import AddLearner, Promote, Remove
from varley.paxos.lease import Timing
from varley.paxos.membership import Member
from varley.storage.check import check
from varley.storage.log_format import DERIVED, PUT


def rows_of(machine: Machine) -> list[tuple[bytes, bytes]]:
    assert machine.partition is not None
    return list(machine.partition.tree.scan(b"", None))


def test_a_group_elects_a_leader_that_writes_and_reads(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 1)
    waiter = cluster.write(Write("a", 1))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"1"
    leader = cluster.leader()
    assert leader is not None and leader.partition is not None
    assert number_of(leader.partition.get(row_key("a"))) == 1
    assert leader.partition.may_answer(leader.partition.ballot)
    confirmed: list[object] = []
    leader.partition.confirm(confirmed.append)
    cluster.loop.run_for(0.1)
    assert confirmed == [None]
    cluster.loop.run_for(1)
    for machine in cluster.machines.values():
        assert machine.partition is not None
        assert number_of(machine.partition.get(row_key("a"))) == 1, "followers learn with the next beat"
        assert machine.partition.leader == leader.name
        if machine is not leader:
            with pytest.raises(NotLeading) as refused:
                machine.partition.write(Write("a", 2), Waiter())
            assert refused.value.leader == leader.name
            with pytest.raises(NotLeading):
                machine.partition.undecided(row_key("a"))
            with pytest.raises(NotLeading):
                _ = machine.partition.participant
    cluster.stop()


def test_what_was_answered_survives_the_death_of_the_leader(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 2)
    for number in range(20):
        waiter = cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
        assert waiter.answer == b"%d" % number
    first = cluster.wait_for_leader()
    first.kill(power_cut=True)
    second = cluster.wait_for_leader()
    assert second is not first and second.partition is not None
    for number in range(20):
        assert number_of(second.partition.get(row_key(f"row {number}"))) == number
    waiter = cluster.write(Write("row 0", 100, add=True))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"100"
    cluster.restart(first)
    cluster.loop.run_for(2)
    assert first.partition is not None and not first.partition.is_leading
    assert number_of(first.partition.get(row_key("row 0"))) == 100
    assert first.partition.tree.applied_slot == second.partition.tree.applied_slot
    cluster.stop()


def test_all_go_down_and_come_back_with_everything(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 3)
    for number in range(30):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
    for machine in cluster.machines.values():
        machine.checkpoint()
    for number in range(10):
        cluster.write(Write(f"row {number}", number + 100))
        cluster.loop.run_for(0.02)
    for machine in cluster.machines.values():
        machine.kill(power_cut=True)
    for machine in cluster.machines.values():
        cluster.restart(machine)
        assert machine.recovered[GROUP].why_lost is None
    leader = cluster.wait_for_leader()
    assert leader.partition is not None
    for number in range(30):
        assert number_of(leader.partition.get(row_key(f"row {number}"))) == number + 100 * (number < 10)
    cluster.stop()


def test_a_new_member_gets_the_state_and_a_vote(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 4)
    for number in range(50):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
    leader = cluster.wait_for_leader()
    fourth = cluster.machine("n4")
    fourth.start()
    member = Member("n4", 4, votes=False, joins=True)
    fourth.join(member)
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    cluster.settle()
    assert fourth.partition is not None and leader.partition is not None
    assert rows_of(fourth) == rows_of(leader)
    assert "n4" in leader.core.configuration.voters
    assert fourth.partition.leader == leader.name
    fourth.kill(power_cut=True)
    cluster.restart(fourth)
    cluster.write(Write("row 1", 7))
    cluster.settle()
    assert rows_of(fourth) == rows_of(leader)
    cluster.stop()


def test_a_member_that_lost_its_log_comes_back_as_another_and_votes_again(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 5)
    for number in range(30):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
    lost = next(machine for machine in cluster.machines.values() if machine is not cluster.leader())
    lost.kill()
    lost.lose_log()
    cluster.restart(lost)
    assert cluster.names[lost.name] == f"{lost.name}#2"
    cluster.settle()
    leader = cluster.wait_for_leader()
    assert rows_of(lost) == rows_of(leader)
    assert leader.core.configuration.voters == set(cluster.names.values())
    # Its vote counts: with the third member gone, these two are a majority.
    [third] = [machine for machine in cluster.machines.values() if machine not in (leader, lost)]
    third.kill()
    waiter = cluster.write(Write("row 0", 77))
    cluster.loop.run_for(0.5)
    assert waiter.answer == b"77"
    cluster.stop()


def test_damage_in_the_log_of_a_member_ends_its_life_and_not_the_node(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 6, segment_bytes=4096)
    for number in range(60):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
    hurt = next(machine for machine in cluster.machines.values() if machine is not cluster.leader())
    hurt.kill()
    first, *_ = [path for path in hurt.disk.paths if path.startswith("log/")]
    hurt.disk.flip(first, 700)
    cluster.restart(hurt)
    assert "log/" in (hurt.recovered[GROUP].why_lost or "")
    assert cluster.names[hurt.name] == f"{hurt.name}#2"
    cluster.settle()
    leader = cluster.wait_for_leader()
    assert rows_of(hurt) == rows_of(leader)
    hurt.kill(power_cut=True)
    cluster.restart(hurt)
    assert hurt.recovered[GROUP].why_lost is None, "what is damaged stands before the life that it lives now"
    cluster.settle()
    assert rows_of(hurt) == rows_of(cluster.wait_for_leader())
    cluster.stop()


def test_a_node_that_stops_hands_over_first(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 7)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    leader = cluster.wait_for_leader()
    began = cluster.loop.time()
    stopped = cluster.stop_node(leader)
    while cluster.leader() in (None, leader):
        cluster.loop.run_for(0.01)
    assert cluster.loop.time() - began < 0.2, "nobody waited for a lease to end"
    assert leader.events[-1] == ("follows", 0)
    while not stopped.done():
        leader.wait_for_checkpoint()
        cluster.loop.run_for(0.01)
    stopped.result()
    leader.is_up = False
    cluster.network.leave(leader.name)
    cluster.write(Write("a", 2))
    cluster.loop.run_for(0.1)
    cluster.restart(leader)
    assert leader.partition is not None
    assert leader.partition.tree.applied_slot == leader.partition.tree.checkpointed_slot > 0
    cluster.settle(1)
    assert rows_of(leader) == rows_of(cluster.wait_for_leader())
    cluster.stop()


def test_a_hand_over_that_nobody_takes_up_ends_and_writes_go_on(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 8)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    leader = cluster.wait_for_leader()
    [to, _] = [machine for machine in cluster.machines.values() if machine is not leader]
    cluster.network.isolate(to.name)
    cluster.write(Write("a", 2))    # which `to` does not get
    cluster.loop.run_for(0.1)
    assert leader.node.hand_over(GROUP, to.name) is None
    assert leader.partition is not None
    with pytest.raises(NotLeading):
        leader.partition.write(Write("a", 3), Waiter())
    cluster.loop.run_for(1.5)
    assert cluster.leader() is leader
    waiter = cluster.write(Write("a", 4))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"4"
    cluster.stop()


def test_a_leader_that_is_cut_off_tells_nobody_yes_and_knows_what_it_does_not_know(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 9)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    old = cluster.wait_for_leader()
    assert old.partition is not None
    ballot = old.partition.ballot
    cluster.network.isolate(old.name)
    waiter, observer = Waiter(), Waiter()
    old.partition.write(Write("a", 2), waiter)
    old.partition.write(Write("a", 9, if_number=1), observer)   # refused, because of what is undecided
    cluster.loop.run_for(0.5)
    assert waiter.answer is observer.answer is None
    cluster.loop.run_for(2)
    assert isinstance(waiter.answer, LeaderReplaced)
    assert isinstance(observer.answer, LeaderReplaced)
    assert not old.partition.may_answer(ballot)
    assert number_of(old.partition.get(row_key("a"))) == 1, "the applied state can still be read"
    new = cluster.wait_for_leader()
    assert new is not old
    waiter = cluster.write(Write("a", 3))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"3"
    cluster.network.heal()
    cluster.settle(3)
    assert rows_of(old) == rows_of(new)
    cluster.stop()


def test_what_is_proposed_in_the_turn_in_which_the_lease_is_found_gone_surely_did_not_happen(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 10)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    old = cluster.wait_for_leader()
    assert old.partition is not None
    cluster.loop.jump(60)       # the process was stopped for a minute, and no timer has come yet
    waiter = Waiter()
    old.partition.write(Write("a", 2), waiter)
    old.node.members.by_group[GROUP].flush()
    assert isinstance(waiter.answer, NotLeading)
    assert ("follows", 0) in old.events
    cluster.stop()


def test_times_ascend_through_all_leaders(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 11)
    for number in range(5):
        cluster.write(Write("a", number))
        cluster.loop.run_for(0.1)
    first = cluster.wait_for_leader()
    assert first.partition is not None
    last = first.partition.next_timestamp(1_000_000)    # its clock is ahead, or a transaction was
    first.partition.propose([(PUT, b"\x20stream", b"x", DERIVED)], last, Waiter())
    cluster.loop.run_for(1)
    first.kill()
    second = cluster.wait_for_leader()
    assert second.partition is not None
    assert second.partition.next_timestamp() > last
    cluster.stop()


def test_a_log_member_votes_and_has_no_state(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 12, full=2, logs=1)
    for number in range(10):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.05)
    log = cluster.machines["n3"]
    assert log.partition is None
    leader = cluster.wait_for_leader()
    [other] = [machine for machine in cluster.machines.values() if machine not in (leader, log)]
    other.kill()
    waiter = cluster.write(Write("row 0", 5))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"5", "it is half of a majority"
    leader.kill(power_cut=True)
    cluster.restart(other)
    log.kill(power_cut=True)
    cluster.restart(log)
    assert cluster.wait_for_leader() is other, "it gets from the log member what it lacks"
    assert other.partition is not None
    assert number_of(other.partition.get(row_key("row 0"))) == 5
    assert log.node.member_status(GROUP).role == "log"
    cluster.stop()


@pytest.mark.parametrize(("name", "most"), [("LOG_ENTRIES_MAX", 20), ("LOG_BYTES_MAX", 4000)])
def test_a_log_member_drops_what_the_others_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(f"varley.node.member.{name}", most)
    cluster = MemberCluster(tmp_path, 35, full=2, logs=1)
    for number in range(60):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.1)
    log = cluster.machines["n3"].core.log
    assert log.base > 20
    assert cluster.wait_for_leader().core.log.base == 1, "nobody else has to have dropped it"
    cluster.stop()


def test_a_group_that_is_removed_leaves_nothing_and_can_come_back(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 13)
    for number in range(10):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.05)
    leader = cluster.wait_for_leader()
    gone = next(machine for machine in cluster.machines.values() if machine is not leader)
    gone.checkpoint()
    tree = gone.folder / "trees" / f"{GROUP:016x}"
    assert tree.exists()
    told: list[object] = []
    assert leader.node.reconfigure(GROUP, Remove(gone.name), told.append) is None
    cluster.loop.run_for(0.5)
    assert told == [None]
    cluster.run(gone.node.remove_group(GROUP))
    assert not tree.exists()
    member = Member(f"{gone.name}#2", 9, votes=False, joins=True)
    gone.join(member)
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    cluster.settle(3)
    assert rows_of(gone) == rows_of(leader)
    assert member.name in leader.core.configuration.voters
    gone.kill()
    cluster.restart(gone)
    assert gone.recovered[GROUP].member == member
    cluster.settle(1)
    assert rows_of(gone) == rows_of(leader)
    cluster.stop()


def test_status_tells_who_is_behind_and_who_is_silent(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 14)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(20)
    leader = cluster.wait_for_leader()
    gone, other = [machine for machine in cluster.machines.values() if machine is not leader]
    gone.kill()
    for number in range(5):
        cluster.write(Write("a", number))
    cluster.loop.run_for(12)
    status = leader.node.member_status(GROUP)
    assert (status.role, status.is_healthy, status.leader) == ("leader", True, leader.name)
    assert status.lag == {gone.name: 5, other.name: 0}
    assert leader.node.silent_members(10) == {GROUP: [gone.name]}
    assert other.node.silent_members(10) == {}, "that is for the leader to say"
    assert other.node.member_status(GROUP).role == "follower"
    assert status.configuration == cluster.configuration
    assert status.epoch == 1
    cluster.stop()


def test_too_much_that_is_undecided_is_throttled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varley.node.member.UNDECIDED_ENTRIES_MAX", 10)
    cluster = MemberCluster(tmp_path, 15)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    leader = cluster.wait_for_leader()
    assert leader.partition is not None
    waiters = [Waiter() for _ in range(11)]
    for number, waiter in enumerate(waiters):
        leader.partition.write(Write("a", number), waiter)
    assert leader.partition.is_under_pressure
    with pytest.raises(Throttling):
        leader.partition.write(Write("a", 12), Waiter())
    cluster.loop.run_for(0.1)
    assert all(isinstance(waiter.answer, bytes) for waiter in waiters)
    assert not leader.partition.is_under_pressure
    cluster.stop()


def test_a_full_disk_of_a_follower_is_a_slow_follower(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 16)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    leader = cluster.wait_for_leader()
    full = next(machine for machine in cluster.machines.values() if machine is not leader)
    full.disk.fail("write_synced", errno.ENOSPC, times=1000)
    for number in range(10):
        waiter = cluster.write(Write("a", number))
        cluster.loop.run_for(0.5)
        assert waiter.answer == b"%d" % number
    assert full.node.member_status(GROUP).is_stalled
    assert cluster.leader() is leader
    full.disk.heal()
    cluster.settle(3)
    assert not full.node.member_status(GROUP).is_stalled
    assert rows_of(full) == rows_of(leader)
    full.kill()
    cluster.restart(full)
    assert full.recovered[GROUP].why_lost is None, "nothing was written twice, and nothing left out"
    cluster.stop()


def test_a_disk_that_is_full_in_the_middle_of_a_step_writes_the_rest_of_it_later(tmp_path: Path) -> None:
    """The records of a step go with several frames: what the first of them has is not written again."""
    cluster = MemberCluster(tmp_path, 30, segment_bytes=4096)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    leader = cluster.wait_for_leader()
    full = next(machine for machine in cluster.machines.values() if machine is not leader)
    full.disk.fail("write_synced", errno.ENOSPC, skip=2, times=2)
    waiters = [cluster.write(Write(f"row {number}", number + 38)) for number in range(40)]
    cluster.loop.run_for(6)
    assert all(isinstance(waiter.answer, bytes) for waiter in waiters)
    assert not full.node.member_status(GROUP).is_stalled
    full.kill()
    cluster.restart(full)
    assert full.recovered[GROUP].why_lost is None
    cluster.settle(1)
    assert rows_of(full) == rows_of(leader)
    cluster.stop()


def test_after_a_power_cut_nobody_sends_what_the_others_have(tmp_path: Path) -> None:
    """All that is in no checkpoint may be some hundred megabytes, and nobody knows any more that it is chosen. A
    message with all of it would be more than a frame takes, and longer on its way than a candidate waits."""
    chunk = 4096
    timing = Timing(window_bytes=chunk, chunk_bytes=chunk)
    cluster = MemberCluster(tmp_path, 31, timing=timing)
    for number in range(400):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.01)
    for machine in cluster.machines.values():
        machine.kill(power_cut=True)
    cluster.network.largest = 0
    for machine in cluster.machines.values():
        cluster.restart(machine)
    leader = cluster.wait_for_leader()
    log = leader.core.log
    assert log.bytes_between(log.base, log.last) > 10 * chunk
    assert cluster.network.largest < 2 * chunk
    cluster.settle(1)
    for machine in cluster.machines.values():
        assert rows_of(machine) == rows_of(leader)
    cluster.stop()


def test_a_lease_is_looked_at_again_when_others_belong_to_the_group(tmp_path: Path) -> None:
    """With four voters three must have granted it, and one of these two has not for a while."""
    cluster = MemberCluster(tmp_path, 32)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    leader = cluster.wait_for_leader()
    assert leader.partition is not None
    deaf, _ = [machine for machine in cluster.machines.values() if machine is not leader]
    fourth = cluster.machine("n4")
    fourth.start()
    member = Member("n4", 4, votes=False)
    fourth.join(member)
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    cluster.settle(3)
    for silent in (deaf, fourth):
        cluster.network.cut.add((silent.name, leader.name))
    cluster.loop.run_for(2)
    ballot = leader.partition.ballot
    assert leader.partition.may_answer(ballot)
    assert leader.node.reconfigure(GROUP, Promote("n4")) is None
    assert not leader.partition.may_answer(ballot)
    cluster.stop()


def test_who_is_elected_while_its_node_stops_does_not_begin_to_lead(tmp_path: Path) -> None:
    """Its own log is the last to have its first entry. What would begin with it would wait for ever: nobody listens."""
    cluster = MemberCluster(tmp_path, 30)      # one in which its log is slower than that of the other
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    cluster.wait_for_leader().kill()
    cluster.sync_seconds = 0.3
    elected = None
    while elected is None:
        cluster.loop.run_for(0.001)
        assert cluster.leader() is None, "another seed shows it"
        for machine in cluster.machines.values():
            if machine.is_up and machine.core.matched and machine.name not in machine.core.matched:
                elected = machine
    assert elected.core.serving_ballot == 0, "its own vote is missing, and no other"
    stopped = cluster.stop_node(elected)
    while not stopped.done():
        elected.wait_for_checkpoint()
        cluster.loop.run_for(0.01)
    stopped.result()
    assert elected.core.serving_ballot, "its vote came while it stopped"
    assert elected.events == []
    elected.is_up = False
    cluster.stop()


def test_a_row_that_is_written_again_and_again_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Its overlay has one version of it; the log in memory has all of them, until a checkpoint lets them go."""
    cluster = MemberCluster(tmp_path, 34, overlay_bytes_max=1 << 15)
    most = 0
    for number in range(100):
        for _ in range(10):
            cluster.write(Write("a", number))
        cluster.loop.run_for(0.1)
        for machine in cluster.machines.values():
            machine.wait_for_checkpoint()
            log = machine.core.log
            most = max(most, log.bytes_between(log.base, log.last))
    assert most < 3 << 15
    assert cluster.wait_for_leader().core.log.last > 1000
    cluster.stop()


def test_a_full_disk_of_the_leader_makes_another_lead(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 17)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    full = cluster.wait_for_leader()
    full.disk.fail("write_synced", errno.ENOSPC, times=1000)
    waiter = cluster.write(Write("a", 2))
    cluster.loop.run_for(0.1)
    confirmed: list[object] = []
    assert full.partition is not None
    full.partition.confirm(confirmed.append)
    cluster.loop.run_for(6)
    assert isinstance(waiter.answer, LeaderReplaced), "its own disk never had it, and the others may"
    assert isinstance(confirmed[0], NotLeading), "who reads does not wait for the disk"
    leader = cluster.wait_for_leader()
    assert leader is not full
    assert leader.partition is not None
    assert number_of(leader.partition.get(row_key("a"))) == 2
    full.disk.heal()
    cluster.settle(3)
    assert rows_of(full) == rows_of(leader)
    cluster.stop()


def test_old_segments_go_also_when_a_group_is_idle(tmp_path: Path) -> None:
    """One group writes, the other has nothing but its promise, in the oldest segment of each node."""
    cluster = MemberCluster(tmp_path, 18, segment_bytes=4096, log_bytes_max=16384)
    idle = GROUP + 1
    for machine, member in zip(cluster.machines.values(), cluster.configuration.members, strict=True):
        cluster.run(machine.node.create_member(idle, member, cluster.configuration))
    cluster.loop.run_for(5)
    promised = {name: machine.node.members.by_group[idle].core.promised for name, machine in cluster.machines.items()}
    first = {name: min(machine.disk.paths) for name, machine in cluster.machines.items()}
    for number in range(200):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.05)
        for machine in cluster.machines.values():
            machine.wait_for_checkpoint()
    cluster.settle(1)
    for name, machine in cluster.machines.items():
        assert first[name] not in machine.disk.paths, "its segment could go"
        machine.kill(power_cut=True)
        machine.start(groups=[GROUP, idle])
        assert [member.why_lost for member in machine.recovered.values()] == [None, None]
        assert machine.node.members.by_group[idle].core.promised >= promised[name] > 0
    cluster.stop()


def test_entries_that_carry_what_has_not_arrived_are_kept_by_all_who_may_lead(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 19)
    for number in range(10):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
    leader = cluster.wait_for_leader()
    assert leader.partition is not None
    leader.partition.carry_outgoing(Carrying(4))
    cluster.loop.run_for(1)
    for machine in cluster.machines.values():
        machine.checkpoint()
        assert machine.core.log.base <= 4
    follower = next(machine for machine in cluster.machines.values() if machine is not leader)
    follower.kill()
    cluster.restart(follower)
    follower.checkpoint()
    assert follower.core.log.base <= 4, "also before it has heard of a leader"
    heirs = {machine.name: Carrying(None) for machine in cluster.machines.values() if machine is not leader}
    for machine in cluster.machines.values():
        if machine is not leader:
            assert machine.partition is not None
            machine.partition.carry_outgoing(heirs[machine.name])
    leader.kill()
    second = cluster.wait_for_leader()
    assert second.partition is not None
    [(after, kept)] = heirs[second.name].begun
    assert after == 4 and [slot for slot, _ in kept] == list(range(5, 5 + len(kept)))
    assert [row[1] for _, rows in kept for row in rows][-1] == row_key("row 9")
    # They have arrived now.
    cluster.loop.run_for(1)
    cluster.write(Write("row 0", 1))
    cluster.loop.run_for(1)
    second.checkpoint()
    assert second.core.log.base > 4
    cluster.stop()


def test_check_finds_nothing_wrong_with_a_member_and_says_when_its_log_is_lost(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 20, segment_bytes=4096)
    for number in range(80):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
        if number % 30 == 29:
            cluster.leader().checkpoint()    # type: ignore[union-attr]
            cluster.wait_for_leader().kill(power_cut=True)
            for machine in cluster.machines.values():
                if not machine.is_up:
                    cluster.restart(machine)
    cluster.settle(3)
    for machine in cluster.machines.values():
        machine.checkpoint()
        machine.kill()
        (machine.folder / "log").mkdir()
        for path in machine.disk.paths:
            (machine.folder / path).write_bytes(machine.disk.contents(path))
        assert findings(machine) == []
    first, *_ = sorted((machine.folder / "log").iterdir())
    data = bytearray(first.read_bytes())
    data[700] ^= 1
    first.write_bytes(data)
    assert f"log/{first.name}" in findings(machine)
    cluster.loop.close()


def findings(machine: Machine) -> list[str]:
    """Not what is said of the items, which these tests have made up, nor of the folder's identity, which it has not."""
    found = check(str(machine.folder))
    return [each.path for each in found if each.key is None and each.path != "identity.json"]
