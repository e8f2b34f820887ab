from __future__ import annotations

from varley.paxos.quorum import is_quorum, reached_by, reached_by_quorum

ABC = frozenset("ABC")


def test_a_majority_of_voters_and_nobody_else() -> None:
    assert is_quorum({"A", "B"}, ABC)
    assert not is_quorum({"A", "D", "E"}, ABC)
    assert not is_quorum({"A", "B"}, frozenset("ABCD"))


def test_where_nobody_votes_there_is_no_quorum() -> None:
    assert not is_quorum({"A"}, frozenset())
    assert reached_by_quorum({"A": 5}, frozenset()) == -1


def test_what_a_majority_has_reached() -> None:
    assert reached_by_quorum({"A": 9, "B": 4, "D": 100}, ABC) == 4
    assert reached_by_quorum({"A": 9}, ABC) == -1
    assert reached_by({"A": 9, "B": 4}, ABC, 1) == 9
