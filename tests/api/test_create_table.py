from __future__ import annotations

import json
import re
import typing
from random import Random
from typing import Any

import msgspec
import pytest
from botocore.session import get_session

from tests.table.tables import on_demand_table, provisioned_table
from varley.api import create_table
from varley.api.create_table import table_of
from varley.api.table_structures import partition_count
from varley.errors import LimitExceeded, ValidationError
from varley.table.schema import (
    AttributeDefinition,
    Encryption,
    KeySchema,
    LocalIndex,
    OnDemandThroughput,
    Projection,
    Provisioned,
    Table,
    WarmThroughput,
)

INVALID = "One or more parameter values were invalid: "
NOW = 1_700_000_000.0


def named(*names: str, kind: str = "S") -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name in names]


def keyed(*names: str) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE", "RANGE")
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, kinds, strict=False)]


def request(**members: Any) -> dict[str, Any]:
    """A request that is right, with some members changed; None removes one."""
    whole = {
        "TableName": "Music",
        "AttributeDefinitions": named("pk"),
        "KeySchema": keyed("pk"),
        "BillingMode": "PAY_PER_REQUEST",
        **members,
    }
    return {name: value for name, value in whole.items() if value is not None}


def table(**members: Any) -> Table:
    decoded = create_table._decode(json.dumps(request(**members)).encode())
    return table_of(decoded, now=NOW, random=Random(1), region="eu-west-1")


def refusal_of(**members: Any) -> str:
    with pytest.raises(ValidationError) as refusal:
        table(**members)
    return refusal.value.message


def test_a_table_on_demand() -> None:
    made = table()
    assert made.key_schema == KeySchema(hash_name="pk", hash_kind="S")
    assert made.billing_mode == "PAY_PER_REQUEST"
    assert made.on_demand_since == made.created_at == NOW
    assert made.warm == WarmThroughput(read_units=12000, write_units=4000)
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made.id)
    assert made.id == table().id    # the seed is the same


def test_a_provisioned_table_with_everything() -> None:
    made = table(
        TableName="arn:aws:dynamodb:eu-west-1:123456789012:table/Films",
        AttributeDefinitions=[*named("sk", kind="N"), *named("pk", kind="B")],
        KeySchema=keyed("pk", "sk"),
        BillingMode=None,
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        StreamSpecification={"StreamEnabled": False},
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/mine"},
        Tags=[{"Key": "owner", "Value": ""}],
        TableClass="STANDARD_INFREQUENT_ACCESS",
        DeletionProtectionEnabled=True,
        WarmThroughput={"ReadUnitsPerSecond": 50},
    )
    assert made.name == "Films"
    assert made.attribute_definitions == (
        AttributeDefinition(name="sk", kind="N"),
        AttributeDefinition(name="pk", kind="B"),
    )
    assert made.key_schema == KeySchema(hash_name="pk", hash_kind="B", range_name="sk", range_kind="N")
    assert made.billing_mode == "PROVISIONED"
    assert made.on_demand_since is None
    assert made.provisioned == Provisioned(read_units=5, write_units=6)
    assert made.warm == WarmThroughput(read_units=50, write_units=6)
    assert made.encryption == Encryption(key="alias/mine")
    assert made.tags == {"owner": ""}
    assert made.table_class == "STANDARD_INFREQUENT_ACCESS"
    assert made.deletion_protection


@pytest.mark.parametrize(
    ("definitions", "keys", "text"),
    [
        (
            named("pk"),
            [{"AttributeName": "pk", "KeyType": "RANGE"}],
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            named("pk", "sk"),
            [{"AttributeName": name, "KeyType": "HASH"} for name in ("pk", "sk")],
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            named("pk"),
            keyed("pk", "pk"),
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        ([], keyed("pk"), "Invalid KeySchema: Some index key attribute have no definition"),
        (named("pk"), keyed("pk", "sk"), "Invalid KeySchema: Some index key attribute have no definition"),
        (
            named("a", "b"),
            keyed("pk", "sk"),
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            "Keys: [pk, sk], AttributeDefinitions: [a, b]",
        ),
        (
            named("pk", "sk"),
            keyed("pk"),
            f"{INVALID}Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions",
        ),
        (named("pk", "pk"), keyed("pk"), "Attribute Name is duplicated: pk"),
    ],
)
def test_keys_and_definitions_fit_together(definitions: Any, keys: Any, text: str) -> None:
    assert refusal_of(AttributeDefinitions=definitions, KeySchema=keys) == text


@pytest.mark.parametrize(
    ("member", "after"),
    [
        ("GlobalSecondaryIndexes", None),
        (
            "LocalSecondaryIndexes",
            f"{INVALID}Table KeySchema does not have a range key, which is required when specifying a "
            "LocalSecondaryIndex",
        ),
    ],
)
def test_attributes_of_indexes_need_definitions_and_others_may_have_none(member: str, after: str | None) -> None:
    index = {"IndexName": "by-year", "KeySchema": keyed("pk", "year"), "Projection": {"ProjectionType": "ALL"}}
    assert refusal_of(**{member: [index]}, AttributeDefinitions=named("pk", "other")) == (
        f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [pk, year], AttributeDefinitions: [pk, other]"
    )
    assert refusal_of(**{member: [index]}, AttributeDefinitions=named("pk", "year", "other")) == (
        f"{INVALID}Some AttributeDefinitions are not used. "
        "AttributeDefinitions: [pk, year, other], keys used: [pk, year]"
    )
    fitting = {member: [index], "AttributeDefinitions": named("pk", "year")}
    if after is None:
        assert table(**fitting).global_indexes
    else:
        assert refusal_of(**fitting) == after
    assert refusal_of(**{member: []}) == f"{INVALID}List of {member} is empty"


def local_index(*keys: str, name: str = "by-x", projection: Any = "ALL", names: Any = None) -> dict[str, Any]:
    shape = {"ProjectionType": projection, "NonKeyAttributes": names}
    shape = {member: value for member, value in shape.items() if value is not None}
    return {"IndexName": name, "KeySchema": keyed(*keys), "Projection": shape}


def test_local_indexes_are_kept_in_their_order() -> None:
    made = table(
        AttributeDefinitions=[*named("pk", "sk"), *named("x", kind="N")],
        KeySchema=keyed("pk", "sk"),
        LocalSecondaryIndexes=[
            local_index("pk", "x", name="one", projection="INCLUDE", names=["b", "a"]),
            local_index("pk", "sk", name="two", projection="KEYS_ONLY"),
        ],
    )
    assert made.local_indexes == (
        LocalIndex(name="one", range_name="x", range_kind="N", projection=Projection(kind="INCLUDE", names=("b", "a"))),
        LocalIndex(name="two", range_name="sk", range_kind="S", projection=Projection(kind="KEYS_ONLY")),
    )


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ([local_index("pk")], f"{INVALID}Index KeySchema does not have a range key for index: by-x"),
        (
            [local_index("x", "sk")],
            f"{INVALID}Index KeySchema does not have the same leading hash key as table KeySchema for index: by-x. "
            "index hash key: x, table hash key: pk",
        ),
        (
            [local_index("pk", "pk")],
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        ([local_index("pk", "x", projection=None)], f"{INVALID}Unknown ProjectionType: null"),
        (
            [local_index("pk", "x", names=["a"])],
            f"{INVALID}ProjectionType is ALL, but NonKeyAttributes is specified",
        ),
        (
            [local_index("pk", "x", projection="KEYS_ONLY", names=["a"])],
            f"{INVALID}ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
        ),
        (
            [local_index("pk", "x", projection="INCLUDE")],
            f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        ([local_index("pk", "x"), local_index("pk", "x")], f"{INVALID}Duplicate index name: by-x"),
        (
            [local_index("pk", "x", name=f"by-x-{number}") for number in range(6)],
            f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        ),
    ],
)
def test_these_local_indexes_are_refused(indexes: Any, text: str) -> None:
    definitions = named("pk", "sk") if indexes == [local_index("pk")] or "same name" in text else named("pk", "sk", "x")
    assert refusal_of(
        AttributeDefinitions=definitions, KeySchema=keyed("pk", "sk"), LocalSecondaryIndexes=indexes
    ) == text


def test_what_a_request_lacks_is_told_at_once() -> None:
    lacks = [f"Value null at '{name}'" for name in ("attributeDefinitions", "tableName", "keySchema")]
    text = refusal_of(AttributeDefinitions=None, TableName=None, KeySchema=None)
    assert text.startswith("3 validation errors detected: ")
    assert [text.index(each) for each in lacks] == sorted(text.index(each) for each in lacks)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"BillingMode": "FREE"},
            "Value 'FREE' at 'billingMode' failed to satisfy constraint: "
            "Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]",
        ),
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 0}},
            "Value '0' at 'provisionedThroughput.writeCapacityUnits' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1",
        ),
        (
            {"KeySchema": [{"AttributeName": "pk", "KeyType": "SORT"}]},
            "Value 'SORT' at 'keySchema.1.member.keyType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [HASH, RANGE]",
        ),
        (
            {"KeySchema": []},
            "Value '[]' at 'keySchema' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            {"AttributeDefinitions": named("pk", kind="SS")},
            "Value 'SS' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [B, N, S]",
        ),
        (
            {"SSESpecification": {"KMSMasterKeyId": ""}},
            "Value '' at 'sSESpecification.kMSMasterKeyId' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "ALL"}},
            "Value 'ALL' at 'streamSpecification.streamViewType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [OLD_IMAGE, KEYS_ONLY, NEW_AND_OLD_IMAGES, NEW_IMAGE]",
        ),
    ],
)
def test_the_constraints_of_the_model(members: dict[str, Any], text: str) -> None:
    assert refusal_of(**members) == f"1 validation error detected: {text}"


def test_three_key_attributes_are_too_many() -> None:
    assert refusal_of(KeySchema=keyed("a", "b", "c")).endswith(
        "at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"
    )


ONE = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"ProvisionedThroughput": ONE},
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
            "PAY_PER_REQUEST",
        ),
        (
            {"BillingMode": None},
            f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is "
            "PROVISIONED",
        ),
        (
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 1_000_000_000_001, "WriteCapacityUnits": 1},
            },
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds",
        ),
        (
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": ONE,
                "OnDemandThroughput": {"MaxReadRequestUnits": 5},
            },
            f"{INVALID}MaxReadRequestUnits for OnDemandThroughput cannot be specified when table BillingMode is "
            "PROVISIONED.",
        ),
        (
            {"OnDemandThroughput": {"MaxWriteRequestUnits": -1}},
            f"{INVALID}Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range",
        ),
        (
            {"WarmThroughput": {"ReadUnitsPerSecond": 11_999}},
            f"{INVALID}Requested ReadUnitsPerSecond for WarmThroughput for table is lower than initial throughput "
            "for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
            "on-demand-capacity-mode.html#on-demand-capacity-mode-initial",
        ),
        (
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": {"ReadCapacityUnits": 9, "WriteCapacityUnits": 9},
                "WarmThroughput": {"ReadUnitsPerSecond": 9, "WriteUnitsPerSecond": 8},
            },
            f"{INVALID}Requested WriteUnitsPerSecond for WarmThroughput for table is lower than "
            "WriteCapacityUnits of ProvisionedThroughput",
        ),
        (
            {"TableClass": "GOLD"},
            "Invalid table-class parameter provided. Please try again with a valid table-class value: "
            "[STANDARD, STANDARD_INFREQUENT_ACCESS].",
        ),
        (
            {"SSESpecification": {"Enabled": False, "SSEType": "KMS"}},
            f"{INVALID}SSEType can not be specified if Enabled is false",
        ),
        (
            {"SSESpecification": {"Enabled": False, "KMSMasterKeyId": "x"}},
            f"{INVALID}KMSMasterKeyId can not be specified if Enabled is false",
        ),
        (
            {"SSESpecification": {"Enabled": True, "KMSMasterKeyId": "x"}},
            f"{INVALID}SSEType KMS is required if KMSMasterKeyId is specified",
        ),
        (
            {"SSESpecification": {"Enabled": True, "SSEType": "AES256"}},
            f"{INVALID}SSEType AES256 is not supported",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": True}},
            f"{INVALID}Table is being created with a stream enabled, UpdateViewType is required",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}},
            f"{INVALID}Table is being created with a stream disabled, UpdateViewType should not be specified",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(members: dict[str, Any], text: str) -> None:
    assert refusal_of(**members) == text


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("GlobalTableSourceArn", "arn:aws:dynamodb:us-east-1:123456789012:table/x"),
        ("GlobalTableSettingsReplicationMode", "ENABLED"),
    ],
)
def test_what_this_version_cannot_do_is_never_dropped_silently(member: str, value: Any) -> None:
    assert refusal_of(**{member: value}) == f"{member} is not supported by this version of Varley"


def test_caps_beyond_the_quota_of_a_table() -> None:
    with pytest.raises(LimitExceeded) as refusal:
        table(OnDemandThroughput={"MaxReadRequestUnits": 40_001})
    assert refusal.value.message == (
        "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for table exceeds "
        "TableMaxReadCapacityUnits of the account in region eu-west-1"
    )
    made = table(OnDemandThroughput={"MaxReadRequestUnits": 40_000})
    assert made.on_demand == OnDemandThroughput(max_read_units=40_000)


def test_empty_structures_say_nothing() -> None:
    assert table(OnDemandThroughput={}, WarmThroughput={}, SSESpecification={}, Tags=[]) == table()


@pytest.mark.parametrize(
    ("made", "initial", "count"),
    [
        (on_demand_table(), 1, 1),
        (on_demand_table(), 4, 4),
        (on_demand_table(warm=WarmThroughput(read_units=15_000, write_units=4_000)), 1, 9),
        (provisioned_table(5, 5), 1, 1),
        (provisioned_table(3000, 1000), 1, 2),
        (provisioned_table(1500, 500), 1, 1),
        (provisioned_table(1500, 501), 1, 2),
        (provisioned_table(40_000, 40_000), 1, 54),
        (provisioned_table(40_000, 40_000), 100, 100),
    ],
)
def test_a_table_gets_the_partitions_that_its_throughput_needs(made: Table, initial: int, count: int) -> None:
    assert partition_count(made.billing_mode, made.warm, initial) == count


def test_every_parameter_of_the_service_model_is_known() -> None:
    check_shape(create_table.CreateTableRequest, get_shape("CreateTable"), "CreateTable")


def get_shape(operation: str) -> Any:
    return get_session().get_service_model("dynamodb").operation_model(operation).input_shape


def check_shape(struct: Any, shape: Any, path: str) -> None:
    """`struct` and its structures have the members that the service model has, and no others."""
    spelt = {field.name: field.encode_name for field in msgspec.structs.fields(struct)}
    assert set(spelt.values()) == set(shape.members), path
    hints = typing.get_type_hints(struct)
    for name, encoded in spelt.items():
        member = shape.members[encoded]
        member = member.member if member.type_name == "list" else member
        kinds = [
            kind
            for option in typing.get_args(hints[name])
            for kind in (option, *typing.get_args(option))
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        ]
        for kind in kinds:
            check_shape(kind, member, f"{path}.{encoded}")
