from __future__ import annotations

from typing import Any

import pytest
from botocore.model import OperationModel, StructureShape
from botocore.session import get_session

from varley.table.description import (
    View,
    description,
    description_when_created,
    description_when_deleted,
    description_when_updated,
)
from varley.table.schema import Encryption, OnDemandThroughput, Table, WarmThroughput, changed

from .tables import indexed_table, on_demand_table, provisioned_table

view = View(account="123456789012", region="eu-west-1", now=1_700_000_000.0)


def described(table: Table) -> dict[str, Any]:
    return description(table, view, item_count=3, size_bytes=77)


def test_a_table_on_demand() -> None:
    table = on_demand_table()
    assert described(table) == {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "TableName": "Music",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "TableStatus": "ACTIVE",
        "CreationDateTime": 1_700_000_000.25,
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        },
        "TableSizeBytes": 77,
        "ItemCount": 3,
        "TableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/Music",
        "TableId": table.id,
        "BillingModeSummary": {
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": 1_700_000_000.25,
        },
        "DeletionProtectionEnabled": False,
        "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    }


def test_a_table_that_was_always_provisioned_has_no_billing_mode_summary() -> None:
    shown = described(provisioned_table(5, 6))
    assert "BillingModeSummary" not in shown
    assert shown["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": 5,
        "WriteCapacityUnits": 6,
    }
    assert shown["WarmThroughput"]["ReadUnitsPerSecond"] == 5


def test_one_that_was_on_demand_keeps_it() -> None:
    shown = described(provisioned_table(5, 6, on_demand_since=123.0))
    assert shown["BillingModeSummary"] == {
        "BillingMode": "PROVISIONED",
        "LastUpdateToPayPerRequestDateTime": 123.0,
    }


@pytest.mark.parametrize(
    ("key", "arn"),
    [
        (None, "arn:aws:kms:eu-west-1:123456789012:alias/aws/dynamodb"),
        ("alias/mine", "arn:aws:kms:eu-west-1:123456789012:alias/mine"),
        ("0a1b", "arn:aws:kms:eu-west-1:123456789012:key/0a1b"),
        ("arn:aws:kms:x:1:key/y", "arn:aws:kms:x:1:key/y"),
    ],
)
def test_encryption_shows_the_arn_of_its_key(key: str | None, arn: str) -> None:
    shown = described(on_demand_table(encryption=Encryption(key=key)))
    assert shown["SSEDescription"] == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}


def test_caps_that_are_not_set_are_not_shown() -> None:
    shown = described(on_demand_table(on_demand=OnDemandThroughput(max_write_units=7)))
    assert shown["OnDemandThroughput"] == {"MaxWriteRequestUnits": 7}


def test_a_table_being_created_is_not_yet_warm() -> None:
    shown = description_when_created(on_demand_table(), view, warm_was_asked_for=False)
    assert shown["TableStatus"] == "CREATING"
    assert shown["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert "WarmThroughput" not in shown
    shown = description_when_created(on_demand_table(), view, warm_was_asked_for=True)
    assert shown["WarmThroughput"]["Status"] == "UPDATING"


def test_a_change_of_capacity_is_answered_with_the_capacity_as_it_was() -> None:
    before = provisioned_table(5, 5)
    after = changed(
        before,
        provisioned=before.provisioned.changed_to(7, 4, view.now),
        warm=WarmThroughput(read_units=7, write_units=5),
    )
    shown = description_when_updated(before, after, view, item_count=0, size_bytes=0, updating=True)
    assert shown["TableStatus"] == "UPDATING"
    assert shown["ProvisionedThroughput"] == {
        "LastIncreaseDateTime": view.now,
        "LastDecreaseDateTime": view.now,
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": 5,
        "WriteCapacityUnits": 5,
    }
    assert described(after)["ProvisionedThroughput"]["ReadCapacityUnits"] == 7


def test_a_table_being_deleted_has_no_keys_any_more() -> None:
    shown = description_when_deleted(on_demand_table(), view, item_count=3, size_bytes=77)
    assert shown["TableStatus"] == "DELETING"
    assert not {"KeySchema", "AttributeDefinitions", "CreationDateTime"} & set(shown)
    assert shown["ItemCount"] == 3


def test_local_indexes_are_shown_with_what_they_hold() -> None:
    table = indexed_table()
    indexes = description(table, view, item_count=3, size_bytes=77, index_sizes={"by-x": (2, 40)})[
        "LocalSecondaryIndexes"
    ]
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/Music/index/"
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "x", "KeyType": "RANGE"}]
    assert indexes == [
        {
            "IndexName": "by-x",
            "KeySchema": keys,
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "IndexSizeBytes": 40,
            "ItemCount": 2,
            "IndexArn": arn + "by-x",
        },
        {
            "IndexName": "by-x-too",
            "KeySchema": keys,
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]},
            "IndexSizeBytes": 0,
            "ItemCount": 0,
            "IndexArn": arn + "by-x-too",
        },
    ]
    assert description_when_created(table, view, warm_was_asked_for=False)["LocalSecondaryIndexes"][0]["ItemCount"] == 0


def test_every_member_is_one_of_the_service_model() -> None:
    operation: OperationModel = get_session().get_service_model("dynamodb").operation_model("DescribeTable")
    output = operation.output_shape
    assert isinstance(output, StructureShape)
    full = on_demand_table(
        encryption=Encryption(),
        on_demand=OnDemandThroughput(max_read_units=1, max_write_units=2),
        table_class="STANDARD",
        table_class_changed_at=1.0,
    )
    check_members(described(full), output.members["Table"], "Table")
    check_members(described(provisioned_table()), output.members["Table"], "Table")
    check_members(described(indexed_table()), output.members["Table"], "Table")


def check_members(value: Any, shape: Any, path: str) -> None:
    if shape.type_name == "structure":
        assert isinstance(value, dict)
        for name, member in value.items():
            assert name in shape.members, f"{path}.{name}"
            check_members(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for element in value:
            check_members(element, shape.member, f"{path}[]")
    elif shape.type_name == "string" and shape.enum:
        assert value in shape.enum, f"{path} is {value}"
