"""UpdateExpression: an old item in, a new item out.

    update  = section { section }                                   each of the four once at most
    section = SET set { "," set } | REMOVE path { "," path }
            | ADD path :value { "," ... } | DELETE path :value { "," ... }
    set     = path "=" value
    value   = operand [ ( + | - ) operand ] | "(" operand ( + | - ) operand ")"

An update is a set of independent changes, not a program. Every read sees the old item: `SET a = b, b = a`
swaps. No two changes touch the same place (overlapping paths are refused), so their order in the text has no
meaning, and list indexes mean positions in the old item:

    SET on an index beyond the end appends; several such appends happen in the order of their indexes
    REMOVE closes the list up after everything else was done
    ADD on nothing sets; on a number adds; on a set of the same type adds elements
    DELETE takes elements out of a set; a set that loses its last one goes away, since there are no empty sets

The old item is never touched. Of nested values, exactly the maps and lists on the way to a change are copied,
each once; all else is shared between old and new item. Deep copies were rejected: a counter inside a 400 KB
document would cost milliseconds.

Sources: Developer Guide, "Using update expressions in DynamoDB"; the order of error checks as probed on
DynamoDB Local 2.x (2025): targets are checked first, then right-hand sides, both from the last action of the
text to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn

from varley.errors import ValidationError
from varley.expression.cache import Cache
from varley.expression.condition import check_scalar_keys
from varley.expression.grammar import Reader, inside
from varley.expression.operands import (
    OPERAND_COUNTS,
    UPDATE_FUNCTIONS,
    Checks,
    Values,
    check_text,
)
from varley.expression.projection import Projection, check_targets
from varley.expression.tokens import END, VALUE_PLACEHOLDER
from varley.expression.tree import (
    Action,
    Add,
    Arithmetic,
    Assigned,
    Call,
    Delete,
    Operand,
    Path,
    Remove,
    Set,
    Value,
)
from varley.item import number, path
from varley.item.value import Item

_KIND = "UpdateExpression"

Read = Callable[[Item, Values], dict[str, Any]]
"""Computes a right-hand side from the old item and the values. Raises ValidationError."""

Compute = Callable[["dict[str, Any] | None", Item, Values], "dict[str, Any] | None"]
"""(value now at the target, old item, values) -> the value to put there; None is to take it away."""

_SETS = frozenset({"SS", "NS", "BS"})
_ADDABLE = _SETS | {"N"}
_ONLY_NUMBER = frozenset({"N"})

_WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_MISSING = "The provided expression refers to an attribute that does not exist in the item"
_BAD_PATH = "The document path provided in the update expression is invalid for update"


class Change(NamedTuple):
    """One action, ready to be done."""

    target: path.Path
    compute: Compute
    takes: bool  # REMOVE and DELETE: may take away what is there, and never puts anything where nothing is


class Update:
    """A parsed update. Call `check` and `check_keys` once per request, then `apply`."""

    __slots__ = ("_nested", "_nested_reads", "_targets", "_top", "check", "names_used", "paths", "values_used")

    def __init__(
        self,
        changes: Sequence[Change],
        checks: Checks,
        names_used: frozenset[str] = frozenset(),
        reads: Iterable[Path] = (),
    ) -> None:
        self.names_used = names_used
        """#placeholders in the text."""
        self.values_used = checks.values_used
        """:placeholders in the text."""
        self.paths = tuple(change.target for change in changes)
        """What it changes, in the order of the text."""
        self.check: Callable[[Values], None] = checks.run
        """check(values): raises ValidationError for undefined placeholders and unfit operands.

        Must precede `apply`. An attribute, not a method: see Condition.check.
        """
        self._targets = Projection(self.paths)
        self._nested_reads = tuple(dict.fromkeys(str(p.parts[0]) for p in reads if len(p.parts) > 1))
        self._top = tuple((str(c.target[0]), c.compute) for c in changes if len(c.target) == 1)
        self._nested = _in_order([change for change in changes if len(change.target) > 1])

    def check_keys(self, key_names: Collection[str]) -> None:
        """Raise ValidationError if it would change one of these attributes, or look inside of one."""
        for parts in self.paths:
            if parts[0] in key_names:
                raise ValidationError(
                    f"One or more parameter values were invalid: Cannot update attribute {parts[0]}. "
                    "This attribute is part of the key"
                )
        if self._nested_reads:
            check_scalar_keys(self._nested_reads, key_names)

    def check_index_keys(self, key_names: Collection[str]) -> None:
        """Raise ValidationError if it would change, or read, something inside of one of these: keys are scalars."""
        check_scalar_keys([str(parts[0]) for parts in self.paths if len(parts) > 1], key_names, "IndexKey")
        check_scalar_keys(self._nested_reads, key_names, "IndexKey")

    def apply(self, item: Item, values: Values) -> Item:
        """The item after the update. `item` stays as it is; what did not change is shared with it.

        `item` holds at least the key attributes, if the update creates the item. Raises ValidationError if
        the expression does not fit the item: nothing at the place that a path leads through or reads, a value
        of a wrong type, a number out of range. Does not look at the size or depth of the result.
        """
        if self._nested:
            return self._apply_nested(item, values)
        return self._apply_top(item, values)

    def updated_old(self, old: Item) -> Item:
        """For ReturnValues UPDATED_OLD: the targets of the update as they were. {} if there were none: AWS's
        reply then has no Attributes."""
        return self._targets.apply(old)

    def updated_new(self, new: Item) -> Item:
        """For ReturnValues UPDATED_NEW: what is now at the targets of the update. {} if there is nothing.

        Literally what is at those paths: after REMOVE a[0] it is the next element, and an element appended
        by SET a[99] is not shown (so DynamoDB Local 2.x).
        """
        return self._targets.apply(new)

    def _apply_top(self, item: Item, values: Values) -> Item:
        new = item.copy()
        for name, compute in self._top:
            value = compute(item.get(name), item, values)
            if value is not None:
                new[name] = value
            else:
                new.pop(name, None)
        return new

    def _apply_nested(self, item: Item, values: Values) -> Item:
        # AWS finds a path that leads nowhere before it computes anything.
        for target, _, _ in self._nested:
            _check_way(item, target)
        new = self._apply_top(item, values)
        own: set[int] = set()  # ids of the maps and lists that were copied for `new`, which keeps them alive
        for target, compute, _ in self._nested:
            now = path.get(item, target)
            value = compute(now, item, values)
            # Nothing to take away, and it must not be tried: on a list that SET l[9] has made longer by now,
            # REMOVE l[3] would find the new element at index 3.
            if value is not None or now is not None:
                _put(_open(new, target, own), target[-1], value)
        return new


def parse(text: str, names: Mapping[str, str] | None) -> Update:
    """`names` is ExpressionAttributeNames. Raises ValidationError for what is wrong with the text by itself;
    what depends on placeholders, `check` of the result raises."""
    return _CACHE.get(text, names)


def _parse(text: str, names: Mapping[str, str]) -> Update:
    check_text(_KIND, text)
    reader = Reader(_KIND, text, names)
    sections, actions = _read(reader)
    if reader.redundant:
        raise ValidationError(f"Invalid {_KIND}: The expression has redundant parentheses;")
    for action in actions:
        _check_names_and_functions(action)
    for i, section in enumerate(sections):
        if section in sections[:i]:
            raise ValidationError(
                f'Invalid {_KIND}: The "{section}" section can only be used once in an update expression;'
            )
    checks = Checks(_KIND)
    check_targets(checks, [action.path for action in actions])
    for action in reversed(actions):
        check_action(checks, action)
    checks.close(reader.operator_count)
    return from_actions(actions, checks, reader.paths, frozenset(reader.names_used))


def from_actions(
    actions: Iterable[Action], checks: Checks, paths: Iterable[Path], names_used: frozenset[str] = frozenset()
) -> Update:
    """An update from its actions, the closed checks of them, and all paths in them; for partiql_update.py too."""
    # An update that is going to be refused is not compiled: its functions may lack operands.
    compute = _compute if not checks.failing else _never
    changes = [Change(a.path.parts, compute(a), isinstance(a, Remove | Delete)) for a in actions]
    return Update(changes, checks, names_used, paths)


_CACHE: Cache[Update] = Cache(_parse)


# ---- Reading the text --------------------------------------------------------------------------------


def _read(reader: Reader) -> tuple[list[str], list[Action]]:
    """The sections' names, and all actions, in the order of the text."""
    cursor = reader.cursor
    sections = []
    actions: list[Action] = []
    while True:
        section = cursor.kind
        read = _SECTIONS.get(section)
        if read is None:
            cursor.fail()
        cursor.advance()
        sections.append(section)
        actions.append(read(reader))
        while cursor.kind == ",":
            cursor.advance()
            actions.append(read(reader))
        if cursor.kind == END:
            return sections, actions


def _read_set(reader: Reader) -> Set:
    target = reader.path()
    reader.cursor.take("=")
    return Set(target, _read_assigned(reader))


def _read_assigned(reader: Reader) -> Assigned:
    """A right-hand side. What a parenthesis encloses, one operand or the whole sum, shows where it closes."""
    cursor = reader.cursor
    opened = 0
    while cursor.kind == "(":
        cursor.advance()
        opened += 1
    operand = reader.operand()
    closed = 0
    while opened and cursor.kind == ")":
        cursor.advance()
        opened -= 1
        closed += 1
    reader.redundant |= closed > 1
    if cursor.kind not in ("+", "-"):
        if opened:
            cursor.fail()
        return operand
    operator = cursor.advance()
    reader.operator_count += 1
    value = Arithmetic(operator, operand, reader.operand())
    reader.redundant |= opened > 1
    for _ in range(opened):
        cursor.take(")")
    return value


def _read_remove(reader: Reader) -> Remove:
    return Remove(reader.path())


def _read_add(reader: Reader) -> Add:
    target = reader.path()
    return Add(target, Value(reader.cursor.take(VALUE_PLACEHOLDER)))


def _read_delete(reader: Reader) -> Delete:
    target = reader.path()
    return Delete(target, Value(reader.cursor.take(VALUE_PLACEHOLDER)))


_SECTIONS: dict[str, Callable[[Reader], Action]] = {
    "SET": _read_set,
    "REMOVE": _read_remove,
    "ADD": _read_add,
    "DELETE": _read_delete,
}


# ---- Checks before any item was seen -----------------------------------------------------------------


def _check_names_and_functions(action: Action) -> None:
    _check_flaw(action.path)
    if not isinstance(action, Set):
        return
    value = action.value
    alone = not isinstance(value, Arithmetic)
    for operand in (value.left, value.right) if isinstance(value, Arithmetic) else (value,):
        assert not isinstance(operand, Arithmetic), "the grammar has no sums of three"
        for part in inside(operand):
            if isinstance(part, Path):
                _check_flaw(part)
            elif isinstance(part, Call):
                _check_function(part.function, outermost=alone and part is operand)


def _check_flaw(target: Path) -> None:
    if target.flaw is not None:
        raise ValidationError(f"Invalid {_KIND}: {target.flaw}")


def _check_function(function: str, *, outermost: bool) -> None:
    if function not in OPERAND_COUNTS:
        raise ValidationError(f"Invalid {_KIND}: Invalid function name; function: {function}")
    if function not in UPDATE_FUNCTIONS:
        raise ValidationError(
            f"Invalid {_KIND}: The function is not allowed in an update expression; function: {function}"
        )
    if function == "list_append" and not outermost:
        raise ValidationError(
            f"Invalid {_KIND}: The function is not allowed to be used this way in an expression; "
            f"function: {function}"
        )


def check_action(checks: Checks, action: Action) -> None:
    """Stage 5 for one action; for partiql_update.py too."""
    match action:
        case Set(_, value):
            _check_assigned(checks, value)
        case Add(_, value):
            checks.value(value)
            checks.allowed_in_section("ADD", value, _ADDABLE)
        case Delete(_, value):
            checks.value(value)
            checks.allowed_in_section("DELETE", value, _SETS)


def _check_assigned(checks: Checks, value: Assigned) -> None:
    if not isinstance(value, Arithmetic):
        checks.operand(value)
        return
    for term in (value.left, value.right):
        _check_assigned(checks, term)
    for term in (value.left, value.right):
        if not isinstance(term, Arithmetic):
            checks.allowed(value.operator, term, _ONLY_NUMBER)


# ---- Computing new values ----------------------------------------------------------------------------


def _compute(action: Action) -> Compute:
    match action:
        case Set(_, Value(name)):
            return lambda now, item, values: values[name]
        case Set(_, assigned):
            read = _compile_assigned(assigned)
            return lambda now, item, values: read(item, values)
        case Remove():
            return lambda now, item, values: None
        case Add(_, Value(name)):
            return lambda now, item, values: add(now, values[name])
        case Delete(_, Value(name)):
            return lambda now, item, values: subtract_set(now, values[name])
    raise AssertionError(f"not an action: {action}")


def _never(action: Action) -> Compute:
    def compute(now: object, item: Item, values: Values) -> NoReturn:
        raise AssertionError("applying an update whose check must have failed")

    return compute


def add(now: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """ADD: the sum of two numbers, or the union of two sets of the same type."""
    if now is None:
        return more
    kind = next(iter(more))
    content = now.get(kind)
    if content is None:
        raise ValidationError(_WRONG_TYPE)
    if kind == "N":
        return {"N": number.add(content, more["N"])}
    present = set(content)
    return {kind: [*content, *(each for each in more[kind] if each not in present)]}


def subtract_set(now: dict[str, Any] | None, less: dict[str, Any]) -> dict[str, Any] | None:
    """DELETE: what is left of a set, None if nothing."""
    if now is None:
        return None
    kind = next(iter(less))
    content = now.get(kind)
    if content is None:
        raise ValidationError(_WRONG_TYPE)
    gone = set(less[kind])
    left = [each for each in content if each not in gone]
    return {kind: left} if left else None


def _compile_assigned(assigned: Assigned) -> Read:
    if not isinstance(assigned, Arithmetic):
        return _compile_operand(assigned)
    read_left, read_right = _compile_assigned(assigned.left), _compile_assigned(assigned.right)
    calculate = number.add if assigned.operator == "+" else number.subtract

    def compute(item: Item, values: Values) -> dict[str, Any]:
        left = read_left(item, values).get("N")
        right = read_right(item, values).get("N")
        if left is None or right is None:
            raise ValidationError(_WRONG_TYPE)
        return {"N": calculate(left, right)}

    return compute


def _compile_operand(operand: Operand) -> Read:
    match operand:
        case Value(name):
            return lambda item, values: values[name]
        case Path(parts):
            return partial(_read_path, parts)
        case Call("if_not_exists", (Path(parts), default)):
            read_default = _compile_operand(default)

            def if_not_exists(item: Item, values: Values) -> dict[str, Any]:
                found = path.get(item, parts)
                return found if found is not None else read_default(item, values)

            return if_not_exists
        case Call("list_append", (first, second)):
            read_first, read_second = _compile_operand(first), _compile_operand(second)

            def list_append(item: Item, values: Values) -> dict[str, Any]:
                head = read_first(item, values).get("L")
                tail = read_second(item, values).get("L")
                if head is None or tail is None:
                    raise ValidationError(_WRONG_TYPE)
                return {"L": [*head, *tail]}

            return list_append
    raise AssertionError(f"not an operand of an update: {operand}")


def _read_path(parts: path.Path, item: Item, values: Values) -> dict[str, Any]:
    found = path.get(item, parts)
    if found is None:
        raise ValidationError(_MISSING)
    return found


# ---- Changing nested values --------------------------------------------------------------------------


def _in_order(changes: list[Change]) -> tuple[Change, ...]:
    """The order in which to make nested changes so that every list index still means what it meant in the old
    item: first all that may put something, indexes ascending (so appends come in the order of their indexes);
    then all that may take something away, indexes descending."""
    # Names and indexes are never compared with each other: such paths conflict and were refused.
    ascending = sorted(changes, key=lambda change: change.target)
    putting = (change for change in ascending if not change.takes)
    return (*putting, *(change for change in reversed(ascending) if change.takes))


def _check_way(item: Item, parts: path.Path) -> None:
    """The last part of a target must have a map (for a name) or a list (for an index) to be in."""
    holder = path.get(item, parts[:-1])
    if holder is None or ("M" if isinstance(parts[-1], str) else "L") not in holder:
        raise ValidationError(_BAD_PATH)


def _open(new: Item, parts: path.Path, own: set[int]) -> Any:
    """The map or list in `new` that the last part is in, ready to be changed: it and all on the way to it are
    copies.

    `own` holds ids of the copies already made. An id in it cannot be that of something else: `new` holds on
    to each copy, since no other change replaces what is on the way to this one (their paths would overlap).
    """
    holder: Any = new
    for step, following in pairwise(parts):
        kind = "M" if isinstance(following, str) else "L"
        content = holder[step][kind]
        if id(content) not in own:
            content = content.copy()
            own.add(id(content))
            holder[step] = {kind: content}
        holder = content
    return holder


def _put(holder: Any, last: str | int, value: dict[str, Any] | None) -> None:
    """Put a value into a map or list of our own; None takes away what is there, if anything is."""
    if isinstance(last, str):
        if value is not None:
            holder[last] = value
        else:
            holder.pop(last, None)
    elif value is None:
        if last < len(holder):
            del holder[last]
    elif last < len(holder):
        holder[last] = value
    else:
        holder.append(value)
