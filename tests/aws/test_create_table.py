# Why: every program starts here, and infrastructure tools compare what CreateTable answers, member by member,
# with what they asked for. A schema that is accepted wrongly can never be repaired afterwards.

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import wait_until_active
from .refusals import BAD_TABLE_NAME, constraint_on, invalid, refused
from .table import schema, unique

THROUGHPUT = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
PK = {"AttributeName": "pk", "KeyType": "HASH"}
SK = {"AttributeName": "sk", "KeyType": "RANGE"}
PK_TEXT = {"AttributeName": "pk", "AttributeType": "S"}
SK_TEXT = {"AttributeName": "sk", "AttributeType": "S"}


@pytest.fixture
def name(dynamodb: Any) -> Iterator[str]:
    """A table name that is free, and is free again afterwards."""
    name = unique("varley-create")
    yield name
    try:
        dynamodb.delete_table(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        pass


def exists(dynamodb: Any, name: str) -> bool:
    try:
        dynamodb.describe_table(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        return False
    return True


def test_a_new_table_is_described_in_full(dynamodb: Any, name: str) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    answer = dynamodb.create_table(TableName=name, **schema("S", "N"))["TableDescription"]
    assert answer["TableName"] == name
    assert answer["TableStatus"] in ("CREATING", "ACTIVE")
    assert answer["KeySchema"] == [PK, SK]
    assert sorted(answer["AttributeDefinitions"], key=str) == sorted(
        [PK_TEXT, {"AttributeName": "sk", "AttributeType": "N"}], key=str
    )
    assert answer["ItemCount"] == 0
    assert answer["TableSizeBytes"] == 0
    assert before < answer["CreationDateTime"] < datetime.now(UTC) + timedelta(minutes=5)
    assert re.fullmatch(rf"arn:aws[\w-]*:dynamodb:[\w-]+:\w+:table/{name}", answer["TableArn"])
    assert "LocalSecondaryIndexes" not in answer
    assert "GlobalSecondaryIndexes" not in answer


def test_a_new_table_has_an_identifier_of_its_own(dynamodb: Any, name: str) -> None:
    answer = dynamodb.create_table(TableName=name, **schema())["TableDescription"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["TableId"])


def test_an_on_demand_table_says_so_and_has_no_provisioned_throughput(dynamodb: Any, name: str) -> None:
    answer = dynamodb.create_table(TableName=name, **schema())["TableDescription"]
    assert answer["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert answer["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    assert answer["ProvisionedThroughput"]["WriteCapacityUnits"] == 0
    assert answer["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0


def test_a_provisioned_table_gets_the_throughput_that_was_asked_for(dynamodb: Any, name: str) -> None:
    answer = dynamodb.create_table(
        TableName=name, KeySchema=[PK], AttributeDefinitions=[PK_TEXT], ProvisionedThroughput=THROUGHPUT
    )["TableDescription"]
    assert answer["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert answer["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    assert answer.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED") == "PROVISIONED"


def test_deletion_protection_is_off_unless_asked_for(dynamodb: Any, name: str) -> None:
    answer = dynamodb.create_table(TableName=name, **schema())["TableDescription"]
    assert answer["DeletionProtectionEnabled"] is False


def test_deletion_protection_can_be_asked_for(dynamodb: Any, name: str) -> None:
    answer = dynamodb.create_table(TableName=name, **schema(), DeletionProtectionEnabled=True)
    assert answer["TableDescription"]["DeletionProtectionEnabled"] is True
    wait_until_active(dynamodb, name)
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    wait_until_active(dynamodb, name)


def test_the_table_class_can_be_chosen(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(TableName=name, **schema(), TableClass="STANDARD_INFREQUENT_ACCESS")
    wait_until_active(dynamodb, name)
    described = dynamodb.describe_table(TableName=name)["Table"]
    assert described["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"


def test_tags_are_put_on_the_table_as_it_is_made(dynamodb: Any, name: str) -> None:
    tags = [{"Key": "owner", "Value": "varley"}, {"Key": "empty", "Value": ""}]
    arn = dynamodb.create_table(TableName=name, **schema(), Tags=tags)["TableDescription"]["TableArn"]
    wait_until_active(dynamodb, name)
    found = dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert sorted(found, key=str) == sorted(tags, key=str)


def test_the_order_of_the_key_schema_is_partition_key_first(dynamodb: Any, name: str) -> None:
    with invalid():
        dynamodb.create_table(
            TableName=name,
            KeySchema=[SK, PK],
            AttributeDefinitions=[PK_TEXT, SK_TEXT],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_a_partition_key_may_be_of_any_scalar_type(dynamodb: Any, name: str, kind: str) -> None:
    dynamodb.create_table(TableName=name, **schema(kind))
    wait_until_active(dynamodb, name)
    value = {"S": {"S": "x"}, "N": {"N": "1"}, "B": {"B": b"\x00"}}[kind]
    dynamodb.put_item(TableName=name, Item={"pk": value})
    assert dynamodb.get_item(TableName=name, Key={"pk": value}, ConsistentRead=True)["Item"] == {"pk": value}


@pytest.mark.parametrize("given", ["abc", "a.b", "A_b-1.", "...", "x" * 255], ids=lambda name: name[:8])
def test_these_names_are_allowed(dynamodb: Any, given: str) -> None:
    name = given if len(given) == 255 else unique(given)
    dynamodb.create_table(TableName=name, **schema())
    wait_until_active(dynamodb, name)
    dynamodb.delete_table(TableName=name)


@pytest.mark.parametrize("given", ["", "ab", "x" * 256, "a b c", "abc;", "tablé", "abc/def"], ids=lambda name: name[:8])
def test_these_names_are_refused(dynamodb: Any, given: str) -> None:
    with invalid(BAD_TABLE_NAME):
        dynamodb.create_table(TableName=given, **schema())


def test_a_new_table_can_be_named_by_its_arn(dynamodb: Any, make_table: Any, name: str) -> None:
    other = dynamodb.describe_table(TableName=make_table().name)["Table"]["TableArn"]
    arn = f"{other.rpartition('/')[0]}/{name}"
    answer = dynamodb.create_table(TableName=arn, **schema())["TableDescription"]
    assert (answer["TableName"], answer["TableArn"]) == (name, arn)
    wait_until_active(dynamodb, name)


def test_a_name_in_use_is_refused(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(TableName=name, **schema())
    wait_until_active(dynamodb, name)
    with refused("ResourceInUseException", f"Table already exists: {name}"):
        dynamodb.create_table(TableName=name, **schema("N"))
    assert dynamodb.describe_table(TableName=name)["Table"]["AttributeDefinitions"] == [PK_TEXT]


def test_names_that_differ_only_in_case_are_two_tables(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(TableName=name, **schema())
    dynamodb.create_table(TableName=name.upper(), **schema("N"))
    wait_until_active(dynamodb, name.upper())
    described = dynamodb.describe_table(TableName=name.upper())["Table"]
    assert described["AttributeDefinitions"] == [{"AttributeName": "pk", "AttributeType": "N"}]
    dynamodb.delete_table(TableName=name.upper())


NO_THROUGHPUT = (
    "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be "
    "specified when BillingMode is PROVISIONED"
)
BOTH_MODES = (
    "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be "
    "specified when BillingMode is PAY_PER_REQUEST"
)


@pytest.mark.parametrize("mode", [{}, {"BillingMode": "PROVISIONED"}], ids=["by default", "in words"])
def test_a_provisioned_table_needs_throughput(dynamodb: Any, name: str, mode: dict[str, str]) -> None:
    with invalid(NO_THROUGHPUT):
        dynamodb.create_table(TableName=name, KeySchema=[PK], AttributeDefinitions=[PK_TEXT], **mode)
    assert not exists(dynamodb, name)


def test_an_on_demand_table_takes_no_throughput(dynamodb: Any, name: str) -> None:
    with invalid(BOTH_MODES):
        dynamodb.create_table(TableName=name, **schema(), ProvisionedThroughput=THROUGHPUT)
    assert not exists(dynamodb, name)


@pytest.mark.parametrize("units", [0, -1])
@pytest.mark.parametrize("member", ["ReadCapacityUnits", "WriteCapacityUnits"])
def test_throughput_is_at_least_one(dynamodb: Any, name: str, member: str, units: int) -> None:
    lower = member[0].lower() + member[1:]
    with invalid(constraint_on(f"provisionedThroughput.{lower}")):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[PK],
            AttributeDefinitions=[PK_TEXT],
            ProvisionedThroughput={**THROUGHPUT, member: units},
        )
    assert not exists(dynamodb, name)


@pytest.mark.parametrize("member", ["ReadCapacityUnits", "WriteCapacityUnits"])
def test_throughput_names_both_units(dynamodb: Any, name: str, member: str) -> None:
    lower = member[0].lower() + member[1:]
    with invalid(constraint_on(f"provisionedThroughput.{lower}")):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[PK],
            AttributeDefinitions=[PK_TEXT],
            ProvisionedThroughput={key: 1 for key in THROUGHPUT if key != member},
        )
    assert not exists(dynamodb, name)


@pytest.mark.parametrize(
    ("keys", "definitions", "text"),
    [
        pytest.param(
            [PK],
            [PK_TEXT, SK_TEXT],
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match "
            "number of attributes defined in AttributeDefinitions",
            id="an attribute is defined that no key uses",
        ),
        pytest.param(
            [PK, SK],
            [PK_TEXT],
            re.compile(
                "One or more parameter values were invalid: Some index key attributes are not defined in "
                r"AttributeDefinitions\. Keys: \[(pk, sk|sk, pk)\], AttributeDefinitions: \[pk\]|Invalid KeySchema: "
                "Some index key attribute have no definition"
            ),
            id="the sort key is not defined",
        ),
        pytest.param(
            [PK],
            [SK_TEXT],
            re.compile(
                "One or more parameter values were invalid: Some index key attributes are not defined in "
                r"AttributeDefinitions\. Keys: \[pk\], AttributeDefinitions: \[sk\]"
            ),
            id="the partition key is not defined",
        ),
        pytest.param(
            [{"AttributeName": "pk", "KeyType": "RANGE"}],
            [PK_TEXT],
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
            id="there is no partition key",
        ),
        pytest.param(
            [PK, {"AttributeName": "sk", "KeyType": "HASH"}],
            [PK_TEXT, SK_TEXT],
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
            id="there are two partition keys",
        ),
        pytest.param(
            [PK, {"AttributeName": "pk", "KeyType": "RANGE"}],
            [PK_TEXT],
            re.compile(
                "(Both the Hash Key and the Range Key element in the KeySchema have the same name"
                "|Invalid KeySchema: .*)"
            ),
            id="both keys have one name",
        ),
    ],
)
def test_these_schemas_are_refused(
    dynamodb: Any, name: str, keys: list[Any], definitions: list[Any], text: str | re.Pattern[str]
) -> None:
    with invalid(text):
        dynamodb.create_table(
            TableName=name, KeySchema=keys, AttributeDefinitions=definitions, BillingMode="PAY_PER_REQUEST"
        )
    assert not exists(dynamodb, name)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        pytest.param({"KeySchema": []}, "keySchema", id="no keys"),
        pytest.param({"KeySchema": [PK, SK, {"AttributeName": "x", "KeyType": "RANGE"}]}, "keySchema", id="three keys"),
        pytest.param(
            {"KeySchema": [{"AttributeName": "pk", "KeyType": "NONE"}]},
            "keySchema.1.member.keyType",
            id="odd role",
        ),
        pytest.param({"KeySchema": [{"AttributeName": "pk"}]}, "keySchema.1.member.keyType", id="no role"),
        pytest.param(
            {"KeySchema": [{"AttributeName": "p" * 256, "KeyType": "HASH"}]},
            "keySchema.1.member.attributeName",
            id="256 characters of name",
        ),
        pytest.param(
            {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "M"}]},
            "attributeDefinitions.1.member.attributeType",
            id="a map as key",
        ),
        pytest.param({"BillingMode": "FREE"}, "billingMode", id="odd billing mode"),
    ],
)
def test_these_parameters_break_the_service_model(
    dynamodb: Any, name: str, change: dict[str, Any], member: str
) -> None:
    with invalid(constraint_on(member)):
        dynamodb.create_table(TableName=name, **{**schema(), **change})
    assert not exists(dynamodb, name)


def test_an_unknown_table_class_is_refused(dynamodb: Any, name: str) -> None:
    with invalid(re.compile(".*table-?[cC]lass.*")):
        dynamodb.create_table(TableName=name, **schema(), TableClass="GOLD")
    assert not exists(dynamodb, name)


def test_the_same_attribute_may_not_be_defined_twice(dynamodb: Any, name: str) -> None:
    with invalid():
        dynamodb.create_table(TableName=name, **{**schema(), "AttributeDefinitions": [PK_TEXT, PK_TEXT]})
    assert not exists(dynamodb, name)


def test_a_key_name_may_have_255_characters(dynamodb: Any, name: str) -> None:
    long = "k" * 255
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": long, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": long, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    wait_until_active(dynamodb, name)
    dynamodb.put_item(TableName=name, Item={long: {"S": "x"}})
    assert dynamodb.scan(TableName=name, ConsistentRead=True)["Items"] == [{long: {"S": "x"}}]


@pytest.mark.parametrize("missing", ["KeySchema", "AttributeDefinitions"])
def test_a_schema_must_be_given(dynamodb: Any, name: str, missing: str) -> None:
    parameters = {key: value for key, value in schema().items() if key != missing}
    with invalid():
        dynamodb.create_table(TableName=name, **parameters)
    assert not exists(dynamodb, name)


def test_a_deleted_name_can_be_used_again_and_the_new_table_is_empty(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(TableName=name, **schema())
    wait_until_active(dynamodb, name)
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "x"}})
    dynamodb.delete_table(TableName=name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    dynamodb.create_table(TableName=name, **schema())
    wait_until_active(dynamodb, name)
    assert dynamodb.scan(TableName=name, ConsistentRead=True)["Items"] == []
