"""The SET and REMOVE of an UPDATE statement -> the same actions that an UpdateExpression makes.

    SET a = b + 1                      SET a = b + :1
    SET a = set_add(a, <<1>>)          ADD a :1
    SET a = set_delete(a, <<1>>)       DELETE a :1
    SET a = list_append(a, [1])        the same; if_not_exists too
    REMOVE a                           the same

PartiQL's sums may have any number of terms, an UpdateExpression's have two. Source: [DG] "PartiQL update statements
for DynamoDB"; error texts as probed on DynamoDB Local 1.25 (2026).
"""

from __future__ import annotations

from collections.abc import Callable

from varley.errors import ValidationError
from varley.expression import update
from varley.expression.operands import OPERAND_COUNTS, UPDATE_FUNCTIONS, Checks, Values
from varley.expression.partiql_condition import Scope, bare, run, unrecognized
from varley.expression.partiql_literal import unsupported
from varley.expression.partiql_tree import (
    Apply,
    Expression,
    Missing,
    Operation,
    Parameter,
    Reference,
    RemoveAt,
    SetTo,
)
from varley.expression.projection import check_targets
from varley.expression.tree import Action, Add, Arithmetic, Assigned, Call, Delete, Operand, Path, Remove, Set, Value

_KIND = "UpdateExpression"
_SET_FUNCTIONS: dict[str, type[Add] | type[Delete]] = {"set_add": Add, "set_delete": Delete}
_SETS = frozenset({"SS", "NS", "BS"})


class Changes:
    """All changes of a statement. Call `check` once per request, then use `update`."""

    __slots__ = ("check", "update")

    def __init__(self, parsed: update.Update, checks: Checks) -> None:
        self.update = parsed
        self.check: Callable[[Values], None] = lambda values: run(checks, values)
        """check(values): raises ValidationError for unfit operands."""


def changes(written: tuple[SetTo | RemoveAt, ...], scope: Scope) -> Changes:
    """Raises ValidationError for what is wrong whatever the parameters are."""
    checks = Checks(_KIND)
    reads: list[Path] = []
    actions = [_action(each, scope, reads, checks) for each in written]
    targets = [action.path for action in actions]
    try:
        # Native updates are checked from the last to the first, PartiQL's from the first.
        check_targets(checks, targets[::-1])
    except ValidationError as error:
        raise bare(_KIND, error) from None
    for action in actions:
        update.check_action(checks, action)
    checks.close(0)  # the parser has counted the operators
    return Changes(update.from_actions(actions, checks, [*targets, *reads]), checks)


def _action(written: SetTo | RemoveAt, scope: Scope, reads: list[Path], checks: Checks) -> Action:
    target = Path(written.target.parts)
    if isinstance(written, RemoveAt):
        return Remove(target)
    value = written.value
    if isinstance(value, Apply) and value.function in _SET_FUNCTIONS:
        return _SET_FUNCTIONS[value.function](target, _set_operand(value, target, scope, checks))
    return Set(target, _Translation(scope, reads).assigned(value))


def _set_operand(call: Apply, target: Path, scope: Scope, checks: Checks) -> Value:
    """What set_add adds, or set_delete takes away."""
    function = call.function.upper()
    if len(call.operands) != 2:
        raise ValidationError(f"{function} must have exactly two arguments{scope.place(call)}")
    first, second = call.operands
    if not isinstance(first, Reference) or first.parts != target.parts:
        raise ValidationError(f"The first argument to {function} must equal the assignment value")
    text = f"The second argument to {function} must be a value with type SET{scope.place(first)}"
    value = scope.value(second)
    if value is None:
        raise ValidationError(text)
    name = value.name
    checks.by_values(lambda values: None if _SETS & values[name].keys() else text)
    return value


class _Translation:
    """Of right-hand sides; collects the paths that they read."""

    __slots__ = ("_reads", "_scope")

    def __init__(self, scope: Scope, reads: list[Path]) -> None:
        self._scope = scope
        self._reads = reads

    def assigned(self, expression: Expression) -> Assigned:
        match expression:
            case Operation(_, "+" | "-" as operator, (left, right)):
                return Arithmetic(operator, self.assigned(left), self.assigned(right))
            case Operation(_, "+" | "-" as operator, operands):
                raise ValidationError(
                    "Incorrect number of operands for operator or function; "
                    f"operator or function: {operator}, number of operands: {len(operands)}"
                )
        return self._operand(expression)

    def _operand(self, expression: Expression) -> Operand:
        value = self._scope.value(expression)
        if value is not None:
            return value
        match expression:
            case Reference(_, parts):
                path = Path(parts)
                self._reads.append(path)
                return path
            case Apply():
                return self._call(expression)
            case Operation(_, operator, _):
                raise ValidationError(
                    f"Unsupported operator in Update Expression. Operator: {operator.lower()}"
                )
            case Missing():
                raise ValidationError("MISSING must be compared using IS operator")
        assert not isinstance(expression, Parameter)
        raise unsupported(expression, self._scope.statement)

    def _call(self, expression: Apply) -> Call:
        function = expression.function
        if function not in UPDATE_FUNCTIONS:
            if function in OPERAND_COUNTS or function in _SET_FUNCTIONS:
                raise ValidationError(f"The function is not allowed in an update expression; function: {function}")
            raise unrecognized(function)
        return Call(function, tuple(self._operand(each) for each in expression.operands))
