from __future__ import annotations

from varley.ring.failure_detection import FailureDetector


def test_one_lost_message_is_not_a_failed_node() -> None:
    detector = FailureDetector(failures_max=2)
    assert not detector.unanswered("b", 0)
    assert detector.is_alive("b")
    assert not detector.answered("b")
    assert not detector.unanswered("b", 1), "they are counted in a row"
    assert detector.unanswered("b", 2)
    assert not detector.is_alive("b")
    assert not detector.unanswered("b", 3), "it is news once"


def test_a_failed_node_is_probed_from_time_to_time() -> None:
    detector = FailureDetector(failures_max=1, retry_us=100)
    detector.unanswered("b", 0)
    assert detector.due(99) == ()
    assert detector.due(100) == ("b",)
    assert detector.due(150) == ()
    assert detector.due(200) == ("b",)


def test_any_answer_brings_it_back_and_tells_that_hints_can_go() -> None:
    detector = FailureDetector(failures_max=1)
    detector.unanswered("b", 0)
    assert detector.answered("b")
    assert detector.is_alive("b")
    assert detector.due(10**9) == ()


def test_what_a_sees_is_nothing_to_c() -> None:
    a, c = FailureDetector(failures_max=1), FailureDetector(failures_max=1)
    a.unanswered("b", 0)
    assert c.is_alive("b")
