"""The stored value: what is packed is found again, and no byte of it can change unnoticed."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from varley.item.stored import HEADER_BYTES, item_size, pack, timestamp, verify


@given(
    json_bytes=st.binary(),
    size=st.integers(min_value=0, max_value=2**32 - 1),
    written=st.integers(min_value=0, max_value=2**64 - 1),
    flags=st.integers(min_value=0, max_value=255),
)
def test_what_is_packed_is_found_again(json_bytes: bytes, size: int, written: int, flags: int) -> None:
    value = pack(json_bytes, size, written, flags)
    assert (item_size(value), timestamp(value), value[HEADER_BYTES:]) == (size, written, json_bytes)
    assert verify(value)


def test_the_example_in_the_documentation() -> None:
    value = pack(b'{"pk":{"S":"x"}}', 3, 1735689600000000)
    assert value[:HEADER_BYTES].hex() == "01000000" "03000000" "00600cba992a0600" "17ede152"


def test_no_bit_can_change_unnoticed() -> None:
    value = pack(b'{"pk":{"S":"x"}}', 3, 1735689600000000)
    for bit in range(8 * len(value)):
        damaged = bytearray(value)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not verify(bytes(damaged))


def test_a_value_cut_short_is_not_one() -> None:
    value = pack(b'{"pk":{"S":"x"}}', 3, 1735689600000000)
    assert not any(verify(value[:length]) for length in range(len(value)))
