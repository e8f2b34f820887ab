"""Which partition owns which part of a table.

Where an item lies in its table is its *location*: the 16-byte hash of its partition key followed by the
bytes of its sort key, that is its row key without the space byte. Locations are ordered as bytes, and each
partition owns one contiguous range of them, [low, high), so a partition may be split anywhere, also between
two sort keys of one partition key.

    low        ""        4000…00      8000…00      C000…00
    group       7           8            9           10            each is one replica group
                |-----------|------------|-----------|------------>

Only the lower ends are kept: a range ends where the next begins, and the last has no end. So a map that
leaves a location without an owner, or gives it two, cannot be written down. The JSON form, low ends in
hexadecimal:

    {"format_version": 1, "partitions": [{"low": "", "group": 7, "epoch": 1}, {"low": "40…", …}]}

A partition that came of a split (table/parting.py) names the group that it came from: {"parent": 7}. Until it says
itself that it has all, it serves nobody.

An epoch counts the changes of one partition's range or members; a node that is asked with an old one knows
that the asker's map is old.

A parallel Scan cuts the same space into segments. They are ranges of the hash alone and do not depend on the
partitions, so a segment means the same items before and after a split.

Source: Amazon DynamoDB (ATC 2022), section 3: "each partition hosts a disjoint and contiguous part of the
table's key-range"; that a location is hash and sort key together is there too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from varley.table.stored_format import Stored, stored_decoder

FORMAT_VERSION: Final = 1

_HASHES: Final = 1 << 128
_HASH_BYTES: Final = 16


class PartitionRange(msgspec.Struct, frozen=True):
    """One partition: it owns the locations in [low, high); `high` is None in the last."""

    low: bytes
    high: bytes | None
    group: int    # replica group; never used again by another partition
    epoch: int
    parent: int | None = None    # the group that had this range before a split; None: it came of none


class PartitionMap:
    """All partitions of one table, in the order of their ranges. Immutable.

    The first range begins at b"", each begins where the one before it ends, and the last has no end.
    """

    __slots__ = ("_lows", "partitions")

    def __init__(self, partitions: Sequence[PartitionRange]) -> None:
        assert partitions
        assert partitions[0].low == b""
        assert partitions[-1].high is None
        for one, next_one in pairwise(partitions):
            assert one.high == next_one.low, f"a gap or an overlap at {next_one.low.hex()}"
            assert one.low < next_one.low, f"an empty range at {one.low.hex()}"
        self.partitions = tuple(partitions)
        self._lows = [partition.low for partition in partitions]

    def __len__(self) -> int:
        return len(self.partitions)

    def __iter__(self) -> Iterator[PartitionRange]:
        return iter(self.partitions)

    def find(self, location: bytes) -> PartitionRange:
        """The owner of a location: a row key without its space byte."""
        return self.partitions[bisect_right(self._lows, location) - 1]


def initial(count: int, allocate_group: Callable[[], int]) -> PartitionMap:
    """The map of a new table: `count` partitions with equal shares of the hashes."""
    assert count > 0
    lows = [_boundary(index, count) for index in range(count)]
    return _from_lows([_StoredRange(low=low.hex(), group=allocate_group(), epoch=1) for low in lows])


def split(partition_map: PartitionMap, group: int, at: bytes, child: int) -> PartitionMap:
    """The map in which the partition of `group` ends at `at`, a location in it, and `child` has the rest."""
    stored: list[_StoredRange] = []
    for each in partition_map:
        is_parent = each.group == group
        stored.append(_stored(msgspec.structs.replace(each, epoch=each.epoch + 1) if is_parent else each))
        if is_parent:
            assert each.low < at and (each.high is None or at < each.high), "the location is not in the partition"
            stored.append(_StoredRange(low=at.hex(), group=child, epoch=1, parent=group))
    return _from_lows(stored)


def without(partition_map: PartitionMap, child: int) -> PartitionMap:
    """The map as it was before `child`, which is not its first, got its part: the one before it has that too."""
    return _from_lows([_stored(each) for each in partition_map if each.group != child])


def segment_range(segment: int, total_segments: int) -> tuple[bytes, bytes | None]:
    """The locations [low, high) of one segment of a parallel Scan; `high` is None in the last.

    The segments 0 to total_segments - 1 cover every location once.
    """
    assert 0 <= segment < total_segments <= _HASHES
    low = _boundary(segment, total_segments)
    return low, None if segment + 1 == total_segments else _boundary(segment + 1, total_segments)


def to_json(partition_map: PartitionMap) -> bytes:
    ranges = tuple(_stored(each) for each in partition_map)
    return msgspec.json.encode(_StoredMap(format_version=FORMAT_VERSION, partitions=ranges))


def from_json(json: bytes) -> PartitionMap:
    """Raises UnknownFormat if a newer version wrote `json`, and ValueError if no version did."""
    stored = _decode(json).partitions
    lows = [bytes.fromhex(each.low) for each in stored]
    if not lows or lows[0] != b"" or any(low >= after for low, after in pairwise(lows)):
        raise ValueError("The ranges are not in order, or do not begin at the beginning")
    return _from_lows(stored)


def _boundary(index: int, count: int) -> bytes:
    """Where part `index` of `count` equal parts of the hashes begins. The first begins before all else."""
    if index == 0:
        return b""
    # Shares that differ by at most one hash: rounding up keeps every part non-empty and in order.
    return (-(-index * _HASHES // count)).to_bytes(_HASH_BYTES, "big")


def _stored(each: PartitionRange) -> _StoredRange:
    return _StoredRange(low=each.low.hex(), group=each.group, epoch=each.epoch, parent=each.parent)


def _from_lows(stored: Sequence[_StoredRange]) -> PartitionMap:
    lows = [bytes.fromhex(each.low) for each in stored]
    highs: list[bytes | None] = [*lows[1:], None]
    return PartitionMap(
        [
            PartitionRange(low, high, each.group, each.epoch, each.parent)
            for each, low, high in zip(stored, lows, highs, strict=True)
        ]
    )


class _StoredRange(Stored, frozen=True, kw_only=True, omit_defaults=True):
    low: str    # hexadecimal
    group: int
    epoch: int
    parent: int | None = None


class _StoredMap(Stored, frozen=True, kw_only=True):
    format_version: int
    partitions: tuple[_StoredRange, ...]


_decode = stored_decoder(_StoredMap, FORMAT_VERSION)
