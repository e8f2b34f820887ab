"""ConditionExpression and FilterExpression: an item in, yes or no out.

    condition  = or
    or         = and { OR and }
    and        = not { AND not }
    not        = NOT not | "(" or ")" | predicate
    predicate  = operand ( = | <> | < | <= | > | >= ) operand
               | operand BETWEEN operand AND operand
               | operand IN "(" operand { "," operand } ")"
               | function                                        (but not size)

Parsing keeps open parentheses on a list of its own instead of recursing, see grammar.py. An open parenthesis
may turn out to hold a condition or an operand: that is decided where it closes.

Evaluation is by closures: each node of the tree becomes a Python function of (item, values), made once. The
commonest shapes (a top-level attribute against a value) get functions of their own, which do nothing but two
dict look-ups and a comparison. Generating Python source and compiling it was rejected: it evaluates a little
faster, but costs a millisecond for each new text.

What a missing attribute means (Developer Guide, "Comparison operator and function reference"; probed on
DynamoDB Local 2.x): a comparison that lacks an operand is false, except <>, which is true; NOT turns either
around. Values of different types are never equal, and neither is less than the other.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from functools import partial
from operator import ge, gt, le, lt
from typing import Any

from varley.errors import ValidationError
from varley.expression.cache import Cache
from varley.expression.grammar import Reader, inside
from varley.expression.operands import (
    CONDITION_FUNCTIONS,
    OPERAND_COUNTS,
    ORDERED_TYPES,
    Checks,
    Values,
    bound_text,
    check_text,
)
from varley.expression.tokens import END
from varley.expression.tree import (
    And,
    Between,
    Call,
    Comparison,
    Membership,
    Not,
    Operand,
    Or,
    Path,
    Predicate,
    Value,
)
from varley.expression.tree import Condition as Node
from varley.item import path
from varley.item.equality import compare, equal
from varley.item.size import binary_size
from varley.item.value import Item
from varley.limits import EXPRESSION_IN_OPERANDS_MAX

Test = Callable[[Item, Values], bool]
Read = Callable[[Item, Values], "dict[str, Any] | None"]
"""Reads an operand: an attribute value, or None if the item has none there."""

_NO_ITEM: Item = {}


class Condition:
    """A parsed condition. Call `check` once per request, then `evaluate` once per item."""

    __slots__ = ("_test", "check", "names_used", "nested_names", "root", "top_names", "values_used")

    def __init__(
        self, root: Node, test: Test, checks: Checks, names_used: frozenset[str], paths: list[path.Path]
    ) -> None:
        self.root = root
        self._test = test
        self.names_used = names_used
        """#placeholders in the text."""
        self.values_used = checks.values_used
        """:placeholders in the text."""
        self.top_names = _distinct(str(parts[0]) for parts in paths)
        """Top-level attributes that it reads, in the order of the text."""
        self.nested_names = _distinct(str(parts[0]) for parts in paths if len(parts) > 1)
        """Those of them that it looks inside of."""
        self.check: Callable[[Values], None] = checks.run
        """check(values): raises ValidationError for undefined placeholders and unfit operands.

        Must precede `evaluate`. An attribute, not a method: it is the bound `run` of the checks, which
        saves a call on the hot path.
        """

    def evaluate(self, item: Item | None, values: Values) -> bool:
        """Does the condition hold? `None` is an item that does not exist: it has no attributes."""
        return self._test(_NO_ITEM if item is None else item, values)

    def check_scalar_keys(self, key_names: Collection[str]) -> None:
        """Raise ValidationError if it looks for something inside of a key attribute."""
        if self.nested_names:
            check_scalar_keys(self.nested_names, key_names)

    def check_no_keys(self, key_names: Collection[str]) -> None:
        """A Query's FilterExpression may not speak of the key (of the index queried, or else the table's)."""
        self.check_scalar_keys(key_names)
        for name in self.top_names:
            if name in key_names:
                raise ValidationError(
                    "Filter Expression can only contain non-primary key attributes: "
                    f"Primary key attribute: {name}"
                )


def parse(text: str, names: Mapping[str, str] | None, kind: str) -> Condition:
    """`kind` is the parameter that the text is of, one of _CACHES; `names` is ExpressionAttributeNames.

    Raises ValidationError for what is wrong with the text by itself; what depends on placeholders, `check` of
    the result raises.
    """
    return _CACHES[kind].get(text, names)


def check_scalar_keys(nested_names: Collection[str], key_names: Collection[str], kind: str = "Key") -> None:
    """Raise ValidationError if an attribute that paths lead into is a key attribute.

    `kind` is "IndexKey" for the key attributes of indexes.
    """
    for name in nested_names:
        if name in key_names:
            raise ValidationError(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' "
                f"are not allowed: {kind}: {name}"
            )


def read(kind: str, text: str, names: Mapping[str, str]) -> Condition:
    """`parse` without the cache, and for a "KeyConditionExpression" too."""
    check_text(kind, text)
    reader = Reader(kind, text, names)
    root, predicates = _read(reader)
    if reader.redundant:
        raise ValidationError(f"Invalid {kind}: The expression has redundant parentheses;")
    for predicate in predicates:
        _check_names_and_functions(kind, predicate)
    checks = Checks(kind)
    for predicate in predicates:
        check_predicate(checks, predicate)
    checks.close(reader.operator_count)
    # A tree that will be refused is not compiled: it may be as deep as the text is long.
    test = compile_node(root) if not checks.failing else _never
    return Condition(root, test, checks, frozenset(reader.names_used), [p.parts for p in reader.paths])


def from_tree(root: Node, paths: list[path.Path]) -> Condition:
    """A condition from a tree and the paths in it, for legacy.py: its `check` finds nothing."""
    return Condition(root, compile_node(root), Checks("ConditionExpression"), frozenset(), paths)


_CACHES: dict[str, Cache[Condition]] = {
    kind: Cache(partial(read, kind))
    for kind in ("ConditionExpression", "FilterExpression", "SearchConditionExpression")
}


# ---- Reading the text --------------------------------------------------------------------------------

_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})


class _Group:
    """What stands between a parenthesis and the place reached: finished OR terms, the AND terms of the one
    being read, and the NOTs before the next term."""

    __slots__ = ("and_terms", "negations", "or_terms")

    def __init__(self) -> None:
        self.or_terms: list[Node] = []
        self.and_terms: list[Node] = []
        self.negations = 0

    def is_untouched(self) -> bool:
        return not (self.or_terms or self.and_terms or self.negations)

    def add(self, term: Node) -> bool:
        """Add a term, with the NOTs before it. Were there none, so that it stands there as it is?"""
        plain = self.negations == 0
        self.and_terms.append(Not(term) if self.negations % 2 else term)
        self.negations = 0
        return plain

    def end_and(self) -> None:
        self.or_terms.append(self.and_terms[0] if len(self.and_terms) == 1 else And(tuple(self.and_terms)))
        self.and_terms = []

    def close(self) -> Node:
        self.end_and()
        return self.or_terms[0] if len(self.or_terms) == 1 else Or(tuple(self.or_terms))


def _read(reader: Reader) -> tuple[Node, list[Predicate]]:
    """The tree, and its predicates in the order of the text."""
    cursor = reader.cursor
    predicates: list[Predicate] = []
    groups = [_Group()]  # the whole text, then one for each open parenthesis
    while True:
        # A term is due: NOT, a parenthesis, or an operand that begins a predicate.
        if cursor.kind == "NOT":
            cursor.advance()
            reader.operator_count += 1
            groups[-1].negations += 1
            continue
        if cursor.kind == "(":
            cursor.advance()
            groups.append(_Group())
            continue
        operand = reader.operand()
        parenthesised = False  # the operand or term just read stands in parentheses of its own
        while len(groups) > 1 and cursor.kind == ")" and groups[-1].is_untouched():
            # The parenthesis held an operand, as in (a) = :v.
            cursor.advance()
            groups.pop()
            reader.redundant |= parenthesised
            parenthesised = True
        if cursor.kind in _COMPARATORS or cursor.kind in ("BETWEEN", "IN") or not isinstance(operand, Call):
            predicate = _read_predicate(reader, operand)
            parenthesised = False
        else:
            predicate = operand
        predicates.append(predicate)
        parenthesised &= groups[-1].add(predicate)
        # A term is complete: AND or OR call for another, a parenthesis makes one of many.
        while cursor.kind == ")" and len(groups) > 1:
            cursor.advance()
            group = groups.pop()
            single = not group.or_terms and len(group.and_terms) == 1
            reader.redundant |= parenthesised and single
            parenthesised = groups[-1].add(group.close())  # a NOT between two pairs keeps them apart
        if cursor.kind == "AND":
            cursor.advance()
            reader.operator_count += 1
        elif cursor.kind == "OR":
            cursor.advance()
            reader.operator_count += 1
            groups[-1].end_and()
        elif cursor.kind == END and len(groups) == 1:
            return groups[0].close(), predicates
        else:
            cursor.fail()


def _read_predicate(reader: Reader, left: Operand) -> Predicate:
    cursor = reader.cursor
    operator = cursor.kind
    if operator in _COMPARATORS:
        cursor.advance()
        reader.operator_count += 1
        return Comparison(operator, left, reader.operand())
    if operator == "BETWEEN":
        cursor.advance()
        reader.operator_count += 1
        low = reader.operand()
        cursor.take("AND")
        return Between(left, low, reader.operand())
    cursor.take("IN")
    reader.operator_count += 1
    cursor.take("(")
    options = [reader.operand()]
    while cursor.kind == ",":
        cursor.advance()
        options.append(reader.operand())
    cursor.take(")")
    return Membership(left, tuple(options))


# ---- Checks before any item was seen -----------------------------------------------------------------


def _operands(predicate: Predicate) -> tuple[Operand, ...]:
    match predicate:
        case Comparison(_, left, right):
            return (left, right)
        case Between(operand, low, high):
            return (operand, low, high)
        case Membership(operand, options):
            return (operand, *options)
        case Call(_, operands):
            return operands


def _check_names_and_functions(kind: str, predicate: Predicate) -> None:
    if isinstance(predicate, Call):
        _check_function(kind, predicate.function, misused=predicate.function == "size")
    for operand in _operands(predicate):
        for part in inside(operand):
            if isinstance(part, Call):
                _check_function(kind, part.function, misused=part.function != "size")
            elif isinstance(part, Path) and part.flaw is not None:
                raise ValidationError(f"Invalid {kind}: {part.flaw}")


def _check_function(kind: str, function: str, *, misused: bool) -> None:
    if function not in OPERAND_COUNTS:
        raise ValidationError(f"Invalid {kind}: Invalid function name; function: {function}")
    if function not in CONDITION_FUNCTIONS:
        raise ValidationError(
            f"Invalid {kind}: The function is not allowed in a condition expression; function: {function}"
        )
    if misused:
        raise ValidationError(
            f"Invalid {kind}: The function is not allowed to be used this way in an expression; "
            f"function: {function}"
        )


def check_predicate(checks: Checks, predicate: Predicate) -> None:
    """Stage 5 for one predicate; for partiql_condition.py too."""
    if isinstance(predicate, Call):
        checks.call(predicate)
        return
    for operand in _operands(predicate):
        checks.operand(operand)
    match predicate:
        case Comparison(operator, left, right):
            checks.distinct(operator, left, right)
            if operator not in ("=", "<>"):
                checks.allowed(operator, left, ORDERED_TYPES)
                checks.allowed(operator, right, ORDERED_TYPES)
        case Between(operand, low, high):
            for each in (operand, low, high):
                checks.allowed("BETWEEN", each, ORDERED_TYPES)
            checks.distinct("BETWEEN", operand, low, high)
            if isinstance(low, Value) and isinstance(high, Value):
                checks.by_values(partial(_wrong_bounds, low.name, high.name))
        case Membership(operand, options):
            if len(options) > EXPRESSION_IN_OPERANDS_MAX:
                checks.fail(
                    "The IN operator is provided with too many operands; "
                    f"number of operands: {len(options)}"
                )
            checks.distinct("IN", operand, *options)


def _wrong_bounds(low_name: str, high_name: str, values: Values) -> str | None:
    low, high = values[low_name], values[high_name]
    order = compare(low, high)
    if order is None:
        rule = "same data type for lower and upper bounds"
    elif order > 0:
        rule = "upper bound to be greater than or equal to lower bound"
    else:
        return None
    return (
        f"The BETWEEN operator requires {rule}; lower bound operand: AttributeValue: {bound_text(low)}, "
        f"upper bound operand: AttributeValue: {bound_text(high)}"
    )


# ---- Evaluation --------------------------------------------------------------------------------------


def compile_node(node: Node) -> Test:
    """The function that evaluates this node."""
    match node:
        case And(terms):
            tests = tuple(compile_node(term) for term in terms)
            return _both(*tests) if len(tests) == 2 else _all(tests)
        case Or(terms):
            return _any(tuple(compile_node(term) for term in terms))
        case Not(term):
            test = compile_node(term)
            return lambda item, values: not test(item, values)
        case Comparison("=", left, right):
            return _equals(left, right)
        case Comparison("<>", left, right):
            test = _equals(left, right)
            return lambda item, values: not test(item, values)
        case Comparison(operator, left, right):
            return _ordered(operator, compile_operand(left), compile_operand(right))
        case Between(operand, low, high):
            return _between(compile_operand(operand), compile_operand(low), compile_operand(high))
        case Membership(operand, options):
            return _any(tuple(_equals(operand, option) for option in options))
        case Call(function, operands):
            return _FUNCTIONS[function](*operands)


def compile_operand(operand: Operand) -> Read:
    """The function that reads this operand."""
    match operand:
        case Value(name):
            return lambda item, values: values[name]
        case Path(parts):
            if len(parts) == 1:
                top = str(parts[0])
                return lambda item, values: item.get(top)
            return lambda item, values: path.get(item, parts)
        case Call(_, (sized,)):
            return _size(compile_operand(sized))
    raise AssertionError(f"not an operand of a condition: {operand}")


def _never(item: Item, values: Values) -> bool:
    raise AssertionError("evaluating a condition whose check must have failed")


def _both(first: Test, second: Test) -> Test:
    return lambda item, values: first(item, values) and second(item, values)


def _all(tests: tuple[Test, ...]) -> Test:
    def test(item: Item, values: Values) -> bool:
        for each in tests:  # noqa: SIM110  all() with a generator takes twice as long
            if not each(item, values):
                return False
        return True

    return test


def _any(tests: tuple[Test, ...]) -> Test:
    def test(item: Item, values: Values) -> bool:
        for each in tests:  # noqa: SIM110
            if each(item, values):
                return True
        return False

    return test


def _equals(left: Operand, right: Operand) -> Test:
    if isinstance(left, Path) and len(left.parts) == 1 and isinstance(right, Value):
        return _attribute_equals(str(left.parts[0]), right.name)
    read_left, read_right = compile_operand(left), compile_operand(right)

    def test(item: Item, values: Values) -> bool:
        a = read_left(item, values)
        b = read_right(item, values)
        return a is not None and b is not None and (a == b or equal(a, b))

    return test


def _attribute_equals(name: str, value: str) -> Test:
    """The commonest test there is: version = :v. Normal forms are equal as text, so dict equality settles
    every "yes", and every "no" between scalars; only the order within sets needs a second look."""

    def test(item: Item, values: Values) -> bool:
        found = item.get(name)
        if found is None:
            return False
        wanted = values[value]
        if found == wanted:
            return True
        return "S" not in found and "N" not in found and equal(found, wanted)

    return test


_ORDERINGS: dict[str, Callable[[int, int], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def _ordered(operator: str, read_left: Read, read_right: Read) -> Test:
    holds = _ORDERINGS[operator]

    def test(item: Item, values: Values) -> bool:
        a = read_left(item, values)
        b = read_right(item, values)
        if a is None or b is None:
            return False
        order = compare(a, b)
        return order is not None and holds(order, 0)

    return test


def _between(read: Read, read_low: Read, read_high: Read) -> Test:
    at_least, at_most = _ordered(">=", read, read_low), _ordered("<=", read, read_high)
    return lambda item, values: at_least(item, values) and at_most(item, values)


def _size(read: Read) -> Read:
    def size(item: Item, values: Values) -> dict[str, Any] | None:
        value = read(item, values)
        if value is None:
            return None
        ((kind, content),) = value.items()
        if kind == "S":
            return {"N": str(_utf16_length(content))}
        if kind == "B":
            return {"N": str(binary_size(content))}
        if kind in ("SS", "NS", "BS", "L", "M"):
            return {"N": str(len(content))}
        return None  # numbers, booleans and nulls have no size

    return size


def _utf16_length(text: str) -> int:
    """Java's idea of a string's length: a character beyond U+FFFF counts twice. So DynamoDB Local 2.x."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _attribute_exists(operand: Operand) -> Test:
    assert isinstance(operand, Path)
    parts = operand.parts
    if len(parts) == 1:
        name = parts[0]
        return lambda item, values: name in item
    return lambda item, values: path.get(item, parts) is not None


def _attribute_not_exists(operand: Operand) -> Test:
    exists = _attribute_exists(operand)
    return lambda item, values: not exists(item, values)


def _attribute_type(operand: Operand, wanted: Operand) -> Test:
    read, read_wanted = compile_operand(operand), compile_operand(wanted)

    def test(item: Item, values: Values) -> bool:
        value = read(item, values)
        kind = read_wanted(item, values)
        return value is not None and kind is not None and kind["S"] in value

    return test


def _begins_with(operand: Operand, prefix: Operand) -> Test:
    read, read_prefix = compile_operand(operand), compile_operand(prefix)

    def test(item: Item, values: Values) -> bool:
        a = read(item, values)
        b = read_prefix(item, values)
        if a is None or b is None:
            return False
        if "S" in a and "S" in b:
            return bool(a["S"].startswith(b["S"]))
        return "B" in a and "B" in b and b64decode(a["B"]).startswith(b64decode(b["B"]))

    return test


def _contains(operand: Operand, element: Operand) -> Test:
    read, read_element = compile_operand(operand), compile_operand(element)

    def test(item: Item, values: Values) -> bool:
        a = read(item, values)
        b = read_element(item, values)
        return a is not None and b is not None and contains(a, b)

    return test


def contains(whole: dict[str, Any], element: dict[str, Any]) -> bool:
    """A substring of a string or binary, an element of a set, or an element of a list (of any type)."""
    ((kind, content),) = whole.items()
    if kind == "L":
        return any(each == element or equal(each, element) for each in content)
    ((element_kind, element_content),) = element.items()
    if kind == element_kind == "S":
        return element_content in content
    if kind == element_kind == "B":
        return b64decode(element_content) in b64decode(content)
    return kind in ("SS", "NS", "BS") and kind[0] == element_kind and element_content in content


_FUNCTIONS: dict[str, Callable[..., Test]] = {
    "attribute_exists": _attribute_exists,
    "attribute_not_exists": _attribute_not_exists,
    "attribute_type": _attribute_type,
    "begins_with": _begins_with,
    "contains": _contains,
}


def _distinct(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
