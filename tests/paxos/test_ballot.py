from __future__ import annotations

from varley.paxos.ballot import NO_BALLOT, ballot_of, next_ballot, number_of, round_of


def test_a_ballot_names_its_leader() -> None:
    assert (round_of(ballot_of(7, 3)), number_of(ballot_of(7, 3))) == (7, 3)
    assert number_of(NO_BALLOT) == 0


def test_the_next_ballot_is_above_whatever_was_seen() -> None:
    assert next_ballot(ballot_of(7, 9), 3) == ballot_of(8, 3) > ballot_of(7, 9)
