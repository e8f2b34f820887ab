# Why: Query promises an order, a boundary and pages that join without a gap or a repeat; most wrong answers that
# users of DynamoDB look-alikes report are here. What key conditions may say is in test_key_condition_expression.py.

import re
from typing import Any

import pytest

from .refusals import (
    EMPTY_VALUE,
    NO_TABLE,
    constraint,
    constraint_on,
    empty_key,
    invalid,
    refused,
)
from .table import Item, Table, sort_keys, unique

ALL = "pk = :pk"


@pytest.fixture(scope="module")
def letters(sorted_table: Table) -> Item:
    """The partition key value under which stand seven items, sort keys a to g, put in no order."""
    pk = {"S": unique("letters")}
    sorted_table.fill([{"pk": pk, "sk": {"S": letter}, "n": {"N": str(ord(letter) - 96)}} for letter in "dagfbec"])
    return pk


@pytest.fixture(scope="module")
def heavy(sorted_table: Table) -> Item:
    """The partition key value under which stand 25 items of a little under 100,000 bytes each."""
    pk = {"S": unique("heavy")}
    sorted_table.fill(
        [{"pk": pk, "sk": {"S": f"{n:02}"}, "n": {"N": str(n)}, "d": {"S": "x" * 99_900}} for n in range(25)]
    )
    return pk


def values(pk: Item, **more: Item) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {":pk": pk, **{f":{name}": value for name, value in more.items()}}}


def test_items_come_in_the_order_of_their_sort_keys(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(ALL, **values(letters), ConsistentRead=True)
    assert sort_keys(answer) == list("abcdefg")
    assert answer["Count"] == answer["ScannedCount"] == 7
    assert "LastEvaluatedKey" not in answer
    assert answer["Items"][0] == {"pk": letters, "sk": {"S": "a"}, "n": {"N": "1"}}


def test_the_order_can_be_turned_round(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(ALL, **values(letters), ScanIndexForward=False, ConsistentRead=True)
    assert sort_keys(answer) == list("gfedcba")


def test_a_query_of_nobody_is_empty(sorted_table: Table) -> None:
    answer = sorted_table.query(ALL, **values({"S": unique()}))
    assert answer["Items"] == []
    assert answer["Count"] == answer["ScannedCount"] == 0
    assert "LastEvaluatedKey" not in answer


def test_a_table_without_sort_keys_can_be_queried(table: Table, key: Item) -> None:
    table.put({**key, "v": {"S": "x"}})
    answer = table.query(ALL, **values(key["pk"]), ConsistentRead=True)
    assert answer["Items"] == [{**key, "v": {"S": "x"}}]


def test_text_is_ordered_by_its_utf8_bytes(sorted_table: Table) -> None:
    pk = {"S": unique()}
    # U+FFFD is below U+10000 in UTF-8 (EF… < F0…), above it in UTF-16 (FFFD > D800).
    texts = [
        "A",
        "B",
        "Z",
        "a",
        "aa",
        "b",
        "z",
        "~",
        "\u007f",
        "é",
        "ß",
        "\u20ac",
        "\ufffd",
        "\U00010000",
        "😀",
    ]
    sorted_table.fill([{"pk": pk, "sk": {"S": text}} for text in reversed(texts)])
    answer = sorted_table.query(ALL, **values(pk), ConsistentRead=True)
    assert sort_keys(answer) == sorted(texts, key=str.encode)


def test_numbers_are_ordered_by_value(number_sorted_table: Table) -> None:
    pk = {"S": unique()}
    ordered = [
        "-9.9999999999999999999999999999999999999E+125", "-1000", "-10.5", "-10", "-9", "-1", "-0.1", "-0.01",
        "-1E-130", "0", "1E-130", "0.001", "0.01", "0.1", "0.11", "0.9", "1", "1.5", "2", "9", "10", "11", "99",
        "100", "1000", "1E+100", "9.9999999999999999999999999999999999999E+125",
    ]  # fmt: skip
    shuffled = sorted(ordered, key=lambda number: hash(number) % 1000)
    number_sorted_table.fill([{"pk": pk, "sk": {"N": number}, "text": {"S": number}} for number in shuffled])
    answer = number_sorted_table.query(ALL, **values(pk), ConsistentRead=True)
    assert [item["text"]["S"] for item in answer["Items"]] == ordered


def test_bytes_are_ordered_as_unsigned(binary_sorted_table: Table) -> None:
    pk = {"S": unique()}
    ordered = [
        b"\x00",
        b"\x00\x00",
        b"\x00\xff",
        b"\x01",
        b"a",
        b"a\x00",
        b"ab",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\xff\xff",
    ]
    binary_sorted_table.fill([{"pk": pk, "sk": {"B": value}} for value in reversed(ordered)])
    answer = binary_sorted_table.query(ALL, **values(pk), ConsistentRead=True)
    assert sort_keys(answer) == ordered


@pytest.mark.parametrize("forward", [True, False], ids=["forwards", "backwards"])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_pages_join_without_gap_or_repeat(sorted_table: Table, letters: Item, limit: int, forward: bool) -> None:
    pages = list(
        sorted_table.pages(
            "query",
            KeyConditionExpression=ALL,
            **values(letters),
            Limit=limit,
            ScanIndexForward=forward,
            ConsistentRead=True,
        )
    )
    found = [item["sk"]["S"] for page in pages for item in page["Items"]]
    assert found == list("abcdefg" if forward else "gfedcba")
    for page in pages[:-1]:
        assert page["Count"] == limit
        last = page["Items"][-1]
        assert page["LastEvaluatedKey"] == {"pk": last["pk"], "sk": last["sk"]}


def test_a_page_that_reaches_its_limit_has_a_key_to_go_on_from(sorted_table: Table, letters: Item) -> None:
    # Even if nothing follows: the service does not look further than the limit.
    full = sorted_table.query(ALL, **values(letters), Limit=7, ConsistentRead=True)
    assert full["Count"] == 7
    assert full["LastEvaluatedKey"] == {"pk": letters, "sk": {"S": "g"}}
    rest = sorted_table.query(ALL, **values(letters), ExclusiveStartKey=full["LastEvaluatedKey"], ConsistentRead=True)
    assert rest["Items"] == []
    assert "LastEvaluatedKey" not in rest


def test_one_more_than_there_is_needs_no_key_to_go_on_from(sorted_table: Table, letters: Item) -> None:
    assert "LastEvaluatedKey" not in sorted_table.query(ALL, **values(letters), Limit=8, ConsistentRead=True)


def test_the_start_key_need_not_exist(sorted_table: Table, letters: Item) -> None:
    start = {"pk": letters, "sk": {"S": "bb"}}
    forwards = sorted_table.query(ALL, **values(letters), ExclusiveStartKey=start, ConsistentRead=True)
    assert sort_keys(forwards) == list("cdefg")
    backwards = sorted_table.query(
        ALL, **values(letters), ExclusiveStartKey=start, ScanIndexForward=False, ConsistentRead=True
    )
    assert sort_keys(backwards) == list("ba")


def test_a_page_stops_at_one_megabyte_whatever_the_limit(sorted_table: Table, heavy: Item) -> None:
    pages = list(
        sorted_table.pages("query", KeyConditionExpression=ALL, **values(heavy), Limit=100, ConsistentRead=True)
    )
    assert [item["n"]["N"] for page in pages for item in page["Items"]] == [str(n) for n in range(25)]
    # 10 items make 999,xxx bytes, 11 cross 1,048,576.
    assert [page["Count"] for page in pages] in ([10, 10, 5], [11, 11, 3])


@pytest.mark.parametrize(
    "narrow",
    [
        {"ProjectionExpression": "sk"},
        {"Select": "COUNT"},
        {"FilterExpression": "attribute_not_exists(d)"},
    ],
    ids=["projected", "counted", "filtered away"],
)
def test_the_megabyte_is_counted_before_anything_is_left_out(
    sorted_table: Table, heavy: Item, narrow: dict[str, str]
) -> None:
    page = sorted_table.query(ALL, **values(heavy), ConsistentRead=True, **narrow)
    assert page["ScannedCount"] in (10, 11)
    assert page["LastEvaluatedKey"] == {"pk": heavy, "sk": {"S": f"{page['ScannedCount'] - 1:02}"}}


def test_a_filter_is_applied_after_the_limit(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(
        ALL, **values(letters, n={"N": "3"}), FilterExpression="n > :n", Limit=4, ConsistentRead=True
    )
    assert sort_keys(answer) == ["d"]
    assert (answer["Count"], answer["ScannedCount"]) == (1, 4)
    assert answer["LastEvaluatedKey"] == {"pk": letters, "sk": {"S": "d"}}


def test_a_page_may_be_empty_and_not_the_last(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(
        ALL, **values(letters, n={"N": "6"}), FilterExpression="n > :n", Limit=2, ConsistentRead=True
    )
    assert answer["Items"] == []
    assert answer["LastEvaluatedKey"] == {"pk": letters, "sk": {"S": "b"}}


def test_counting_gives_no_items(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(ALL, **values(letters), Select="COUNT", ConsistentRead=True)
    assert "Items" not in answer
    assert (answer["Count"], answer["ScannedCount"]) == (7, 7)


def test_specific_attributes_can_be_asked_for(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(
        ALL,
        **values(letters),
        Select="SPECIFIC_ATTRIBUTES",
        ProjectionExpression="n",
        Limit=1,
        ConsistentRead=True,
    )
    assert answer["Items"] == [{"n": {"N": "1"}}]
    assert answer["LastEvaluatedKey"] == {"pk": letters, "sk": {"S": "a"}}


def test_all_attributes_can_be_asked_for(sorted_table: Table, letters: Item) -> None:
    answer = sorted_table.query(ALL, **values(letters), Select="ALL_ATTRIBUTES", Limit=1, ConsistentRead=True)
    assert answer["Items"] == [{"pk": letters, "sk": {"S": "a"}, "n": {"N": "1"}}]


@pytest.mark.parametrize(
    ("select", "projection", "text"),
    [
        (
            "SPECIFIC_ATTRIBUTES",
            {},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            "COUNT",
            {"ProjectionExpression": "n"},
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            "ALL_ATTRIBUTES",
            {"ProjectionExpression": "n"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        ),
        (
            "ALL_PROJECTED_ATTRIBUTES",
            {},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
    ],
    ids=["specific without names", "count with names", "all with names", "projected without index"],
)
def test_select_and_projection_must_agree(
    sorted_table: Table, letters: Item, select: str, projection: dict[str, str], text: str
) -> None:
    with invalid(re.compile(rf"(One or more parameter values were invalid: )?{re.escape(text)}")):
        sorted_table.query(ALL, **values(letters), Select=select, **projection)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(sorted_table: Table, letters: Item, limit: int) -> None:
    with invalid(constraint(f"'{limit}'", "limit", "have value greater than or equal to 1")):
        sorted_table.query(ALL, **values(letters), Limit=limit)


@pytest.mark.parametrize("parameter", ["Select", "ReturnConsumedCapacity"])
def test_unknown_words_are_refused(sorted_table: Table, letters: Item, parameter: str) -> None:
    member = parameter[0].lower() + parameter[1:]
    with invalid(constraint_on(member)):
        sorted_table.query(ALL, **values(letters), **{parameter: "SOME"})


START_KEY = re.compile(
    r"The provided starting key is invalid.*|Exclusive Start Key must have same size as table's key schema"
)


@pytest.mark.parametrize(
    "change",
    [{"sk": None}, {"pk": None}, {"x": {"S": "a"}}, {"sk": {"N": "1"}}],
    ids=["no sort key", "no partition key", "too many", "wrong type"],
)
def test_a_start_key_must_fit_the_schema(sorted_table: Table, letters: Item, change: Item) -> None:
    start = {"pk": letters, "sk": {"S": "a"}, **change}
    start = {name: value for name, value in start.items() if value is not None}
    with invalid(START_KEY):
        sorted_table.query(ALL, **values(letters), ExclusiveStartKey=start)


def test_a_start_key_value_has_a_type(sorted_table: Table, letters: Item) -> None:
    with invalid(re.compile(f"(The provided starting key is invalid: )?{EMPTY_VALUE}")):
        sorted_table.query(ALL, **values(letters), ExclusiveStartKey={"pk": letters, "sk": {}})


def test_a_start_key_may_not_be_empty_text(sorted_table: Table, letters: Item) -> None:
    with invalid(f"The provided starting key is invalid: {empty_key('sk')}"):
        sorted_table.query(ALL, **values(letters), ExclusiveStartKey={"pk": letters, "sk": {"S": ""}})


def test_a_start_key_of_another_partition_key_is_refused(sorted_table: Table, letters: Item) -> None:
    text = "The provided starting key is outside query boundaries based on provided conditions"
    with invalid(text):
        sorted_table.query(ALL, **values(letters), ExclusiveStartKey={"pk": {"S": "somebody else"}, "sk": {"S": "a"}})


def test_a_start_key_outside_the_condition_is_refused(sorted_table: Table, letters: Item) -> None:
    with invalid("The provided starting key does not match the range key predicate"):
        sorted_table.query(
            "pk = :pk AND sk > :s",
            **values(letters, s={"S": "c"}),
            ExclusiveStartKey={"pk": letters, "sk": {"S": "a"}},
        )


@pytest.mark.parametrize(
    ("condition", "forward", "last"),
    [
        ("sk <= :x", True, "c"),
        ("sk BETWEEN :a AND :x", True, "c"),
        ("sk >= :x", False, "c"),
        ("sk BETWEEN :x AND :z", False, "c"),
    ],
)
def test_a_page_that_ends_with_the_end_of_its_range_is_the_last(
    sorted_table: Table, letters: Item, condition: str, forward: bool, last: str
) -> None:
    given = {"x": {"S": last}} | {name: {"S": name} for name in "az" if f":{name}" in condition}
    query = {"ScanIndexForward": forward, **values(letters, **given)}
    whole = sorted_table.query(f"pk = :pk AND {condition}", **query)
    page = sorted_table.query(f"pk = :pk AND {condition}", Limit=whole["Count"], **query)
    assert page["Items"] == whole["Items"]
    assert page["Items"][-1]["sk"] == {"S": last}
    assert "LastEvaluatedKey" not in page
    with invalid("The provided starting key does not match the range key predicate"):
        sorted_table.query(
            f"pk = :pk AND {condition}", ExclusiveStartKey={"pk": letters, "sk": {"S": last}}, **query
        )


@pytest.mark.parametrize(("condition", "given"), [("", {}), (" AND sk < :x", {"x": {"S": "zz"}})])
def test_a_page_that_ends_elsewhere_does_not_know_that_it_is_the_last(
    sorted_table: Table, letters: Item, condition: str, given: Item
) -> None:
    query = values(letters, **given)
    whole = sorted_table.query(ALL + condition, **query)
    page = sorted_table.query(ALL + condition, Limit=whole["Count"], **query)
    following = sorted_table.query(ALL + condition, ExclusiveStartKey=page["LastEvaluatedKey"], **query)
    assert (page["Items"], following["Items"]) == (whole["Items"], [])


def test_an_equality_does_not_know_it_either(sorted_table: Table, letters: Item) -> None:
    query = values(letters, x={"S": "c"})
    page = sorted_table.query("pk = :pk AND sk = :x", Limit=1, **query)
    assert page["LastEvaluatedKey"] == {"pk": letters, "sk": {"S": "c"}}
    following = sorted_table.query("pk = :pk AND sk = :x", ExclusiveStartKey=page["LastEvaluatedKey"], **query)
    assert following["Items"] == []


def test_one_item_of_a_table_without_sort_keys_is_all(table: Table, key: Item) -> None:
    table.put(key)
    page = table.query(ALL, Limit=1, **values(key["pk"]))
    assert page["Items"] == [key]
    assert "LastEvaluatedKey" not in page


def test_pages_within_a_range_join_too(sorted_table: Table, letters: Item) -> None:
    pages = sorted_table.pages(
        "query",
        KeyConditionExpression="pk = :pk AND sk BETWEEN :b AND :e",
        **values(letters, b={"S": "b"}, e={"S": "f"}),
        Limit=2,
        ScanIndexForward=False,
        ConsistentRead=True,
    )
    assert [item["sk"]["S"] for page in pages for item in page["Items"]] == list("fedcb")


def test_an_index_that_is_not_there_is_named(sorted_table: Table, letters: Item) -> None:
    with invalid("The table does not have the specified index: nope"):
        sorted_table.query(ALL, **values(letters), IndexName="nope")


def test_an_unknown_table_is_not_found(dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.query(
            TableName=unique("nobody"),
            KeyConditionExpression=ALL,
            ExpressionAttributeValues={":pk": {"S": "a"}},
        )


def test_a_key_condition_must_be_given(sorted_table: Table) -> None:
    text = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
    with invalid(text):
        sorted_table.query()


def test_old_and_new_style_conditions_do_not_mix(sorted_table: Table, letters: Item) -> None:
    text = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}"
    )
    old = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [letters]}}
    with invalid(text):
        sorted_table.query(ALL, **values(letters), KeyConditions=old)
