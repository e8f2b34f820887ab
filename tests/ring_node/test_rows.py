"""The bytes of rows, against docs/formats.md, and what is noticed of other bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.ring.siblings import NONE, Siblings, put
from varley.ring.vector_clock import VectorClock
from varley.ring_node import rows
from varley.ring_node.engines.engine import Entry
from varley.ring_node.folder import RingFolder
from varley.ring_node.keys import bucket_of, key_of, place_at, place_of, ring_key
from varley.ring_node.rows import BadRow
from varley.ring_node.settings import RingNodeSettings, RingSettings

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
NAME = ring_key("cart", b"7")


def pear() -> Siblings:
    first = put(NONE, VectorClock(), "a~6553f100", 1_700_000_000_000_000, b"apple")
    return put(first, first.clock, "a~6553f100", 1_700_000_001_000_000, b"pear")


def test_the_example_in_the_documentation_is_what_is_written() -> None:
    section = FORMATS[FORMATS.index("## Ring"):]
    shown = {
        name: bytes.fromhex(re.sub(r"\s+", " ", text))
        for name, text in re.findall(r"^    (key|head|body)((?: +[0-9a-f]{2}(?: [0-9a-f]{2})*\n)+)", section, re.M)
    }
    key = rows.row_key(place_of(NAME))
    assert shown == {"key": key, **rows.encode_row(key, NAME, pear())._asdict()}
    assert rows.hint_key("b", place_of(NAME)).hex(" ").startswith("68 01 62 ec 22")


def test_the_identity_in_the_documentation_is_what_is_written(tmp_path: Path) -> None:
    own = RingNodeSettings(name="a", data_dir=str(tmp_path))
    RingFolder(str(tmp_path), own, RingSettings()).close()
    text = (tmp_path / "ring.json").read_text()
    assert f"    {text}" in FORMATS and json.loads(text)["format"] == 1


@given(st.text(min_size=1, max_size=10), st.binary(max_size=20))
def test_a_ring_key_is_taken_apart_again(bucket: str, key: bytes) -> None:
    name = ring_key(bucket, key)
    assert (bucket_of(name), key_of(name)) == (bucket, key)


def test_places_are_in_the_order_of_positions() -> None:
    place = place_of(NAME)
    position = int.from_bytes(place[:16], "big")
    assert place_at(position) <= place < place_at(position + 1) and place < place_at(1 << 128)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_every_changed_bit_is_noticed(at: int, bit: int) -> None:
    key = rows.row_key(place_of(NAME))
    entry = rows.encode_row(key, NAME, pear())
    whole = bytearray(entry.head + entry.body)
    whole[at % len(whole)] ^= 1 << bit
    changed = Entry(bytes(whole[: len(entry.head)]), bytes(whole[len(entry.head):]))
    with pytest.raises(BadRow):
        rows.decode_row(key, changed)
    with pytest.raises(BadRow):
        rows.decode_row(rows.hint_key("b", place_of(NAME)), entry)
    assert rows.decode_row(key, entry) == pear()
