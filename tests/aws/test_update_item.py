# Why: UpdateItem is read, compute and write in one step; counters and state machines trust that it creates what
# is missing, returns the values that it says, and changes nothing when it refuses. What the expressions
# themselves do is in test_update_expression.py.

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .refusals import KEY_MISMATCH, NO_TABLE, constraint, empty_key, invalid, refused
from .table import Table, unique

FAILED = "The conditional request failed"


def test_an_update_changes_only_what_it_names(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "a": {"N": "1"}, "b": {"S": "kept"}})
    answer = table.update(key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": {"N": "2"}})
    assert "Attributes" not in answer
    assert table.item(key) == {**key, "a": {"N": "2"}, "b": {"S": "kept"}}


def test_an_update_creates_the_item_that_is_missing(table: Table, key: dict[str, Any]) -> None:
    table.update(key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": {"N": "1"}})
    assert table.item(key) == {**key, "a": {"N": "1"}}


def test_an_update_without_an_expression_creates_a_bare_item(table: Table, key: dict[str, Any]) -> None:
    table.update(key)
    assert table.item(key) == key


def test_an_update_without_an_expression_leaves_an_item_as_it_is(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "a": {"N": "1"}})
    table.update(key)
    assert table.item(key) == {**key, "a": {"N": "1"}}


def test_removing_from_a_missing_item_creates_a_bare_item(table: Table, key: dict[str, Any]) -> None:
    table.update(key, UpdateExpression="REMOVE a")
    assert table.item(key) == key


SET_AND_REMOVE = {
    "UpdateExpression": "SET a = :a, n = :n REMOVE gone, absent",
    "ExpressionAttributeValues": {":a": {"N": "2"}, ":n": {"S": "new"}},
}


@pytest.mark.parametrize(
    ("wanted", "attributes"),
    [
        ("NONE", None),
        ("ALL_OLD", {"a": {"N": "1"}, "gone": {"S": "g"}, "kept": {"S": "k"}}),
        ("ALL_NEW", {"a": {"N": "2"}, "n": {"S": "new"}, "kept": {"S": "k"}}),
        ("UPDATED_OLD", {"a": {"N": "1"}, "gone": {"S": "g"}}),
        ("UPDATED_NEW", {"a": {"N": "2"}, "n": {"S": "new"}}),
    ],
    ids=["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"],
)
def test_return_values_of_an_existing_item(
    table: Table, key: dict[str, Any], wanted: str, attributes: dict[str, Any] | None
) -> None:
    table.put({**key, "a": {"N": "1"}, "gone": {"S": "g"}, "kept": {"S": "k"}})
    answer = table.update(key, ReturnValues=wanted, **SET_AND_REMOVE)
    if attributes is not None and wanted.startswith("ALL"):
        attributes = {**attributes, **key}
    assert answer.get("Attributes") == attributes


@pytest.mark.parametrize("wanted", ["ALL_OLD", "UPDATED_OLD"])
def test_there_are_no_old_values_of_a_new_item(table: Table, key: dict[str, Any], wanted: str) -> None:
    answer = table.update(
        key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": {"N": "1"}}, ReturnValues=wanted
    )
    assert "Attributes" not in answer


def test_there_are_no_updated_values_where_all_were_removed(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "a": {"N": "1"}})
    answer = table.update(key, UpdateExpression="REMOVE a", ReturnValues="UPDATED_NEW")
    assert "Attributes" not in answer


def test_all_new_of_a_bare_update_is_the_item(table: Table, key: dict[str, Any]) -> None:
    assert table.update(key, ReturnValues="ALL_NEW")["Attributes"] == key


def test_updated_values_inside_a_map_come_without_their_neighbours(table: Table, key: dict[str, Any]) -> None:
    # Reported of the service: only the changed paths come back, inside maps of their own.
    table.put({**key, "m": {"M": {"x": {"N": "1"}, "y": {"N": "5"}}}})
    change = {"UpdateExpression": "SET m.x = :v", "ExpressionAttributeValues": {":v": {"N": "2"}}}
    assert table.update(key, ReturnValues="UPDATED_NEW", **change)["Attributes"] == {"m": {"M": {"x": {"N": "2"}}}}
    change["ExpressionAttributeValues"] = {":v": {"N": "3"}}
    assert table.update(key, ReturnValues="UPDATED_OLD", **change)["Attributes"] == {"m": {"M": {"x": {"N": "2"}}}}


def test_updated_elements_of_a_list_come_without_their_neighbours(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}})
    answer = table.update(
        key,
        UpdateExpression="SET l[1] = :v",
        ExpressionAttributeValues={":v": {"S": "one"}},
        ReturnValues="UPDATED_NEW",
    )
    assert answer["Attributes"] == {"l": {"L": [{"S": "one"}]}}


def test_unknown_return_values_are_refused(table: Table, key: dict[str, Any]) -> None:
    text = constraint(
        "'SOME'", "returnValues", "satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
    )
    with invalid(text):
        table.update(key, ReturnValues="SOME")


def test_an_update_happens_only_if_its_condition_holds(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "version": {"N": "1"}})
    change = {
        "UpdateExpression": "SET version = version + :one",
        "ConditionExpression": "version = :seen",
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":seen": {"N": "1"}},
    }
    table.update(key, **change)
    with refused("ConditionalCheckFailedException", FAILED):
        table.update(key, **change)
    assert table.item(key) == {**key, "version": {"N": "2"}}


def test_a_failed_condition_creates_nothing(table: Table, key: dict[str, Any]) -> None:
    with refused("ConditionalCheckFailedException", FAILED):
        table.update(
            key,
            UpdateExpression="SET a = :a",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":a": {"N": "1"}},
        )
    assert table.item(key) is None


def test_a_failed_condition_can_show_the_item_as_it_is(table: Table, key: dict[str, Any]) -> None:
    there = {**key, "a": {"N": "1"}}
    table.put(there)
    with refused("ConditionalCheckFailedException", FAILED) as refusal:
        table.update(
            key,
            UpdateExpression="REMOVE a",
            ConditionExpression="attribute_not_exists(a)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert refusal.response["Item"] == there


def test_a_failed_condition_comes_before_a_failing_expression(table: Table, key: dict[str, Any]) -> None:
    with refused("ConditionalCheckFailedException", FAILED):
        table.update(key, UpdateExpression="SET a = absent", ConditionExpression="attribute_exists(pk)")


def test_an_expression_that_fails_changes_nothing(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "a": {"N": "1"}})
    with invalid("The provided expression refers to an attribute that does not exist in the item"):
        table.update(
            key,
            UpdateExpression="SET a = :a, b = absent",
            ExpressionAttributeValues={":a": {"N": "2"}},
        )
    assert table.item(key) == {**key, "a": {"N": "1"}}


@pytest.mark.parametrize("expression", ["SET pk = :v", "REMOVE pk", "ADD pk :n", "DELETE pk :s", "SET pk.x = :v"])
def test_the_key_cannot_be_updated(table: Table, key: dict[str, Any], expression: str) -> None:
    values = {":v": {"S": "x"}, ":n": {"N": "1"}, ":s": {"SS": ["x"]}}
    used = {name: value for name, value in values.items() if name in expression}
    more = {"ExpressionAttributeValues": used} if used else {}
    text = "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"
    with invalid(text):
        table.update(key, UpdateExpression=expression, **more)
    assert table.item(key) is None


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
        sorted_table.update(wrong, UpdateExpression="REMOVE a")


def test_a_key_may_not_be_empty(table: Table) -> None:
    with invalid(empty_key("pk")):
        table.update({"pk": {"S": ""}}, UpdateExpression="REMOVE a")


def test_an_unknown_table_is_not_found(dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.update_item(TableName=unique("nobody"), Key={"pk": {"S": "a"}}, UpdateExpression="REMOVE a")


def test_the_key_must_be_given(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "key", "not be null")):
        dynamodb.update_item(TableName=table.name, UpdateExpression="REMOVE a")


def test_counters_lose_nothing_under_concurrency(table: Table, key: dict[str, Any]) -> None:
    def add_one(_: int) -> None:
        table.update(key, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(40)))
    assert table.item(key) == {**key, "n": {"N": "40"}}


def test_old_and_new_style_updates_do_not_mix(table: Table, key: dict[str, Any]) -> None:
    text = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributeUpdates} Expression parameters: {UpdateExpression}"
    )
    with invalid(text):
        table.update(key, UpdateExpression="REMOVE a", AttributeUpdates={"b": {"Action": "DELETE"}})
