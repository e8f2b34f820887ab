"""The reserved words, and where they matter."""

from __future__ import annotations

import pytest

from varley.errors import ValidationError
from varley.expression import condition, projection, update
from varley.expression.reserved_words import RESERVED_WORDS
from varley.expression.tokens import KEYWORDS


def test_there_are_573_of_them_in_upper_case() -> None:
    assert len(RESERVED_WORDS) == 573
    assert all(word.isalpha() and word.isupper() for word in RESERVED_WORDS)


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS - KEYWORDS))
def test_no_reserved_word_is_a_bare_attribute_name(word: str) -> None:
    with pytest.raises(ValidationError, match=rf"reserved keyword: {word}$"):
        projection.parse(word, None)


@pytest.mark.parametrize("text", ["name = :v", "a.Name = :v", "a = naMe", "attribute_exists(name)"])
def test_they_are_reported_as_written(text: str) -> None:
    with pytest.raises(ValidationError, match=r"(?i)^Invalid ConditionExpression: .*; reserved keyword: name$"):
        condition.parse(text, None, "ConditionExpression")
    with pytest.raises(ValidationError, match=r"^Invalid UpdateExpression: .*; reserved keyword: naMe$"):
        update.parse("SET a = naMe", None)


def test_a_placeholder_may_stand_for_any_name() -> None:
    assert projection.parse("#n.#s", {"#n": "name", "#s": "a.b"}).paths == (("name", "a.b"),)


def test_function_names_that_are_not_reserved_are_attribute_names() -> None:
    assert projection.parse("contains, if_not_exists", None).paths == (("contains",), ("if_not_exists",))
