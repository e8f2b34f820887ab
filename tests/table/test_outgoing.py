"""What is on its way to global indexes, byte by byte, as docs/formats.md draws it."""

from __future__ import annotations

from pathlib import Path

from varley.item import stored
from varley.table.global_index import GlobalIndexCodec
from varley.table.keys import KeyCodec
from varley.table.outgoing import (
    outgoing_prefix,
    progress_item_key,
    progress_key,
    progress_value,
    source_key,
    source_slot,
    source_value,
)
from varley.table.schema import ON_DEMAND_WARM, AttributeDefinition, GlobalIndex, KeySchema, Projection

INDEX = GlobalIndex(
    name="by-city",
    id="6f1b7a52-6c0e-4d0b-9a52-0b3f6a1f4c11",
    hash_keys=(AttributeDefinition(name="city", kind="S"),),
    range_keys=(AttributeDefinition(name="year", kind="N"),),
    projection=Projection(kind="ALL"),
    warm=ON_DEMAND_WARM,
)
KEYS = KeyCodec(KeySchema(hash_name="id", hash_kind="S"))
ITEM = {"id": {"S": "i"}, "city": {"S": "Ulm"}, "year": {"N": "-1"}}
NOW_US = 1_735_689_600_000_000
DOCUMENTATION = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text().split())


def is_drawn(what: bytes) -> bool:
    return what.hex() in DOCUMENTATION


def test_the_keys_are_as_they_are_drawn() -> None:
    item_key = KEYS.row_key_of_item(ITEM)
    entry = GlobalIndexCodec(INDEX, KEYS).entry(item_key, ITEM, 0)
    assert entry is not None
    assert is_drawn(item_key)
    assert is_drawn(entry.key)
    assert is_drawn(outgoing_prefix(INDEX.id) + entry.key)
    assert is_drawn(source_key(7))
    assert is_drawn(progress_key(INDEX.id))


def test_the_values_are_as_they_are_drawn_and_read_back() -> None:
    value = source_value(42, NOW_US)
    assert stored.verify(value)
    assert value[stored.HEADER_BYTES :].decode() in DOCUMENTATION
    assert source_slot(value) == 42
    assert source_slot(None) == 0
    item_key = KEYS.row_key_of_item(ITEM)
    value = progress_value(item_key, NOW_US)
    assert stored.verify(value)
    assert value[stored.HEADER_BYTES :].decode() in DOCUMENTATION
    assert progress_item_key(value) == item_key
