# Why: key conditions look like conditions and are not: one equality, perhaps one range, nothing else. Programs and
# ORMs that build them rely on each refusal to find their own mistakes.

import re
from typing import Any

import pytest

from .refusals import NOT_EXPRESSION, empty_key, invalid
from .table import Item, Table, sort_keys, unique

VALUES: Item = {
    ":c": {"S": "c"},
    ":e": {"S": "e"},
    ":bb": {"S": "bb"},
    ":b": {"S": "b"},
    ":empty": {"S": ""},
    ":n": {"N": "1"},
    ":bytes": {"B": b"c"},
    ":ss": {"SS": ["c"]},
}


@pytest.fixture(scope="module")
def pk(sorted_table: Table) -> Item:
    """The partition key value of items with sort keys a, b, ba, bb, bbb, c, d, e."""
    pk = {"S": unique("range")}
    sorted_table.fill([{"pk": pk, "sk": {"S": sk}} for sk in ("a", "b", "ba", "bb", "bbb", "c", "d", "e")])
    return pk


def placeholders(expression: str, pk: Item) -> dict[str, Any]:
    values = {":pk": pk, **VALUES}
    used = {name: values[name] for name in re.findall(r":\w+", expression) if name in values}
    names = {"#pk": "pk", "#sk": "sk"}
    used_names = {name: value for name, value in names.items() if name in expression}
    more: dict[str, Any] = {}
    if used:
        more["ExpressionAttributeValues"] = used
    if used_names:
        more["ExpressionAttributeNames"] = used_names
    return more


FINDS: dict[str, list[str]] = {
    "pk = :pk AND sk = :c": ["c"],
    "pk = :pk AND sk < :c": ["a", "b", "ba", "bb", "bbb"],
    "pk = :pk AND sk <= :c": ["a", "b", "ba", "bb", "bbb", "c"],
    "pk = :pk AND sk > :c": ["d", "e"],
    "pk = :pk AND sk >= :c": ["c", "d", "e"],
    "pk = :pk AND sk BETWEEN :bb AND :c": ["bb", "bbb", "c"],
    "pk = :pk AND sk BETWEEN :c AND :c": ["c"],
    "pk = :pk AND begins_with(sk, :b)": ["b", "ba", "bb", "bbb"],
    "pk = :pk AND begins_with(sk, :bb)": ["bb", "bbb"],
    "pk = :pk and begins_with ( sk , :e )": ["e"],
    "sk > :c AND pk = :pk": ["d", "e"],
    "begins_with(sk, :bb) AND pk = :pk": ["bb", "bbb"],
    ":pk = pk": ["a", "b", "ba", "bb", "bbb", "c", "d", "e"],
    "pk = :pk AND :c < sk": ["d", "e"],
    "pk = :pk AND :c >= sk": ["a", "b", "ba", "bb", "bbb", "c"],
    "(pk = :pk) AND (sk = :c)": ["c"],
    "(pk = :pk AND sk = :c)": ["c"],
    "#pk = :pk AND #sk = :c": ["c"],
    "pk=:pk AND sk=:c": ["c"],
}


@pytest.mark.parametrize("condition", FINDS)
@pytest.mark.parametrize("forward", [True, False], ids=["forwards", "backwards"])
def test_this_condition_finds(sorted_table: Table, pk: Item, condition: str, forward: bool) -> None:
    answer = sorted_table.query(condition, ScanIndexForward=forward, ConsistentRead=True, **placeholders(condition, pk))
    expected = FINDS[condition] if forward else FINDS[condition][::-1]
    assert sort_keys(answer) == expected
    assert answer["ScannedCount"] == len(expected)


def test_a_prefix_of_bytes_may_end_in_the_highest_byte(binary_sorted_table: Table) -> None:
    pk = {"S": unique()}
    stored = [b"\xfe", b"\xff", b"\xff\x00", b"\xff\xff", b"\xff\xff\xff"]
    binary_sorted_table.fill([{"pk": pk, "sk": {"B": value}} for value in stored])
    answer = binary_sorted_table.query(
        "pk = :pk AND begins_with(sk, :f)",
        ExpressionAttributeValues={":pk": pk, ":f": {"B": b"\xff\xff"}},
        ConsistentRead=True,
    )
    assert sort_keys(answer) == [b"\xff\xff", b"\xff\xff\xff"]


def test_number_ranges_go_by_value(number_sorted_table: Table) -> None:
    pk = {"S": unique()}
    number_sorted_table.fill(
        [{"pk": pk, "sk": {"N": number}} for number in ("-20", "-3", "0", "0.5", "3", "20", "100")]
    )
    answer = number_sorted_table.query(
        "pk = :pk AND sk BETWEEN :low AND :high",
        ExpressionAttributeValues={":pk": pk, ":low": {"N": "-3.0"}, ":high": {"N": "20"}},
        ConsistentRead=True,
    )
    assert sort_keys(answer) == ["-3", "0", "0.5", "3", "20"]


TWO_NAMES = "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
NOT_SCALAR = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk"
NOT_SUPPORTED = "Query key condition not supported"
ONE_EACH = "KeyConditionExpressions must only contain one condition per key"
TYPE_MISMATCH = "One or more parameter values were invalid: Condition parameter type does not match schema type"

WRONG: dict[str, str] = {
    "": "Invalid KeyConditionExpression: The expression can not be empty;",
    "pk = :pk AND": 'Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "AND"',
    "pk = :pk, sk = :c": 'Invalid KeyConditionExpression: Syntax error; token: ",", near: ":pk, sk"',
    "((pk = :pk))": "Invalid KeyConditionExpression: The expression has redundant parentheses;",
    "#nobody = :pk": "Invalid KeyConditionExpression: An expression attribute name used in the document path is not "
    "defined; attribute name: #nobody",
    "pk = :nobody": "Invalid KeyConditionExpression: An expression attribute value used in expression is not defined; "
    "attribute value: :nobody",
    # operators
    "pk = :pk OR sk = :c": "Invalid operator used in KeyConditionExpression: OR",
    "NOT pk = :pk": "Invalid operator used in KeyConditionExpression: NOT",
    "pk = :pk AND NOT sk = :c": "Invalid operator used in KeyConditionExpression: NOT",
    "pk = :pk AND sk <> :c": "Invalid operator used in KeyConditionExpression: <>",
    "pk = :pk AND sk IN (:c)": "Invalid operator used in KeyConditionExpression: IN",
    "pk IN (:pk)": "Invalid operator used in KeyConditionExpression: IN",
    "pk = :pk AND contains(sk, :c)": "Invalid operator used in KeyConditionExpression: contains",
    "pk = :pk AND attribute_exists(sk)": "Invalid operator used in KeyConditionExpression: attribute_exists",
    "pk = :pk AND size(sk) = :n": "KeyConditionExpressions cannot contain nested operations",
    "pk = sk": TWO_NAMES,
    "pk = :pk AND sk = pk": TWO_NAMES,
    "pk = :pk AND begins_with(:c, sk)": "Invalid condition in KeyConditionExpression: begins_with operator must have "
    "the key attribute as its first operand",
    # the keys
    "sk = :c": "Query condition missed key schema element: pk",
    "x = :c": "Query condition missed key schema element: pk",
    "pk = :pk AND x = :c": "Query condition missed key schema element: sk",
    "pk > :pk": NOT_SUPPORTED,
    "begins_with(pk, :pk)": NOT_SUPPORTED,
    "pk BETWEEN :c AND :e": NOT_SUPPORTED,
    "pk = :pk AND pk = :c": ONE_EACH,
    "pk = :pk AND sk > :b AND sk < :e": ONE_EACH,
    "pk = :pk AND sk = :c AND x = :e": "Conditions can be of length 1 or 2 only",
    "pk.x = :pk": NOT_SCALAR,
    "pk[0] = :pk": NOT_SCALAR,
    # values
    "pk = :n": TYPE_MISMATCH,
    "pk = :ss": TYPE_MISMATCH,
    "pk = :pk AND sk = :n": TYPE_MISMATCH,
    "pk = :pk AND sk = :bytes": TYPE_MISMATCH,
    "pk = :pk AND begins_with(sk, :n)": "Invalid KeyConditionExpression: Incorrect operand type for operator or "
    "function; operator or function: begins_with, operand type: N",
    "pk = :pk AND sk BETWEEN :e AND :c": "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to "
    "be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:e}, "
    "upper bound operand: AttributeValue: {S:c}",
    "pk = :empty": empty_key("pk"),
    "pk = :pk AND sk = :empty": empty_key("sk"),
    "pk = :pk AND sk > :empty": empty_key("sk"),
    "pk = :pk AND begins_with(sk, :empty)": empty_key("sk"),
}


@pytest.mark.parametrize("condition", WRONG, ids=[condition or "nothing" for condition in WRONG])
def test_this_condition_is_refused(sorted_table: Table, pk: Item, condition: str) -> None:
    with invalid(WRONG[condition]):
        sorted_table.query(condition, **placeholders(condition, pk))


def test_a_table_without_sort_keys_takes_no_second_condition(table: Table, key: Item) -> None:
    with invalid(re.compile("Query key condition not supported|Query condition missed key schema element.*")):
        table.query("pk = :pk AND sk = :pk", ExpressionAttributeValues={":pk": key["pk"]})


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"ExpressionAttributeNames": {"#a": "a"}}, NOT_EXPRESSION),
        (
            {"ExpressionAttributeValues": {":a": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "FilterExpression and KeyConditionExpression are null",
        ),
    ],
    ids=["names", "values"],
)
def test_placeholders_need_an_expression(sorted_table: Table, parameters: dict[str, Any], text: str) -> None:
    with invalid(text):
        sorted_table.query(**parameters)


def test_unused_placeholders_are_refused(sorted_table: Table, pk: Item) -> None:
    with invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {:spare}"):
        sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": pk, ":spare": {"S": "a"}})
    with invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {#spare}"):
        sorted_table.query("pk = :pk", ExpressionAttributeValues={":pk": pk}, ExpressionAttributeNames={"#spare": "a"})
