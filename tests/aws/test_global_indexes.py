# Why: a global index is a second way to a table's items, made with the table or later. What is asked of it must be kept
# to the letter, and what cannot be must be refused before anything is made. (Developer guide, "Global secondary
# indexes"; API Reference, CreateTable; texts as users of the service have reported them.)

from typing import Any

import pytest

from .global_indexes import INVALID, definitions, described, index, keyed, units
from .refusals import constraint_on, invalid, refused
from .table import Table, schema, unique


@pytest.fixture(scope="module")
def indexed(make_table: Any) -> Table:
    table: Table = make_table(
        "S",
        "N",
        AttributeDefinitions=definitions(pk="S", sk="N", a="S", b="B", c="N"),
        GlobalSecondaryIndexes=[
            index("z-keys", "a", projection="KEYS_ONLY"),
            index("some", "b", "c", projection="INCLUDE", included=["y", "x"]),
            index("all", "sk", "pk"),
        ],
    )
    return table


def test_the_indexes_are_described(indexed: Table) -> None:
    shown = indexed.client.describe_table(TableName=indexed.name)["Table"]
    assert [each["IndexName"] for each in shown["GlobalSecondaryIndexes"]] == ["z-keys", "some", "all"]
    assert [each["AttributeName"] for each in shown["AttributeDefinitions"]] == ["a", "b", "c", "pk", "sk"]
    some = described(indexed, "some")
    assert some == {
        "IndexName": "some",
        "KeySchema": keyed("b", "c"),
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "y"]},
        "IndexStatus": "ACTIVE",
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": f"{shown['TableArn']}/index/some",
        "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    }


def test_a_new_index_is_creating_with_its_table(dynamodb: Any) -> None:
    name = unique("varley-test")
    definition = {**schema(), "AttributeDefinitions": definitions(pk="S", a="S")}
    answer = dynamodb.create_table(TableName=name, **definition, GlobalSecondaryIndexes=[index("by-a", "a")])
    (shown,) = answer["TableDescription"]["GlobalSecondaryIndexes"]
    assert shown["IndexStatus"] == "CREATING"
    assert "Backfilling" not in shown and "WarmThroughput" not in shown
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    assert "Backfilling" not in dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"][0]
    dynamodb.delete_table(TableName=name)


def test_up_to_four_attributes_are_hashed_and_up_to_four_ordered_by(make_table: Any) -> None:
    keys = ["h1", "h2", "h3", "h4", "r1", "r2", "r3", "r4"]
    table = make_table(
        AttributeDefinitions=definitions(pk="S", **dict.fromkeys(keys, "S")),
        GlobalSecondaryIndexes=[index("eight", *keys, hashed=4)],
    )
    found = described(table, "eight")
    assert found is not None
    assert found["KeySchema"] == keyed(*keys, hashed=4)


def test_an_index_may_have_the_keys_and_the_name_of_its_table(make_table: Any) -> None:
    name = unique("varley-test")
    table = make_table("S", "S", TableName=name, GlobalSecondaryIndexes=[index(name, "pk", "sk")])
    assert described(table, name) is not None


def test_throughput_of_each_kind(make_table: Any) -> None:
    table = make_table(
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units(1, 2),
        AttributeDefinitions=definitions(pk="S", a="S"),
        GlobalSecondaryIndexes=[index("by-a", "a", ProvisionedThroughput=units(3, 4))],
    )
    found = described(table, "by-a")
    assert found is not None
    assert found["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **units(3, 4)}
    assert found["WarmThroughput"] == {"ReadUnitsPerSecond": 3, "WriteUnitsPerSecond": 4, "Status": "ACTIVE"}
    table = make_table(
        AttributeDefinitions=definitions(pk="S", a="S"),
        GlobalSecondaryIndexes=[
            index(
                "by-a",
                "a",
                OnDemandThroughput={"MaxReadRequestUnits": 7},
                WarmThroughput={"ReadUnitsPerSecond": 12_001},
            )
        ],
    )
    found = described(table, "by-a")
    assert found is not None
    assert found["OnDemandThroughput"] == {"MaxReadRequestUnits": 7}
    assert found["WarmThroughput"]["ReadUnitsPerSecond"] == 12_001
    assert found["WarmThroughput"]["WriteUnitsPerSecond"] == 4_000


AB = definitions(pk="S", a="S", b="S")
MANY = [f"n{number}" for number in range(20)]
FIVE = [f"k{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"GlobalSecondaryIndexes": []}, f"{INVALID}List of GlobalSecondaryIndexes is empty"),
        (
            {"GlobalSecondaryIndexes": [index("by-a", "a")]},
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            "Keys: [pk, a], AttributeDefinitions: [pk]",
        ),
        (
            {"AttributeDefinitions": AB, "GlobalSecondaryIndexes": [index("by-a", "a")]},
            f"{INVALID}Some AttributeDefinitions are not used. "
            "AttributeDefinitions: [pk, a, b], keys used: [pk, a]",
        ),
        (
            {
                "AttributeDefinitions": AB,
                "GlobalSecondaryIndexes": [
                    {**index("by-a", "a", "b"), "KeySchema": [*keyed("a", "b")[1:], *keyed("a", "b")[:1]]}
                ],
            },
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            {
                "AttributeDefinitions": AB,
                "GlobalSecondaryIndexes": [{**index("by-a", "a"), "KeySchema": [*keyed("a", "b"), *keyed("pk")]}],
            },
            f"{INVALID}All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ),
        (
            {
                "AttributeDefinitions": definitions(pk="S", **dict.fromkeys(FIVE, "S")),
                "GlobalSecondaryIndexes": [index("by-a", *FIVE, hashed=5)],
            },
            f"{INVALID}The KeySchema exceeds the maximum allowed number of HASH key attributes",
        ),
        (
            {
                "AttributeDefinitions": definitions(pk="S", **dict.fromkeys(FIVE, "S")),
                "GlobalSecondaryIndexes": [index("by-a", "pk", *FIVE)],
            },
            f"{INVALID}The KeySchema exceeds the maximum allowed number of RANGE key attributes",
        ),
        (
            {
                "AttributeDefinitions": definitions(pk="S", a="S"),
                "GlobalSecondaryIndexes": [index("by-a", "a", "a")],
            },
            "The KeySchema contains multiple key attributes with the same name",
        ),
        (
            {
                "AttributeDefinitions": AB,
                "GlobalSecondaryIndexes": [index("same", "a"), index("same", "b")],
            },
            f"{INVALID}Duplicate index name: same",
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-pk", "pk", projection="KEYS_ONLY", included=["x"])]},
            f"{INVALID}ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-pk", "pk", projection="INCLUDE")]},
            f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-pk", "pk", projection="INCLUDE", included=["x", "y", "x"])]},
            f"{INVALID}Duplicate element in NonKeyAttributes: x",
        ),
        (
            {"GlobalSecondaryIndexes": [index(f"by-{number:02}", "pk") for number in range(21)]},
            f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20",
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-pk", "pk", ProvisionedThroughput=units(1, 1))]},
            f"{INVALID}ProvisionedThroughput should not be specified for index: by-pk when BillingMode is "
            "PAY_PER_REQUEST",
        ),
        (
            {
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": units(1, 1),
                "GlobalSecondaryIndexes": [index("by-pk", "pk")],
            },
            f"{INVALID}ProvisionedThroughput is not specified for index: by-pk",
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-pk", "pk", OnDemandThroughput={"MaxReadRequestUnits": 0})]},
            f"{INVALID}Requested MaxReadRequestUnits for OnDemandThroughput for index : by-pk is outside of valid "
            "range",
        ),
    ],
    ids=[
        "none", "undefined", "defined and not used", "range first", "hash after range", "five hashed",
        "five ordered by", "same attribute twice", "same name", "names with KEYS_ONLY", "INCLUDE without names",
        "a name twice", "21 indexes", "throughput on demand", "no throughput", "no units",
    ],
)  # fmt: skip
def test_these_indexes_are_refused(dynamodb: Any, parameters: dict[str, Any], words: str) -> None:
    name = unique("varley-test")
    with invalid(words):
        dynamodb.create_table(TableName=name, **{**schema(), **parameters})
    with refused("ResourceNotFoundException"):
        dynamodb.describe_table(TableName=name)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"IndexName": "ab"}, "globalSecondaryIndexes.1.member.indexName"),
        ({"IndexName": "a b c"}, "globalSecondaryIndexes.1.member.indexName"),
        ({"KeySchema": []}, "globalSecondaryIndexes.1.member.keySchema"),
        ({"Projection": {"ProjectionType": "all"}}, "globalSecondaryIndexes.1.member.projection.projectionType"),
        (
            {"Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [*MANY, "one more"]}},
            "globalSecondaryIndexes.1.member.projection.nonKeyAttributes",
        ),
        (
            {"ProvisionedThroughput": units(0, 1)},
            "globalSecondaryIndexes.1.member.provisionedThroughput.readCapacityUnits",
        ),
    ],
    ids=["short name", "spaces", "no key", "odd projection", "21 names", "no units"],
)
def test_these_break_the_service_model(dynamodb: Any, change: dict[str, Any], member: str) -> None:
    with invalid(constraint_on(member)):
        dynamodb.create_table(
            TableName=unique("varley-test"),
            **schema(),
            GlobalSecondaryIndexes=[{**index("by-pk", "pk"), **change}],
        )


def test_a_name_is_one_indexs_also_if_the_other_is_local(dynamodb: Any) -> None:
    with invalid(f"{INVALID}Duplicate index name: same"):
        dynamodb.create_table(
            TableName=unique("varley-test"),
            **{**schema("S", "S"), "AttributeDefinitions": definitions(pk="S", sk="S", a="S")},
            LocalSecondaryIndexes=[index("same", "pk", "a")],
            GlobalSecondaryIndexes=[index("same", "a")],
        )


def test_a_hundred_names_are_projected_by_all_indexes_together(dynamodb: Any, make_table: Any) -> None:
    # The number is the service model's; the words are not known.
    full = [
        index(f"by-{number}", "pk", projection="INCLUDE", included=[f"n{number}-{each}" for each in MANY])
        for number in range(5)
    ]
    make_table(GlobalSecondaryIndexes=full)
    with invalid():
        dynamodb.create_table(
            TableName=unique("varley-test"),
            **schema(),
            GlobalSecondaryIndexes=[*full, index("one-more", "pk", projection="INCLUDE", included=["x"])],
        )


def test_an_index_has_a_limit_of_its_own(dynamodb: Any) -> None:
    more = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    region = dynamodb.meta.region_name
    with refused(
        "LimitExceededException",
        "The requested ReadCapacityUnits for index by-pk, 40001, is above the per index maximum for the account in "
        f"{region}. Per table maximum: 40000. {more}",
    ):
        dynamodb.create_table(
            TableName=unique("varley-test"),
            **{**schema(), "BillingMode": "PROVISIONED"},
            ProvisionedThroughput=units(1, 1),
            GlobalSecondaryIndexes=[index("by-pk", "pk", ProvisionedThroughput=units(40_001, 1))],
        )
