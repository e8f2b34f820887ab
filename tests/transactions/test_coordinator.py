"""All or nothing, whatever happens to messages and to coordinators; and mistakes are noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transactions.protocol import HastyCoordinator, Ledger, LedgerThatForgets, SureCoordinator, World
from varley.transactions.coordinator import Coordinator, Effects, State

# What happens next: which message is delivered, or what else.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(0, 30)),
        st.tuples(st.just("repeat"), st.integers(0, 30)),    # deliver it, and once more later
        st.tuples(st.just("lose"), st.integers(0, 30)),
        st.tuples(st.just("cut off"), st.integers(0, 3)),
        st.tuples(st.just("recover"), st.just(0)),
    ),
    max_size=40,
)
REFUSING = st.lists(st.booleans(), min_size=1, max_size=4)


def run(world: World, steps: list[tuple[str, int]]) -> None:
    world.begin()
    for what, number in steps:
        if what == "recover":
            if len(world.coordinators) < 4:
                world.recover()
        elif what == "cut off":
            world.cut_off.add(number)
        elif world.messages:
            at = number % len(world.messages)
            message = world.messages[at] if what == "repeat" else world.messages.pop(at)
            if what != "lose":
                message()
        world.check()
    world.settle()


@settings(max_examples=400, deadline=None)
@given(REFUSING, STEPS)
def test_all_or_nothing_whatever_happens(refusing: list[bool], steps: list[tuple[str, int]]) -> None:
    run(World(refusing), steps)


def finds_a_mistake(make: Callable[[range], Coordinator[int]], ledger: type[Ledger]) -> bool:
    """Whether some run of the same kind fails."""

    @settings(max_examples=2000, deadline=None, database=None, derandomize=True)
    @given(REFUSING, STEPS)
    def search(refusing: list[bool], steps: list[tuple[str, int]]) -> None:
        run(World(refusing, make, ledger()), steps)

    try:
        search()
    except AssertionError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "ledger"),
    [(HastyCoordinator, Ledger), (SureCoordinator, Ledger), (Coordinator, LedgerThatForgets)],
    ids=["decides before all have prepared", "cancels without a record", "takes a decision back"],
)
def test_a_mistake_is_noticed(make: Callable[[range], Coordinator[int]], ledger: type[Ledger]) -> None:
    assert finds_a_mistake(make, ledger)


def test_the_usual_course() -> None:
    coordinator = Coordinator(["a", "b"])
    assert coordinator.begin() == Effects(prepare=("a", "b"))
    assert coordinator.prepared("a") == Effects()
    assert coordinator.prepared("b") == Effects(record=State.COMMITTING)
    assert coordinator.recorded(State.COMMITTING) == Effects(commit=("a", "b"))
    assert coordinator.done("b") == Effects()
    assert coordinator.done("a") == Effects(record=State.COMMITTED, outcome=State.COMMITTED)


def test_one_refusal_cancels_everywhere_and_needs_no_record() -> None:
    coordinator = Coordinator(["a", "b"])
    coordinator.begin()
    coordinator.prepared("a")
    assert coordinator.refused("b") == Effects(cancel=("a", "b"))
    coordinator.done("a")
    assert coordinator.done("b") == Effects(outcome=State.CANCELLED)


def test_a_prepare_that_comes_after_the_cancel_is_cancelled_again() -> None:
    coordinator = Coordinator(["a", "b"])
    coordinator.begin()
    coordinator.refused("b")
    assert coordinator.prepared("a") == Effects(cancel=("a",))


def test_what_the_ledger_does_not_know_is_cancelled_and_that_is_written_first() -> None:
    coordinator = Coordinator(["a"])
    assert coordinator.resume(None) == Effects(record=State.CANCELLED)
    assert coordinator.recorded(State.CANCELLED) == Effects(cancel=("a",))


def test_whoever_asks_second_does_what_was_decided_first() -> None:
    finisher = Coordinator(["a"])
    finisher.resume(None)
    assert finisher.recorded(State.COMMITTING) == Effects(commit=("a",))
    first = Coordinator(["a"])
    first.begin()
    first.prepared("a")
    assert first.recorded(State.CANCELLED) == Effects(cancel=("a",))


def test_a_decision_is_carried_out_by_who_finds_it() -> None:
    assert Coordinator(["a", "b"]).resume(State.COMMITTING) == Effects(commit=("a", "b"))
    assert Coordinator(["a", "b"]).resume(State.CANCELLED) == Effects(cancel=("a", "b"))


def test_a_marker_of_what_is_committed_everywhere_was_prepared_twice() -> None:
    assert Coordinator(["a"]).resume(State.COMMITTED) == Effects(cancel=("a",))


def test_without_participants_there_is_nothing_to_wait_for() -> None:
    """Their tables were deleted."""
    coordinator: Coordinator[str] = Coordinator([])
    assert coordinator.resume(State.COMMITTING) == Effects(record=State.COMMITTED, outcome=State.COMMITTED)
