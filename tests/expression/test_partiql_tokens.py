"""PartiQL's tokens and places. What is a name and what a keyword was observed on DynamoDB Local 1.25."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.expression.partiql_tokens import END, KEYWORDS, place, tokenize


def shown(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokenize(text)][:-1]


@pytest.mark.parametrize("word", ["a", "A1", "_a", "$b", "c$d", "selection", "name", "year"])
def test_a_bare_word_is_a_name_and_keeps_its_case(word: str) -> None:
    assert shown(word) == [("name", word)]


@pytest.mark.parametrize("word", ["select", "SELECT", "sElEcT"])
def test_keywords_have_any_case(word: str) -> None:
    assert shown(word) == [("SELECT", word)]


def test_between_double_quotes_anything_is_a_name() -> None:
    assert shown('"select" "a.b" "é" "a""b" ""') == [
        ('"name"', "select"), ('"name"', "a.b"), ('"name"', "é"), ('"name"', 'a"b'), ('"name"', ""),
    ]  # fmt: skip


def test_a_text_may_hold_single_quotes_and_lines() -> None:
    assert shown("'it''s' '' '\n' '--' '/*'") == [
        ("text", "it's"), ("text", ""), ("text", "\n"), ("text", "--"), ("text", "/*"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["0", "007", "1.5", ".5", "5.", "1e5", "1.E-5", "12E+3"])
def test_numbers_have_many_forms(text: str) -> None:
    assert shown(text) == [("number", text)]


def test_signs_are_as_long_as_they_can_be() -> None:
    kinds = [kind for kind, _ in shown("<<1>> <> != <= >= < > || . : ; ? @")]
    assert kinds == ["<<", "number", ">>", "<>", "<>", "<=", ">=", "<", ">", "||", ".", ":", ";", "?", "@"]


@pytest.mark.parametrize("text", ["a -- b", "a /* b \n c */", "-- x\na", "/**/a/**/ ", "a--", "a -- '\""])
def test_comments_are_no_tokens(text: str) -> None:
    assert shown(text) == [("name", "a")]


def test_a_character_that_begins_no_token_is_told_with_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        tokenize("SELECT *\nFROM t#")
    assert caught.value.message == (
        "Statement wasn't well formed, can't be processed: "
        "Lexer Error: at line 2, column 7: invalid character at, '#' [U+23]"
    )


@pytest.mark.parametrize("text", ["'a", '"a', "`a"])
def test_what_is_opened_must_be_closed(text: str) -> None:
    with pytest.raises(ValidationError, match="Lexer Error: at line 1, column 1: "):
        tokenize(text)


def test_places_are_lines_columns_and_lengths_with_quotes() -> None:
    statement = "SELECT\n  'it''s', \"é\", f"
    at = [place(statement, token) for token in tokenize(statement)]
    assert at[:6] == [" at 1:1:6", " at 2:3:7", " at 2:10:1", " at 2:12:3", " at 2:15:1", " at 2:17:1"]


@given(st.text(alphabet="aA1_$\"'`.,<>=!|-/*+?()[]{}:;@# \n\té", max_size=40))
def test_tokens_cover_the_text_in_order_or_it_is_refused(text: str) -> None:
    try:
        tokens = tokenize(text)
    except ValidationError:
        return
    assert tokens[-1].kind == END
    position = 0
    for token in tokens:
        assert position <= token.start <= token.end
        between = text[position : token.start]
        assert between.strip() == "" or between.lstrip()[:2] in ("--", "/*")
        position = token.end
    assert position == len(text)


def test_keywords_are_upper_case_words() -> None:
    assert all(word == word.upper() and word.replace("_", "").isalnum() for word in KEYWORDS)
