# Why: DynamoDB's numbers are decimals of 38 digits, and programs keep money in them. Each must come back with the
# same value in the service's one normal form, compare by value, and be refused rather than rounded.

import random
from decimal import Decimal

import pytest

from .refusals import invalid
from .table import Item, Table, unique

NINES = "9" * 38

NORMAL_FORM = {
    "0": "0",
    "-0": "0",
    "0.0": "0",
    "000": "0",
    "0E+100": "0",
    "1": "1",
    "+1": "1",
    "-1": "-1",
    "01": "1",
    "00012": "12",
    "1.0": "1",
    "1.50": "1.5",
    "-1.50": "-1.5",
    "100": "100",
    ".5": "0.5",
    "5.": "5",
    "-.5": "-0.5",
    "0.00001": "0.00001",
    "1e3": "1000",
    "1E3": "1000",
    "1E+3": "1000",
    "1e-3": "0.001",
    "12.34e1": "123.4",
    "12.34e-1": "1.234",
    "100e-2": "1",
    NINES: NINES,
    "-" + NINES: "-" + NINES,
    "0." + NINES: "0." + NINES,
    "1" + "0" * 60: "1" + "0" * 60,
    "1." + "0" * 60: "1",
    "0" * 60 + "1": "1",
    "1" * 19 + "." + "2" * 19: "1" * 19 + "." + "2" * 19,
}


@pytest.mark.parametrize("given", NORMAL_FORM)
def test_this_number_comes_back_in_its_normal_form(table: Table, key: Item, given: str) -> None:
    table.put({**key, "v": {"N": given}, "s": {"NS": [given]}})
    expected = NORMAL_FORM[given]
    assert table.item(key) == {**key, "v": {"N": expected}, "s": {"NS": [expected]}}


def test_numbers_inside_documents_have_the_same_normal_form(table: Table, key: Item) -> None:
    def document(numbers: list[str]) -> Item:
        return {"L": [{"M": {"n": {"N": number}}} for number in numbers]}

    table.put({**key, "v": document(list(NORMAL_FORM))})
    assert table.item(key) == {**key, "v": document(list(NORMAL_FORM.values()))}
    change = {
        "UpdateExpression": "SET w = :v",
        "ExpressionAttributeValues": {":v": document(list(NORMAL_FORM))},
    }
    answer = table.update(key, ReturnValues="UPDATED_NEW", **change)
    assert answer["Attributes"] == {"w": document(list(NORMAL_FORM.values()))}


LARGEST = "9.9999999999999999999999999999999999999E+125"

EXTREMES = [
    "1E+125",
    LARGEST,
    "-" + LARGEST,
    "-1E+125",
    "1E-130",
    "-1E-130",
    "9E-130",
    "1.5E-129",
    "1E+38",
    "1E-38",
]


@pytest.mark.parametrize("given", EXTREMES)
def test_the_largest_and_the_smallest_numbers_keep_their_value(table: Table, key: Item, given: str) -> None:
    # How the service writes very large and small numbers (with or without an exponent) is not promised.
    table.put({**key, "v": {"N": given}})
    assert Decimal((table.item(key) or {})["v"]["N"]) == Decimal(given)


NOT_A_NUMBER = ["abc", "NaN", "Infinity", "-Infinity", "0x10", "1,000", "1_000", " 1", "1 ", "1e", "e5", "--1", "+-1",
                "1.2.3", "1e1.5", "-", "+", ".", "1f", "½", "1\n"]  # fmt: skip


@pytest.mark.parametrize("given", NOT_A_NUMBER)
def test_this_is_no_number(table: Table, key: Item, given: str) -> None:
    with invalid(f"The parameter cannot be converted to a numeric value: {given}"):
        table.put({**key, "v": {"N": given}})
    assert table.item(key) is None


def test_the_empty_text_is_no_number(table: Table, key: Item) -> None:
    with invalid("The parameter cannot be converted to a numeric value"):
        table.put({**key, "v": {"N": ""}})


def test_digits_of_other_scripts_are_no_number(table: Table, key: Item) -> None:
    with invalid():
        table.put({**key, "v": {"N": "١٢"}})


TOO_PRECISE = [
    "1" * 39,
    "0." + "1" * 39,
    "1." + "0" * 37 + "1",
    "-" + "1" * 39,
    "1" + "0" * 37 + "1",
    "1" * 38 + "1E-10",
]


@pytest.mark.parametrize("given", TOO_PRECISE)
def test_more_than_38_digits_are_refused(table: Table, key: Item, given: str) -> None:
    with invalid("Attempting to store more than 38 significant digits in a Number"):
        table.put({**key, "v": {"N": given}})
    assert table.item(key) is None


@pytest.mark.parametrize("given", ["1E+126", "-1E+126", "10E+125", "1" + "0" * 126, "1E+999"])
def test_numbers_too_large_are_refused(table: Table, key: Item, given: str) -> None:
    with invalid("Number overflow. Attempting to store a number with magnitude larger than supported range"):
        table.put({**key, "v": {"N": given}})
    assert table.item(key) is None


@pytest.mark.parametrize("given", ["1E-131", "-1E-131", "0.1E-130", "0." + "0" * 130 + "1", "1E-999"])
def test_numbers_too_small_are_refused(table: Table, key: Item, given: str) -> None:
    with invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range"):
        table.put({**key, "v": {"N": given}})
    assert table.item(key) is None


@pytest.mark.parametrize("given", ["1E+1000000000", "1E-1000000000", "1" + "0" * 5000, "1E+" + "9" * 1000])
def test_absurd_numbers_are_refused_quickly(table: Table, key: Item, given: str) -> None:
    with invalid():
        table.put({**key, "v": {"N": given}})
    assert table.item(key) is None


def test_a_bad_number_in_a_set_or_document_is_refused(table: Table, key: Item) -> None:
    for value in ({"NS": ["1", "x"]}, {"L": [{"N": "x"}]}, {"M": {"a": {"N": "x"}}}):
        with invalid("The parameter cannot be converted to a numeric value: x"):
            table.put({**key, "v": value})


def test_a_number_key_is_the_same_however_it_is_written(number_sorted_table: Table) -> None:
    pk = {"S": unique()}
    for written in ("10", "1e1", "10.0", "0010"):
        number_sorted_table.put({"pk": pk, "sk": {"N": written}, "last": {"S": written}})
    answer = number_sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": pk}, ConsistentRead=True)
    assert answer["Items"] == [{"pk": pk, "sk": {"N": "10"}, "last": {"S": "0010"}}]


def test_zero_and_minus_zero_are_one_key(number_sorted_table: Table) -> None:
    pk = {"S": unique()}
    number_sorted_table.put({"pk": pk, "sk": {"N": "-0"}, "v": {"S": "x"}})
    assert number_sorted_table.item({"pk": pk, "sk": {"N": "0"}}) == {
        "pk": pk,
        "sk": {"N": "0"},
        "v": {"S": "x"},
    }


def test_a_number_may_be_the_partition_key(make_table: object) -> None:
    table: Table = make_table("N")  # type: ignore[operator]
    table.put({"pk": {"N": "1.0"}, "v": {"S": "x"}})
    assert table.item({"pk": {"N": "1"}}) == {"pk": {"N": "1"}, "v": {"S": "x"}}
    assert table.item({"pk": {"N": "100e-2"}}) is not None
    assert table.item({"pk": {"N": "2"}}) is None


def random_number(chance: random.Random) -> str:
    digits = "".join(chance.choice("0123456789") for _ in range(chance.randint(1, 38))).lstrip("0") or "0"
    exponent = chance.randint(-130, 125 - len(digits) + 1)
    sign = chance.choice(["", "-"])
    return f"{sign}{digits}E{exponent:+d}"


def test_any_numbers_sort_by_value(number_sorted_table: Table) -> None:
    chance = random.Random(38)
    numbers = {Decimal(random_number(chance)) for _ in range(120)}
    numbers |= {
        Decimal(n) for n in ("0", "1", "-1", "10", "-10", "0.1", "-0.1", "99", "100", "101", "-99", "-100", "-101")
    }
    pk = {"S": unique()}
    number_sorted_table.fill([{"pk": pk, "sk": {"N": str(number)}} for number in numbers])
    answer = number_sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": pk}, ConsistentRead=True)
    assert [Decimal(item["sk"]["N"]) for item in answer["Items"]] == sorted(numbers)
