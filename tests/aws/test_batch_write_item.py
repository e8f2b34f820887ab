# Why: bulk loads are made of BatchWriteItem. A refused batch must have written nothing at all, and an accepted one
# must have done every request or handed it back.

import re
from typing import Any

import pytest

from .refusals import (
    BAD_TABLE_NAME,
    EMPTY_VALUE,
    KEY_MISMATCH,
    NO_TABLE,
    constraint_on,
    empty_key,
    invalid,
    missing_key,
    refused,
    wrong_key_type,
)
from .table import Item, Table, unique

DUPLICATES = "Provided list of item keys contains duplicates"


def put(item: Item) -> dict[str, Any]:
    return {"PutRequest": {"Item": item}}


def delete(key: Item) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": key}}


def write(table: Table, *requests: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer: dict[str, Any] = table.client.batch_write_item(RequestItems={table.name: list(requests)}, **parameters)
    return answer


def keys(count: int) -> list[Item]:
    prefix = unique()
    return [{"pk": {"S": f"{prefix}-{n:03}"}} for n in range(count)]


def test_twenty_five_puts_go_at_once(table: Table) -> None:
    wanted = keys(25)
    answer = write(table, *(put({**key, "v": {"N": "1"}}) for key in wanted))
    assert answer["UnprocessedItems"] == {}
    assert all(table.item(key) == {**key, "v": {"N": "1"}} for key in wanted)


def test_puts_and_deletes_mix(table: Table) -> None:
    old, new = keys(2)
    table.put(old)
    write(table, delete(old), put(new))
    assert table.item(old) is None
    assert table.item(new) == new


def test_a_put_replaces_the_whole_item(table: Table, key: Item) -> None:
    table.put({**key, "old": {"S": "x"}})
    write(table, put({**key, "new": {"S": "y"}}))
    assert table.item(key) == {**key, "new": {"S": "y"}}


def test_deleting_nothing_is_no_error(table: Table, key: Item) -> None:
    assert write(table, delete(key))["UnprocessedItems"] == {}


def test_several_tables_can_be_written_at_once(table: Table, sorted_table: Table, key: Item) -> None:
    both = {**key, "sk": {"S": "a"}}
    table.client.batch_write_item(RequestItems={table.name: [put(key)], sorted_table.name: [put(both)]})
    assert table.item(key) == key
    assert sorted_table.item(both) == both


@pytest.mark.parametrize("second", ["put", "delete"])
def test_two_requests_for_one_key_are_refused(table: Table, key: Item, second: str) -> None:
    with invalid(DUPLICATES):
        write(table, put(key), put({**key, "v": {"S": "x"}}) if second == "put" else delete(key))
    assert table.item(key) is None


def test_equal_numbers_are_the_same_key(number_sorted_table: Table, key: Item) -> None:
    with invalid(DUPLICATES):
        write(number_sorted_table, put({**key, "sk": {"N": "10"}}), delete({**key, "sk": {"N": "1e1"}}))


def test_one_key_in_two_tables_is_two_keys(table: Table, make_table: Any, key: Item) -> None:
    other = make_table()
    table.client.batch_write_item(RequestItems={table.name: [put(key)], other.name: [put(key)]})
    assert table.item(key) == other.item(key) == key


def test_more_than_twenty_five_requests_are_refused(table: Table, sorted_table: Table) -> None:
    too_many = re.compile(
        r"Too many items requested for the BatchWriteItem call|.*Member must have length less than or equal to 25.*",
        re.DOTALL,
    )
    wanted = keys(26)
    with invalid(too_many):
        write(table, *(put(key) for key in wanted))
    with invalid("Too many items requested for the BatchWriteItem call"):
        table.client.batch_write_item(
            RequestItems={
                table.name: [put(key) for key in wanted[:13]],
                sorted_table.name: [put({**key, "sk": {"S": "a"}}) for key in wanted[:13]],
            }
        )
    assert table.item(wanted[0]) is None


def test_there_must_be_something_to_write(table: Table) -> None:
    with invalid(constraint_on("requestItems")):
        table.client.batch_write_item(RequestItems={})
    with invalid(re.compile(".*at 'requestItems.*Member must have length greater than or equal to 1.*", re.DOTALL)):
        write(table)


def test_a_request_is_either_a_put_or_a_delete(table: Table) -> None:
    one, other = keys(2)
    with invalid():
        write(table, {})
    with invalid():
        write(table, {**put(one), **delete(other)})
    assert table.item(one) is None


BAD_PUTS: dict[str, tuple[Item, str]] = {
    "no key": ({"v": {"S": "x"}}, missing_key("pk")),
    "empty item": ({}, missing_key("pk")),
    "wrong type of key": ({"pk": {"N": "1"}}, wrong_key_type("pk", "S", "N")),
    "empty key": ({"pk": {"S": ""}}, empty_key("pk")),
    "no type": ({"pk": {"S": "bad"}, "v": {}}, EMPTY_VALUE),
    "empty set": (
        {"pk": {"S": "bad"}, "v": {"SS": []}},
        "One or more parameter values were invalid: An string set  may not be empty",
    ),
    "too big": (
        {"pk": {"S": "bad"}, "v": {"S": "x" * 409_600}},
        "Item size has exceeded the maximum allowed size",
    ),
}


@pytest.mark.parametrize("name", BAD_PUTS)
def test_one_bad_put_stops_the_whole_batch(table: Table, key: Item, name: str) -> None:
    item, text = BAD_PUTS[name]
    with invalid(text):
        write(table, put(key), put(item))
    assert table.item(key) is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"pk": {"N": "1"}}, {"pk": {"S": "a"}, "x": {"S": "a"}}],
    ids=["empty", "wrong type", "too many"],
)
def test_one_bad_delete_stops_the_whole_batch(table: Table, key: Item, wrong: Item) -> None:
    with invalid(KEY_MISMATCH):
        write(table, put(key), delete(wrong))
    assert table.item(key) is None


def test_one_unknown_table_stops_the_whole_batch(table: Table, key: Item) -> None:
    with refused("ResourceNotFoundException", NO_TABLE):
        table.client.batch_write_item(RequestItems={table.name: [put(key)], unique("nobody"): [put(key)]})
    assert table.item(key) is None


def test_a_malformed_table_name_is_refused(dynamodb: Any, key: Item) -> None:
    with invalid(BAD_TABLE_NAME):
        dynamodb.batch_write_item(RequestItems={"a;b": [put(key)]})


def test_a_table_can_be_named_by_its_arn(table: Table, key: Item) -> None:
    arn = table.client.describe_table(TableName=table.name)["Table"]["TableArn"]
    table.client.batch_write_item(RequestItems={arn: [put(key)]})
    assert table.item(key) == key


@pytest.mark.slow
def test_a_batch_may_hold_sixteen_megabytes(table: Table) -> None:
    wanted = keys(25)
    waiting: dict[str, Any] = {table.name: [put({**key, "d": {"S": "x" * 400_000}}) for key in wanted]}
    while waiting:
        waiting = table.client.batch_write_item(RequestItems=waiting)["UnprocessedItems"]
    assert all(len((table.item(key) or {})["d"]["S"]) == 400_000 for key in wanted)


def test_a_table_that_is_named_twice_is_one_table(table: Table) -> None:
    [key] = keys(1)
    arn = table.client.describe_table(TableName=table.name)["Table"]["TableArn"]
    with invalid(DUPLICATES):
        table.client.batch_write_item(RequestItems={table.name: [put(key)], arn: [delete(key)]})
    assert table.item(key) is None
