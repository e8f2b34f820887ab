# Why: a condition is the only lock that DynamoDB has. It must hold exactly when AWS says so, for every pair of
# types, and a wrong one must be refused in AWS's words before anything is looked at.
#
# Each case runs as the condition of a PutItem of the item that is there already, which changes nothing.

import re
from typing import Any

import pytest

from .refusals import NOT_EXPRESSION, invalid, refused
from .table import Item, Table, unique

THERE: Item = {
    "n": {"N": "5"},
    "s": {"S": "hello"},
    "e": {"S": ""},
    "b": {"B": b"\x01\x02\xff"},
    "t": {"BOOL": True},
    "z": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"\x01", b"\x02"]},
    "l": {"L": [{"N": "1"}, {"S": "two"}, {"L": [{"N": "3"}]}]},
    "m": {"M": {"x": {"N": "1"}, "deep": {"M": {"y": {"S": "z"}}}, "seq": {"L": [{"N": "9"}]}}},
    "abort": {"S": "a reserved word"},
    "a.b": {"S": "a name with a dot"},
}

VALUES: Item = {
    ":n4": {"N": "4"},
    ":n5": {"N": "5"},
    ":n5b": {"N": "5.00"},
    ":n6": {"N": "6"},
    ":n1": {"N": "1"},
    ":n2": {"N": "2"},
    ":n3": {"N": "3"},
    ":n25": {"N": "2.5"},
    ":n9": {"N": "9"},
    ":n13": {"N": "13"},
    ":n0": {"N": "0"},
    ":hello": {"S": "hello"},
    ":he": {"S": "he"},
    ":ell": {"S": "ell"},
    ":a": {"S": "a"},
    ":five": {"S": "5"},
    ":two": {"S": "two"},
    ":z": {"S": "z"},
    ":empty": {"S": ""},
    ":b": {"B": b"\x01\x02\xff"},
    ":b1": {"B": b"\x01"},
    ":b2": {"B": b"\x02\xff"},
    ":bz": {"B": b"\x7f"},
    ":true": {"BOOL": True},
    ":false": {"BOOL": False},
    ":null": {"NULL": True},
    ":ssba": {"SS": ["b", "a"]},
    ":ssa": {"SS": ["a"]},
    ":ns": {"NS": ["2.50", "1"]},
    ":bs": {"BS": [b"\x02", b"\x01"]},
    ":l": {"L": [{"N": "1.0"}, {"S": "two"}, {"L": [{"N": "3"}]}]},
    ":lr": {"L": [{"S": "two"}, {"N": "1"}, {"L": [{"N": "3"}]}]},
    ":l3": {"L": [{"N": "3"}]},
    ":m": {"M": {"deep": {"M": {"y": {"S": "z"}}}, "x": {"N": "1"}, "seq": {"L": [{"N": "9"}]}}},
    ":tS": {"S": "S"},
    ":tN": {"S": "N"},
    ":tB": {"S": "B"},
    ":tSS": {"S": "SS"},
    ":tNS": {"S": "NS"},
    ":tBS": {"S": "BS"},
    ":tM": {"S": "M"},
    ":tL": {"S": "L"},
    ":tBOOL": {"S": "BOOL"},
    ":tNULL": {"S": "NULL"},
}
NAMES = {"#n": "n", "#abort": "abort", "#dot": "a.b", "#m": "m", "#x": "x", "#odd": "#odd"}


def placeholders(expression: str) -> dict[str, Any]:
    """The values and names that an expression uses, and no others: AWS refuses spare ones."""
    values = {name: VALUES[name] for name in re.findall(r":\w+", expression) if name in VALUES}
    names = {name: NAMES[name] for name in re.findall(r"#\w+", expression) if name in NAMES}
    more: dict[str, Any] = {}
    if values:
        more["ExpressionAttributeValues"] = values
    if names:
        more["ExpressionAttributeNames"] = names
    return more


@pytest.fixture(scope="module")
def there(table: Table) -> Item:
    item = {"pk": {"S": unique("condition")}, **THERE}
    table.put(item)
    return item


TRUE = [
    # comparisons of scalars
    "n = :n5", "n = :n5b", ":n5 = n", "n <> :n4", "n < :n6", "n <= :n5", "n > :n4", "n >= :n5", "s = :hello", "s > :he",
    "s < :z", "b = :b", "b > :b1", "b < :bz", "e = :empty", "e < :a", "t = :true", "t <> :false", "z = :null",
    "n > m.x", "n <> s",
    # values of different types are never equal and never ordered
    "n <> :five", "NOT n = :five", "NOT n < :five", "NOT n > :five", "NOT s < :n9",
    # sets do not care for order, lists do; numbers inside are compared by value
    "ss = :ssba", "ns = :ns", "bs = :bs", "l = :l", "l <> :lr", "m = :m", "ss <> :ssa",
    # a missing attribute is unequal to everything and compares with nothing
    "absent <> :n5", "NOT absent = :n5", "NOT absent < :n5", "NOT absent > :n5", "m.absent <> :n5",
    # paths
    "l[0] = :n1", "l[1] = :two", "l[2][0] = :n3", "m.x = :n1", "m.deep.y = :z", "m.seq[0] = :n9", "#m.#x = :n1",
    "#abort <> :n5", "#dot <> :n5", "l [ 0 ] = :n1", "m . x = :n1",
    # IN and BETWEEN
    "n IN (:n5)", "n IN (:five, :n4, :n5b)", "NOT n IN (:n4, :n6)", "l IN (:lr, :l)", "n in (:n5)",
    "n BETWEEN :n4 AND :n6", "n BETWEEN :n5 AND :n5", "NOT n BETWEEN :n6 AND :n9", "s BETWEEN :he AND :z",
    "b between :b1 and :bz", "NOT absent BETWEEN :n4 AND :n6", ":n5 BETWEEN m.x AND n", "NOT s BETWEEN :n4 AND :n6",
    # logic, from tightest: NOT, AND, OR
    "n = :n5 AND s = :hello", "n = :n4 OR s = :hello", "NOT n = :n4", "not n = :n4", "NOT NOT n = :n5",
    "n = :n5 OR n = :n4 AND s = :a", "NOT (n = :n4 OR s = :a)", "(n = :n4 OR n = :n5) AND s = :hello",
    "NOT n = :n4 AND s = :hello", "n = :n4 oR n = :n5 aNd NoT s = :a", "(n = :n5)", "(n = :n5) AND (s = :hello)",
    "n=:n5 AND(s=:hello)", " \t\r\nn\n=\t:n5 ", "(n) = :n5",
    # functions
    "attribute_exists(n)", "attribute_exists(z)", "attribute_exists(m.deep.y)", "attribute_exists(l[2][0])",
    "attribute_not_exists(absent)", "attribute_not_exists(m.absent)", "attribute_not_exists(l[3])",
    "attribute_not_exists(n.x)", "attribute_not_exists(m[0])", "attribute_exists(#dot)", "attribute_exists ( n )",
    "attribute_type(s, :tS)", "attribute_type(n, :tN)", "attribute_type(b, :tB)", "attribute_type(ss, :tSS)",
    "attribute_type(ns, :tNS)", "attribute_type(bs, :tBS)", "attribute_type(m, :tM)", "attribute_type(l, :tL)",
    "attribute_type(t, :tBOOL)", "attribute_type(z, :tNULL)", "NOT attribute_type(s, :tN)",
    "NOT attribute_type(absent, :tS)",
    "begins_with(s, :he)", "begins_with(s, :hello)", "begins_with(s, :empty)", "begins_with(b, :b1)",
    "NOT begins_with(s, :ell)", "NOT begins_with(n, :he)", "NOT begins_with(s, :b1)", "NOT begins_with(absent, :he)",
    "contains(s, :ell)", "contains(s, :empty)", "contains(b, :b2)", "contains(ss, :a)", "contains(ns, :n25)",
    "contains(bs, :b1)", "contains(l, :two)", "contains(l, :n1)", "contains(l, :l3)", "NOT contains(s, :z)",
    "NOT contains(ss, :n1)", "NOT contains(ss, :ssa)", "NOT contains(n, :n5)", "NOT contains(m, :n1)",
    "NOT contains(absent, :a)", "contains(:hello, s)", "NOT contains(l, :n3)",
    # sizes: characters of text, bytes of binary, members of the rest
    "size(s) = :n5", "size(e) = :n0", "size(b) = :n3", "size(ss) = :n2", "size(ns) = :n2", "size(bs) = :n2",
    "size(l) = :n3", "size(m) = :n3", "size(m.deep) = :n1", ":n5 = size(s)", "size(s) BETWEEN :n4 AND :n6",
    "size(s) IN (:n4, :n5)", "size(b) < size(s)", "NOT size(n) = :n1", "NOT size(absent) = :n0", "n = size(s)",
    "size(:hello) = :n5",
]  # fmt: skip


@pytest.mark.parametrize("expression", TRUE)
def test_this_holds(table: Table, there: Item, expression: str) -> None:
    table.put(there, ConditionExpression=expression, **placeholders(expression))


FALSE = [
    "n = :n4", "n <> :n5", "n <> :n5b", "n < :n5", "n > :n5", "n <= :n4", "n >= :n6", "s = :he", "n = :five",
    "n < :five",
    "n > :five", "t = :false", "z <> :null", "ss = :ssa", "l = :lr", "absent = :n5", "absent < :n5", "absent >= :n5",
    "b < :b1", "n IN (:n4, :five)", "n BETWEEN :n6 AND :n9", "absent BETWEEN :n4 AND :n6", "n = :n5 AND s = :a",
    "n = :n4 OR s = :a", "NOT n = :n5", "NOT (n = :n4 OR s = :hello)", "(n = :n5 OR n = :n4) AND s = :a",
    "attribute_exists(absent)", "attribute_exists(m.absent)", "attribute_exists(l[3])", "attribute_exists(n.x)",
    "attribute_not_exists(n)", "attribute_not_exists(z)", "attribute_type(s, :tN)", "attribute_type(absent, :tS)",
    "begins_with(s, :ell)", "begins_with(n, :five)", "begins_with(b, :b2)", "contains(s, :z)", "contains(ss, :n1)",
    "contains(l, :n3)", "contains(n, :n5)", "contains(ss, :ssa)", "size(s) = :n4", "size(n) = :n1",
    "size(absent) = :n0", "size(m) < :n3", "m.x = :n2", "l[0] = :n2", "l[1][0] = :two", "m.x.y = :n1",
    "absent = m.absent",
]  # fmt: skip


@pytest.mark.parametrize("expression", FALSE)
def test_this_does_not_hold(table: Table, there: Item, expression: str) -> None:
    with refused("ConditionalCheckFailedException", "The conditional request failed"):
        table.put(there, ConditionExpression=expression, **placeholders(expression))


def syntax(token: str, near: str) -> str:
    return f'Syntax error; token: "{token}", near: "{near}"'


WRONG: list[tuple[str, str]] = [
    # grammar
    ("", "The expression can not be empty;"),
    ("n", syntax("<EOF>", "n")),
    ("n =", syntax("<EOF>", "=")),
    ("= n", syntax("=", "= n")),
    (":n5", syntax("<EOF>", ":n5")),
    ("n == :n5", syntax("=", "== :n5")),
    ("n != :n5", syntax("!", "n !=")),
    ("n = 5", syntax("5", "= 5")),
    ('s = "hello"', syntax('"', '= "hello')),
    ("s = 'hello'", syntax("'", "= 'hello")),
    ("n = :n5;", syntax(";", ":n5;")),
    ("n = :n5 s", syntax("s", ":n5 s")),
    ("n = :n5 OR", syntax("<EOF>", "OR")),
    ("n = :n5 AND AND s = :a", syntax("AND", "AND AND s")),
    ("n, s", syntax(",", "n, s")),
    ("n = :n5 = :n5", syntax("=", ":n5 = :n5")),
    ("n + :n5 = :n5", syntax("+", "n + :n5")),
    ("(n = :n5", syntax("<EOF>", ":n5")),
    ("n = :n5)", syntax(")", ":n5)")),
    ("attribute_exists(n", syntax("<EOF>", "n")),
    ("attribute_exists()", syntax(")", "()")),
    ("n IN ()", syntax(")", "()")),
    ("n IN :n5", syntax(":n5", "IN :n5")),
    ("n IN (:n5,)", syntax(")", ",)")),
    ("n BETWEEN :n4", syntax("<EOF>", ":n4")),
    ("n BETWEEN :n4 AND", syntax("<EOF>", "AND")),
    ("l[n] = :n5", syntax("n", "[n]")),
    ("l[] = :n5", syntax("]", "[] =")),
    ("l[-1] = :n5", syntax("-", "[-1")),
    ("m..x = :n5", syntax(".", "..x")),
    (".m = :n5", syntax(".", ".m")),
    ("_a = :n5", syntax("_", "_a")),
    ("é = :n5", syntax("é", "é =")),
    ("n-s = :n5", syntax("-", "n-s")),
    ("#", syntax("#", "#")),
    ("n = :", syntax(":", "= :")),
    # parentheses
    ("((n = :n5))", "The expression has redundant parentheses;"),
    ("(((n = :n5) AND s = :a))", "The expression has redundant parentheses;"),
    # names
    ("abort = :n5", "Attribute name is a reserved keyword; reserved keyword: abort"),
    ("m.abort = :n5", "Attribute name is a reserved keyword; reserved keyword: abort"),
    ("ABORT = :n5", "Attribute name is a reserved keyword; reserved keyword: ABORT"),
    (
        "#undefined = :n5",
        "An expression attribute name used in the document path is not defined; attribute name: #undefined",
    ),
    (
        "m.#undefined = :n5",
        "An expression attribute name used in the document path is not defined; attribute name: #undefined",
    ),
    (
        "n = :undefined",
        "An expression attribute value used in expression is not defined; attribute value: :undefined",
    ),
    ("l[99999999999] = :n5", "List index is not within the allowable range; index: [99999999999]"),
    # functions
    ("foo(n)", "Invalid function name; function: foo"),
    ("Attribute_exists(n)", "Invalid function name; function: Attribute_exists"),
    ("SIZE(n) = :n5", "Invalid function name; function: SIZE"),
    ("size(n)", "The function is not allowed to be used this way in an expression; function: size"),
    (
        "attribute_exists(n) = :true",
        "The function is not allowed to be used this way in an expression; function: attribute_exists",
    ),
    (
        "n = begins_with(s, :a)",
        "The function is not allowed to be used this way in an expression; function: begins_with",
    ),
    (
        "if_not_exists(n, :n5) = :n5",
        "The function is not allowed in a condition expression; function: if_not_exists",
    ),
    (
        "list_append(l, :l) = :l",
        "The function is not allowed in a condition expression; function: list_append",
    ),
    (
        "attribute_exists(n, s)",
        "Incorrect number of operands for operator or function; operator or function: attribute_exists, "
        "number of operands: 2",
    ),
    (
        "begins_with(s)",
        "Incorrect number of operands for operator or function; operator or function: begins_with, "
        "number of operands: 1",
    ),
    (
        "size(s, n) = :n5",
        "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
    ),
    (
        "attribute_exists(:n5)",
        "Operator or function requires a document path; operator or function: attribute_exists",
    ),
    (
        "attribute_not_exists(:n5)",
        "Operator or function requires a document path; operator or function: attribute_not_exists",
    ),
    # types that are known without the item
    (
        "begins_with(s, :n5)",
        "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
    ),
    (
        "n < :true",
        "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
    ),
    (
        "n >= :null",
        "Incorrect operand type for operator or function; operator or function: >=, operand type: NULL",
    ),
    (
        "n < :ssa",
        "Incorrect operand type for operator or function; operator or function: <, operand type: SS",
    ),
    (
        "n <= :ns",
        "Incorrect operand type for operator or function; operator or function: <=, operand type: NS",
    ),
    ("n > :l", "Incorrect operand type for operator or function; operator or function: >, operand type: L"),
    ("n > :m", "Incorrect operand type for operator or function; operator or function: >, operand type: M"),
    (
        "n BETWEEN :true AND :true",
        "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: BOOL",
    ),
    (
        "size(:n5) = :n5",
        "Incorrect operand type for operator or function; operator or function: size, operand type: N",
    ),
    (
        "attribute_type(n, :n5)",
        "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
    ),
    (
        "n BETWEEN :n6 AND :n4",
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
        "lower bound operand: AttributeValue: {N:6}, upper bound operand: AttributeValue: {N:4}",
    ),
    (
        "n BETWEEN :n4 AND :a",
        "The BETWEEN operator requires same data type for lower and upper bounds; "
        "lower bound operand: AttributeValue: {N:4}, upper bound operand: AttributeValue: {S:a}",
    ),
    # one operand twice
    (
        "n = n",
        "The first operand must be distinct from the remaining operands for this operator or function; "
        "operator: =, first operand: [n]",
    ),
    (
        "m.x < m.x",
        "The first operand must be distinct from the remaining operands for this operator or function; "
        "operator: <, first operand: [m, x]",
    ),
    (
        "contains(l[0], l[0])",
        "The first operand must be distinct from the remaining operands for this operator or function; "
        "operator: contains, first operand: [l, [0]]",
    ),
]


@pytest.mark.parametrize(("expression", "text"), WRONG, ids=[expression or "nothing" for expression, _ in WRONG])
def test_this_is_refused(table: Table, there: Item, expression: str, text: str) -> None:
    with invalid(f"Invalid ConditionExpression: {text}"):
        table.put(there, ConditionExpression=expression, **placeholders(expression))


def test_an_unknown_type_name_is_refused(table: Table, there: Item) -> None:
    text = re.compile(
        r"Invalid ConditionExpression: Invalid attribute type name found; type: hello, valid types: \{.*\}"
    )
    with invalid(text):
        table.put(
            there,
            ConditionExpression="attribute_type(s, :v)",
            ExpressionAttributeValues={":v": {"S": "hello"}},
        )


def in_list(count: int) -> dict[str, Any]:
    values = {f":v{n}": {"N": str(n)} for n in range(count)}
    return {"ConditionExpression": f"n IN ({', '.join(values)})", "ExpressionAttributeValues": values}


def test_in_takes_up_to_a_hundred_values(table: Table, there: Item) -> None:
    table.put(there, **in_list(100))
    text = "Invalid ConditionExpression: The IN operator is provided with too many operands; number of operands: 101"
    with invalid(text):
        table.put(there, **in_list(101))


def test_an_expression_takes_up_to_three_hundred_operators(table: Table, there: Item) -> None:
    # 150 comparisons and 149 ORs, and one NOT.
    enough = "NOT " + " OR ".join(["n = :v"] * 150)
    table.put(there, ConditionExpression=enough, ExpressionAttributeValues={":v": {"N": "5"}})
    text = "Invalid ConditionExpression: The expression contains too many operators; operator count: 301"
    with invalid(text):
        table.put(there, ConditionExpression="NOT " + enough, ExpressionAttributeValues={":v": {"N": "5"}})


def test_an_expression_takes_up_to_4096_bytes(table: Table, there: Item) -> None:
    def of_size(size: int) -> str:
        return "n = :v" + " " * (size - 6)

    table.put(there, ConditionExpression=of_size(4096), ExpressionAttributeValues={":v": {"N": "5"}})
    text = "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 4097"
    with invalid(text):
        table.put(there, ConditionExpression=of_size(4097), ExpressionAttributeValues={":v": {"N": "5"}})


TWO_MB = 2 * 1024 * 1024
# What is not too large is found to be unused: nobody needs so much in one expression.
UNUSED = re.compile(r"Value provided in ExpressionAttribute(Names|Values) unused in expressions: keys: .*")


@pytest.mark.slow
def test_all_values_of_a_request_have_two_megabytes(table: Table, there: Item) -> None:
    def values(size: int) -> Item:    # with the placeholders
        return {":v": {"S": "x" * (size - 5)}, ":w": {"S": "y"}}

    with invalid(UNUSED):
        table.put(there, ConditionExpression="s = :w", ExpressionAttributeValues=values(TWO_MB))
    with invalid("ExpressionAttributeValues exceeds max size"):
        table.put(there, ConditionExpression="s = :w", ExpressionAttributeValues=values(TWO_MB + 1))


@pytest.mark.slow
def test_all_names_of_a_request_have_two_megabytes_together_with_the_values(table: Table, there: Item) -> None:
    names = {f"#n{i:02}": "x" * 65_000 + f"{i:02}" for i in range(32)}
    large = {":v": {"S": "x" * 20_000}}
    with invalid(UNUSED):
        table.put(there, ConditionExpression="attribute_exists(n)", ExpressionAttributeNames=names)
    text = "Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max size"
    with invalid(text):
        table.put(
            there, ConditionExpression="s = :v", ExpressionAttributeNames=names, ExpressionAttributeValues=large
        )
    with invalid("ExpressionAttributeNames exceeds max size"):
        table.put(
            there, ConditionExpression="attribute_exists(n)", ExpressionAttributeNames={**names, "#m": "y" * 20_000}
        )


def test_deep_parentheses_are_refused_or_judged_but_do_no_harm(table: Table, there: Item) -> None:
    expression = "".join("(n = :v OR " for _ in range(140)) + "n = :v" + ")" * 140
    table.put(there, ConditionExpression=expression, ExpressionAttributeValues={":v": {"N": "5"}})


def test_a_path_is_at_most_32_levels_deep(table: Table, there: Item) -> None:
    table.put(there, ConditionExpression=f"attribute_not_exists({'.'.join(['a'] * 32)})")
    text = "Invalid ConditionExpression: The document path has too many nesting levels; nesting levels: 33"
    with invalid(text):
        table.put(there, ConditionExpression=f"attribute_not_exists({'.'.join(['a'] * 33)})")


# Names and values, which every kind of expression shares

UNUSED_VALUE = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:spare}"
UNUSED_NAME = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#spare}"


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"ExpressionAttributeNames": {"#a": "a"}}, NOT_EXPRESSION),
        (
            {"ExpressionAttributeValues": {":a": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeNames": {}},
            "ExpressionAttributeNames must not be empty",
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeValues": {}},
            "ExpressionAttributeValues must not be empty",
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeNames": {"a": "b"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeNames": {"#": "b"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "#"',
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeNames": {"#a-b": "b"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"',
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeValues": {"a": {"S": "b"}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "a"',
        ),
        (
            {"ConditionExpression": "n = s", "ExpressionAttributeValues": {":": {"S": "b"}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: ":"',
        ),
        (
            {"ConditionExpression": "n = :a", "ExpressionAttributeValues": {":a": {}}},
            "ExpressionAttributeValues contains invalid value: "
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :a",
        ),
        (
            {"ConditionExpression": "n = :a", "ExpressionAttributeValues": {":a": {"SS": []}}},
            "ExpressionAttributeValues contains invalid value: "
            "One or more parameter values were invalid: An string set  may not be empty for key :a",
        ),
        ({"ConditionExpression": "n = s", "ExpressionAttributeNames": {"#spare": "b"}}, UNUSED_NAME),
        ({"ConditionExpression": "n = s", "ExpressionAttributeValues": {":spare": {"S": "b"}}}, UNUSED_VALUE),
    ],
    ids=[
        "names without expression", "values without expression", "no names", "no values", "name without #", "bare #",
        "name with a dash", "value without :", "bare :", "value without type", "empty set", "unused name",
        "unused value",
    ],
)  # fmt: skip
def test_these_placeholders_are_refused(table: Table, there: Item, parameters: dict[str, Any], text: str) -> None:
    with invalid(text):
        table.put(there, **parameters)


def test_a_number_in_a_value_must_be_a_number(table: Table, there: Item) -> None:
    text = (
        "ExpressionAttributeValues contains invalid value: "
        "The parameter cannot be converted to a numeric value: five for key :a"
    )
    with invalid(text):
        table.put(there, ConditionExpression="n = :a", ExpressionAttributeValues={":a": {"N": "five"}})


def test_placeholders_may_have_odd_but_legal_names(table: Table, there: Item) -> None:
    table.put(
        there,
        ConditionExpression="#0 = :0 AND #_x9 = :Abc_1",
        ExpressionAttributeNames={"#0": "n", "#_x9": "s"},
        ExpressionAttributeValues={":0": {"N": "5"}, ":Abc_1": {"S": "hello"}},
    )


def test_placeholders_tell_case_apart(table: Table, there: Item) -> None:
    table.put(
        there,
        ConditionExpression="#a = :a AND #A = :A",
        ExpressionAttributeNames={"#a": "n", "#A": "s"},
        ExpressionAttributeValues={":a": {"N": "5"}, ":A": {"S": "hello"}},
    )


def test_a_placeholder_is_at_most_255_characters(table: Table, there: Item) -> None:
    table.put(
        there,
        ConditionExpression=f"attribute_exists(#{'a' * 254})",
        ExpressionAttributeNames={"#" + "a" * 254: "n"},
    )
    with invalid():
        table.put(
            there,
            ConditionExpression=f"attribute_exists(#{'a' * 255})",
            ExpressionAttributeNames={"#" + "a" * 255: "n"},
        )


def test_a_dot_in_a_placeholder_is_part_of_the_name(table: Table, there: Item) -> None:
    table.put(
        there,
        ConditionExpression="#p = :v AND attribute_not_exists(#q)",
        ExpressionAttributeNames={"#p": "a.b", "#q": "m.x"},
        ExpressionAttributeValues={":v": {"S": "a name with a dot"}},
    )
