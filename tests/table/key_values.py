"""Values of key attributes, for Hypothesis: few letters, the dangerous ones among them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from varley.item import number

KINDS = ("S", "N", "B")

# What escapes and ends must not be taken for what is inside.
texts = st.text("\0\x01\x02aé\uffff\U0010ffff", min_size=1, max_size=6)
binaries = st.lists(st.sampled_from([0, 1, 2, 0x61, 0xFE, 0xFF]), min_size=1, max_size=6).map(bytes)
numbers = st.one_of(
    st.integers(-200, 200).map(str),
    st.sampled_from(["0", "1E-130", "-1E-130", "9.9E+125", "-9.9E+125", "-0.5", "0.001", "100", "-1" + "0" * 37]),
    st.decimals(-10, 10, places=3).map(str),
)


def values(kind: str) -> st.SearchStrategy[dict[str, str]]:
    if kind == "S":
        return texts.map(lambda text: {"S": text})
    if kind == "B":
        return binaries.map(lambda raw: {"B": b64encode(raw).decode()})
    return numbers.map(lambda text: {"N": number.normalize(text)})


def sortable(value: dict[str, str]) -> Any:
    """Something that Python orders as DynamoDB orders the value."""
    ((kind, text),) = value.items()
    return text.encode() if kind == "S" else b64decode(text) if kind == "B" else Decimal(text)


def holds(operator: str | None, value: dict[str, str], operands: tuple[dict[str, str], ...]) -> bool:
    """What a condition on a sort key says of a value."""
    x = sortable(value)
    if operator is None:
        return True
    if operator == "BETWEEN":
        return bool(sortable(operands[0]) <= x <= sortable(operands[1]))
    a = sortable(operands[0])
    return bool(
        {
            "=": lambda: x == a,
            "<": lambda: x < a,
            "<=": lambda: x <= a,
            ">": lambda: x > a,
            ">=": lambda: x >= a,
            "begins_with": lambda: x.startswith(a),
        }[operator]()
    )


@st.composite
def conditions(draw: st.DrawFn, kind: str) -> tuple[str, tuple[dict[str, str], ...]]:
    """(operator, operands) on a sort key of this kind."""
    operators = ["=", "<", "<=", ">", ">=", "BETWEEN"] + ([] if kind == "N" else ["begins_with"])
    operator = draw(st.sampled_from(operators))
    if operator == "BETWEEN":
        low, high = sorted(draw(st.tuples(values(kind), values(kind))), key=sortable)
        return operator, (low, high)
    return operator, (draw(values(kind)),)
