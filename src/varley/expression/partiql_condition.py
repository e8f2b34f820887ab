"""A WHERE clause -> the same tree that a ConditionExpression makes, and what of it is about the key.

    PartiQL                            condition
    a != b                             a <> b
    a IN [1, 2], a IN (1, 2)           a IN (:1, :2)
    a IS [NOT] MISSING                 attribute_not_exists(a), attribute_exists(a)
    a IS NULL, a IS STRING, …          attribute_type(a, :type)
    NOT BETWEEN, NOT IN                NOT (… BETWEEN …), NOT (… IN …)
    begins_with, contains, attribute_type, attribute_exists, attribute_not_exists, size: the same, in any case

Literals become placeholders like ":1", parameters like ":?1": no client can write such names.

A SELECT is told by its WHERE clause which items to look at (`Where.access`): those of some partition key values, if
every item that satisfies it must have one of them; and of these, those whose sort keys the conditions allow. Whatever
else it says is a filter. A write is told one item (`Where.item`): each key attribute must be equal to a value, and
whatever else the clause says is the write's condition.

Error texts and what may stand where: as probed on DynamoDB Local 1.25 (2026). It compares conditions with booleans
too, ((a = 1) = TRUE); here that is refused as an operand of a wrong type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from varley.errors import ValidationError
from varley.expression import condition
from varley.expression.condition import Condition
from varley.expression.key_condition import Restriction
from varley.expression.operands import CONDITION_FUNCTIONS, OPERAND_COUNTS, Checks, Values
from varley.expression.partiql_literal import is_literal, value_of
from varley.expression.partiql_tokens import place
from varley.expression.partiql_tree import (
    Apply,
    Constant,
    Expression,
    Missing,
    Operation,
    Parameter,
    Reference,
    TypeTest,
)
from varley.expression.partiql_tree import Sequence as ListOrBag
from varley.expression.tree import And, Between, Call, Comparison, Membership, Not, Operand, Or, Path, Predicate, Value
from varley.expression.tree import Condition as Node
from varley.item import path
from varley.item.equality import equal
from varley.limits import PARTIQL_HASH_VALUES_MAX

_KIND = "ConditionExpression"
_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

# IS: a name of PartiQL's -> a type of DynamoDB's.
_TYPES = {
    "NULL": "NULL",
    "BOOLEAN": "BOOL",
    "BOOL": "BOOL",
    "BLOB": "B",
    "STRING": "S",
    "NUMERIC": "N",
    "STRUCT": "M",
    "TUPLE": "M",
    "LIST": "L",
}


class Scope:
    """What the expressions of one statement have in common: its text, and the values that stand in it."""

    __slots__ = ("literals", "statement")

    def __init__(self, statement: str) -> None:
        self.statement = statement  # for places in errors
        self.literals: dict[str, Any] = {}  # placeholder -> attribute value

    def literal(self, value: dict[str, Any]) -> Value:
        placeholder = f":{len(self.literals)}"
        self.literals[placeholder] = value
        return Value(placeholder)

    def value(self, expression: Expression) -> Value | None:
        """The placeholder of a literal or a parameter; None for anything else. Raises ValidationError."""
        if isinstance(expression, Parameter):
            return Value(parameter_name(expression.position))
        if is_literal(expression):
            return self.literal(value_of(expression, self.statement))
        return None

    def place(self, expression: Expression) -> str:
        return place(self.statement, expression.at)


def parameter_name(position: int) -> str:
    """The placeholder of the parameter at this position, 0 being the first."""
    return f":?{position}"


class Access(NamedTuple):
    """The items that a SELECT looks at, in a table or index with a certain key."""

    # Placeholders, as written, perhaps of equal values: for each partition key, one for each attribute of it. None is
    # every item.
    hash_values: tuple[tuple[str, ...], ...] | None
    equal: tuple[str, ...]          # of the leading attributes of the sort key, of all but the last
    sort: tuple[Restriction, ...]   # on the attribute after those; all hold; operators of KeyRange, and IN
    filter: Condition | None        # what more there is to ask of an item


class OneItem(NamedTuple):
    """The one item of a write, or of a transaction's condition."""

    key: tuple[str, ...]            # placeholders, one for each key attribute
    others: tuple[tuple[str, str, str], ...]    # (attribute, its placeholder in `key`, another that it has to equal)
    condition: Condition | None     # what more the item has to satisfy


class Where:
    """A translated WHERE clause. Call `check` once per request, then the others."""

    __slots__ = ("_accesses", "_items", "_nested_names", "_paths", "_root", "check")

    def __init__(self, root: Node, paths: Sequence[path.Path], checks: Checks) -> None:
        self._root = root
        self._paths = list(paths)
        self._nested_names = tuple(dict.fromkeys(str(p[0]) for p in paths if len(p) > 1))
        # By key: one entry, since a statement names its table; another if that is made anew with another key.
        self._accesses: dict[tuple[tuple[str, ...], tuple[str, ...]], Access] = {}
        self._items: dict[tuple[str, ...], OneItem] = {}
        self.check: Callable[[Values], None] = lambda values: run(checks, values)
        """check(values): raises ValidationError for unfit operands. Must come before anything is evaluated."""

    def check_scalar_keys(self, key_names: tuple[str, ...]) -> None:
        """Raise ValidationError if it looks for something inside of a key attribute."""
        condition.check_scalar_keys(self._nested_names, key_names)

    def access(self, hash_names: tuple[str, ...], range_names: tuple[str, ...]) -> Access:
        """In a table or index with a key of these attributes. Raises ValidationError for too many partition keys.

        A key of several attributes is looked up with one value for each: IN does not combine them.
        """
        key = (hash_names, range_names)
        found = self._accesses.get(key)
        if found is None:
            self._accesses.clear()
            found = self._accesses[key] = self._access(hash_names, range_names)
        return found

    def item(self, key_names: tuple[str, ...], values: Values, *, must_exist: bool) -> OneItem:
        """`must_exist` makes that a condition too. Raises ValidationError unless the clause is about one item."""
        found = self._items.get(key_names)
        if found is None:
            self._items.clear()
            found = self._items[key_names] = self._item(key_names, must_exist)
        for name, one, other in found.others:
            if not equal(values[one], values[other]):
                raise ValidationError(
                    f"Multiple conditions on same key {name}. Only single item Update/Insert/Delete are supported"
                )
        return found

    def _item(self, key_names: tuple[str, ...], must_exist: bool) -> OneItem:
        key: dict[str, str] = {}
        others = []
        rest: list[Node] = [Call("attribute_exists", (Path((key_names[0],)),))] if must_exist else []
        for term in _terms(self._root):
            equality = _restriction(term)
            if equality is None or equality.operator != "=" or equality.name not in key_names:
                rest.append(term)
            elif equality.name in key:
                others.append((equality.name, key[equality.name], equality.operands[0]))
            else:
                key[equality.name] = equality.operands[0]
        if len(key) < len(key_names):
            raise no_item()
        return OneItem(tuple(key[name] for name in key_names), tuple(others), self._condition(rest))

    def _condition(self, terms: list[Node]) -> Condition | None:
        if not terms:
            return None
        return condition.from_tree(terms[0] if len(terms) == 1 else And(tuple(terms)), self._paths)

    def _access(self, hash_names: tuple[str, ...], range_names: tuple[str, ...]) -> Access:
        terms = _terms(self._root)
        hash_values: tuple[tuple[str, ...], ...] | None
        if len(hash_names) == 1:
            values = _hash_values(self._root, hash_names[0])
            hash_values = None if values is None else tuple((value,) for value in values)
            used = [term for term in terms if _only_names(_restriction(term), hash_names[0], values or ())]
        else:
            used = [term for name in hash_names if (term := _equality(terms, name)) is not None]
            hash_values = (tuple(map(_operand, used)),) if len(used) == len(hash_names) else None
        if hash_values is None:
            return Access(None, (), (), self._condition([self._root]))
        if len(hash_values) > PARTIQL_HASH_VALUES_MAX:
            raise ValidationError(
                f"The IN operator is provided with too many operands; number of operands: {len(hash_values)}"
            )
        equal: list[str] = []
        for name in range_names[:-1]:
            term = _equality(terms, name)
            if term is None:
                break
            equal.append(_operand(term))
            used.append(term)
        sort = []
        for term in terms if range_names else ():
            restriction = _restriction(term)
            if restriction is not None and restriction.name == range_names[len(equal)]:
                sort.append(restriction)
                used.append(term)
        rest = [term for term in terms if not any(term is each for each in used)]
        return Access(hash_values, tuple(equal), tuple(sort), self._condition(rest))


def no_item() -> ValidationError:
    return ValidationError("Where clause does not contain a mandatory equality on all key attributes")


def where(expression: Expression, scope: Scope) -> Where:
    """Raises ValidationError for what is wrong whatever the parameters are and whatever the table's key is."""
    translation = _Translation(scope)
    if not isinstance(expression, Operation | TypeTest | Apply):
        raise ValidationError("WHERE clause must contain an expression that resolves to a boolean")
    root = translation.boolean(expression)
    checks = Checks(_KIND)
    for predicate in translation.predicates:
        condition.check_predicate(checks, predicate)
    checks.close(0)  # the parser has counted the operators
    return Where(root, translation.paths, checks)


def run(checks: Checks, values: Values) -> None:
    """Raise what the checks find. To PartiQL AWS says what is wrong, but not in which expression."""
    try:
        checks.run(values)
    except ValidationError as error:
        raise bare(checks.expression, error) from None


def bare(expression: str, error: ValidationError) -> ValidationError:
    return ValidationError(error.message.removeprefix(f"Invalid {expression}: "))


# ---- Translation -------------------------------------------------------------------------------------


class _Translation:
    """Of one clause; collects what has to be checked."""

    __slots__ = ("_scope", "paths", "predicates")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.paths: list[path.Path] = []
        self.predicates: list[Predicate] = []  # in the order of the text

    def boolean(self, expression: Expression) -> Node:
        match expression:
            case Operation(_, "AND" | "OR" as operator, operands):
                terms = tuple(self._term(operator, each) for each in operands)
                return And(terms) if operator == "AND" else Or(terms)
            case Operation(_, "NOT", (operand,)):
                if not isinstance(operand, Operation | TypeTest | Apply):
                    raise ValidationError("The argument to NOT must be a Type or Expression")
                return Not(self.boolean(operand))
            case TypeTest():
                return self._type_test(expression)
        predicate = self._predicate(expression)
        self.predicates.append(predicate)
        return predicate

    def _term(self, operator: str, expression: Expression) -> Node:
        if not isinstance(expression, Operation | TypeTest | Apply):
            raise ValidationError("The arguments to AND/OR must be Expressions")
        if isinstance(expression, Apply) and expression.function == "size":
            raise _wrong_type(operator, "N")
        return self.boolean(expression)

    def _predicate(self, expression: Expression) -> Predicate:
        match expression:
            case Operation(_, operator, (left, right)) if operator in _COMPARATORS:
                return Comparison(operator, self._operand(left, operator), self._operand(right, operator))
            case Operation(_, "BETWEEN", (operand, low, high)):
                return Between(*(self._operand(each, "BETWEEN") for each in (operand, low, high)))
            case Operation(_, "IN", (operand, options)):
                if not isinstance(options, ListOrBag) or not options.elements:
                    raise ValidationError(
                        "IN operator must have a left hand argument of type Variable Reference and right hand "
                        "argument of type Seq with at least one member"
                    )
                return Membership(
                    self._operand(operand, "IN"), tuple(self._operand(each, "IN") for each in options.elements)
                )
            case Operation(_, operator, _):
                raise _unsupported_operator(operator)
            case Apply(_, "size"):
                raise ValidationError("WHERE clause must contain an expression that resolves to a boolean")
            case Apply():
                return self._call(expression)
        raise AssertionError(f"not a condition: {expression}")

    def _operand(self, expression: Expression, operator: str) -> Operand:
        value = self._scope.value(expression)
        if value is not None:
            return value
        match expression:
            case Reference(_, parts):
                self.paths.append(parts)
                return Path(parts)
            case Apply():
                if expression.function in CONDITION_FUNCTIONS and expression.function != "size":
                    raise _wrong_type(operator, "BOOL")
                return self._call(expression)
            case Missing():
                raise ValidationError("MISSING must be compared using IS operator")
            case Operation(_, inner, _) if inner in _COMPARATORS or inner in ("AND", "OR", "NOT", "BETWEEN", "IN"):
                raise _wrong_type(operator, "BOOL")
            case Operation(_, inner, _):
                raise _unsupported_operator(inner)
        raise _wrong_type(operator, "BOOL")

    def _call(self, expression: Apply) -> Call:
        function = expression.function
        if function not in CONDITION_FUNCTIONS:
            if function in OPERAND_COUNTS or function in ("set_add", "set_delete"):
                raise ValidationError(
                    f"The function is not allowed in a condition expression; function: {function}"
                )
            raise unrecognized(function)
        return Call(function, tuple(self._operand(each, function) for each in expression.operands))

    def _type_test(self, expression: TypeTest) -> Node:
        operand, type_name = expression.operand, expression.type_name
        if not isinstance(operand, Reference | Constant | ListOrBag):
            raise ValidationError("The left hand side argument to IS must be a Variable Reference, Literal, or Path")
        tested = self._operand(operand, "IS")
        if type_name.kind == "MISSING":
            predicate = Call("attribute_not_exists", (tested,))
        elif type_name.kind in _TYPES:
            kind = self._scope.literal({"S": _TYPES[type_name.kind]})
            predicate = Call("attribute_type", (tested, kind))
        else:
            name = {"INT": "INTEGER", "DEC": "DECIMAL"}.get(type_name.kind, type_name.kind)
            raise ValidationError(
                f"Unsupported data type for IS operator: {name}. Supported data types are "
                "[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]"
                + self._scope.place(expression)
            )
        self.predicates.append(predicate)
        return predicate


def unrecognized(function: str) -> ValidationError:
    return ValidationError(f"Unrecognized function: {function}")


def _unsupported_operator(operator: str) -> ValidationError:
    return ValidationError(f"Unsupported operator in Condition Expression. Operator: {operator.lower()}")


def _wrong_type(operator: str, kind: str) -> ValidationError:
    return ValidationError(
        f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"
    )


# ---- What is about the key ---------------------------------------------------------------------------


def _terms(node: Node) -> list[Node]:
    """What has to hold, all of it."""
    if isinstance(node, And):
        return [inner for term in node.terms for inner in _terms(term)]
    return [node]


def _restriction(node: Node) -> Restriction | None:
    """The condition as one on a top-level attribute, if it compares one with values."""
    match node:
        case Comparison(operator, Path((str() as name,)), Value(value)) if operator in _FLIPPED:
            return Restriction(name, operator, (value,))
        case Comparison(operator, Value(value), Path((str() as name,))) if operator in _FLIPPED:
            return Restriction(name, _FLIPPED[operator], (value,))
        case Between(Path((str() as name,)), Value(low), Value(high)):
            return Restriction(name, "BETWEEN", (low, high))
        case Call("begins_with", (Path((str() as name,)), Value(prefix))):
            return Restriction(name, "begins_with", (prefix,))
        case Membership(Path((str() as name,)), options):
            values = tuple(option.name for option in options if isinstance(option, Value))
            return Restriction(name, "IN", values) if len(values) == len(options) else None
    return None


def _equality(terms: list[Node], name: str) -> Node | None:
    """The first of the terms that says what the attribute is equal to."""
    for term in terms:
        restriction = _restriction(term)
        if restriction is not None and restriction.name == name and restriction.operator == "=":
            return term
    return None


def _operand(equality: Node) -> str:
    restriction = _restriction(equality)
    assert restriction is not None
    return restriction.operands[0]


def _hash_values(node: Node, hash_name: str) -> tuple[str, ...] | None:
    """Values one of which the partition key must have for the condition to hold; None if any will do."""
    match node:
        case And(terms):
            # The first that says so. Others can only rule some of them out, and are asked as filters.
            return next((found for term in terms if (found := _hash_values(term, hash_name)) is not None), None)
        case Or(terms):
            several = [_hash_values(term, hash_name) for term in terms]
            if any(found is None for found in several):
                return None
            return tuple(placeholder for found in several if found is not None for placeholder in found)
    restriction = _restriction(node)
    if restriction is not None and restriction.name == hash_name and restriction.operator in ("=", "IN"):
        return restriction.operands
    return None


def _only_names(restriction: Restriction | None, hash_name: str, hash_values: tuple[str, ...]) -> bool:
    """Whether the restriction says no more than that the partition key is one of these values."""
    return (
        restriction is not None
        and restriction.name == hash_name
        and restriction.operator in ("=", "IN")
        and restriction.operands == hash_values
    )
