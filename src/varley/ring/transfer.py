"""Transfers: a partition's rows on their way to a node that has become one of its homes.

    donor -> joiner   Offer(partition)          each old home offers, as soon as it hears of the change
    joiner -> donor   Accept                    to the first; then rows, each acknowledged, at most WINDOW under way
                      Refuse(BUSY)              another one is sending it: offer again later
                      Refuse(HAVE)              it has been sent: compare trees instead (hash_tree.py)
                      Refuse(NOT_MINE)          the joiner does not know of the change yet, or knows of a later one
    donor -> joiner   Finished

So nobody sends what was not asked for, and a partition is sent once although N nodes could send it: the paper's
"confirmation round" (section 4.9). If the donor falls silent, the next offer is accepted; rows are merged where they
arrive, so that what was sent twice after all does no harm. A leave is the same: the homes that are gained elsewhere are
the joiners.

From the moment on at which a node knows that it is home, it takes reads and writes as one, with or without the rows:
the other homes have them, and R decides how many are asked. A transfer is an optimisation of anti-entropy, and a
transfer that never ends leaves nothing wrong but slow.

What becomes of the rows of a node that is no longer home is decided by who is: the row goes to each home, as a hint
does (`hints.HintDelivery`, with the homes as receivers), and is deleted if it has not changed when each has
acknowledged it. Not sooner: with W = 1 it may be the only copy. Rejected: dropping the partition when its transfer
has finished. A put whose coordinator had heard of no change may come in afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from varley.ring.hints import WINDOW


class Reason(Enum):
    BUSY = "busy"
    HAVE = "have"
    NOT_MINE = "not mine"


@dataclass(frozen=True)
class Offer:
    partition: int


@dataclass(frozen=True)
class Accept:
    partition: int


@dataclass(frozen=True)
class Refuse:
    partition: int
    reason: Reason


@dataclass(frozen=True)
class Finished:
    partition: int


class Effects(NamedTuple):
    rows: tuple[bytes, ...] = ()        # keys whose sets are to be sent; then `acknowledged`
    finished: Finished | None = None    # send it


class Outgoing:
    """One partition to one joiner, at the donor, once it is accepted."""

    def __init__(self, partition: int, keys: Iterable[bytes], window: int = WINDOW) -> None:
        self.partition = partition
        self._waiting = deque(keys)
        self._under_way: set[bytes] = set()
        self._window = window
        self._is_finished = False

    def accepted(self) -> Effects:
        return self._next()

    def acknowledged(self, key: bytes) -> Effects:
        if key not in self._under_way:
            return Effects()
        self._under_way.discard(key)
        return self._next()

    def unanswered(self) -> Effects:
        """Nothing was heard for a while: what is under way is sent again."""
        return Effects(rows=tuple(sorted(self._under_way)))

    @property
    def is_over(self) -> bool:
        return self._is_finished

    def _next(self) -> Effects:
        rows = []
        while self._waiting and len(self._under_way) < self._window:
            key = self._waiting.popleft()
            self._under_way.add(key)
            rows.append(key)
        if self._under_way or self._is_finished:
            return Effects(tuple(rows))
        self._is_finished = True
        return Effects(finished=Finished(self.partition))


class Incoming:
    """All partitions that a node is being sent, or was."""

    def __init__(self, silence_us_max: int) -> None:
        self._silence_us_max = silence_us_max
        self._donors: dict[int, tuple[str, int]] = {}   # partition -> its donor, and when that was last heard
        self._had: set[int] = set()                     # disjoint from _donors

    def offered(self, donor: str, offer: Offer, is_home: bool, now_us: int) -> Accept | Refuse:
        partition = offer.partition
        if not is_home:
            return Refuse(partition, Reason.NOT_MINE)
        if partition in self._had:
            return Refuse(partition, Reason.HAVE)
        other, heard_us = self._donors.get(partition, (donor, now_us))
        if other != donor and now_us - heard_us <= self._silence_us_max:
            return Refuse(partition, Reason.BUSY)
        self._donors[partition] = (donor, now_us)
        return Accept(partition)

    def heard(self, donor: str, partition: int, now_us: int) -> None:
        if self._donors.get(partition, ("", 0))[0] == donor:
            self._donors[partition] = (donor, now_us)

    def finished(self, donor: str, finished: Finished) -> None:
        """From another donor than the accepted one it means nothing: it has been given up."""
        if self._donors.get(finished.partition, ("", 0))[0] == donor:
            del self._donors[finished.partition]
            self._had.add(finished.partition)

    def no_longer_home(self, partition: int) -> None:
        """It will have to be sent again, if we become home once more."""
        self._donors.pop(partition, None)
        self._had.discard(partition)
