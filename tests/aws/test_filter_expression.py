# Why: a filter is a condition over many items, with three differences: it drops instead of refusing, it may not
# name the keys in a query, and an item that it cannot judge is simply not found. The language itself is tested in
# test_condition_expression.py.

from typing import Any

import pytest

from .refusals import NOT_EXPRESSION, invalid
from .table import Item, Table, unique

PEOPLE = {
    "ann": {"age": {"N": "30"}, "tags": {"SS": ["x", "y"]}, "address": {"M": {"town": {"S": "Bern"}}}},
    "bob": {"age": {"N": "9"}, "tags": {"L": [{"S": "x"}]}, "gone": {"BOOL": True}},
    "cid": {"age": {"S": "30"}, "note": {"NULL": True}},
    "dan": {},
}


@pytest.fixture(scope="module")
def pk(sorted_table: Table) -> Item:
    pk = {"S": unique("people")}
    sorted_table.fill([{"pk": pk, "sk": {"S": name}, **person} for name, person in PEOPLE.items()])
    return pk


VALUES: Item = {
    ":30": {"N": "30"},
    ":10": {"N": "10"},
    ":text": {"S": "30"},
    ":x": {"S": "x"},
    ":bern": {"S": "Bern"},
    ":number": {"S": "N"},
    ":two": {"N": "2"},
    ":true": {"BOOL": True},
}

FINDS: dict[str, list[str]] = {
    "age = :30": ["ann"],
    "age <> :30": ["bob", "cid", "dan"],
    "age < :30": ["bob"],
    "NOT age < :30": ["ann", "cid", "dan"],
    "age > :10": ["ann"],
    "age IN (:30, :text)": ["ann", "cid"],
    "age BETWEEN :10 AND :30": ["ann"],
    "contains(tags, :x)": ["ann", "bob"],
    "size(tags) >= :two": ["ann"],
    "address.town = :bern": ["ann"],
    "attribute_exists(note)": ["cid"],
    "attribute_not_exists(age)": ["dan"],
    "attribute_type(age, :number)": ["ann", "bob"],
    "gone = :true OR age = :30": ["ann", "bob"],
    "NOT (gone = :true OR age = :30)": ["cid", "dan"],
    "begins_with(address.town, :bern)": ["ann"],
}


def placeholders(expression: str) -> Item:
    return {name: value for name, value in VALUES.items() if name in expression}


@pytest.mark.parametrize("expression", FINDS)
def test_this_filter_finds(sorted_table: Table, pk: Item, expression: str) -> None:
    answer = sorted_table.query(
        "pk = :pk",
        FilterExpression=expression,
        ExpressionAttributeValues={":pk": pk, **placeholders(expression)},
        ConsistentRead=True,
    )
    assert [item["sk"]["S"] for item in answer["Items"]] == FINDS[expression]
    assert (answer["Count"], answer["ScannedCount"]) == (len(FINDS[expression]), len(PEOPLE))


@pytest.mark.parametrize("expression", FINDS)
def test_a_scan_finds_the_same(sorted_table: Table, pk: Item, expression: str) -> None:
    pages = sorted_table.pages(
        "scan",
        FilterExpression=f"pk = :pk AND ({expression})",
        ExpressionAttributeValues={":pk": pk, **placeholders(expression)},
        ConsistentRead=True,
    )
    assert sorted(item["sk"]["S"] for page in pages for item in page["Items"]) == FINDS[expression]


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("pk = :x", "pk"),
        ("sk = :x", "sk"),
        ("age = :30 AND size(sk) = :two", "sk"),
        ("attribute_exists(pk)", "pk"),
    ],
)
def test_a_query_may_not_filter_on_its_keys(sorted_table: Table, pk: Item, expression: str, name: str) -> None:
    text = f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
    with invalid(text):
        sorted_table.query(
            "pk = :pk",
            FilterExpression=expression,
            ExpressionAttributeValues={":pk": pk, **placeholders(expression)},
        )


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("", "The expression can not be empty;"),
        ("age", 'Syntax error; token: "<EOF>", near: "age"'),
        ("foo(age)", "Invalid function name; function: foo"),
        ("status = :x", "Attribute name is a reserved keyword; reserved keyword: status"),
        (
            "age = :nobody",
            "An expression attribute value used in expression is not defined; attribute value: :nobody",
        ),
        ("size(age)", "The function is not allowed to be used this way in an expression; function: size"),
    ],
    ids=["nothing", "a bare name", "unknown function", "reserved word", "undefined value", "bare size"],
)
def test_this_filter_is_refused(sorted_table: Table, pk: Item, expression: str, text: str) -> None:
    values = placeholders(expression)
    with invalid(f"Invalid FilterExpression: {text}"):
        sorted_table.query("pk = :pk", FilterExpression=expression, ExpressionAttributeValues={":pk": pk, **values})
    more: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
    with invalid(f"Invalid FilterExpression: {text}"):
        sorted_table.scan(FilterExpression=expression, **more)


def test_placeholders_need_an_expression(sorted_table: Table) -> None:
    with invalid(NOT_EXPRESSION):
        sorted_table.scan(ExpressionAttributeNames={"#a": "a"})
    text = "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null"
    with invalid(text):
        sorted_table.scan(ExpressionAttributeValues={":a": {"S": "a"}})


def test_key_condition_filter_and_projection_share_their_placeholders(sorted_table: Table, pk: Item) -> None:
    answer = sorted_table.query(
        "#pk = :pk AND sk >= :name",
        FilterExpression="#age < :limit OR attribute_not_exists(#age)",
        ProjectionExpression="sk, #age",
        ExpressionAttributeNames={"#pk": "pk", "#age": "age"},
        ExpressionAttributeValues={":pk": pk, ":name": {"S": "b"}, ":limit": {"N": "20"}},
        ConsistentRead=True,
    )
    assert answer["Items"] == [{"sk": {"S": "bob"}, "age": {"N": "9"}}, {"sk": {"S": "dan"}}]
