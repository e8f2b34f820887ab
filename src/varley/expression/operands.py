"""What is wrong with an expression before any item was seen, in the order in which AWS looks.

For every kind of expression AWS goes through the same stages, and reports the first mistake of the first
stage that finds one (probed with pairs of mistakes on DynamoDB Local 2.x, which shares AWS's parser, 2025):

    1. the text is empty, or too long
    2. it does not parse                                                       syntax error
    3. ((a = b))                                                               redundant parentheses
    4. along the text: names that are reserved words, list indexes out of range, functions that do not
       exist, or that may not stand where they stand
    5. operand by operand, and each operator or function after its operands:   (this file)
       paths that are too deep, #names and :values that are not defined, numbers of operands, operands that
       must be distinct, operands of a wrong type
    6. too many operators

Stages 1 to 4 need the text alone, and parsing raises them. Stage 5 mixes what is known from text and names
with what depends on the values of the request, so it is compiled into a list of checks. Nearly all of the
expressions in use have no check that depends on values except "are they all there", which is one comparison
of sets; the list itself runs only for expressions that are going to fail, to find their first mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from varley.errors import ValidationError
from varley.expression.tree import Call, Operand, Path, Value
from varley.item.size import binary_size
from varley.limits import EXPRESSION_BYTES_MAX, EXPRESSION_OPERATORS_MAX, NESTING_MAX

Values = Mapping[str, Any]
"""ExpressionAttributeValues: ":name" -> attribute value, checked and normalised."""

Check = Callable[[Values], None]

# [DG] "Condition and filter expressions, operators, and functions": what the functions are.
OPERAND_COUNTS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
    "if_not_exists": 2,
    "list_append": 2,
}
CONDITION_FUNCTIONS = frozenset(OPERAND_COUNTS) - {"if_not_exists", "list_append"}
UPDATE_FUNCTIONS = frozenset({"if_not_exists", "list_append"})

_TYPE_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "L": "LIST",
    "M": "MAP",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
}


class Checks:
    """The checks of stages 5 and 6 for one expression; filled once, from its tree, then run per request."""

    __slots__ = ("_all", "_by_values", "_values", "expression", "failing", "values_used")

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._all: list[Check] = []           # in AWS's order
        self._by_values: list[Check] = []     # those of them whose outcome depends on the given values
        self.failing = False                  # one of them fails whatever the values are
        self._values: set[str] = set()
        self.values_used: frozenset[str] = frozenset()

    def run(self, values: Values) -> None:
        """Raise the ValidationError of the first mistake, if there is any."""
        if self.failing or not self.values_used <= values.keys():
            for check in self._all:
                check(values)
            raise AssertionError("an expression known to be wrong passed its checks")
        for check in self._by_values:
            check(values)

    def close(self, operator_count: int) -> None:
        """The walk is over. `operator_count`: operators and functions in the expression."""
        if operator_count > EXPRESSION_OPERATORS_MAX:
            self.fail(too_many_operators())
        self.values_used = frozenset(self._values)

    # -- for the walks ---------------------------------------------------------------------------------

    def fail(self, problem: str) -> None:
        """`problem` is there, whatever the values."""
        text = f"Invalid {self.expression}: {problem}"

        def check(values: Values) -> None:
            raise ValidationError(text)

        self._all.append(check)
        self.failing = True

    def by_values(self, find: Callable[[Values], str | None]) -> None:
        """`find` tells what is wrong with the given values, None if nothing."""
        expression = self.expression

        def check(values: Values) -> None:
            problem = find(values)
            if problem is not None:
                raise ValidationError(f"Invalid {expression}: {problem}")

        self._all.append(check)
        self._by_values.append(check)

    def path(self, path: Path) -> None:
        if len(path.parts) > NESTING_MAX:
            self.fail(f"The document path has too many nesting levels; nesting levels: {len(path.parts)}")
        if path.undefined is not None:
            self.fail(
                "An expression attribute name used in the document path is not defined; "
                f"attribute name: {path.undefined}"
            )

    def value(self, value: Value) -> None:
        name = value.name
        text = (
            f"Invalid {self.expression}: An expression attribute value used in expression is not defined; "
            f"attribute value: {name}"
        )

        def check(values: Values) -> None:
            if name not in values:
                raise ValidationError(text)

        self._all.append(check)
        self._values.add(name)

    def operand(self, operand: Operand) -> None:
        """A path, a value, or a function with all that is in it."""
        if isinstance(operand, Path):
            self.path(operand)
        elif isinstance(operand, Value):
            self.value(operand)
        else:
            self.call(operand)

    def call(self, call: Call) -> None:
        for operand in call.operands:
            self.operand(operand)
        if len(call.operands) != OPERAND_COUNTS[call.function]:
            self.fail(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {call.function}, number of operands: {len(call.operands)}"
            )
            return  # the checks of single operands count on their number
        _CALL_CHECKS[call.function](self, call)

    def distinct(self, operator: str, first: Operand, *others: Operand) -> None:
        """The first operand may not be a path that stands among the others too."""
        if isinstance(first, Path) and first in others:
            self.fail(
                "The first operand must be distinct from the remaining operands for this operator or "
                f"function; operator: {operator}, first operand: {first}"
            )

    def allowed(self, operator: str, operand: Operand, types: frozenset[str]) -> None:
        """An operand whose type is known must be of one of these types."""
        if isinstance(operand, Value):
            name = operand.name

            def find(values: Values) -> str | None:
                kind = next(iter(values[name]))
                return None if kind in types else wrong_type(operator, kind)

            self.by_values(find)
        elif isinstance(operand, Call) and operand.function == "size" and "N" not in types:
            self.fail(wrong_type(operator, "N"))

    def allowed_in_section(self, section: str, value: Value, types: frozenset[str]) -> None:
        """`allowed` for ADD and DELETE, which have an error text of their own."""
        name = value.name

        def find(values: Values) -> str | None:
            kind = next(iter(values[name]))
            if kind in types:
                return None
            return (
                f"Incorrect operand type for operator or function; operator: {section}, "
                f"operand type: {_TYPE_NAMES[kind]}, typeSet: ALLOWED_FOR_{section}_OPERAND"
            )

        self.by_values(find)


def check_text(expression: str, text: str) -> None:
    """Stage 1. Raises ValidationError for an empty or overlong text."""
    if not text:
        raise ValidationError(f"Invalid {expression}: The expression can not be empty;")
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > EXPRESSION_BYTES_MAX:
        # AWS gives the size for the kinds that are conditions, and not for the others.
        told = f" expression size: {size}" if expression not in _SIZE_UNTOLD else ""
        raise ValidationError(
            f"Invalid {expression}: Expression size has exceeded the maximum allowed size;{told}"
        )


_SIZE_UNTOLD = frozenset({"UpdateExpression", "ProjectionExpression"})


def too_many_operators() -> str:
    # AWS stops counting at the first one too many, so the number told is always the same.
    return (
        "The expression contains too many operators; "
        f"operator count: {EXPRESSION_OPERATORS_MAX + 1}"
    )


def wrong_type(operator: str, kind: str) -> str:
    return (
        "Incorrect operand type for operator or function; "
        f"operator or function: {operator}, operand type: {kind}"
    )


ORDERED_TYPES = frozenset({"S", "N", "B"})
_PREFIX_TYPES = frozenset({"S", "B"})
_SIZED_TYPES = frozenset({"S", "B", "SS", "NS", "BS", "L", "M"})
_ONLY_LIST = frozenset({"L"})
_ONLY_STRING = frozenset({"S"})
_ATTRIBUTE_TYPES = frozenset(_TYPE_NAMES)


def _check_document_path(checks: Checks, call: Call) -> None:
    if not isinstance(call.operands[0], Path):
        checks.fail(
            f"Operator or function requires a document path; operator or function: {call.function}"
        )


def _check_if_not_exists(checks: Checks, call: Call) -> None:
    _check_document_path(checks, call)
    checks.distinct(call.function, *call.operands)


def _check_attribute_type(checks: Checks, call: Call) -> None:
    checks.distinct(call.function, *call.operands)
    wanted = call.operands[1]
    if isinstance(wanted, Path):
        # AWS prints a hash set; this is its order as observed (us-east-1, 2015).
        checks.fail(wrong_type(call.function, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"))
        return
    checks.allowed(call.function, wanted, _ONLY_STRING)
    if not isinstance(wanted, Value):
        return
    name = wanted.name

    def find(values: Values) -> str | None:
        kind = values[name]["S"]
        if kind in _ATTRIBUTE_TYPES:
            return None
        return (
            f"Invalid attribute type name found; type: {kind}, "
            "valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"  # as observed (us-east-1, 2015)
        )

    checks.by_values(find)


def _check_begins_with(checks: Checks, call: Call) -> None:
    checks.distinct(call.function, *call.operands)
    for operand in call.operands:
        checks.allowed(call.function, operand, _PREFIX_TYPES)


def _check_contains(checks: Checks, call: Call) -> None:
    checks.distinct(call.function, *call.operands)


def _check_size(checks: Checks, call: Call) -> None:
    checks.allowed(call.function, call.operands[0], _SIZED_TYPES)


def _check_list_append(checks: Checks, call: Call) -> None:
    for operand in call.operands:
        checks.allowed(call.function, operand, _ONLY_LIST)


_CALL_CHECKS: dict[str, Callable[[Checks, Call], None]] = {
    "attribute_exists": _check_document_path,
    "attribute_not_exists": _check_document_path,
    "attribute_type": _check_attribute_type,
    "begins_with": _check_begins_with,
    "contains": _check_contains,
    "size": _check_size,
    "if_not_exists": _check_if_not_exists,
    "list_append": _check_list_append,
}


def bound_text(value: Mapping[str, Any]) -> str:
    """A scalar as AWS shows it in the error texts of BETWEEN: {N:5}."""
    ((kind, content),) = value.items()
    if kind == "B":
        size = binary_size(content)
        content = f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"
    return "{" + f"{kind}:{content}" + "}"
