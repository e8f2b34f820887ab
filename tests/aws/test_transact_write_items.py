# Why: transactions carry money and invariants. Either all of a request is there afterwards or nothing of it, whatever
# was wrong with any one action; and a client finds out which action it was, from reasons that are in order.

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from .refusals import EMPTY_VALUE, KEY_MISMATCH, NO_TABLE, constraint_on, empty_key, invalid, refused
from .table import Item, Table, unique
from .transactions import CONDITION, NONE, TWICE, canceled, check, delete, get, put, read, update, write, wrong

UNUSED = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a}"


@pytest.fixture
def other(make_table: Callable[..., Table]) -> Table:
    return make_table("S", "N")


def keys(count: int) -> list[Item]:
    prefix = unique()
    return [{"pk": {"S": f"{prefix}-{number:03}"}} for number in range(count)]


# All of it


def test_the_four_kinds_of_action_together(table: Table) -> None:
    new, old, gone, seen = keys(4)
    for key in (old, gone, seen):
        table.put({**key, "n": {"N": "1"}})
    answer = write(
        table,
        put(table, {**new, "n": {"N": "5"}}),
        update(table, old, "SET n = n + :n", ExpressionAttributeValues={":n": {"N": "10"}}),
        delete(table, gone),
        check(table, seen, "n = :one", ExpressionAttributeValues={":one": {"N": "1"}}),
    )
    answer.pop("ResponseMetadata")
    assert answer == {}
    assert [table.item(key) for key in (new, old, gone, seen)] == [
        {**new, "n": {"N": "5"}},
        {**old, "n": {"N": "11"}},
        None,
        {**seen, "n": {"N": "1"}},
    ]


def test_items_of_several_tables(table: Table, other: Table, key: Item) -> None:
    there = {"pk": key["pk"], "sk": {"N": "7"}}
    write(table, put(table, key), put(other, there))
    assert table.item(key) == key
    assert other.item(there) == there


def test_a_hundred_actions(table: Table) -> None:
    wanted = keys(100)
    write(table, *(put(table, key) for key in wanted))
    assert all(table.item(key) == key for key in wanted)


def test_an_update_makes_an_item_that_is_not_there(table: Table, key: Item) -> None:
    write(table, update(table, key, "SET a = :a", ExpressionAttributeValues={":a": {"S": "x"}}))
    assert table.item(key) == {**key, "a": {"S": "x"}}


def test_deleting_what_is_not_there_is_no_mistake(table: Table) -> None:
    one, two = keys(2)
    write(table, delete(table, one), put(table, two))
    assert table.item(two) == two


def test_a_table_may_be_named_by_its_arn(table: Table, key: Item) -> None:
    arn = table.client.describe_table(TableName=table.name)["Table"]["TableArn"]
    write(table, {"Put": {"TableName": arn, "Item": key}})
    assert table.item(key) == key


# Nothing of it


def test_one_condition_that_fails_undoes_all(table: Table) -> None:
    one, two, three = keys(3)
    table.put(two)
    with canceled(NONE, CONDITION, NONE):
        write(
            table,
            put(table, one),
            put(table, two, ConditionExpression="attribute_not_exists(pk)"),
            put(table, three),
        )
    assert [table.item(key) for key in (one, two, three)] == [None, two, None]


def test_each_action_has_its_own_reason(table: Table) -> None:
    one, two, three = keys(3)
    with canceled(CONDITION, NONE, CONDITION):
        write(
            table,
            check(table, one, "attribute_exists(pk)"),
            put(table, two),
            delete(table, three, ConditionExpression="attribute_exists(pk)"),
        )
    assert table.item(two) is None


def test_the_item_is_shown_to_who_asks_for_it(table: Table) -> None:
    one, two = keys(2)
    table.put({**one, "a": {"S": "x"}})
    with canceled({**CONDITION, "Item": {**one, "a": {"S": "x"}}}, CONDITION):
        write(
            table,
            update(
                table, one, "SET b = a",
                ConditionExpression="attribute_not_exists(a)", ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
            check(table, two, "attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        )  # fmt: skip


def test_what_an_update_cannot_do_cancels(table: Table) -> None:
    one, two = keys(2)
    table.put({**one, "s": {"S": "x"}})
    with canceled(wrong("The provided expression refers to an attribute that does not exist in the item"), NONE):
        write(
            table,
            update(table, one, "SET a = b + :n", ExpressionAttributeValues={":n": {"N": "1"}}),
            put(table, two),
        )
    with canceled(wrong("An operand in the update expression has an incorrect data type"), NONE):
        write(
            table,
            update(table, one, "SET a = s + :n", ExpressionAttributeValues={":n": {"N": "1"}}),
            put(table, two),
        )
    assert table.item(two) is None


def test_an_item_that_becomes_too_large_cancels(table: Table) -> None:
    one, two = keys(2)
    table.put({**one, "a": {"S": "x" * 300_000}})
    with canceled(wrong("Item size to update has exceeded the maximum allowed size"), NONE):
        write(
            table,
            update(table, one, "SET b = :b", ExpressionAttributeValues={":b": {"S": "x" * 200_000}}),
            put(table, two),
        )
    assert table.item(two) is None


# What is wrong with a request, before any item is looked at


@pytest.mark.parametrize("second", [put, delete], ids=["put", "delete"])
def test_two_actions_on_one_item_are_refused(table: Table, key: Item, second: Any) -> None:
    with invalid(TWICE):
        write(table, put(table, {**key, "a": {"S": "x"}}), second(table, key))
    with invalid(TWICE):
        write(table, check(table, key, "attribute_exists(pk)"), put(table, key))
    assert table.item(key) is None


def test_the_same_key_in_two_tables_is_two_items(table: Table, make_table: Callable[..., Table], key: Item) -> None:
    second = make_table()
    write(table, put(table, key), put(second, key))
    assert second.item(key) == key


def test_no_actions_and_too_many(table: Table) -> None:
    with refused("ValidationException", constraint_on("transactItems")):
        table.client.transact_write_items(TransactItems=[])
    with refused("ValidationException", constraint_on("transactItems")):
        table.client.transact_write_items()
    wanted = keys(101)
    with refused("ValidationException", re.compile(r".*Member must have length less than or equal to 100", re.DOTALL)):
        write(table, *(put(table, key) for key in wanted))
    assert table.item(wanted[0]) is None


def test_an_element_is_one_action(table: Table, key: Item) -> None:
    with invalid("TransactItems can only contain one of Check, Put, Update or Delete"):
        write(table, {**put(table, key), **delete(table, key)})
    with invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"):
        write(table, {})


@pytest.mark.parametrize(
    ("action", "member"),
    [
        ({"Put": {"Item": {"pk": {"S": "x"}}}}, "put.tableName"),
        ({"Put": {"TableName": "some-table"}}, "put.item"),
        ({"Delete": {"TableName": "some-table"}}, "delete.key"),
        ({"Update": {"TableName": "some-table", "Key": {"pk": {"S": "x"}}}}, "update.updateExpression"),
        (
            {"ConditionCheck": {"TableName": "some-table", "Key": {"pk": {"S": "x"}}}},
            "conditionCheck.conditionExpression",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_action_must_have(table: Table, action: dict[str, Any], member: str) -> None:
    with invalid(constraint_on(f"transactItems.1.member.{member}")):
        write(table, action)


def test_words_that_are_none(table: Table, key: Item) -> None:
    with invalid(constraint_on("returnConsumedCapacity")):
        write(table, put(table, key), ReturnConsumedCapacity="SOME")
    with invalid(constraint_on("returnItemCollectionMetrics")):
        write(table, put(table, key), ReturnItemCollectionMetrics="SOME")
    with invalid(constraint_on("transactItems.1.member.put.returnValuesOnConditionCheckFailure")):
        write(table, put(table, key, ReturnValuesOnConditionCheckFailure="ALL_NEW"))


def test_expressions_are_looked_at_first(table: Table, key: Item) -> None:
    with invalid('Invalid ConditionExpression: Syntax error; token: "bar", near: "foo bar"'):
        write(table, put(table, key, ConditionExpression="foo bar"))
    with invalid(UNUSED):
        write(
            table,
            put(
                table, key,
                ConditionExpression="attribute_exists(pk)", ExpressionAttributeValues={":a": {"S": "x"}},
            ),
        )  # fmt: skip
    with invalid("ExpressionAttributeNames can only be specified when using expressions"):
        write(table, put(table, key, ExpressionAttributeNames={"#a": "a"}))
    with invalid(EMPTY_VALUE):
        write(table, put(table, {**key, "a": {}}))
    assert table.item(key) is None


def test_a_table_that_is_not_there_refuses_all(table: Table, key: Item) -> None:
    missing = Table(table.client, unique("no-such-table"))
    with refused("ResourceNotFoundException", NO_TABLE):
        write(table, put(table, key), put(missing, key))
    assert table.item(key) is None


def test_an_empty_key_refuses_all(table: Table, key: Item) -> None:
    with invalid(empty_key("pk")):
        write(table, put(table, key), put(table, {"pk": {"S": ""}}))
    with invalid(empty_key("pk")):
        write(table, put(table, key), delete(table, {"pk": {"S": ""}}))


def test_a_key_that_does_not_fit_cancels(table: Table, key: Item) -> None:
    number = {"pk": {"N": "1"}}
    wrong_type = "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"
    with canceled(wrong(wrong_type), NONE):
        write(table, put(table, number), put(table, key))
    for action in (
        delete(table, number),
        check(table, number, "attribute_exists(pk)"),
        update(table, number, "SET a = :a", ExpressionAttributeValues={":a": {"S": "x"}}),
        delete(table, {"other": {"S": "x"}}),
        delete(table, {"pk": {"B": b""}}),    # its type is looked at first
    ):
        with canceled(NONE, wrong(KEY_MISMATCH)):
            write(table, put(table, key), action)
    assert table.item(key) is None


def test_key_attributes_are_not_updated(table: Table, key: Item) -> None:
    text = "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"
    with canceled(wrong(text)):
        write(table, update(table, key, "SET pk = :a", ExpressionAttributeValues={":a": {"S": "x"}}))


def test_four_megabytes_are_the_most(table: Table) -> None:
    wanted = keys(12)
    with invalid(re.compile(r"Transaction payload size cannot exceed 4 ?MB.*")):
        write(table, *(put(table, {**key, "a": {"S": "x" * 390_000}}) for key in wanted))
    assert table.item(wanted[0]) is None
    write(table, *(put(table, {**key, "a": {"S": "x" * 390_000}}) for key in wanted[:10]))
    assert table.item(wanted[9]) is not None


def test_items_that_are_updated_count_whole(table: Table) -> None:
    """API Reference: the aggregate size of the items in the transaction, not of the request."""
    wanted = keys(11)
    for key in wanted:
        table.put({**key, "a": {"S": "x" * 390_000}})
    actions = [update(table, key, "SET b = :b", ExpressionAttributeValues={":b": {"S": "x"}}) for key in wanted]
    with invalid(re.compile(r"Transaction payload size cannot exceed 4 ?MB.*")):
        write(table, *actions)
    assert "b" not in (table.item(wanted[0]) or {})
    write(table, *actions[:10])
    write(table, *(delete(table, key) for key in wanted))


def test_an_item_too_large_refuses_all(table: Table, key: Item) -> None:
    with invalid("Item size has exceeded the maximum allowed size"):
        write(table, put(table, {**key, "a": {"S": "x" * 410_000}}))


# The same request again


def test_a_request_that_comes_again_is_done_once(table: Table) -> None:
    one, two = keys(2)
    actions = [
        update(table, key, "ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}}) for key in (one, two)
    ]
    token = str(uuid.uuid4())
    first = write(table, *actions, ClientRequestToken=token, ReturnConsumedCapacity="TOTAL")
    again = write(table, *actions, ClientRequestToken=token, ReturnConsumedCapacity="TOTAL")
    assert [table.item(key) for key in (one, two)] == [{**key, "n": {"N": "1"}} for key in (one, two)]
    assert first["ConsumedCapacity"] == [{"TableName": table.name, "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}]
    assert again["ConsumedCapacity"] == [{"TableName": table.name, "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}]
    write(table, *actions, ClientRequestToken=str(uuid.uuid4()))
    assert table.item(one) == {**one, "n": {"N": "2"}}


def test_a_token_belongs_to_one_request(table: Table) -> None:
    one, two = keys(2)
    token = str(uuid.uuid4())
    write(table, put(table, one), ClientRequestToken=token)
    with refused(
        "IdempotentParameterMismatchException",
        "Specified idempotent token was used with different request parameters within the idempotency window",
    ):
        write(table, put(table, two), ClientRequestToken=token)
    assert table.item(two) is None


def test_what_was_refused_may_be_tried_again_with_its_token(table: Table, key: Item) -> None:
    token = str(uuid.uuid4())
    action = put(table, {**key, "a": {"S": "new"}}, ConditionExpression="attribute_exists(pk)")
    with canceled(CONDITION):
        write(table, action, ClientRequestToken=token)
    table.put(key)
    write(table, action, ClientRequestToken=token)
    assert table.item(key) == {**key, "a": {"S": "new"}}


def test_tokens_have_1_to_36_characters(table: Table, key: Item) -> None:
    for token in ("", "x" * 37):
        with invalid(constraint_on("clientRequestToken")):
            write(table, put(table, key), ClientRequestToken=token)


# What it costs


def test_each_action_counts_twice(table: Table, other: Table) -> None:
    one, two, three = keys(3)
    table.put({**two, "a": {"S": "x" * 3000}})
    answer = write(
        table,
        put(table, one),
        put(other, {"pk": one["pk"], "sk": {"N": "1"}}),
        delete(table, two),
        check(table, three, "attribute_not_exists(pk)"),
        ReturnConsumedCapacity="TOTAL",
    )
    units = {each["TableName"]: each for each in answer["ConsumedCapacity"]}
    assert units == {
        table.name: {"TableName": table.name, "CapacityUnits": 10.0, "WriteCapacityUnits": 10.0},
        other.name: {"TableName": other.name, "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0},
    }


def test_what_indexes_take_counts_once(make_table: Callable[..., Table]) -> None:
    table = make_table(
        "S", "S",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "x")],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by-x",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "x", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )  # fmt: skip
    key = {"pk": {"S": unique()}, "sk": {"S": "1"}}
    second = {"pk": key["pk"], "sk": {"S": "2"}}
    answer = write(
        table,
        put(table, {**key, "x": {"S": "x"}}),
        put(table, second),
        ReturnConsumedCapacity="INDEXES",
        ReturnItemCollectionMetrics="SIZE",
    )
    assert answer["ConsumedCapacity"] == [
        {
            "TableName": table.name,
            "CapacityUnits": 5.0,
            "WriteCapacityUnits": 5.0,
            "Table": {"CapacityUnits": 4.0, "WriteCapacityUnits": 4.0},
            "LocalSecondaryIndexes": {"by-x": {"CapacityUnits": 1.0, "WriteCapacityUnits": 1.0}},
        }
    ]
    assert answer["ItemCollectionMetrics"] == {
        table.name: [{"ItemCollectionKey": {"pk": key["pk"]}, "SizeEstimateRangeGB": [0.0, 1.0]}]
    }
    found = table.query(
        "pk = :p", IndexName="by-x", ExpressionAttributeValues={":p": key["pk"]}, ConsistentRead=True
    )
    assert found["Items"] == [{**key, "x": {"S": "x"}}]


def test_index_rows_change_with_their_items(make_table: Callable[..., Table]) -> None:
    table = make_table(
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "x")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-x",
                "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    one, two = keys(2)
    value = {"S": unique()}
    write(table, put(table, {**one, "x": value}), put(table, {**two, "x": value}))
    wanted = {one["pk"]["S"], two["pk"]["S"]}
    for _ in range(200):    # the index follows by itself, in its own time
        found = table.query("x = :x", IndexName="by-x", ExpressionAttributeValues={":x": value})["Items"]
        if {item["pk"]["S"] for item in found} == wanted:
            break
    assert {item["pk"]["S"] for item in found} == wanted
    with canceled(NONE, wrong(re.compile(r"One or more parameter values were invalid: Type mismatch for Index Key.*"))):
        write(table, put(table, one), put(table, {**two, "x": {"N": "1"}}))


def test_what_was_written_is_read_at_once(table: Table) -> None:
    one, two = keys(2)
    for number in range(20):
        value = {"n": {"N": str(number)}}
        write(table, put(table, {**one, **value}), put(table, {**two, **value}))
        answer = read(table, get(table, one), get(table, two))
        assert answer["Responses"] == [{"Item": {**one, **value}}, {"Item": {**two, **value}}]
        assert table.item(two) == {**two, **value}
