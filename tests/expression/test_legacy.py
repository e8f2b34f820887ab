"""The parameters of 2011. Texts and results were observed on DynamoDB Local 2.x unless a comment says
otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from varley.errors import ValidationError
from varley.expression import legacy
from varley.expression.key_condition import KeyRange

ONE, TWO, X = {"N": "1"}, {"N": "2"}, {"S": "x"}
SS, NS, L, M = {"SS": ["a"]}, {"NS": ["1"]}, {"L": [ONE]}, {"M": {}}
INVALID = "One or more parameter values were invalid: "


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ValidationError) as caught:
        call()
    return caught.value.message


def comparing(operator: str, *values: Any) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


@pytest.mark.parametrize(
    ("expected", "wanted"),
    [
        ({}, INVALID + "Value must be provided when Exists is null for Attribute: a"),
        ({"Exists": True}, INVALID + "Value must be provided when Exists is true for Attribute: a"),
        ({"Exists": False, "Value": ONE}, INVALID + "Value cannot be used when Exists is false for Attribute: a"),
        (
            {"Value": ONE, "AttributeValueList": [ONE]},
            INVALID + "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"ComparisonOperator": "EQ", "Exists": True, "Value": ONE},
            INVALID + "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"ComparisonOperator": "EQ"},
            INVALID + "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
        ),
        (
            {"AttributeValueList": [ONE]},
            INVALID + "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        ({"ComparisonOperator": "XX", "Value": ONE}, "Comparison type does not exist in DynamoDB"),
        (comparing("EQ"), INVALID + "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (comparing("EQ", ONE, ONE), INVALID + "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (comparing("NULL", ONE), INVALID + "Invalid number of argument(s) for the NULL ComparisonOperator"),
        (comparing("IN"), INVALID + "Invalid number of argument(s) for the IN ComparisonOperator"),
        (comparing("BETWEEN", ONE), INVALID + "Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
        (comparing("IN", ONE, X), INVALID + "AttributeValues inside AttributeValueList must be of same type"),
        (comparing("IN", SS), INVALID + "ComparisonOperator IN is not valid for SS AttributeValue type"),
        (comparing("LT", SS), INVALID + "ComparisonOperator LT is not valid for SS AttributeValue type"),
        (
            comparing("BEGINS_WITH", ONE),
            INVALID + "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
        ),
        (comparing("CONTAINS", L), INVALID + "ComparisonOperator CONTAINS is not valid for L AttributeValue type"),
        (
            comparing("BETWEEN", TWO, ONE),
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ),
    ],
)
def test_expectations_that_are_refused(expected: dict[str, Any], wanted: str) -> None:
    assert refusal(lambda: legacy.expected({"a": expected}, None)) == wanted


def test_values_are_looked_at_first() -> None:
    text = refusal(lambda: legacy.expected({"a": {}, "b": {"Value": {}}}, None))
    assert text.startswith("Supplied AttributeValue is empty")


def test_values_are_normalised() -> None:
    parsed, values = legacy.expected({"a": {"Value": {"N": "01.0"}}}, None)
    assert parsed.evaluate({"a": ONE}, values)


HOLDS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"Value": ONE}, {"a": ONE}, True),
    ({"Exists": True, "Value": ONE}, {"a": TWO}, False),
    ({"Value": ONE}, {}, False),
    ({"Exists": False}, {}, True),
    ({"Exists": False}, {"a": ONE}, False),
    ({"ComparisonOperator": "NULL"}, {}, True),
    ({"ComparisonOperator": "NOT_NULL"}, {"a": {"NULL": True}}, True),
    ({"ComparisonOperator": "EQ", "Value": ONE}, {"a": ONE}, True),
    (comparing("NE", ONE), {}, True),
    (comparing("NE", ONE), {"a": X}, True),
    (comparing("LE", ONE), {"a": ONE}, True),
    (comparing("LT", ONE), {"a": ONE}, False),
    (comparing("GT", ONE), {"a": TWO}, True),
    (comparing("GE", X), {"a": TWO}, False),
    (comparing("IN", ONE, TWO), {"a": TWO}, True),
    (comparing("BETWEEN", ONE, TWO), {"a": {"N": "1.5"}}, True),
    (comparing("BEGINS_WITH", X), {"a": {"S": "xy"}}, True),
    (comparing("CONTAINS", ONE), {"a": L}, True),
    (comparing("CONTAINS", X), {"a": {"S": "axb"}}, True),
    (comparing("NOT_CONTAINS", ONE), {}, False),
    (comparing("NOT_CONTAINS", ONE), {"a": X}, True),
    (comparing("NOT_CONTAINS", ONE), {"a": L}, False),
    (comparing("NOT_CONTAINS", ONE), {"a": ONE}, True),
]


@pytest.mark.parametrize(("condition", "item", "wanted"), HOLDS)
def test_what_holds(condition: dict[str, Any], item: dict[str, Any], wanted: bool) -> None:
    parsed, values = legacy.expected({"a": condition}, None)
    parsed.check(values)
    assert parsed.evaluate(item, values) is wanted


def test_a_dot_is_a_character_of_the_name() -> None:
    parsed, values = legacy.item_filter({"a.b": comparing("EQ", ONE)}, None)
    assert parsed.evaluate({"a.b": ONE}, values)
    assert not parsed.evaluate({"a": {"M": {"b": ONE}}}, values)


def test_conditional_operator() -> None:
    both = {"a": comparing("EQ", ONE), "b": comparing("EQ", ONE)}
    for operator, wanted in ((None, False), ("AND", False), ("OR", True)):
        parsed, values = legacy.item_filter(both, operator)
        assert parsed.evaluate({"a": ONE}, values) is wanted
    assert refusal(lambda: legacy.item_filter({"a": comparing("NULL")}, "OR")) == (
        "ConditionalOperator can only be used when Filter or Expected has two or more elements"
    )
    for nothing in (None, {}):
        assert refusal(lambda: legacy.check_conditional_operator("AND", nothing)) == (  # noqa: B023
            "ConditionalOperator cannot be used without Filter or Expected"
        )
    legacy.check_conditional_operator(None, None)


def test_a_query_filter_may_not_speak_of_the_key() -> None:
    parsed, _ = legacy.item_filter({"a": comparing("EQ", ONE), "pk": comparing("NULL")}, "OR")
    assert refusal(lambda: legacy.check_no_keys(parsed, ("pk", "sk"))) == (
        "QueryFilter can only contain non-primary key attributes: Primary key attribute: pk"
    )
    legacy.check_no_keys(parsed, ("sk",))


def bind(conditions: dict[str, Any]) -> KeyRange:
    parsed, values = legacy.key_conditions(conditions)
    return parsed.bind("pk", "S", "sk", "N", values)


def test_key_conditions() -> None:
    pk = comparing("EQ", X)
    assert bind({"pk": pk}) == KeyRange(X)
    assert bind({"sk": comparing("LT", ONE), "pk": pk}) == KeyRange(X, "<", (ONE,))
    assert bind({"pk": pk, "sk": comparing("BETWEEN", ONE, TWO)}) == KeyRange(X, "BETWEEN", (ONE, TWO))


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        ({}, "Conditions can be of length 1 or 2 only"),
        ({name: comparing("EQ", X) for name in "abc"}, "Conditions can be of length 1 or 2 only"),
        ({"pk": comparing("EQ", ONE)}, INVALID + "Condition parameter type does not match schema type"),
        ({"pk": comparing("GT", X)}, "Query key condition not supported"),
        ({"sk": comparing("EQ", ONE)}, "Query condition missed key schema element: pk"),
        ({"pk": comparing("EQ", X), "a": comparing("EQ", X)}, "Query condition missed key schema element: sk"),
        ({"pk": comparing("EQ")}, INVALID + "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (
            {"pk": comparing("EQ", X), "sk": comparing("BEGINS_WITH", ONE)},
            INVALID + "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
        ),
        *(
            (
                {"pk": comparing("EQ", X), "sk": condition},
                "Attempted conditional constraint is not an indexable operation",
            )
            for condition in (comparing("NE", ONE), comparing("IN", ONE), comparing("NULL"), comparing("CONTAINS", ONE))
        ),
    ],
)
def test_key_conditions_that_are_refused(conditions: dict[str, Any], wanted: str) -> None:
    assert refusal(lambda: bind(conditions)) == wanted


@pytest.mark.parametrize(
    ("updates", "old", "new"),
    [
        ({"a": {"Value": ONE}}, {"a": X, "b": X}, {"a": ONE, "b": X}),
        ({"a": {"Action": "PUT", "Value": {"N": "1.0"}}}, {}, {"a": ONE}),
        ({"a": {"Action": "DELETE"}}, {"a": X, "b": X}, {"b": X}),
        ({"a": {"Action": "DELETE"}}, {}, {}),
        ({"a": {"Action": "DELETE", "Value": SS}}, {"a": {"SS": ["a", "b"]}}, {"a": {"SS": ["b"]}}),
        ({"a": {"Action": "DELETE", "Value": SS}}, {"a": SS}, {}),
        ({"a": {"Action": "DELETE", "Value": SS}}, {}, {}),
        ({"a": {"Action": "ADD", "Value": ONE}}, {}, {"a": ONE}),
        ({"a": {"Action": "ADD", "Value": ONE}}, {"a": ONE}, {"a": TWO}),
        ({"a": {"Action": "ADD", "Value": SS}}, {"a": {"SS": ["b"]}}, {"a": {"SS": ["b", "a"]}}),
        ({"a": {"Action": "ADD", "Value": L}}, {"a": {"L": [X]}}, {"a": {"L": [X, ONE]}}),
        ({"a": {"Action": "ADD", "Value": L}}, {}, {"a": L}),
        ({"a.b": {"Value": ONE}}, {}, {"a.b": ONE}),
        ({}, {"a": X}, {"a": X}),
    ],
)
def test_attribute_updates(updates: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> None:
    update = legacy.attribute_updates(updates, ("pk",))
    before = dict(old)
    assert update.apply(old, {}) == new
    assert old == before


# The type in ADD and DELETE is told as S, N, ...: so AWS; DynamoDB Local says STRING.
@pytest.mark.parametrize(
    ("updates", "wanted"),
    [
        ({"a": {}}, INVALID + "Only DELETE action is allowed when no attribute value is specified"),
        ({"a": {"Action": "ADD"}}, INVALID + "Only DELETE action is allowed when no attribute value is specified"),
        ({"a": {"Action": "ADD", "Value": X}}, INVALID + "ADD action is not supported for the type S"),
        ({"a": {"Action": "ADD", "Value": M}}, INVALID + "ADD action is not supported for the type M"),
        (
            {"a": {"Action": "DELETE", "Value": ONE}},
            INVALID + "DELETE action with value is not supported for the type N",
        ),
        (
            {"a": {"Action": "ADD", "Value": X}, "pk": {"Value": X}},
            INVALID + "Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            {"a": {"Action": "PUT"}, "pk": {"Value": X}},
            INVALID + "Only DELETE action is allowed when no attribute value is specified",
        ),
    ],
)
def test_attribute_updates_that_are_refused(updates: dict[str, Any], wanted: str) -> None:
    assert refusal(lambda: legacy.attribute_updates(updates, ("pk",))) == wanted


@pytest.mark.parametrize(
    ("action", "value", "old"), [("ADD", ONE, X), ("ADD", SS, NS), ("ADD", L, ONE), ("DELETE", NS, SS)]
)
def test_attribute_updates_that_do_not_fit_the_item(action: str, value: Any, old: Any) -> None:
    update = legacy.attribute_updates({"a": {"Action": action, "Value": value}}, ())
    assert refusal(lambda: update.apply({"a": old}, {})) == "Type mismatch for attribute to update"


def test_attributes_to_get() -> None:
    item = {"a.b": ONE, "c": X}
    assert legacy.attributes_to_get(["a.b", "zz"]).apply(item) == {"a.b": ONE}
    assert refusal(lambda: legacy.attributes_to_get(["a", "b", "a"])) == (
        INVALID + "Duplicate value in attribute name: a"  # so AWS; DynamoDB Local has another text
    )
