# Why: an item may have 400 KB as DynamoDB counts them: names and values, numbers by their digits, 3 bytes and one
# per element for lists and maps. Who counts otherwise takes items that cannot be moved to the service, or refuses
# items that it takes. The count also decides what every write and read costs.
#
# Counting to the byte: an item of exactly 1,024 bytes costs one write unit and one of 1,025 costs two, so each case
# below is filled up to that edge with text and put on both sides of it.

import base64
from typing import Any

import pytest

from .refusals import invalid
from .table import Item, Table

KB = 1024
LIMIT = 400 * KB
TOO_BIG = "Item size has exceeded the maximum allowed size"
UPDATE_TOO_BIG = "Item size to update has exceeded the maximum allowed size"

# value -> the bytes that DynamoDB counts for it, without its name
SIZES: dict[str, tuple[Item, int]] = {
    "text": ({"S": "12345"}, 5),
    "empty text": ({"S": ""}, 0),
    "text beyond ascii": ({"S": "é€😀"}, 2 + 3 + 4),
    "binary counts its bytes and not its base64": ({"B": b"12345"}, 5),
    "true": ({"BOOL": True}, 1),
    "false": ({"BOOL": False}, 1),
    "null": ({"NULL": True}, 1),
    "one digit": ({"N": "1"}, 2),
    "two digits": ({"N": "12"}, 2),
    "three digits": ({"N": "123"}, 3),
    "four digits": ({"N": "1234"}, 3),
    "a negative digit": ({"N": "-1"}, 3),
    "a fraction": ({"N": "1.5"}, 3),
    "zeros at the end are not counted": ({"N": "100"}, 2),
    "38 digits": ({"N": "1" * 38}, 20),
    "38 negative digits": ({"N": "-" + "1" * 38}, 21),
    "texts in a set": ({"SS": ["abc", "de"]}, 5),
    "numbers in a set": ({"NS": ["1", "123"]}, 5),
    "binaries in a set": ({"BS": [b"abc", b"de"]}, 5),
    "empty list": ({"L": []}, 3),
    "empty map": ({"M": {}}, 3),
    "list": ({"L": [{"S": "ab"}, {"BOOL": True}]}, 3 + (1 + 2) + (1 + 1)),
    "map": ({"M": {"name": {"S": "ab"}}}, 3 + (1 + 4 + 2)),
    "list in a map": ({"M": {"k": {"L": [{"S": "x"}]}}}, 3 + (1 + 1 + (3 + (1 + 1)))),
}


def units(answer: dict[str, Any]) -> float:
    return float(answer["ConsumedCapacity"]["CapacityUnits"])


def filled(key: Item, size: int, **attributes: Item) -> Item:
    """An item of `size` bytes: the key, these attributes (which must be of counted size 0), and text."""
    rest = size - len("pk") - len(key["pk"]["S"]) - len("fill")
    return {**key, **attributes, "fill": {"S": "x" * rest}}


@pytest.mark.parametrize("name", SIZES)
def test_this_value_counts_as_so_many_bytes(table: Table, key: Item, name: str) -> None:
    value, size = SIZES[name]
    others = len("v") + size
    just = {**filled(key, KB - others), "v": value}
    over = {**filled(key, KB - others + 1), "v": value}
    assert units(table.put(just, ReturnConsumedCapacity="TOTAL")) == 1.0
    table.delete(key)
    assert units(table.put(over, ReturnConsumedCapacity="TOTAL")) == 2.0


def test_a_name_counts_its_utf8_bytes(table: Table, key: Item) -> None:
    others = len("né€".encode()) + 1
    assert units(table.put({**filled(key, KB - others), "né€": {"S": "x"}}, ReturnConsumedCapacity="TOTAL")) == 1.0
    table.delete(key)
    assert units(table.put({**filled(key, KB - others + 1), "né€": {"S": "x"}}, ReturnConsumedCapacity="TOTAL")) == 2.0


def test_an_item_may_have_exactly_400_kb(table: Table, key: Item) -> None:
    item = filled(key, LIMIT)
    assert units(table.put(item, ReturnConsumedCapacity="TOTAL")) == 400.0
    assert table.item(key) == item


def test_one_byte_more_is_refused(table: Table, key: Item) -> None:
    with invalid(TOO_BIG):
        table.put(filled(key, LIMIT + 1))
    assert table.item(key) is None


def test_400_kb_of_binary_are_counted_before_base64(table: Table, key: Item) -> None:
    size = LIMIT - len("pk") - len(key["pk"]["S"]) - len("fill")
    item = {**key, "fill": {"B": b"\xff" * size}}
    assert len(base64.b64encode(item["fill"]["B"])) > LIMIT
    table.put(item)
    assert table.item(key) == item
    with invalid(TOO_BIG):
        table.put({**key, "fill": {"B": b"\xff" * (size + 1)}})


def test_escapes_in_json_do_not_count(table: Table, key: Item) -> None:
    size = LIMIT - len("pk") - len(key["pk"]["S"]) - len("fill")
    item = {**key, "fill": {"S": "\x01" * size}}  # six bytes each on the wire
    table.put(item)
    assert table.item(key) == item


def test_an_update_may_grow_an_item_to_exactly_400_kb(table: Table, key: Item) -> None:
    table.put(filled(key, LIMIT - 10))
    change = {"UpdateExpression": "SET grow = :g", "ReturnConsumedCapacity": "TOTAL"}
    with invalid(UPDATE_TOO_BIG):
        table.update(key, **change, ExpressionAttributeValues={":g": {"S": "x" * 7}})
    assert table.item(key) == filled(key, LIMIT - 10)
    answer = table.update(key, **change, ExpressionAttributeValues={":g": {"S": "x" * 6}})
    assert units(answer) == 400.0


def test_an_update_that_shrinks_a_full_item_is_welcome(table: Table, key: Item) -> None:
    table.put(filled(key, LIMIT))
    table.update(key, UpdateExpression="SET fill = :f", ExpressionAttributeValues={":f": {"S": "small"}})
    assert table.item(key) == {**key, "fill": {"S": "small"}}


def test_many_small_attributes_count_their_names(table: Table, key: Item) -> None:
    # 20,000 attributes of 20 bytes of name and one of value: 420,000 bytes, of which 20,000 are values.
    with invalid(TOO_BIG):
        table.put({**key, **{f"{n:020}": {"BOOL": True} for n in range(20_000)}})
    assert table.item(key) is None
