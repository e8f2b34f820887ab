from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import combinations

import pytest

from tests.paxos.group import members
from varley.paxos.membership import LOG, Configuration, Member, decoded, follows

ABC = Configuration(members(*"ABC"))
D = Member("D", 4, LOG, votes=False)


def majorities(voters: Set[str]) -> Iterator[frozenset[str]]:
    for size in range(len(voters) // 2 + 1, len(voters) + 1):
        yield from map(frozenset, combinations(sorted(voters), size))


@pytest.mark.parametrize("size", range(1, 6))
def test_majorities_of_configurations_that_follow_each_other_meet(size: int) -> None:
    before = Configuration(members(*"ABCDE"[:size]))
    every = [before.with_learner(Member("Z", 99, votes=False))]
    every += [every[0].promoted("Z")]
    if size > 1:
        every += [before.without("A"), before.replaced("A", Member("Z", 99, votes=False))]
    for after in every:
        assert follows(after, before)
        assert all(one & other for one in majorities(before.voters) for other in majorities(after.voters))


def test_a_direct_exchange_of_voters_is_refused_since_majorities_may_not_meet() -> None:
    exchanged = Configuration(members(*"ABD"))
    assert any(not one & other for one in majorities(ABC.voters) for other in majorities(exchanged.voters))
    assert not follows(exchanged, ABC)


def test_who_has_no_vote_does_not_count() -> None:
    assert ABC.with_learner(D).voters == set("ABC")
    assert ABC.with_learner(D).promoted("D").voters == set("ABCD")
    assert ABC.with_learner(D).promoted("D").full_voters == set("ABC")


def test_names_and_numbers_are_one_members() -> None:
    with pytest.raises(ValueError, match="taken"):
        ABC.with_learner(Member("A", 9, votes=False))
    with pytest.raises(ValueError, match="taken"):
        ABC.with_learner(Member("Z", 1, votes=False))
    with pytest.raises(ValueError, match="without a vote"):
        ABC.with_learner(Member("Z", 9))
    with pytest.raises(ValueError, match="last voter"):
        Configuration(members("A")).without("A")


def test_a_configuration_is_bytes_in_the_log() -> None:
    assert decoded(ABC.with_learner(D).encoded()) == ABC.with_learner(D)
