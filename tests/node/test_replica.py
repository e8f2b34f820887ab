"""Slots of one group: proposed, chosen in order, or abandoned all together."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from tests.node.writes import Waiter
from varley.errors import DiskFull
from varley.item import stored
from varley.node.replica import Proposal, Replica
from varley.storage.log_format import ABSENT, PUT, Row
from varley.storage.memory_engine import MemoryEngine
from varley.storage.tree import Tree

FULL = DiskFull("no space left for the log")


class Group:
    """A replica whose log is a list."""

    def __init__(self) -> None:
        self.appended: list[Proposal] = []
        self.replica = Replica(1, Tree(MemoryEngine()), self._append, ballot=3)

    def _append(
        self, group: int, ballot: int, slot: int, timestamp_us: int, rows: Sequence[Row], proposal: Proposal
    ) -> None:
        assert (group, ballot, slot) == (1, 3, proposal.slot)
        self.appended.append(proposal)

    def propose(self, key: bytes, answer: bytes = b"done") -> tuple[Proposal, Waiter]:
        waiter = Waiter()
        self.replica.propose(1, [(PUT, key, stored.pack(b"{}", 7, 1), ABSENT)], waiter, answer)
        return self.appended[-1], waiter


def test_slots_follow_each_other() -> None:
    group = Group()
    assert [group.propose(b"k%d" % number)[0].slot for number in range(3)] == [1, 2, 3]
    assert group.replica.newest is group.appended[-1]


def test_chosen_slots_are_applied_and_then_answered_and_then_who_observed_them() -> None:
    group = Group()
    proposal, waiter = group.propose(b"a")
    seen: list[object] = []
    for number in range(2):
        proposal.hold(lambda error, number=number: seen.append((number, error, waiter.answer)))  # type: ignore[misc]
    group.replica.chosen(proposal)
    assert seen == [(0, None, b"done"), (1, None, b"done")]
    assert group.replica.tree.applied_slot == 1
    assert group.replica.speculative == {}
    assert group.replica.newest is None


def test_a_newer_proposal_for_the_same_row_stays_when_the_older_is_chosen() -> None:
    group = Group()
    first, _ = group.propose(b"a")
    second, _ = group.propose(b"a")
    group.replica.chosen(first)
    assert group.replica.speculative == {b"a": second}
    assert group.replica.newest is second


def test_what_the_log_refuses_is_dropped_with_all_that_was_proposed_behind_it() -> None:
    group = Group()
    first, told_first = group.propose(b"a")
    second, told_second = group.propose(b"b")
    observed: list[BaseException | None] = []
    second.hold(observed.append)
    group.replica.abandon(first, FULL)
    assert told_first.answer is FULL
    assert told_second.answer is None, "the log tells of each, in order"
    assert group.replica.speculative == {}
    assert group.replica.newest is None
    again, _ = group.propose(b"c")
    assert again.slot == 1, "the slot is filled anew"
    group.replica.abandon(second, FULL)    # late: it takes nothing of the new ones along
    assert told_second.answer is FULL
    assert observed == [FULL]
    assert group.replica.speculative == {b"c": again}
    group.replica.chosen(again)
    assert group.replica.tree.applied_slot == 1


def test_an_abandoned_proposal_is_never_applied() -> None:
    group = Group()
    proposal, _ = group.propose(b"a")
    group.replica.abandon(proposal, FULL)
    with pytest.raises(AssertionError, match="abandoned"):
        group.replica.chosen(proposal)


def test_an_answer_that_fails_does_not_keep_the_next_slot_from_being_applied(caplog: pytest.LogCaptureFixture) -> None:
    """1. A batch reads rows of two tables, strongly, and waits for a slot. 2. The other table is deleted. 3. The slot
    is chosen, and the read raises. Those behind it must be applied and answered all the same."""
    group = Group()
    first, told_first = group.propose(b"a")
    second, told_second = group.propose(b"b")

    def fail(error: BaseException | None) -> None:
        raise AssertionError("the tree is closed")

    seen: list[BaseException | None] = []
    first.hold(fail)
    first.hold(seen.append)
    with caplog.at_level(logging.ERROR):
        for proposal in (first, second):
            group.replica.chosen(proposal)
    assert (told_first.answer, told_second.answer) == (b"done", b"done")
    assert seen == [None]
    assert group.replica.tree.applied_slot == 2
    assert "the tree is closed" in caplog.text, "it is a bug, and must be heard of"
