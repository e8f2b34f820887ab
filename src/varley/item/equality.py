"""Equality and order of attribute values, as DynamoDB sees them.

Values were checked and normalised (value.py), so numbers are equal when their text is, and so is base64.
What differs from comparing the JSON: a set has no order.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import Any

from varley.item import number

_SETS = ("SS", "NS", "BS")


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two attribute values are equal. Values of different kinds are not."""
    # Equal JSON is an equal value. That True == 1 in Python does no harm: contents of one kind have one type.
    if a == b:
        return True
    [(kind, content)] = a.items()
    other = b.get(kind)
    if other is None:
        return False
    if kind in _SETS:
        return len(content) == len(other) and set(content) == set(other)
    if kind == "L":
        return len(content) == len(other) and all(map(equal, content, other))
    if kind == "M":
        return content.keys() == other.keys() and all(equal(content[name], other[name]) for name in content)
    return False


def compare(a: dict[str, Any], b: dict[str, Any]) -> int | None:
    """-1, 0 or 1 as `a` is less than, equal to or greater than `b`; None if they have no order.

    Only two strings (by UTF-8 bytes), two numbers or two binaries (by unsigned bytes) have one.
    """
    [(kind, content)] = a.items()
    other = b.get(kind)
    if other is None:
        return None
    return compare_keys(kind, content, other) if kind in ("S", "N", "B") else None


def compare_keys(kind: str, a: str, b: str) -> int:
    """`compare` for the contents of two values of the same kind: "S", "N" or "B"."""
    if a == b:
        return 0
    if kind == "S":
        return -1 if a < b else 1    # Python compares by code point, which is the order of UTF-8 bytes
    if kind == "N":
        return number.compare(a, b)
    assert kind == "B", f"{kind} has no order"
    return -1 if a2b_base64(a) < a2b_base64(b) else 1
