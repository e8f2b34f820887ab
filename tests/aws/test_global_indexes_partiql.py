# Why: a SELECT names an index as it names a table, and must then read it as Query and Scan do: in its order, with what
# it projects, a page at a time. (Developer guide, "PartiQL select statements for DynamoDB"; texts: Query's and Scan's.)

from typing import Any

import pytest

from .eventually import eventually
from .global_indexes import INVALID, definitions, index, number, text
from .refusals import invalid
from .table import Item, Table


@pytest.fixture(scope="module")
def indexed(make_table: Any) -> Table:
    """Items p0 to p5 with a = x, n = 5 to 0, and q0 to q2 with a = y; indexes by-a (all), keys, two, and local."""
    table: Table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(pk="S", sk="S", a="S", n="N", m="N"),
        LocalSecondaryIndexes=[index("local", "pk", "n", projection="KEYS_ONLY")],
        GlobalSecondaryIndexes=[
            index("by-a", "a", "n"),
            index("keys", "a", projection="KEYS_ONLY"),
            index("two", "a", "sk", "n", "m", hashed=2),
        ],
    )
    table.fill(
        [
            {"pk": text(f"p{place}"), "sk": text("s"), "a": text("x"), "n": number(5 - place), "m": number(place % 2),
             "q": text("q")}
            for place in range(6)
        ]
    )  # fmt: skip
    table.fill(
        [{"pk": text(f"q{place}"), "sk": text("s"), "a": text("y"), "n": number(place)} for place in range(3)]
    )
    for name, count in (("by-a", 9), ("keys", 9), ("two", 6)):
        eventually(lambda name=name, count=count: table.scan(IndexName=name)["Count"] == count)
    return table


def select(table: Table, index_name: str, rest: str = "", what: str = "*", **parameters: Any) -> list[Item]:
    """All that it finds, over all pages."""
    statement = f'SELECT {what} FROM "{table.name}"."{index_name}" {rest}'
    found = []
    while True:
        answer = table.client.execute_statement(Statement=statement, **parameters)
        found += answer["Items"]
        if "NextToken" not in answer:
            return found
        parameters["NextToken"] = answer["NextToken"]


def places(found: list[Item]) -> list[str]:
    return [item["pk"]["S"] for item in found]


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_items_of_a_key_come_in_its_order(indexed: Table, limit: int) -> None:
    assert places(select(indexed, "by-a", "WHERE a = 'x'", Limit=limit)) == ["p5", "p4", "p3", "p2", "p1", "p0"]
    assert places(select(indexed, "by-a", "WHERE a = 'x' AND n > 3", Limit=limit)) == ["p1", "p0"]
    assert places(select(indexed, "by-a", "WHERE a = 'x' AND n IN [4, 1]", Limit=limit)) == ["p4", "p1"]
    descending = select(indexed, "by-a", "WHERE a = 'x' AND n BETWEEN 1 AND 3 ORDER BY n DESC", Limit=limit)
    assert places(descending) == ["p2", "p3", "p4"]


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_several_keys(indexed: Table, limit: int) -> None:
    assert places(select(indexed, "by-a", "WHERE a IN ['y', 'x'] AND n < 2", Limit=limit)) == ["q0", "q1", "p5", "p4"]
    merged = select(indexed, "by-a", "WHERE a IN ['y', 'x'] AND n < 2 ORDER BY n", Limit=limit)
    assert [item["n"]["N"] for item in merged] == ["0", "0", "1", "1"]


def test_everything_in_an_index(indexed: Table) -> None:
    assert sorted(places(select(indexed, "two", Limit=2))) == [f"p{place}" for place in range(6)]
    assert sorted(places(select(indexed, "by-a", "WHERE q = 'q'"))) == [f"p{place}" for place in range(6)]


def test_an_attribute_of_the_tables_key_is_a_filter_in_the_index(indexed: Table) -> None:
    assert places(select(indexed, "by-a", "WHERE pk = 'p3'")) == ["p3"]
    assert places(select(indexed, "by-a", "WHERE a = 'x' AND pk = 'p3'")) == ["p3"]


@pytest.mark.parametrize("limit", [1, 100])
def test_a_key_of_several_attributes(indexed: Table, limit: int) -> None:
    assert places(select(indexed, "two", "WHERE sk = 's' AND a = 'x'", Limit=limit)) == [
        "p5", "p4", "p3", "p2", "p1", "p0"
    ]  # fmt: skip
    assert places(select(indexed, "two", "WHERE sk = 's' AND a = 'x' AND n >= 4", Limit=limit)) == ["p1", "p0"]
    assert places(select(indexed, "two", "WHERE sk = 's' AND a = 'x' AND n = 4 AND m > 0", Limit=limit)) == ["p1"]
    assert places(select(indexed, "two", "WHERE sk = 's' AND a = 'x' AND m = 0", Limit=limit)) == ["p4", "p2", "p0"]
    assert sorted(places(select(indexed, "two", "WHERE a = 'x'", Limit=limit))) == [f"p{place}" for place in range(6)]


def test_what_is_projected(indexed: Table) -> None:
    (item,) = select(indexed, "keys", "WHERE a = 'x' AND pk = 'p0'")
    assert item == {"pk": text("p0"), "sk": text("s"), "a": text("x")}
    assert select(indexed, "by-a", "WHERE a = 'x' AND n = 0", "q, pk") == [{"q": text("q"), "pk": text("p5")}]
    with invalid(f"{INVALID}Global secondary index keys does not project [q]"):
        select(indexed, "keys", "WHERE a = 'x'", "q")
    with invalid(f"{INVALID}Secondary index keys does not project one or more filter attributes: [q]"):
        select(indexed, "keys", "WHERE a = 'x' AND q = 'q'")


def test_a_local_index_gives_what_it_does_not_project(indexed: Table) -> None:
    keys = {"pk": text("p2"), "sk": text("s"), "n": number(3)}
    for strongly in (False, True):
        assert select(indexed, "local", "WHERE pk = 'p2' AND n = 3", ConsistentRead=strongly) == [keys]
        assert select(indexed, "local", "WHERE pk = 'p2'", "q", ConsistentRead=strongly) == [{"q": text("q")}]
        assert select(indexed, "local", "WHERE m = 1 AND n = 4", ConsistentRead=strongly) == [
            {"pk": text("p1"), "sk": text("s"), "n": number(4)}
        ]
    answer = indexed.client.execute_statement(
        Statement=f'SELECT q FROM "{indexed.name}"."local" WHERE pk = \'p2\'', ReturnConsumedCapacity="INDEXES"
    )
    assert answer["ConsumedCapacity"] == {
        "TableName": indexed.name,
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 0.5},
        "LocalSecondaryIndexes": {"local": {"CapacityUnits": 0.5}},
    }


def test_a_local_index_of_several_partition_keys_in_one_order(indexed: Table) -> None:
    merged = select(indexed, "local", "WHERE pk IN ['p1', 'p3', 'p2'] ORDER BY n", "q, n", Limit=2)
    assert merged == [{"q": text("q"), "n": number(each)} for each in (2, 3, 4)]


def test_no_strong_reads_and_no_writes(indexed: Table) -> None:
    with invalid("Consistent reads are not supported on global secondary indexes"):
        select(indexed, "by-a", "WHERE a = 'x'", ConsistentRead=True)
    with invalid("The table does not have the specified index: nobody"):
        select(indexed, "nobody")
    with invalid():
        indexed.client.execute_statement(Statement=f'DELETE FROM "{indexed.name}"."by-a" WHERE a = \'x\'')


def test_values_that_no_key_of_the_index_has(indexed: Table) -> None:
    with invalid("Key attribute's data type should match its data type in table's schema: Key a"):
        select(indexed, "by-a", "WHERE a = 1")
    with invalid("Key attribute's data type should match its data type in table's schema: Key n"):
        select(indexed, "by-a", "WHERE a = 'x' AND n = 'x'")
    with invalid() as refusal:
        select(indexed, "by-a", "WHERE a = ''")
    assert "empty string value. Key: a" in refusal.text


def test_the_price_is_the_indexs(indexed: Table) -> None:
    answer = indexed.client.execute_statement(
        Statement=f'SELECT * FROM "{indexed.name}"."by-a" WHERE a = \'x\'', ReturnConsumedCapacity="INDEXES"
    )
    assert answer["ConsumedCapacity"] == {
        "TableName": indexed.name,
        "CapacityUnits": 0.5,
        "Table": {"CapacityUnits": 0.0},
        "GlobalSecondaryIndexes": {"by-a": {"CapacityUnits": 0.5}},
    }


def test_the_place_where_a_page_ended_has_the_keys_of_index_and_table(indexed: Table) -> None:
    answer = indexed.client.execute_statement(
        Statement=f'SELECT pk FROM "{indexed.name}"."by-a" WHERE a = \'x\'', Limit=1
    )
    assert answer["LastEvaluatedKey"] == {
        "pk": text("p5"), "sk": text("s"), "a": text("x"), "n": number(0)
    }  # fmt: skip


def test_a_batch_reads_single_items_of_the_table_only(indexed: Table) -> None:
    answer = indexed.client.batch_execute_statement(
        Statements=[{"Statement": f'SELECT * FROM "{indexed.name}"."by-a" WHERE a = \'x\' AND n = 1'}]
    )
    assert answer["Responses"][0]["Error"]["Code"] == "ValidationError"
