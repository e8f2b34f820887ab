"""Admission of background work: anti-entropy, hints and transfers take what the foreground leaves.

Time of the disk is handed out in *slices*. How many may be out at once is set by feedback: if the slowest hundredth of
the reads of the last minute took longer than a threshold, half as many; if they are well below it, one more. So work
gives way within a period and comes back slowly (section 6.5; there "99th percentile database read latency over the last
60 seconds" against 50 ms).

If nobody has read anything for QUIET_US, there is nobody to give way to, whatever the last minute was like: one more.

Down to none: a node in trouble does nothing but serve, and replicas converge later. But not for good: after
IDLE_PERIODS without any slice one is given out, because anti-entropy that never runs loses data in the end.

Latencies are counted in buckets that grow by a quarter: the 99th percentile is told as the top of its bucket, at most
25 % too high. Kept are 60 counts of one second each, whatever the traffic.
"""

from __future__ import annotations

import math
from collections import Counter, deque

THRESHOLD_US = 50_000           # section 6.5
WINDOW_SECONDS = 60             # section 6.5
PERIOD_US = 1_000_000           # how often the number of slices is thought over
SLICES_MAX = 16
IDLE_PERIODS = 30
QUIET_US = 3_000_000
_GROWTH = 1.25


class LatencyWindow:
    """Foreground latencies of the last minute."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Counter[int]]] = deque()    # ascending, WINDOW_SECONDS at most

    def add(self, latency_us: int, now_us: int) -> None:
        second = now_us // 1_000_000
        if not self._seconds or self._seconds[-1][0] < second:
            self._seconds.append((second, Counter()))
        self._seconds[-1][1][math.ceil(math.log(max(latency_us, 1), _GROWTH))] += 1

    def percentile_us(self, share: float, now_us: int) -> float:
        """So many of all latencies were at most this; 0 if there were none."""
        oldest = now_us // 1_000_000 - WINDOW_SECONDS
        while self._seconds and self._seconds[0][0] <= oldest:
            self._seconds.popleft()
        counts: Counter[int] = sum((count for _, count in self._seconds), Counter())
        rest = math.ceil(counts.total() * share)
        for bucket in sorted(counts):
            rest -= counts[bucket]
            if rest <= 0:
                return _GROWTH**bucket
        return 0.0


class BackgroundAdmission:
    def __init__(self, threshold_us: int = THRESHOLD_US, slices_max: int = SLICES_MAX) -> None:
        self._threshold_us = threshold_us
        self._slices_max = slices_max
        self._window = LatencyWindow()
        self._next_us = 0
        self._idle_periods = 0
        self._last_foreground_us = 0
        self.slices = 1         # 0 <= slices <= slices_max: how many may be out
        self.taken = 0          # how many are; more than `slices` for a while after that has shrunk

    def foreground(self, latency_us: int, now_us: int) -> None:
        self._last_foreground_us = now_us
        self._window.add(latency_us, now_us)

    def take(self, now_us: int) -> bool:
        """One slice, to be given back when a small piece of work is done; False: come back later."""
        self.think(now_us)
        if self.taken >= self.slices:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        assert self.taken > 0
        self.taken -= 1

    def think(self, now_us: int) -> None:
        """At most once a period. `take` does it too, but may not be called for a while."""
        if now_us < self._next_us:
            return
        self._next_us = now_us + PERIOD_US
        p99_us = self._window.percentile_us(0.99, now_us)
        is_quiet = now_us - self._last_foreground_us > QUIET_US
        if p99_us > self._threshold_us and not is_quiet:
            self.slices //= 2
        elif p99_us < self._threshold_us * 0.8 or is_quiet:
            self.slices = min(self.slices + 1, self._slices_max)
        self._idle_periods = 0 if self.slices else self._idle_periods + 1
        if self._idle_periods >= IDLE_PERIODS:
            self._idle_periods = 0
            self.slices = 1
