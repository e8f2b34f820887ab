# Why: a write pays for the indexes that it changes, and is refused if an index could not have what it writes: the item
# in the table and the item in the index must never disagree for good.
# (Developer guide, "Global secondary indexes", "Write capacity units"; texts as users of the service have reported.)

from typing import Any

import pytest

from .eventually import eventually
from .global_indexes import INVALID, definitions, index, number, rows, text, wait_for_rows
from .refusals import invalid
from .table import Item, Table, unique

KB = 1024


@pytest.fixture(scope="module")
def indexed(make_table: Any) -> Table:
    table: Table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(pk="S", sk="S", a="S", n="N", b="B", x="S"),
        LocalSecondaryIndexes=[index("local", "pk", "x", projection="KEYS_ONLY")],
        GlobalSecondaryIndexes=[
            index("by-a", "a", "n", projection="KEYS_ONLY"),
            index("by-b", "b"),
        ],
    )
    return table


@pytest.fixture
def key() -> Item:
    return {"pk": text(unique()), "sk": text("s")}


def cost(answer: dict[str, Any]) -> dict[str, Any]:
    """What a write has cost beside the table: by "local" and "global", by name."""
    consumed = answer["ConsumedCapacity"]
    parts = {
        kind: {name: each["CapacityUnits"] for name, each in consumed.get(member, {}).items()}
        for kind, member in (("local", "LocalSecondaryIndexes"), ("global", "GlobalSecondaryIndexes"))
    }
    own = consumed["Table"]["CapacityUnits"]
    assert consumed["CapacityUnits"] == own + sum(sum(part.values()) for part in parts.values())
    return {kind: part for kind, part in parts.items() if part}


PRICE = {"ReturnConsumedCapacity": "INDEXES"}


# What a write costs


def test_each_index_that_changes_is_paid_for(indexed: Table, key: Item) -> None:
    item = {**key, "a": text("x"), "n": number(1), "x": text("y")}
    assert cost(indexed.put(item, **PRICE)) == {"local": {"local": 1.0}, "global": {"by-a": 1.0}}
    assert cost(indexed.put({**item, "more": text("not projected")}, **PRICE)) == {}
    moved = indexed.update(key, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": number(2)}, **PRICE)
    assert cost(moved) == {"global": {"by-a": 2.0}}    # out of one place, and into another
    gone = indexed.update(key, UpdateExpression="REMOVE a", **PRICE)
    assert cost(gone) == {"global": {"by-a": 1.0}}
    assert cost(indexed.delete(key, **PRICE)) == {"local": {"local": 1.0}}


def test_an_index_of_everything_is_paid_for_by_the_kilobyte(indexed: Table, key: Item) -> None:
    item = {**key, "b": {"B": b"b"}, "big": text("l" * 3 * KB)}
    assert cost(indexed.put(item, **PRICE)) == {"global": {"by-b": 4.0}}
    small = indexed.update(key, UpdateExpression="REMOVE big", **PRICE)
    assert cost(small) == {"global": {"by-b": 4.0}}    # the larger of before and after


def test_total_is_without_parts(indexed: Table, key: Item) -> None:
    answer = indexed.put({**key, "a": text("x"), "n": number(1)}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": indexed.name, "CapacityUnits": 2.0}


def test_a_batch_is_paid_for_together(indexed: Table) -> None:
    requests = [
        {"PutRequest": {"Item": {"pk": text(unique()), "sk": text("s"), "a": text("x"), "n": number(place)}}}
        for place in range(3)
    ]
    answer = indexed.client.batch_write_item(RequestItems={indexed.name: requests}, **PRICE)
    (consumed,) = answer["ConsumedCapacity"]
    assert consumed == {
        "TableName": indexed.name,
        "CapacityUnits": 6.0,
        "Table": {"CapacityUnits": 3.0},
        "GlobalSecondaryIndexes": {"by-a": {"CapacityUnits": 3.0}},
    }


def test_partiql_pays_too(indexed: Table) -> None:
    answer = indexed.client.execute_statement(
        Statement=f"INSERT INTO \"{indexed.name}\" VALUE {{'pk': ?, 'sk': 's', 'a': 'x', 'n': 1}}",
        Parameters=[text(unique())],
        **PRICE,
    )
    assert cost(answer) == {"global": {"by-a": 1.0}}


# What the index has afterwards


def test_the_index_follows_every_kind_of_write(indexed: Table, key: Item) -> None:
    a = unique("a")

    def found() -> list[int]:
        return [int(item["n"]["N"]) for item in rows(indexed, "by-a", "a = :a", a=text(a))]

    indexed.put({**key, "a": text(a), "n": number(1)})
    assert eventually(found, lambda ns: ns == [1]) == [1]
    indexed.update(key, UpdateExpression="SET n = n + :one", ExpressionAttributeValues={":one": number(1)})
    assert eventually(found, lambda ns: ns == [2]) == [2]
    indexed.update(key, UpdateExpression="REMOVE n")
    assert eventually(found, lambda ns: ns == []) == []
    indexed.client.batch_write_item(
        RequestItems={indexed.name: [{"PutRequest": {"Item": {**key, "a": text(a), "n": number(3)}}}]}
    )
    assert eventually(found, lambda ns: ns == [3]) == [3]
    indexed.delete(key)
    assert eventually(found, lambda ns: ns == []) == []


def test_rows_and_bytes_are_told(make_table: Any) -> None:
    table = make_table(
        AttributeDefinitions=definitions(pk="S", a="S"),
        GlobalSecondaryIndexes=[index("keys", "a", projection="KEYS_ONLY")],
    )
    for place in range(3):
        table.put({"pk": text(f"{place}"), "a": text("xy"), "more": text("not counted")})
    table.put({"pk": text("without")})
    wait_for_rows(table, "keys", 3, "a = :a", a=text("xy"))
    if not table.client.meta.endpoint_url.endswith("amazonaws.com"):    # the service counts every six hours
        (shown,) = table.client.describe_table(TableName=table.name)["Table"]["GlobalSecondaryIndexes"]
        assert (shown["ItemCount"], shown["IndexSizeBytes"]) == (3, 3 * (3 + 3))


# What is refused

EMPTY = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty {} value. IndexName: {}, IndexKey: {}"
)
IMPOSSIBLE = [
    ({"a": number(1)}, f"{INVALID}Type mismatch for Index Key a Expected: S Actual: N IndexName: by-a"),
    ({"a": {"NULL": True}}, f"{INVALID}Type mismatch for Index Key a Expected: S Actual: NULL IndexName: by-a"),
    ({"n": text("1")}, f"{INVALID}Type mismatch for Index Key n Expected: N Actual: S IndexName: by-a"),
    ({"a": text("")}, EMPTY.format("string", "by-a", "a")),
    ({"b": {"B": b""}}, EMPTY.format("binary", "by-b", "b")),
    (
        {"a": text("x" * 2049)},
        f"{INVALID}Size limit exceeded for Index Key a Actual Size: 2049 bytes Max Size: 2048 bytes IndexName: by-a",
    ),
]
IDS = ["number", "null", "text", "empty text", "empty binary", "too long"]


@pytest.mark.parametrize(("attributes", "words"), IMPOSSIBLE, ids=IDS)
def test_an_item_that_cannot_be_in_the_index_is_refused(
    indexed: Table, key: Item, attributes: Item, words: str
) -> None:
    # Also if it lacks another attribute of the index's key, and would not be in the index anyway.
    with invalid(words):
        indexed.put({**key, **attributes})
    with invalid(words):
        indexed.client.batch_write_item(RequestItems={indexed.name: [{"PutRequest": {"Item": {**key, **attributes}}}]})
    assert indexed.item(key) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (number(1), "The update expression attempted to update the secondary index key to unsupported type"),
        (
            text(""),
            "One or more parameter values are not valid. The update expression attempted to update a secondary index "
            "key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty "
            "string value.",
        ),
        (
            text("x" * 2049),
            "The update expression attempted to update the secondary index key beyond allowed size limits",
        ),
    ],
    ids=["type", "empty", "too long"],
)
def test_an_update_may_not_make_an_index_key_impossible(indexed: Table, key: Item, value: Item, words: str) -> None:
    indexed.put(key)
    with invalid(words):
        indexed.update(key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": value})
    assert indexed.item(key) == key


def test_an_update_may_not_reach_into_an_index_key(indexed: Table, key: Item) -> None:
    indexed.put({**key, "a": text("x")})
    with invalid() as refusal:
        indexed.update(key, UpdateExpression="SET a.b = :a", ExpressionAttributeValues={":a": text("x")})
    assert refusal.text


def test_the_largest_keys(indexed: Table, make_table: Any) -> None:
    names = ("h1", "h2", "h3", "h4"), ("r1", "r2", "r3", "r4")
    table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(pk="S", sk="S", **dict.fromkeys(names[0] + names[1], "B")),
        GlobalSecondaryIndexes=[index("eight", *names[0], *names[1], hashed=4)],
    )
    values = {name: {"B": b"\0" * 256} for name in names[0] + names[1]}
    item = {"pk": text("p" * 2048), "sk": text("s" * 1024), **values}
    table.put(item)
    condition = " AND ".join(f"{name} = :v" for name in names[0] + names[1])
    assert wait_for_rows(table, "eight", 1, condition, v={"B": b"\0" * 256}) == [item]
