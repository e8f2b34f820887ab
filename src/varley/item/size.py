"""Sizes in DynamoDB's bytes: what limits and capacity units are counted in.

    S            UTF-8 bytes
    N            number.size: 1 byte, and one for each pair of digits
    B            bytes, before base64
    BOOL, NULL   1
    SS NS BS     the sum of their members
    L            3, and for each element 1 and its value
    M            3, and for each member 1, its name and its value
    item         for each attribute its name and its value

Source: [DG] "DynamoDB item sizes and formats". These functions trust the item; `value.check_item` computes
the same while it checks one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from varley.item import number

DOCUMENT_BYTES = 3      # a list or map, whatever is in it
ELEMENT_BYTES = 1       # each element of a list, each member of a map


def item_size(item: Mapping[str, Any]) -> int:
    """The size of an item, names and values."""
    size = texts_size(item)
    for value in item.values():
        size += value_size(value)
    return size


def item_size_within(limit: int, item: Mapping[str, Any]) -> int | None:
    """The size of an item, or None if it is above `limit`, found out without looking at much more than that.

    An update may put one large value into hundreds of attributes: its result is there at once, and takes long to walk.
    """
    size = texts_size(item)
    for value in item.values():
        size += value_size(value)
        if size > limit:
            return None
    return size if size <= limit else None


def value_size(value: Mapping[str, Any]) -> int:
    """The size of one attribute value, such as {"S": "x"}."""
    [(kind, content)] = value.items()
    if kind == "S":
        return name_size(content)
    if kind == "N":
        return number.size(content)
    if kind == "B":
        return binary_size(content)
    if kind == "BOOL" or kind == "NULL":
        return 1
    if kind == "M":
        return DOCUMENT_BYTES + ELEMENT_BYTES * len(content) + item_size(content)
    if kind == "L":
        return DOCUMENT_BYTES + ELEMENT_BYTES * len(content) + sum(map(value_size, content))
    if kind == "SS":
        return texts_size(content)
    if kind == "NS":
        return sum(map(number.size, content))
    assert kind == "BS", f"unknown kind of attribute value: {kind}"
    return sum(map(binary_size, content))


def name_size(name: str) -> int:
    """The UTF-8 length of a name, or of any text."""
    return len(name) if name.isascii() else len(name.encode())


def texts_size(texts: Iterable[str]) -> int:
    """The UTF-8 length of all of them."""
    return name_size("".join(texts))


def binary_size(text: str) -> int:
    """The number of bytes that canonical base64 text stands for."""
    return len(text) // 4 * 3 - text.count("=", -2)
