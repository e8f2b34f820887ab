"""A step that raises, which is what an assert does: the node says and answers nothing from then on, and ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.node.member_cluster import GROUP, Machine, MemberCluster
from tests.node.writes import Write, number_of, row_key
from varley.errors import LeaderReplaced
from varley.net.channels import PAXOS
from varley.node.members import _HEAD
from varley.paxos.ballot import NO_BALLOT
from varley.paxos.events import Read
from varley.paxos.membership import Member
from varley.paxos.messages import CONFIGURATION, VALUE, Accept, Ask, Entry, Learn, decode, encode


class Planted(Exception):
    """What is wrong on purpose."""


class Sent:
    """What each node sends, from when this is made."""

    def __init__(self, cluster: MemberCluster) -> None:
        self.by_node: dict[str, int] = dict.fromkeys(cluster.machines, 0)
        carry = cluster.network.carry

        def counted(sender: str, to: str, deliver: Any) -> bool:
            self.by_node[sender] += 1
            return carry(sender, to, deliver)

        cluster.network.carry = counted  # type: ignore[method-assign]


def plant(machine: Machine, method: str) -> None:
    """From now on that method of its core raises."""
    def raises(*arguments: object) -> None:
        raise Planted(method)

    setattr(machine.core, method, raises)


def run_until_it_ends(cluster: MemberCluster, machine: Machine) -> None:
    """What is raised goes on to whoever called: the loop here, varley.net in a node."""
    for _ in range(20_000):
        with suppress(Planted):
            cluster.loop.run_for(0.001)
        if machine.fatal:
            return
    raise AssertionError("nothing has failed")


def follower(cluster: MemberCluster) -> Machine:
    leader = cluster.wait_for_leader()
    return next(machine for machine in cluster.machines.values() if machine is not leader)


def assert_silent(cluster: MemberCluster, machine: Machine) -> None:
    sent = Sent(cluster)
    cluster.loop.run_for(10)
    silent = {name for name, count in sent.by_node.items() if count == 0}
    assert silent == {machine.name}, "it says nothing, and the others go on"
    assert [type(error) for error in machine.fatal] == [Planted], "told once, as what it is"
    with pytest.raises(AssertionError, match="after a step that failed"):
        machine.node.members.by_group[GROUP].step(Read(1, by_lease=True))


# The first is called when the acceptor has changed, and its records are not written; the other one in no step.
@pytest.mark.parametrize("method", ["_learn_from_leader", "grant_at_rest"])
def test_a_follower_whose_step_raises_votes_no_more(method: str, tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 21)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    wrong = follower(cluster)
    plant(wrong, method)
    waiter = cluster.write(Write("a", 2))
    run_until_it_ends(cluster, wrong)
    assert_silent(cluster, wrong)
    assert waiter.answer == b"2"
    # The next start has what the log says, and catches up.
    wrong.kill()
    cluster.restart(wrong)
    cluster.loop.run_for(2)
    assert wrong.partition is not None
    assert number_of(wrong.partition.tree.get(row_key("a"))) == 2
    cluster.stop()


@pytest.mark.parametrize("method", ["_propose", "_on_time", "_leads"])
def test_a_leader_whose_step_raises_answers_no_more(method: str, tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 22)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    wrong = cluster.wait_for_leader()
    partition = wrong.partition
    assert partition is not None
    ballot = partition.ballot
    assert partition.may_answer(ballot)
    heard: list[BaseException | None] = []
    partition.confirm(heard.append)
    plant(wrong, method)
    waiter = cluster.write(Write("a", 2))
    run_until_it_ends(cluster, wrong)
    assert isinstance(waiter.answer, LeaderReplaced), "nobody knows"
    assert [type(error) for error in heard] == [LeaderReplaced]
    assert partition.ballot == NO_BALLOT and not partition.is_leading and not partition.may_answer(ballot)
    assert_silent(cluster, wrong)
    other = cluster.wait_for_leader()
    assert other is not wrong
    waiter = cluster.write(Write("a", 3, add=True))
    cluster.loop.run_for(0.1)
    assert waiter.answer in (b"4", b"5"), "the write that nobody knows of may have happened"
    cluster.stop()


def test_a_step_that_raises_in_one_group_ends_those_of_all(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 23)
    wrong = cluster.wait_for_leader()
    other = 8
    for machine in cluster.machines.values():
        member = Member(machine.name, int(machine.name[1:]))
        cluster.run(machine.node.create_member(other, member, cluster.configuration))
    cluster.loop.run_for(5)
    plant(wrong, "beat_at_rest")
    run_until_it_ends(cluster, wrong)
    assert wrong.node.members.by_group[other].is_over
    assert_silent(cluster, wrong)
    cluster.stop()


def test_what_a_caller_does_with_its_answer_is_no_failure_of_the_step(tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 24)
    leader = cluster.wait_for_leader()
    assert leader.partition is not None

    def raises(error: BaseException | None) -> None:
        raise Planted

    heard: list[BaseException | None] = []
    leader.partition.confirm(raises)
    leader.partition.confirm(heard.append)
    cluster.loop.run_for(1)
    assert heard == [None] and not leader.fatal
    assert cluster.leader() is leader
    cluster.stop()


NO_MESSAGES = [
    b"",
    b"\xc1",
    encode(Ask(1))[:-1],
    msgspec.msgpack.encode(["Elect", 1]),
    msgspec.msgpack.encode(["Fetch", -1]),
    msgspec.msgpack.encode(["Accept", 1, 2, 0, [[1, 3, b""]], 1, 1, 1]),
    encode(Accept(1 << 40, 2, 0, (Entry(1, VALUE, b""), Entry(1, CONFIGURATION, b"no configuration")), 3, 1, 1)),
    encode(Learn(0, 2, 0, (Entry(1, CONFIGURATION, msgspec.msgpack.encode([[["a", 1], ["a", 2]]])),), 2)),
]


@pytest.mark.parametrize("payload", NO_MESSAGES, ids=range(len(NO_MESSAGES)))
def test_what_is_no_message_is_refused_before_the_step(payload: bytes, tmp_path: Path) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(payload)
    cluster = MemberCluster(tmp_path, 25)
    machine = follower(cluster)
    promised = machine.core.promised
    cluster.network.links[machine.name].handlers[PAXOS]("n1", _HEAD.pack(GROUP, 1, 1) + payload)
    assert machine.core.promised == promised and not machine.fatal
    waiter = cluster.write(Write("a", 1))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"1"
    cluster.stop()
