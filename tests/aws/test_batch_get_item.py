# Why: loaders ask for a hundred items at a time and trust that each is either in the answer, not there, or handed
# back as unprocessed; an item lost between the three is silent data loss.

import re
from typing import Any

import pytest

from .refusals import (
    BAD_TABLE_NAME,
    KEY_MISMATCH,
    NO_TABLE,
    NOT_EXPRESSION,
    constraint_on,
    empty_key,
    invalid,
    refused,
)
from .table import Item, Table, unique

DUPLICATES = "Provided list of item keys contains duplicates"


def get(table: Table, request: Any, **parameters: Any) -> dict[str, Any]:
    answer: dict[str, Any] = table.client.batch_get_item(RequestItems={table.name: request}, **parameters)
    return answer


def keys(count: int) -> list[Item]:
    prefix = unique()
    return [{"pk": {"S": f"{prefix}-{n:03}"}} for n in range(count)]


def test_a_hundred_items_come_in_one_answer(table: Table) -> None:
    wanted = keys(100)
    table.fill([{**key, "v": {"S": "x"}} for key in wanted])
    answer = get(table, {"Keys": wanted, "ConsistentRead": True})
    assert answer["UnprocessedKeys"] == {}
    found = sorted(answer["Responses"][table.name], key=lambda item: item["pk"]["S"])
    assert found == [{**key, "v": {"S": "x"}} for key in wanted]


def test_items_that_are_not_there_are_left_out(table: Table) -> None:
    wanted = keys(3)
    table.put(wanted[1])
    answer = get(table, {"Keys": wanted, "ConsistentRead": True})
    assert answer["Responses"] == {table.name: [wanted[1]]}
    assert answer["UnprocessedKeys"] == {}


def test_nothing_found_is_an_empty_list_of_the_table(table: Table) -> None:
    assert get(table, {"Keys": keys(2)})["Responses"] == {table.name: []}


def test_several_tables_can_be_asked_at_once(table: Table, sorted_table: Table, key: Item) -> None:
    both = {**key, "sk": {"S": "a"}}
    table.put(key)
    sorted_table.put(both)
    answer = table.client.batch_get_item(
        RequestItems={
            table.name: {"Keys": [key], "ConsistentRead": True},
            sorted_table.name: {"Keys": [both], "ConsistentRead": True},
        }
    )
    assert answer["Responses"] == {table.name: [key], sorted_table.name: [both]}


def test_each_table_has_its_own_projection(table: Table, sorted_table: Table, key: Item) -> None:
    both = {**key, "sk": {"S": "a"}}
    table.put({**key, "a": {"S": "1"}, "b": {"S": "2"}})
    sorted_table.put({**both, "a": {"S": "1"}, "b": {"S": "2"}})
    answer = table.client.batch_get_item(
        RequestItems={
            table.name: {"Keys": [key], "ConsistentRead": True, "ProjectionExpression": "a"},
            sorted_table.name: {
                "Keys": [both],
                "ConsistentRead": True,
                "ProjectionExpression": "#b",
                "ExpressionAttributeNames": {"#b": "b"},
            },
        }
    )
    assert answer["Responses"] == {table.name: [{"a": {"S": "1"}}], sorted_table.name: [{"b": {"S": "2"}}]}


@pytest.mark.slow
def test_an_answer_stops_at_sixteen_megabytes_and_hands_back_the_rest(table: Table) -> None:
    wanted = keys(45)
    for start in range(0, 45, 15):
        table.fill([{**key, "d": {"S": "x" * 390_000}} for key in wanted[start : start + 15]])
    waiting: dict[str, Any] = {table.name: {"Keys": wanted, "ConsistentRead": True, "ProjectionExpression": "pk"}}
    found: list[str] = []
    sizes: list[int] = []
    while waiting:
        answer = table.client.batch_get_item(RequestItems=waiting)
        page = [item["pk"]["S"] for item in answer["Responses"].get(table.name, [])]
        assert page
        sizes.append(len(page))
        found += page
        waiting = answer["UnprocessedKeys"]
        if waiting:
            assert waiting[table.name]["ConsistentRead"] is True
            assert waiting[table.name]["ProjectionExpression"] == "pk"
    assert sorted(found) == [key["pk"]["S"] for key in wanted]
    assert max(sizes) <= 16 * 1024 * 1024 // 390_000 + 1


def test_the_same_key_twice_is_refused(table: Table, key: Item) -> None:
    with invalid(DUPLICATES):
        get(table, {"Keys": [key, key]})


def test_equal_numbers_are_the_same_key(number_sorted_table: Table, key: Item) -> None:
    with invalid(DUPLICATES):
        get(number_sorted_table, {"Keys": [{**key, "sk": {"N": "1"}}, {**key, "sk": {"N": "1.0"}}]})


def test_more_than_a_hundred_keys_are_refused(table: Table, sorted_table: Table) -> None:
    too_many = re.compile(
        r"Too many items requested for the BatchGetItem call|.*Member must have length less than or equal to 100.*",
        re.DOTALL,
    )
    with invalid(too_many):
        get(table, {"Keys": keys(101)})
    with invalid("Too many items requested for the BatchGetItem call"):
        table.client.batch_get_item(
            RequestItems={
                table.name: {"Keys": keys(60)},
                sorted_table.name: {"Keys": [{**key, "sk": {"S": "a"}} for key in keys(60)]},
            }
        )


def test_there_must_be_something_to_get(table: Table) -> None:
    with invalid(constraint_on("requestItems")):
        table.client.batch_get_item(RequestItems={})
    with invalid(constraint_on(f"requestItems.{table.name}.member.keys")):
        get(table, {"Keys": []})
    with invalid(constraint_on(f"requestItems.{table.name}.member.keys")):
        get(table, {})


@pytest.mark.parametrize(
    "wrong",
    [{}, {"pk": {"N": "1"}}, {"pk": {"S": "a"}, "x": {"S": "a"}}, {"x": {"S": "a"}}],
    ids=["empty", "wrong type", "too many", "another name"],
)
def test_a_key_that_does_not_fit_the_schema_is_refused(table: Table, key: Item, wrong: Item) -> None:
    with invalid(KEY_MISMATCH):
        get(table, {"Keys": [key, wrong]})


def test_a_key_may_not_be_empty(table: Table) -> None:
    with invalid(empty_key("pk")):
        get(table, {"Keys": [{"pk": {"S": ""}}]})


def test_one_unknown_table_refuses_the_whole_batch(table: Table, key: Item) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        table.client.batch_get_item(RequestItems={table.name: {"Keys": [key]}, unique("nobody"): {"Keys": [key]}})


def test_a_malformed_table_name_is_refused(dynamodb: Any, key: Item) -> None:
    with invalid(BAD_TABLE_NAME):
        dynamodb.batch_get_item(RequestItems={"a;b": {"Keys": [key]}})


def test_a_table_can_be_named_by_its_arn(table: Table, key: Item) -> None:
    table.put(key)
    arn = table.client.describe_table(TableName=table.name)["Table"]["TableArn"]
    answer = table.client.batch_get_item(RequestItems={arn: {"Keys": [key], "ConsistentRead": True}})
    assert list(answer["Responses"].values()) == [[key]]


def test_names_need_an_expression(table: Table, key: Item) -> None:
    with invalid(NOT_EXPRESSION):
        get(table, {"Keys": [key], "ExpressionAttributeNames": {"#a": "a"}})


def test_old_and_new_style_projections_do_not_mix(table: Table, key: Item) -> None:
    text = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"
    )
    with invalid(text):
        get(table, {"Keys": [key], "ProjectionExpression": "a", "AttributesToGet": ["a"]})
