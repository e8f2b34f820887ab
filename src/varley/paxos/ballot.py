"""A ballot: the number under which a leader proposes. The higher one wins, and no two members have one in common.

    ballot = round * 2**16 + number of the member

Round 0 is nobody's: `NO_BALLOT` stands for "nothing promised, nothing accepted". A number belongs to one life of one
member (membership.py), and a member never leads twice in one round, because it writes a ballot down as promised before
it sends the first message in it. So a ballot names one leader and what it knew when it began.
"""

from __future__ import annotations

from typing import Final

Ballot = int

NO_BALLOT: Final = 0
NUMBER_MAX: Final = 2**16 - 1
ROUND_MAX: Final = 2**48 - 1    # a ballot is a u64 in the log of a node


def ballot_of(round_number: int, number: int) -> Ballot:
    assert 1 <= round_number <= ROUND_MAX, round_number
    assert 1 <= number <= NUMBER_MAX, number
    return round_number << 16 | number


def round_of(ballot: Ballot) -> int:
    return ballot >> 16


def number_of(ballot: Ballot) -> int:
    """The number of the member that leads in it; 0 for NO_BALLOT."""
    return ballot & NUMBER_MAX


def next_ballot(seen: Ballot, number: int) -> Ballot:
    """The lowest ballot of member `number` that is above `seen`."""
    return ballot_of(round_of(seen) + 1, number)
