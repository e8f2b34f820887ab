from __future__ import annotations

import pytest

from tests.paxos.group import Group, members
from varley.paxos.events import Tick
from varley.paxos.lease import Grant, Lease, Timing
from varley.paxos.messages import Beat, Granted, Prepare, Promise, Refused


@pytest.mark.parametrize("drift_permille", [0, 1, 10, 100, 200, 400])
def test_the_leaders_count_ends_first_whatever_the_clocks_do(drift_permille: int) -> None:
    timing = Timing(drift_permille=drift_permille)
    slow_leader = timing.leader_lease_us * 1000 / (1000 - drift_permille)     # true time on the leader's slow clock
    fast_grantor = timing.lease_us * 1000 / (1000 + drift_permille)
    assert slow_leader <= fast_grantor


def test_the_lease_counts_from_when_the_beat_was_sent_and_needs_a_majority_and_oneself() -> None:
    lease, voters = Lease("A", Timing()), frozenset("ABC")
    lease.granted("B", 100)
    lease.granted("C", 200)
    assert lease.until(voters) == 0     # the own disk has not answered
    lease.granted("A", 50)
    assert lease.until(voters) == 50 + Timing().leader_lease_us
    lease.granted("A", 300)
    assert lease.until(voters) == 200 + Timing().leader_lease_us
    lease.is_given_up = True
    assert lease.until(voters) == 0


def test_a_grant_binds_against_others_for_a_whole_lease_from_arrival() -> None:
    grant = Grant(0)
    grant.renew("A", 65537, 1000, 500, 400)
    assert grant.binds_against("B", 0, 1499)
    assert not grant.binds_against("B", 0, 1500)
    assert not grant.binds_against("A", 0, 1001)
    assert not grant.binds_against("B", 65537, 1001), "the holder yielded to it"
    assert grant.is_leader_healthy(1399)
    assert not grant.is_leader_healthy(1400)


def test_a_beat_without_a_lease_to_show_is_no_sign_of_health() -> None:
    grant = Grant(0)
    grant.renew("A", 65537, 1000, 500, 0)
    assert not grant.is_leader_healthy(1000)


def test_a_member_that_has_just_started_promises_nothing_for_a_whole_lease() -> None:
    group = Group(*members(*"ABC"))
    group.now = 10_000_000
    group.restart("B")
    group.now += group.timing.lease_us - 1
    effects = group.receive("B", "A", Prepare(65537, 1, 0))
    assert [type(message) for _, message in effects.send] == [Refused]
    group.now += 1
    effects = group.receive("B", "A", Prepare(65537, 1, 0))
    assert [type(message) for _, message in effects.send] == [Promise]


def test_a_member_that_has_granted_refuses_other_candidates() -> None:
    group = Group(*members(*"ABC"))
    a = group.elect("A")
    refusal = group.receive("B", "C", Prepare(a.promised + 65536 + 2, 1, 0)).send
    assert refusal == (("C", Refused(a.promised + 65536 + 2, a.promised, True)),)


def test_a_leader_whose_own_disk_hangs_has_no_lease() -> None:
    group = Group(*members(*"ABC"))
    a = group.elect("A")
    assert a.may_answer(a.serving_ballot, group.now)
    group.now += group.timing.leader_lease_us - 1
    effects = a.step(Tick(), group.now)      # the driver keeps `send` back: the disk hangs
    assert [to for to, message in effects.send if isinstance(message, Beat)] == ["A"]
    for to, message in effects.send_at_once:
        if isinstance(message, Beat):
            answer = group.replicas[to].step(_received("A", message), group.now).send[0][1]
            assert isinstance(answer, Granted)
            a.step(_received(to, answer), group.now)
    assert a.may_answer(a.serving_ballot, group.now)
    group.now += 1
    assert not a.may_answer(a.serving_ballot, group.now)


def _received(sender: str, message: object):  # type: ignore[no-untyped-def]
    from varley.paxos.events import Received

    return Received(sender, message)  # type: ignore[arg-type]
