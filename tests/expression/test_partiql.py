"""PartiQL statements: what they refuse, and that they mean what the native expressions mean.

Error texts were observed on DynamoDB Local 1.25, which takes them from the code that it shares with AWS; after
"Statement wasn't well formed, can't be processed:" it shows the statement where AWS shows a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.item.strategies import spellings, texts
from varley.errors import ValidationError
from varley.expression import condition, partiql, projection, update
from varley.expression.partiql_condition import Where
from varley.item.equality import equal
from varley.item.value import check_item

MALFORMED = "Statement wasn't well formed, can't be processed: "


def refusal(text: str, *parameters: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        partiql.parse(text).values(parameters)
    return caught.value.message


def mistake(run: Callable[[], Any]) -> str | None:
    """What it refuses with; None if it does not."""
    try:
        run()
    except ValidationError as error:
        return error.message
    return None


def where(text: str, *parameters: dict[str, Any]) -> tuple[Where, dict[str, Any]]:
    statement = partiql.parse(f"SELECT * FROM Music WHERE {text}")
    values = statement.values(parameters)
    assert statement.where is not None
    return statement.where, values


def holds(text: str, item: dict[str, Any], *parameters: dict[str, Any]) -> bool:
    clause, values = where(text, *parameters)
    access = clause.access(("no such key",), ())
    assert access.filter is not None
    return access.filter.evaluate(item, values)


# ---- Refusals ----------------------------------------------------------------------------------------

REFUSED = {
    # not PartiQL
    "": MALFORMED + "Expected data manipulation",
    "hello": MALFORMED + "Expected data manipulation",
    "DROP TABLE Music": MALFORMED + "Expected data manipulation",
    "UPDATE Payment-Table SET a = 1 WHERE b = 2": MALFORMED + "Expected data manipulation",
    "UPDATE Music WHERE pk = 'a'": MALFORMED + "Expected data manipulation",
    "SELECT": MALFORMED + "Unexpected term",
    "SELECT date FROM Music": MALFORMED + "Unexpected keyword",
    "SELECT *, a FROM Music": MALFORMED + "Expected FROM after select list",
    "SELECT * FROM Music WHERE": MALFORMED + "Unexpected term",
    "SELECT * FROM Music WHERE a == 1": MALFORMED + "Unexpected term",
    "SELECT * FROM Music; SELECT * FROM Music": MALFORMED + "Unexpected token after expression",
    "SELECT * FROM Music WHERE a = 'x": MALFORMED
    + "Lexer Error: at line 1, column 31: invalid character at, ''' [U+27]",
    "UPDATE Music REMOVE a, b WHERE pk = 'a'": MALFORMED + "Unexpected token after expression",
    "UPDATE Music SET 'a' = 1 WHERE pk = 'a'": MALFORMED + "Expected identifier for simple path",
    "DELETE FROM Music WHERE pk = 'a' RETURNING OLD": MALFORMED
    + "Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element.",
    # PartiQL, but not DynamoDB's: an error of syntax anywhere goes first
    "SELECT a AS b FROM Music": "Aliasing is not supported",
    "SELECT a AS b FROM Music WHERE": MALFORMED + "Unexpected term",
    "SELECT * FROM Music m": "Aliasing is not supported",
    "SELECT DISTINCT a FROM Music": "Unsupported token in expression: DISTINCT",
    "SELECT VALUE a FROM Music": "Select projection doesn't support value or pivot keywords",
    "SELECT m.* FROM Music": "Changing item's hierarchy while reading isn't supported",
    "SELECT COUNT(*) FROM Music": "Unexpected path component at 1:8:5",
    "SELECT size(a) FROM Music": "Unexpected path component at 1:8:4",
    "SELECT a + 1 FROM Music": "Unexpected path component at 1:10:1",
    "SELECT 'a' FROM Music": "Unexpected path component at 1:8:3",
    "SELECT l[?] FROM Music": "Unexpected path component at 1:10:1",
    "SELECT l[-1] FROM Music": "List index is not within the allowable range; index: [-1] at 1:11:1",
    'SELECT "" FROM Music': "Path component cannot be an empty string",
    "SELECT a, a FROM Music": "Duplicate identifiers in select clause: a",
    "SELECT m.a, n.a FROM Music": "Duplicate identifiers in select clause: a",
    "SELECT m, m.a FROM Music": "Two document paths overlap with each other; must remove or rewrite one of these "
    "paths; path one: [m, a], path two: [m]",
    "SELECT * FROM a.b.c": "A path may contain at most 2 components in the FROM clause",
    "SELECT * FROM Music, Books": "Only select from a single table or index is supported.",
    "SELECT * FROM Music JOIN Books ON true": "Only select from a single table or index is supported.",
    "SELECT * FROM (SELECT * FROM Music)": "Unexpected from source",
    "SELECT * FROM 'Music'": "Unexpected from source",
    "SELECT * FROM My-Music": "Unexpected from source",
    "SELECT * FROM Music GROUP BY a": "Unsupported clause: GROUP BY",
    "SELECT * FROM Music HAVING a='x'": "Unsupported clause: HAVING at 1:29:1",
    "SELECT * FROM Music LIMIT 1": "Unsupported clause: LIMIT at 1:27:1",
    # conditions
    "SELECT * FROM Music WHERE true": "WHERE clause must contain an expression that resolves to a boolean",
    "SELECT * FROM Music WHERE a": "WHERE clause must contain an expression that resolves to a boolean",
    "SELECT * FROM Music WHERE size(a)": "WHERE clause must contain an expression that resolves to a boolean",
    "SELECT * FROM Music WHERE NOT a": "The argument to NOT must be a Type or Expression",
    "SELECT * FROM Music WHERE a = 1 AND b": "The arguments to AND/OR must be Expressions",
    "SELECT * FROM Music WHERE a = 1 AND size(b)": "Incorrect operand type for operator or function; "
    "operator or function: AND, operand type: N",
    "SELECT * FROM Music WHERE a = MISSING": "MISSING must be compared using IS operator",
    "SELECT * FROM Music WHERE a IS INT": "Unsupported data type for IS operator: INTEGER. Supported data types are "
    "[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST] at 1:29:2",
    "SELECT * FROM Music WHERE size(a) IS MISSING": "The left hand side argument to IS must be a Variable Reference, "
    "Literal, or Path",
    "SELECT * FROM Music WHERE a LIKE 'x%'": "Unsupported operator in Condition Expression. Operator: like",
    "SELECT * FROM Music WHERE a = 'x' || 'y'": "Unsupported operator in Condition Expression. Operator: ||",
    "SELECT * FROM Music WHERE a + 1 > 2": "Unsupported operator in Condition Expression. Operator: +",
    "SELECT * FROM Music WHERE upper(a) = 'X'": "Unrecognized function: upper",
    "SELECT * FROM Music WHERE foo(a)": "Unrecognized function: foo",
    "SELECT * FROM Music WHERE list_append(a, b) = 1": "The function is not allowed in a condition expression; "
    "function: list_append",
    "SELECT * FROM Music WHERE exists(SELECT * FROM Music)": "Unsupported token in expression: SELECT at 1:34:6",
    "SELECT * FROM Music WHERE CASE WHEN a = 1 THEN true END": "Unsupported token in expression: CASE at 1:27:4",
    "SELECT * FROM Music WHERE begins_with(a)": "Incorrect number of operands for operator or function; "
    "operator or function: begins_with, number of operands: 1",
    "SELECT * FROM Music WHERE begins_with(a, 1)": "Incorrect operand type for operator or function; "
    "operator or function: begins_with, operand type: N",
    "SELECT * FROM Music WHERE size(size(a)) > 1": "Incorrect operand type for operator or function; "
    "operator or function: size, operand type: N",
    "SELECT * FROM Music WHERE attribute_exists('x')": "Operator or function requires a document path; "
    "operator or function: attribute_exists",
    "SELECT * FROM Music WHERE a < true": "Incorrect operand type for operator or function; "
    "operator or function: <, operand type: BOOL",
    "SELECT * FROM Music WHERE a = a": "The first operand must be distinct from the remaining operands for this "
    "operator or function; operator: =, first operand: [a]",
    "SELECT * FROM Music WHERE a BETWEEN 3 AND 1": "The BETWEEN operator requires upper bound to be greater than or "
    "equal to lower bound; lower bound operand: AttributeValue: {N:3}, upper bound operand: AttributeValue: {N:1}",
    "SELECT * FROM Music WHERE a IN []": "IN operator must have a left hand argument of type Variable Reference and "
    "right hand argument of type Seq with at least one member",
    "SELECT * FROM Music WHERE a IN 1": "IN operator must have a left hand argument of type Variable Reference and "
    "right hand argument of type Seq with at least one member",
    f"SELECT * FROM Music WHERE a IN [{','.join(map(str, range(101)))}]": "The IN operator is provided with too many "
    "operands; number of operands: 101",
    f"SELECT * FROM Music WHERE {' OR '.join(f'a={i}' for i in range(151))}": "The expression contains too many "
    "operators; operator count: 301",
    f"SELECT * FROM Music WHERE {'NOT ' * 301}a = 1": "The expression contains too many operators; operator count: 301",
    f"SELECT * FROM Music WHERE {'.'.join('a' * 33)} = 1": "The document path has too many nesting levels; "
    "nesting levels: 33",
    # values
    "INSERT INTO Music VALUE {'a': foo}": "Unsupported data type: foo under key root at 1:31:3",
    "INSERT INTO Music VALUE {'a': MISSING}": "Unsupported data type: MISSING under key root at 1:31:7",
    "INSERT INTO Music VALUE {'a': 1 + 2}": "Unsupported data type: + under key root at 1:33:1",
    "INSERT INTO Music VALUE {'a': [1, foo]}": "Unsupported data type: VariableReference under key root.1 at 1:35:3",
    "INSERT INTO Music VALUE {'a': {'b': [?]}}": "Unsupported data type: Parameter under key root.b.0 at 1:38:1",
    "INSERT INTO Music VALUE {a: 1}": "Tuple keys must be of type String. Actual type: VariableReference under root "
    "at 1:26:1",
    "INSERT INTO Music VALUE {?: 1}": "Tuple keys must be of type String. Actual type: Parameter under root at 1:26:1",
    "INSERT INTO Music VALUE {'a': 1, 'a': 2}": "Duplicate keys in tuple. Key: a under root at 1:34:3",
    "INSERT INTO Music VALUE {'': 1}": "Path component cannot be an empty string",
    "INSERT INTO Music VALUE {'a': <<>>}": "Empty bags are not supported at 1:31:2",
    "INSERT INTO Music VALUE {'a': <<true>>}": "Unsupported data type in Bag. DynamoDB only supports either numbers or "
    "strings in bags at 1:33:4",
    "INSERT INTO Music VALUE {'a': <<1, 'a'>>}": "Unsupported data type in Bag. DynamoDB only supports either numbers "
    "or strings in bags",
    "INSERT INTO Music VALUE {'a': <<1, 1>>}": "Input collection contains duplicates",
    "INSERT INTO Music VALUE {'a': `1`}": "Ion Literals are not supported at 1:31:3",
    "INSERT INTO Music VALUE ?": "Unsupported format in item expression. Please use struct format {...} to express "
    "item values for insert statement. at 1:25:1",
    "INSERT INTO Music {'a': 1}": "Unsupported operation: InsertOp",
    "INSERT INTO Music.idx VALUE {'a': 1}": "FROM clause may only contain a single table name in data manipulation "
    "statements",
    "INSERT INTO Music VALUE {'a': 1} RETURNING ALL OLD *": "RETURNING is not supported in INSERT",
    # writes
    "UPDATE Music.idx SET a = 1 WHERE pk = 'a'": "This operation is not supported on an index",
    "UPDATE Music SET a = 1": "Where clause does not contain a mandatory equality on all key attributes",
    "UPDATE Music SET a = 1 SET a = 2 WHERE pk = 'a'": "Two document paths overlap with each other; must remove or "
    "rewrite one of these paths; path one: [a], path two: [a]",
    "UPDATE Music SET m = 1 SET m.a = 2 WHERE pk = 'a'": "Two document paths overlap with each other; must remove or "
    "rewrite one of these paths; path one: [m, a], path two: [m]",
    "UPDATE Music SET a = a * 2 WHERE pk = 'a'": "Unsupported operator in Update Expression. Operator: *",
    "UPDATE Music SET a = -b WHERE pk = 'a'": "Incorrect number of operands for operator or function; "
    "operator or function: -, number of operands: 1",
    "UPDATE Music SET a = b + 'x' WHERE pk = 'a'": "Incorrect operand type for operator or function; "
    "operator or function: +, operand type: S",
    "UPDATE Music SET a = MISSING WHERE pk = 'a'": "MISSING must be compared using IS operator",
    "UPDATE Music SET a = size(b) WHERE pk = 'a'": "The function is not allowed in an update expression; "
    "function: size",
    "UPDATE Music SET a = foo(b) WHERE pk = 'a'": "Unrecognized function: foo",
    "UPDATE Music SET a = set_add(a) WHERE pk = 'a'": "SET_ADD must have exactly two arguments at 1:22:7",
    "UPDATE Music SET a = set_add(b, <<1>>) WHERE pk = 'a'": "The first argument to SET_ADD must equal the assignment "
    "value",
    "UPDATE Music SET a = set_delete(a, 1) WHERE pk = 'a'": "The second argument to SET_DELETE must be a value with "
    "type SET at 1:33:1",
    "UPDATE Music SET a = list_append(a, 1) WHERE pk = 'a'": "Incorrect operand type for operator or function; "
    "operator or function: list_append, operand type: N",
    "UPDATE Music SET a = 1 WHERE pk = 'a' RETURNING ALL OLD a": "Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) "
    "in RETURNING clause",
    "UPDATE Music SET a = 1 WHERE pk = 'a' RETURNING ALL OLD *, ALL NEW *": "Invalid syntax with multiple returning "
    "elements in RETURNING clause",
    "DELETE FROM Music": "Where clause does not contain a mandatory equality on all key attributes",
    "DELETE FROM Music WHERE pk = 'a' RETURNING MODIFIED OLD *": "Invalid returning clause: RETURNING MODIFIED OLD *. "
    "Only RETURNING ALL OLD * is allowed in DELETE statements.",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[text[:50] for text in REFUSED])
def test_these_are_refused_with_these_words(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize("given", [[], [{"N": "1"}]])
def test_there_must_be_a_value_for_each_parameter(given: list[dict[str, Any]]) -> None:
    text = "SELECT * FROM Music WHERE a = ? AND b = ?"
    assert refusal(text, *given) == "Number of parameters in request and statement don't match."


def test_parameters_that_are_too_many_are_ignored() -> None:
    assert holds("a = ?", {"a": {"N": "1"}}, {"N": "1"}, {"N": "2"})


def test_what_is_wrong_with_a_parameter_is_found_before_the_table_is_known() -> None:
    assert refusal("UPDATE Music SET a = set_add(a, ?) WHERE pk = 'a'", {"N": "1"}) == (
        "The second argument to SET_ADD must be a value with type SET at 1:30:1"
    )
    assert refusal("SELECT * FROM Music WHERE a BETWEEN ? AND ?", {"N": "2"}, {"S": "a"}).startswith(
        "The BETWEEN operator requires same data type"
    )


@pytest.mark.parametrize("opened", ["(", "[", "<<", "f(", "{'a':", "m[", "- "])
def test_depth_has_an_end_that_is_told(opened: str) -> None:
    message = refusal(f"SELECT * FROM Music WHERE a = {opened * 4000}")
    assert message == MALFORMED + "Expressions are nested too deeply" or "too many operators" in message


def test_a_statement_of_the_greatest_length_is_no_trouble() -> None:
    assert refusal("SELECT * FROM Music WHERE a = 1" + " = 1" * 2000).startswith("The expression contains too many")
    assert refusal("UPDATE Music SET a = 1" + " + 1" * 2000).startswith("The expression contains too many")
    assert holds(" OR ".join(["(" * 90 + "a = 1" + ")" * 90] * 40), {"a": {"N": "1"}})


WORDS = st.sampled_from(
    """SELECT INSERT INTO UPDATE DELETE FROM WHERE SET REMOVE VALUE AND OR NOT IN BETWEEN IS MISSING NULL ORDER BY DESC
    RETURNING ALL OLD NEW MODIFIED EXISTS Music a m b 'x' 1 -1 ? * . , ; = <> < >= + - ( ) [ ] { } << >> : size(
    begins_with( set_add( list_append( attribute_type( `1` "q" @ 'pk' pk""".split()  # noqa: SIM905  as one writes it
)


@given(st.sampled_from(["", "SELECT * FROM Music WHERE a ", "UPDATE Music SET a ", "INSERT INTO Music VALUE {'a' "]),
       st.lists(WORDS, max_size=14))  # fmt: skip
@settings(max_examples=400)
def test_any_words_are_a_statement_or_refused(start: str, words: list[str]) -> None:
    try:
        statement = partiql.parse(start + " ".join(words))
        statement.values([{"N": "1"}] * statement.parameter_count)
    except ValidationError:
        pass


# ---- Meaning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'it''s'", {"S": "it's"}),
        ("''", {"S": ""}),
        ("007", {"N": "7"}),
        (".5", {"N": "0.5"}),
        ("- 5.", {"N": "-5"}),
        ("-(5)", {"N": "-5"}),
        ("+1e2", {"N": "100"}),
        ("TRUE", {"BOOL": True}),
        ("false", {"BOOL": False}),
        ("Null", {"NULL": True}),
        ("[]", {"L": []}),
        ("[1, 'a', [null]]", {"L": [{"N": "1"}, {"S": "a"}, {"L": [{"NULL": True}]}]}),
        ("(1, 2)", {"L": [{"N": "1"}, {"N": "2"}]}),
        ("{}", {"M": {}}),
        ("{'a': {'b': 1}}", {"M": {"a": {"M": {"b": {"N": "1"}}}}}),
        ("<<1, 2.50>>", {"NS": ["1", "2.5"]}),
        ("<<'a'>>", {"SS": ["a"]}),
    ],
)
def test_literals_of_all_types(literal: str, value: dict[str, Any]) -> None:
    assert inserted(f"INSERT INTO Music VALUE {{'a': {literal}}}") == {"a": value}


def inserted(text: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    statement = partiql.parse(text)
    assert isinstance(statement, partiql.Insert)
    values = statement.values(parameters)
    return {name: values[placeholder] for name, placeholder in statement.members.items()}


@given(texts)
def test_any_text_can_be_written(text: str) -> None:
    written = "'" + text.replace("'", "''") + "'"
    assert inserted(f"INSERT INTO Music VALUE {{'a': {written}}}") == {"a": {"S": text}}


@given(spellings())
def test_numbers_are_those_of_attribute_values(spelling: tuple[str, Any]) -> None:
    text, _ = spelling
    statement, expected = f"INSERT INTO Music VALUE {{'a': {text}}}", {"a": {"N": text}}
    assert mistake(lambda: partiql.parse(statement)) == mistake(lambda: check_item(expected))
    if mistake(lambda: partiql.parse(statement)) is None:
        assert inserted(statement) == expected


def test_a_parameter_stands_for_a_value_of_any_type() -> None:
    binary = {"B": "AA=="}
    assert inserted("INSERT INTO Music VALUE {'a': ?, 'b': ?}", binary, {"S": "x"}) == {"a": binary, "b": {"S": "x"}}


def test_functions_and_types_have_any_case() -> None:
    item = {"a": {"S": "xyz"}}
    assert holds("BEGINS_WITH(a, 'x') AND Size(a) = 3 AND a is string AND NOT (b Is Not Missing)", item)


def test_null_is_a_value_and_missing_is_none() -> None:
    cases: list[tuple[dict[str, Any], bool, bool]] = [
        ({"a": {"NULL": True}}, True, False),
        ({}, False, True),
        ({"a": {"N": "1"}}, False, False),
    ]
    for item, is_null, is_missing in cases:
        assert holds("a IS NULL", item) is is_null
        assert holds("a IS NOT NULL", item) is not is_null
        assert holds("a IS MISSING", item) is is_missing
        assert holds("a IS NOT MISSING", item) is not is_missing


def test_and_binds_tighter_than_or_and_not_tighter_than_and() -> None:
    item = {"a": {"N": "1"}}
    assert holds("a = 1 OR a = 2 AND a = 3", item)
    assert not holds("NOT a = 1 AND a = 1", item)
    assert holds("NOT (a = 1 AND a = 2)", item)
    assert holds("NOT NOT a = 1", item)


# A condition in both languages. The values are literals here and placeholders there.
VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    ":one": ("1", {"N": "1"}),
    ":two": ("2.0", {"N": "2"}),
    ":x": ("'x'", {"S": "x"}),
    ":xy": ("'xy'", {"S": "xy"}),
    ":no": ("FALSE", {"BOOL": False}),
    ":null": ("NULL", {"NULL": True}),
    ":list": ("[1, 'x']", {"L": [{"N": "1"}, {"S": "x"}]}),
    ":map": ("{'k': 1}", {"M": {"k": {"N": "1"}}}),
    ":set": ("<<'x', 'y'>>", {"SS": ["y", "x"]}),
    ":kind": ("'N'", {"S": "N"}),
}
NATIVE_VALUES = {name: value for name, (_, value) in VALUES.items()}
Both = tuple[str, str]    # (PartiQL, native)

PATHS: st.SearchStrategy[Both] = st.sampled_from(
    [("a", "a"), ('"b"', "b"), ("m.k", "m.k"), ("m['k']", "m.k"), ("c[0]", "c[0]"), ('m."l"[1]', "m.l[1]")]
)
CONSTANTS: st.SearchStrategy[Both] = st.sampled_from([(VALUES[name][0], name) for name in VALUES])
SIZES: st.SearchStrategy[Both] = PATHS.map(lambda path: (f"SIZE({path[0]})", f"size({path[1]})"))
OPERANDS = st.one_of(PATHS, CONSTANTS, SIZES)


def _form(partiql_form: str, native_form: str, *operands: st.SearchStrategy[Both]) -> st.SearchStrategy[Both]:
    return st.tuples(*operands).map(
        lambda drawn: (partiql_form.format(*(d[0] for d in drawn)), native_form.format(*(d[1] for d in drawn)))
    )


COMPARATORS = st.sampled_from([("!=", "<>"), *((sign, sign) for sign in ("=", "<>", "<", "<=", ">", ">="))])
PREDICATES = st.one_of(
    _form("{0} {1} {2}", "{0} {1} {2}", OPERANDS, COMPARATORS, OPERANDS),
    _form("{} BETWEEN {} AND {}", "{} BETWEEN {} AND {}", OPERANDS, CONSTANTS, CONSTANTS),
    _form("{} NOT BETWEEN {} AND {}", "NOT {} BETWEEN {} AND {}", OPERANDS, CONSTANTS, CONSTANTS),
    _form("{} IN [{}, {}]", "{} IN ({}, {})", OPERANDS, OPERANDS, CONSTANTS),
    _form("{} NOT IN ({})", "NOT {} IN ({})", PATHS, CONSTANTS),
    _form("{} IS MISSING", "attribute_not_exists({})", PATHS),
    _form("{} IS NOT MISSING", "attribute_exists({})", PATHS),
    _form("{} IS NUMERIC", "attribute_type({}, :kind)", PATHS),
    _form("Begins_With({}, {})", "begins_with({}, {})", OPERANDS, CONSTANTS),
    _form("CONTAINS({}, {})", "contains({}, {})", OPERANDS, OPERANDS),
    _form("attribute_type({}, 'N')", "attribute_type({}, :kind)", PATHS),
)
CONDITIONS: st.SearchStrategy[Both] = st.recursive(
    PREDICATES,
    lambda inner: st.one_of(
        _form("NOT ({})", "NOT ({})", inner),
        _form("({}) AND ({})", "({}) AND ({})", inner, inner),
        _form("({}) or ({})", "({}) OR ({})", inner, inner),
    ),
    max_leaves=6,
)
SOME = st.sampled_from([*NATIVE_VALUES.values(), {"M": {"k": {"N": "2"}, "l": {"L": [{"N": "0"}, {"S": "x"}]}}}])
ITEMS = st.dictionaries(st.sampled_from(["a", "b", "c", "m"]), SOME)


@given(CONDITIONS, st.lists(ITEMS, min_size=1, max_size=4))
def test_conditions_mean_what_native_ones_mean(both: Both, items: list[dict[str, Any]]) -> None:
    text, native_text = both
    native = condition.parse(native_text, None, "ConditionExpression")
    wrong = mistake(lambda: native.check(NATIVE_VALUES))
    if wrong is not None:
        # The same mistake in the same words, except that PartiQL's does not say where.
        assert refusal(f"SELECT * FROM Music WHERE {text}") == wrong.removeprefix("Invalid ConditionExpression: ")
        return
    for item in items:
        assert holds(text, item) == native.evaluate(item, NATIVE_VALUES), (text, native_text)


SUMS: st.SearchStrategy[Both] = _form(
    "{} {} {}", "{} {} {}", st.one_of(PATHS, CONSTANTS), st.sampled_from([("+", "+"), ("-", "-")]), CONSTANTS
)
ASSIGNED = st.one_of(
    PATHS,
    CONSTANTS,
    SUMS,
    _form("IF_NOT_EXISTS({}, {})", "if_not_exists({}, {})", PATHS, CONSTANTS),
    _form("list_append({}, {})", "list_append({}, {})", PATHS, st.just((VALUES[":list"][0], ":list"))),
)


@st.composite
def _updates(draw: st.DrawFn) -> Both:
    """Changes of different attributes, in both languages."""
    targets = draw(st.lists(st.sampled_from(["a", "b", "m.k", "c[0]", "s"]), min_size=1, max_size=4, unique=True))
    texts: list[str] = []
    sections: dict[str, list[str]] = {"SET": [], "REMOVE": [], "ADD": [], "DELETE": []}
    for target in targets:
        kind = draw(st.sampled_from(["SET", "REMOVE", "ADD", "DELETE"]))
        if kind == "SET":
            value, native_value = draw(ASSIGNED)
            texts.append(f"SET {target} = {value}")
            sections[kind].append(f"{target} = {native_value}")
        elif kind == "REMOVE":
            texts.append(f"REMOVE {target}")
            sections[kind].append(target)
        else:
            function = "set_add" if kind == "ADD" else "SET_DELETE"
            texts.append(f"SET {target} = {function}({target}, <<'x', 'y'>>)")
            sections[kind].append(f"{target} :set")
    native = " ".join(f"{section} {', '.join(parts)}" for section, parts in sections.items() if parts)
    return " ".join(texts), native


@given(_updates(), st.dictionaries(st.sampled_from(["a", "b", "c", "m", "s"]), SOME))
def test_updates_mean_what_native_ones_mean(both: Both, item: dict[str, Any]) -> None:
    text, native_text = both
    statement = partiql.parse(f"UPDATE Music {text} WHERE pk = 'p'")
    assert isinstance(statement, partiql.Change)
    native = update.parse(native_text, None)
    wrong = mistake(lambda: native.check(NATIVE_VALUES))
    if wrong is not None:
        wrong = wrong.removeprefix("Invalid UpdateExpression: ")
        assert refusal(f"UPDATE Music {text} WHERE pk = 'p'") in {wrong, *_OTHERS}
        return
    values = statement.values([])
    wrong = mistake(lambda: native.apply(item, NATIVE_VALUES))
    if wrong is not None:
        assert mistake(lambda: statement.changes.update.apply(item, values)) in (wrong, *_WHICH_FIRST)
        return
    expected = native.apply(item, NATIVE_VALUES)
    new = statement.changes.update.apply(item, values)
    assert new.keys() == expected.keys()
    assert all(equal(new[name], expected[name]) for name in new)


# Where there are two mistakes, the two languages may find another one first: native updates are looked at from the
# last change to the first, and their sections come in another order.
_OTHERS = {
    f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"
    for operator in "+-"
    for kind in ("S", "BOOL", "NULL", "L", "M", "SS")
}
_WHICH_FIRST = (
    "An operand in the update expression has an incorrect data type",
    "The provided expression refers to an attribute that does not exist in the item",
    "The document path provided in the update expression is invalid for update",
)


def test_sums_may_have_many_terms() -> None:
    statement = partiql.parse("UPDATE Music SET a = a + 1 - (b - 2) + ? WHERE pk = 'p'")
    assert isinstance(statement, partiql.Change)
    values = statement.values([{"N": "10"}])
    new = statement.changes.update.apply({"a": {"N": "1"}, "b": {"N": "5"}}, values)
    assert new["a"] == {"N": "9"}


def test_columns_lie_side_by_side_under_the_last_names_of_their_paths() -> None:
    statement = partiql.parse('SELECT a, m.k, m.l[1], "x.y", l[0].z, gone FROM Music')
    assert isinstance(statement, partiql.Read)
    assert statement.columns is not None
    item = {
        "a": {"N": "1"},
        "m": {"M": {"k": {"N": "2"}, "l": {"L": [{"N": "3"}, {"N": "4"}]}}},
        "x.y": {"N": "5"},
        "l": {"L": [{"M": {"z": {"N": "6"}}}]},
        "other": {"N": "7"},
    }
    assert statement.columns.apply(item) == {
        "a": {"N": "1"}, "k": {"N": "2"}, "l[1]": {"N": "4"}, "x.y": {"N": "5"}, "z": {"N": "6"},
    }  # fmt: skip


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True), ITEMS)
def test_plain_columns_are_a_native_projection(names: list[str], item: dict[str, Any]) -> None:
    statement = partiql.parse(f"SELECT {', '.join(names)} FROM Music")
    assert isinstance(statement, partiql.Read)
    assert statement.columns is not None
    assert statement.columns.apply(item) == projection.parse(", ".join(names), None).apply(item)


# ---- Keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hash_values", "sort", "is_filtered"),
    [
        ("pk = 'a'", ["a"], [], False),
        ("'a' = pk", ["a"], [], False),
        ("pk = 'a' AND sk > 5", ["a"], [">"], False),
        ("pk = 'a' AND 5 < sk", ["a"], [">"], False),
        ("(sk BETWEEN 1 AND 2 AND x = 1) AND pk = 'a'", ["a"], ["BETWEEN"], True),
        ("pk = 'a' AND sk > 1 AND sk < 5", ["a"], [">", "<"], False),
        ("pk = 'a' AND sk IN [1, 2]", ["a"], ["IN"], False),
        ("pk = 'a' AND sk <> 1", ["a"], [], True),
        ("pk = 'a' AND NOT sk < 1", ["a"], [], True),
        ("pk = 'a' AND pk = 'b'", ["a"], [], True),
        ("pk IN ['a', 'b'] AND sk = 1", ["a", "b"], ["="], False),
        ("pk = 'a' OR pk = 'b'", ["a", "b"], [], True),
        ("(pk = 'a' AND sk = 1) OR (pk = 'b' AND x = 2)", ["a", "b"], [], True),
        ("pk = 'a' OR x = 1", None, [], True),
        ("NOT pk = 'a'", None, [], True),
        ("pk > 'a'", None, [], True),
        ("pk = x", None, [], True),
        ("pk.a = 'a'", None, [], True),
        ("x = 1 AND sk = 1", None, [], True),
    ],
)
def test_what_a_select_looks_at(text: str, hash_values: list[str] | None, sort: list[str], is_filtered: bool) -> None:
    clause, values = where(text)
    access = clause.access(("pk",), ("sk",))
    found = None if access.hash_values is None else [values[each]["S"] for (each,) in access.hash_values]
    assert found == hash_values
    assert [each.operator for each in access.sort] == sort
    assert (access.filter is not None) == is_filtered


KEY_TERMS = st.sampled_from(
    ["pk = 'a'", "pk = 'b'", "pk IN ['a', 'c']", "pk > 'a'", "sk = 1", "sk > 1", "2 > sk", "sk BETWEEN 1 AND 2",
     "x = 1", "sk IN [0, 2]", "pk <> 'a'", "begins_with(pk, 'a')"]
)  # fmt: skip
KEY_CLAUSES = st.recursive(
    KEY_TERMS,
    lambda inner: st.one_of(
        inner.map(lambda term: f"NOT ({term})"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    ),
    max_leaves=5,
)


@given(KEY_CLAUSES)
def test_key_and_filter_together_say_what_the_clause_says(text: str) -> None:
    clause, values = where(text)
    access = clause.access(("pk",), ("sk",))
    for pk in "abc":
        for sk in "012":
            for x in "01":
                item = {"pk": {"S": pk}, "sk": {"N": sk}, "x": {"N": x}}
                looked_at = access.hash_values is None or any(values[v] == item["pk"] for (v,) in access.hash_values)
                for each in access.sort:
                    looked_at &= _allows(each.operator, int(sk), [int(values[v]["N"]) for v in each.operands])
                found = looked_at and (access.filter is None or access.filter.evaluate(item, values))
                assert found == holds(text, item), (text, item)


PART_TERMS = st.sampled_from(
    ["a = 'x'", "b = 'x'", "a = 'y'", "c = 1", "c = 2", "c > 1", "d = 1", "d < 2", "d IN [0, 1]", "e = 1", "a IN ['x']"]
)


@given(st.lists(PART_TERMS, min_size=1, max_size=6))
def test_key_of_several_attributes_and_filter_together_say_what_the_clause_says(terms: list[str]) -> None:
    text = " AND ".join(terms)
    clause, values = where(text)
    access = clause.access(("a", "b"), ("c", "d"))
    assert (access.hash_values is not None) == ({"a = 'x'", "a = 'y'"} & set(terms) != set() and "b = 'x'" in terms)
    for a, b, c, d, e in product("xy", "xy", "012", "012", "01"):
        item = {"a": {"S": a}, "b": {"S": b}, "c": {"N": c}, "d": {"N": d}, "e": {"N": e}}
        looked_at = access.hash_values is None or all(
            values[placeholder] == item[name]
            for name, placeholder in zip("ab", access.hash_values[0], strict=True)
        )
        looked_at &= all(values[placeholder] == item["c"] for placeholder in access.equal)
        on = "d" if access.equal else "c"
        for each in access.sort:
            assert each.name == on
            looked_at &= _allows(each.operator, int(item[on]["N"]), [int(values[v]["N"]) for v in each.operands])
        found = looked_at and (access.filter is None or access.filter.evaluate(item, values))
        assert found == holds(text, item), (text, item)


def _allows(operator: str, sk: int, operands: list[int]) -> bool:
    return {
        "=": lambda: sk == operands[0],
        "<": lambda: sk < operands[0],
        "<=": lambda: sk <= operands[0],
        ">": lambda: sk > operands[0],
        ">=": lambda: sk >= operands[0],
        "BETWEEN": lambda: operands[0] <= sk <= operands[1],
        "IN": lambda: sk in operands,
    }[operator]()


def test_fifty_partition_keys_are_the_most() -> None:
    clause, _ = where(f"pk IN [{', '.join(map(repr, map(str, range(50))))}]")
    clause.access(("pk",), ())
    clause, _ = where(f"pk IN [{', '.join(map(repr, map(str, range(51))))}]")
    with pytest.raises(ValidationError, match="number of operands: 51"):
        clause.access(("pk",), ())


def test_a_write_is_about_one_item() -> None:
    clause, values = where("sk = 2 AND pk = 'a' AND pk = ? AND x = 1", {"S": "a"})
    one = clause.item(("pk", "sk"), values, must_exist=False)
    assert [values[each] for each in one.key] == [{"S": "a"}, {"N": "2"}]
    assert one.condition is not None
    assert one.condition.evaluate({"x": {"N": "1"}}, values)
    assert not one.condition.evaluate(None, values)


@pytest.mark.parametrize("text", ["pk = 'a'", "pk = 'a' AND sk > 1", "pk = 'a' AND sk = x", "pk = 'a' OR sk = 1",
                                  "pk IN ['a'] AND sk = 1", "NOT (pk = 'a') AND sk = 1"])  # fmt: skip
def test_a_write_needs_the_whole_key(text: str) -> None:
    clause, values = where(text)
    with pytest.raises(ValidationError) as caught:
        clause.item(("pk", "sk"), values, must_exist=True)
    assert caught.value.message == "Where clause does not contain a mandatory equality on all key attributes"


def test_a_write_cannot_be_about_two_items() -> None:
    clause, values = where("pk = 'a' AND pk = 'b'")
    with pytest.raises(ValidationError) as caught:
        clause.item(("pk",), values, must_exist=True)
    assert caught.value.message == (
        "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported"
    )


def test_order_by_needs_one_of_the_keys_and_a_partition() -> None:
    def check(text: str, *, is_scan: bool) -> str:
        statement = partiql.parse(text)
        assert isinstance(statement, partiql.Read)
        with pytest.raises(ValidationError) as caught:
            statement.check_order(("pk", "sk"), is_scan=is_scan)
        return caught.value.message

    assert check("SELECT * FROM Music ORDER BY sk", is_scan=True) == (
        "Must have WHERE clause in the statement when using ORDER BY clause."
    )
    assert check("SELECT * FROM Music WHERE x = 1 ORDER BY sk", is_scan=True) == (
        "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."
    )
    assert check("SELECT * FROM Music WHERE pk = 'a' ORDER BY sk, x DESC", is_scan=False) == (
        "Variable reference x in ORDER BY clause must be part of the primary key"
    )


def test_exists_is_a_statement_about_one_item() -> None:
    statement = partiql.parse("EXISTS(SELECT * FROM Music WHERE pk = 'a' AND x = 1)")
    assert isinstance(statement, partiql.Check)
    one = statement.where.item(("pk",), statement.values([]), must_exist=True)
    assert one.condition is not None


def test_a_text_is_parsed_once() -> None:
    text = "SELECT * FROM Music WHERE a = 1"
    assert partiql.parse(text) is partiql.parse(text)
    long_text = text + " " * 4000
    assert partiql.parse(long_text) is not partiql.parse(long_text)
