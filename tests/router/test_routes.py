"""Which partition owns a row, and which partitions a range touches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from varley.counters import Counters
from varley.router.routes import Route

LOWS = [b"", b"\x40", b"\x80\x01", b"\xc0"]
SPACE = b"\x00"


@pytest.fixture
def route() -> Route:
    partitions: list[Any] = [SimpleNamespace(number=number) for number in range(len(LOWS))]
    keys: Any = None
    return Route("things", keys, LOWS, partitions, Counters())


def owner(route: Route, key: bytes) -> Any:
    return route.partitions.index(route.partition_of(SPACE + key))


@pytest.mark.parametrize(
    ("key", "number"),
    [(b"", 0), (b"\x00", 0), (b"\x3f\xff", 0), (b"\x40", 1), (b"\x40\x00", 1), (b"\x80", 1), (b"\x80\x00\xff", 1),
     (b"\x80\x01", 2), (b"\x80\x01\x00", 2), (b"\xbf\xff", 2), (b"\xc0", 3), (b"\xff\xff", 3)],
)  # fmt: skip
def test_a_row_belongs_to_the_last_partition_that_begins_at_or_before_it(route: Route, key: bytes, number: int) -> None:
    assert owner(route, key) == number


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (b"", None, [0, 1, 2, 3]),
        (b"\x40", b"\x80\x01", [1]),              # the end is not part of it
        (b"\x40", b"\x80\x01\x00", [1, 2]),
        (b"\x3f", b"\x40", [0]),
        (b"\x90", None, [2, 3]),
        (b"\x90", b"\x91", [2]),
        (b"\xff", None, [3]),
    ],
)
def test_a_range_touches_the_partitions_it_overlaps(
    route: Route, low: bytes, high: bytes | None, numbers: list[int]
) -> None:
    end = None if high is None else SPACE + high
    over = [route.partitions.index(each) for each in route.partitions_over(SPACE + low, end)]
    assert over == numbers
    backwards = [route.partitions.index(each) for each in route.partitions_over(SPACE + low, end, reverse=True)]
    assert backwards == numbers[::-1]


def test_the_end_of_the_item_space_is_the_end_of_the_last_partition(route: Route) -> None:
    assert len(list(route.partitions_over(SPACE, b"\x01"))) == len(LOWS)
