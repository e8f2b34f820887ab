"""When enough members have said so. A quorum is a set of names, never a count of messages.

A message may arrive twice, and one of a member that does not vote may look like a vote: whoever adds up messages
chooses what was not chosen. So everything here takes the voters, by name, and looks at each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Set


def is_quorum(names: Set[str], voters: Set[str]) -> bool:
    """Whether `names` has a majority of `voters`. Where nobody votes there is no quorum."""
    return 2 * len(names & voters) > len(voters)


def reached_by_quorum(reached: Mapping[str, int], voters: Set[str]) -> int:
    """The highest number that a majority of `voters` has reached; who is not in `reached` is at -1."""
    return reached_by(reached, voters, len(voters) // 2 + 1)


def reached_by(reached: Mapping[str, int], names: Set[str], enough: int) -> int:
    """The highest number that `enough` of `names` have reached; -1 if there are not so many."""
    assert enough >= 1
    if len(names) < enough:
        return -1
    return sorted([reached.get(name, -1) for name in names])[-enough]
