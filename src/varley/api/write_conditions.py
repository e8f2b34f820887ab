"""The conditions of PutItem, DeleteItem and UpdateItem, and UpdateItem's update: from request to bound expressions."""

from __future__ import annotations

from typing import Any, Protocol

from varley.api.expressions import BoundCondition, BoundUpdate, Expressions, check_parameters, old_condition
from varley.expression import legacy

_CONDITION = ("ConditionExpression",)
_UPDATE_AND_CONDITION = ("UpdateExpression", "ConditionExpression")


class ConditionalWrite(Protocol):
    """What the requests of the three operations have in common."""

    condition_expression: str | None
    expression_attribute_names: dict[str, str] | None
    expression_attribute_values: dict[str, Any] | None
    expected: dict[str, Any] | None
    conditional_operator: str | None


class UpdateRequest(ConditionalWrite, Protocol):
    update_expression: str | None
    attribute_updates: dict[str, Any] | None


def write_expressions(request: ConditionalWrite) -> Expressions | None:
    """None if the request has neither expressions nor old-style parameters: the usual case, at no cost."""
    if (
        request.condition_expression is None
        and request.expression_attribute_names is None
        and request.expression_attribute_values is None
        and request.expected is None
        and request.conditional_operator is None
    ):
        return None
    if (
        request.condition_expression is None
        or request.expected is not None
        or request.conditional_operator is not None
    ):
        check_parameters(
            {"ConditionExpression": request.condition_expression},
            {"Expected": request.expected, "ConditionalOperator": request.conditional_operator},
            request.expression_attribute_names,
            request.expression_attribute_values,
            _CONDITION,
        )
    return Expressions(request.expression_attribute_names, request.expression_attribute_values)


def update_expressions(request: UpdateRequest) -> Expressions | None:
    """The same for UpdateItem."""
    if (
        request.update_expression is None
        and request.condition_expression is None
        and request.expression_attribute_names is None
        and request.expression_attribute_values is None
        and request.attribute_updates is None
        and request.expected is None
        and request.conditional_operator is None
    ):
        return None
    if (
        request.update_expression is None
        or request.attribute_updates is not None
        or request.expected is not None
        or request.conditional_operator is not None
    ):
        check_parameters(
            {
                "UpdateExpression": request.update_expression,
                "ConditionExpression": request.condition_expression,
            },
            {
                "AttributeUpdates": request.attribute_updates,
                "Expected": request.expected,
                "ConditionalOperator": request.conditional_operator,
            },
            request.expression_attribute_names,
            request.expression_attribute_values,
            _UPDATE_AND_CONDITION,
        )
    return Expressions(request.expression_attribute_names, request.expression_attribute_values)


def condition_of(request: ConditionalWrite, expressions: Expressions) -> BoundCondition | None:
    """The condition of a PutItem or DeleteItem. Raises ValidationError."""
    expressions.open()
    condition = _condition(request, expressions)
    expressions.check_unused()
    return condition


def update_of(
    request: UpdateRequest, expressions: Expressions, key_names: tuple[str, ...]
) -> tuple[BoundUpdate | None, BoundCondition | None]:
    """The update and the condition of an UpdateItem. Raises ValidationError.

    `key_names` are the attributes of the request's Key, which an old-style update may not change.
    """
    expressions.open()
    update = None
    if request.update_expression is not None:
        update = expressions.update(request.update_expression)
    elif request.attribute_updates is not None:
        update = BoundUpdate(legacy.attribute_updates(request.attribute_updates, key_names), {})
    condition = _condition(request, expressions)
    expressions.check_unused()
    return update, condition


def _condition(request: ConditionalWrite, expressions: Expressions) -> BoundCondition | None:
    if request.condition_expression is None:
        return old_condition(request.expected, request.conditional_operator, legacy.expected)
    return expressions.condition(request.condition_expression)
