# Why: PutItem is the write that everything else is built of. An item must come back exactly as it went in, the
# old one must be gone entirely, and a refused put must leave no trace.

from typing import Any

import pytest

from .refusals import (
    BAD_TABLE_NAME,
    EMPTY_VALUE,
    NO_TABLE,
    TWO_TYPES,
    constraint,
    constraint_on,
    empty_key,
    invalid,
    missing_key,
    refused,
    wrong_key_type,
)
from .table import Table, unique

FAILED = "The conditional request failed"


def test_an_item_comes_back_as_it_was_put(table: Table, key: dict[str, Any]) -> None:
    item = {**key, "a": {"S": "x"}, "b": {"N": "7"}}
    assert "Attributes" not in table.put(item)
    assert table.item(key) == item


def test_a_put_replaces_the_whole_item(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "old": {"S": "x"}})
    table.put({**key, "new": {"S": "y"}})
    assert table.item(key) == {**key, "new": {"S": "y"}}


def test_an_item_may_be_nothing_but_its_key(table: Table, key: dict[str, Any]) -> None:
    table.put(key)
    assert table.item(key) == key


def test_items_that_differ_only_in_the_sort_key_stand_side_by_side(sorted_table: Table) -> None:
    pk = {"S": unique()}
    for sk in ("a", "b"):
        sorted_table.put({"pk": pk, "sk": {"S": sk}, "v": {"S": sk}})
    for sk in ("a", "b"):
        assert sorted_table.item({"pk": pk, "sk": {"S": sk}}) == {"pk": pk, "sk": {"S": sk}, "v": {"S": sk}}


def test_all_old_returns_the_item_that_was_replaced(table: Table, key: dict[str, Any]) -> None:
    old = {**key, "v": {"N": "1"}, "deep": {"M": {"l": {"L": [{"NULL": True}]}}}}
    assert "Attributes" not in table.put(old, ReturnValues="ALL_OLD")
    assert table.put({**key, "v": {"N": "2"}}, ReturnValues="ALL_OLD")["Attributes"] == old
    assert "Attributes" not in table.put(key, ReturnValues="NONE")


@pytest.mark.parametrize("wanted", ["ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"])
def test_a_put_has_no_new_values_to_return(table: Table, key: dict[str, Any], wanted: str) -> None:
    with invalid("ReturnValues can only be ALL_OLD or NONE"):
        table.put(key, ReturnValues=wanted)
    assert table.item(key) is None


def test_a_condition_that_holds_lets_the_put_through(table: Table, key: dict[str, Any]) -> None:
    table.put(key, ConditionExpression="attribute_not_exists(pk)")
    table.put({**key, "v": {"N": "1"}}, ConditionExpression="attribute_exists(pk)")
    assert table.item(key) == {**key, "v": {"N": "1"}}


def test_a_condition_that_fails_leaves_the_item_alone(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "v": {"N": "1"}})
    with refused("ConditionalCheckFailedException", FAILED) as refusal:
        table.put({**key, "v": {"N": "2"}}, ConditionExpression="attribute_not_exists(pk)")
    assert "Item" not in refusal.response
    assert table.item(key) == {**key, "v": {"N": "1"}}


def test_a_condition_that_fails_on_nothing_creates_nothing(table: Table, key: dict[str, Any]) -> None:
    with refused("ConditionalCheckFailedException", FAILED):
        table.put(key, ConditionExpression="attribute_exists(pk)")
    assert table.item(key) is None


def test_a_failed_condition_can_show_the_item_as_it_is(table: Table, key: dict[str, Any]) -> None:
    there = {**key, "v": {"N": "1"}, "s": {"SS": ["a"]}}
    table.put(there)
    with refused("ConditionalCheckFailedException", FAILED) as refusal:
        table.put(key, ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert refusal.response["Item"] == there


def test_a_failed_condition_on_nothing_shows_no_item(table: Table, key: dict[str, Any]) -> None:
    with refused("ConditionalCheckFailedException", FAILED) as refusal:
        table.put(key, ConditionExpression="attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert "Item" not in refusal.response


def test_the_condition_is_about_the_old_item_not_the_new_one(table: Table, key: dict[str, Any]) -> None:
    with refused("ConditionalCheckFailedException", FAILED):
        table.put({**key, "v": {"N": "1"}}, ConditionExpression="attribute_exists(v)")


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (
            "ReturnValues",
            "EVERYTHING",
            constraint(
                "'EVERYTHING'",
                "returnValues",
                "satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
            ),
        ),
        (
            "ReturnConsumedCapacity",
            "SOME",
            constraint("'SOME'", "returnConsumedCapacity", "satisfy enum value set: [INDEXES, TOTAL, NONE]"),
        ),
        (
            "ReturnItemCollectionMetrics",
            "WEIGHT",
            constraint("'WEIGHT'", "returnItemCollectionMetrics", "satisfy enum value set: [SIZE, NONE]"),
        ),
        (
            "ReturnValuesOnConditionCheckFailure",
            "ALL_NEW",
            constraint("'ALL_NEW'", "returnValuesOnConditionCheckFailure", "satisfy enum value set: [ALL_OLD, NONE]"),
        ),
    ],
    ids=["values", "capacity", "metrics", "values on failure"],
)
def test_unknown_words_are_refused(table: Table, key: dict[str, Any], parameter: str, value: str, text: str) -> None:
    with invalid(text):
        table.put(key, **{parameter: value})
    assert table.item(key) is None


def test_every_broken_constraint_is_told_at_once(table: Table, key: dict[str, Any]) -> None:
    with invalid() as refusal:
        table.put(key, ReturnValues="A", ReturnConsumedCapacity="B")
    assert refusal.text.startswith("2 validation errors detected: ")
    assert "'returnValues'" in refusal.text
    assert "'returnConsumedCapacity'" in refusal.text


@pytest.mark.parametrize("missing", ["pk", "sk"])
def test_both_keys_must_be_in_the_item(sorted_table: Table, missing: str) -> None:
    item = {"pk": {"S": unique()}, "sk": {"S": "a"}, "v": {"S": "x"}}
    del item[missing]
    with invalid(missing_key(missing)):
        sorted_table.put(item)


def test_an_empty_item_lacks_its_key(table: Table) -> None:
    with invalid(missing_key("pk")):
        table.put({})


OTHER_TYPES: dict[str, Any] = {
    "N": {"N": "1"},
    "B": {"B": b"x"},
    "BOOL": {"BOOL": True},
    "NULL": {"NULL": True},
    "L": {"L": []},
    "M": {"M": {}},
    "SS": {"SS": ["a"]},
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_key_must_be_of_the_type_of_the_schema(table: Table, kind: str) -> None:
    with invalid(wrong_key_type("pk", "S", kind)):
        table.put({"pk": OTHER_TYPES[kind]})


def test_a_key_may_not_be_empty(sorted_table: Table, binary_sorted_table: Table) -> None:
    with invalid(empty_key("pk")):
        sorted_table.put({"pk": {"S": ""}, "sk": {"S": "a"}})
    with invalid(empty_key("sk")):
        sorted_table.put({"pk": {"S": unique()}, "sk": {"S": ""}})
    with invalid(empty_key("sk", "binary")):
        binary_sorted_table.put({"pk": {"S": unique()}, "sk": {"B": b""}})


@pytest.mark.parametrize("name", ["x", "pk"])
def test_a_value_has_exactly_one_type(table: Table, key: dict[str, Any], name: str) -> None:
    with invalid(EMPTY_VALUE):
        table.put({**key, name: {}})
    with invalid(TWO_TYPES):
        table.put({**key, name: {"S": "a", "N": "1"}})
    assert table.item(key) is None


def test_an_unknown_table_is_not_found(dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.put_item(TableName=unique("nobody"), Item={"pk": {"S": "x"}})


def test_the_table_can_be_named_by_its_arn(table: Table, dynamodb: Any, key: dict[str, Any]) -> None:
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    dynamodb.put_item(TableName=arn, Item=key)
    assert dynamodb.get_item(TableName=arn, Key=key, ConsistentRead=True)["Item"] == key
    assert table.item(key) == key


@pytest.mark.parametrize("name", ["", "a;b", "x" * 1025], ids=lambda name: name[:5])
def test_malformed_table_names_are_refused(dynamodb: Any, key: dict[str, Any], name: str) -> None:
    with invalid(BAD_TABLE_NAME):
        dynamodb.put_item(TableName=name, Item=key)


def test_the_table_and_the_item_must_be_given(table: Table, dynamodb: Any, key: dict[str, Any]) -> None:
    with invalid(constraint_on("tableName")):
        dynamodb.put_item(Item=key)
    with invalid(constraint("null", "item", "not be null")):
        dynamodb.put_item(TableName=table.name)


def test_collection_metrics_are_empty_without_a_local_index(sorted_table: Table) -> None:
    answer = sorted_table.put({"pk": {"S": unique()}, "sk": {"S": "a"}}, ReturnItemCollectionMetrics="SIZE")
    assert "ItemCollectionMetrics" not in answer


def test_old_and_new_style_conditions_do_not_mix(table: Table, key: dict[str, Any]) -> None:
    text = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"
    )
    with invalid(text):
        table.put(key, ConditionExpression="attribute_exists(pk)", Expected={"pk": {"Exists": False}})
    assert table.item(key) is None
