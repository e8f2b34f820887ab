# Why: an index is read as a table is, with these differences: many items may have one key, what is not projected is not
# there, nothing is read strongly, and a place in it is the index's key and the table's.
# (Developer guide, "Global secondary indexes", "Querying", "Multi-attribute keys"; texts as users of the service have
# reported them.)

import itertools
import re
from typing import Any

import pytest

from .eventually import eventually
from .global_indexes import INVALID, definitions, index, number, text, wait_for_rows
from .refusals import invalid
from .table import Item, Table, unique

KB = 1024


@pytest.fixture(scope="module")
def indexed(make_table: Any) -> Table:
    """Keys pk and sk (S); indexes: keys on a (S), some on a and n (N) with `p`, all on n."""
    table: Table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(pk="S", sk="S", a="S", n="N"),
        GlobalSecondaryIndexes=[
            index("keys", "a", projection="KEYS_ONLY"),
            index("some", "a", "n", projection="INCLUDE", included=["p"]),
            index("all", "n"),
        ],
    )
    return table


def items(a: str, count: int, **more: Item) -> list[Item]:
    """They all have `a`; `n` is 0, 0, 1, 1, 2, …"""
    return [
        {"pk": text(f"{a}-{place}"), "sk": text("s"), "a": text(a), "n": number(place // 2), "p": text("p"),
         "q": text("q"), **more}
        for place in range(count)
    ]  # fmt: skip


@pytest.fixture
def a(indexed: Table) -> str:
    """The key of ten items in each index on `a`."""
    key = unique("a")
    indexed.fill(items(key, 10))
    wait_for_rows(indexed, "keys", 10, "a = :a", a=text(key))
    wait_for_rows(indexed, "some", 10, "a = :a", a=text(key))
    return key


def query(table: Table, name: str, a: str, condition: str = "", **more: Any) -> dict[str, Any]:
    values = {":a": text(a), **more.pop("values", {})}
    return table.query("a = :a" + condition, IndexName=name, ExpressionAttributeValues=values, **more)


def ns(answer: dict[str, Any]) -> list[int]:
    return [int(item["n"]["N"]) for item in answer["Items"]]


# Query


def test_items_come_in_the_order_of_the_sort_key(indexed: Table, a: str) -> None:
    assert ns(query(indexed, "some", a)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert ns(query(indexed, "some", a, ScanIndexForward=False)) == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("condition", "values", "found"),
    [
        (" AND n = :n", {":n": number(2)}, [2, 2]),
        (" AND n < :n", {":n": number(1)}, [0, 0]),
        (" AND n >= :n", {":n": number(4)}, [4, 4]),
        (" AND n BETWEEN :n AND :m", {":n": number(1), ":m": number(2)}, [1, 1, 2, 2]),
    ],
)
def test_conditions_on_the_sort_key(indexed: Table, a: str, condition: str, values: Any, found: list[int]) -> None:
    assert ns(query(indexed, "some", a, condition, values=values)) == found


def test_old_style_conditions(indexed: Table, a: str) -> None:
    answer = indexed.query(
        IndexName="some",
        KeyConditions={
            "a": {"ComparisonOperator": "EQ", "AttributeValueList": [text(a)]},
            "n": {"ComparisonOperator": "GT", "AttributeValueList": [number(3)]},
        },
        QueryFilter={"p": {"ComparisonOperator": "EQ", "AttributeValueList": [text("p")]}},
        AttributesToGet=["n"],
    )
    assert answer["Items"] == [{"n": number(4)}] * 2


def test_what_is_projected_is_there(indexed: Table, a: str) -> None:
    place = text(f"{a}-0")
    assert next(item for item in query(indexed, "keys", a)["Items"] if item["pk"] == place) == {
        "pk": place, "sk": text("s"), "a": text(a)
    }  # fmt: skip
    assert next(item for item in query(indexed, "some", a)["Items"] if item["pk"] == place) == {
        "pk": place, "sk": text("s"), "a": text(a), "n": number(0), "p": text("p")
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 3, 4])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_items_with_equal_keys(indexed: Table, a: str, limit: int, forward: bool) -> None:
    pages = list(
        indexed.pages(
            "query",
            IndexName="some",
            KeyConditionExpression="a = :a",
            ExpressionAttributeValues={":a": text(a)},
            Limit=limit,
            ScanIndexForward=forward,
        )
    )
    found = [item for page in pages for item in page["Items"]]
    assert {item["pk"]["S"] for item in found} == {f"{a}-{place}" for place in range(10)}
    assert len(found) == 10
    order = [int(item["n"]["N"]) for item in found]
    assert order == sorted(order, reverse=not forward)
    for page in pages[:-1]:
        last = page["Items"][-1]
        assert page["LastEvaluatedKey"] == {name: last[name] for name in ("pk", "sk", "a", "n")}


def test_a_page_may_begin_behind_an_item_that_is_gone(indexed: Table, a: str) -> None:
    first = query(indexed, "some", a, Limit=3)
    key = {name: first["LastEvaluatedKey"][name] for name in ("pk", "sk")}
    indexed.delete(key)
    eventually(lambda: len(query(indexed, "some", a)["Items"]) == 9)
    rest = query(indexed, "some", a, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert len(rest["Items"]) == 7


def test_a_filter_sees_what_is_projected(indexed: Table, a: str) -> None:
    values = {":p": text("p"), ":pk": text(f"{a}-3")}
    answer = query(indexed, "some", a, FilterExpression="p = :p AND pk = :pk", values=values)
    assert (answer["Count"], answer["ScannedCount"]) == (1, 10)
    with invalid(f"{INVALID}Secondary index some does not project one or more filter attributes: [q]"):
        query(indexed, "some", a, FilterExpression="q = :q", values={":q": text("q")})
    with invalid(
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: n"
    ):
        query(indexed, "some", a, FilterExpression="n = :n", values={":n": number(1)})


def test_what_is_not_projected_cannot_be_asked_for(indexed: Table, a: str) -> None:
    with invalid(f"{INVALID}Global secondary index some does not project [q]"):
        query(indexed, "some", a, ProjectionExpression="p, q")
    with invalid(f"{INVALID}Global secondary index keys does not project [p, q]"):
        query(indexed, "keys", a, ProjectionExpression="pk, p[0], q.x")
    with invalid(
        f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index some because its projection "
        "type is not ALL"
    ):
        query(indexed, "some", a, Select="ALL_ATTRIBUTES")


def test_select(indexed: Table, a: str) -> None:
    count = query(indexed, "some", a, Select="COUNT")
    assert (count["Count"], "Items" in count) == (10, False)
    projected = query(indexed, "some", a, Select="ALL_PROJECTED_ATTRIBUTES", Limit=1)
    assert set(projected["Items"][0]) == {"pk", "sk", "a", "n", "p"}
    chosen = query(indexed, "some", a, Select="SPECIFIC_ATTRIBUTES", ProjectionExpression="p, n", Limit=1)
    assert set(chosen["Items"][0]) == {"n", "p"}
    everything = indexed.query(
        "n = :n",
        IndexName="all",
        ExpressionAttributeValues={":n": number(0)},
        Select="ALL_ATTRIBUTES",
        Limit=1,
    )
    assert set(everything["Items"][0]) == {"pk", "sk", "a", "n", "p", "q"}


def test_nothing_is_read_strongly(indexed: Table, a: str) -> None:
    words = "Consistent reads are not supported on global secondary indexes"
    with invalid(words):
        query(indexed, "some", a, ConsistentRead=True)
    with invalid(words):
        indexed.scan(IndexName="some", ConsistentRead=True)
    assert query(indexed, "some", a, ConsistentRead=False)["Count"] == 10


@pytest.mark.parametrize(
    ("condition", "values", "words"),
    [
        ("pk = :a", {}, "Query condition missed key schema element: a"),
        ("a = :a AND pk = :a", {}, "Query condition missed key schema element: n"),
        ("a > :a", {}, "Query key condition not supported"),
        ("a = :a AND n = :a", {}, f"{INVALID}Condition parameter type does not match schema type"),
        (
            "a = :e",
            {":e": text("")},
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            "The AttributeValue for a key attribute cannot contain an empty string value. "
            "IndexName: some, IndexKey: a",
        ),
    ],
)
def test_conditions_that_do_not_fit_the_index(indexed: Table, condition: str, values: Any, words: str) -> None:
    used = {name: value for name, value in {":a": text("x"), **values}.items() if name in condition}
    with invalid(words):
        indexed.query(condition, IndexName="some", ExpressionAttributeValues=used)


def test_an_index_that_is_not_there(indexed: Table) -> None:
    with invalid("The table does not have the specified index: nobody"):
        indexed.scan(IndexName="nobody")


@pytest.mark.parametrize(
    ("start_key", "words"),
    [
        ({"pk": text("p"), "sk": text("s")}, "The provided starting key is invalid"),
        ({"a": text("x"), "n": number(1)}, "The provided starting key is invalid"),
        (
            {"pk": text("p"), "sk": text("s"), "a": text("x"), "n": number(1), "more": text("m")},
            "The provided starting key is invalid",
        ),
        (
            {"pk": text("p"), "sk": text("s"), "a": text("x"), "n": text("1")},
            re.compile("The provided starting key is invalid: .*"),
        ),
        (
            {"pk": number(1), "sk": text("s"), "a": text("x"), "n": number(1)},
            re.compile("The provided starting key is invalid: .*"),
        ),
    ],
    ids=["of the table", "of the index", "more", "wrong kind in the index", "wrong kind in the table"],
)
def test_a_place_to_begin_that_cannot_be(indexed: Table, start_key: Item, words: Any) -> None:
    with invalid(words):
        query(indexed, "some", "x", ExclusiveStartKey=start_key)


def test_a_place_to_begin_that_is_elsewhere(indexed: Table, a: str) -> None:
    place = {"pk": text("p"), "sk": text("s"), "a": text("another"), "n": number(1)}
    with invalid("The provided starting key is outside query boundaries based on provided conditions"):
        query(indexed, "some", a, ExclusiveStartKey=place)
    with invalid("The provided starting key does not match the range key predicate"):
        query(
            indexed, "some", a, " AND n > :n", values={":n": number(3)}, ExclusiveStartKey={**place, "a": text(a)}
        )


def test_the_price_is_the_indexs(indexed: Table, a: str) -> None:
    answer = query(indexed, "some", a, ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == {
        "TableName": indexed.name,
        "CapacityUnits": 0.5,
        "Table": {"CapacityUnits": 0.0},
        "GlobalSecondaryIndexes": {"some": {"CapacityUnits": 0.5}},
    }
    total = query(indexed, "some", a, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert total == {"TableName": indexed.name, "CapacityUnits": 0.5}


def test_a_page_is_a_megabyte_of_what_is_projected(make_table: Any) -> None:
    table = make_table(
        AttributeDefinitions=definitions(pk="S", a="S"),
        GlobalSecondaryIndexes=[index("keys", "a", projection="KEYS_ONLY"), index("all", "a")],
    )
    for place in range(5):
        table.put({"pk": text(f"{place}"), "a": text("x"), "large": text("l" * 300 * KB)})
    wait_for_rows(table, "keys", 5, "a = :a", a=text("x"))
    wait_for_rows(table, "all", 5, "a = :a", a=text("x"))
    assert query(table, "keys", "x")["Count"] == 5
    page = query(table, "all", "x", ReturnConsumedCapacity="TOTAL")
    assert page["Count"] == 4
    assert page["ConsumedCapacity"]["CapacityUnits"] == 150.5
    assert query(table, "all", "x", ExclusiveStartKey=page["LastEvaluatedKey"])["Count"] == 1


# Scan


@pytest.fixture(scope="module")
def scanned(make_table: Any) -> Table:
    """200 items, 150 of them in the index "by-a" under 15 keys."""
    table: Table = make_table(
        AttributeDefinitions=definitions(pk="S", a="S", n="N"),
        GlobalSecondaryIndexes=[index("by-a", "a", "n", projection="KEYS_ONLY")],
    )
    table.fill(
        [
            {
                "pk": text(f"p{place}"),
                "n": number(place),
                "q": text("q"),
                **({"a": text(f"a{place % 15}")} if place < 150 else {}),
            }
            for place in range(200)
        ]
    )
    eventually(lambda: scan_all(table) == set(range(150)))
    return table


def scan_all(table: Table, **parameters: Any) -> set[int]:
    return {
        int(item["n"]["N"])
        for page in table.pages("scan", IndexName="by-a", **parameters)
        for item in page["Items"]
    }


def test_a_scan_has_the_items_that_have_the_key(scanned: Table) -> None:
    assert scan_all(scanned) == set(range(150))
    assert scan_all(scanned, Limit=7) == set(range(150))


@pytest.mark.parametrize("total", [2, 7])
def test_segments_share_the_index(scanned: Table, total: int) -> None:
    parts = [scan_all(scanned, Segment=segment, TotalSegments=total, Limit=20) for segment in range(total)]
    assert sum(map(len, parts)) == 150
    assert set().union(*parts) == set(range(150))


def test_items_of_one_key_come_together_and_in_order(scanned: Table) -> None:
    found = [item for page in scanned.pages("scan", IndexName="by-a", Limit=40) for item in page["Items"]]
    runs = [
        [int(item["n"]["N"]) for item in run] for _, run in itertools.groupby(found, lambda item: item["a"]["S"])
    ]
    assert len(runs) == 15
    assert all(run == sorted(run) for run in runs)


def test_a_scan_asks_for_what_is_projected_only(scanned: Table) -> None:
    with invalid(f"{INVALID}Global secondary index by-a does not project [q]"):
        scanned.scan(IndexName="by-a", ProjectionExpression="q")
    with invalid(
        f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index by-a because its projection "
        "type is not ALL"
    ):
        scanned.scan(IndexName="by-a", Select="ALL_ATTRIBUTES")
    answer = scanned.scan(
        IndexName="by-a",
        FilterExpression="n < :n",
        ExpressionAttributeValues={":n": number(3)},
        ReturnConsumedCapacity="INDEXES",
    )
    assert (answer["Count"], answer["ScannedCount"]) == (3, 150)
    assert set(answer["ConsumedCapacity"]["GlobalSecondaryIndexes"]) == {"by-a"}


def test_a_place_in_another_segment(scanned: Table) -> None:
    places = [
        page["LastEvaluatedKey"]
        for page in scanned.pages("scan", IndexName="by-a", Limit=1, Segment=0, TotalSegments=2)
        if "LastEvaluatedKey" in page
    ]
    with invalid() as refusal:
        scanned.scan(IndexName="by-a", Segment=1, TotalSegments=2, ExclusiveStartKey=places[0])
    assert "segment" in refusal.text.lower()
