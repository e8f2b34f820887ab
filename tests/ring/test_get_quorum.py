from __future__ import annotations

from varley.ring.get_quorum import Effects, Found, GetQuorum, NotEnough, Repair
from varley.ring.siblings import NONE, Context, put, reconcile
from varley.ring.vector_clock import VectorClock

PREFERENCE = ("a", "b", "c", "d")
OLD = put(NONE, VectorClock(), "a", 1, b"old")
NEW = put(OLD, OLD.clock, "a", 2, b"new")
BESIDE = put(OLD, OLD.clock, "b", 2, b"beside")


def begun(r: int = 2, down: str = "") -> tuple[GetQuorum, Effects]:
    quorum = GetQuorum("a", PREFERENCE, n=3, r=r, is_alive=lambda node: node not in down)
    return quorum, quorum.begin()


def test_the_first_n_that_can_be_reached_are_asked() -> None:
    assert begun()[1].fetch == ("a", "b", "c")
    assert begun(down="b")[1].fetch == ("a", "c", "d")


def test_the_client_hears_once_when_r_have_answered() -> None:
    quorum, _ = begun()
    assert quorum.fetched("b", OLD) == Effects()
    assert quorum.fetched("b", OLD) == Effects(), "one node is one answer"
    assert quorum.fetched("a", OLD).outcome == Found(OLD, Context(OLD.clock, "b"))
    assert quorum.fetched("c", OLD).outcome is None


def test_nothing_is_an_answer() -> None:
    quorum, _ = begun()
    quorum.fetched("a", NONE)
    assert quorum.fetched("b", NONE).outcome == Found(NONE, Context(VectorClock(), "a"))
    assert quorum.fetched("c", NONE) == Effects()
    assert quorum.is_over


def test_versions_that_are_concurrent_come_together() -> None:
    quorum, _ = begun()
    quorum.fetched("a", NEW)
    outcome = quorum.fetched("b", BESIDE).outcome
    assert isinstance(outcome, Found)
    assert outcome.siblings == reconcile([NEW, BESIDE])
    assert outcome.context.clock.descends(NEW.clock.merge(BESIDE.clock))


def test_homes_that_lack_something_are_repaired_when_all_have_answered() -> None:
    quorum, _ = begun()
    quorum.fetched("a", NEW)
    quorum.fetched("b", OLD)
    assert quorum.fetched("c", NONE).repair == (Repair("b", NEW), Repair("c", NEW))
    assert quorum.linger_is_over() == Effects()


def test_what_comes_late_is_in_the_repair_and_not_in_the_answer() -> None:
    quorum, _ = begun()
    quorum.fetched("a", OLD)
    assert quorum.fetched("b", OLD).outcome == Found(OLD, Context(OLD.clock, "a"))
    assert quorum.fetched("c", NEW).repair == (Repair("a", NEW), Repair("b", NEW))


def test_who_does_not_answer_while_we_linger_is_not_waited_for() -> None:
    quorum, _ = begun()
    quorum.fetched("a", NEW)
    quorum.fetched("b", OLD)
    assert quorum.linger_is_over().repair == (Repair("b", NEW),)
    assert quorum.is_over


def test_who_stands_in_is_asked_and_not_repaired() -> None:
    quorum, _ = begun()
    quorum.fetched("a", NEW)
    assert quorum.failed("b").fetch == ("d",)
    assert quorum.failed("b") == Effects(), "told twice"
    quorum.fetched("d", NONE)
    assert quorum.fetched("c", OLD).repair == (Repair("c", NEW),)


def test_too_few_answers_are_a_failure_that_changed_nothing() -> None:
    assert begun(down="bcd")[1].outcome == NotEnough(frozenset())
    quorum, _ = begun(r=3, down="d")
    quorum.fetched("a", OLD)
    assert quorum.failed("b").outcome is None
    assert quorum.fetched("c", OLD).outcome == NotEnough(frozenset("ac"))
    late, _ = begun()
    assert late.deadline().outcome == NotEnough(frozenset())
    assert late.deadline() == Effects()
