from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.table.tables import on_demand_table, provisioned_table
from varley.api import update_table
from varley.api.update_table import check_request, updated_table
from varley.errors import LimitExceeded, ValidationError
from varley.table.description import View
from varley.table.schema import (
    Encryption,
    OnDemandThroughput,
    Provisioned,
    Table,
    WarmThroughput,
)

from .test_create_table import INVALID, get_shape

NOON = 20_000 * 86_400 + 43_200.0    # Friday, October 4, 2024, 12:00 UTC
view = View(account="123456789012", region="eu-west-1", now=NOON)


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def update(
    table: Table,
    *,
    others: tuple[Provisioned, ...] = (),
    at: View = view,
    **members: Any,
) -> Table:
    request = update_table._decode(json.dumps({"TableName": "Music", **members}).encode())
    check_request(request)
    return updated_table(table, request, at, others=others)


def refusal_of(table: Table, **members: Any) -> str:
    with pytest.raises(ValidationError) as refusal:
        update(table, **members)
    return refusal.value.message


def test_more_throughput() -> None:
    after = update(provisioned_table(5, 6), ProvisionedThroughput=units(7, 6))
    assert after.provisioned == Provisioned(read_units=7, write_units=6, increased_at=NOON)
    assert after.warm == WarmThroughput(read_units=7, write_units=6)


def test_less_throughput_stays_warm() -> None:
    after = update(
        provisioned_table(5, 6), BillingMode="PROVISIONED", ProvisionedThroughput=units(1, 1)
    )
    assert after.provisioned == Provisioned(read_units=1, write_units=1, decreased_at=NOON, decreases=1)
    assert after.warm == WarmThroughput(read_units=5, write_units=6)


def test_to_on_demand_and_back() -> None:
    table = update(provisioned_table(5, 6), ProvisionedThroughput=units(7, 7))
    on_demand = update(table, BillingMode="PAY_PER_REQUEST", OnDemandThroughput={"MaxReadRequestUnits": 9})
    assert on_demand.billing_mode == "PAY_PER_REQUEST"
    assert on_demand.on_demand_since == NOON
    assert on_demand.provisioned == Provisioned(increased_at=NOON)
    assert on_demand.on_demand == OnDemandThroughput(max_read_units=9)
    assert on_demand.warm == WarmThroughput(read_units=12_000, write_units=4_000)
    later = View(account="", region="", now=NOON + 60)
    back = update(on_demand, at=later, BillingMode="PROVISIONED", ProvisionedThroughput=units(2, 3))
    assert back.billing_mode == "PROVISIONED"
    assert back.on_demand_since == NOON
    assert back.provisioned == Provisioned(read_units=2, write_units=3, increased_at=NOON)
    assert back.on_demand is None
    assert back.warm == WarmThroughput(read_units=12_000, write_units=4_000)


def test_on_demand_again_changes_nothing() -> None:
    assert update(on_demand_table(), BillingMode="PAY_PER_REQUEST") == on_demand_table()


def test_the_same_throughput_is_refused() -> None:
    for mode in ({}, {"BillingMode": "PROVISIONED"}):
        assert refusal_of(provisioned_table(5, 6), ProvisionedThroughput=units(5, 6), **mode) == (
            "The provisioned throughput for the table will not change. The requested value equals the current value. "
            "Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. "
            "Current WriteCapacityUnits provisioned for the table: 6. Requested WriteCapacityUnits: 6. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        )


@pytest.mark.parametrize(
    ("table", "members", "text"),
    [
        (
            on_demand_table(),
            {"ProvisionedThroughput": units(1, 1)},
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
            "PAY_PER_REQUEST",
        ),
        (
            provisioned_table(),
            {"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": units(1, 1)},
            f"{INVALID}ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            on_demand_table(),
            {"BillingMode": "PROVISIONED"},
            f"{INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
        ),
        (
            provisioned_table(),
            {"OnDemandThroughput": {"MaxWriteRequestUnits": 1}},
            f"{INVALID}MaxWriteRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is "
            "PROVISIONED",
        ),
        (
            on_demand_table(),
            {"OnDemandThroughput": {"MaxReadRequestUnits": 0}},
            f"{INVALID}Requested MaxReadRequestUnits for OnDemandThroughput for table is outside of valid range",
        ),
        (
            on_demand_table(),
            {"WarmThroughput": {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 3_999}},
            f"{INVALID}Requested WriteUnitsPerSecond for WarmThroughput for table is lower than current "
            "WarmThroughput, decreasing WarmThroughput is not supported",
        ),
        (
            on_demand_table(),
            {"SSESpecification": {"Enabled": False}},
            f"{INVALID}Table is already encrypted by default",
        ),
        (
            on_demand_table(encryption=Encryption(key="k")),
            {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "k"}},
            f"{INVALID}Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you "
            "want to change Master Key",
        ),
        (
            on_demand_table(),
            {"StreamSpecification": {"StreamEnabled": False}},
            "Table has no stream to disable: TableName: Music",
        ),
        (
            on_demand_table(),
            {"StreamSpecification": {"StreamEnabled": True}},
            f"{INVALID}If stream is being enabled then UpdateViewType is required",
        ),
        (
            on_demand_table(),
            {"TableClass": "GOLD"},
            "Invalid table-class parameter provided. Please try again with a valid table-class value: "
            "[STANDARD, STANDARD_INFREQUENT_ACCESS].",
        ),
        (
            on_demand_table(),
            {"AttributeDefinitions": []},
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
            "SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, "
            "MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass "
            "is required",
        ),
    ],
)
def test_what_a_table_does_not_take_is_refused(table: Table, members: dict[str, Any], text: str) -> None:
    assert refusal_of(table, **members) == text


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"SSESpecification": {"Enabled": True}}, "Server-Side Encryption modification"),
        ({"TableClass": "STANDARD"}, "TableClass modification"),
        ({"DeletionProtectionEnabled": True}, "DeletionProtection modification"),
        ({"WarmThroughput": {"ReadUnitsPerSecond": 12_001}}, "WarmThroughput"),
    ],
)
def test_what_must_be_alone(members: dict[str, Any], text: str) -> None:
    assert refusal_of(on_demand_table(), BillingMode="PAY_PER_REQUEST", **members) == (
        f"{INVALID}{text} must be the only operation in the request"
    )


def test_caps_go_with_the_billing_mode_only() -> None:
    assert refusal_of(
        provisioned_table(), OnDemandThroughput={"MaxReadRequestUnits": 1}, ProvisionedThroughput=units(1, 1)
    ) == (f"{INVALID}OnDemandThroughput can only be combined with BillingMode in an UpdateTable request")


def test_caps_are_merged_and_minus_one_removes_one() -> None:
    table = update(on_demand_table(), OnDemandThroughput={"MaxReadRequestUnits": 10, "MaxWriteRequestUnits": 5})
    table = update(table, OnDemandThroughput={"MaxReadRequestUnits": 20})
    assert table.on_demand == OnDemandThroughput(max_read_units=20, max_write_units=5)
    table = update(table, OnDemandThroughput={"MaxReadRequestUnits": -1})
    assert table.on_demand == OnDemandThroughput(max_write_units=5)
    assert update(table, OnDemandThroughput={"MaxWriteRequestUnits": -1}).on_demand is None


def test_warm_throughput_is_raised_one_by_one() -> None:
    table = update(on_demand_table(), WarmThroughput={"WriteUnitsPerSecond": 5_000})
    assert table.warm == WarmThroughput(read_units=12_000, write_units=5_000)


def test_the_table_class_keeps_the_time_of_its_change() -> None:
    assert update(on_demand_table(), TableClass="STANDARD") == on_demand_table()
    after = update(on_demand_table(), TableClass="STANDARD_INFREQUENT_ACCESS")
    assert (after.table_class, after.table_class_changed_at) == ("STANDARD_INFREQUENT_ACCESS", NOON)


def test_protection_and_encryption() -> None:
    assert update(on_demand_table(), DeletionProtectionEnabled=True).deletion_protection
    encrypted = update(on_demand_table(), SSESpecification={"Enabled": True})
    assert encrypted.encryption == Encryption()
    assert update(encrypted, SSESpecification={"Enabled": False}).encryption is None


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("ReplicaUpdates", [{"Create": {"RegionName": "eu-west-1"}}]),
        ("MultiRegionConsistency", "STRONG"),
        ("GlobalTableWitnessUpdates", [{"Create": {"RegionName": "eu-west-1"}}]),
        ("GlobalTableSettingsReplicationMode", "ENABLED"),
        ("DisassociationProtectionEnabled", True),
    ],
)
def test_what_this_version_cannot_do_is_never_dropped_silently(member: str, value: Any) -> None:
    assert refusal_of(on_demand_table(), **{member: value}) == (
        f"{member} is not supported by this version of Varley"
    )


def test_the_quotas_of_a_table_and_of_an_account() -> None:
    more = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    with pytest.raises(LimitExceeded) as refusal:
        update(provisioned_table(), ProvisionedThroughput=units(40_001, 1))
    assert refusal.value.message == (
        "The requested ReadCapacityUnits, 40001, is above the per table maximum for the account in eu-west-1. "
        f"Per table maximum: 40000. {more}"
    )
    others = (Provisioned(read_units=1, write_units=30_000), Provisioned(read_units=1, write_units=30_000))
    with pytest.raises(LimitExceeded) as refusal:
        update(provisioned_table(), ProvisionedThroughput=units(1, 20_001), others=others)
    assert refusal.value.message == (
        "This request would have caused the WriteCapacityUnits limit to be exceeded for the account in eu-west-1. "
        f"Current WriteCapacityUnits reserved by the account: 60000. Limit: 80000. Requested: 20001. {more}"
    )
    update(provisioned_table(), ProvisionedThroughput=units(1, 20_000), others=others)


def test_decreases_are_limited_where_capacity_is_enforced() -> None:
    table = provisioned_table(100, 100)
    for number in range(4):
        at = View(account="", region="", now=NOON + number)
        table = update(table, at=at, ProvisionedThroughput=units(99 - number, 100))
    soon = View(account="", region="", now=NOON + 3 + 3599)
    with pytest.raises(LimitExceeded) as refusal:
        update(table, at=soon, ProvisionedThroughput=units(200, 1))
    assert refusal.value.message == (
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the "
        "first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 "
        "seconds. Number of decreases today: 4. "
        "Last decrease at Friday, October 4, 2024 at 12:00:03 PM Coordinated Universal Time. "
        "Next decrease can be made at Friday, October 4, 2024 at 01:00:03 PM Coordinated Universal Time."
    )
    update(table, at=soon, ProvisionedThroughput=units(200, 200))    # no decrease
    later = View(account="", region="", now=NOON + 3 + 3600)
    assert update(table, at=later, ProvisionedThroughput=units(1, 1)).provisioned.decreases == 5


def test_every_parameter_of_the_service_model_is_known() -> None:
    spelt = {field.encode_name for field in msgspec.structs.fields(update_table.UpdateTableRequest)}
    assert spelt == set(get_shape("UpdateTable").members)
