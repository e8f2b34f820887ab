"""What a PartiQL statement says, as its parser found it. Frozen: a parsed statement serves many requests at once.

    Expression = Constant | Missing | Parameter | Reference | Apply | Operation | TypeTest | Sequence | Struct
    Statement  = Select | Insert | Update | Delete | Exists

Every expression knows the token that AWS's errors name as its place: that of an operation is its operator, that of a
function its name. What an expression means to DynamoDB, and whether it may stand where it stands, is decided when it
is translated: partiql_condition.py, partiql_update.py, partiql_literal.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from varley.expression.partiql_tokens import Token
from varley.item import path


@dataclass(frozen=True, slots=True)
class Constant:
    """A text, number, boolean or null."""

    at: Token
    kind: str  # S N BOOL NULL
    content: str | bool  # a number as it was written, with its sign


@dataclass(frozen=True, slots=True)
class Missing:
    at: Token


@dataclass(frozen=True, slots=True)
class Parameter:
    """A question mark."""

    at: Token
    position: int  # 0 is the first of the statement


@dataclass(frozen=True, slots=True)
class Reference:
    """a.b[0] is ("a", "b", 0)."""

    at: Token
    parts: path.Path


@dataclass(frozen=True, slots=True)
class Apply:
    """A function and what it is applied to."""

    at: Token
    function: str  # in lower case: case means nothing here
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """`a AND b AND c` is one operation of three operands; NOT, and - before something, have one; BETWEEN three."""

    at: Token
    operator: str  # AND OR NOT = <> < <= > >= BETWEEN IN LIKE + - * / % ||
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class TypeTest:
    """operand IS type"""

    at: Token
    operand: Expression
    type_name: Token


@dataclass(frozen=True, slots=True)
class Sequence:
    """[a, b] or (a, b), and <<a, b>>, which is a bag to PartiQL and a set to DynamoDB."""

    at: Token
    is_bag: bool
    elements: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """{'name': value}. A name may be any expression until somebody looks."""

    at: Token
    members: tuple[tuple[Expression, Expression], ...]


Expression = Constant | Missing | Parameter | Reference | Apply | Operation | TypeTest | Sequence | Struct


@dataclass(frozen=True, slots=True)
class Ordering:
    key: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class Select:
    projection: tuple[Expression, ...] | None  # None is *
    table: str
    index: str | None
    where: Expression | None
    order: tuple[Ordering, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    table: str
    item: Struct


@dataclass(frozen=True, slots=True)
class SetTo:
    target: Reference
    value: Expression


@dataclass(frozen=True, slots=True)
class RemoveAt:
    target: Reference


@dataclass(frozen=True, slots=True)
class Update:
    table: str
    changes: tuple[SetTo | RemoveAt, ...]  # one or more
    where: Expression | None
    returning: str | None  # ALL_OLD MODIFIED_OLD ALL_NEW MODIFIED_NEW


@dataclass(frozen=True, slots=True)
class Delete:
    table: str
    where: Expression | None
    returning: str | None


@dataclass(frozen=True, slots=True)
class Exists:
    """A condition on an item that a transaction does not write."""

    select: Select


Statement = Select | Insert | Update | Delete | Exists
