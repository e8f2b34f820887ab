# Why: UpdateTable changes money and safety: billing mode, throughput, deletion protection, table class. Each
# test reads the change back through DescribeTable, as Terraform does, and looks that the items are still there.

import re
from typing import Any

import pytest

from .conftest import wait_until_active
from .refusals import constraint_on, invalid, refused
from .table import Table, schema, unique

ITEM = {"pk": {"S": "kept"}}


def throughput(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


@pytest.fixture(scope="module")
def on_demand(make_table: Any) -> Table:
    table: Table = make_table()
    table.put(ITEM)
    return table


@pytest.fixture
def provisioned(make_table: Any) -> Table:
    table: Table = make_table(BillingMode="PROVISIONED", ProvisionedThroughput=throughput(5, 5))
    table.put(ITEM)
    return table


def described(table: Table) -> dict[str, Any]:
    wait_until_active(table.client, table.name)
    description: dict[str, Any] = table.client.describe_table(TableName=table.name)["Table"]
    return description


def units(description: dict[str, Any]) -> tuple[int, int]:
    given = description["ProvisionedThroughput"]
    return given["ReadCapacityUnits"], given["WriteCapacityUnits"]


def test_throughput_can_be_raised_and_lowered(provisioned: Table, dynamodb: Any) -> None:
    answer = dynamodb.update_table(TableName=provisioned.name, ProvisionedThroughput=throughput(7, 9))
    assert answer["TableDescription"]["TableName"] == provisioned.name
    assert answer["TableDescription"]["TableStatus"] in ("UPDATING", "ACTIVE")
    assert units(described(provisioned)) == (7, 9)
    dynamodb.update_table(TableName=provisioned.name, ProvisionedThroughput=throughput(1, 1))
    assert units(described(provisioned)) == (1, 1)
    assert provisioned.item(ITEM) == ITEM


def test_the_time_of_the_last_increase_is_told(provisioned: Table, dynamodb: Any) -> None:
    dynamodb.update_table(TableName=provisioned.name, ProvisionedThroughput=throughput(10, 10))
    assert "LastIncreaseDateTime" in described(provisioned)["ProvisionedThroughput"]


def test_the_throughput_that_is_there_already_is_refused(provisioned: Table, dynamodb: Any) -> None:
    text = (
        "The provisioned throughput for the table will not change. The requested value equals "
        "the current value. Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. "
        "Current WriteCapacityUnits provisioned for the table: 5. Requested WriteCapacityUnits: 5. Refer to the "
        "Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )
    with invalid(text):
        dynamodb.update_table(TableName=provisioned.name, ProvisionedThroughput=throughput(5, 5))


@pytest.mark.parametrize(("read", "write"), [(0, 1), (1, 0), (-1, -1)])
def test_throughput_is_at_least_one(provisioned: Table, dynamodb: Any, read: int, write: int) -> None:
    member = "readCapacityUnits" if read < 1 else "writeCapacityUnits"
    with invalid(constraint_on(f"provisionedThroughput.{member}")):
        dynamodb.update_table(TableName=provisioned.name, ProvisionedThroughput=throughput(read, write))
    assert units(described(provisioned)) == (5, 5)


def test_a_provisioned_table_can_become_on_demand(provisioned: Table, dynamodb: Any) -> None:
    dynamodb.update_table(TableName=provisioned.name, BillingMode="PAY_PER_REQUEST")
    description = described(provisioned)
    assert description["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "LastUpdateToPayPerRequestDateTime" in description["BillingModeSummary"]
    assert units(description) == (0, 0)
    assert provisioned.item(ITEM) == ITEM


def test_an_on_demand_table_can_become_provisioned(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    table.put(ITEM)
    dynamodb.update_table(TableName=table.name, BillingMode="PROVISIONED", ProvisionedThroughput=throughput(3, 4))
    description = described(table)
    assert description["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert units(description) == (3, 4)
    assert table.item(ITEM) == ITEM


def test_becoming_provisioned_needs_throughput(on_demand: Table, dynamodb: Any) -> None:
    text = (
        "One or more parameter values were invalid: ProvisionedThroughput must be specified when BillingMode is "
        "PROVISIONED"
    )
    with invalid(text):
        dynamodb.update_table(TableName=on_demand.name, BillingMode="PROVISIONED")
    assert described(on_demand)["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_an_on_demand_table_takes_no_throughput(on_demand: Table, dynamodb: Any) -> None:
    text = (
        "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be "
        "specified when BillingMode is PAY_PER_REQUEST"
    )
    with invalid(text):
        dynamodb.update_table(TableName=on_demand.name, ProvisionedThroughput=throughput(1, 1))
    both = "One or more parameter values were invalid: ProvisionedThroughput cannot be specified when BillingMode is "
    with invalid(both + "PAY_PER_REQUEST"):
        dynamodb.update_table(
            TableName=on_demand.name, BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=throughput(1, 1)
        )
    assert units(described(on_demand)) == (0, 0)


def test_deletion_protection_goes_on_and_off(on_demand: Table, dynamodb: Any) -> None:
    for wanted in (True, False):
        dynamodb.update_table(TableName=on_demand.name, DeletionProtectionEnabled=wanted)
        assert described(on_demand)["DeletionProtectionEnabled"] is wanted


def test_the_table_class_can_be_changed(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    dynamodb.update_table(TableName=table.name, TableClass="STANDARD_INFREQUENT_ACCESS")
    assert described(table)["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    dynamodb.update_table(TableName=table.name, TableClass="STANDARD")
    assert described(table).get("TableClassSummary", {}).get("TableClass", "STANDARD") == "STANDARD"


def test_a_request_that_changes_nothing_is_refused(on_demand: Table, dynamodb: Any) -> None:
    text = re.compile("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, .* is required")
    with invalid(text):
        dynamodb.update_table(TableName=on_demand.name)


@pytest.mark.parametrize(
    ("change", "member"),
    [({"BillingMode": "FREE"}, "billingMode"), ({"TableClass": "GOLD"}, "table-?[cC]lass")],
    ids=["billing mode", "table class"],
)
def test_unknown_words_are_refused(on_demand: Table, dynamodb: Any, change: dict[str, str], member: str) -> None:
    with invalid(re.compile(f".*{member}.*")):
        dynamodb.update_table(TableName=on_demand.name, **change)


def test_an_unknown_table_is_named_in_the_refusal(dynamodb: Any) -> None:
    name = unique("nobody")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")


def test_the_key_schema_cannot_be_changed(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    with invalid():
        dynamodb.update_table(TableName=table.name, AttributeDefinitions=schema("N")["AttributeDefinitions"])
    assert described(table)["AttributeDefinitions"] == schema()["AttributeDefinitions"]
