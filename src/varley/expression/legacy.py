"""The parameters of 2011, from before there were expressions, as the same trees that expressions make.

    AttributesToGet                         a Projection
    Expected, ScanFilter, QueryFilter       a Condition    (ConditionalOperator: AND or OR between attributes)
    AttributeUpdates                        an Update
    KeyConditions                           a KeyCondition

AWS still accepts them everywhere, alone: names.check_parameters refuses a request that mixes the two styles.
They say less than expressions do. Attributes are always top-level (a dot is a character of the name), and
values stand in them, so they are translated anew for each request. The functions here return the parsed thing
together with the values that it needs: placeholders like ":0" that no client can write.

Where meanings differ from the expression of the same name:

    NOT_CONTAINS   is false if the attribute is missing
    ADD            appends to lists too, and mismatches have an error text of their own

Values are checked and normalised here (item.value.check_value), since AWS looks at all of them before it looks
at how they are used. Sources: API Reference, "ExpectedAttributeValue", "Condition", "AttributeValueUpdate";
Developer Guide, "Legacy conditional parameters"; error texts as probed on DynamoDB Local 2.x (2025), and where
those differ, as known from the service: the type in "ADD action is not supported for the type S", and
"Duplicate value in attribute name".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from varley.errors import ValidationError
from varley.expression import condition
from varley.expression.condition import Condition
from varley.expression.key_condition import KeyCondition, Restriction
from varley.expression.operands import Checks
from varley.expression.projection import Projection
from varley.expression.tree import And, Between, Call, Comparison, Membership, Not, Or, Path, Value
from varley.expression.tree import Condition as Node
from varley.expression.update import Change, Compute, Update, add, subtract_set
from varley.item.equality import compare
from varley.item.value import check_value

Values = dict[str, Any]

_INVALID = "One or more parameter values were invalid: "


def attributes_to_get(names: Sequence[str]) -> Projection:
    """AttributesToGet. Raises ValidationError."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValidationError(f"{_INVALID}Duplicate value in attribute name: {name}")
        seen.add(name)
    return Projection([(name,) for name in names])


def expected(conditions: Mapping[str, Mapping[str, Any]], operator: str | None) -> tuple[Condition, Values]:
    """Expected and ConditionalOperator of a write. Raises ValidationError.

    `conditions` may not be empty: an empty Expected asks for nothing.
    """
    _check_values(
        value
        for each in conditions.values()
        for value in (*_given(each, "Value"), *(each.get("AttributeValueList") or ()))
    )
    for name, each in conditions.items():
        _check_expected(name, each)
    check_conditional_operator(operator, conditions)
    arguments = {name: _expected_arguments(each) for name, each in conditions.items()}
    return _condition(arguments, operator)


def item_filter(conditions: Mapping[str, Mapping[str, Any]], operator: str | None) -> tuple[Condition, Values]:
    """ScanFilter or QueryFilter, and ConditionalOperator. Not empty. Raises ValidationError."""
    arguments = _checked_arguments(conditions)
    check_conditional_operator(operator, conditions)
    return _condition(arguments, operator)


def check_no_keys(query_filter: Condition, key_names: Collection[str]) -> None:
    """A QueryFilter may not speak of the key. Raises ValidationError."""
    for name in query_filter.top_names:
        if name in key_names:
            raise ValidationError(
                f"QueryFilter can only contain non-primary key attributes: Primary key attribute: {name}"
            )


def check_conditional_operator(operator: str | None, conditions: Mapping[str, Any] | None) -> None:
    """ConditionalOperator against the parameter that it belongs to. Raises ValidationError."""
    if operator is None:
        return
    if not conditions:
        raise ValidationError("ConditionalOperator cannot be used without Filter or Expected")
    if len(conditions) == 1:
        raise ValidationError(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
        )


def key_conditions(conditions: Mapping[str, Mapping[str, Any]]) -> tuple[KeyCondition, Values]:
    """KeyConditions. Raises ValidationError; `bind` of the result raises the rest."""
    arguments = _checked_arguments(conditions)
    if not conditions:
        raise ValidationError("Conditions can be of length 1 or 2 only")    # for more than 2, `bind` says so
    values: Values = {}
    restrictions = {}
    problem = None
    for name, (operator, operands) in arguments.items():
        indexable = _INDEXABLE.get(operator)
        if indexable is None:
            problem = "Attempted conditional constraint is not an indexable operation"
        else:
            placeholders = tuple(_place(values, operand).name for operand in operands)
            restrictions[name] = Restriction(name, indexable, placeholders)
    return KeyCondition(restrictions, problem), values


def attribute_updates(updates: Mapping[str, Mapping[str, Any]], key_names: Collection[str]) -> Update:
    """AttributeUpdates. Raises ValidationError. The result needs no values: call `apply(item, {})`.

    `key_names` here, since AWS looks at keys before it looks at types.
    """
    _check_values(value for each in updates.values() for value in _given(each, "Value"))
    for each in updates.values():
        if each.get("Value") is None and each.get("Action") != "DELETE":
            raise ValidationError(
                f"{_INVALID}Only DELETE action is allowed when no attribute value is specified"
            )
    changes = [Change((name,), *_change(each)) for name, each in updates.items()]
    update = Update(changes, Checks("AttributeUpdates"))
    update.check_keys(key_names)
    for each in updates.values():
        _check_action(each)
    return update


# ---- Conditions ------------------------------------------------------------------------------------------

_COMPARISONS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_INDEXABLE = {
    "EQ": "=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}

# ComparisonOperator -> how many arguments (least, most), and which kinds of value they may be.
_SCALARS = frozenset({"S", "N", "B"})
_ALL = _SCALARS | {"SS", "NS", "BS", "L", "M", "BOOL", "NULL"}
_OPERATORS: dict[str, tuple[int, int, frozenset[str]]] = {
    "EQ": (1, 1, _ALL),
    "NE": (1, 1, _ALL),
    "LT": (1, 1, _SCALARS),
    "LE": (1, 1, _SCALARS),
    "GT": (1, 1, _SCALARS),
    "GE": (1, 1, _SCALARS),
    "CONTAINS": (1, 1, _SCALARS | {"BOOL", "NULL"}),
    "NOT_CONTAINS": (1, 1, _SCALARS | {"BOOL", "NULL"}),
    "BEGINS_WITH": (1, 1, frozenset({"S", "B"})),
    "BETWEEN": (2, 2, _SCALARS),
    "IN": (1, 1_000_000, _SCALARS),
    "NULL": (0, 0, _ALL),
    "NOT_NULL": (0, 0, _ALL),
}

Arguments = tuple[str, Sequence[dict[str, Any]]]
"""(ComparisonOperator, AttributeValueList)"""


def _check_values(values: Iterable[Any]) -> None:
    for value in values:
        check_value(value)


def _given(holder: Mapping[str, Any], member: str) -> tuple[Any, ...]:
    value = holder.get(member)
    return () if value is None else (value,)


def _checked_arguments(conditions: Mapping[str, Mapping[str, Any]]) -> dict[str, Arguments]:
    """Of members of type Condition: a filter's or KeyConditions'."""
    _check_values(value for each in conditions.values() for value in each.get("AttributeValueList") or ())
    arguments = {}
    for name, each in conditions.items():
        arguments[name] = (str(each.get("ComparisonOperator")), each.get("AttributeValueList") or ())
        _check_arguments(*arguments[name])
    return arguments


def _check_expected(name: str, each: Mapping[str, Any]) -> None:
    operator, value, values, exists = (
        each.get(member) for member in ("ComparisonOperator", "Value", "AttributeValueList", "Exists")
    )
    if value is not None and values is not None:
        problem = "Value and AttributeValueList cannot be used together"
    elif operator is not None and exists is not None:
        problem = "Exists and ComparisonOperator cannot be used together"
    elif operator is not None and operator not in ("NULL", "NOT_NULL") and value is None and values is None:
        problem = f"Value or AttributeValueList must be used with ComparisonOperator: {operator}"
    elif operator is not None:
        _check_arguments(*_expected_arguments(each))
        return
    elif values is not None:
        problem = "AttributeValueList can only be used with a ComparisonOperator"
    elif exists is not False and value is None:
        problem = f"Value must be provided when Exists is {'null' if exists is None else 'true'}"
    elif exists is False and value is not None:
        problem = "Value cannot be used when Exists is false"
    else:
        return
    raise ValidationError(f"{_INVALID}{problem} for Attribute: {name}")


def _expected_arguments(each: Mapping[str, Any]) -> Arguments:
    """An ExpectedAttributeValue in the form of a Condition."""
    operator = each.get("ComparisonOperator")
    if operator is None:
        operator = "NULL" if each.get("Exists") is False else "EQ"
    return operator, each.get("AttributeValueList") or _given(each, "Value")


def _check_arguments(operator: str, values: Sequence[dict[str, Any]]) -> None:
    known = _OPERATORS.get(operator)
    if known is None:
        raise ValidationError("Comparison type does not exist in DynamoDB")
    least, most, allowed = known
    if not least <= len(values) <= most:
        raise ValidationError(
            f"{_INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator"
        )
    kinds = [next(iter(value)) for value in values]
    if any(kind != kinds[0] for kind in kinds):
        raise ValidationError(f"{_INVALID}AttributeValues inside AttributeValueList must be of same type")
    if kinds and kinds[0] not in allowed:
        raise ValidationError(
            f"{_INVALID}ComparisonOperator {operator} is not valid for {kinds[0]} AttributeValue type"
        )
    if operator == "BETWEEN" and (compare(*values) or 0) > 0:
        raise ValidationError(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )


def _place(values: Values, value: dict[str, Any]) -> Value:
    placeholder = f":{len(values)}"
    values[placeholder] = value
    return Value(placeholder)


def _condition(arguments: Mapping[str, Arguments], operator: str | None) -> tuple[Condition, Values]:
    assert arguments
    values: Values = {}
    terms = tuple(_node(name, *each, values) for name, each in arguments.items())
    root = terms[0] if len(terms) == 1 else Or(terms) if operator == "OR" else And(terms)
    return condition.from_tree(root, [(name,) for name in arguments]), values


def _node(name: str, operator: str, arguments: Sequence[dict[str, Any]], values: Values) -> Node:
    attribute = Path((name,))
    operands = tuple(_place(values, argument) for argument in arguments)
    if operator in _COMPARISONS:
        return Comparison(_COMPARISONS[operator], attribute, operands[0])
    exists = Call("attribute_exists", (attribute,))
    match operator:
        case "NULL":
            return Call("attribute_not_exists", (attribute,))
        case "NOT_NULL":
            return exists
        case "CONTAINS":
            return Call("contains", (attribute, operands[0]))
        case "NOT_CONTAINS":
            return And((exists, Not(Call("contains", (attribute, operands[0])))))
        case "BEGINS_WITH":
            return Call("begins_with", (attribute, operands[0]))
        case "BETWEEN":
            return Between(attribute, operands[0], operands[1])
        case "IN":
            return Membership(attribute, operands)
    raise AssertionError(f"unknown ComparisonOperator: {operator}")


# ---- Updates ---------------------------------------------------------------------------------------------

_MISMATCH = "Type mismatch for attribute to update"
_DELETABLE = frozenset({"SS", "NS", "BS"})
_ADDABLE = _DELETABLE | {"N", "L"}


def _check_action(each: Mapping[str, Any]) -> None:
    value = each.get("Value")
    action = each.get("Action") or "PUT"
    if value is None or action == "PUT":
        return
    kind = next(iter(value))
    if action == "ADD" and kind not in _ADDABLE:
        raise ValidationError(f"{_INVALID}ADD action is not supported for the type {kind}")
    if action == "DELETE" and kind not in _DELETABLE:
        raise ValidationError(f"{_INVALID}DELETE action with value is not supported for the type {kind}")


def _change(each: Mapping[str, Any]) -> tuple[Compute, bool]:
    """What the update does to its attribute, and whether it may take it away."""
    value = each.get("Value")
    if value is None:
        return (lambda now, item, values: None), True
    match each.get("Action") or "PUT":
        case "PUT":
            return (lambda now, item, values: value), False
        case "ADD":
            return _like(value, _append if "L" in value else add), False
        case "DELETE":
            return _like(value, subtract_set), True
    raise ValidationError("Member must satisfy enum value set: [ADD, DELETE, PUT]")


def _like(
    value: dict[str, Any], combine: Callable[[dict[str, Any] | None, dict[str, Any]], dict[str, Any] | None]
) -> Compute:
    """`combine` what is there with `value`, if it is of the same kind."""
    ((kind, _),) = value.items()

    def compute(now: dict[str, Any] | None, item: object, values: object) -> dict[str, Any] | None:
        if now is not None and kind not in now:
            raise ValidationError(_MISMATCH)
        return combine(now, value)

    return compute


def _append(now: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    return more if now is None else {"L": [*now["L"], *more["L"]]}
