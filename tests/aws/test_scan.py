# Why: exports, migrations and counts walk a whole table with Scan. Every item must be seen exactly once, alone or
# by any number of parallel segments, whatever the page size.

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .refusals import NO_TABLE, constraint, constraint_on, invalid, refused
from .table import Item, Table, unique

GROUPS = 20
PER_GROUP = 5


@pytest.fixture(scope="module")
def hundred(make_table: Any) -> Table:
    """A table of a hundred items: 20 partition keys with 5 sort keys each."""
    table: Table = make_table("S", "N")
    table.fill(
        [
            {
                "pk": {"S": f"group {group}"},
                "sk": {"N": str(n)},
                "odd": {"BOOL": n % 2 == 1},
                "n": {"N": str(n)},
            }
            for group in range(GROUPS)
            for n in range(PER_GROUP)
        ]
    )
    return table


@pytest.fixture(scope="module")
def heavy(make_table: Any) -> Table:
    """A table of 25 items of a little under 100,000 bytes each."""
    table: Table = make_table()
    table.fill([{"pk": {"S": f"{n:02}"}, "d": {"S": "x" * 99_900}} for n in range(25)])
    return table


def place(item: Item) -> tuple[str, int]:
    return item["pk"]["S"], int(item["sk"]["N"])


EVERY_PLACE = sorted((f"group {group}", n) for group in range(GROUPS) for n in range(PER_GROUP))


@pytest.mark.parametrize("limit", [1, 7, 99, 100, 101])
def test_pages_join_without_gap_or_repeat(hundred: Table, limit: int) -> None:
    pages = list(hundred.pages("scan", Limit=limit, ConsistentRead=True))
    assert sorted(place(item) for page in pages for item in page["Items"]) == EVERY_PLACE
    assert all(page["Count"] == limit for page in pages[:-1])
    assert all(page["Count"] == page["ScannedCount"] for page in pages)


def test_one_partition_keys_items_come_together_in_order(hundred: Table) -> None:
    found = [place(item) for item in hundred.scan(ConsistentRead=True)["Items"]]
    groups = [found[start : start + PER_GROUP] for start in range(0, len(found), PER_GROUP)]
    for group in groups:
        assert [n for _, n in group] == list(range(PER_GROUP))
        assert len({name for name, _ in group}) == 1


def test_two_scans_see_the_same_order(hundred: Table) -> None:
    assert hundred.scan(ConsistentRead=True)["Items"] == hundred.scan(ConsistentRead=True)["Items"]


@pytest.mark.parametrize("segments", [1, 2, 3, 8, 150])
def test_segments_divide_the_table(hundred: Table, segments: int) -> None:
    def segment(number: int) -> list[tuple[str, int]]:
        pages = hundred.pages("scan", Segment=number, TotalSegments=segments, Limit=9, ConsistentRead=True)
        return [place(item) for page in pages for item in page["Items"]]

    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(segment, range(segments)))
    assert sorted(item for part in parts for item in part) == EVERY_PLACE


def test_a_segment_may_be_one_of_a_million(hundred: Table) -> None:
    answer = hundred.scan(Segment=999_999, TotalSegments=1_000_000)
    assert answer["Count"] <= GROUPS * PER_GROUP


def test_a_page_stops_at_one_megabyte(heavy: Table) -> None:
    pages = list(heavy.pages("scan", ConsistentRead=True))
    assert sorted(item["pk"]["S"] for page in pages for item in page["Items"]) == [f"{n:02}" for n in range(25)]
    assert [page["Count"] for page in pages] in ([10, 10, 5], [11, 11, 3])


def test_the_megabyte_is_counted_before_the_filter(heavy: Table) -> None:
    page = heavy.scan(FilterExpression="attribute_not_exists(d)", ConsistentRead=True)
    assert page["Items"] == []
    assert page["ScannedCount"] in (10, 11)
    assert "LastEvaluatedKey" in page


def test_a_filter_is_applied_after_the_limit(hundred: Table) -> None:
    odd = {"FilterExpression": "odd = :t", "ExpressionAttributeValues": {":t": {"BOOL": True}}}
    page = hundred.scan(**odd, Limit=10, ConsistentRead=True)
    assert page["ScannedCount"] == 10
    assert page["Count"] == 4
    whole = hundred.scan(**odd, ConsistentRead=True)
    assert (whole["Count"], whole["ScannedCount"]) == (40, 100)


def test_a_scan_may_filter_on_keys(hundred: Table) -> None:
    answer = hundred.scan(
        FilterExpression="pk = :pk AND sk < :two",
        ExpressionAttributeValues={":pk": {"S": "group 3"}, ":two": {"N": "2"}},
        ConsistentRead=True,
    )
    assert [place(item) for item in answer["Items"]] == [("group 3", 0), ("group 3", 1)]


def test_counting_gives_no_items(hundred: Table) -> None:
    answer = hundred.scan(Select="COUNT", ConsistentRead=True)
    assert "Items" not in answer
    assert (answer["Count"], answer["ScannedCount"]) == (100, 100)


def test_a_projection_keeps_the_key_to_go_on_from(hundred: Table) -> None:
    answer = hundred.scan(ProjectionExpression="n", Limit=1, ConsistentRead=True)
    assert [set(item) for item in answer["Items"]] == [{"n"}]
    assert set(answer["LastEvaluatedKey"]) == {"pk", "sk"}


def test_a_page_that_reaches_its_limit_has_a_key_to_go_on_from(hundred: Table) -> None:
    full = hundred.scan(Limit=100, ConsistentRead=True)
    assert full["Count"] == 100
    rest = hundred.scan(ExclusiveStartKey=full["LastEvaluatedKey"], ConsistentRead=True)
    assert rest["Items"] == []
    assert "LastEvaluatedKey" not in rest


def test_the_start_key_need_not_exist(hundred: Table) -> None:
    first = hundred.scan(Limit=PER_GROUP, ConsistentRead=True)["Items"]
    between = {"pk": first[0]["pk"], "sk": {"N": "2.5"}}
    answer = hundred.scan(ExclusiveStartKey=between, Limit=2, ConsistentRead=True)
    assert [item["sk"]["N"] for item in answer["Items"]] == ["3", "4"]


def test_an_empty_table_has_no_items(make_table: Any) -> None:
    answer = make_table().scan(ConsistentRead=True)
    assert answer["Items"] == []
    assert answer["Count"] == answer["ScannedCount"] == 0
    assert "LastEvaluatedKey" not in answer


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            {"Segment": 0},
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present",
        ),
        (
            {"TotalSegments": 2},
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present",
        ),
        (
            {"Segment": 2, "TotalSegments": 2},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 2 is not less than TotalSegments: 2",
        ),
        (
            {"Segment": -1, "TotalSegments": 2},
            constraint("'-1'", "segment", "have value greater than or equal to 0"),
        ),
        (
            {"Segment": 0, "TotalSegments": 0},
            constraint("'0'", "totalSegments", "have value greater than or equal to 1"),
        ),
        (
            {"Segment": 0, "TotalSegments": 1_000_001},
            constraint("'1000001'", "totalSegments", "have value less than or equal to 1000000"),
        ),
    ],
    ids=[
        "no total",
        "no segment",
        "segment too high",
        "segment below zero",
        "no segments at all",
        "too many segments",
    ],
)
def test_these_segments_are_refused(hundred: Table, parameters: dict[str, int], text: str) -> None:
    with invalid(text):
        hundred.scan(**parameters)


def test_a_start_key_of_another_segment_is_refused(hundred: Table) -> None:
    pages = [hundred.scan(Segment=segment, TotalSegments=2, Limit=1, ConsistentRead=True) for segment in (0, 1)]
    with invalid(re.compile("(?i).*start(ing)? ?key.*")):
        hundred.scan(Segment=0, TotalSegments=2, ExclusiveStartKey=pages[1]["LastEvaluatedKey"])


def test_a_limit_is_at_least_one(hundred: Table) -> None:
    with invalid(constraint("'0'", "limit", "have value greater than or equal to 1")):
        hundred.scan(Limit=0)


def test_an_unknown_word_is_refused(hundred: Table) -> None:
    with invalid(constraint_on("select")):
        hundred.scan(Select="SOME")


@pytest.mark.parametrize(
    "start",
    [
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"S": "a"}},
    ],
    ids=["no sort key", "wrong type", "too many"],
)
def test_a_start_key_must_fit_the_schema(hundred: Table, start: Item) -> None:
    text = r"The provided starting key is invalid.*|Exclusive Start Key must have same size as table's key schema"
    with invalid(re.compile(text)):
        hundred.scan(ExclusiveStartKey=start)


def test_an_index_that_is_not_there_is_named(hundred: Table) -> None:
    with invalid("The table does not have the specified index: nope"):
        hundred.scan(IndexName="nope")


def test_an_unknown_table_is_not_found(dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.scan(TableName=unique("nobody"))
