"""Two rounds: what was there at one moment is told, and what was not is noticed."""

from __future__ import annotations

from varley.node.participant import Version
from varley.transactions.reading import ROUNDS_MAX, Reading, Verdict


def version(timestamp_us: int, value: bytes | None = b"x", *, is_marked: bool = False) -> Version:
    return Version(timestamp_us, value, is_marked)


def test_what_has_not_changed_was_there_at_one_moment() -> None:
    reading = Reading(2)
    assert reading.found([(1, version(5, b"one"))]) is None
    assert reading.found([(0, version(6, None))]) is Verdict.AGAIN
    assert reading.found([(0, version(6, None)), (1, version(5, b"one"))]) is Verdict.READ
    assert reading.values == [None, b"one"]


def test_what_has_changed_is_read_again() -> None:
    """The first item was written between its two reads: the second may have been written together with it."""
    reading = Reading(2)
    reading.found([(0, version(1, b"old")), (1, version(9, b"new"))])
    assert reading.found([(0, version(9, b"new")), (1, version(9, b"new"))]) is Verdict.AGAIN
    assert reading.found([(0, version(9, b"new")), (1, version(9, b"new"))]) is Verdict.READ
    assert reading.values == [b"new", b"new"]


def test_an_item_that_came_and_went_is_noticed() -> None:
    reading = Reading(1)
    reading.found([(0, version(1, None))])
    assert reading.found([(0, version(2, None))]) is Verdict.AGAIN


def test_an_item_that_is_about_to_be_written_is_in_the_way() -> None:
    reading = Reading(2)
    assert reading.found([(0, version(1)), (1, version(1, is_marked=True))]) is Verdict.CONFLICT
    assert reading.conflicts == [False, True]


def test_items_that_never_hold_still_are_given_up() -> None:
    reading = Reading(2)
    for number in range(ROUNDS_MAX - 1):
        assert reading.found([(0, version(1)), (1, version(number))]) is Verdict.AGAIN
    assert reading.found([(0, version(1)), (1, version(99))]) is Verdict.CONFLICT
    assert reading.conflicts == [False, True]
