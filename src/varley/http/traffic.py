"""What the front door counts, for the admin port to read.

Counting may cost each request a third of a microsecond, so it is two updates of plain lists and dicts:
latencies fall into buckets that double, and a bucket's number is the bit length of the microseconds taken.

    bucket   0      1      2        3        4         ...   k
    µs       0      1      2..3     4..7     8..15           2**(k-1) .. 2**k - 1
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from time import perf_counter

BUCKETS = 64        # 2**63 µs is 300,000 years: no request falls out


class Traffic:
    """Counters since the start. Only the event loop's thread writes; others may read at any time."""

    __slots__ = ("failures", "latencies", "refusals", "seconds")

    latencies: dict[str, list[int]]             # operation -> answers (good or bad) per bucket
    seconds: dict[str, float]                   # operation -> sum of the times of the same answers
    failures: Counter[tuple[str, int, str]]     # (operation, HTTP status, AWS code) -> errors among them
    refusals: Counter[str]                      # AWS code, or a phrase -> what never became a call

    def __init__(self, operations: Iterable[str]) -> None:
        self.latencies = {operation: [0] * BUCKETS for operation in operations}
        self.seconds = dict.fromkeys(self.latencies, 0.0)
        self.failures = Counter()
        self.refusals = Counter()

    def answered(self, operation: str, started: float) -> None:
        """Count an answer to a request that came at `started` (time.perf_counter). HOT PATH."""
        seconds = perf_counter() - started
        self.latencies[operation][int(seconds * 1_000_000).bit_length()] += 1
        self.seconds[operation] += seconds

    def requests(self, operation: str) -> int:
        """How many calls of an operation were answered, errors included."""
        return sum(self.latencies[operation])


def bucket_seconds_max(bucket: int) -> float:
    """The upper bound of a bucket, exclusive: Prometheus's `le`."""
    return (1 << bucket) / 1_000_000
