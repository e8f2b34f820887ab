"""Requests under way, against a dict of deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from varley.net.timeouts import BUCKET_SECONDS, Timeouts


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=40), st.floats(0, 11))
def test_never_early_and_at_most_one_bucket_late(requests: list[tuple[float, bool]], now: float) -> None:
    timeouts = Timeouts()
    begun = [(deadline, timeouts.begin("n2", print, deadline), answered) for deadline, answered in requests]
    for _, request, answered in begun:
        if answered:
            timeouts.end(request)
    due = timeouts.due(now)
    for deadline, request, answered in begun:
        if answered or deadline > now:
            assert request not in due
        elif deadline <= now - BUCKET_SECONDS:
            assert request in due
    for request in due:
        timeouts.end(request)
    assert timeouts.due(now) == []
    assert len(timeouts) == sum(not request.is_over for _, request, _ in begun)


def test_numbers_are_not_used_again() -> None:
    timeouts = Timeouts()
    first = timeouts.begin("n2", print, 1.0)
    timeouts.end(first)
    assert timeouts.begin("n2", print, 1.0).number > first.number
