"""Which of the items of a request are in which partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from varley.node.partition import Partition
from varley.router.routes import Route

Numbers = Mapping[Partition, Sequence[int]]     # by partition: the numbers of its items, in the order of the request


def by_partition(items: Iterable[tuple[Route, bytes]]) -> Numbers:
    """`items`: their tables and row keys."""
    numbers: dict[Partition, list[int]] = {}
    for number, (route, key) in enumerate(items):
        numbers.setdefault(route.partition_of(key), []).append(number)
    return numbers
