"""Members of a group on several nodes: elections, writes, reads, and what a kill leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.member_cluster import GROUP, MemberCluster
from tests.node.writes import Waiter, Write, number_of, row_key
from varley.errors import NotLeading


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
