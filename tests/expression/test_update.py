"""UpdateExpression. Texts, orders of checks and results were observed on DynamoDB Local 2.x unless a comment
says otherwise."""

from __future__ import annotations

import copy
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ValidationError
from varley.expression import update
from varley.item import path

ONE, FIVE, X = {"N": "1"}, {"N": "5"}, {"S": "x"}
VALUES: dict[str, Any] = {
    ":v": ONE,
    ":eight": {"N": "8"},
    ":nine": {"N": "9"},
    ":s": X,
    ":l": {"L": [ONE]},
    ":none": {"L": []},
    ":m": {"M": {"z": ONE}},
    ":ss": {"SS": ["a", "c"]},
    ":ns": {"NS": ["1"]},
    ":t": {"BOOL": True},
    ":nul": {"NULL": True},
}


def numbers(*of: int) -> dict[str, Any]:
    return {"L": [{"N": str(n)} for n in of]}


def refusal(text: str) -> str:
    with pytest.raises(ValidationError) as caught:
        update.parse(text, None).check(VALUES)
    prefix = "Invalid UpdateExpression: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message.removeprefix(prefix)


def apply(text: str, item: dict[str, Any]) -> dict[str, Any]:
    parsed = update.parse(text, None)
    parsed.check(VALUES)
    before = copy.deepcopy(item)
    try:
        return parsed.apply(item, VALUES)
    finally:
        assert item == before


def clash(verb: str, first: str, second: str) -> str:
    return (
        f"Two document paths {verb} with each other; must remove or rewrite one of these paths; "
        f"path one: {first}, path two: {second}"
    )


def operand_type(operator: str, kind: str) -> str:
    return (
        "Incorrect operand type for operator or function; "
        f"operator or function: {operator}, operand type: {kind}"
    )


def section_type(section: str, kind: str) -> str:
    return (
        f"Incorrect operand type for operator or function; operator: {section}, operand type: {kind}, "
        f"typeSet: ALLOWED_FOR_{section}_OPERAND"
    )


MISUSED = "The function is not allowed to be used this way in an expression; function: "
NOT_HERE = "The function is not allowed in an update expression; function: "
UNDEFINED_NAME = "An expression attribute name used in the document path is not defined; attribute name: "
UNDEFINED_VALUE = "An expression attribute value used in expression is not defined; attribute value: "
PARENTHESES = "The expression has redundant parentheses;"


def once(section: str) -> str:
    return f'The "{section}" section can only be used once in an update expression;'


def operand_count(function: str, count: int) -> str:
    return (
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "The expression can not be empty;"),
        ("SET a = :v, " + "b" * 4096 + " = :v", "Expression size has exceeded the maximum allowed size;"),
        ("SET a = ((:v))", PARENTHESES),
        ("SET a = ((b + :v))", PARENTHESES),
        ("SET a = (b) - ((c))", PARENTHESES),
        ("SET a = :v SET b = :v", once("SET")),
        ("REMOVE a REMOVE b", once("REMOVE")),
        ("ADD a :v ADD b :v", once("ADD")),
        ("DELETE a :ss delete b :ss", once("DELETE")),
        ("SET a = :v REMOVE b SET c = :v REMOVE d", once("SET")),
        ("SET name = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("SET a[99999999999] = :v", "List index is not within the allowable range; index: [99999999999]"),
        ("SET a = foo(b)", "Invalid function name; function: foo"),
        ("SET a = size(b)", NOT_HERE + "size"),
        ("SET a = attribute_exists(b)", NOT_HERE + "attribute_exists"),
        ("SET a = list_append(size(b))", NOT_HERE + "size"),
        ("SET a = if_not_exists(a, list_append(b, :l))", MISUSED + "list_append"),
        ("SET a = list_append(a, list_append(b, :l))", MISUSED + "list_append"),
        ("SET a = list_append(b, :l) + :v", MISUSED + "list_append"),
        ("SET #a = :v", UNDEFINED_NAME + "#a"),
        ("SET a = #b", UNDEFINED_NAME + "#b"),
        ("SET a = :u", UNDEFINED_VALUE + ":u"),
        ("ADD a :u", UNDEFINED_VALUE + ":u"),
        ("SET a" + ".a" * 32 + " = :v", "The document path has too many nesting levels; nesting levels: 33"),
        ("SET a" + "[0]" * 32 + " = :v", "The document path has too many nesting levels; nesting levels: 33"),
        ("SET a = :v, a = :v", clash("overlap", "[a]", "[a]")),
        ("SET a = :v, a.b = :v", clash("overlap", "[a]", "[a, b]")),
        ("SET a.b = :v REMOVE a", clash("overlap", "[a, b]", "[a]")),
        ("REMOVE a[0], a[0].b", clash("overlap", "[a, [0]]", "[a, [0], b]")),
        ("REMOVE a.b, a[1], a", clash("overlap", "[a, [1]]", "[a]")),
        ("SET a.b = :v, a[0] = :v", clash("conflict", "[a, b]", "[a, [0]]")),
        ("SET a[0].b = :v, a.c = :v", clash("conflict", "[a, [0], b]", "[a, c]")),
        ("SET a = if_not_exists(b)", operand_count("if_not_exists", 1)),
        ("SET a = list_append(:l, :l, :l)", operand_count("list_append", 3)),
        (
            "SET a = if_not_exists(:v, :v)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "SET a = if_not_exists(b, b)",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: if_not_exists, first operand: [b]",
        ),
        ("SET a = b + :s", operand_type("+", "S")),
        ("SET a = :t - b", operand_type("-", "BOOL")),
        ("SET a = if_not_exists(a, b) + :s", operand_type("+", "S")),
        ("SET a = list_append(a, :v)", operand_type("list_append", "N")),
        ("ADD a :s", section_type("ADD", "STRING")),
        ("ADD a :l", section_type("ADD", "LIST")),
        ("ADD a :m", section_type("ADD", "MAP")),
        ("ADD a :t", section_type("ADD", "BOOLEAN")),
        ("ADD a :nul", section_type("ADD", "NULL")),
        ("DELETE a :v", section_type("DELETE", "NUMBER")),
        ("DELETE a :l", section_type("DELETE", "LIST")),
        (
            "SET " + ",".join(f"a{i}=a+:v" for i in range(301)),
            "The expression contains too many operators; operator count: 301",
        ),
    ],
)
def test_what_is_refused(text: str, wanted: str) -> None:
    assert refusal(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # reserved words and functions, then sections, then targets, then right-hand sides
        ("SET a = :v SET name = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("SET a = foo(b) SET b = :v", "Invalid function name; function: foo"),
        ("SET a = ((:v)) SET b = :v", PARENTHESES),
        ("SET a = #x SET b = :v", once("SET")),
        ("SET #x = :v SET b = :v", once("SET")),
        ("SET a = :u, #x = :v", UNDEFINED_NAME + "#x"),
        ("SET b = #x REMOVE b, b", clash("overlap", "[b]", "[b]")),
        ("SET b = :s + b REMOVE b", clash("overlap", "[b]", "[b]")),
        # from the last action to the first
        ("SET #y = :v, #x = :v", UNDEFINED_NAME + "#x"),
        ("ADD #z :v SET a = :v REMOVE a", clash("overlap", "[a]", "[a]")),
        ("SET a = #x, b = :u", UNDEFINED_VALUE + ":u"),
        ("SET a = :u, b = #x", UNDEFINED_NAME + "#x"),
        ("ADD a :s SET b = :s + b", operand_type("+", "S")),
        ("SET b = #x ADD a :s", section_type("ADD", "STRING")),
        # operands before what holds them
        ("SET a = :s + :u", UNDEFINED_VALUE + ":u"),
        ("SET a = if_not_exists(b, c, :u)", UNDEFINED_VALUE + ":u"),
        ("SET a = list_append(:s)", operand_count("list_append", 1)),
        ("SET a = :s + :l", operand_type("+", "S")),
    ],
)
def test_which_mistake_is_reported_first(text: str, wanted: str) -> None:
    assert refusal(text) == wanted


RESULTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # SET
    ("SET b = :v", {"a": X}, {"a": X, "b": ONE}),
    ("SET a = :v", {"a": X}, {"a": ONE}),
    ("SET c = d, d = c", {"c": X, "d": ONE}, {"c": ONE, "d": X}),
    ("SET c = d - :v", {"d": {"N": "0.5"}}, {"d": {"N": "0.5"}, "c": {"N": "-0.5"}}),
    ("SET c = (d + :v)", {"d": FIVE}, {"d": FIVE, "c": {"N": "6"}}),
    ("SET c = (d) + (:v)", {"d": FIVE}, {"d": FIVE, "c": {"N": "6"}}),
    ("SET c = ((d) + (:v))", {"d": FIVE}, {"d": FIVE, "c": {"N": "6"}}),
    ("SET c = if_not_exists(d, :v)", {"d": X}, {"d": X, "c": X}),
    ("SET c = if_not_exists(d.e, :v)", {"d": X}, {"d": X, "c": ONE}),
    ("SET c = if_not_exists(c, :v) + :v", {}, {"c": {"N": "2"}}),
    ("SET c = list_append(:l, d)", {"d": numbers(7)}, {"d": numbers(7), "c": numbers(1, 7)}),
    ("SET c = list_append(if_not_exists(c, :none), :l)", {}, {"c": numbers(1)}),
    ("SET c = list_append(c, c)", {"c": numbers(1, 2)}, {"c": numbers(1, 2, 1, 2)}),
    ("SET b.c = :v", {"b": {"M": {}}}, {"b": {"M": {"c": ONE}}}),
    (
        "SET b.c.d = :v",
        {"b": {"M": {"c": {"M": {"x": X}}, "y": X}}},
        {"b": {"M": {"c": {"M": {"x": X, "d": ONE}}, "y": X}}},
    ),
    ("SET b.c = :v, b.d = b.c + :v", {"b": {"M": {"c": FIVE}}}, {"b": {"M": {"c": ONE, "d": {"N": "6"}}}}),
    # lists
    ("SET a[1] = a[0], a[0] = a[1]", {"a": numbers(0, 1, 2)}, {"a": numbers(1, 0, 2)}),
    ("SET a[9] = :nine, a[5] = :eight", {"a": numbers(0, 1)}, {"a": numbers(0, 1, 8, 9)}),
    ("SET a[5] = :nine, a[9] = :eight", {"a": numbers(0, 1)}, {"a": numbers(0, 1, 9, 8)}),
    ("SET a[0] = :nine", {"a": {"L": []}}, {"a": numbers(9)}),
    ("REMOVE a[0], a[1]", {"a": numbers(0, 1, 2)}, {"a": numbers(2)}),
    ("REMOVE a[0], a[7]", {"a": numbers(0, 1, 2)}, {"a": numbers(1, 2)}),
    ("SET a[1] = :nine REMOVE a[0]", {"a": numbers(0, 1, 2)}, {"a": numbers(9, 2)}),
    ("SET a[9] = :nine REMOVE a[0]", {"a": numbers(0, 1, 2)}, {"a": numbers(1, 2, 9)}),
    ("SET a[9] = :nine REMOVE a[2]", {"a": numbers(0, 1)}, {"a": numbers(0, 1, 9)}),
    ("REMOVE a[1] SET b = a[1]", {"a": numbers(0, 1, 2)}, {"a": numbers(0, 2), "b": ONE}),
    (
        "REMOVE a[0], a[1].x, a[1].y",
        {"a": {"L": [ONE, {"M": {"x": ONE, "y": ONE, "z": X}}]}},
        {"a": {"L": [{"M": {"z": X}}]}},
    ),
    ("REMOVE b[0][1]", {"b": {"L": [numbers(1, 2), ONE]}}, {"b": {"L": [numbers(1), ONE]}}),
    ("SET b[0][7] = :nine", {"b": {"L": [numbers(1, 2), ONE]}}, {"b": {"L": [numbers(1, 2, 9), ONE]}}),
    # REMOVE
    ("REMOVE b", {"a": X, "b": X}, {"a": X}),
    ("REMOVE b", {}, {}),
    ("REMOVE b.c", {"b": {"M": {}}}, {"b": {"M": {}}}),
    ("REMOVE b[3]", {"b": numbers(1)}, {"b": numbers(1)}),
    ("REMOVE b.c, b.d", {"b": {"M": {"c": ONE, "d": X, "e": ONE}}}, {"b": {"M": {"e": ONE}}}),
    # ADD
    ("ADD n :v", {}, {"n": ONE}),
    ("ADD n :v", {"n": {"N": "41"}}, {"n": {"N": "42"}}),
    ("ADD n :ss", {}, {"n": {"SS": ["a", "c"]}}),
    ("ADD n :ss", {"n": {"SS": ["b", "a"]}}, {"n": {"SS": ["b", "a", "c"]}}),
    ("ADD b.c :v", {"b": {"M": {}}}, {"b": {"M": {"c": ONE}}}),
    ("ADD b[0] :v", {"b": numbers(5)}, {"b": numbers(6)}),
    ("ADD b[3] :v", {"b": numbers(5)}, {"b": numbers(5, 1)}),
    # DELETE
    ("DELETE n :ss", {}, {}),
    ("DELETE n :ss", {"n": {"SS": ["a", "b"]}}, {"n": {"SS": ["b"]}}),
    ("DELETE n :ss", {"n": {"SS": ["c", "a"]}}, {}),
    ("DELETE b.c :ss", {"b": {"M": {}}}, {"b": {"M": {}}}),
    ("DELETE b[0] :ss", {"b": {"L": [{"SS": ["a"]}, ONE]}}, {"b": {"L": [ONE]}}),
    ("DELETE b[4] :ss", {"b": numbers(1)}, {"b": numbers(1)}),
    # all together
    (
        "SET c = :ss REMOVE d ADD e :v DELETE f :ss",
        {"d": ONE, "f": {"SS": ["a"]}},
        {"c": {"SS": ["a", "c"]}, "e": ONE},
    ),
]


@pytest.mark.parametrize(("text", "old", "new"), RESULTS)
def test_what_comes_out(text: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    assert apply(text, old) == new


BAD_PATH = "The document path provided in the update expression is invalid for update"
MISSING = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"


@pytest.mark.parametrize(
    ("text", "item", "wanted"),
    [
        ("SET b.c = :v", {}, BAD_PATH),
        ("SET b.c = :v", {"b": ONE}, BAD_PATH),
        ("SET b.c = :v", {"b": numbers(1)}, BAD_PATH),
        ("SET b[0] = :v", {"b": {"M": {}}}, BAD_PATH),
        ("SET b[9].c = :v", {"b": numbers(1)}, BAD_PATH),
        ("REMOVE b.c", {}, BAD_PATH),
        ("REMOVE b[0]", {"b": ONE}, BAD_PATH),
        ("REMOVE b.c.d", {"b": {"M": {}}}, BAD_PATH),
        ("ADD b.c :v", {}, BAD_PATH),
        ("DELETE b.c :ss", {}, BAD_PATH),
        ("SET c = d + :v REMOVE x.y", {"d": X}, BAD_PATH),
        ("SET x.y = :v, c = d", {}, BAD_PATH),
        ("SET c = d", {}, MISSING),
        ("SET c = d[9]", {"d": numbers(1)}, MISSING),
        ("SET c = d + :v", {}, MISSING),
        ("SET c = list_append(d, :l)", {}, MISSING),
        ("SET c = if_not_exists(d, e)", {}, MISSING),
        ("SET c = d + :v", {"d": X}, WRONG_TYPE),
        ("SET c = list_append(d, :l)", {"d": ONE}, WRONG_TYPE),
        ("SET c = if_not_exists(d, :l) + :v", {}, WRONG_TYPE),
        ("ADD n :v", {"n": X}, WRONG_TYPE),
        ("ADD n :ss", {"n": ONE}, WRONG_TYPE),
        ("ADD n :ns", {"n": {"SS": ["a"]}}, WRONG_TYPE),
        ("DELETE n :ns", {"n": {"SS": ["a"]}}, WRONG_TYPE),
        ("DELETE n :ss", {"n": ONE}, WRONG_TYPE),
    ],
)
def test_what_does_not_fit_the_item(text: str, item: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValidationError) as caught:
        apply(text, item)
    assert caught.value.message == wanted


def test_sums_out_of_range_are_refused() -> None:
    for text in ("ADD n :v", "SET m = n + :v"):
        with pytest.raises(ValidationError):
            apply(text, {"n": {"N": "9" + "0" * 125}})


def test_results_are_in_normal_form() -> None:
    assert apply("ADD n :v", {"n": {"N": "-1"}}) == {"n": {"N": "0"}}
    assert apply("SET n = n + m", {"n": {"N": "0.5"}, "m": {"N": "0.5"}})["n"] == ONE


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("SET pk = :v", "pk"),
        ("SET a = :v REMOVE sk", "sk"),
        ("SET sk = :v, pk = :v", "sk"),
        ("ADD pk.x :v", "pk"),
        ("SET sk[0] = :v", "sk"),
        ("SET a = pk.b REMOVE sk", "sk"),
    ],
)
def test_the_key_cannot_be_updated(text: str, key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        update.parse(text, None).check_keys(("pk", "sk"))
    assert caught.value.message == (
        f"One or more parameter values were invalid: Cannot update attribute {key}. "
        "This attribute is part of the key"
    )


def test_the_key_can_be_read_but_has_no_inside() -> None:
    update.parse("SET a = pk, b = if_not_exists(sk, :v)", None).check_keys(("pk", "sk"))
    with pytest.raises(ValidationError) as caught:
        update.parse("SET a = if_not_exists(pk.x, :v)", None).check_keys(("pk", "sk"))
    assert caught.value.message == (
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk"
    )


def test_it_tells_what_it_uses() -> None:
    parsed = update.parse("SET #a.b = :v, c = #d + :w REMOVE e", {"#a": "x", "#d": "y"})
    assert parsed.names_used == {"#a", "#d"}
    assert parsed.values_used == {":v", ":w"}
    assert parsed.paths == (("x", "b"), ("c",), ("e",))


# Nested targets give just the nested parts: AWS does so, DynamoDB Local 2.x gives whole top-level attributes.
@pytest.mark.parametrize(
    ("text", "old", "updated_old", "updated_new"),
    [
        ("SET a = :v", {"a": X, "b": X}, {"a": X}, {"a": ONE}),
        ("SET a = :v", {"b": X}, {}, {"a": ONE}),
        ("REMOVE a", {"a": X, "b": X}, {"a": X}, {}),
        ("REMOVE a", {"b": X}, {}, {}),
        ("SET b.c = :v", {"b": {"M": {"c": X, "d": X}}}, {"b": {"M": {"c": X}}}, {"b": {"M": {"c": ONE}}}),
        ("SET b.c = :v", {"b": {"M": {"d": X}}}, {}, {"b": {"M": {"c": ONE}}}),
        ("SET a[1] = :v", {"a": numbers(5, 6, 7)}, {"a": numbers(6)}, {"a": numbers(1)}),
        ("SET a[9] = :v", {"a": numbers(5)}, {}, {}),
        ("REMOVE a[0]", {"a": numbers(5, 6)}, {"a": numbers(5)}, {"a": numbers(6)}),
        ("DELETE s :ss", {"s": {"SS": ["a"]}}, {"s": {"SS": ["a"]}}, {}),
        ("ADD n :v SET b.x = :s", {"n": FIVE, "b": {"M": {}}}, {"n": FIVE}, {"n": {"N": "6"}, "b": {"M": {"x": X}}}),
    ],
)
def test_what_was_updated(
    text: str, old: dict[str, Any], updated_old: dict[str, Any], updated_new: dict[str, Any]
) -> None:
    parsed = update.parse(text, None)
    assert parsed.updated_old(old) == updated_old
    assert parsed.updated_new(apply(text, old)) == updated_new


def test_only_the_way_to_a_change_is_copied() -> None:
    item = {"a": {"M": {"b": {"M": {"c": ONE}}, "d": {"L": [ONE]}}}, "e": {"M": {"f": ONE}}}
    new = apply("SET a.b.c = :s", item)
    assert new["e"] is item["e"]
    assert new["a"]["M"]["d"] is item["a"]["M"]["d"]
    assert new["a"]["M"]["b"] is not item["a"]["M"]["b"]


# ---- Against a plain model -------------------------------------------------------------------------------

TARGETS = ["n", "s", "m.n", "m.s", "m.q", "l[0]", "l[1]", "l[2]", "l[5]", "l[7]", "x", "m.i.n", "l[3].n", "l[3].q"]
OLD = st.fixed_dictionaries(
    {"pk": st.just(X)},
    optional={
        "n": st.just(FIVE),
        "s": st.just({"SS": ["a", "b"]}),
        "m": st.fixed_dictionaries(
            {"i": st.just({"M": {"n": FIVE}})}, optional={"n": st.just(FIVE), "s": st.just({"SS": ["a"]})}
        ).map(lambda members: {"M": members}),
        "l": st.integers(0, 3).map(
            lambda extra: {"L": [FIVE, {"SS": ["a", "c"]}, X, {"M": {"n": FIVE}}][: 1 + extra]}
        ),
    },
)
SECTIONS = {
    "SET": ("SET", " = :nine"),
    "COPY": ("SET", " = if_not_exists(m.n, :s)"),
    "SUM": ("SET", " = if_not_exists(n, :v) + :v"),
    "REST": ("SET", " = :v - n"),
    "APPEND": ("SET", " = list_append(l, if_not_exists(m.more, l))"),
    "REMOVE": ("REMOVE", ""),
    "ADD": ("ADD", " :v"),
    "UNION": ("ADD", " :ss"),
    "DELETE": ("DELETE", " :ss"),
}
ACTIONS = st.lists(
    st.tuples(st.sampled_from(TARGETS), st.sampled_from(list(SECTIONS))),
    min_size=1,
    max_size=6,
    unique_by=lambda action: action[0],
)


def written(actions: list[tuple[str, str]]) -> str:
    sections: dict[str, list[str]] = {}
    for target, action in actions:
        section, rest = SECTIONS[action]
        sections.setdefault(section, []).append(target + rest)
    return " ".join(f"{section} {', '.join(each)}" for section, each in sections.items())


def outcome(now: Any, action: str, old: dict[str, Any]) -> Any:
    """What one action makes of the value at its target; None is nothing. Raises TypeError if it cannot."""
    match action:
        case "SET":
            return VALUES[":nine"]
        case "COPY":
            return path.get(old, ("m", "n")) or X
        case "SUM":
            return {"N": str(Decimal(old.get("n", ONE)["N"]) + 1)}
        case "REST":
            return {"N": str(1 - Decimal(old["n"]["N"]))}
        case "APPEND":
            return {"L": old["l"]["L"] * 2}
        case "REMOVE":
            return None
    if now is None:
        return {"ADD": ONE, "UNION": VALUES[":ss"], "DELETE": None}[action]
    if action == "ADD":
        if "N" not in now:
            raise TypeError
        return {"N": str(Decimal(now["N"]) + 1)}
    if "SS" not in now:
        raise TypeError
    if action == "UNION":
        return {"SS": sorted({*now["SS"], "a", "c"})}
    left = sorted({*now["SS"]} - {"a", "c"})
    return {"SS": left} if left else None


def model(old: dict[str, Any], actions: list[tuple[str, str]]) -> dict[str, Any]:
    """Apply to a deep copy in which lists are dicts from index to value: indexes then cannot shift."""
    loose = {name: loosen(value) for name, value in copy.deepcopy(old).items()}
    for target, action in actions:
        steps: list[Any] = []
        for part in target.replace("]", "").replace("[", ".").split("."):
            steps.append(int(part) if part.isdigit() else part)
        holder: Any = loose
        for step, following in pairwise(steps):
            holder = holder[step]["L" if isinstance(following, int) else "M"]
        value = outcome(path.get(old, tuple(steps)), action, old)
        if value is None:
            holder.pop(steps[-1], None)
        else:
            holder[steps[-1]] = loosen(value)
    return {name: tighten(value) for name, value in loose.items()}


def loosen(value: Any) -> Any:
    if "L" in value:
        return {"L": {i: loosen(element) for i, element in enumerate(value["L"])}}
    return {"M": {name: loosen(member) for name, member in value["M"].items()}} if "M" in value else value


def tighten(value: Any) -> Any:
    if "L" in value:
        return {"L": [tighten(element) for _, element in sorted(value["L"].items())]}
    if "M" in value:
        return {"M": {name: tighten(member) for name, member in value["M"].items()}}
    return {"SS": sorted(value["SS"])} if "SS" in value else value


@given(OLD, ACTIONS)
def test_it_agrees_with_a_plain_model_and_leaves_the_old_item_alone(
    old: dict[str, Any], actions: list[tuple[str, str]]
) -> None:
    text = written(actions)
    before = copy.deepcopy(old)
    values = copy.deepcopy(VALUES)
    try:
        wanted = model(old, actions)
    except (KeyError, TypeError):
        with pytest.raises(ValidationError):
            update.parse(text, None).apply(old, values)
    else:
        new = update.parse(text, None).apply(old, values)
        assert {name: tighten(loosen(value)) for name, value in new.items()} == wanted
    assert old == before
    assert values == VALUES
