from __future__ import annotations

import pytest

from varley.ring.preference_list import Target
from varley.ring.put_quorum import Effects, PutQuorum, Refused, Unknown, Written
from varley.ring.siblings import NONE, Siblings, Stamp
from varley.ring.vector_clock import VectorClock

PREFERENCE = ("a", "b", "c", "d", "e")


def begun(w: int = 2, down: str = "", own: str = "a") -> tuple[PutQuorum, Effects, Siblings]:
    stamp = Stamp(own, VectorClock(), b"v", now_us=5)
    quorum = PutQuorum(stamp, PREFERENCE, n=3, w=w, is_alive=lambda node: node not in down)
    return quorum, quorum.begin(), stamp.apply(NONE)


def test_nothing_is_sent_before_the_local_store_has_it() -> None:
    quorum, effects, siblings = begun()
    assert effects.stamp is not None
    assert effects.stamp[1] == Target("a", None)
    assert effects.store == ()
    assert quorum.stamped(siblings) == Effects(store=(Target("b", None), Target("c", None)))
    assert quorum.siblings == siblings


def test_the_client_hears_once_when_w_nodes_have_it() -> None:
    quorum, _, siblings = begun()
    quorum.stamped(siblings)
    assert quorum.stored("b").outcome == Written(siblings)
    assert not quorum.is_over, "c is still awaited"
    assert quorum.stored("b") == Effects(), "told twice"
    assert quorum.deadline() == Effects()
    assert quorum.stored("c") == Effects()
    assert quorum.is_over


def test_with_w_1_the_local_store_is_enough() -> None:
    quorum, _, siblings = begun(w=1)
    assert quorum.stamped(siblings).outcome == Written(siblings)


def test_who_is_known_to_be_down_is_stood_in_for() -> None:
    quorum, _, siblings = begun(down="b")
    assert quorum.stamped(siblings).store == (Target("c", None), Target("d", "b"))


def test_who_fails_is_stood_in_for_by_the_next_and_that_one_too() -> None:
    quorum, _, siblings = begun(w=3)
    quorum.stamped(siblings)
    assert quorum.failed("b").store == (Target("d", "b"),)
    assert quorum.failed("d").store == (Target("e", "b"),)
    assert quorum.failed("d") == Effects(), "told twice"
    quorum.stored("c")
    assert quorum.stored("e").outcome == Written(siblings)


def test_a_late_answer_counts_after_all() -> None:
    quorum, _, siblings = begun(w=2)
    quorum.stamped(siblings)
    quorum.failed("b")
    assert quorum.stored("b").outcome == Written(siblings)


def test_a_coordinator_that_is_no_home_stamps_a_hint() -> None:
    _, effects, _ = begun(own="d", down="b")
    assert effects.stamp is not None
    assert effects.stamp[1] == Target("d", "b")


def test_too_few_that_can_be_reached_is_a_refusal_and_nothing_happens() -> None:
    quorum, effects, _ = begun(w=2, down="bcde")
    assert effects == Effects(outcome=Refused(1))
    assert quorum.is_over


@pytest.mark.parametrize("how", ["deadline", "failures"])
def test_too_few_answers_leave_it_unknown(how: str) -> None:
    quorum, _, siblings = begun(w=3)
    quorum.stamped(siblings)
    quorum.stored("b")
    if how == "deadline":
        assert quorum.deadline().outcome == Unknown(frozenset("ab"))
    else:
        assert [quorum.failed(node).outcome for node in "cde"] == [None, None, Unknown(frozenset("ab"))]


def test_a_context_is_given_where_the_client_knows_all_there_is() -> None:
    held = Stamp("a", VectorClock(), b"other", 3).apply(NONE)
    alone = Stamp("a", held.clock, b"v", 5).apply(held)
    beside = Stamp("a", VectorClock(), b"v", 5).apply(held)
    assert Written(alone).context == alone.clock
    assert Written(beside).context is None, "it has not seen the other"
    twice = Stamp("b", VectorClock(), b"other", 6).apply(held)
    assert len(twice) == 2
    assert Written(twice).context == twice.clock, "a put that was sent again has seen what it wrote before"
