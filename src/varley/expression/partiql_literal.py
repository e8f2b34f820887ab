"""Literals of PartiQL -> attribute values.

    'text'  {"S": …}      1, 1.0, 1e0  {"N": …}     TRUE  {"BOOL": …}     NULL  {"NULL": true}
    [1, 'a']  {"L": …}    {'a': 1}  {"M": …}        <<1, 2>>  {"NS": …}   <<'a', 'b'>>  {"SS": …}

Binary values have no literal: they come as parameters. A parameter stands for a whole value, never for a part of one.
Sources: [DG] "PartiQL data types for DynamoDB"; error texts as probed on DynamoDB Local 1.25 (2026).
"""

from __future__ import annotations

from typing import Any

from varley.errors import ValidationError
from varley.expression.partiql_tokens import place
from varley.expression.partiql_tree import Apply, Constant, Expression, Parameter, Reference, Sequence, Struct
from varley.item.value import check_value

Value = dict[str, Any]

_ONLY_TEXTS_OR_NUMBERS = "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags"


def is_literal(expression: Expression) -> bool:
    """Whether it is written as a value; there may be something in it that cannot be one."""
    return isinstance(expression, Constant | Sequence | Struct)


def value_of(expression: Expression, statement: str) -> Value:
    """The attribute value, normalised. Raises ValidationError. `statement` is the text, for places in errors."""
    value = _value(expression, statement, "root")
    check_value(value)
    return value


def members_of(struct: Struct, statement: str) -> dict[str, Expression]:
    """The members of a struct by name, values untouched. Raises ValidationError for what cannot be a name."""
    return _members(struct, statement, "root")


def unsupported(expression: Expression, statement: str) -> ValidationError:
    """The error for something that is no value, in the place of a whole one."""
    text = statement[expression.at.start : expression.at.end].strip('"')
    return ValidationError(f"Unsupported data type: {text} under key root{place(statement, expression.at)}")


def _value(expression: Expression, statement: str, key: str) -> Value:
    match expression:
        case Constant(_, kind, content):
            return {kind: content}
        case Sequence(is_bag=True):
            return _set(expression, statement)
        case Sequence(_, _, elements):
            return {"L": [_value(each, statement, f"{key}.{i}") for i, each in enumerate(elements)]}
        case Struct():
            members = _members(expression, statement, key)
            return {"M": {name: _value(each, statement, f"{key}.{name}") for name, each in members.items()}}
        case Parameter():
            kind = "Parameter"
        case Reference():
            kind = "VariableReference" if len(expression.parts) == 1 else "Path"
        case Apply():
            kind = "CallAgg" if expression.at.kind == "COUNT" else "Call"
        case _:
            kind = statement[expression.at.start : expression.at.end]
    raise ValidationError(f"Unsupported data type: {kind} under key {key}{place(statement, expression.at)}")


def _members(struct: Struct, statement: str, key: str) -> dict[str, Expression]:
    members: dict[str, Expression] = {}
    for name, value in struct.members:
        where = place(statement, name.at)
        if not isinstance(name, Constant) or name.kind != "S":
            kind = "VariableReference" if isinstance(name, Reference) else type(name).__name__
            raise ValidationError(f"Tuple keys must be of type String. Actual type: {kind} under {key}{where}")
        text = str(name.content)
        if not text:
            raise ValidationError("Path component cannot be an empty string")
        if text in members:
            raise ValidationError(f"Duplicate keys in tuple. Key: {text} under {key}{where}")
        members[text] = value
    return members


def _set(bag: Sequence, statement: str) -> Value:
    if not bag.elements:
        raise ValidationError(f"Empty bags are not supported{place(statement, bag.at)}")
    kinds = set()
    for element in bag.elements:
        if not isinstance(element, Constant) or element.kind not in ("S", "N"):
            raise ValidationError(_ONLY_TEXTS_OR_NUMBERS + place(statement, element.at))
        kinds.add(element.kind)
    if len(kinds) > 1:
        raise ValidationError(_ONLY_TEXTS_OR_NUMBERS)
    (kind,) = kinds
    return {kind + "S": [element.content for element in bag.elements if isinstance(element, Constant)]}
