"""Paths and operands: what the grammars of conditions, updates and projections have in common.

    path     = name { "." name | "[" number "]" }        name: a word that is not reserved, or a #placeholder
    operand  = path | :value | function "(" operand { "," operand } ")" | "(" operand ")"

Nothing here recurses: the client chooses how deep its parentheses go, and Python's stack is not there to tell
it that 4,000 of them are too many. Open parentheses and functions wait on a list instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from varley.errors import ValidationError
from varley.expression.operands import too_many_operators
from varley.expression.reserved_words import RESERVED_WORDS
from varley.expression.tokens import NAME, NAME_PLACEHOLDER, NUMBER, VALUE_PLACEHOLDER, Cursor
from varley.expression.tree import Call, Operand, Path, Value

_INDEX_MAX = 2**31 - 1   # AWS holds a list index in a Java int
_NESTED_CALLS_MAX = 250  # [own] more do not fit into 4 KB unless they are wrong: size(size(a)) is, for one


class Reader:
    """Reads one expression's text. Raises ValidationError for syntax errors, at once; the rest it notes."""

    __slots__ = ("cursor", "names", "names_used", "operator_count", "paths", "redundant")

    def __init__(self, expression: str, text: str, names: Mapping[str, str]) -> None:
        self.cursor = Cursor(expression, text)
        self.names = names
        self.names_used: set[str] = set()   # #placeholders that stand in the text, defined or not
        self.paths: list[Path] = []         # in the order of the text
        self.operator_count = 0             # operators and functions
        self.redundant = False              # a pair of parentheses directly inside a pair of parentheses

    def path(self) -> Path:
        """a, #a, a.b, a[0].#b ..."""
        cursor = self.cursor
        parts: list[str | int] = []
        flaw = undefined = None
        while True:
            if cursor.kind == NAME:
                name = cursor.advance()
                if flaw is None and name.upper() in RESERVED_WORDS:
                    flaw = f"Attribute name is a reserved keyword; reserved keyword: {name}"
            else:
                placeholder = cursor.take(NAME_PLACEHOLDER)
                self.names_used.add(placeholder)
                name = self.names.get(placeholder, "")
                if undefined is None and placeholder not in self.names:
                    undefined = placeholder
            parts.append(name)
            while cursor.kind == "[":
                cursor.advance()
                digits = cursor.take(NUMBER)
                cursor.take("]")
                # A length first: int() refuses texts of thousands of digits.
                fits = len(digits) <= 10 and int(digits) <= _INDEX_MAX
                if flaw is None and not fits:
                    flaw = f"List index is not within the allowable range; index: [{digits}]"
                parts.append(int(digits) if fits else 0)
            if cursor.kind != ".":
                break
            cursor.advance()
        path = Path(tuple(parts), flaw, undefined)
        self.paths.append(path)
        return path

    def operand(self) -> Operand:
        cursor = self.cursor
        waiting: list[tuple[str, list[Operand]] | None] = []  # open functions; None is a parenthesis
        nested = 0
        while True:
            if cursor.kind == "(":
                cursor.advance()
                waiting.append(None)
                continue
            operand: Operand
            if cursor.kind == VALUE_PLACEHOLDER:
                operand = Value(cursor.advance())
            elif cursor.kind == NAME and cursor.next_kind() == "(":
                waiting.append((cursor.advance(), []))
                cursor.advance()
                self.operator_count += 1
                nested += 1
                if nested > _NESTED_CALLS_MAX:
                    # AWS would look for other mistakes first. But the walks over operands recurse.
                    raise ValidationError(f"Invalid {cursor.expression}: {too_many_operators()}")
                continue
            else:
                operand = self.path()
            parenthesised = False
            while waiting:
                frame = waiting[-1]
                if frame is None:
                    cursor.take(")")
                    self.redundant |= parenthesised
                    parenthesised = True
                else:
                    function, operands = frame
                    operands.append(operand)
                    if cursor.kind == ",":
                        cursor.advance()
                        break
                    cursor.take(")")
                    operand = Call(function, tuple(operands))
                    nested -= 1
                    parenthesised = False
                waiting.pop()
            else:
                return operand


def inside(operand: Operand) -> Iterator[Operand]:
    """An operand and all operands within it, in the order of the text."""
    waiting = [operand]
    while waiting:
        operand = waiting.pop()
        yield operand
        if isinstance(operand, Call):
            waiting.extend(reversed(operand.operands))
