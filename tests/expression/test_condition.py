"""ConditionExpression and FilterExpression.

Texts, orders of checks and results were observed on DynamoDB Local 2.x unless a comment says otherwise.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.expression import condition, key_condition, projection, update

ONE, TWO, FIVE, X = {"N": "1"}, {"N": "2"}, {"N": "5"}, {"S": "x"}
VALUES: dict[str, Any] = {
    ":v": ONE,
    ":two": TWO,
    ":five": FIVE,
    ":s": X,
    ":e": {"S": ""},
    ":b": {"B": "/w=="},
    ":l": {"L": [ONE]},
    ":m": {"M": {"s": {"SS": ["b", "a"]}}},
    ":ss": {"SS": ["c", "a"]},
    ":t": {"BOOL": True},
    ":nul": {"NULL": True},
    ":type": {"S": "BOOL"},
}


def check(text: str, names: dict[str, str] | None = None, kind: str = "ConditionExpression") -> None:
    condition.parse(text, names, kind).check(VALUES)


def refusal(text: str, kind: str = "ConditionExpression") -> str:
    with pytest.raises(ValidationError) as caught:
        check(text, None, kind)
    prefix = f"Invalid {kind}: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message.removeprefix(prefix)


def holds(text: str, item: dict[str, Any] | None, names: dict[str, str] | None = None) -> bool:
    parsed = condition.parse(text, names, "ConditionExpression")
    parsed.check(VALUES)
    return parsed.evaluate(item, VALUES)


def operand_type(operator: str, kind: str) -> str:
    return (
        "Incorrect operand type for operator or function; "
        f"operator or function: {operator}, operand type: {kind}"
    )


def operand_count(function: str, count: int) -> str:
    return (
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


def distinct(operator: str, first: str) -> str:
    return (
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {operator}, first operand: {first}"
    )


MISUSED = "The function is not allowed to be used this way in an expression; function: "
NOT_HERE = "The function is not allowed in a condition expression; function: "
NEEDS_PATH = "Operator or function requires a document path; operator or function: "
UNDEFINED_NAME = "An expression attribute name used in the document path is not defined; attribute name: "
UNDEFINED_VALUE = "An expression attribute value used in expression is not defined; attribute value: "
PARENTHESES = "The expression has redundant parentheses;"
TOO_MANY = "The expression contains too many operators; operator count: 301"

# The order of types in the last two rows but one is AWS's (us-east-1, 2015); DynamoDB Local has another.
REFUSED = [
    ("", "The expression can not be empty;"),
    ("a = :v OR " + "b" * 4096, "Expression size has exceeded the maximum allowed size; expression size: 4106"),
    ("((a = :v))", PARENTHESES),
    ("(((a=:v)))", PARENTHESES),
    ("(a) = ((a))", PARENTHESES),
    ("a in (((b)))", PARENTHESES),
    ("((attribute_exists(a)))", PARENTHESES),
    ("(a=:v AND b=:v) OR ((c=:v))", PARENTHESES),
    ("(" * 200 + "a=:v" + ")" * 200, PARENTHESES),
    ("foo(a)", "Invalid function name; function: foo"),
    ("a = foo(b)", "Invalid function name; function: foo"),
    ("SIZE(a) = :v", "Invalid function name; function: SIZE"),
    ("Attribute_Exists(a)", "Invalid function name; function: Attribute_Exists"),
    ("if_not_exists(a,:v)", NOT_HERE + "if_not_exists"),
    ("a = list_append(a,:v)", NOT_HERE + "list_append"),
    ("size(a)", MISUSED + "size"),
    ("not size(a)", MISUSED + "size"),
    ("(size(a))", MISUSED + "size"),
    ("begins_with(a,:s) = :v", MISUSED + "begins_with"),
    ("a between begins_with(a,:s) and :v", MISUSED + "begins_with"),
    ("contains(contains(a,b),c)", MISUSED + "contains"),
    ("(attribute_exists(a)) = :v", MISUSED + "attribute_exists"),
    ("name = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
    ("a.Name = :v", "Attribute name is a reserved keyword; reserved keyword: Name"),
    ("a[99999999999] = :v", "List index is not within the allowable range; index: [99999999999]"),
    ("a[" + "9" * 4000 + "] = :v", f"List index is not within the allowable range; index: [{'9' * 4000}]"),
    ("#x = :v", UNDEFINED_NAME + "#x"),
    ("a.#x.#y = :v", UNDEFINED_NAME + "#x"),
    ("a = :u", UNDEFINED_VALUE + ":u"),
    ("a" + ".a" * 32 + " = :v", "The document path has too many nesting levels; nesting levels: 33"),
    ("attribute_exists(a,b)", operand_count("attribute_exists", 2)),
    ("begins_with(a)", operand_count("begins_with", 1)),
    ("contains(a,a,a)", operand_count("contains", 3)),
    ("size(a,b) = :v", operand_count("size", 2)),
    ("attribute_exists(:v)", NEEDS_PATH + "attribute_exists"),
    ("attribute_not_exists(size(a))", NEEDS_PATH + "attribute_not_exists"),
    ("a = a", distinct("=", "[a]")),
    ("a<>a", distinct("<>", "[a]")),
    ("a.b[0].c = a.b[0].c", distinct("=", "[a, b, [0], c]")),
    ("a between :v and a", distinct("BETWEEN", "[a]")),
    ("a in (b, a)", distinct("IN", "[a]")),
    ("contains(a.b,a.b)", distinct("contains", "[a, b]")),
    ("attribute_type(a,a)", distinct("attribute_type", "[a]")),
    ("begins_with(:v,a)", operand_type("begins_with", "N")),
    ("begins_with(a,:t)", operand_type("begins_with", "BOOL")),
    ("begins_with(a,size(b))", operand_type("begins_with", "N")),
    ("size(:v) = :v", operand_type("size", "N")),
    ("size(:nul) = :v", operand_type("size", "NULL")),
    ("size(size(a)) = :v", operand_type("size", "N")),
    ("a < :t", operand_type("<", "BOOL")),
    (":l >= a", operand_type(">=", "L")),
    ("a between :l and :l", operand_type("BETWEEN", "L")),
    (":t between a and b", operand_type("BETWEEN", "BOOL")),
    ("a between a and :t", operand_type("BETWEEN", "BOOL")),
    ("attribute_type(a,:v)", operand_type("attribute_type", "N")),
    ("attribute_type(a,size(b))", operand_type("attribute_type", "N")),
    ("attribute_type(a,b)", operand_type("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")),
    (
        "attribute_type(a,:s)",
        "Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
    ),
    (
        "a between :five and :v",
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
        "lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:1}",
    ),
    (
        "a between :v and :s",
        "The BETWEEN operator requires same data type for lower and upper bounds; "
        "lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:x}",
    ),
    (
        f"a in ({','.join(':v' for _ in range(101))})",
        "The IN operator is provided with too many operands; number of operands: 101",
    ),
    (" OR ".join(f"a{i}=:v" for i in range(151)), TOO_MANY),
    ("not " * 300 + "a=:v", TOO_MANY),
    ("(a=:v AND " * 150 + "a=:v" + ")" * 150, TOO_MANY),
]


@pytest.mark.parametrize(("text", "wanted"), REFUSED)
def test_what_is_refused(text: str, wanted: str) -> None:
    assert refusal(text) == wanted
    assert refusal(text) == wanted, "and again, when it is cached"


@pytest.mark.parametrize("kind", ["ConditionExpression", "FilterExpression"])
def test_an_error_names_the_kind_of_expression(kind: str) -> None:
    assert refusal("size(a)", kind) == MISUSED + "size"


@pytest.mark.parametrize(
    "text",
    [
        "(a = :v)",
        "(a) = (:v)",
        "a in ((b))",
        "attribute_exists((a))",
        "size((a)) = :v",
        "(not (a = :v))",
        "not (not (attribute_exists(a)))",
        "(a=:v)and(b=:v)",
        "((a = :v) AND b = :v)",
        "a=:v AND (b=:v AND (c=:v))",
        "not " * 299 + "a=:v",
        " OR ".join(f"a{i}=:v" for i in range(150)),
        f"a in ({','.join(':v' for _ in range(100))})",
        "(a=:v AND " * 149 + "a=:v" + ")" * 149,
        "a" + ".a" * 31 + " = :v",
        "a[2147483647] = :v",
        ":v = :v",
        "size(a) = size(a)",
        "contains(:v, a)",
        "a. b [ 0 ] = :v\n\tAND\rb = :v",
        "contains = :v",
    ],
)
def test_what_is_accepted(text: str) -> None:
    check(text)
    condition.parse(text, None, "ConditionExpression").evaluate({}, VALUES)


# One mistake of each stage; those of a later stage never win, those of the same stage win by position.
STAGES = [
    [":v !"],
    ["((a=:v))"],
    ["foo(a)", "size(a)", "a = begins_with(a,:s)", "name=:v", "a[99999999999]=:v", "if_not_exists(a,:v)"],
    ["#x=:v", "a=:u", "begins_with(a)", "a=a", "begins_with(a,:v)", "attribute_exists(:v)",
     "a between :v and :s", "attribute_type(a,:s)", "a" + ".a" * 32 + "=:v",
     f"a in ({','.join(':v' for _ in range(101))})"],
    [" AND ".join(f"a{i}=:v" for i in range(151))],
]  # fmt: skip


def test_the_first_stage_that_finds_a_mistake_wins() -> None:
    for early, late in itertools.combinations(STAGES, 2):
        for first, second in itertools.product(early, late):
            if early is STAGES[0]:
                assert "Syntax error" in refusal(f"{second} AND {first}")
            else:
                assert refusal(f"{first} AND {second}") == refusal(f"{second} AND {first}") == refusal(first)


def test_within_a_stage_the_first_mistake_wins() -> None:
    for stage in STAGES[2:4]:
        for first, second in itertools.permutations(stage, 2):
            assert refusal(f"{first} AND {second}") == refusal(first)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("foo(name) = :v", "Invalid function name; function: foo"),
        ("name = foo(b)", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("size(foo(b))", MISUSED + "size"),
        ("begins_with(:v,:u)", UNDEFINED_VALUE + ":u"),
        ("begins_with(#x,:u,:z)", UNDEFINED_NAME + "#x"),
        ("begins_with(:v,:v,:v)", operand_count("begins_with", 3)),
        ("a in (b,a,:u)", UNDEFINED_VALUE + ":u"),
        (":t<:u", UNDEFINED_VALUE + ":u"),
        ("#x" + ".a" * 32 + "=:v", "The document path has too many nesting levels; nesting levels: 33"),
    ],
)
def test_operands_come_before_what_holds_them(text: str, wanted: str) -> None:
    assert refusal(text) == wanted


BINARY = {"B": base64.b64encode(b"\x01\xff\x02").decode()}
HOLDS: list[tuple[str, dict[str, Any], bool]] = [
    # a missing attribute
    ("a = :v", {}, False),
    ("a <> :v", {}, True),
    ("not a = :v", {}, True),
    ("a < :v", {}, False),
    ("not a < :v", {}, True),
    ("a = b", {}, False),
    ("a <> b", {}, True),
    ("a in (:v, b)", {}, False),
    ("not a in (:v)", {}, True),
    ("a between :v and :five", {}, False),
    ("begins_with(a, :s)", {}, False),
    ("contains(a, :s)", {}, False),
    ("attribute_type(a, :type)", {}, False),
    ("size(a) = :v", {}, False),
    ("size(a) <> :v", {}, True),
    # types do not mix
    ("a <> :v", {"a": X}, True),
    ("a < :s", {"a": ONE}, False),
    ("not a < :s", {"a": ONE}, True),
    ("a between :v and b", {"a": ONE, "b": X}, False),
    ("begins_with(a, :s)", {"a": ONE}, False),
    ("begins_with(a, :b)", {"a": X}, False),
    # equality
    ("a = :v", {"a": ONE}, True),
    ("a = :t", {"a": {"BOOL": True}}, True),
    ("a = :t", {"a": {"BOOL": False}}, False),
    ("a = :nul", {"a": {"NULL": True}}, True),
    ("a = :ss", {"a": {"SS": ["a", "c"]}}, True),
    ("a = :ss", {"a": {"SS": ["a", "b"]}}, False),
    ("a = :m", {"a": {"M": {"s": {"SS": ["a", "b"]}}}}, True),
    ("a.s = b", {"a": {"M": {"s": {"SS": ["a", "b"]}}}, "b": {"SS": ["b", "a"]}}, True),
    (":v in (a, b)", {"b": ONE}, True),
    ("a in (:v, :two, :s)", {"a": TWO}, True),
    # order
    ("a < :two", {"a": ONE}, True),
    ("a > :two", {"a": {"N": "10"}}, True),
    ("a < :two", {"a": {"N": "-1.5"}}, True),
    ("a >= :s", {"a": X}, True),
    ("a < :s", {"a": {"S": "X"}}, True),
    ("a > b", {"a": {"S": "\U00010000"}, "b": {"S": "\uffff"}}, True),
    ("a < :b", {"a": BINARY}, True),
    (":five > size(a)", {"a": {"S": "xyz"}}, True),
    ("a between :v and :five", {"a": FIVE}, True),
    ("a between :v and :five", {"a": {"N": "5.1"}}, False),
    # functions
    ("attribute_exists(a)", {"a": {"NULL": True}}, True),
    ("attribute_exists(a.b)", {"a": {"M": {"b": ONE}}}, True),
    ("attribute_exists(a[1])", {"a": {"L": [ONE]}}, False),
    ("attribute_not_exists(a.b)", {"a": X}, True),
    ("attribute_type(a, :type)", {"a": {"BOOL": False}}, True),
    ("attribute_type(a, :type)", {"a": ONE}, False),
    ("attribute_type(:t, :type)", {}, True),
    ("begins_with(a, b)", {"a": {"S": "xy"}, "b": X}, True),
    ("begins_with(a, :e)", {"a": X}, True),
    ("begins_with(a, b)", {"a": BINARY, "b": {"B": "Af8="}}, True),
    ("contains(a, :s)", {"a": {"S": "axb"}}, True),
    ("contains(a, :e)", {"a": {"S": "axb"}}, True),
    ("contains(a, :b)", {"a": BINARY}, True),
    ("contains(a, :v)", {"a": {"S": "a1"}}, False),
    ("contains(a, :v)", {"a": {"NS": ["2", "1"]}}, True),
    ("contains(a, :v)", {"a": {"SS": ["1"]}}, False),
    ("contains(a, :b)", {"a": {"BS": ["/w=="]}}, True),
    ("contains(a, :v)", {"a": {"L": [X, ONE]}}, True),
    ("contains(a, :l)", {"a": {"L": [{"L": [ONE]}]}}, True),
    ("contains(a, :m)", {"a": {"L": [{"M": {"s": {"SS": ["a", "b"]}}}]}}, True),
    ("contains(a, :ss)", {"a": {"SS": ["a", "c"]}}, False),
    ("contains(a, :v)", {"a": ONE}, False),
    ("contains(:ss, a)", {"a": {"S": "c"}}, True),
    ("contains(a, size(b))", {"a": {"NS": ["1"]}, "b": X}, True),
    ("size(a) = :two", {"a": {"S": "é!"}}, True),
    ("size(a) = :two", {"a": {"S": "\U0001f600"}}, True),  # UTF-16, as in Java
    ("size(a) = :two", {"a": {"B": "YWI="}}, True),
    ("size(a) = :two", {"a": {"SS": ["a", "b"]}}, True),
    ("size(a) = :two", {"a": {"L": [ONE, X]}}, True),
    ("size(a) = :two", {"a": {"M": {"x": ONE, "y": X}}}, True),
    ("size(a) = :v", {"a": ONE}, False),
    ("size(a) = :v", {"a": {"BOOL": True}}, False),
    # AND before OR, NOT before both
    ("a = :v or b = :v and c = :v", {"a": ONE}, True),
    ("(a = :v or b = :v) and c = :v", {"a": ONE}, False),
    ("not a = :v and b = :v", {"a": ONE, "b": ONE}, False),
    ("not (a = :v and b = :v)", {"a": ONE}, True),
    ("not not a = :v", {"a": ONE}, True),
    ("not not not a = :v", {"a": ONE}, False),
]


@pytest.mark.parametrize(("text", "item", "wanted"), HOLDS)
def test_what_holds(text: str, item: dict[str, Any], wanted: bool) -> None:
    assert holds(text, item) is wanted


def test_an_item_that_does_not_exist_has_no_attributes() -> None:
    assert holds("attribute_not_exists(a)", None)
    assert not holds("a = :v", None)


def test_placeholders_may_hold_any_name() -> None:
    assert holds("#a.#b = :v", {"a.b": {"M": {"": ONE}}}, {"#a": "a.b", "#b": ""})


def test_it_tells_what_it_uses() -> None:
    parsed = condition.parse("#a.b = :v AND c > :w AND #a = d", {"#a": "x"}, "ConditionExpression")
    assert parsed.names_used == {"#a"}
    assert parsed.values_used == {":v", ":w"}
    assert parsed.top_names == ("x", "c", "d")
    assert parsed.nested_names == ("x",)


def test_a_query_filter_may_not_speak_of_the_key() -> None:
    parsed = condition.parse("a = :v AND contains(b, sk)", None, "FilterExpression")
    parsed.check_no_keys(("pk",))
    parsed.check_scalar_keys(("pk", "sk"))
    with pytest.raises(ValidationError) as caught:
        parsed.check_no_keys(("pk", "sk"))
    assert caught.value.message == (
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"
    )


def test_key_attributes_have_no_inside() -> None:
    parsed = condition.parse("a = :v AND pk.x = :v", None, "ConditionExpression")
    with pytest.raises(ValidationError) as caught:
        parsed.check_scalar_keys(("pk", "sk"))
    assert caught.value.message == (
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk"
    )


def test_a_check_looks_at_the_values_of_each_request() -> None:
    parsed = condition.parse("begins_with(a, :p)", None, "ConditionExpression")
    parsed.check({":p": X})
    with pytest.raises(ValidationError, match=r"operand type: N$"):
        parsed.check({":p": ONE})
    with pytest.raises(ValidationError, match=r"attribute value: :p$"):
        parsed.check({":q": X})


# ---- Against a plain model -------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.sampled_from(["0", "1", "2", "10", "-1", "1.5"]).map(lambda n: {"N": n}),
    st.sampled_from(["", "a", "ab", "b", "é"]).map(lambda s: {"S": s}),
    st.sampled_from([b"", b"a", b"ab", b"\xff"]).map(lambda b: {"B": base64.b64encode(b).decode()}),
    st.booleans().map(lambda b: {"BOOL": b}),
    st.just({"NULL": True}),
)
SETS = st.one_of(
    st.permutations(["a", "ab", "b"]).map(lambda p: {"SS": p[:2]}),
    st.permutations(["1", "2", "10"]).map(lambda p: {"NS": p[:2]}),
)
ATTRIBUTE_VALUES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    SCALARS | SETS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda elements: {"L": elements}),
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2).map(lambda members: {"M": members}),
    ),
    max_leaves=4,
)
ITEMS = st.dictionaries(st.sampled_from("abc"), ATTRIBUTE_VALUES, max_size=3)
PLACEHOLDERS = st.fixed_dictionaries(
    {
        ":x": ATTRIBUTE_VALUES, ":y": ATTRIBUTE_VALUES, ":z": SCALARS,
        **{f":{kind}": st.just({"S": kind}) for kind in ("N", "SS", "L")},
    }
)

LEAVES = st.sampled_from(["a", "b", "c", "a.a", "a.b", "b[0]", "b[1].a", ":x", ":y", ":z"])
OPERANDS = LEAVES | LEAVES.map(lambda leaf: ("size", leaf))
PREDICATES = st.one_of(
    st.tuples(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), OPERANDS, OPERANDS),
    st.tuples(st.just("BETWEEN"), OPERANDS, OPERANDS, OPERANDS),
    st.tuples(st.just("IN"), OPERANDS, OPERANDS, OPERANDS),
    st.tuples(st.sampled_from(["attribute_exists", "attribute_not_exists"]), st.sampled_from(["a", "b[0]", "a.b"])),
    st.tuples(st.sampled_from(["begins_with", "contains"]), OPERANDS, OPERANDS),
    st.tuples(st.just("attribute_type"), st.sampled_from(["a", "b[0]", "a.b"]), st.sampled_from([":N", ":SS", ":L"])),
)
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    PREDICATES,
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner), st.tuples(st.sampled_from(["AND", "OR"]), inner, inner)
    ),
    max_leaves=5,
)


def written(node: Any) -> str:
    """An expression of the model as text, in as many parentheses as are not redundant."""
    match node:
        case str():
            return node
        case ("NOT", term):
            return f"NOT ({written(term)})"
        case ("AND" | "OR" as operator, left, right):
            return f"({written(left)}) {operator} ({written(right)})"
        case ("BETWEEN", operand, low, high):
            return f"{written(operand)} BETWEEN {written(low)} AND {written(high)}"
        case ("IN", operand, *options):
            return f"{written(operand)} IN ({', '.join(map(written, options))})"
        case ("=" | "<>" | "<" | "<=" | ">" | ">=" as operator, left, right):
            return f"{written(left)} {operator} {written(right)}"
        case (function, *operands):
            return f"{function}({', '.join(map(written, operands))})"
    raise AssertionError(node)


def plain(value: Any) -> Any:
    """An attribute value as something that Python compares as DynamoDB does, tagged with its type."""
    if value is None:
        return None
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return (kind, Decimal(content))
        case "B":
            return (kind, base64.b64decode(content))
        case "SS":
            return (kind, frozenset(content))
        case "NS":
            return (kind, frozenset(map(Decimal, content)))
        case "L":
            return (kind, [plain(element) for element in content])
        case "M":
            return (kind, {name: plain(member) for name, member in content.items()})
    return (kind, content)


def read(operand: Any, item: dict[str, Any], values: dict[str, Any]) -> Any:
    if isinstance(operand, tuple):
        found = read(operand[1], item, values)
        if found is None or found[0] in ("N", "BOOL", "NULL"):
            return None
        return ("N", Decimal(len(found[1])))
    if operand.startswith(":"):
        return plain(values[operand])
    found = plain(item.get(operand[0]))
    for step in {"a.a": "a", "a.b": "b", "b[0]": [0], "b[1].a": [1, "a"]}.get(operand, ""):
        if found is not None:
            inner = found[1] if found[0] == ("L" if isinstance(step, int) else "M") else {}
            found = dict(enumerate(inner)).get(step) if isinstance(step, int) else inner.get(step)
    return found


def true(node: Any, item: dict[str, Any], values: dict[str, Any]) -> bool:
    match node:
        case ("NOT", term):
            return not true(term, item, values)
        case ("AND", left, right):
            return true(left, item, values) and true(right, item, values)
        case ("OR", left, right):
            return true(left, item, values) or true(right, item, values)
        case ("attribute_exists", operand):
            return read(operand, item, values) is not None
        case ("attribute_not_exists", operand):
            return read(operand, item, values) is None
        case ("attribute_type", operand, kind):
            found = read(operand, item, values)
            return found is not None and found[0] == values[kind]["S"]
    operator, *operands = node
    a, *others = (read(operand, item, values) for operand in operands)
    if operator == "IN":
        return a is not None and a in others
    if operator == "BETWEEN":
        return ordered(">=", a, others[0]) and ordered("<=", a, others[1])
    (b,) = others
    if operator in ("=", "<>"):
        return (a is not None and a == b) is (operator == "=")
    if operator not in ("begins_with", "contains"):
        return ordered(operator, a, b)
    if a is None or b is None:
        return False
    if operator == "begins_with":
        return a[0] == b[0] and a[0] in "SB" and a[1].startswith(b[1])
    if a[0] == "L":
        return b in a[1]
    return a[0] in (b[0], b[0] + "S") and a[0] in ("S", "B", "SS", "NS") and b[1] in a[1]


def ordered(operator: str, a: Any, b: Any) -> bool:
    if a is None or b is None or a[0] != b[0] or a[0] not in ("S", "N", "B"):
        return False
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


@given(CONDITIONS, ITEMS, PLACEHOLDERS)
def test_it_agrees_with_a_plain_model(node: Any, item: dict[str, Any], values: dict[str, Any]) -> None:
    parsed = condition.parse(written(node), None, "ConditionExpression")
    try:
        parsed.check(values)
    except ValidationError:
        return  # operands that cannot be compared: the model has no opinion on that
    assert parsed.evaluate(item, values) is true(node, item, values)


# ---- Any text at all -------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["a", "b.c", "#n", "#u", ":v", ":u", "(", ")", "((", "))", "=", "<", "<>", ",", ".", "[", "]", "[0]", "[9]",
     "+", "-", "AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE", "size(", "contains(",
     "if_not_exists(", "list_append(", "foo(", "name", "!", "5", "\n", "\0", "é", "SET a = :v", "a = :v"]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40)


@given(TEXTS)
def test_any_text_parses_or_is_refused(text: str) -> None:
    names, values = {"#n": "n"}, {":v": ONE}
    for parse in (
        lambda: condition.parse(text, names, "FilterExpression").check(values),
        lambda: update.parse(text, names).check(values),
        lambda: projection.parse(text, names),
        lambda: key_condition.parse(text, names).check(values),
    ):
        with contextlib.suppress(ValidationError):
            parse()


@pytest.mark.parametrize(
    ("opening", "middle", "closing"),
    [
        ("(", "a = :v", ")"),
        ("a = (", "b", ")"),
        ("(a = :v AND ", "a = :v", ")"),
        ("(a = :v OR (", "a = :v", "))"),
        ("NOT ", "a = :v", ""),
        ("NOT (", "a = :v", ")"),
        ("size(", "a", ")"),
        ("foo(", "a", ") = :v"),
        ("a = size(", "a", ")"),
        ("(", "a", ""),
        ("", "a", ")"),
        ("a.", "a", ""),
        ("a[", "0", "]"),
    ],
)
def test_nesting_is_no_way_to_exhaust_the_stack(opening: str, middle: str, closing: str) -> None:
    depth = (4096 - len(middle)) // len(opening + closing)
    for text in (opening * depth + middle + closing * depth, "a = " + opening * (depth - 1) + middle):
        with pytest.raises(ValidationError):
            check(text)
        with pytest.raises(ValidationError):
            update.parse("SET a = " + text[:4000], None).check(VALUES)


def test_functions_of_an_update_may_nest() -> None:
    depth = 200
    text = "SET a = " + "if_not_exists(b, " * depth + ":v" + ")" * depth
    parsed = update.parse(text, None)
    parsed.check(VALUES)
    assert parsed.apply({}, VALUES) == {"a": ONE}
