"""Requests under way, and when each has waited long enough.

A node has tens of thousands of requests under way, nearly all of which are answered long before their time. So what
must be cheap is to begin one and to end one before its time: here a look-up in a dict each, no timer of the event
loop.

Times are cut into buckets of 50 ms. A request is in the bucket in which its time ends; it leaves it when it is
answered; what is still there when the bucket is over has timed out, up to 50 ms late and never early. Rejected: a
timer of the loop for each (an object and a place in the loop's heap, which keeps cancelled ones for long); a heap of
our own (answered requests stay in it until their time comes, so at 50,000 requests a second and a timeout of 5 s it
holds 250,000).
"""

from __future__ import annotations

from math import ceil
from typing import Final

from varley.net.outcome import Then

BUCKET_SECONDS: Final = 0.05


class Request:
    """One that waits for its outcome. `then` is called once, by whoever took it out of `Timeouts`."""

    __slots__ = ("bucket", "is_over", "is_sent", "number", "peer", "then")

    def __init__(self, peer: str, number: int, then: Then, bucket: int) -> None:
        self.peer = peer
        self.number = number      # never used again in this process
        self.then = then
        self.bucket = bucket
        self.is_sent = False      # handed to a socket: from then on nobody knows, unless an answer comes
        self.is_over = False      # it has its outcome


class Timeouts:
    """All requests of one `Links`."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Request]] = {}
        self._last_number = 0

    def begin(self, peer: str, then: Then, deadline: float) -> Request:
        bucket = ceil(deadline / BUCKET_SECONDS)
        self._last_number += 1
        request = Request(peer, self._last_number, then, bucket)
        found = self._buckets.get(bucket)
        if found is None:
            found = self._buckets[bucket] = set()
        found.add(request)
        return request

    def end(self, request: Request) -> None:
        """It has its outcome, or is about to be told it."""
        assert not request.is_over
        request.is_over = True
        bucket = self._buckets[request.bucket]
        bucket.discard(request)
        if not bucket:
            del self._buckets[request.bucket]

    def due(self, now: float) -> list[Request]:
        """Those whose time is up, oldest first. The caller ends each of them, unless another's outcome does."""
        over = sorted(bucket for bucket in self._buckets if bucket * BUCKET_SECONDS <= now)
        return [request for bucket in over for request in sorted(self._buckets[bucket], key=_number)]

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))


def _number(request: Request) -> int:
    return request.number
