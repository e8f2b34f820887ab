# Why: a transactional read is for seeing several items as they were together. What is not there, what is projected and
# what it costs have to come out in the order of the request, or clients match answers with the wrong keys.

import re
from collections.abc import Callable
from typing import Any

import pytest

from .refusals import KEY_MISMATCH, NO_TABLE, constraint_on, empty_key, invalid, refused
from .table import Item, Table, unique
from .transactions import NONE, TWICE, canceled, get, read, wrong


@pytest.fixture
def other(make_table: Callable[..., Table]) -> Table:
    return make_table("S", "N")


def keys(count: int) -> list[Item]:
    prefix = unique()
    return [{"pk": {"S": f"{prefix}-{number:03}"}} for number in range(count)]


def test_items_come_in_the_order_of_the_request(table: Table, other: Table) -> None:
    one, two = keys(2)
    third = {"pk": one["pk"], "sk": {"N": "5"}}
    for each, item in ((table, {**one, "a": {"S": "1"}}), (table, {**two, "a": {"S": "2"}}), (other, third)):
        each.put(item)
    answer = read(table, get(table, two), get(other, third), get(table, one))
    assert answer["Responses"] == [
        {"Item": {**two, "a": {"S": "2"}}},
        {"Item": third},
        {"Item": {**one, "a": {"S": "1"}}},
    ]


def test_what_is_not_there_has_its_place(table: Table) -> None:
    one, two, three = keys(3)
    table.put(two)
    assert read(table, get(table, one), get(table, two), get(table, three))["Responses"] == [{}, {"Item": two}, {}]


def test_a_projection_is_of_one_item(table: Table) -> None:
    one, two = keys(2)
    for key in (one, two):
        table.put({**key, "a": {"M": {"b": {"N": "1"}, "c": {"N": "2"}}}, "d": {"S": "x"}})
    answer = read(
        table,
        get(table, one, ProjectionExpression="#a.b", ExpressionAttributeNames={"#a": "a"}),
        get(table, two, ProjectionExpression="d"),
        get(table, {"pk": {"S": unique()}}, ProjectionExpression="d"),
    )
    assert answer["Responses"] == [{"Item": {"a": {"M": {"b": {"N": "1"}}}}}, {"Item": {"d": {"S": "x"}}}, {}]
    assert read(table, get(table, one, ProjectionExpression="nothing"))["Responses"] == [{"Item": {}}]


def test_each_read_counts_twice(table: Table) -> None:
    one, two = keys(2)
    table.put({**one, "a": {"S": "x" * 5000}})
    answer = read(table, get(table, one), get(table, two), ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": table.name, "CapacityUnits": 6.0, "ReadCapacityUnits": 6.0}]
    answer = read(table, get(table, one), ReturnConsumedCapacity="INDEXES")
    [consumed] = answer["ConsumedCapacity"]
    assert consumed["CapacityUnits"] == consumed["Table"]["CapacityUnits"] == 4.0


def test_a_hundred_items(table: Table) -> None:
    wanted = keys(100)
    table.fill(wanted)
    assert read(table, *(get(table, key) for key in wanted))["Responses"] == [{"Item": key} for key in wanted]
    with refused("ValidationException", re.compile(r".*Member must have length less than or equal to 100", re.DOTALL)):
        read(table, *(get(table, key) for key in keys(101)))


def test_four_megabytes_are_the_most(table: Table) -> None:
    wanted = keys(11)
    table.fill([{**key, "a": {"S": "x" * 390_000}} for key in wanted])
    assert len(read(table, *(get(table, key) for key in wanted[:10]))["Responses"]) == 10
    with refused("ValidationException"):
        read(table, *(get(table, key) for key in wanted))


def test_one_item_is_read_once(table: Table, key: Item) -> None:
    with invalid(TWICE):
        read(table, get(table, key), get(table, key, ProjectionExpression="a"))


@pytest.mark.parametrize(
    ("items", "member"),
    [
        ([], "transactItems"),
        ([{}], "transactItems.1.member.get"),
        ([{"Get": {"TableName": "some-table"}}], "transactItems.1.member.get.key"),
        ([{"Get": {"Key": {"pk": {"S": "x"}}}}], "transactItems.1.member.get.tableName"),
    ],
    ids=["nothing", "an empty element", "no key", "no table"],
)
def test_what_must_be_there(table: Table, items: list[dict[str, Any]], member: str) -> None:
    with invalid(constraint_on(member)):
        read(table, *items)


def test_expressions_are_looked_at_first(table: Table, key: Item) -> None:
    with invalid('Invalid ProjectionExpression: Syntax error; token: "b", near: "a b"'):
        read(table, get(table, key, ProjectionExpression="a b"))
    with invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}"):
        read(table, get(table, key, ProjectionExpression="b", ExpressionAttributeNames={"#a": "a"}))


def test_a_table_that_is_not_there_refuses_all(table: Table, key: Item) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        read(table, get(table, key), get(Table(table.client, unique("no-such-table")), key))


def test_keys_that_do_not_fit(table: Table, key: Item) -> None:
    with invalid(empty_key("pk")):
        read(table, get(table, key), get(table, {"pk": {"S": ""}}))
    for other in ({"pk": {"N": "1"}}, {"other": {"S": "x"}}, {**key, "more": {"S": "x"}}):
        with canceled(NONE, wrong(KEY_MISMATCH)):
            read(table, get(table, key), get(table, other))
