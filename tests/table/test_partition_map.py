from __future__ import annotations

from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.table import partition_map
from varley.table.partition_map import PartitionMap, PartitionRange, segment_range
from varley.table.stored_format import UnknownFormat

locations = st.binary(min_size=16, max_size=40)


@st.composite
def maps(draw: st.DrawFn) -> PartitionMap:
    """Any map: cut anywhere, also within a partition key."""
    cuts = sorted(draw(st.sets(st.binary(min_size=1, max_size=20), max_size=6)))
    lows: list[bytes] = [b"", *cuts]
    highs: list[bytes | None] = [*cuts, None]
    groups = count(7)
    return PartitionMap(
        [PartitionRange(low, high, next(groups), 3) for low, high in zip(lows, highs, strict=True)]
    )


def owns(one: PartitionRange, location: bytes) -> bool:
    return one.low <= location and (one.high is None or location < one.high)


@given(maps(), locations)
def test_every_location_has_one_owner_and_find_finds_it(whole: PartitionMap, location: bytes) -> None:
    assert [one for one in whole if owns(one, location)] == [whole.find(location)]


@given(maps())
def test_a_map_survives_its_json(whole: PartitionMap) -> None:
    assert partition_map.from_json(partition_map.to_json(whole)).partitions == whole.partitions


@pytest.mark.parametrize("number", [1, 2, 3, 7, 1000])
def test_a_new_table_gets_equal_shares(number: int) -> None:
    whole = partition_map.initial(number, count(5).__next__)
    assert [one.group for one in whole] == list(range(5, 5 + number))
    starts = [int.from_bytes(one.low.ljust(16, b"\0"), "big") for one in whole]
    sizes = [after - start for start, after in pairwise([*starts, 1 << 128])]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 1_000_000), st.data(), st.lists(locations, min_size=1, max_size=5))
def test_the_segments_of_a_scan_hold_every_location_once(
    total: int, data: st.DataObject, some: list[bytes]
) -> None:
    for location in some:
        guess = int.from_bytes(location[:16], "big") * total >> 128
        holders = [
            segment
            for segment in range(max(guess - 2, 0), min(guess + 3, total))
            if segment_range(segment, total)[0] <= location
            and ((high := segment_range(segment, total)[1]) is None or location < high)
        ]
        assert len(holders) == 1
    segment = data.draw(st.integers(0, total - 1))
    low, high = segment_range(segment, total)
    assert high is None or low < high
    assert (low == b"") == (segment == 0)
    assert (high is None) == (segment == total - 1)
    if high is not None:
        assert segment_range(segment + 1, total)[0] == high


def test_a_segment_does_not_depend_on_the_partitions() -> None:
    assert segment_range(1, 4) == (bytes.fromhex("40" + "00" * 15), bytes.fromhex("80" + "00" * 15))


@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [PartitionRange(b"a", None, 1, 1)],
        [PartitionRange(b"", b"a", 1, 1)],
        [PartitionRange(b"", b"a", 1, 1), PartitionRange(b"b", None, 2, 1)],
        [PartitionRange(b"", b"b", 1, 1), PartitionRange(b"a", None, 2, 1)],
        [PartitionRange(b"", b"", 1, 1), PartitionRange(b"", None, 2, 1)],
    ],
)
def test_a_map_with_a_gap_or_an_overlap_cannot_be_made(ranges: list[PartitionRange]) -> None:
    with pytest.raises(AssertionError):
        PartitionMap(ranges)


@pytest.mark.parametrize(
    "json",
    [
        b"",
        b"{}",
        b'{"format_version":1,"partitions":[]}',
        b'{"format_version":1,"partitions":[{"low":"00","group":1,"epoch":1}]}',
        b'{"format_version":1,"partitions":[{"low":"","group":1,"epoch":1},{"low":"","group":2,"epoch":1}]}',
        b'{"format_version":1,"partitions":[{"low":"zz","group":1,"epoch":1}]}',
    ],
)
def test_json_that_nobody_wrote_is_refused(json: bytes) -> None:
    with pytest.raises(ValueError) as refusal:
        partition_map.from_json(json)
    assert not isinstance(refusal.value, UnknownFormat)


@pytest.mark.parametrize(
    "json",
    [
        b'{"format_version":2,"partitions":[]}',
        b'{"format_version":1,"partitions":[{"low":"","group":1,"epoch":1,"members":[]}]}',
    ],
)
def test_json_of_a_newer_version_is_refused_as_such(json: bytes) -> None:
    with pytest.raises(UnknownFormat):
        partition_map.from_json(json)


def test_a_split_gives_the_upper_part_to_a_child() -> None:
    whole = partition_map.initial(2, count(5).__next__)
    at = bytes.fromhex("c0" + 15 * "00")
    parted = partition_map.split(whole, 6, at, 9)
    half = bytes.fromhex("80" + 15 * "00")
    assert list(parted) == [
        PartitionRange(b"", half, 5, 1), PartitionRange(half, at, 6, 2), PartitionRange(at, None, 9, 1, parent=6),
    ]  # fmt: skip
    assert partition_map.from_json(partition_map.to_json(parted)).partitions == parted.partitions
    assert b'"group":9,"epoch":1,"parent":6' in partition_map.to_json(parted)
    assert b"parent" not in partition_map.to_json(whole)    # as it was written before there were splits


def test_without_its_child_a_partition_has_its_range_again() -> None:
    whole = partition_map.initial(2, count(5).__next__)
    parted = partition_map.split(whole, 5, bytes.fromhex("40" + 15 * "00"), 9)
    assert [(each.low, each.high, each.group) for each in partition_map.without(parted, 9)] == [
        (each.low, each.high, each.group) for each in whole
    ]


def test_a_location_outside_of_the_partition_is_a_bug() -> None:
    whole = partition_map.initial(2, count(5).__next__)
    with pytest.raises(AssertionError):
        partition_map.split(whole, 5, bytes.fromhex("80" + 15 * "00"), 9)
