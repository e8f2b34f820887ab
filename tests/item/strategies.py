"""What Hypothesis draws for the tests of items: valid attribute values, and numbers as text."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
binaries = st.binary(max_size=12).map(lambda raw: b64encode(raw).decode())


def _number(negative: bool, digits: int, magnitude: int) -> Decimal:
    """`digits` (any integer up to 38 digits) with its first digit worth ten to the `magnitude`."""
    text = str(digits)
    return Decimal(f"{'-' if negative else ''}{text}E{magnitude - len(text) + 1}")


# Every number that DynamoDB can hold, from all magnitudes, and then those of daily life.
decimals = st.one_of(
    st.builds(_number, st.booleans(), st.integers(1, 10**38 - 1), st.integers(-130, 125)),
    st.builds(_number, st.booleans(), st.integers(1, 10**6), st.integers(-6, 12)),
    st.integers(-(10**15), 10**15).map(Decimal),
    st.just(Decimal(0)),
)


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, Decimal]:
    """A number in one of the many ways to write it, and the number."""
    number = draw(decimals)
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)) + "0" * draw(st.integers(0, 3))
    exponent -= len(text) - len(digits)
    text = "0" * draw(st.integers(0, 3)) + text
    shift = draw(st.integers(0, len(text)))
    point = len(text) - shift
    exponent += shift
    mantissa = text[:point] + ("." if shift or draw(st.booleans()) else "") + text[point:]
    prefix = "-" if sign else draw(st.sampled_from(["", "+"]))
    if exponent == 0 and draw(st.booleans()):
        return prefix + mantissa, number
    plus = draw(st.sampled_from(["", "+"])) if exponent >= 0 else ""
    return f"{prefix}{mantissa}{draw(st.sampled_from('eE'))}{plus}{exponent}", number


def normal(number: Decimal) -> str:
    """The normal form of a number, by way of decimal's own notation."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text


normals = decimals.map(normal)


def _set(kind: str, members: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(members, min_size=1, max_size=5, unique=True).map(lambda content: {kind: content})


scalars: st.SearchStrategy[dict[str, Any]] = st.one_of(
    texts.map(lambda content: {"S": content}),
    normals.map(lambda content: {"N": content}),
    binaries.map(lambda content: {"B": content}),
    st.booleans().map(lambda content: {"BOOL": content}),
    st.just({"NULL": True}),
)

values: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(scalars, _set("SS", texts), _set("NS", normals), _set("BS", binaries)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda content: {"L": content}),
        st.dictionaries(names, inner, max_size=4).map(lambda content: {"M": content}),
    ),
    max_leaves=12,
)

items = st.dictionaries(names, values, max_size=6)
