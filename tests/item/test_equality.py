from __future__ import annotations

import copy
from base64 import b64decode
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.item.equality import compare, equal

from .strategies import scalars, values


@given(values, st.randoms(use_true_random=False))
def test_neither_sets_nor_maps_have_an_order(value: dict[str, Any], random: Any) -> None:
    other = shuffled(copy.deepcopy(value), random)
    assert equal(value, other)
    assert equal(other, value)


@given(values, values)
def test_equal_means_equal_once_all_sets_are_sorted(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert equal(a, b) == (in_order(a) == in_order(b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"S": "1"}, {"N": "1"}),
        ({"S": "YQ=="}, {"B": "YQ=="}),
        ({"SS": ["1"]}, {"NS": ["1"]}),
        ({"L": []}, {"M": {}}),
        ({"BOOL": True}, {"NULL": True}),
        ({"BOOL": True}, {"BOOL": False}),
        ({"BOOL": False}, {"NULL": True}),
        ({"SS": ["a", "b"]}, {"SS": ["a"]}),
        ({"SS": ["a"]}, {"SS": ["a", "b"]}),
        ({"L": [{"SS": ["a", "b"]}]}, {"L": [{"SS": ["b", "c"]}]}),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
        ({"M": {"a": {"S": "x"}}}, {"M": {"b": {"S": "x"}}}),
        ({"M": {"a": {"SS": ["x"]}}}, {"M": {"a": {"SS": ["x"]}, "b": {"S": "x"}}}),
    ],
)
def test_these_differ(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert not equal(a, b)
    assert not equal(b, a)


@given(scalars, scalars)
def test_strings_numbers_and_binaries_have_an_order(a: dict[str, Any], b: dict[str, Any]) -> None:
    match a, b:
        case {"S": left}, {"S": right}:
            expected = sign(left.encode(), right.encode())
        case {"N": left}, {"N": right}:
            expected = sign(Decimal(left), Decimal(right))
        case {"B": left}, {"B": right}:
            expected = sign(b64decode(left), b64decode(right))
        case _:
            expected = None
    assert compare(a, b) == expected


def test_strings_are_ordered_by_utf8_and_not_by_utf16() -> None:
    assert compare({"S": "\uffff"}, {"S": "\U00010000"}) == -1


def test_binaries_are_ordered_by_unsigned_bytes_and_not_by_their_text() -> None:
    assert compare({"B": "/w=="}, {"B": "AA=="}) == 1    # ff, 00


@pytest.mark.parametrize("value", [{"SS": ["a"]}, {"L": []}, {"M": {}}, {"BOOL": True}, {"NULL": True}])
def test_other_kinds_have_no_order(value: dict[str, Any]) -> None:
    assert compare(value, value) is None


def sign(a: Any, b: Any) -> int:
    return (a > b) - (a < b)


def shuffled(value: dict[str, Any], random: Any) -> dict[str, Any]:
    [(kind, content)] = value.items()
    if kind in ("SS", "NS", "BS"):
        random.shuffle(content)
    elif kind == "L":
        return {"L": [shuffled(element, random) for element in content]}
    elif kind == "M":
        members = list(content.items())
        random.shuffle(members)
        return {"M": {name: shuffled(member, random) for name, member in members}}
    return value


def in_order(value: dict[str, Any]) -> tuple[str, Any]:
    [(kind, content)] = value.items()
    if kind in ("SS", "NS", "BS"):
        return kind, sorted(content)
    if kind == "L":
        return kind, [in_order(element) for element in content]
    if kind == "M":
        return kind, {name: in_order(member) for name, member in content.items()}
    return kind, content
