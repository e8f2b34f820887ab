"""Waiting for several slots."""

from __future__ import annotations

from tests.node.test_replica import FULL, Group
from varley.node.settled import Told, when_settled


def test_a_waiter_that_hears_only_whether_it_is_done() -> None:
    told: list[BaseException | None] = []
    Told(told.append).reply(b"an answer that nobody wants")
    Told(told.append).fail(FULL)
    assert told == [None, FULL]


def test_told_once_when_the_last_is_applied() -> None:
    group = Group()
    proposals = [group.propose(b"%d" % number)[0] for number in range(3)]
    told: list[BaseException | None] = []
    when_settled(proposals, told.append)
    for proposal in proposals:
        assert told == []
        group.replica.chosen(proposal)
    assert told == [None]


def test_told_of_a_failure_when_all_are_settled() -> None:
    group, other = Group(), Group()
    lost, _ = group.propose(b"a")
    kept, _ = other.propose(b"a")
    told: list[BaseException | None] = []
    when_settled([lost, kept], told.append)
    group.replica.abandon(lost, FULL)
    assert told == []
    other.replica.chosen(kept)
    assert told == [FULL]
