"""KeyConditionExpression. Texts and orders were observed on DynamoDB Local 2.x unless a comment says
otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.expression import key_condition
from varley.expression.key_condition import KeyRange, after_prefix, range_bounds

ONE, TWO, X, Y = {"N": "1"}, {"N": "2"}, {"S": "x"}, {"S": "y"}
VALUES: dict[str, Any] = {
    ":v": ONE,
    ":two": TWO,
    ":s": X,
    ":y": Y,
    ":e": {"S": ""},
    ":be": {"B": ""},
    ":b": {"B": "YQ=="},
    ":ns": {"NS": ["1"]},
    ":t": {"BOOL": True},
    ":long": {"S": "x" * 2049},
    ":longish": {"S": "x" * 1025},
}


def bind(text: str, range_name: str | None = "sk", range_type: str | None = "N") -> KeyRange:
    parsed = key_condition.parse(text, None)
    parsed.check(VALUES)
    return parsed.bind("pk", "S", range_name, range_type, VALUES)


def refusal(text: str, range_name: str | None = "sk", range_type: str | None = "N") -> str:
    with pytest.raises(ValidationError) as caught:
        bind(text, range_name, range_type)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pk = :s", KeyRange(X)),
        (":s = pk", KeyRange(X)),
        ("(pk = :s)", KeyRange(X)),
        ("pk = :s AND sk = :v", KeyRange(X, "=", (ONE,))),
        ("sk < :v AND pk = :s", KeyRange(X, "<", (ONE,))),
        ("(pk = :s) and (sk <= :v)", KeyRange(X, "<=", (ONE,))),
        ("(pk = :s and :v < sk)", KeyRange(X, ">", (ONE,))),
        ("pk = :s AND :v >= sk", KeyRange(X, "<=", (ONE,))),
        ("pk = :s AND sk BETWEEN :v AND :two", KeyRange(X, "BETWEEN", (ONE, TWO))),
    ],
)
def test_what_is_accepted(text: str, wanted: KeyRange) -> None:
    assert bind(text) == wanted


def test_begins_with_is_for_strings_and_binaries() -> None:
    assert bind("pk = :s AND begins_with(sk, :y)", "sk", "S") == KeyRange(X, "begins_with", (Y,))
    assert bind("pk = :s AND begins_with(sk, :b)", "sk", "B") == KeyRange(X, "begins_with", (VALUES[":b"],))


PREFIX = "Invalid KeyConditionExpression: "
INVALID = "Invalid condition in KeyConditionExpression: "
OPERATOR = "Invalid operator used in KeyConditionExpression: "
TYPE = "One or more parameter values were invalid: Condition parameter type does not match schema type"
UNSUPPORTED = "Query key condition not supported"
MISSED = "Query condition missed key schema element: "  # DynamoDB Local leaves the name out
ONE_PER_KEY = "KeyConditionExpressions must only contain one condition per key"
LENGTH = "Conditions can be of length 1 or 2 only"
NESTED = "KeyConditionExpressions cannot have conditions on nested attributes"
OPERATION = "KeyConditionExpressions cannot contain nested operations"
SCALAR = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: "
EMPTY = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # as a condition
        ("", PREFIX + "The expression can not be empty;"),
        (
            "a = :v OR " + "b" * 4096,
            PREFIX + "Expression size has exceeded the maximum allowed size; expression size: 4106",
        ),
        ("pk = ", PREFIX + 'Syntax error; token: "<EOF>", near: "= "'),
        ("((pk = :s))", PREFIX + "The expression has redundant parentheses;"),
        ("name = :s", PREFIX + "Attribute name is a reserved keyword; reserved keyword: name"),
        (
            "pk = :u",
            PREFIX + "An expression attribute value used in expression is not defined; attribute value: :u",
        ),
        (
            "pk = :s AND sk BETWEEN :two AND :v",
            PREFIX + "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            "pk = :s AND begins_with(sk, :v)",
            PREFIX + "Incorrect operand type for operator or function; "
            "operator or function: begins_with, operand type: N",
        ),
        # the form
        ("pk = :s OR sk = :v", OPERATOR + "OR"),
        ("NOT pk = :s", OPERATOR + "NOT"),
        ("pk = :s AND sk <> :v", OPERATOR + "<>"),
        ("pk = :s AND sk IN (:v)", OPERATOR + "IN"),
        ("pk = :s AND contains(sk, :v)", OPERATOR + "contains"),
        ("pk = :s AND attribute_exists(sk)", OPERATOR + "attribute_exists"),
        ("pk = :s AND a.b <> :v", OPERATOR + "<>"),
        ("pk = :s AND b = :v AND c <> :v", OPERATOR + "<>"),
        ("(pk = :s OR sk = :v) AND NOT sk = :v", OPERATOR + "OR"),
        ("pk = :s AND size(sk) = :v", OPERATION),
        ("size(:s) = pk", OPERATION),
        ("pk = :s AND sk BETWEEN size(pk) AND :v", OPERATION),
        ("pk = :s AND a.b = :v", NESTED),
        ("pk = :s AND begins_with(a.b, pk)", NESTED),
        ("pk = sk", INVALID + "Multiple attribute names used in one condition"),
        ("e = b.x", INVALID + "Multiple attribute names used in one condition"),
        ("pk = :s AND sk BETWEEN pk AND :v", INVALID + "Multiple attribute names used in one condition"),
        (":s = :s", INVALID + "No key attribute specified"),
        (
            "pk = :s AND :v BETWEEN sk AND pk",
            INVALID + "BETWEEN operator must have the key attribute as its first operand",
        ),
        ("begins_with(:s, pk)", INVALID + "begins_with operator must have the key attribute as its first operand"),
        ("pk.a = :s", SCALAR + "pk"),
        ("pk[0] = :s", SCALAR + "pk"),
        ("pk = :s AND sk.b IN (:v)", SCALAR + "sk"),
        ("pk = :s AND pk = :s", ONE_PER_KEY),
        ("pk = :s AND sk > :v AND sk < :v", ONE_PER_KEY),
        ("pk = :s AND pk = :s AND a <> :v", ONE_PER_KEY),
        ("pk = :s AND a = :v AND sk = :v", LENGTH),
        # against the key
        ("sk = :v", MISSED + "pk"),
        ("a = :v", MISSED + "pk"),
        ("a = :v AND b = :v", MISSED + "pk"),
        ("pk = :s AND a = :v", MISSED + "sk"),
        ("pk > :s", UNSUPPORTED),
        ("begins_with(pk, :s)", UNSUPPORTED),
        ("pk BETWEEN :s AND :s", UNSUPPORTED),
        ("pk < :s AND a = :v", UNSUPPORTED),
        ("pk < :e", UNSUPPORTED),
        ("pk = :v", TYPE),
        ("pk < :v", TYPE),
        ("pk = :ns", TYPE),
        ("pk = :t", TYPE),
        ("pk = :s AND sk = :s", TYPE),
        ("pk = :s AND begins_with(sk, :s)", TYPE),
        ("pk = :s AND sk BETWEEN :s AND :y", TYPE),
        ("pk = :v AND a = :v", TYPE),
        ("pk = :e", EMPTY + "string value. Key: pk"),
        ("pk = :e AND sk = :s", EMPTY + "string value. Key: pk"),
        # DynamoDB Local lets this one through; the missing space is AWS's
        (
            "pk = :long",
            "One or more parameter values were invalid: "
            "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
    ],
)
def test_what_is_refused(text: str, wanted: str) -> None:
    assert refusal(text) == wanted


def test_values_that_no_sort_key_has() -> None:
    assert refusal("pk = :s AND begins_with(sk, :e)", "sk", "S") == EMPTY + "string value. Key: sk"
    assert refusal("pk = :s AND sk > :be", "sk", "B") == EMPTY + "binary value. Key: sk"
    assert refusal("pk = :s AND sk = :longish", "sk", "S") == (
        "One or more parameter values were invalid: "
        "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    )


def test_a_key_without_sort_key() -> None:
    assert bind("pk = :s", None, None) == KeyRange(X)
    assert refusal("pk = :s AND a = :v", None, None) == UNSUPPORTED
    assert refusal("a = :s", None, None) == MISSED + "pk"
    assert refusal("pk = :s AND pk = :s", None, None) == ONE_PER_KEY


def test_one_text_serves_tables_with_different_keys() -> None:
    parsed = key_condition.parse("a = :s AND b = :y", None)
    assert parsed.bind("a", "S", "b", "S", VALUES) == KeyRange(X, "=", (Y,))
    assert parsed.bind("b", "S", "a", "S", VALUES) == KeyRange(Y, "=", (X,))


def test_it_tells_what_it_uses() -> None:
    parsed = key_condition.parse("#p = :s", {"#p": "pk"})
    assert parsed.names_used == {"#p"}
    assert parsed.values_used == {":s"}


OPERATIONS: dict[str, Any] = {
    "=": lambda key, a: key == a,
    "<": lambda key, a: key < a,
    "<=": lambda key, a: key <= a,
    ">": lambda key, a: key > a,
    ">=": lambda key, a: key >= a,
    "begins_with": lambda key, a: key.startswith(a),
}
# Few different bytes, so that keys often begin alike; ff and 00, at which prefixes and successors turn.
KEYS = st.lists(st.sampled_from([0, 1, 0xFE, 0xFF]), max_size=4).map(bytes)


@given(st.sampled_from(sorted(OPERATIONS)), KEYS, KEYS)
def test_bounds_hold_exactly_the_keys_that_the_operator_allows(operator: str, operand: bytes, key: bytes) -> None:
    low, high = range_bounds(operator, [operand])
    assert (low <= key and (high is None or key < high)) == OPERATIONS[operator](key, operand)


@given(KEYS, KEYS, KEYS)
def test_bounds_of_between(a: bytes, b: bytes, key: bytes) -> None:
    low, high = range_bounds("BETWEEN", [min(a, b), max(a, b)])
    assert high is not None
    assert (low <= key < high) == (min(a, b) <= key <= max(a, b))


def test_bounds_of_everything() -> None:
    assert range_bounds(None, []) == (b"", None)
    assert KeyRange(X, ">", (Y,)).bounds(lambda value: value["S"].encode()) == (b"y\0", None)
    assert after_prefix(b"a\xff\xff") == b"b"
    assert after_prefix(b"\xff") is None
    assert after_prefix(b"") is None
