from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given

from varley.item import number
from varley.item.size import binary_size, item_size, name_size, value_size

from .strategies import binaries, items, texts


@pytest.mark.parametrize(
    ("value", "size"),
    [
        # All measured on DynamoDB Local 2026 by how much more fits into 1 KB beside it.
        ({"S": "abc"}, 3),
        ({"S": "é"}, 2),
        ({"N": "1"}, 2),
        ({"B": "YWJj"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        ({"L": [{"S": "a"}]}, 5),
        ({"L": [{"L": []}]}, 7),
        ({"M": {"a": {"S": "b"}}}, 6),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "22", "333"]}, 7),
        ({"BS": ["YWJj", "YQ=="]}, 4),
    ],
)
def test_sizes_as_measured(value: dict[str, Any], size: int) -> None:
    assert value_size(value) == size
    assert item_size({"name": value}) == 4 + size


@given(items)
def test_size_is_that_of_the_napkin(item: dict[str, Any]) -> None:
    assert item_size(item) == size_on_a_napkin({"M": item}) - 3 - len(item)


@given(texts)
def test_a_name_counts_its_utf8_bytes(name: str) -> None:
    assert name_size(name) == len(name.encode())


@given(binaries)
def test_base64_counts_the_bytes_it_stands_for(text: str) -> None:
    assert binary_size(text) == len(b64decode(text))


def size_on_a_napkin(value: dict[str, Any]) -> int:
    match value:
        case {"S": text}:
            return len(text.encode())
        case {"N": text}:
            return len(number.key_bytes(text))
        case {"B": text}:
            return len(b64decode(text))
        case {"BOOL": _} | {"NULL": _}:
            return 1
        case {"SS": members}:
            return sum(len(member.encode()) for member in members)
        case {"NS": members}:
            return sum(len(number.key_bytes(member)) for member in members)
        case {"BS": members}:
            return sum(len(b64decode(member)) for member in members)
        case {"L": elements}:
            return 3 + sum(1 + size_on_a_napkin(element) for element in elements)
        case {"M": members}:
            sizes = [len(name.encode()) + size_on_a_napkin(member) for name, member in members.items()]
            return 3 + len(sizes) + sum(sizes)
    raise AssertionError(value)
