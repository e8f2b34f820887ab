# Why: the read that caches, sessions and locks live on. It must find exactly the item with this key, say plainly
# that there is none, and refuse a key that could never match.

from typing import Any

import pytest

from .refusals import (
    EMPTY_VALUE,
    KEY_MISMATCH,
    NO_TABLE,
    TWO_TYPES,
    constraint,
    empty_key,
    invalid,
    refused,
)
from .table import Table, unique


@pytest.mark.parametrize("consistent", [True, False])
def test_an_item_is_found_by_its_key(table: Table, key: dict[str, Any], consistent: bool) -> None:
    item = {**key, "v": {"S": "x"}}
    table.put(item)
    table.get(key, ConsistentRead=True)
    answer = table.get(key, ConsistentRead=consistent)
    if consistent:
        assert answer["Item"] == item
    else:
        assert answer.get("Item", item) == item  # an eventual read may be too early, but never wrong


def test_no_item_means_no_member_in_the_answer(table: Table, key: dict[str, Any]) -> None:
    assert "Item" not in table.get(key)
    assert "Item" not in table.get(key, ConsistentRead=True)


def test_a_strong_read_sees_every_write_before_it(table: Table, key: dict[str, Any]) -> None:
    for number in range(20):
        table.put({**key, "v": {"N": str(number)}})
        assert table.item(key) == {**key, "v": {"N": str(number)}}


def test_keys_are_compared_by_their_bytes(sorted_table: Table) -> None:
    pk = unique()
    sorted_table.put({"pk": {"S": pk}, "sk": {"S": "é"}})
    assert sorted_table.item({"pk": {"S": pk}, "sk": {"S": "e\u0301"}}) is None
    assert sorted_table.item({"pk": {"S": pk.upper()}, "sk": {"S": "é"}}) is None
    assert sorted_table.item({"pk": {"S": pk}, "sk": {"S": "é"}}) is not None


def test_number_keys_are_compared_by_value(number_sorted_table: Table) -> None:
    pk = {"S": unique()}
    number_sorted_table.put({"pk": pk, "sk": {"N": "1.50"}, "v": {"S": "x"}})
    assert number_sorted_table.item({"pk": pk, "sk": {"N": "15e-1"}}) == {
        "pk": pk,
        "sk": {"N": "1.5"},
        "v": {"S": "x"},
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"pk": {"S": "a"}, "sk": {"S": "a"}, "x": {"S": "b"}},
        {"pk": {"S": "a"}},
        {"sk": {"S": "a"}},
        {"pk": {"S": "a"}, "x": {"S": "a"}},
        {"pk": {"N": "1"}, "sk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"B": b"a"}},
        {"pk": {"S": "a"}, "sk": {"NULL": True}},
    ],
    ids=[
        "empty",
        "three attributes",
        "no sort key",
        "no partition key",
        "another name",
        "wrong type of partition key",
        "wrong type of sort key",
        "null sort key",
    ],
)
def test_a_key_that_does_not_fit_the_schema_is_refused(sorted_table: Table, wrong: dict[str, Any]) -> None:
    with invalid(KEY_MISMATCH):
        sorted_table.get(wrong)


def test_a_key_may_not_be_empty(sorted_table: Table) -> None:
    with invalid(empty_key("pk")):
        sorted_table.get({"pk": {"S": ""}, "sk": {"S": "a"}})
    with invalid(empty_key("sk")):
        sorted_table.get({"pk": {"S": "a"}, "sk": {"S": ""}})


def test_a_key_value_has_exactly_one_type(table: Table) -> None:
    with invalid(EMPTY_VALUE):
        table.get({"pk": {}})
    with invalid(TWO_TYPES):
        table.get({"pk": {"S": "a", "N": "1"}})


def test_an_unknown_table_is_not_found(dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        dynamodb.get_item(TableName=unique("nobody"), Key={"pk": {"S": "a"}})


def test_the_key_must_be_given(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "key", "not be null")):
        dynamodb.get_item(TableName=table.name)


def test_unknown_words_are_refused(table: Table, key: dict[str, Any]) -> None:
    text = constraint("'SOME'", "returnConsumedCapacity", "satisfy enum value set: [INDEXES, TOTAL, NONE]")
    with invalid(text):
        table.get(key, ReturnConsumedCapacity="SOME")


def test_a_projection_returns_only_what_it_names(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "a": {"S": "x"}, "b": {"S": "y"}})
    assert table.get(key, ProjectionExpression="a, c", ConsistentRead=True)["Item"] == {"a": {"S": "x"}}


def test_a_projection_of_nothing_that_is_there_is_an_empty_item(table: Table, key: dict[str, Any]) -> None:
    table.put({**key, "a": {"S": "x"}})
    assert table.get(key, ProjectionExpression="c", ConsistentRead=True)["Item"] == {}


def test_old_and_new_style_projections_do_not_mix(table: Table, key: dict[str, Any]) -> None:
    text = (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"
    )
    with invalid(text):
        table.get(key, ProjectionExpression="a", AttributesToGet=["b"])
