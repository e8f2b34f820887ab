"""The row that says which definition leaders have followed, as docs/formats.md draws it."""

from __future__ import annotations

from pathlib import Path

from varley.item import stored
from varley.table.followed_definition import DEFINITION_KEY, definition_value, definition_version

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def test_the_row_is_as_documented() -> None:
    value = definition_value(4711, 1_700_000_000_000_000)
    assert DEFINITION_KEY.hex() == "41"
    assert f"    key           41\n    JSON          {value[stored.HEADER_BYTES :].decode()}\n" in DOCUMENTATION
    assert stored.timestamp(value) == 1_700_000_000_000_000
    assert definition_version(value) == 4711


def test_without_a_row_no_definition_is_too_old() -> None:
    assert definition_version(None) == 0
