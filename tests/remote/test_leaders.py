"""Who leads which group: news that come in any order, and twice."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from varley.remote.leaders import Known, Leaders, decode_announcement, encode_announcement

OLD = Known(3, "n1", ("n1", "n2", "n3"))
NEW = Known(5, "n2", ("n1", "n2", "n4"))


def test_the_highest_ballot_stays_whatever_the_order_of_news() -> None:
    founding = Known(0, None, ("n1",))
    for order in itertools.permutations((founding, OLD, NEW, OLD)):
        leaders = Leaders()
        for news in order:
            leaders.learn(7, news)
        assert leaders.find(7) == NEW


def test_a_leader_that_has_left_is_not_known_and_is_not_learnt_again_from_old_news() -> None:
    leaders = Leaders()
    leaders.learn(7, NEW)
    leaders.has_left(7, "n1")
    assert leaders.find(7) == NEW, "it was not n1 who led"
    leaders.has_left(7, "n2")
    assert leaders.find(7) == Known(5, None, NEW.members)
    assert not leaders.learn(7, OLD)
    assert leaders.learn(7, NEW), "it may have won the same ballot only now"


def test_who_waits_is_told_once_of_the_next_leader() -> None:
    leaders = Leaders()
    told: list[str] = []
    leaders.when_learnt(7, lambda: told.append("first"))
    leaders.learn(8, OLD)
    leaders.learn(7, Known(2, None, ("n1",)))
    assert told == []
    leaders.learn(7, OLD)
    leaders.learn(7, NEW)
    assert told == ["first"]


def test_who_waits_no_more_is_not_told() -> None:
    leaders = Leaders()
    told: list[str] = []

    def tell() -> None:
        told.append("told")

    leaders.when_learnt(7, tell)
    leaders.forget_waiting(7, tell)
    leaders.forget_waiting(7, tell)
    leaders.learn(7, OLD)
    assert told == []


def test_an_announcement_comes_out_as_it_went_in() -> None:
    news = [(7, OLD), (2**40, Known(0, None, ()))]
    assert list(decode_announcement(encode_announcement(news))) == news
    with pytest.raises(msgspec.DecodeError):
        decode_announcement(b"\x00")
