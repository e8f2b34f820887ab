"""Iterators: what was given out is understood, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.streams.iterator import ShardIterator, parse

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/Music/stream/2026-11-21T14:03:05.123"
numbers = st.integers(0, 2**64 - 1)


@given(numbers, numbers, numbers, numbers)
def test_what_was_given_out_is_understood(group: int, start: int, position: int, made: int) -> None:
    iterator = ShardIterator(ARN, group, start, position, made)
    assert parse(str(iterator)) == iterator
    assert str(iterator).startswith(f"{ARN}|1|")
    assert len(str(iterator)) <= 2048 - 1024, "an ARN may have 1024 characters, an iterator 2048"


@given(st.data())
def test_a_changed_character_is_noticed(data: st.DataObject) -> None:
    text = str(ShardIterator(ARN, 7, 0, 1795271426472532, 1795271426472))
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda character: character != text[at]))
    with pytest.raises(ValueError, match=r"."):
        parse(text[:at] + other + text[at + 1 :])


@given(st.text())
def test_anything_else_is_not(text: str) -> None:
    for wrong in (text, f"{ARN}|1|{text}", f"{text}|1|AAAA"):
        with pytest.raises(ValueError, match=r"."):
            parse(wrong)
