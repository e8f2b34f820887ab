"""Members of a group on several nodes: elections, writes, reads, and what a kill leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.member_cluster import GROUP, Machine, MemberCluster
from tests.node.writes import Waiter, Write, number_of, row_key
from varley.errors import NotLeading
from varley.paxos.events import AddLearner
from varley.paxos.membership import Member


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
