# Why: waiters, consoles and infrastructure tools poll DescribeTable; boto3's waiter sleeps 20 seconds between
# two looks, so a table that is not ACTIVE at the first look makes every test-suite of our users slow.

from typing import Any

import pytest

from .refusals import BAD_TABLE_NAME, constraint_on, invalid, refused
from .table import Table, unique


def test_the_description_agrees_with_what_create_table_said(make_table: Any, dynamodb: Any) -> None:
    table = make_table("S", "B")
    described = dynamodb.describe_table(TableName=table.name)["Table"]
    assert described["TableName"] == table.name
    assert described["TableStatus"] == "ACTIVE"
    assert described["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert described["TableArn"].endswith(f":table/{table.name}")
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_two_looks_say_the_same(table: Table, dynamodb: Any) -> None:
    members = ("TableArn", "TableId", "CreationDateTime", "KeySchema", "AttributeDefinitions")
    first = dynamodb.describe_table(TableName=table.name)["Table"]
    second = dynamodb.describe_table(TableName=table.name)["Table"]
    assert {member: first.get(member) for member in members} == {member: second.get(member) for member in members}


def test_a_table_can_be_named_by_its_arn(table: Table, dynamodb: Any) -> None:
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    assert dynamodb.describe_table(TableName=arn)["Table"]["TableName"] == table.name


def test_an_unknown_table_is_named_in_the_refusal(dynamodb: Any) -> None:
    name = unique("nobody")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.describe_table(TableName=name)


@pytest.mark.parametrize("name", ["", "a", "x" * 256, "a;b", "a b c"], ids=lambda name: name[:5])
def test_malformed_names_are_refused(dynamodb: Any, name: str) -> None:
    with invalid(BAD_TABLE_NAME):
        dynamodb.describe_table(TableName=name)


def test_a_name_must_be_given(dynamodb: Any) -> None:
    with invalid(constraint_on("tableName")):
        dynamodb.describe_table()
