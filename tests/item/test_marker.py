"""Markers, byte by byte, as docs/formats.md draws them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.item import stored
from varley.item.marker import CHECK, DELETE, PUT, Marker, Name, item_key, marker_key, pack, unpack

NAME = Name(b"*" * 16, 1_735_689_600_000_000)
VALUE = stored.pack(b'{"pk":{"S":"x"}}', 3, NAME.timestamp_us)
EXAMPLE = "01 02 00 00 00 60 0c ba 99 2a 06 00 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 2a 7b 9c af 78"


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1), st.sampled_from([PUT, DELETE, CHECK]))
def test_what_is_packed_is_found_again(transaction: bytes, timestamp_us: int, kind: int) -> None:
    marker = Marker(Name(transaction, timestamp_us), kind, VALUE if kind == PUT else None)
    assert unpack(pack(marker)) == marker


def test_the_example_in_the_documentation() -> None:
    assert pack(Marker(NAME, DELETE, None)).hex(" ") == EXAMPLE
    documentation = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())
    assert EXAMPLE.replace(" ", "") in documentation


@pytest.mark.parametrize("kind", [PUT, DELETE, CHECK])
def test_no_bit_can_change_unnoticed(kind: int) -> None:
    packed = pack(Marker(NAME, kind, VALUE if kind == PUT else None))
    for at in range(len(packed)):
        changed = packed[:at] + bytes((packed[at] ^ 1,)) + packed[at + 1 :]
        with pytest.raises(ValueError):
            unpack(changed)
    for size in range(len(packed)):
        with pytest.raises(ValueError):
            unpack(packed[:size])


def test_keys_of_items_and_of_their_markers() -> None:
    key = b"\x00" + b"h" * 16 + b"sort"
    assert marker_key(key) == b"\x50" + b"h" * 16 + b"sort"
    assert item_key(marker_key(key)) == key
