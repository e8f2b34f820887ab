"""ExpressionAttributeNames and ExpressionAttributeValues. Texts as observed on DynamoDB Local 2.x."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from varley.errors import ValidationError
from varley.expression import condition, names, projection, update

ONE = {"N": "1"}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ValidationError) as caught:
        call()
    return caught.value.message


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "ExpressionAttributeNames must not be empty"),
        ({"a": "x"}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"'),
        ({"#": "x"}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "#"'),
        ({"##a": "x"}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "##a"'),
        ({"#é": "x"}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "#é"'),
        ({"#a-b": "x"}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"'),
        (
            {"": "x"},
            "ExpressionAttributeNames contains invalid key: The expression attribute map contains an empty key;",
        ),
        (
            {"#" + "a" * 255: "x"},
            "ExpressionAttributeNames contains invalid key: "
            "The expression attribute map contains a key that is too long; size of key: 256",
        ),
        ({"#a": ""}, "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"),
        (
            {"#a": "é" * 32768},
            "ExpressionAttributeNames contains invalid value: "
            "Attribute name is too large, must be less than 65536 bytes for key #a",
        ),
    ],
)
def test_names_that_are_refused(given: dict[str, str], text: str) -> None:
    assert refusal(lambda: names.check_names(given)) == text


def test_names_that_are_accepted() -> None:
    names.check_names({"#a": "name", "#_": "a.b", "#1": " ", "#" + "a" * 254: "b" * 65535})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "ExpressionAttributeValues must not be empty"),
        ({"v": ONE}, 'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"'),
        ({":": ONE}, 'ExpressionAttributeValues contains invalid key: Syntax error; key: ":"'),
        ({":v-w": ONE}, 'ExpressionAttributeValues contains invalid key: Syntax error; key: ":v-w"'),
        (
            {":" + "v" * 255: ONE},
            "ExpressionAttributeValues contains invalid key: "
            "The expression attribute map contains a key that is too long;",
        ),
    ],
)
def test_value_keys_that_are_refused(given: dict[str, object], text: str) -> None:
    assert refusal(lambda: names.check_value_keys(given)) == text


def test_an_error_in_a_value_says_which() -> None:
    error = names.wrap_value_error(":v", ValidationError("Supplied AttributeValue is empty"))
    assert error.message == (
        "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty for key :v"
    )


def test_unused_placeholders_are_listed_in_the_order_given() -> None:
    used = condition.parse("#a = :v", {"#a": "a"}, "ConditionExpression")
    changed = update.parse("SET b = :w", None)
    given = {"#z": "z", "#a": "a", "#b": "b"}
    assert refusal(lambda: names.check_unused(given, {}, [used, changed])) == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#z, #b}"
    )
    assert refusal(lambda: names.check_unused(None, {":v": ONE, ":x": ONE, ":w": ONE}, [used, changed])) == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}"
    )
    names.check_unused({"#a": "a"}, {":v": ONE, ":w": ONE}, [used, changed])


def test_a_projection_uses_names_and_no_values() -> None:
    parsed = projection.parse("#a.b", {"#a": "a"})
    names.check_unused({"#a": "a"}, None, [parsed])
    assert "{:v}" in refusal(lambda: names.check_unused(None, {":v": ONE}, [parsed]))


def write_parameters(**given: object) -> Callable[[], None]:
    expressions = {name: given.get(name) for name in ("UpdateExpression", "ConditionExpression")}
    old = {name: given.get(name) for name in ("AttributeUpdates", "Expected", "ConditionalOperator")}
    attribute_names = given.get("ExpressionAttributeNames")
    values = given.get("ExpressionAttributeValues")
    return lambda: names.check_parameters(expressions, old, attribute_names, values, tuple(expressions))


def test_expressions_do_not_mix_with_the_old_parameters() -> None:
    assert refusal(write_parameters(UpdateExpression="x", AttributeUpdates={}, ConditionalOperator="AND")) == (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributeUpdates, ConditionalOperator} "
        "Expression parameters: {UpdateExpression}"
    )


def test_placeholders_need_an_expression() -> None:
    assert refusal(write_parameters(ExpressionAttributeNames={}, ExpressionAttributeValues={})) == (
        "ExpressionAttributeNames can only be specified when using expressions"
    )
    assert refusal(write_parameters(ExpressionAttributeValues={":v": ONE})) == (
        "ExpressionAttributeValues can only be specified when using expressions: "
        "UpdateExpression and ConditionExpression are null"
    )
    expressions = {"FilterExpression": None, "ProjectionExpression": "a"}
    assert refusal(
        lambda: names.check_parameters(expressions, {}, None, {":v": ONE}, ("FilterExpression",))
    ) == ("ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null")
    write_parameters(ConditionExpression="a = :v", ExpressionAttributeValues={":v": ONE})()
    write_parameters(Expected={})()
