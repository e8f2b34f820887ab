"""The clock: moved by hand, never waited for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.clock import MovableClock, StoppedClock, SystemClock


def test_the_system_clock_is_the_machines() -> None:
    before = time.time()
    assert before <= SystemClock().time() <= time.time()
    before = time.monotonic()
    assert before <= SystemClock().monotonic() <= time.monotonic()


def test_a_movable_clock_starts_with_its_base() -> None:
    assert MovableClock(StoppedClock(1000.0)).time() == 1000.0


def test_advancing_moves_both_clocks() -> None:
    clock = MovableClock(StoppedClock(1000.0))
    monotonic = clock.monotonic()
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic() - monotonic, clock.offset) == (1002.5, 2.5, 2.5)


def test_setting_it_back_leaves_monotonic_time_alone() -> None:
    clock = MovableClock(StoppedClock(1000.0))
    monotonic = clock.monotonic()
    clock.set(10.0)
    assert (clock.time(), clock.monotonic(), clock.offset) == (10.0, monotonic, -990.0)


def test_it_goes_on_running_after_a_move() -> None:
    base = MovableClock(StoppedClock(0.0))      # stands for a clock that runs
    clock = MovableClock(base)
    clock.set(5000.0)
    base.advance(7.0)
    assert clock.time() == 5007.0


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e300])
def test_it_refuses_moves_that_are_none(seconds: float) -> None:
    clock = MovableClock(StoppedClock(1000.0))
    with pytest.raises(ValueError, match="0 seconds or more"):
        clock.advance(seconds)
    with pytest.raises(ValueError, match="from 1970 to 9999"):
        clock.set(seconds)
    assert clock.time() == 1000.0


_moves = st.one_of(
    st.tuples(st.just("advance"), st.floats(0, 1e9)), st.tuples(st.just("set"), st.floats(0, 4e9))
)


@given(st.lists(_moves))
def test_monotonic_time_never_goes_back_and_time_is_what_was_set(moves: list[tuple[str, float]]) -> None:
    clock = MovableClock(StoppedClock(1000.0))
    for move, seconds in moves:
        monotonic = clock.monotonic()
        if move == "set":
            clock.set(seconds)
            assert clock.time() == pytest.approx(seconds, abs=1e-3)
        else:
            clock.advance(seconds)
        assert clock.monotonic() >= monotonic


def test_who_watches_the_clock_hears_of_each_move() -> None:
    clock = MovableClock(StoppedClock(1000.0))
    heard: list[float] = []

    def moved() -> None:
        heard.append(clock.time())

    clock.watch(moved)
    clock.advance(5)
    clock.set(10)
    clock.unwatch(moved)
    clock.advance(5)
    assert heard == [1005.0, 10.0]
