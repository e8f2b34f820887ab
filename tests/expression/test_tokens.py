"""Tokens, and the words of a syntax error."""

from __future__ import annotations

import pytest

from varley.errors import ValidationError
from varley.expression import condition, projection, update
from varley.expression.tokens import END, NAME, NAME_PLACEHOLDER, NUMBER, UNKNOWN, VALUE_PLACEHOLDER, tokenize


def kinds(text: str) -> list[str]:
    return [token.kind for token in tokenize(text)]


def test_every_kind_of_token() -> None:
    assert kinds("a #b :c 12 <> <= ( [ . and Set !") == [
        NAME, NAME_PLACEHOLDER, VALUE_PLACEHOLDER, NUMBER, "<>", "<=", "(", "[", ".", "AND", "SET", UNKNOWN, END,
    ]  # fmt: skip


def test_a_number_has_no_leading_zero() -> None:
    assert [token.text for token in tokenize("a[01]")] == ["a", "[", "0", "1", "]", END]


def test_a_name_begins_with_a_letter() -> None:
    assert kinds("_a 1a") == [UNKNOWN, NAME, NUMBER, NAME, END]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\xa0", "\u2003", "\0", "é", "'", '"', "#", ":"])
def test_other_characters_are_tokens_of_their_own(character: str) -> None:
    assert kinds(f"a {character} b") == [NAME, UNKNOWN, NAME, END]


# Each row was observed on DynamoDB Local 2.x.
@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("a X b", "X", "a X b"),
        ("a = ", "<EOF>", "= "),
        ("  ", "<EOF>", "  "),
        (" = a", "=", " = a"),
        ("= a", "=", "= a"),
        ("a = :v )", ")", ":v )"),
        ("(a = :v", "<EOF>", ":v"),
        ("a == :v", "=", "== :v"),
        ("a.b.c[1 = :v", "=", "1 = :v"),
        ("a[-1]=:v", "-", "[-1"),
        ("a[01] = :v", "1", "01]"),
        ("a = 5", "5", "= 5"),
        ("a = 'x'", "'", "= 'x"),
        ("a = :v ; b", ";", ":v ; b"),
        ("attribute_exists()", ")", "()"),
        ("a & b", "&", "a & b"),
        ("é = :v", "é", "é ="),
        ("a != :v", "!", "a !="),
        ("a < > :v", ">", "< > :v"),
        ("set = :v", "set", "set ="),
        ("a between (:v and :z)", "and", ":v and :z"),
        ("a between :v", "<EOF>", ":v"),
        ("a in :v", ":v", "in :v"),
        ("a", "<EOF>", "a"),
        ("a and b", "and", "a and b"),
        ("not (a)", "<EOF>", ")"),
        ("(a = :v) = :v", "=", ") = :v"),
        ("a = (b = :v)", "=", "b = :v"),
        ("a.size(b)", "(", "size(b"),
        ("#a(b)", "(", "#a(b"),
        ("a\x0b=:v", "\x0b", "a\x0b="),
    ],
)
def test_a_syntax_error_names_the_token_and_its_neighbours(text: str, token: str, near: str) -> None:
    with pytest.raises(ValidationError) as caught:
        condition.parse(text, None, "ConditionExpression")
    wanted = f'Invalid ConditionExpression: Syntax error; token: "{token}", near: "{near}"'
    assert caught.value.message == wanted


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("SET", "<EOF>", "SET"),
        ("SET a = :v,", "<EOF>", ","),
        ("SET a = :v + :v + :v", "+", ":v + :v"),
        ("SET a = (b+:v)+:v", "+", ")+:v"),
        ("SET a= b + (:v + :v)", "+", ":v + :v"),
        ("SET a = if_not_exists(b, c+:v)", "+", "c+:v"),
        ("SET (a) = :v", "(", "SET (a"),
        ("SET a = :v, SET b=:v", "SET", ", SET b"),
        ("ADD a b", "b", "a b"),
        ("REMOVE :v", ":v", "REMOVE :v"),
        ("FOO a", "FOO", "FOO a"),
        ("SET size(a) = :v", "(", "size(a"),
    ],
)
def test_syntax_errors_of_updates(text: str, token: str, near: str) -> None:
    with pytest.raises(ValidationError) as caught:
        update.parse(text, None)
    assert caught.value.message == f'Invalid UpdateExpression: Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [("a,", "<EOF>", ","), ("a b", "b", "a b"), (",", ",", ","), ("a.and", "and", ".and"), ("(a)", "(", "(a")],
)
def test_syntax_errors_of_projections(text: str, token: str, near: str) -> None:
    with pytest.raises(ValidationError) as caught:
        projection.parse(text, None)
    assert (
        caught.value.message == f'Invalid ProjectionExpression: Syntax error; token: "{token}", near: "{near}"'
    )
