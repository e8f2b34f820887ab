from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.item import number

from .strategies import decimals, normal, normals, spellings

NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
TOO_PRECISE = "Attempting to store more than 38 significant digits in a Number"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"


@given(spellings())
def test_every_spelling_of_a_number_has_the_normal_form_of_the_number(spelling: tuple[str, Decimal]) -> None:
    text, value = spelling
    assert number.normalize(text) == normal(value)


@given(normals)
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    assert number.normalize(text) == text


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("1E2", "100"),
        ("1E-3", "0.001"),
        ("1E+125", "1" + "0" * 125),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("1.5E-130", "0." + "0" * 129 + "15"),
        ("0.1E+126", "1" + "0" * 125),
        ("10E-131", "0." + "0" * 129 + "1"),
        ("0E500", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("000", "0"),
        ("007", "7"),
        ("+1.50", "1.5"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-.5e-3", "-0.0005"),
        ("1E+0005", "100000"),
        ("123456789012345678901234567890123456780", "123456789012345678901234567890123456780"),
        ("9" * 38 + "E88", "9" * 38 + "0" * 88),
    ],
)
def test_normal_forms_as_the_service_answers_them(sent: str, answered: str) -> None:
    assert number.normalize(sent) == answered


@pytest.mark.parametrize(
    "text",
    ["x", " 1", "1 ", "1\n", "\t1", "--1", "+-1", "1e", "1e+", "e5", "1e5.0", ".", "-", "+", "-.", "1.2.3",
     "1,5", "NaN", "Infinity", "-Infinity", "inf", "1_000", "0x10", "1d", "1f", "1L",
     "\u0661", "1\u0662", "\uff11", "\u00b2", "\u221e",    # other scripts, superscript, infinity
     "1E2147483648", "1E99999999999", "0E99999999999", "1E-99999999999", "1E" + "9" * 10_000],
)  # fmt: skip
def test_what_is_not_a_number_is_refused_with_its_text(text: str) -> None:
    assert refusal(text) == f"{NOT_NUMERIC}: {text}"


def test_the_empty_text_is_refused_without_its_text() -> None:
    assert refusal("") == NOT_NUMERIC


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" * 39, TOO_PRECISE),
        ("-" + "1" * 39, TOO_PRECISE),
        ("1." + "1" * 38, TOO_PRECISE),
        ("1" * 39 + "E200", TOO_PRECISE),
        ("1" * 39 + "E-200", TOO_PRECISE),
        ("1E126", OVERFLOW),
        ("-1E126", OVERFLOW),
        ("10E125", OVERFLOW),
        ("1" + "0" * 126, OVERFLOW),
        ("1E2147483647", OVERFLOW),
        ("1E-131", UNDERFLOW),
        ("-1E-131", UNDERFLOW),
        ("0.1E-130", UNDERFLOW),
        ("1E-2147483647", UNDERFLOW),
    ],
)
def test_numbers_beyond_precision_or_range_are_refused(text: str, message: str) -> None:
    assert refusal(text) == message


@given(st.text(max_size=6))
def test_any_text_is_normalised_or_refused(text: str) -> None:
    try:
        form = number.normalize(text)
    except ValidationError:
        return
    assert number.normalize(form) == form
    assert Decimal(form) == Decimal(text)


@given(st.lists(decimals, min_size=2, max_size=8))
def test_the_order_of_keys_is_the_order_of_numbers(values: list[Decimal]) -> None:
    by_value = [normal(value) for value in sorted(values)]
    by_key = sorted(map(normal, values), key=number.key_bytes)
    assert by_key == by_value


@given(decimals, st.integers(-2, 2), st.integers(-130, 125))
def test_the_order_of_keys_holds_between_close_neighbours(value: Decimal, step: int, place: int) -> None:
    with localcontext(prec=300):
        close = value + step * Decimal(10) ** place
    a, b = normal(value), normal(close)
    try:
        number.normalize(b)
    except ValidationError:
        return    # not a DynamoDB number
    assert sign(number.key_bytes(a), number.key_bytes(b)) == sign(value, close) == number.compare(a, b)


@given(normals)
def test_a_key_leads_back_to_its_number(text: str) -> None:
    key = number.key_bytes(text)
    assert number.from_key_bytes(key) == text
    assert 0 not in key[1:]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0", "80"),
        ("1", "c102"),
        ("1.5", "c10251"),
        ("123", "c20224"),
        ("0.001", "bf11"),
        ("-1", "3e99ff"),
        ("-1.5", "3e994aff"),
        ("-123", "3d9977ff"),
        (normal(Decimal("1E-130")), "8002"),
        (normal(Decimal("-1E-130")), "7f99ff"),
        (normal(Decimal("9E125")), "ff91"),
        (normal(Decimal("-9E125")), "000aff"),
    ],
)
def test_keys_as_the_module_draws_them(text: str, key: str) -> None:
    assert number.key_bytes(text).hex() == key


@pytest.mark.parametrize("key", ["81", "c101", "c1029b", "c10201", "3e99", "80ff"])
def test_bytes_that_are_no_key_are_our_mistake(key: str) -> None:
    with pytest.raises(AssertionError):
        number.from_key_bytes(bytes.fromhex(key))


@given(normals)
def test_size_is_one_byte_and_one_for_each_pair_of_digits(text: str) -> None:
    assert number.size(text) == len(number.key_bytes(text)) == size_on_a_napkin(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        # Measured on DynamoDB Local 2026 by how much more fits into 1 KB beside it.
        ("0", 1), ("1", 2), ("10", 2), ("12", 2), ("100", 2), ("120", 3), ("123", 3), ("1000", 2),
        ("-1", 3), ("-12", 3), ("-123", 4),
        ("0.1", 2), ("0.01", 2), ("0.001", 2), ("0.012", 3),
        ("1.1", 3), ("1.01", 3), ("1.001", 4), ("12.34", 3), ("123.4", 4), ("123.456", 5),
        (normal(Decimal("1E125")), 2), (normal(Decimal("1E-130")), 2), (normal(Decimal("1E-129")), 2),
        ("12345678901234567890123456789012345678", 20),
        ("1234567890123456789012345678901234567.8", 21),
        ("-1234567890123456789012345678901234567.8", 21),
    ],
)  # fmt: skip
def test_sizes_as_measured(text: str, size: int) -> None:
    assert number.size(text) == size


@given(decimals, decimals)
def test_sums_and_differences_are_exact_or_refused(a: Decimal, b: Decimal) -> None:
    with localcontext(prec=300):
        results = [(number.add, a + b), (number.subtract, a - b)]
    for operation, exact in results:
        assert outcome(operation, normal(a), normal(b)) == outcome(number.normalize, normal(exact))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("1" + "0" * 38, "1", TOO_PRECISE),
        ("9" * 38, "0.1", TOO_PRECISE),
        ("9" + "0" * 125, "9" + "0" * 125, OVERFLOW),
        ("-9" + "0" * 125, "-9" + "0" * 125, OVERFLOW),
        (normal(Decimal("1.5E-130")), normal(Decimal("-1E-130")), UNDERFLOW),
    ],
)
def test_sums_that_no_number_can_hold_are_refused(a: str, b: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        number.add(a, b)
    assert refused.value.message == message


@given(decimals, decimals)
def test_compare_is_numeric(a: Decimal, b: Decimal) -> None:
    assert number.compare(normal(a), normal(b)) == sign(a, b)


def outcome(function: Callable[..., str], *arguments: str) -> str:
    """What the function returns, or the text of its refusal."""
    try:
        return function(*arguments)
    except ValidationError as error:
        return error.message


def refusal(text: str) -> str:
    with pytest.raises(ValidationError) as refused:
        number.normalize(text)
    return refused.value.message


def sign(a: object, b: object) -> int:
    return (a > b) - (a < b)  # type: ignore[operator]


def size_on_a_napkin(text: str) -> int:
    """Write the digits around the point in pairs, cross out zero pairs at both ends, count."""
    whole, _, fraction = text.lstrip("-").partition(".")
    whole = "0" * (len(whole) % 2) + whole
    fraction += "0" * (len(fraction) % 2)
    digits = whole + fraction
    pairs = [digits[i : i + 2] for i in range(0, len(digits), 2)]
    while pairs and pairs[0] == "00":
        pairs.pop(0)
    while pairs and pairs[-1] == "00":
        pairs.pop()
    return min(1 + len(pairs) + text.startswith("-"), 21)
