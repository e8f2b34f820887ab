"""The bounded memory of parsed expressions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from varley.expression.cache import ENTRIES_MAX, NAMES_CHARS_MAX, Cache


def recording() -> tuple[Cache[str], list[tuple[str, dict[str, str]]]]:
    parsed: list[tuple[str, dict[str, str]]] = []

    def parse(text: str, names: Mapping[str, str]) -> str:
        parsed.append((text, dict(names)))
        if text == "wrong":
            raise ValueError
        return text.upper()

    return Cache(parse), parsed


def test_the_same_text_and_names_are_parsed_once() -> None:
    cache, parsed = recording()
    for names in (None, {}, {"#a": "x"}, {"#a": "y"}, {"#a": "x"}, None):
        assert cache.get("text", names) == "TEXT"
    assert parsed == [("text", {}), ("text", {"#a": "x"}), ("text", {"#a": "y"})]


def test_names_do_not_run_into_each_other() -> None:
    cache, parsed = recording()
    cache.get("t", {"#a": "#b", "#b": "c"})
    cache.get("t", {"#a": "#b", "#c": "b"})
    cache.get("t", {"#b": "#b", "#a": "c"})
    assert len(parsed) == 3


def test_the_oldest_entry_goes_first() -> None:
    cache, parsed = recording()
    for i in range(ENTRIES_MAX + 1):
        cache.get(str(i), None)
    assert len(cache) == ENTRIES_MAX
    parsed.clear()
    cache.get("1", None)
    assert not parsed
    cache.get("0", None)
    assert parsed == [("0", {})]


def test_failures_and_large_names_are_not_kept() -> None:
    cache, parsed = recording()
    for _ in range(2):
        with pytest.raises(ValueError):
            cache.get("wrong", None)
        cache.get("text", {"#a": "x" * (NAMES_CHARS_MAX + 1)})
    assert len(parsed) == 4
    assert len(cache) == 0
