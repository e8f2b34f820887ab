# Why: a projection decides what a reader gets to see. A path too many leaks, a path too few breaks the program,
# and parts of documents must come back in the shape that they have in the item.

from typing import Any

import pytest

from .refusals import NOT_EXPRESSION, invalid
from .table import Item, Table, unique

ITEM: Item = {
    "s": {"S": "text"},
    "l": {
        "L": [
            {"N": "0"},
            {"M": {"x": {"N": "1"}, "y": {"N": "2"}}},
            {"L": [{"S": "a"}, {"S": "b"}]},
            {"N": "3"},
        ]
    },
    "m": {"M": {"x": {"N": "1"}, "y": {"M": {"z": {"S": "deep"}, "w": {"S": "wide"}}}}},
    "a.b": {"S": "dotted"},
    "abort": {"S": "reserved"},
}
NAMES = {"#dot": "a.b", "#abort": "abort", "#m": "m", "#x": "x", "#l1": "l[1]"}


@pytest.fixture(scope="module")
def there(table: Table) -> Item:
    key = {"pk": {"S": unique("projection")}}
    table.put({**key, **ITEM})
    return key


def placeholders(expression: str) -> dict[str, Any]:
    used = {name: value for name, value in NAMES.items() if name in expression}
    return {"ExpressionAttributeNames": used} if used else {}


L = ITEM["l"]["L"]
SHOWS: dict[str, Item] = {
    "s": {"s": ITEM["s"]},
    "s, m": {"s": ITEM["s"], "m": ITEM["m"]},
    "s,m": {"s": ITEM["s"], "m": ITEM["m"]},
    "absent": {},
    "s, absent": {"s": ITEM["s"]},
    "m.x": {"m": {"M": {"x": {"N": "1"}}}},
    "m.y.z": {"m": {"M": {"y": {"M": {"z": {"S": "deep"}}}}}},
    "m.x, m.y.w": {"m": {"M": {"x": {"N": "1"}, "y": {"M": {"w": {"S": "wide"}}}}}},
    "m.absent": {},
    "m.x.absent": {},
    "s.x": {},
    "m[0]": {},
    "l[0]": {"l": {"L": [L[0]]}},
    "l[3], l[0]": {"l": {"L": [L[0], L[3]]}},
    "l[1].y": {"l": {"L": [{"M": {"y": {"N": "2"}}}]}},
    "l[2][1]": {"l": {"L": [{"L": [{"S": "b"}]}]}},
    "l[2][1], l[0]": {"l": {"L": [{"N": "0"}, {"L": [{"S": "b"}]}]}},
    "l[4]": {},
    "l.x": {},
    "#dot": {"a.b": {"S": "dotted"}},
    "#abort": {"abort": {"S": "reserved"}},
    "#m.#x": {"m": {"M": {"x": {"N": "1"}}}},
    "#l1": {},
}


@pytest.mark.parametrize("expression", SHOWS)
def test_this_projection_shows(table: Table, there: Item, expression: str) -> None:
    answer = table.get(there, ProjectionExpression=expression, ConsistentRead=True, **placeholders(expression))
    assert answer["Item"] == SHOWS[expression]


def test_queries_and_scans_show_the_same(table: Table, there: Item) -> None:
    projection = {"ProjectionExpression": "m.y.z, l[0]", "ConsistentRead": True}
    expected = [{"m": {"M": {"y": {"M": {"z": {"S": "deep"}}}}}, "l": {"L": [{"N": "0"}]}}]
    value = {"ExpressionAttributeValues": {":pk": there["pk"]}}
    assert table.query("pk = :pk", **projection, **value)["Items"] == expected
    pages = table.pages("scan", FilterExpression="pk = :pk", **projection, **value)
    assert [item for page in pages for item in page["Items"]] == expected


def test_a_filter_sees_what_the_projection_leaves_out(table: Table, there: Item) -> None:
    answer = table.query(
        "pk = :pk",
        FilterExpression="s = :s",
        ProjectionExpression="pk",
        ExpressionAttributeValues={":pk": there["pk"], ":s": {"S": "text"}},
        ConsistentRead=True,
    )
    assert answer["Items"] == [there]


def syntax(token: str, near: str) -> str:
    return f'Syntax error; token: "{token}", near: "{near}"'


def paths(verb: str, one: str, two: str) -> str:
    return (
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {one}, path two: {two}"
    )


WRONG: dict[str, str] = {
    "": "The expression can not be empty;",
    "a,,b": syntax(",", ",,b"),
    "a,": syntax("<EOF>", ","),
    "a b": syntax("b", "a b"),
    "a[": syntax("<EOF>", "["),
    "a[-1]": syntax("-", "[-1"),
    "1a": syntax("1", "1a"),
    "_a": syntax("_", "_a"),
    ":a": syntax(":a", ":a"),
    "a$": syntax("$", "a$"),
    "size(a)": syntax("(", "size(a"),
    "a[99999999999]": "List index is not within the allowable range; index: [99999999999]",
    "abort": "Attribute name is a reserved keyword; reserved keyword: abort",
    "a.abort": "Attribute name is a reserved keyword; reserved keyword: abort",
    "#nobody": "An expression attribute name used in the document path is not defined; attribute name: #nobody",
    "a, a": paths("overlap", "[a]", "[a]"),
    "a.b, a": paths("overlap", "[a, b]", "[a]"),
    "a, a[0]": paths("overlap", "[a]", "[a, [0]]"),
    "a[0], a.b": paths("conflict", "[a, [0]]", "[a, b]"),
}


@pytest.mark.parametrize("expression", WRONG, ids=[expression or "nothing" for expression in WRONG])
def test_this_projection_is_refused(table: Table, there: Item, expression: str) -> None:
    with invalid(f"Invalid ProjectionExpression: {WRONG[expression]}"):
        table.get(there, ProjectionExpression=expression)


def test_names_need_an_expression(table: Table, there: Item) -> None:
    with invalid(NOT_EXPRESSION):
        table.get(there, ExpressionAttributeNames={"#a": "a"})


def test_an_unused_name_is_refused(table: Table, there: Item) -> None:
    with invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {#spare}"):
        table.get(there, ProjectionExpression="a", ExpressionAttributeNames={"#spare": "b"})
