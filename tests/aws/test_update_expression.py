# Why: update expressions compute on the server what cannot be computed safely anywhere else. Each case here is one
# sentence of the developer guide's "Update expressions", or one of the service's refusals in its own words.

import re
from typing import Any

import pytest

from .refusals import NOT_EXPRESSION, invalid
from .table import Item, Table, unique

BEFORE: Item = {
    "n": {"N": "5"},
    "s": {"S": "text"},
    "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "3"}]},
    "m": {"M": {"x": {"N": "1"}, "y": {"S": "why"}, "in": {"M": {"deep": {"N": "7"}}}}},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": [b"\x01"]},
}
VALUES: Item = {
    ":one": {"N": "1"},
    ":two": {"N": "2"},
    ":half": {"N": "0.5"},
    ":neg": {"N": "-3"},
    ":s": {"S": "new"},
    ":l": {"L": [{"S": "x"}, {"S": "y"}]},
    ":nil": {"L": []},
    ":m": {"M": {"k": {"S": "v"}}},
    ":ssbc": {"SS": ["b", "c"]},
    ":ssab": {"SS": ["a", "b"]},
    ":ssz": {"SS": ["z"]},
    ":ns": {"NS": ["2.0", "3"]},
    ":bs": {"BS": [b"\x02"]},
    ":true": {"BOOL": True},
    ":null": {"NULL": True},
}
NAMES = {"#in": "in", "#n": "n", "#dot": "a.b", "#m": "m", "#abort": "abort", "#x": "x"}


def placeholders(expression: str) -> dict[str, Any]:
    values = {name: VALUES[name] for name in re.findall(r":\w+", expression) if name in VALUES}
    names = {name: NAMES[name] for name in re.findall(r"#\w+", expression) if name in NAMES}
    more: dict[str, Any] = {}
    if values:
        more["ExpressionAttributeValues"] = values
    if names:
        more["ExpressionAttributeNames"] = names
    return more


def canonical(item: Item) -> Item:
    """Sets have no order: sort them before two items are compared."""
    return {
        name: {kind: sorted(content) if kind in ("SS", "NS", "BS") else content}
        for name, value in item.items()
        for kind, content in value.items()
    }


def changed(path_and_value: dict[str, Any]) -> Item:
    """The item as before, with these attributes replaced; None takes one out."""
    after = {**BEFORE, **path_and_value}
    return {name: value for name, value in after.items() if value is not None}


def with_list(*elements: Item) -> Item:
    return changed({"l": {"L": list(elements)}})


def with_map(**members: Any) -> Item:
    after = {**BEFORE["m"]["M"], **members}
    return changed({"m": {"M": {name: value for name, value in after.items() if value is not None}}})


N = [{"N": str(n)} for n in range(10)]
X, Y = {"S": "x"}, {"S": "y"}

DOES: dict[str, Item] = {
    # SET
    "SET a = :s": changed({"a": {"S": "new"}}),
    "SET n = :s": changed({"n": {"S": "new"}}),
    "SET a = :s, c = :one": changed({"a": {"S": "new"}, "c": {"N": "1"}}),
    "set a=:s,c=:one": changed({"a": {"S": "new"}, "c": {"N": "1"}}),
    "SET a = n": changed({"a": {"N": "5"}}),
    "SET a = m.#in.deep": changed({"a": {"N": "7"}}),
    "SET a = l[2]": changed({"a": {"N": "2"}}),
    "SET n = n": BEFORE,
    "SET #dot = :s": changed({"a.b": {"S": "new"}}),
    "SET #abort = :s": changed({"abort": {"S": "new"}}),
    "SET m.z = :s": with_map(z={"S": "new"}),
    "SET m.x = :s": with_map(x={"S": "new"}),
    "SET m.#in.deep = :one": with_map(**{"in": {"M": {"deep": {"N": "1"}}}}),
    "SET m = :one": changed({"m": {"N": "1"}}),
    "SET l[0] = :s": with_list({"S": "new"}, *N[1:4]),
    "SET l[3] = :s": with_list(*N[:3], {"S": "new"}),
    # beyond the end: appended, whatever the index says
    "SET l[4] = :s": with_list(*N[:4], {"S": "new"}),
    "SET l[100] = :s": with_list(*N[:4], {"S": "new"}),
    "SET l[9] = :one, l[7] = :two": with_list(*N[:4], {"N": "2"}, {"N": "1"}),
    # every operand is the value before the update
    "SET n = s, s = n": changed({"n": {"S": "text"}, "s": {"N": "5"}}),
    "SET l[0] = l[1], l[1] = l[0]": with_list(N[1], N[0], *N[2:4]),
    "SET a = n, n = :one": changed({"a": {"N": "5"}, "n": {"N": "1"}}),
    # arithmetic
    "SET n = n + :one": changed({"n": {"N": "6"}}),
    "SET n = n - :half": changed({"n": {"N": "4.5"}}),
    "SET n = :one - n": changed({"n": {"N": "-4"}}),
    "SET n = :one + :two": changed({"n": {"N": "3"}}),
    "SET n = n - n": changed({"n": {"N": "0"}}),
    "SET n = n+:neg": changed({"n": {"N": "2"}}),
    "SET n = (n + :one)": changed({"n": {"N": "6"}}),
    "SET m.x = m.x + l[3]": with_map(x={"N": "4"}),
    # functions
    "SET n = if_not_exists(n, :one)": BEFORE,
    "SET a = if_not_exists(a, :one)": changed({"a": {"N": "1"}}),
    "SET a = if_not_exists(n, :one)": changed({"a": {"N": "5"}}),
    "SET a = if_not_exists(a, s)": changed({"a": {"S": "text"}}),
    "SET a = if_not_exists(m.absent, :one) + :two": changed({"a": {"N": "3"}}),
    "SET a = if_not_exists(a, if_not_exists(c, :two))": changed({"a": {"N": "2"}}),
    "SET l = list_append(l, :l)": with_list(*N[:4], X, Y),
    "SET l = list_append(:l, l)": with_list(X, Y, *N[:4]),
    "SET l = list_append(l, l)": with_list(*N[:4], *N[:4]),
    "SET a = list_append(:l, :nil)": changed({"a": {"L": [X, Y]}}),
    "SET a = list_append(if_not_exists(a, :nil), :l)": changed({"a": {"L": [X, Y]}}),
    # REMOVE
    "REMOVE n": changed({"n": None}),
    "REMOVE n, s": changed({"n": None, "s": None}),
    "REMOVE absent": BEFORE,
    "REMOVE m.x": with_map(x=None),
    "REMOVE m.absent": BEFORE,
    "REMOVE m.#in.deep": with_map(**{"in": {"M": {}}}),
    "REMOVE l[0]": with_list(*N[1:4]),
    "REMOVE l[1], l[2]": with_list(N[0], N[3]),
    "REMOVE l[3], l[0]": with_list(N[1], N[2]),
    "REMOVE l[4]": BEFORE,
    "REMOVE l[0], l[1], l[2], l[3]": with_list(),
    # ADD
    "ADD n :one": changed({"n": {"N": "6"}}),
    "ADD n :neg": changed({"n": {"N": "2"}}),
    "ADD a :one": changed({"a": {"N": "1"}}),
    "ADD a :neg": changed({"a": {"N": "-3"}}),
    "ADD ss :ssbc": changed({"ss": {"SS": ["a", "b", "c"]}}),
    "ADD ns :ns": changed({"ns": {"NS": ["1", "2", "3"]}}),
    "ADD bs :bs": changed({"bs": {"BS": [b"\x01", b"\x02"]}}),
    "ADD a :ssbc": changed({"a": {"SS": ["b", "c"]}}),
    "ADD m.x :two": with_map(x={"N": "3"}),
    "ADD m.z :two": with_map(z={"N": "2"}),
    "ADD l[1] :two": with_list(N[0], N[3], *N[2:4]),
    "ADD n :one, a :two": changed({"n": {"N": "6"}, "a": {"N": "2"}}),
    # DELETE
    "DELETE ss :ssbc": changed({"ss": {"SS": ["a"]}}),
    "DELETE ss :ssz": BEFORE,
    "DELETE ss :ssab": changed({"ss": None}),
    "DELETE ns :ns": changed({"ns": {"NS": ["1"]}}),
    "DELETE absent :ssz": BEFORE,
    "DELETE m.absent :ssz": BEFORE,
    # sections together, in any order
    "SET a = :s REMOVE s ADD n :one DELETE ss :ssbc": changed(
        {"a": {"S": "new"}, "s": None, "n": {"N": "6"}, "ss": {"SS": ["a"]}}
    ),
    "delete ss :ssbc add n :one remove s set a=:s": changed(
        {"a": {"S": "new"}, "s": None, "n": {"N": "6"}, "ss": {"SS": ["a"]}}
    ),
    "SET a = s REMOVE s": changed({"a": {"S": "text"}, "s": None}),
    "SET a = m.x REMOVE m": changed({"a": {"N": "1"}, "m": None}),
}  # fmt: skip


@pytest.mark.parametrize("expression", DOES)
def test_this_update_does_what_it_says(table: Table, key: Item, expression: str) -> None:
    table.put({**key, **BEFORE})
    answer = table.update(key, UpdateExpression=expression, ReturnValues="ALL_NEW", **placeholders(expression))
    expected = canonical({**key, **DOES[expression]})
    assert canonical(answer["Attributes"]) == expected
    assert canonical(table.item(key) or {}) == expected


def test_removals_and_settings_of_one_list_are_by_the_old_positions(table: Table, key: Item) -> None:
    table.put({**key, **BEFORE})
    expression = "SET l[3] = :s REMOVE l[0]"
    table.update(key, UpdateExpression=expression, **placeholders(expression))
    assert (table.item(key) or {})["l"] == {"L": [N[1], N[2], {"S": "new"}]}


INVALID_PATH = "The document path provided in the update expression is invalid for update"
NO_ATTRIBUTE = "The provided expression refers to an attribute that does not exist in the item"
WRONG_OPERAND = "An operand in the update expression has an incorrect data type"

FAILS_ON_THE_ITEM: dict[str, str] = {
    "SET absent.x = :s": INVALID_PATH,
    "SET m.absent.x = :s": INVALID_PATH,
    "SET s.x = :s": INVALID_PATH,
    "SET l.x = :s": INVALID_PATH,
    "SET m[0] = :s": INVALID_PATH,
    "SET absent[0] = :s": INVALID_PATH,
    "SET s[0] = :s": INVALID_PATH,
    "SET l[0].x = :s": INVALID_PATH,
    "REMOVE absent.x": INVALID_PATH,
    "REMOVE s.x": INVALID_PATH,
    "REMOVE m.x.y": INVALID_PATH,
    "REMOVE m[0]": INVALID_PATH,
    "ADD absent.x :one": INVALID_PATH,
    "DELETE absent.x :ssz": INVALID_PATH,
    "SET a = absent": NO_ATTRIBUTE,
    "SET a = m.absent": NO_ATTRIBUTE,
    "SET a = l[4]": NO_ATTRIBUTE,
    "SET a = absent + :one": NO_ATTRIBUTE,
    "SET a = :one - absent": NO_ATTRIBUTE,
    "SET a = if_not_exists(absent, c)": NO_ATTRIBUTE,
    "SET a = list_append(absent, :l)": NO_ATTRIBUTE,
    "SET a = s + :one": WRONG_OPERAND,
    "SET a = :one - l": WRONG_OPERAND,
    "SET a = list_append(s, :l)": WRONG_OPERAND,
    "SET a = list_append(:l, ss)": WRONG_OPERAND,
    "ADD s :one": WRONG_OPERAND,
    "ADD n :ssz": WRONG_OPERAND,
    "ADD ss :ns": WRONG_OPERAND,
    "ADD ss :one": WRONG_OPERAND,
    "ADD m :one": WRONG_OPERAND,
    "DELETE n :ssz": WRONG_OPERAND,
    "DELETE ss :ns": WRONG_OPERAND,
}


@pytest.mark.parametrize("expression", FAILS_ON_THE_ITEM)
def test_this_update_does_not_fit_the_item(table: Table, key: Item, expression: str) -> None:
    table.put({**key, **BEFORE})
    with invalid(FAILS_ON_THE_ITEM[expression]):
        table.update(key, UpdateExpression=expression, **placeholders(expression))
    assert canonical(table.item(key) or {}) == canonical({**key, **BEFORE})


def syntax(token: str, near: str) -> str:
    return f'Syntax error; token: "{token}", near: "{near}"'


def operand(function: str, kind: str) -> str:
    return f"Incorrect operand type for operator or function; operator or function: {function}, operand type: {kind}"


def section_operand(section: str, kind: str) -> str:
    return (
        f"Incorrect operand type for operator or function; operator: {section}, operand type: {kind}, "
        f"typeSet: ALLOWED_FOR_{section}_OPERAND"
    )


def paths(verb: str, one: str, two: str) -> str:
    return (
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {one}, path two: {two}"
    )


NEVER_RIGHT: dict[str, str] = {
    "": "The expression can not be empty;",
    # grammar
    "SET": syntax("<EOF>", "SET"),
    "SET a": syntax("<EOF>", "a"),
    "SET a =": syntax("<EOF>", "="),
    "SET a = :one,": syntax("<EOF>", ","),
    "SET a == :one": syntax("=", "== :one"),
    "SET :one = :two": syntax(":one", "SET :one ="),
    "SET a = :one SOMETHING": syntax("SOMETHING", ":one SOMETHING"),
    "SET a = :one AND c = :two": syntax("AND", ":one AND c"),
    "SET n = n * :two": syntax("*", "n * :two"),
    "SET n = n + :one + :two": syntax("+", ":one + :two"),
    "SET n = -:one": syntax("-", "= -:one"),
    "SET n = 5": syntax("5", "= 5"),
    "SET (a) = :one": syntax("(", "SET (a"),
    "SET l[-1] = :one": syntax("-", "[-1"),
    "SET l[1.5] = :one": syntax(".", "1.5"),
    "NOTHING": syntax("NOTHING", "NOTHING"),
    "NOTHING a = :one": syntax("NOTHING", "NOTHING a"),
    "REMOVE": syntax("<EOF>", "REMOVE"),
    "REMOVE a = :one": syntax("=", "a = :one"),
    "REMOVE :one": syntax(":one", "REMOVE :one"),
    "ADD": syntax("<EOF>", "ADD"),
    "ADD n": syntax("<EOF>", "n"),
    "ADD n = :one": syntax("=", "n = :one"),
    "ADD n n": syntax("n", "n n"),
    "DELETE": syntax("<EOF>", "DELETE"),
    "DELETE ss ss": syntax("ss", "ss ss"),
    # sections
    "SET a = :one SET c = :two": 'The "SET" section can only be used once in an update expression;',
    "REMOVE a SET c = :one REMOVE n": 'The "REMOVE" section can only be used once in an update expression;',
    "ADD a :one ADD c :two": 'The "ADD" section can only be used once in an update expression;',
    "DELETE ss :ssz DELETE a :ssz": 'The "DELETE" section can only be used once in an update expression;',
    # names
    "SET abort = :one": "Attribute name is a reserved keyword; reserved keyword: abort",
    "REMOVE m.abort": "Attribute name is a reserved keyword; reserved keyword: abort",
    "SET #nobody = :one": "An expression attribute name used in the document path is not defined; "
    "attribute name: #nobody",
    "SET a = :nobody": "An expression attribute value used in expression is not defined; attribute value: :nobody",
    # paths
    "SET a = :one, a = :two": paths("overlap", "[a]", "[a]"),
    "SET a = :one REMOVE a": paths("overlap", "[a]", "[a]"),
    "SET a = :one, a.b = :two": paths("overlap", "[a]", "[a, b]"),
    "SET a[0] = :one REMOVE a": paths("overlap", "[a, [0]]", "[a]"),
    "REMOVE a.b.c, a": paths("overlap", "[a, b, c]", "[a]"),
    "SET a.b = :one, a[0] = :two": paths("conflict", "[a, b]", "[a, [0]]"),
    "SET n = :one, #n = :two": paths("overlap", "[n]", "[n]"),
    # functions
    "SET a = foo(n)": "Invalid function name; function: foo",
    "SET a = List_append(l, :l)": "Invalid function name; function: List_append",
    "SET a = size(n)": "The function is not allowed in an update expression; function: size",
    "SET a = attribute_exists(n)": "The function is not allowed in an update expression; function: attribute_exists",
    "SET a = contains(s, :s)": "The function is not allowed in an update expression; function: contains",
    "SET a = if_not_exists(n)": "Incorrect number of operands for operator or function; "
    "operator or function: if_not_exists, number of operands: 1",
    "SET a = list_append(l)": "Incorrect number of operands for operator or function; "
    "operator or function: list_append, number of operands: 1",
    "SET a = list_append(l, l, l)": "Incorrect number of operands for operator or function; "
    "operator or function: list_append, number of operands: 3",
    "SET a = if_not_exists(:one, :two)": "Operator or function requires a document path; "
    "operator or function: if_not_exists",
    "SET a = list_append(list_append(l, :l), :l)": "The function is not allowed to be used this way in an expression; "
    "function: list_append",
    # types that are known without the item
    "SET n = n + :s": operand("+", "S"),
    "SET n = :l - :one": operand("-", "L"),
    "SET n = :true + n": operand("+", "BOOL"),
    "SET a = list_append(:l, :s)": operand("list_append", "S"),
    "SET a = list_append(:one, l)": operand("list_append", "N"),
    "ADD n :s": section_operand("ADD", "STRING"),
    "ADD l :l": section_operand("ADD", "LIST"),
    "ADD m :m": section_operand("ADD", "MAP"),
    "ADD t :true": section_operand("ADD", "BOOLEAN"),
    "ADD z :null": section_operand("ADD", "NULL"),
    "DELETE ss :s": section_operand("DELETE", "STRING"),
    "DELETE ss :l": section_operand("DELETE", "LIST"),
    "DELETE n :one": section_operand("DELETE", "NUMBER"),
}


@pytest.mark.parametrize("expression", NEVER_RIGHT, ids=[expression or "nothing" for expression in NEVER_RIGHT])
def test_this_update_is_wrong_for_any_item(table: Table, key: Item, expression: str) -> None:
    with invalid(f"Invalid UpdateExpression: {NEVER_RIGHT[expression]}"):
        table.update(key, UpdateExpression=expression, **placeholders(expression))
    assert table.item(key) is None


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"ExpressionAttributeNames": {"#a": "a"}}, NOT_EXPRESSION),
        (
            {"ExpressionAttributeValues": {":a": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
        ),
        (
            {"UpdateExpression": "REMOVE a", "ExpressionAttributeNames": {"#spare": "a"}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#spare}",
        ),
        (
            {"UpdateExpression": "REMOVE a", "ExpressionAttributeValues": {":spare": {"N": "1"}}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:spare}",
        ),
    ],
    ids=["names without expression", "values without expression", "unused name", "unused value"],
)
def test_these_placeholders_are_refused(table: Table, key: Item, parameters: dict[str, Any], text: str) -> None:
    with invalid(text):
        table.update(key, **parameters)
    assert table.item(key) is None


def test_update_and_condition_share_their_placeholders(table: Table, key: Item) -> None:
    table.put({**key, "n": {"N": "1"}})
    table.update(
        key,
        UpdateExpression="SET #n = #n + :one",
        ConditionExpression="#n = :one",
        ExpressionAttributeNames={"#n": "n"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert table.item(key) == {**key, "n": {"N": "2"}}


def test_both_expressions_are_judged_before_the_item_is_looked_at(table: Table, key: Item) -> None:
    with invalid("Invalid ConditionExpression: The expression can not be empty;"):
        table.update(key, UpdateExpression="REMOVE a", ConditionExpression="")
    with invalid("Invalid UpdateExpression: The expression can not be empty;"):
        table.update(key, UpdateExpression="", ConditionExpression="attribute_exists(pk)")


@pytest.mark.parametrize(
    ("before", "expression", "delta", "after"),
    [
        (
            "99999999999999999999999999999999999998",
            "SET n = n + :d",
            "1",
            "99999999999999999999999999999999999999",
        ),
        ("0.1", "SET n = n + :d", "0.2", "0.3"),
        ("1", "ADD n :d", "-1", "0"),
        ("1E+100", "SET n = n - :d", "1E+100", "0"),
        (
            "-0.00000000000000000000000000000000000001",
            "ADD n :d",
            "0",
            "-0.00000000000000000000000000000000000001",
        ),
        ("1.10", "ADD n :d", "0.90", "2"),
    ],
)
def test_arithmetic_is_decimal_and_exact(
    table: Table, key: Item, before: str, expression: str, delta: str, after: str
) -> None:
    table.put({**key, "n": {"N": before}})
    answer = table.update(
        key,
        UpdateExpression=expression,
        ExpressionAttributeValues={":d": {"N": delta}},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"]["n"] == {"N": after}


def test_arithmetic_beyond_the_largest_number_is_refused(table: Table, key: Item) -> None:
    table.put({**key, "n": {"N": "9E+125"}})
    with invalid("Number overflow. Attempting to store a number with magnitude larger than supported range"):
        table.update(key, UpdateExpression="ADD n :d", ExpressionAttributeValues={":d": {"N": "9E+125"}})


def test_arithmetic_that_needs_more_than_38_digits_is_refused(table: Table, key: Item) -> None:
    table.put({**key, "n": {"N": "1E+38"}})
    for expression in ("ADD n :d", "SET n = n + :d"):
        with invalid():
            table.update(key, UpdateExpression=expression, ExpressionAttributeValues={":d": {"N": "1"}})
    assert (table.item(key) or {})["n"] == {"N": "1" + "0" * 38}


def test_an_update_may_not_make_an_item_too_large(table: Table, key: Item) -> None:
    large = {**key, "d": {"S": "x" * 400_000}}
    table.put(large)
    with invalid("Item size to update has exceeded the maximum allowed size"):
        table.update(key, UpdateExpression="SET e = :e", ExpressionAttributeValues={":e": {"S": "x" * 20_000}})
    assert table.item(key) == large


def test_an_update_may_not_nest_too_deep(table: Table, key: Item) -> None:
    deep: Item = {"S": "leaf"}
    for _ in range(30):
        deep = {"L": [deep]}
    table.put({**key, "l": {"L": [{"L": []}]}})
    with invalid(re.compile("Nesting Levels have exceeded supported limits.*|.*has too many nesting levels.*")):
        table.update(key, UpdateExpression="SET l[0][0] = :d", ExpressionAttributeValues={":d": deep})
    assert table.item(key) == {**key, "l": {"L": [{"L": []}]}}


def test_a_key_named_by_a_placeholder_is_still_the_key(table: Table) -> None:
    text = "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"
    with invalid(text):
        table.update(
            {"pk": {"S": unique()}},
            UpdateExpression="SET #k = :v",
            ExpressionAttributeNames={"#k": "pk"},
            ExpressionAttributeValues={":v": {"S": "x"}},
        )
