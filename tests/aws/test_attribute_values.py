# Why: all ten types must survive the way to the disk and back unchanged, wherever they stand in a document, and the
# values that DynamoDB refuses must be refused here too, or data moves to the service that it will not take.

import re
from typing import Any

import pytest

from .refusals import EMPTY_VALUE, TWO_TYPES, invalid
from .table import Item, Table, nested

KEEPS: dict[str, Item] = {
    "text": {"S": "text"},
    "empty text": {"S": ""},
    "text of every plane": {"S": '\x00\x01\t\n"\\/\x7f\u0080é\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff'},
    "composed and decomposed": {"S": "é e\u0301"},
    "long text": {"S": "x" * 100_000},
    "number": {"N": "42"},
    "binary": {"B": bytes(range(256))},
    "empty binary": {"B": b""},
    "one byte": {"B": b"\x00"},
    "two bytes": {"B": b"\xff\xfe"},
    "true": {"BOOL": True},
    "false": {"BOOL": False},
    "null": {"NULL": True},
    "empty list": {"L": []},
    "mixed list": {"L": [{"S": "a"}, {"N": "1"}, {"B": b"b"}, {"BOOL": False}, {"NULL": True}, {"L": []}, {"M": {}}]},
    "empty map": {"M": {}},
    "map": {"M": {"a": {"S": ""}, "b": {"M": {"c": {"L": [{"SS": ["x"]}]}}}}},
    "map with odd names": {
        "M": {"": {"S": "x"}, "a.b": {"S": "x"}, "#n": {"S": "x"}, "é": {"S": "x"}, " ": {"S": "x"}}
    },
    "one in a set": {"SS": ["x"]},
    "one number in a set": {"NS": ["1"]},
    "one binary in a set": {"BS": [b"x"]},
    "empty text in a set": {"SS": [""]},
    "empty binary in a set": {"BS": [b""]},
}
del KEEPS["map with odd names"]["M"][""]  # whether a map takes the empty name is asked below


@pytest.mark.parametrize("name", KEEPS)
def test_this_value_comes_back_as_it_was_put(table: Table, key: Item, name: str) -> None:
    item = {**key, "v": KEEPS[name], "in a list": {"L": [KEEPS[name]]}, "in a map": {"M": {"v": KEEPS[name]}}}
    table.put(item)
    assert table.item(key) == item


def test_an_attribute_may_be_called_almost_anything(table: Table, key: Item) -> None:
    names = ["a b", "a.b", "a[0]", "#a", ":a", "é", "😀", "\x00", '"', "select", "x" * 1000]
    item = {**key, **{name: {"S": name} for name in names}}
    table.put(item)
    assert table.item(key) == item


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("SS", ["b", "a", "c", "A", ""]),
        ("NS", ["3", "-1", "2.5", "0"]),
        ("BS", [b"b", b"a", b"\x00", b"\xff"]),
    ],
    ids=["text", "numbers", "binary"],
)
def test_a_set_keeps_its_members_in_whatever_order(table: Table, key: Item, kind: str, members: list[Any]) -> None:
    table.put({**key, "v": {kind: members}})
    found = (table.item(key) or {})["v"]
    assert list(found) == [kind]
    assert sorted(found[kind]) == sorted(members)


def test_a_list_keeps_its_order_and_its_repeats(table: Table, key: Item) -> None:
    item = {**key, "v": {"L": [{"N": str(n)} for n in (3, 1, 2, 1, 3)]}}
    table.put(item)
    assert table.item(key) == item


def wrong_set(text: str) -> str:
    return f"One or more parameter values were invalid: {text}"


REFUSES: dict[str, tuple[Item, str | re.Pattern[str]]] = {
    "no type": ({}, EMPTY_VALUE),
    "two types": ({"S": "a", "N": "1"}, TWO_TYPES),
    "null that is false": (
        {"NULL": False},
        "One or more parameter values were invalid: Null attribute value types must have the value of true",
    ),
    "empty text set": ({"SS": []}, wrong_set("An string set  may not be empty")),
    "empty number set": ({"NS": []}, wrong_set("An number set  may not be empty")),
    "empty binary set": ({"BS": []}, wrong_set("Binary sets should not be empty")),
    "text twice": (
        {"SS": ["a", "a"]},
        re.compile(re.escape(wrong_set("Input collection [a, a] contains duplicates")) + r"\.?"),
    ),
    "number twice": ({"NS": ["1", "1"]}, "Input collection contains duplicates"),
    "number twice in other words": ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
    "zero and minus zero": ({"NS": ["0", "-0"]}, "Input collection contains duplicates"),
    "binary twice": (
        {"BS": [b"a", b"a"]},
        re.compile(re.escape(wrong_set("Input collection ")) + r"(\[YQ==, YQ==\])?\s?of type BS contains duplicates\."),
    ),
}


@pytest.mark.parametrize("place", ["at the top", "in a list", "in a map", "deep down"])
@pytest.mark.parametrize("name", REFUSES)
def test_this_value_is_refused(table: Table, key: Item, name: str, place: str) -> None:
    value, text = REFUSES[name]
    there: dict[str, Item] = {
        "at the top": value,
        "in a list": {"L": [{"S": "before"}, value]},
        "in a map": {"M": {"before": {"S": "x"}, "v": value}},
        "deep down": {"M": {"l": {"L": [{"M": {"v": value}}]}}},
    }
    with invalid(text):
        table.put({**key, "v": there[place]})
    assert table.item(key) is None


@pytest.mark.parametrize("name", ["empty text set", "number twice", "null that is false"])
def test_values_in_expressions_are_judged_the_same_way(table: Table, key: Item, name: str) -> None:
    value, text = REFUSES[name]
    assert isinstance(text, str)
    with invalid(f"ExpressionAttributeValues contains invalid value: {text} for key :v"):
        table.update(key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": value})
    assert table.item(key) is None


def test_the_empty_attribute_name_is_refused(table: Table, key: Item) -> None:
    with invalid(re.compile("(One or more parameter values were invalid: )?.*[Aa]ttribute name.*", re.DOTALL)):
        table.put({**key, "": {"S": "x"}})
    assert table.item(key) is None


def test_an_attribute_name_has_up_to_65535_bytes(table: Table, key: Item) -> None:
    item = {**key, "n" * 65_535: {"S": "x"}}
    table.put(item)
    assert table.item(key) == item
    with invalid():
        table.put({**key, "n" * 65_536: {"S": "x"}})
    with invalid():
        table.put({**key, "é" * 32_768: {"S": "x"}})
    assert table.item(key) == item


def nested_maps(levels: int) -> Item:
    value: Item = {"S": "leaf"}
    for _ in range(levels):
        value = {"M": {"a": value}}
    return value


@pytest.mark.parametrize("nest", [nested, nested_maps], ids=["lists", "maps"])
def test_documents_nest_32_levels_deep(table: Table, key: Item, nest: Any) -> None:
    # The item itself is the first level, so 31 lists or maps fit into it.
    table.put({**key, "v": nest(31)})
    assert table.item(key) == {**key, "v": nest(31)}
    with invalid(re.compile("Nesting Levels have exceeded supported limits.*")):
        table.put({**key, "v": nest(32)})
    assert table.item(key) == {**key, "v": nest(31)}


def test_an_empty_list_or_map_counts_as_a_level(table: Table, key: Item) -> None:
    item = {**key, "l": nested(30, {"L": []}), "m": nested(30, {"M": {}})}
    table.put(item)
    assert table.item(key) == item
    with invalid(re.compile("Nesting Levels have exceeded supported limits.*")):
        table.put({**key, "l": nested(31, {"L": []})})


def test_a_value_that_nests_too_deep_in_an_expression_is_refused(table: Table, key: Item) -> None:
    with invalid(re.compile(".*Nesting Levels have exceeded supported limits.*")):
        table.update(key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": nested(32)})
    assert table.item(key) is None


def test_the_resource_interface_of_boto3_keeps_python_values(resource: Any, table: Table, key: Item) -> None:
    from decimal import Decimal

    item = {
        "pk": key["pk"]["S"],
        "text": "x",
        "number": Decimal("1.5"),
        "list": [1, "two", None, True, {"three": 3}],
        "set": {"a", "b"},
        "numbers": {1, Decimal("2.5")},
        "bytes": b"\x00\x01",
        "nothing": None,
    }
    resource.Table(table.name).put_item(Item=item)
    found = resource.Table(table.name).get_item(Key={"pk": key["pk"]["S"]}, ConsistentRead=True)["Item"]
    assert found.pop("bytes").value == item.pop("bytes")
    assert found == item
