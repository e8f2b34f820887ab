"""What shards and records are called: names of the lengths that clients expect, in the order of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.streams.shard import place_of, sequence_number, shard_id

times = st.integers(0, 253_402_300_800_000_000)    # to the year 10000
groups = st.integers(1, 2**32 - 1)


def test_names_are_as_they_are_drawn() -> None:
    assert shard_id(1795271426472, 7) == "shardId-00000001795271426472-00000007"
    assert sequence_number(1795271426472532, 7) == "17952714264725320000000007"
    assert sequence_number(0, 7) == "000000000000000000007"


@given(times, groups)
def test_a_number_leads_back_to_its_place(time_us: int, group: int) -> None:
    number = sequence_number(time_us, group)
    assert 21 <= len(number) <= 40
    assert place_of(number) == (time_us, group)
    assert place_of(str(int(number))) == (time_us, group), "clients that drop zeros in front"
    assert 28 <= len(shard_id(time_us // 1000, group)) <= 65


@given(times, groups, times, groups)
def test_names_are_in_the_order_of_time(one: int, group: int, other: int, other_group: int) -> None:
    numbers = int(sequence_number(one, group)), int(sequence_number(other, other_group))
    assert (numbers[0] < numbers[1]) == ((one, group) < (other, other_group))
    ids = shard_id(one, group), shard_id(other, other_group)
    assert (ids[0] < ids[1]) == ((one, group) < (other, other_group))


@pytest.mark.parametrize("text", ["", "x" * 21, "-" + "1" * 21, "1" * 20 + "٣", "1.5", " 1"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        place_of(text)
