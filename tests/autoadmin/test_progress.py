"""A copy is given up if it comes no nearer, however long that takes."""

from __future__ import annotations

from varley.autoadmin.progress import Progress

MB = 1024 * 1024


def looked(*looks: tuple[float, int | None, int]) -> Progress[str]:
    """(now, lag, bytes taken)."""
    progress: Progress[str] = Progress(stall_seconds=100)
    for now, lag, taken in looks:
        progress.look("n4#2", now, is_heard=True, lag=lag, taken=taken)
    return progress


def test_what_stays_where_it_is_has_stalled() -> None:
    progress = looked((0, None, 0), (50, None, 0))
    assert not progress.has_stalled("n4#2", 99, state_bytes=0)
    assert progress.has_stalled("n4#2", 100, state_bytes=0)


def test_bytes_that_come_are_progress_while_writes_make_it_lack_more() -> None:
    progress = looked(*((now, 1000 + now, now) for now in range(0, 1000, 10)))
    assert not progress.has_stalled("n4#2", 1050, state_bytes=0)


def test_slots_that_it_lacks_no_more_are_progress() -> None:
    progress = looked((0, 5000, 0), (90, 4000, 0))
    assert not progress.has_stalled("n4#2", 189, state_bytes=0)
    assert progress.has_stalled("n4#2", 190, state_bytes=0)


def test_a_copy_that_begins_again_and_again_stalls() -> None:
    progress = looked(*((now, 5000, now % 60 * MB) for now in range(0, 200, 5)))
    assert progress.has_stalled("n4#2", 200, state_bytes=0)


def test_a_large_one_may_begin_again() -> None:
    progress = looked((0, 5000, 0), (100, 5000, 900 * MB), (110, 5000, 0))
    assert not progress.has_stalled("n4#2", 500, state_bytes=1000 * MB)
    assert progress.has_stalled("n4#2", 700, state_bytes=1000 * MB)


def test_time_in_which_it_is_not_heard_does_not_count() -> None:
    progress = looked((0, 5000, 0))
    progress.look("n4#2", 300, is_heard=False, lag=5000, taken=0)
    assert not progress.has_stalled("n4#2", 399, state_bytes=0)
    assert progress.has_stalled("n4#2", 400, state_bytes=0)


def test_one_that_is_gone_is_forgotten() -> None:
    progress = looked((0, 5000, 0))
    progress.forget(lambda name: name == "n4#2")
    assert not progress.has_stalled("n4#2", 1000, state_bytes=0)
