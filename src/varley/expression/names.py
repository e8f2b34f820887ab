"""#name and :value placeholders: what ExpressionAttributeNames and ExpressionAttributeValues may be.

AWS checks a request with expressions in this order, and reports the first mistake (probed on DynamoDB Local
2.x, 2025). The API layer calls, one after the other:

    1. check_parameters       expression and old-style parameters do not mix;
                              names or values without any expression that could use them
    2. check_names            ExpressionAttributeNames: not empty, keys like #abc, names not empty or too long
    3. check_value_keys       ExpressionAttributeValues: not empty, keys like :abc;
       item.value.check_value     and each value itself (the API layer calls it, and then `wrap_value_error`)
    4. for each expression in the order UpdateExpression, ConditionExpression, FilterExpression,
       ProjectionExpression, KeyConditionExpression: `parse`, and at once `check`
    5. check_unused           every placeholder given stands in some expression
    6. what depends on the table: check_keys, check_scalar_keys, check_no_keys, bind

Steps 1 to 3 do not depend on the expressions' texts, and step 1 can only fail for a request with an old-style
parameter, or with placeholders and no expression: a caller in a hurry may skip it for all others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from varley.errors import ValidationError
from varley.limits import (
    ATTRIBUTE_NAME_BYTES_MAX,
    EXPRESSION_PLACEHOLDER_BYTES_MAX,
    EXPRESSION_SUBSTITUTES_BYTES_MAX,
)

# Three expressions of 4 KB cannot use more: a placeholder takes two characters, and something between two of them.
_PLACEHOLDERS_MAX = 4096

_NAME_PLACEHOLDER = re.compile(r"#[A-Za-z0-9_]+").fullmatch
_VALUE_PLACEHOLDER = re.compile(r":[A-Za-z0-9_]+").fullmatch


class Expression(Protocol):
    """What a Condition, an Update, a Projection and a KeyCondition have in common here."""

    names_used: frozenset[str]
    values_used: frozenset[str]


def check_parameters(
    expressions: Mapping[str, Any],
    old_style: Mapping[str, Any],
    names: Any,
    values: Any,
    value_users: Sequence[str],
) -> None:
    """Step 1. Raises ValidationError.

    `expressions` and `old_style` are all parameters of either style that the operation knows, in AWS's order,
    with None for those the request lacks; `value_users` are the expressions that may hold :values.
    """
    given = [name for name, value in expressions.items() if value is not None]
    old = [name for name, value in old_style.items() if value is not None]
    if given and old:
        raise ValidationError(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(old)}}} Expression parameters: {{{', '.join(given)}}}"
        )
    if names is not None and not given:
        raise ValidationError("ExpressionAttributeNames can only be specified when using expressions")
    if values is not None and not any(expressions[name] is not None for name in value_users):
        missing = " and ".join(value_users) + (" is null" if len(value_users) == 1 else " are null")
        raise ValidationError(
            f"ExpressionAttributeValues can only be specified when using expressions: {missing}"
        )


def check_names(names: Mapping[str, str]) -> int:
    """Step 2: the bytes of all names and their placeholders. Raises ValidationError."""
    _check_count("ExpressionAttributeNames", names)
    if not names:
        raise ValidationError("ExpressionAttributeNames must not be empty")
    for placeholder, name in names.items():
        if len(placeholder) > EXPRESSION_PLACEHOLDER_BYTES_MAX or not _NAME_PLACEHOLDER(placeholder):
            raise _invalid_key("ExpressionAttributeNames", placeholder)
        if not name:
            raise ValidationError(
                "ExpressionAttributeNames contains invalid value: "
                f"Empty attribute name for key {placeholder}"
            )
        if len(name) * 3 > ATTRIBUTE_NAME_BYTES_MAX and _bytes(name) > ATTRIBUTE_NAME_BYTES_MAX:
            raise ValidationError(
                "ExpressionAttributeNames contains invalid value: Attribute name is too large, "
                f"must be less than {ATTRIBUTE_NAME_BYTES_MAX + 1} bytes for key {placeholder}"
            )
    size = sum(map(_bytes, names)) + sum(map(_bytes, names.values()))
    if size > EXPRESSION_SUBSTITUTES_BYTES_MAX:
        raise ValidationError("ExpressionAttributeNames exceeds max size")
    return size


def check_value_keys(values: Mapping[str, Any]) -> None:
    """Step 3, without the values themselves. Raises ValidationError."""
    _check_count("ExpressionAttributeValues", values)
    if not values:
        raise ValidationError("ExpressionAttributeValues must not be empty")
    for placeholder in values:
        if len(placeholder) > EXPRESSION_PLACEHOLDER_BYTES_MAX or not _VALUE_PLACEHOLDER(placeholder):
            raise _invalid_key("ExpressionAttributeValues", placeholder)


def check_sizes(names: int, values: int) -> None:
    """The end of step 3: `names` and `values` are bytes, with the placeholders. Raises ValidationError.

    The documentation has the limit; texts and what is counted are DynamoDB Local's.
    """
    if names + values > EXPRESSION_SUBSTITUTES_BYTES_MAX:
        if values > EXPRESSION_SUBSTITUTES_BYTES_MAX:
            raise ValidationError("ExpressionAttributeValues exceeds max size")
        raise ValidationError(
            "Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max size"
        )


def _check_count(parameter: str, given: Mapping[str, Any]) -> None:
    """Refuse at once what must have unused placeholders, before looking at each of a million."""
    if len(given) > _PLACEHOLDERS_MAX:
        raise ValidationError(f"Value provided in {parameter} unused in expressions: {len(given)} keys are too many")


def wrap_value_error(placeholder: str, error: ValidationError) -> ValidationError:
    """What check_value raised for the value of this placeholder, as AWS tells it here."""
    return ValidationError(
        f"ExpressionAttributeValues contains invalid value: {error.message} for key {placeholder}"
    )


def check_unused(
    names: Mapping[str, Any] | None, values: Mapping[str, Any] | None, expressions: Sequence[Expression]
) -> None:
    """Step 5: `expressions` are all parsed expressions of the request. Raises ValidationError."""
    if names:
        unused = set(names)
        for each in expressions:
            unused -= each.names_used
        if unused:
            raise _unused("ExpressionAttributeNames", names, unused)
    if values:
        unused = set(values)
        for each in expressions:
            unused -= each.values_used
        if unused:
            raise _unused("ExpressionAttributeValues", values, unused)


def _unused(parameter: str, given: Mapping[str, Any], unused: set[str]) -> ValidationError:
    listed = ", ".join(placeholder for placeholder in given if placeholder in unused)
    return ValidationError(f"Value provided in {parameter} unused in expressions: keys: {{{listed}}}")


def _invalid_key(parameter: str, placeholder: str) -> ValidationError:
    if not placeholder:
        problem = "The expression attribute map contains an empty key;"
    elif len(placeholder) > EXPRESSION_PLACEHOLDER_BYTES_MAX:
        problem = "The expression attribute map contains a key that is too long;"
        if parameter == "ExpressionAttributeNames":
            problem += f" size of key: {_bytes(placeholder)}"
    else:
        problem = f'Syntax error; key: "{placeholder}"'
    return ValidationError(f"{parameter} contains invalid key: {problem}")


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
