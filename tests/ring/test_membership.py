"""Histories, and gossip about them."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varley.ring.gossip import Effects, Gossip, Greeting, News
from varley.ring.membership import Change, History, Member
from varley.ring.placement import Placement

MEMBER = Member("host:1", "east", 1.0)

changes = st.builds(
    Change, st.integers(0, 20), st.sampled_from("abcd"), st.sampled_from(["join", "leave"]), st.just(MEMBER)
)
histories = st.lists(changes, max_size=6).map(lambda some: History().reconcile(some))


@given(histories, histories, histories)
def test_reconciling_takes_no_notice_of_order_and_repetition(a: History, b: History, c: History) -> None:
    whole = a.reconcile(b).reconcile(c)
    for order in itertools.permutations((a, b, c)):
        merged = History()
        for history in (*order, *order):
            merged = merged.reconcile(history)
        assert merged == whole
        assert merged.digest == whole.digest


@given(histories, histories)
@settings(deadline=None)
def test_who_knows_the_same_agrees_on_every_owner(a: History, b: History) -> None:
    assert Placement(a.reconcile(b), 16).owners == Placement(b.reconcile(a), 16).owners


def test_a_node_may_leave_and_return_whatever_its_clock_says() -> None:
    history = History().join("a", MEMBER, 100).leave("a", 50).join("a", MEMBER, 10)
    assert [change.time_us for change in history.changes] == [100, 101, 102]
    assert history.members() == {"a": MEMBER}


def test_who_is_no_member_cannot_leave() -> None:
    with pytest.raises(KeyError):
        History().leave("a", 1)


def test_the_latest_change_counts() -> None:
    joined = History().join("a", MEMBER, 1)
    left = joined.leave("a", 2)
    assert left.reconcile(joined).members() == {}


def test_two_that_agree_say_no_more() -> None:
    gossip = Gossip("a", [], History().join("b", MEMBER, 1))
    assert gossip.receive("b", Greeting(gossip.history.digest)) == Effects()


def test_a_difference_is_made_up_on_both_sides() -> None:
    a = Gossip("a", ["b"], History().join("a", MEMBER, 1))
    b = Gossip("b", [], History().join("b", MEMBER, 2))
    ((to, greeting),) = a.tick(Random(1)).send
    assert to == "b"
    ((_, news),) = b.receive("a", greeting).send
    learned = a.receive("b", news)
    assert learned.persist is not None
    ((_, answer),) = learned.send
    assert b.receive("a", answer).persist == a.history == b.history
    assert b.receive("a", answer) == Effects(), "late, and repeated"


def test_who_was_behind_does_not_answer() -> None:
    a = Gossip("a", [], History())
    known = History().join("b", MEMBER, 2)
    assert a.receive("b", News(known.changes, wants_answer=True)) == Effects(persist=known)


def test_everybody_knows_after_a_few_rounds_through_a_seed() -> None:
    random = Random(5)
    names = [f"n{index:02}" for index in range(40)]
    ring = {name: Gossip(name, ["n00"], History().join(name, MEMBER, index)) for index, name in enumerate(names)}
    rounds = 0
    while len({gossip.history for gossip in ring.values()}) > 1:
        rounds += 1
        for name, gossip in ring.items():
            wire = [(name, to, message) for to, message in gossip.tick(random).send]
            while wire:
                sender, to, message = wire.pop()
                wire += [(to, back, reply) for back, reply in ring[to].receive(sender, message).send]
    assert rounds < 12
    assert len(ring["n39"].history.members()) == 40
