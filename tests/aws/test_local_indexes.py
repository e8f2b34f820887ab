# Why: a local index is chosen when the table is made, can never be changed, and is then trusted like the table itself:
# strong reads, in order, of exactly the items that have its key. Its price is part of every write's price.
# (Developer guide, "Local secondary indexes"; the texts as users of the service have reported them.)

from base64 import b64decode
from typing import Any

import pytest

from .refusals import constraint_on, invalid
from .table import Item, Table, unique

INVALID = "One or more parameter values were invalid: "
KB = 1024


def index(name: str, sort_key: str, projection: str = "ALL", *included: str) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": sort_key, "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": projection, **({"NonKeyAttributes": list(included)} if included else {})},
    }


def definitions(**kinds: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": name, "AttributeType": kind} for name, kind in {"pk": "S", "sk": "S", **kinds}.items()
    ]


@pytest.fixture(scope="module")
def indexed(make_table: Any) -> Table:
    """Keys pk and sk (S); indexes: keys on x (S), some on n (N) with `a`, all on b (B)."""
    table: Table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(x="S", n="N", b="B"),
        LocalSecondaryIndexes=[
            index("keys", "x", "KEYS_ONLY"),
            index("some", "n", "INCLUDE", "a"),
            index("all", "b"),
        ],
    )
    return table


def text(value: str) -> Item:
    return {"S": value}


def key(pk: Item, sk: str) -> Item:
    return {"pk": pk, "sk": text(sk)}


def query(table: Table, name: str, pk: Item, condition: str = "", **more: Any) -> dict[str, Any]:
    values = {":pk": pk, **more.pop("values", {})}
    condition = "pk = :pk" + (f" AND {condition}" if condition else "")
    return table.query(
        condition, IndexName=name, ExpressionAttributeValues=values, **{"ConsistentRead": True, **more}
    )


def places(answer: dict[str, Any]) -> list[str]:
    return [item["sk"]["S"] for item in answer["Items"]]


# The table


def test_the_indexes_are_described(dynamodb: Any, indexed: Table) -> None:
    described = dynamodb.describe_table(TableName=indexed.name)["Table"]
    found = {each["IndexName"]: each for each in described["LocalSecondaryIndexes"]}
    assert set(found) == {"keys", "some", "all"}
    for name, asked in (
        ("keys", index("keys", "x", "KEYS_ONLY")),
        ("some", index("some", "n", "INCLUDE", "a")),
        ("all", index("all", "b")),
    ):
        assert found[name]["KeySchema"] == asked["KeySchema"]
        assert found[name]["Projection"] == asked["Projection"]
        assert found[name]["IndexArn"] == f"{described['TableArn']}/index/{name}"


def test_rows_and_bytes_of_each_index_are_told(dynamodb: Any, make_table: Any) -> None:
    table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(x="S", n="N"),
        LocalSecondaryIndexes=[index("keys", "x", "KEYS_ONLY"), index("all", "n")],
    )
    table.fill(
        [
            {"pk": text("p"), "sk": text("1"), "x": text("x"), "n": {"N": "1"}},
            {"pk": text("q"), "sk": text("1"), "x": text("x")},
            {"pk": text("q"), "sk": text("2")},
        ]
    )
    table.put({"pk": text("q"), "sk": text("1"), "x": text("xyz"), "a": text("a")})
    table.delete({"pk": text("q"), "sk": text("2")})
    described = dynamodb.describe_table(TableName=table.name)["Table"]
    assert described["ItemCount"] == 2
    sizes = {
        each["IndexName"]: (each["ItemCount"], each["IndexSizeBytes"]) for each in described["LocalSecondaryIndexes"]
    }
    assert sizes == {"keys": (2, 8 + 10), "all": (1, 11)}


def test_a_local_index_needs_a_table_with_a_sort_key(dynamodb: Any) -> None:
    with invalid(
        f"{INVALID}Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
    ):
        dynamodb.create_table(
            TableName=unique(),
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "x", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
            LocalSecondaryIndexes=[index("keys", "x")],
        )


@pytest.mark.parametrize(
    ("indexes", "message"),
    [
        pytest.param([index("twice", "x"), index("twice", "x")], f"{INVALID}Duplicate index name: twice", id="names"),
        pytest.param(
            [index(f"index-{number}", "x") for number in range(6)],
            f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5",
            id="six",
        ),
        pytest.param(
            [index("keys", "x", "ALL", "a")],
            f"{INVALID}ProjectionType is ALL, but NonKeyAttributes is specified",
            id="all and some",
        ),
        pytest.param(
            [index("keys", "x", "INCLUDE")],
            f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
            id="included nothing",
        ),
        pytest.param(
            [index("keys", "x", "INCLUDE", *(f"a{number}" for number in range(21)))],
            constraint_on("localSecondaryIndexes.1.member.projection.nonKeyAttributes"),
            id="21 attributes",
        ),
        pytest.param(
            [index("keys", "y")],
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            "Keys: [pk, sk, y], AttributeDefinitions: [pk, sk, x]",
            id="undefined",
        ),
    ],
)
def test_these_indexes_are_refused(make_table: Any, indexes: list[Any], message: Any) -> None:
    with invalid(message):
        make_table("S", "S", AttributeDefinitions=definitions(x="S"), LocalSecondaryIndexes=indexes)


# What is in an index


def test_an_item_is_found_by_its_other_sort_key(indexed: Table) -> None:
    pk = text(unique())
    item = {**key(pk, "1"), "x": text("x"), "n": {"N": "5"}, "b": {"B": b"\0"}, "a": text("a"), "other": text("o")}
    indexed.put(item)
    assert query(indexed, "keys", pk)["Items"] == [{**key(pk, "1"), "x": text("x")}]
    assert query(indexed, "some", pk)["Items"] == [{**key(pk, "1"), "n": {"N": "5"}, "a": text("a")}]
    assert query(indexed, "all", pk)["Items"] == [item]


def test_an_item_without_the_key_is_not_in_the_index(indexed: Table) -> None:
    pk = text(unique())
    indexed.put({**key(pk, "1"), "n": {"N": "5"}})
    assert query(indexed, "keys", pk)["Items"] == []
    assert places(query(indexed, "some", pk)) == ["1"]


def test_an_index_follows_every_kind_of_write_at_once(indexed: Table) -> None:
    pk = text(unique())
    at = key(pk, "1")
    indexed.put({**at, "x": text("a"), "n": {"N": "1"}})
    indexed.put({**at, "x": text("b"), "n": {"N": "1"}})
    assert [item["x"] for item in query(indexed, "keys", pk)["Items"]] == [text("b")]
    values = {":x": text("c"), ":n": {"N": "9"}}
    indexed.update(at, UpdateExpression="SET x = :x ADD n :n", ExpressionAttributeValues=values)
    assert [item["x"] for item in query(indexed, "keys", pk)["Items"]] == [text("c")]
    assert [item["n"] for item in query(indexed, "some", pk)["Items"]] == [{"N": "10"}]
    indexed.update(at, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": text("new")})
    assert [item["a"] for item in query(indexed, "some", pk)["Items"]] == [text("new")]
    indexed.update(at, UpdateExpression="REMOVE x")
    assert query(indexed, "keys", pk)["Items"] == []
    indexed.fill([{**key(pk, "2"), "x": text("z")}])
    assert places(query(indexed, "keys", pk)) == ["2"]
    indexed.delete(key(pk, "2"))
    assert query(indexed, "keys", pk)["Items"] == []
    indexed.client.batch_write_item(RequestItems={indexed.name: [{"DeleteRequest": {"Key": at}}]})
    assert query(indexed, "some", pk)["Items"] == []


def test_a_refused_write_leaves_the_index_alone(indexed: Table) -> None:
    pk = text(unique())
    indexed.put({**key(pk, "1"), "x": text("a")})
    with pytest.raises(indexed.client.exceptions.ConditionalCheckFailedException):
        indexed.put({**key(pk, "1"), "x": text("b")}, ConditionExpression="attribute_not_exists(pk)")
    assert [item["x"] for item in query(indexed, "keys", pk)["Items"]] == [text("a")]


def test_an_index_on_the_tables_own_sort_key_is_allowed(make_table: Any) -> None:
    table = make_table("S", "S", LocalSecondaryIndexes=[index("same", "sk", "KEYS_ONLY")])
    table.fill([{**key(text("p"), sk), "a": text("a")} for sk in "cab"])
    pages = list(
        table.pages(
            "query",
            IndexName="same",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text("p")},
            Limit=2,
        )
    )
    assert [places(page) for page in pages] == [["a", "b"], ["c"]]
    assert set(pages[0]["LastEvaluatedKey"]) == {"pk", "sk"}


# What may be written


def put_mismatch(name: str, expected: str, actual: str, of: str) -> str:
    return f"{INVALID}Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} IndexName: {of}"


def put_empty(kind: str, of: str, name: str) -> str:
    return (
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
        f"The AttributeValue for a key attribute cannot contain an empty {kind} value. "
        f"IndexName: {of}, IndexKey: {name}"
    )


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ({"x": {"N": "1"}}, put_mismatch("x", "S", "N", "keys")),
        ({"n": {"S": "1"}}, put_mismatch("n", "N", "S", "some")),
        ({"b": {"L": []}}, put_mismatch("b", "B", "L", "all")),
        ({"x": {"NULL": True}}, put_mismatch("x", "S", "NULL", "keys")),
        ({"x": {"S": ""}}, put_empty("string", "keys", "x")),
        ({"b": {"B": b""}}, put_empty("binary", "all", "b")),
        (
            {"x": {"S": "x" * 1025}},
            f"{INVALID}Size limit exceeded for Index Key x Actual Size: 1025 bytes Max Size: 1024 bytes "
            "IndexName: keys",
        ),
    ],
    ids=["text", "number", "binary", "null", "empty text", "empty binary", "too long"],
)
def test_an_index_key_must_be_as_it_is_defined(indexed: Table, attribute: Item, message: str) -> None:
    item = {**key(text(unique()), "1"), **attribute}
    with invalid(message):
        indexed.put(item)
    with invalid(message):
        indexed.client.batch_write_item(RequestItems={indexed.name: [{"PutRequest": {"Item": item}}]})
    assert indexed.item({"pk": item["pk"], "sk": item["sk"]}) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"N": "1"}, "The update expression attempted to update the secondary index key to unsupported type"),
        (
            {"S": ""},
            "One or more parameter values are not valid. The update expression attempted to update a secondary index "
            "key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty "
            "string value.",
        ),
        (
            {"S": "x" * 1025},
            "The update expression attempted to update the secondary index key beyond allowed size limits",
        ),
    ],
    ids=["type", "empty", "too long"],
)
def test_an_update_may_not_make_an_index_key_impossible(indexed: Table, value: Item, message: str) -> None:
    at = key(text(unique()), "1")
    with invalid(message):
        indexed.update(at, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": value})
    assert indexed.item(at) is None


def test_an_update_may_not_look_inside_an_index_key(indexed: Table) -> None:
    with invalid(
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: x"
    ):
        indexed.update(
            key(text(unique()), "1"), UpdateExpression="SET x.y = :x", ExpressionAttributeValues={":x": text("x")}
        )


def test_an_old_style_update_is_refused_as_a_put_is(indexed: Table) -> None:
    with invalid(put_mismatch("x", "S", "N", "keys")):
        indexed.update(key(text(unique()), "1"), AttributeUpdates={"x": {"Value": {"N": "1"}}})


# Order, conditions, pages


@pytest.fixture(scope="module")
def numbered(indexed: Table) -> Item:
    """A partition key under which n is -2, -1.5, 0, 0, 0, 10, 11 and once missing; items of one n have no order."""
    pk = text(unique("numbered"))
    numbers = {"1": "10", "2": "0", "3": "-1.5", "4": "0", "5": "-2", "6": "11", "7": "0"}
    indexed.fill([{**key(pk, sk), "n": {"N": number}} for sk, number in numbers.items()] + [key(pk, "8")])
    return pk


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("", {}, "-2 -1.5 0 0 0 10 11"),
        ("n = :a", {":a": {"N": "0"}}, "0 0 0"),
        ("n < :a", {":a": {"N": "0"}}, "-2 -1.5"),
        ("n <= :a", {":a": {"N": "0"}}, "-2 -1.5 0 0 0"),
        ("n > :a", {":a": {"N": "0"}}, "10 11"),
        ("n >= :a", {":a": {"N": "0"}}, "0 0 0 10 11"),
        ("n BETWEEN :a AND :b", {":a": {"N": "-1.5"}, ":b": {"N": "10"}}, "-1.5 0 0 0 10"),
        ("n = :a", {":a": {"N": "5"}}, ""),
    ],
)
def test_a_condition_is_on_the_key_of_the_index(
    indexed: Table, numbered: Item, condition: str, values: Item, expected: str
) -> None:
    forward = query(indexed, "some", numbered, condition, values=values)["Items"]
    assert " ".join(item["n"]["N"] for item in forward) == expected
    assert len({item["sk"]["S"] for item in forward}) == len(forward)
    backward = query(indexed, "some", numbered, condition, values=values, ScanIndexForward=False)["Items"]
    assert backward == forward[::-1]


def test_an_old_style_condition_too(indexed: Table, numbered: Item) -> None:
    answer = indexed.query(
        IndexName="some",
        KeyConditions={
            "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [numbered]},
            "n": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "10"}]},
        },
        ConsistentRead=True,
    )
    assert places(answer) == ["1", "6"]


def test_a_prefix_selects_what_begins_with_it(indexed: Table) -> None:
    pk = text(unique())
    texts = ["a", "a\0", "a\0\x01", "a\x01", "aa", "ab", "b", "é"]
    indexed.fill([{**key(pk, str(number)), "x": text(each)} for number, each in enumerate(texts)])
    for prefix in ("a", "a\0", "aa", "é", "c"):
        answer = query(indexed, "keys", pk, "begins_with(x, :x)", values={":x": text(prefix)})
        assert [item["x"]["S"] for item in answer["Items"]] == [each for each in texts if each.startswith(prefix)]


def test_bytes_are_ordered_as_unsigned(indexed: Table) -> None:
    pk = text(unique())
    ordered = [b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
    indexed.fill([{**key(pk, str(number)), "b": {"B": each}} for number, each in enumerate(reversed(ordered))])
    assert [item["b"]["B"] for item in query(indexed, "all", pk)["Items"]] == ordered


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("select", ["ALL_PROJECTED_ATTRIBUTES", "ALL_ATTRIBUTES"])
def test_pages_join_where_many_items_share_an_index_key(
    indexed: Table, numbered: Item, forward: bool, limit: int, select: str
) -> None:
    pages = list(
        indexed.pages(
            "query",
            IndexName="some",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": numbered},
            ScanIndexForward=forward,
            Limit=limit,
            Select=select,
            ConsistentRead=True,
        )
    )
    found = [sk for page in pages for sk in places(page)]
    assert found == places(query(indexed, "some", numbered, ScanIndexForward=forward))
    assert sorted(found) == list("1234567")
    assert all(page["ScannedCount"] == limit for page in pages[:-1])
    for page in pages[:-1]:
        last = page["Items"][-1]
        assert page["LastEvaluatedKey"] == {name: last[name] for name in ("pk", "sk", "n")}


def test_a_page_may_begin_where_no_row_is(indexed: Table, numbered: Item) -> None:
    start = {**key(numbered, "5"), "n": {"N": "10.5"}}
    assert places(query(indexed, "some", numbered, ExclusiveStartKey=start)) == ["6"]
    answer = query(indexed, "some", numbered, ExclusiveStartKey=start, ScanIndexForward=False)
    assert [item["n"]["N"] for item in answer["Items"]] == ["10", "0", "0", "0", "-1.5", "-2"]


START_INVALID = "The provided starting key is invalid"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, START_INVALID),
        ({"x": text("1")}, START_INVALID),
        ({"n": {"N": "1"}, "x": text("1")}, START_INVALID),
        ({"n": text("1")}, f"{START_INVALID}: {put_mismatch('n', 'N', 'S', 'some')}"),
        ({"n": {"N": "99"}}, "The provided starting key does not match the range key predicate"),
    ],
    ids=["the table's key", "another attribute", "one more", "another type", "outside"],
)
def test_these_places_to_begin_are_refused(indexed: Table, numbered: Item, more: Item, message: str) -> None:
    with invalid(message):
        query(
            indexed,
            "some",
            numbered,
            "n < :n",
            values={":n": {"N": "50"}},
            ExclusiveStartKey={**key(numbered, "1"), **more},
        )


def test_a_place_in_another_collection_is_refused(indexed: Table, numbered: Item) -> None:
    with invalid("The provided starting key is outside query boundaries based on provided conditions"):
        query(indexed, "some", numbered, ExclusiveStartKey={**key(text("other"), "1"), "n": {"N": "1"}})


def test_keys_of_1024_bytes_are_found_and_ordered(indexed: Table) -> None:
    pk = text(unique())
    zeros, ones = b"\0" * 1024, b"\0" * 1023 + b"\x01"
    indexed.put({**key(pk, "s" * 1024), "b": {"B": ones}})
    indexed.put({**key(pk, "t" * 1024), "b": {"B": zeros}})
    indexed.put({**key(pk, "u" * 1024), "b": {"B": zeros}})
    pages = list(
        indexed.pages(
            "query",
            IndexName="all",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": pk},
            Limit=1,
        )
    )
    assert [sk[0] for page in pages for sk in places(page)] == ["t", "u", "s"]


# What is asked for


@pytest.fixture(scope="module")
def large(indexed: Table) -> Item:
    """A partition key with items of 5,000 and 100 bytes, `a` among their attributes, in all indexes."""
    pk = text(unique("large"))
    for sk, size in (("1", 5000), ("2", 100)):
        item = {**key(pk, sk), "x": text("x"), "n": {"N": "1"}, "b": {"B": b"b"}, "a": text("a")}
        used = 2 + len(pk["S"]) + 3 + 2 + 3 + 2 + 2 + len("rest")
        indexed.put({**item, "rest": text("r" * (size - used))})
    return pk


def capacity(answer: dict[str, Any]) -> tuple[float, float, dict[str, float]]:
    """(total, the table's share, the indexes' shares)."""
    consumed = answer["ConsumedCapacity"]
    indexes = consumed.get("LocalSecondaryIndexes", {})
    return (
        consumed["CapacityUnits"],
        consumed["Table"]["CapacityUnits"],
        {name: each["CapacityUnits"] for name, each in indexes.items()},
    )


@pytest.mark.parametrize(
    ("name", "parameters", "attributes", "table_units"),
    [
        ("keys", {}, {"pk", "sk", "x"}, 0.0),
        ("some", {}, {"pk", "sk", "n", "a"}, 0.0),
        ("all", {"Select": "ALL_ATTRIBUTES"}, {"pk", "sk", "x", "n", "b", "a", "rest"}, 0.0),
        ("keys", {"Select": "ALL_PROJECTED_ATTRIBUTES"}, {"pk", "sk", "x"}, 0.0),
        ("keys", {"Select": "ALL_ATTRIBUTES"}, {"pk", "sk", "x", "n", "b", "a", "rest"}, 3.0),
        ("keys", {"ProjectionExpression": "sk, x"}, {"sk", "x"}, 0.0),
        ("keys", {"ProjectionExpression": "sk, a"}, {"sk", "a"}, 3.0),
        ("some", {"ProjectionExpression": "sk, a"}, {"sk", "a"}, 0.0),
        ("keys", {"AttributesToGet": ["x", "rest"]}, {"x", "rest"}, 3.0),
    ],
    ids=[
        "keys", "included", "all", "projected", "everything", "expression within", "expression beyond",
        "included expression", "old style",
    ],
)
def test_what_is_not_projected_is_fetched_at_the_price_of_each_item(
    indexed: Table, large: Item, name: str, parameters: Any, attributes: set[str], table_units: float
) -> None:
    # Old style throughout, since AttributesToGet may not stand beside an expression, but for the expressions.
    condition: dict[str, Any] = {
        "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [large]}}
    }
    if "ProjectionExpression" in parameters:
        condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": large}}
    index_units = 2.0 if name == "all" else 1.0
    for strong in (True, False):
        answer = indexed.query(
            IndexName=name, ConsistentRead=strong, ReturnConsumedCapacity="INDEXES", **condition, **parameters
        )
        assert [set(item) for item in answer["Items"]] == [attributes, attributes]
        share = 1.0 if strong else 0.5
        assert capacity(answer) == (
            share * (table_units + index_units), share * table_units, {name: share * index_units}
        )  # fmt: skip


def test_a_count_reads_the_index_only(indexed: Table, large: Item) -> None:
    answer = query(indexed, "keys", large, Select="COUNT", ReturnConsumedCapacity="INDEXES")
    assert (answer["Count"], answer["ScannedCount"]) == (2, 2)
    assert capacity(answer) == (1.0, 0.0, {"keys": 1.0})


def test_total_capacity_is_of_index_and_table(indexed: Table, large: Item) -> None:
    answer = query(indexed, "keys", large, Select="ALL_ATTRIBUTES", ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": indexed.name, "CapacityUnits": 4.0}


def test_a_page_that_fetches_ends_earlier(indexed: Table) -> None:
    pk = text(unique())
    indexed.fill([{**key(pk, f"{number:03}"), "x": text("x"), "a": text("a")} for number in range(300)])
    assert query(indexed, "keys", pk)["Count"] == 300
    first = query(indexed, "keys", pk, Select="ALL_ATTRIBUTES")
    # 1 MB, where each item counts as 4 KB, and so do some thousand bytes of the index: 256 of them at most.
    assert 240 <= first["Count"] <= 256
    rest = query(indexed, "keys", pk, Select="ALL_ATTRIBUTES", ExclusiveStartKey=first["LastEvaluatedKey"])
    assert first["Count"] + rest["Count"] == 300
    assert "LastEvaluatedKey" not in rest


def test_a_filter_leaves_out_what_was_read(indexed: Table, numbered: Item) -> None:
    answer = query(indexed, "some", numbered, FilterExpression="sk > :sk", values={":sk": text("4")})
    assert sorted(places(answer)) == ["5", "6", "7"]
    assert (answer["Count"], answer["ScannedCount"]) == (3, 7)


@pytest.mark.parametrize("name", ["pk", "n"])
def test_a_filter_may_not_speak_of_the_key_of_the_index(indexed: Table, numbered: Item, name: str) -> None:
    with invalid(f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"):
        query(indexed, "some", numbered, FilterExpression=f"attribute_exists({name})")


def test_a_filter_may_not_speak_of_what_the_index_lacks(indexed: Table, numbered: Item) -> None:
    with invalid(f"{INVALID}Secondary index keys does not project one or more filter attributes: [a]"):
        query(indexed, "keys", numbered, FilterExpression="attribute_exists(a)", Select="ALL_ATTRIBUTES")


@pytest.mark.parametrize("operation", ["query", "scan"])
def test_an_index_that_is_not_is_refused(indexed: Table, operation: str) -> None:
    with invalid("The table does not have the specified index: nope"):
        if operation == "scan":
            indexed.scan(IndexName="nope")
        else:
            query(indexed, "nope", text("p"))


def test_the_tables_sort_key_is_no_key_of_the_index(indexed: Table, numbered: Item) -> None:
    with invalid("Query condition missed key schema element: n"):
        query(indexed, "some", numbered, "sk = :sk", values={":sk": text("1")})


# Scan


@pytest.fixture(scope="module")
def scanned(make_table: Any) -> Table:
    """100 items of 20 partition keys, every second one in the index on x."""
    table: Table = make_table(
        "S", "S", AttributeDefinitions=definitions(x="S"), LocalSecondaryIndexes=[index("keys", "x", "KEYS_ONLY")]
    )
    table.fill(
        [
            {
                **key(text(f"group {number % 20}"), f"{number:02}"),
                "a": text("a"),
                **({"x": text("x")} if number % 2 else {}),
            }
            for number in range(100)
        ]
    )
    return table


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("segments", [1, 3])
def test_a_scan_of_an_index_sees_each_of_its_rows_once(scanned: Table, limit: int, segments: int) -> None:
    found = []
    for segment in range(segments):
        for page in scanned.pages(
            "scan", IndexName="keys", Limit=limit, Segment=segment, TotalSegments=segments, ConsistentRead=True
        ):
            found += [item["sk"]["S"] for item in page["Items"]]
            assert all(set(item) == {"pk", "sk", "x"} for item in page["Items"])
    assert sorted(found) == [f"{number:02}" for number in range(1, 100, 2)]


def test_a_scan_of_the_table_shows_no_rows_of_indexes(scanned: Table) -> None:
    answer = scanned.scan(ConsistentRead=True)
    assert answer["ScannedCount"] == 100
    assert len({item["sk"]["S"] for item in answer["Items"]}) == 100


def test_a_scan_fetches_what_is_not_projected(scanned: Table) -> None:
    answer = scanned.scan(IndexName="keys", Select="ALL_ATTRIBUTES", ConsistentRead=True)
    assert all(item["a"] == text("a") for item in answer["Items"])
    answer = scanned.scan(IndexName="keys", ProjectionExpression="a", ConsistentRead=True)
    assert answer["Items"] == [{"a": text("a")}] * 50


def test_a_scans_filter_may_speak_of_anything(scanned: Table) -> None:
    answer = scanned.scan(
        IndexName="keys",
        FilterExpression="a = :a AND sk < :sk",
        ExpressionAttributeValues={":a": text("a"), ":sk": text("10")},
        ConsistentRead=True,
    )
    assert (answer["Count"], answer["ScannedCount"]) == (5, 50)
    assert all(set(item) == {"pk", "sk", "x"} for item in answer["Items"])


# What a write costs


def test_what_a_write_costs_in_each_index(indexed: Table) -> None:
    at = key(text(unique()), "1")

    def cost(**attributes: Item) -> tuple[float, float, dict[str, float]]:
        return capacity(indexed.put({**at, **attributes}, ReturnConsumedCapacity="INDEXES"))

    assert cost() == (1.0, 1.0, {})
    assert cost(x=text("a")) == (2.0, 1.0, {"keys": 1.0})    # it comes
    assert cost(x=text("a")) == (1.0, 1.0, {})    # it stays as it is
    assert cost(x=text("a"), a=text("a")) == (1.0, 1.0, {})    # what the index does not have
    assert cost(x=text("b")) == (3.0, 1.0, {"keys": 2.0})    # it moves: gone from one place, put in another
    assert cost() == (2.0, 1.0, {"keys": 1.0})    # it goes
    assert cost(n={"N": "1"}, a=text("a")) == (2.0, 1.0, {"some": 1.0})
    assert cost(n={"N": "1"}, a=text("b")) == (2.0, 1.0, {"some": 1.0})    # it is changed in place
    assert cost(x=text("x"), n={"N": "2"}, b={"B": b"b"}) == (5.0, 1.0, {"keys": 1.0, "some": 2.0, "all": 1.0})
    answer = indexed.delete(at, ReturnConsumedCapacity="INDEXES")
    assert capacity(answer) == (4.0, 1.0, {"keys": 1.0, "some": 1.0, "all": 1.0})


def test_an_index_row_costs_by_its_own_size(indexed: Table) -> None:
    at = key(text(unique()), "1")
    item = {**at, "x": text("x"), "n": {"N": "1"}, "a": text("a" * 2 * KB), "rest": text("r" * 2 * KB)}
    answer = indexed.put(item, ReturnConsumedCapacity="INDEXES")
    assert capacity(answer) == (5.0 + 1.0 + 3.0, 5.0, {"keys": 1.0, "some": 3.0})
    answer = indexed.update(
        at,
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": text("a")},
        ReturnConsumedCapacity="INDEXES",
    )
    assert capacity(answer) == (5.0 + 3.0, 5.0, {"some": 3.0})    # the larger of before and after


def test_a_batch_tells_what_all_of_it_cost(indexed: Table) -> None:
    pk = text(unique())
    indexed.put({**key(pk, "1"), "x": text("x")})
    answer = indexed.client.batch_write_item(
        RequestItems={
            indexed.name: [
                {"DeleteRequest": {"Key": key(pk, "1")}},
                {"PutRequest": {"Item": {**key(pk, "2"), "x": text("x"), "n": {"N": "1"}}}},
            ]
        },
        ReturnConsumedCapacity="INDEXES",
    )
    assert capacity({"ConsumedCapacity": answer["ConsumedCapacity"][0]}) == (5.0, 2.0, {"keys": 2.0, "some": 1.0})


def test_a_batch_of_statements_tells_it_by_index_too(indexed: Table) -> None:
    pk = text(unique())
    values = "{'pk': ?, 'sk': ?, 'x': 'one', 'n': 1}"
    statements = [
        {
            "Statement": f'INSERT INTO "{indexed.name}" VALUE {values}',
            "Parameters": [pk, text(sort)],
        }
        for sort in "ab"
    ]
    answer = indexed.client.batch_execute_statement(Statements=statements, ReturnConsumedCapacity="INDEXES")
    [consumed] = answer["ConsumedCapacity"]
    assert consumed == {
        "TableName": indexed.name,
        "CapacityUnits": 6.0,
        "Table": {"CapacityUnits": 2.0},
        "LocalSecondaryIndexes": {"keys": {"CapacityUnits": 2.0}, "some": {"CapacityUnits": 2.0}},
    }


def test_a_read_of_the_table_has_nothing_to_do_with_indexes(indexed: Table, large: Item) -> None:
    answer = indexed.get(key(large, "2"), ConsistentRead=True, ReturnConsumedCapacity="INDEXES")
    assert capacity(answer) == (1.0, 1.0, {})


# Item collections


def test_a_write_tells_how_large_its_collection_is(indexed: Table) -> None:
    at = key(text(unique()), "1")
    size = {"ReturnItemCollectionMetrics": "SIZE"}
    expected = {"ItemCollectionKey": {"pk": at["pk"]}, "SizeEstimateRangeGB": [0.0, 1.0]}
    assert indexed.put(at, **size)["ItemCollectionMetrics"] == expected
    answer = indexed.update(
        at, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": text("a")}, ReturnValues="ALL_NEW", **size
    )
    assert answer["ItemCollectionMetrics"] == expected
    assert answer["Attributes"] == {**at, "a": text("a")}
    assert indexed.delete(at, **size)["ItemCollectionMetrics"] == expected
    assert "ItemCollectionMetrics" not in indexed.put(at)
    assert "ItemCollectionMetrics" not in indexed.put(at, ReturnItemCollectionMetrics="NONE")


def test_a_batch_tells_it_once_for_each_collection(indexed: Table) -> None:
    one, other = text(unique()), text(unique())
    items = [key(one, "1"), key(one, "2"), key(other, "1")]
    answer = indexed.client.batch_write_item(
        RequestItems={indexed.name: [{"PutRequest": {"Item": item}} for item in items]},
        ReturnItemCollectionMetrics="SIZE",
    )
    found = answer["ItemCollectionMetrics"][indexed.name]
    assert sorted(each["ItemCollectionKey"]["pk"]["S"] for each in found) == sorted([one["S"], other["S"]])


def test_a_table_without_local_indexes_has_no_collections_to_tell_of(sorted_table: Table) -> None:
    answer = sorted_table.put(key(text(unique()), "1"), ReturnItemCollectionMetrics="SIZE")
    assert "ItemCollectionMetrics" not in answer


def test_an_item_and_its_index_row_have_400_kb_together(indexed: Table) -> None:
    at = key(text(unique()), "1")
    large = text("r" * 250 * KB)
    indexed.put({**at, "x": text("x"), "rest": large})    # in an index that has little of it
    with invalid("Item size has exceeded the maximum allowed size"):
        indexed.put({**at, "b": {"B": b64decode("AA==")}, "rest": large})
    with invalid("Item size to update has exceeded the maximum allowed size"):
        indexed.update(at, UpdateExpression="SET b = :b", ExpressionAttributeValues={":b": {"B": b"b"}})
