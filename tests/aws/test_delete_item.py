# Why: a delete must delete the one item and nothing beside it, and say truly what was there; conditional deletes
# are how locks are released.

from typing import Any

import pytest

from .refusals import KEY_MISMATCH, NO_TABLE, constraint, empty_key, invalid, refused
from .table import Table, unique

FAILED = "The conditional request failed"


def test_a_deleted_item_is_gone(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "v": {"S": "x"}})
    assert "Attributes" not in table.delete(key)
    assert table.item(key) is None


def test_deleting_nothing_is_no_error(table: Table, key: dict[str, Any]) -> None:
    table.delete(key)
    table.delete(key)
    assert table.item(key) is None


def test_a_delete_leaves_the_neighbours(sorted_table: Table) -> None:
    pk = {"S": unique()}
    sorted_table.fill([{"pk": pk, "sk": {"S": sk}} for sk in ("a", "b", "c")])
    sorted_table.delete({"pk": pk, "sk": {"S": "b"}})
    answer = sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": pk}, ConsistentRead=True)
    assert [item["sk"]["S"] for item in answer["Items"]] == ["a", "c"]


def test_all_old_returns_what_was_deleted(table: Table, key: dict[str, Any]) -> None:
    item = {**key, "v": {"L": [{"BOOL": False}]}}
    table.put(item)
    assert table.delete(key, ReturnValues="ALL_OLD")["Attributes"] == item
    assert "Attributes" not in table.delete(key, ReturnValues="ALL_OLD")


@pytest.mark.parametrize("wanted", ["ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"])
def test_a_delete_has_no_new_values_to_return(table: Table, key: dict[str, Any], wanted: str) -> None:
    table.put(key)
    with invalid("ReturnValues can only be ALL_OLD or NONE"):
        table.delete(key, ReturnValues=wanted)
    assert table.item(key) == key


def test_a_delete_happens_only_if_its_condition_holds(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "owner": {"S": "me"}})
    condition = {"ConditionExpression": "#o = :o", "ExpressionAttributeNames": {"#o": "owner"}}
    with refused("ConditionalCheckFailedException", FAILED):
        table.delete(key, **condition, ExpressionAttributeValues={":o": {"S": "you"}})
    assert table.item(key) is not None
    table.delete(key, **condition, ExpressionAttributeValues={":o": {"S": "me"}})
    assert table.item(key) is None


def test_a_condition_on_an_item_that_is_not_there_can_fail(table: Table, key: dict[str, Any]) -> None:
    with refused("ConditionalCheckFailedException", FAILED) as refusal:
        table.delete(key, ConditionExpression="attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert "Item" not in refusal.response


def test_a_failed_condition_can_show_the_item_as_it_is(table: Table, key: dict[str, Any]) -> None:
    there = {**key, "v": {"N": "3"}}
    table.put(there)
    with refused("ConditionalCheckFailedException", FAILED) as refusal:
        table.delete(key, ConditionExpression="attribute_not_exists(v)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert refusal.response["Item"] == there
    assert table.item(key) == there


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"N": "1"}},
        {"pk": {"S": "a"}, "sk": {"S": "a"}, "x": {"S": "a"}},
    ],
    ids=["empty", "no sort key", "wrong type", "too many"],
)
def test_a_key_that_does_not_fit_the_schema_is_refused(sorted_table: Table, wrong: dict[str, Any]) -> None:
    with invalid(KEY_MISMATCH):
        sorted_table.delete(wrong)


def test_a_key_may_not_be_empty(table: Table) -> None:
    with invalid(empty_key("pk")):
        table.delete({"pk": {"S": ""}})


def test_an_unknown_table_is_not_found(dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.delete_item(TableName=unique("nobody"), Key={"pk": {"S": "a"}})


def test_the_key_must_be_given(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "key", "not be null")):
        dynamodb.delete_item(TableName=table.name)
