"""The algebra of clocks, against what clocks stand for: sets of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from varley.ring.vector_clock import ENTRIES_MAX, SEEN_ENTRIES_MAX, Entry, VectorClock, actor_of, of_entries

Events = frozenset[tuple[str, int]]     # closed: with an event, all earlier ones of its actor

counters = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4))
clocks = counters.map(lambda of: of_entries(Entry(actor, count, count * 7) for actor, count in of.items()))


def events(clock: VectorClock) -> Events:
    return frozenset((entry.actor, count) for entry in clock for count in range(1, entry.counter + 1))


@given(clocks, clocks)
def test_descending_is_having_all_events(one: VectorClock, other: VectorClock) -> None:
    assert one.descends(other) == (events(one) >= events(other))
    assert one.is_concurrent(other) == (not events(one) >= events(other) and not events(one) <= events(other))
    assert (one == other) == (events(one) == events(other))


@given(st.lists(clocks, max_size=4))
def test_merging_is_the_union_of_events(some: list[VectorClock]) -> None:
    assert events(VectorClock().merge(*some)) == frozenset().union(*map(events, some))


@given(clocks, st.sampled_from("abcdef"))
def test_incrementing_adds_one_event(clock: VectorClock, actor: str) -> None:
    after = clock.increment(actor, 99)
    assert len(events(after) - events(clock)) == 1
    assert events(after) > events(clock)


@given(clocks, st.sampled_from("abcd"), st.integers(1, 5))
def test_knowing_an_event_is_having_it(clock: VectorClock, actor: str, counter: int) -> None:
    assert clock.knows(actor, counter) == ((actor, counter) in events(clock))


@given(st.dictionaries(st.text("xyz", min_size=1, max_size=4), st.integers(1, 1000), max_size=25))
def test_truncating_keeps_the_newest_and_only_forgets(times: dict[str, int]) -> None:
    clock = of_entries(Entry(actor, 3, time_us) for actor, time_us in times.items())
    short = clock.truncate()
    assert len(short) == min(len(clock), ENTRIES_MAX)
    assert events(short) <= events(clock)
    dropped = set(clock) - set(short)
    assert all(gone.time_us <= kept.time_us for gone in dropped for kept in short)


def test_an_actor_goes_on_where_it_remembers_all_it_stamped() -> None:
    begun = actor_of("a", [], VectorClock(), now_us=0x50)
    assert begun == "a~50"
    held = VectorClock().increment(begun, 1)
    assert actor_of("a", [held], held, now_us=0x60) == begun


def test_an_actor_begins_anew_after_whatever_may_have_been_forgotten() -> None:
    held = VectorClock().increment("a~50", 1)
    seen = held.increment("a~50", 2)
    full = of_entries(Entry(f"b~{index}", 1, index) for index in range(SEEN_ENTRIES_MAX))
    assert actor_of("a", [held], VectorClock(), 0x60, remembers_since_us=0x51) == "a~60", "deleted since"
    assert actor_of("a", [held], seen, 0x60) == "a~60", "the client has seen what is not held"
    assert actor_of("a", [held, full], VectorClock(), 0x60) == "a~60", "a truncated clock may have had more"
    assert actor_of("a/b", [held], VectorClock(), 0x60) == "a/b~60", "another place"


def test_a_new_actor_never_has_the_name_of_an_old_one() -> None:
    held = VectorClock().increment("a~50", 1)
    assert actor_of("a", [held], VectorClock(), now_us=0x50, remembers_since_us=0x51) == "a~51"


def test_a_clock_prints_as_in_the_paper() -> None:
    assert str(VectorClock().increment("Sy", 1).increment("Sx", 2).increment("Sx", 3)) == "[(Sx,2),(Sy,1)]"
