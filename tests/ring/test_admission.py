from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from varley.ring.admission import IDLE_PERIODS, PERIOD_US, QUIET_US, BackgroundAdmission, LatencyWindow

SECOND_US = 1_000_000


def slices_after(admission: BackgroundAdmission, seconds: range, latency_us: int) -> int:
    for second in seconds:
        admission.foreground(latency_us, second * SECOND_US)
        if admission.take(second * SECOND_US):
            admission.give_back()
    return admission.slices


def test_it_grows_one_by_one_while_the_foreground_is_well() -> None:
    admission = BackgroundAdmission(threshold_us=50_000, slices_max=8)
    assert slices_after(admission, range(4), 1_000) == 5
    assert slices_after(admission, range(4, 20), 1_000) == 8


def test_it_gives_way_by_halves_and_to_nothing() -> None:
    admission = BackgroundAdmission(threshold_us=50_000, slices_max=8)
    slices_after(admission, range(20), 1_000)
    assert slices_after(admission, range(20, 23), 90_000) == 1
    assert slices_after(admission, range(23, 24), 90_000) == 0
    assert not admission.take(24 * SECOND_US)


def test_it_is_not_stopped_for_good() -> None:
    admission = BackgroundAdmission()
    shares = [slices_after(admission, range(second, second + 1), 90_000) for second in range(3 * IDLE_PERIODS)]
    assert [second for second, share in enumerate(shares) if share] == [29, 59, 89]


def test_between_too_slow_and_well_below_it_stays() -> None:
    admission = BackgroundAdmission(threshold_us=50_000)
    assert slices_after(admission, range(10), 42_000) == 1


def test_no_more_than_the_slices_are_out() -> None:
    admission = BackgroundAdmission()
    taken = [admission.take(0) for _ in range(5)]
    assert taken == [True, True, False, False, False]
    admission.give_back()
    assert admission.take(0)


@given(st.lists(st.integers(1, 10**7), min_size=1))
def test_percentiles_are_at_most_a_bucket_too_high(latencies: list[int]) -> None:
    window = LatencyWindow()
    for latency_us in latencies:
        window.add(latency_us, 0)
    exact = sorted(latencies)[-(-len(latencies) * 99 // 100) - 1]
    assert exact * 0.999 <= window.percentile_us(0.99, 0) <= exact * 1.2501


def test_a_minute_later_it_is_forgotten() -> None:
    window = LatencyWindow()
    window.add(9_000, 0)
    assert window.percentile_us(0.99, 59 * SECOND_US) > 0
    assert window.percentile_us(0.99, 60 * SECOND_US) == 0


def test_where_nobody_reads_there_is_nobody_to_give_way_to() -> None:
    admission = BackgroundAdmission()
    admission.foreground(500_000, 10_000_000)
    assert not admission.take(10_000_000), "the last minute was slow"
    assert admission.take(10_000_000 + QUIET_US + PERIOD_US)
