"""Groups in which nothing happens: leases as ever, without steps."""

from __future__ import annotations

import pytest

from tests.paxos.group import TIMING, Group, members
from varley.paxos.ballot import next_ballot
from varley.paxos.events import HandOver, Read, Received, Tick
from varley.paxos.messages import Ask, Beat, Granted, Prepare
from varley.paxos.rest import beat_at_rest, granted_at_rest


def at_rest() -> Group:
    """A leads, everybody has everything, and the next Beat is due."""
    group = Group(*members("A", "B", "C"))
    leader = group.elect()
    group.propose("A", b"x")
    group.deliver()
    settle(group)
    assert leader.chosen == leader.log.last
    return group


def settle(group: Group, *, without: tuple[str, ...] = ()) -> None:
    """All that A has to say is said."""
    a = group.replicas["A"]
    a.keep_after(a.chosen)
    group.wait(2 * TIMING.beat_us, without=without)
    group.now = max(group.now, a.due)


def exchange(group: Group, *, answering: tuple[str, ...] = ("B", "C")) -> int:
    """A beats at rest, and those grant it; what was left of the lease before that."""
    a = group.replicas["A"]
    left = a.beat_at_rest(group.now)
    assert left is not None
    for name in answering:
        assert group.replicas[name].grant_at_rest("A", a.serving_ballot, a.log.last, left, group.now)
        assert a.granted_at_rest(name, a.serving_ballot, group.now)
    return left


def test_a_lease_is_renewed_without_a_step() -> None:
    group = at_rest()
    a, b = group.replicas["A"], group.replicas["B"]
    exchange(group)
    group.now = a.due
    for _ in range(20):
        steps = {name: len(effects) for name, effects in group.effects.items()}
        assert exchange(group) == TIMING.leader_lease_us - TIMING.rest_us
        assert a.lease_until == group.now + TIMING.leader_lease_us
        assert b.is_leader_healthy(group.now) and b.due >= group.now + TIMING.election_us
        assert {name: len(effects) for name, effects in group.effects.items()} == steps
        group.now = a.due


def test_beats_at_rest_come_together() -> None:
    group = at_rest()
    a = group.replicas["A"]
    for _ in range(3):
        before = group.now
        exchange(group)
        assert a.due % TIMING.together_us == 0
        assert TIMING.rest_us - TIMING.together_us < a.due - before <= TIMING.rest_us
        group.now = a.due


def test_what_it_stands_for_does_the_same_in_a_step() -> None:
    group = at_rest()
    a, b = group.replicas["A"], group.replicas["B"]
    ballot, slot = a.serving_ballot, a.log.last
    left = a.beat_at_rest(group.now)
    assert left is not None
    beat = beat_at_rest(ballot, slot, group.now, left)
    assert beat == Beat(ballot, 0, group.now, left, slot, slot, slot)
    [answer] = [message for to, message in group.step("B", Received("A", beat)).send if to == "A"]
    assert answer == Granted(ballot, 0, group.now, ballot, slot, slot) == granted_at_rest(ballot, slot, group.now)
    group.step("A", Received("B", answer))
    assert a.lease_until == group.now + TIMING.leader_lease_us
    assert b.is_leader_healthy(group.now)


def test_a_leader_with_something_to_do_does_not_rest() -> None:
    group = at_rest()
    a = group.replicas["A"]
    group.propose("A", b"y")        # nobody has it yet
    group.now = max(group.now, a.due)
    assert a.beat_at_rest(group.now) is None
    group.deliver()
    group.now = a.due
    assert a.beat_at_rest(group.now) is None, "it is kept still: what it carries may not have arrived"
    settle(group)
    exchange(group)
    group.step("A", Read(1, by_lease=False))    # its Beat needs a number
    group.now = a.due
    assert a.beat_at_rest(group.now) is None
    group.deliver()
    group.now = a.due
    exchange(group)
    group.step("A", HandOver("B"))
    group.now = max(group.now, a.due)
    assert a.beat_at_rest(group.now) is None


def test_a_member_that_is_behind_is_not_left_there() -> None:
    group = at_rest()
    a = group.replicas["A"]
    group.propose("A", b"y")
    group.deliver(without="C")
    a.keep_after(a.chosen)
    group.now = a.due
    assert a.beat_at_rest(group.now) is None
    group.wait(TIMING.resend_us + TIMING.beat_us)
    assert group.replicas["C"].log.last == a.log.last


def test_a_group_rests_without_a_member_that_is_gone_and_wakes_when_it_is_back() -> None:
    group = at_rest()
    a = group.replicas["A"]
    group.propose("A", b"y")
    group.deliver(without="C")
    group.wait(TIMING.lease_us, without="C")
    settle(group, without=("C",))
    left = exchange(group, answering=("B",))
    c = group.replicas["C"]
    assert not c.grant_at_rest("A", a.serving_ballot, a.log.last, left, group.now), "it lacks a slot"
    group.step("C", Received("A", beat_at_rest(a.serving_ballot, a.log.last, group.now, left)))
    group.wait(2 * TIMING.resend_us)
    assert c.log.last == a.log.last


def test_a_leader_at_rest_that_nobody_answers_steps_down() -> None:
    group = at_rest()
    a = group.replicas["A"]
    until = a.lease_until
    assert group.now < until
    while (left := a.beat_at_rest(group.now)) is not None:
        assert left > 0
        group.now = a.due
    assert group.now == until, "not later than it has to"
    group.step("A", Tick())
    assert a.serving_ballot == 0


def test_one_other_is_enough() -> None:
    group = at_rest()
    a = group.replicas["A"]
    for _ in range(20):
        exchange(group, answering=("C",))
        assert a.lease_until == group.now + TIMING.leader_lease_us
        group.now = a.due


@pytest.mark.parametrize("change", ["a higher ballot", "another slot", "an earlier time"])
def test_what_does_not_fit_is_a_step(change: str) -> None:
    group = at_rest()
    a, b = group.replicas["A"], group.replicas["B"]
    ballot, slot, now = a.serving_ballot, a.log.last, group.now
    assert b.grant_at_rest("A", ballot, slot, 1000, now)
    if change == "a higher ballot":
        group.now += TIMING.lease_us
        group.receive("B", "C", Prepare(next_ballot(ballot, 3), slot, 0))
        assert b.promised > ballot
        assert not b.grant_at_rest("A", ballot, slot, 1000, group.now)
    elif change == "another slot":
        assert not b.grant_at_rest("A", ballot, slot + 1, 1000, now)
    else:
        assert not b.grant_at_rest("A", ballot, slot, 1000, now - 1)


def test_a_grant_at_rest_binds() -> None:
    group = at_rest()
    exchange(group)
    b = group.replicas["B"]
    group.now += TIMING.lease_us - 1
    group.receive("B", "C", Prepare(next_ballot(b.promised, 3), b.chosen, 0))
    assert b.promised == group.replicas["A"].serving_ballot, "no promise to another while the lease may run"
    group.receive("B", "C", Ask(1))
    group.now += 1
    group.receive("B", "C", Prepare(next_ballot(b.promised, 3), b.chosen, 0))
    assert b.promised > group.replicas["A"].serving_ballot


def test_an_answer_that_comes_when_it_leads_no_more_is_nothing() -> None:
    group = at_rest()
    a = group.replicas["A"]
    ballot = a.serving_ballot
    assert a.beat_at_rest(group.now) is not None
    sent_at = group.now
    group.now += TIMING.lease_us
    group.step("A", Tick())
    assert a.serving_ballot == 0
    assert not a.granted_at_rest("B", ballot, sent_at)
    group.step("A", Received("B", granted_at_rest(ballot, 3, sent_at)))
    assert a.serving_ballot == 0 and a.lease_until == 0
