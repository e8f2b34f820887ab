# Why: a request with two faults gets the text of one, and programs (and people) learn which. The service checks in
# layers: what the service model says (required, ranges, enumerations), then what the parameters say by themselves
# (values, expressions), then the table, then the item against the table, then the condition.

from typing import Any

import pytest

from .refusals import (
    EMPTY_VALUE,
    NO_TABLE,
    constraint_on,
    invalid,
    missing_key,
    refused,
)
from .table import Item, Table, unique


@pytest.fixture
def nobody() -> str:
    return unique("nobody")


def test_the_service_model_comes_before_the_values(table: Table, key: Item) -> None:
    with invalid(constraint_on("returnConsumedCapacity")):
        table.put({**key, "v": {}}, ReturnConsumedCapacity="SOME")


def test_the_service_model_comes_before_the_table(dynamodb: Any, nobody: str) -> None:
    with invalid(constraint_on("limit")):
        dynamodb.scan(TableName=nobody, Limit=0)


def test_values_come_before_the_table(dynamodb: Any, nobody: str) -> None:
    with invalid(EMPTY_VALUE):
        dynamodb.put_item(TableName=nobody, Item={"pk": {}})


def test_return_values_come_before_the_table(dynamodb: Any, nobody: str) -> None:
    with invalid("ReturnValues can only be ALL_OLD or NONE"):
        dynamodb.put_item(TableName=nobody, Item={"pk": {"S": "a"}}, ReturnValues="ALL_NEW")


def test_expressions_come_before_the_table(dynamodb: Any, nobody: str) -> None:
    with invalid('Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "a"'):
        dynamodb.put_item(TableName=nobody, Item={"pk": {"S": "a"}}, ConditionExpression="a")
    with invalid("Invalid ProjectionExpression: The expression can not be empty;"):
        dynamodb.get_item(TableName=nobody, Key={"pk": {"S": "a"}}, ProjectionExpression="")
    with invalid('Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"'):
        dynamodb.update_item(TableName=nobody, Key={"pk": {"S": "a"}}, UpdateExpression="SET")
    with invalid("Invalid FilterExpression: The expression can not be empty;"):
        dynamodb.scan(TableName=nobody, FilterExpression="")


def test_placeholders_come_before_the_table(dynamodb: Any, nobody: str) -> None:
    text = "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"
    with invalid(text):
        dynamodb.put_item(TableName=nobody, Item={"pk": {"S": "a"}}, ExpressionAttributeValues={":a": {"S": "a"}})


def test_the_table_comes_before_the_key(dynamodb: Any, nobody: str) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.put_item(TableName=nobody, Item={"no key": {"S": "a"}})
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.get_item(TableName=nobody, Key={})


def test_duplicate_keys_come_after_the_table_is_found_or_before_but_never_write(
    dynamodb: Any, table: Table, key: Item, nobody: str
) -> None:
    with pytest.raises(dynamodb.exceptions.ClientError):
        dynamodb.batch_write_item(
            RequestItems={
                table.name: [{"PutRequest": {"Item": key}}],
                nobody: [{"PutRequest": {"Item": key}}, {"PutRequest": {"Item": key}}],
            }
        )
    assert table.item(key) is None


def test_expressions_come_before_the_key(table: Table) -> None:
    with invalid("Invalid ConditionExpression: The expression can not be empty;"):
        table.put({"v": {"S": "no key"}}, ConditionExpression="")
    with invalid("Invalid UpdateExpression: The expression can not be empty;"):
        table.update({"v": {"S": "no key"}}, UpdateExpression="")


def test_the_key_comes_before_the_condition_is_judged(table: Table) -> None:
    with invalid(missing_key("pk")):
        table.put({"v": {"S": "x"}}, ConditionExpression="attribute_exists(pk)")


def test_the_size_comes_before_the_condition_is_judged(table: Table, key: Item) -> None:
    with invalid("Item size has exceeded the maximum allowed size"):
        table.put({**key, "v": {"S": "x" * 409_600}}, ConditionExpression="attribute_exists(pk)")


def test_mixing_styles_comes_before_the_expressions_grammar(table: Table, key: Item) -> None:
    text = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"
    )
    with invalid(text):
        table.put(key, ConditionExpression="a b c", Expected={"pk": {"Exists": False}})


def test_values_in_expressions_come_before_the_expressions_grammar(table: Table, key: Item) -> None:
    text = f"ExpressionAttributeValues contains invalid value: {EMPTY_VALUE} for key :v"
    with invalid(text):
        table.put(key, ConditionExpression="a b c", ExpressionAttributeValues={":v": {}})


def test_grammar_comes_before_unused_placeholders(table: Table, key: Item) -> None:
    with invalid('Invalid ConditionExpression: Syntax error; token: "b", near: "a b c"'):
        table.put(key, ConditionExpression="a b c", ExpressionAttributeValues={":v": {"S": "x"}})


def test_the_update_expression_comes_before_the_condition(table: Table, key: Item) -> None:
    with invalid("Invalid UpdateExpression: The expression can not be empty;"):
        table.update(key, UpdateExpression="", ConditionExpression="")


def test_one_bad_item_in_a_batch_comes_before_the_other_table(
    dynamodb: Any, table: Table, key: Item, nobody: str
) -> None:
    with invalid(EMPTY_VALUE):
        dynamodb.batch_write_item(
            RequestItems={
                nobody: [{"PutRequest": {"Item": key}}],
                table.name: [{"PutRequest": {"Item": {**key, "v": {}}}}],
            }
        )
    assert table.item(key) is None
