"""The nodes that parsing makes. Frozen: one tree serves every request with the same text, at the same time.

    Condition  = And | Or | Not | Predicate
    Predicate  = Comparison | Between | Membership | Call
    Operand    = Path | Value | Call
    Assigned   = Operand | Arithmetic           (right of = in SET)
    Action     = Set | Remove | Add | Delete

#name placeholders are resolved while parsing (the cache's key holds the names), :value placeholders are not.
A path keeps what is wrong with it instead of failing at once, since AWS reports mistakes in an order of its
own: see operands.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from varley.item import path


@dataclass(frozen=True, slots=True)
class Path:
    """a.b[0] is ("a", "b", 0)."""

    parts: path.Path
    flaw: str | None = None       # the first reserved word or impossible index in it, as an error text
    undefined: str | None = None  # the first #placeholder that ExpressionAttributeNames lacks

    def __str__(self) -> str:
        """As AWS shows a path in errors: [a, b, [0]]."""
        return path_text(self.parts)


@dataclass(frozen=True, slots=True)
class Value:
    """:name, with the colon."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to operands. At least one of them: the grammar has no empty list of operands."""

    function: str
    operands: tuple[Operand, ...]


Operand = Path | Value | Call


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str  # = <> < <= > >=
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class Membership:
    """operand IN (options)"""

    operand: Operand
    options: tuple[Operand, ...]


Predicate = Comparison | Between | Membership | Call


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple[Condition, ...]  # two or more


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple[Condition, ...]  # two or more


@dataclass(frozen=True, slots=True)
class Not:
    term: Condition


Condition = Predicate | And | Or | Not


@dataclass(frozen=True, slots=True)
class Arithmetic:
    operator: str  # + or -
    left: Assigned  # an Operand, except in PartiQL's longer sums
    right: Assigned


Assigned = Operand | Arithmetic


@dataclass(frozen=True, slots=True)
class Set:
    path: Path
    value: Assigned


@dataclass(frozen=True, slots=True)
class Remove:
    path: Path


@dataclass(frozen=True, slots=True)
class Add:
    path: Path
    value: Value


@dataclass(frozen=True, slots=True)
class Delete:
    path: Path
    value: Value


Action = Set | Remove | Add | Delete


def path_text(parts: path.Path) -> str:
    return "[" + ", ".join(part if isinstance(part, str) else f"[{part}]" for part in parts) + "]"
