# Why: a deleted table must be gone for every operation at once, and a protected one must survive; both are
# promises about data that nobody can get back.

from typing import Any

import pytest

from .refusals import BAD_TABLE_NAME, NO_TABLE, constraint_on, invalid, refused
from .table import Table, unique


@pytest.fixture
def gone(make_table: Any, dynamodb: Any) -> Table:
    """A table that held an item and was deleted."""
    table: Table = make_table()
    table.put({"pk": {"S": "x"}})
    dynamodb.delete_table(TableName=table.name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})
    return table


def test_deleting_describes_the_table_that_goes(make_table: Any, dynamodb: Any) -> None:
    table = make_table("S", "N")
    answer = dynamodb.delete_table(TableName=table.name)["TableDescription"]
    assert answer["TableName"] == table.name
    assert answer["TableStatus"] == "DELETING"


def test_a_deleted_table_is_not_listed(gone: Table, dynamodb: Any) -> None:
    page = dynamodb.list_tables(ExclusiveStartTableName=gone.name[:-1], Limit=1)
    assert gone.name not in page["TableNames"]


def test_a_deleted_table_takes_no_more_requests(gone: Table) -> None:
    for request in (
        lambda: gone.put({"pk": {"S": "x"}}),
        lambda: gone.get({"pk": {"S": "x"}}),
        lambda: gone.scan(),
        lambda: gone.delete({"pk": {"S": "x"}}),
    ):
        with refused("ResourceNotFoundException", NO_TABLE):
            request()


def test_deleting_twice_is_refused(gone: Table, dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {gone.name} not found"):
        dynamodb.delete_table(TableName=gone.name)


def test_an_unknown_table_is_named_in_the_refusal(dynamodb: Any) -> None:
    name = unique("nobody")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.delete_table(TableName=name)


def test_a_protected_table_survives(make_table: Any, dynamodb: Any) -> None:
    table = make_table(DeletionProtectionEnabled=True)
    table.put({"pk": {"S": "x"}})
    text = (
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
    )
    with invalid(text):
        dynamodb.delete_table(TableName=table.name)
    assert table.item({"pk": {"S": "x"}}) == {"pk": {"S": "x"}}
    dynamodb.update_table(TableName=table.name, DeletionProtectionEnabled=False)


def test_a_table_can_be_deleted_by_its_arn(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    dynamodb.delete_table(TableName=arn)
    dynamodb.get_waiter("table_not_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})


@pytest.mark.parametrize("name", ["ab", "a;b", "x" * 256], ids=lambda name: name[:5])
def test_malformed_names_are_refused(dynamodb: Any, name: str) -> None:
    with invalid(BAD_TABLE_NAME):
        dynamodb.delete_table(TableName=name)


def test_a_name_must_be_given(dynamodb: Any) -> None:
    with invalid(constraint_on("tableName")):
        dynamodb.delete_table()
