# Why: a global index may be keyed by up to four attributes of an item and ordered by up to four others, so that nobody
# has to glue values together. Then a Query must say all that is hashed, and what it orders by from the left.
# (Developer guide, "Global secondary indexes", "Multi-attribute keys".)

import itertools
from typing import Any

import pytest

from .global_indexes import INVALID, definitions, index, number, rows, text, wait_for_rows
from .refusals import invalid
from .table import Table


@pytest.fixture(scope="module")
def matches(make_table: Any) -> Table:
    """Two attributes hashed, three ordered by."""
    table: Table = make_table(
        AttributeDefinitions=definitions(pk="S", cup="S", area="S", lap="N", court="S", game="N"),
        GlobalSecondaryIndexes=[index("by-cup", "cup", "area", "lap", "court", "game", hashed=2)],
    )
    table.fill(
        [
            {
                "pk": text(f"{cup}-{area}-{round_}-{court}-{game}"),
                "cup": text(cup),
                "area": text(area),
                "lap": number(round_),
                "court": text(court),
                "game": number(game),
            }
            for cup, area, round_, court, game in itertools.product(
                ("c", "c\x00"), ("n", "s"), (-1, 2, 10), ("a", "ab"), (1, 2)
            )
        ]
    )
    table.put({"pk": text("lacks one"), "cup": text("c"), "area": text("n"), "lap": number(1), "game": number(1)})
    wait_for_rows(table, "by-cup", 12, "cup = :c AND area = :r", c=text("c"), r=text("n"))
    return table


def games(table: Table, condition: str, **values: Any) -> list[tuple[int, str, int]]:
    found = rows(
        table, "by-cup", "cup = :c AND area = :r" + condition, c=text("c"), r=text("n"), **values
    )
    assert all((item["cup"], item["area"]) == (text("c"), text("n")) for item in found)
    return [(int(item["lap"]["N"]), item["court"]["S"], int(item["game"]["N"])) for item in found]


WHOLE = [(round_, court, game) for round_ in (-1, 2, 10) for court in ("a", "ab") for game in (1, 2)]


def test_items_come_in_the_order_of_the_attributes_in_turn(matches: Table) -> None:
    assert games(matches, "") == WHOLE


@pytest.mark.parametrize(
    ("condition", "values", "wanted"),
    [
        (" AND lap = :x", {"x": number(2)}, [each for each in WHOLE if each[0] == 2]),
        (" AND lap > :x", {"x": number(-1)}, [each for each in WHOLE if each[0] > -1]),
        (" AND lap <= :x", {"x": number(2)}, [each for each in WHOLE if each[0] <= 2]),
        (
            " AND court = :y AND lap = :x",
            {"x": number(2), "y": text("a")},
            [each for each in WHOLE if each[:2] == (2, "a")],
        ),
        (
            " AND lap = :x AND begins_with(court, :y)",
            {"x": number(10), "y": text("a")},
            [each for each in WHOLE if each[0] == 10],
        ),
        (
            " AND lap = :x AND court > :y",
            {"x": number(10), "y": text("a")},
            [(10, "ab", 1), (10, "ab", 2)],
        ),
        (
            " AND lap = :x AND court = :y AND game BETWEEN :z AND :w",
            {"x": number(10), "y": text("a"), "z": number(2), "w": number(3)},
            [(10, "a", 2)],
        ),
        (
            " AND lap = :x AND court = :y AND game = :z",
            {"x": number(-1), "y": text("ab"), "z": number(1)},
            [(-1, "ab", 1)],
        ),
    ],
)
def test_conditions_from_the_left(matches: Table, condition: str, values: Any, wanted: list[Any]) -> None:
    assert games(matches, condition, **values) == wanted


@pytest.mark.parametrize(
    ("condition", "values", "words"),
    [
        ("cup = :c", {":c": text("c")}, "Query condition missed key schema element: area"),
        (
            "area = :c AND lap = :x",
            {":c": text("c"), ":x": number(1)},
            "Query condition missed key schema element: cup",
        ),
        (
            "cup = :c AND area = :c AND court = :c",
            {":c": text("c")},
            "Query condition missed key schema element: lap",
        ),
        (
            "cup = :c AND area = :c AND lap > :x AND court = :c",
            {":c": text("c"), ":x": number(1)},
            "Query key condition not supported",
        ),
        (
            "cup = :c AND begins_with(area, :c)",
            {":c": text("c")},
            "Query key condition not supported",
        ),
        (
            "cup = :c AND area = :c AND lap = :c",
            {":c": text("c")},
            f"{INVALID}Condition parameter type does not match schema type",
        ),
    ],
    ids=["not all hashed", "the first hashed", "one is skipped", "after a range", "hashed by a range", "kind"],
)
def test_conditions_that_leave_gaps(matches: Table, condition: str, values: Any, words: str) -> None:
    # What is refused is documented; the words are those that keys of two attributes get.
    with invalid(words):
        matches.query(condition, IndexName="by-cup", ExpressionAttributeValues=values)


def test_old_style_conditions_on_several_attributes(matches: Table) -> None:
    values = {"cup": text("c"), "area": text("n"), "lap": number(2), "court": text("ab")}
    answer = matches.query(
        IndexName="by-cup",
        KeyConditions={
            name: {"ComparisonOperator": "EQ", "AttributeValueList": [value]} for name, value in values.items()
        },
    )
    assert answer["Count"] == 2


def test_pages_by_several_attributes(matches: Table) -> None:
    pages = list(
        matches.pages(
            "query",
            IndexName="by-cup",
            KeyConditionExpression="cup = :c AND area = :r AND lap < :x",
            ExpressionAttributeValues={":c": text("c"), ":r": text("n"), ":x": number(10)},
            Limit=3,
            ScanIndexForward=False,
        )
    )
    found = [
        (int(item["lap"]["N"]), item["court"]["S"], int(item["game"]["N"])) for page in pages for item in page["Items"]
    ]
    assert found == [each for each in reversed(WHOLE) if each[0] < 10]
    assert set(pages[0]["LastEvaluatedKey"]) == {"pk", "cup", "area", "lap", "court", "game"}
