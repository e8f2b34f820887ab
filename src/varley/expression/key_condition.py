"""KeyConditionExpression: from a condition to one partition key value and one range of sort keys.

The text is a condition like any other (same grammar, same checks), of which only this much is allowed:

    pk = :value
    pk = :value AND sk = | < | <= | > | >= :value
    pk = :value AND sk BETWEEN :low AND :high
    pk = :value AND begins_with(sk, :prefix)

with the two conditions in either order, and the two sides of a comparison too (:value < sk is sk > :value).

A global index may have several attributes in both parts of its key. Then a condition has = for every attribute of the
partition key, and, of those of the sort key, = for as many as it likes from the left, and perhaps one of the other
conditions on the next ([DG] "Global secondary indexes", "Multi-attribute keys").

What is refused, and in which order, as probed on DynamoDB Local 2.x (2025):

    1. all that is wrong with it as a condition                      `parse` and `KeyCondition.check`
    2. a path into a key attribute
    3. condition by condition: OR, NOT and other operators; two attributes; no attribute; ...
    4. more than one condition for an attribute; more than two conditions (more than the index's key has attributes)
    5. the partition key: missing, of a wrong type, not =, empty, too long
    6. the same for the sort key

2 and later are raised by `bind`: AWS looks for unused placeholders (names.py) before them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from varley.errors import ValidationError
from varley.expression import condition
from varley.expression.cache import Cache
from varley.expression.condition import Condition, check_scalar_keys
from varley.expression.operands import Values
from varley.expression.tree import And, Between, Call, Comparison, Membership, Not, Operand, Or, Path, Value
from varley.expression.tree import Condition as Node
from varley.item.size import value_size
from varley.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX

Scalar = dict[str, Any]
"""An attribute value of type S, N or B."""

_KIND = "KeyConditionExpression"


class KeyRange(NamedTuple):
    """What to read: all of one partition key value, or the sort keys that `operator` and `operands` allow."""

    hash_value: Scalar
    operator: str | None = None           # = < <= > >= BETWEEN begins_with; None is every sort key
    operands: tuple[Scalar, ...] = ()     # two for BETWEEN (low <= high), none for None, else one

    def bounds(self, sort_bytes: Callable[[Scalar], bytes]) -> tuple[bytes, bytes | None]:
        """The same as a half-open range [low, high) of sort keys' order-preserving bytes; None is no end.

        `sort_bytes` must keep order, and for S and B give the bytes themselves, or begins_with means nothing.
        """
        return range_bounds(self.operator, [sort_bytes(operand) for operand in self.operands])


class IndexRange(NamedTuple):
    """The same of a global index."""

    hash_values: tuple[Scalar, ...]     # of all attributes of the partition key
    equal: tuple[Scalar, ...]           # of the leading attributes of the sort key, perhaps of none
    operator: str | None                # what is asked of the attribute after those; None: nothing
    operands: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Restriction:
    """One of the conditions: attribute operator operands. Operators are those of KeyRange."""

    name: str
    operator: str
    operands: tuple[str, ...]  # :placeholders


class KeyCondition:
    """A parsed key condition. Call `check`, then `bind`."""

    __slots__ = ("_nested_names", "_problem", "_restrictions", "check", "names_used", "values_used")

    def __init__(
        self,
        restrictions: Mapping[str, Restriction],
        problem: str | None = None,
        parsed: Condition | None = None,
    ) -> None:
        self._restrictions = restrictions
        self._problem = problem  # what is wrong whatever the key is; `bind` raises it
        self._nested_names = parsed.nested_names if parsed else ()
        self.names_used: frozenset[str] = parsed.names_used if parsed else frozenset()
        """#placeholders in the text."""
        self.values_used: frozenset[str] = parsed.values_used if parsed else frozenset()
        """:placeholders in the text."""
        self.check: Callable[[Values], None] = parsed.check if parsed else _check_nothing
        """check(values): as Condition.check."""

    def bind(
        self,
        hash_name: str,
        hash_type: str,
        range_name: str | None,
        range_type: str | None,
        values: Values,
        index: str | None = None,
    ) -> KeyRange:
        """The range of keys of a table, or of the index of this name, with this key. Types are "S", "N" or "B".

        Raises ValidationError if the condition does not fit the key. `check` must have passed.
        """
        key_names = (hash_name,) if range_name is None else (hash_name, range_name)
        if self._nested_names:
            check_scalar_keys(self._nested_names, key_names)
        if self._problem is not None:
            raise ValidationError(self._problem)
        if len(self._restrictions) > 2:
            raise ValidationError("Conditions can be of length 1 or 2 only")
        return _bind(self._restrictions, hash_name, hash_type, range_name, range_type, values, index)

    def bind_index(
        self,
        hash_parts: Sequence[tuple[str, str]],
        range_parts: Sequence[tuple[str, str]],
        values: Values,
        index: str,
    ) -> IndexRange:
        """The range of keys of the global index of this name, whose key has these attributes: (name, type) of each, in
        order.

        Raises ValidationError if the condition does not fit the key. `check` must have passed.
        """
        if len(hash_parts) == 1 and len(range_parts) <= 1:
            range_name, range_type = range_parts[0] if range_parts else (None, None)
            bound = self.bind(*hash_parts[0], range_name, range_type, values, index)
            return IndexRange((bound.hash_value,), (), bound.operator, bound.operands)
        if self._nested_names:
            check_scalar_keys(self._nested_names, tuple(name for name, _ in (*hash_parts, *range_parts)))
        if self._problem is not None:
            raise ValidationError(self._problem)
        return _bind_index(self._restrictions, hash_parts, range_parts, values, index)


def parse(text: str, names: Mapping[str, str] | None) -> KeyCondition:
    """`names` is ExpressionAttributeNames. Raises ValidationError for what is wrong as a condition."""
    return _CACHE.get(text, names)


def range_bounds(operator: str | None, operands: Sequence[bytes]) -> tuple[bytes, bytes | None]:
    """[low, high) of the byte strings for which `operator operands` holds; None is no end.

    The byte string right after b is b + 00: nothing fits between the two.
    """
    match operator, operands:
        case None, []:
            return b"", None
        case "=", [value]:
            return value, value + b"\0"
        case "<", [value]:
            return b"", value
        case "<=", [value]:
            return b"", value + b"\0"
        case ">", [value]:
            return value + b"\0", None
        case ">=", [value]:
            return value, None
        case "BETWEEN", [low, high]:
            return low, high + b"\0"
        case "begins_with", [prefix]:
            return prefix, after_prefix(prefix)
    raise AssertionError(f"not a condition on a sort key: {operator} with {len(operands)} operands")


def after_prefix(prefix: bytes) -> bytes | None:
    """The first byte string after all those that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _check_nothing(values: Values) -> None:
    pass


def _parse(text: str, names: Mapping[str, str]) -> KeyCondition:
    parsed = condition.read(_KIND, text, names)
    try:
        return KeyCondition(_restrictions(parsed.root), None, parsed)
    except ValidationError as error:
        return KeyCondition({}, error.message, parsed)


_CACHE: Cache[KeyCondition] = Cache(_parse)


# ---- The form of the condition, whatever the key -----------------------------------------------------

_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _restrictions(root: Node) -> dict[str, Restriction]:
    """The conditions by attribute. Raises ValidationError."""
    found: dict[str, Restriction] = {}
    for node in _conjuncts(root):
        restriction = _restriction(node)
        if restriction.name in found:
            raise ValidationError("KeyConditionExpressions must only contain one condition per key")
        found[restriction.name] = restriction
    return found


def _conjuncts(node: Node) -> list[Node]:
    if isinstance(node, And):
        return [conjunct for term in node.terms for conjunct in _conjuncts(term)]
    return [node]


def _restriction(node: Node) -> Restriction:
    match node:
        case Comparison(operator, left, right) if operator in _FLIPPED:
            operands: tuple[Operand, ...] = (left, right)
        case Between(operand, low, high):
            operator, operands = "BETWEEN", (operand, low, high)
        case Call("begins_with", (operand, prefix)):
            operator, operands = "begins_with", (operand, prefix)
        case Comparison(operator) | Call(operator):
            raise _invalid_operator(operator)
        case Membership():
            raise _invalid_operator("IN")
        case Or():
            raise _invalid_operator("OR")
        case Not():
            raise _invalid_operator("NOT")
        case _:
            raise AssertionError(f"not a condition: {node}")
    name: str | None = None
    for i, operand in enumerate(operands):
        if isinstance(operand, Call):
            raise ValidationError("KeyConditionExpressions cannot contain nested operations")
        if isinstance(operand, Path):
            if name is not None:
                raise _invalid_condition("Multiple attribute names used in one condition")
            if len(operand.parts) > 1:
                raise ValidationError("KeyConditionExpressions cannot have conditions on nested attributes")
            name = str(operand.parts[0])
        elif i == 0 and operator in ("BETWEEN", "begins_with"):
            raise _invalid_condition(f"{operator} operator must have the key attribute as its first operand")
    if name is None:
        raise _invalid_condition("No key attribute specified")
    if isinstance(operands[0], Value):
        operator = _FLIPPED[operator]
    placeholders = tuple(operand.name for operand in operands if isinstance(operand, Value))
    return Restriction(name, operator, placeholders)


def _invalid_operator(operator: str) -> ValidationError:
    return ValidationError(f"Invalid operator used in KeyConditionExpression: {operator}")


def _invalid_condition(problem: str) -> ValidationError:
    return ValidationError(f"Invalid condition in KeyConditionExpression: {problem}")


# ---- The condition against a key ---------------------------------------------------------------------


def _bind(
    restrictions: Mapping[str, Restriction],
    hash_name: str,
    hash_type: str,
    range_name: str | None,
    range_type: str | None,
    values: Values,
    index: str | None,
) -> KeyRange:
    if len(restrictions) > 1 and range_name is None:
        raise _unsupported()
    hash_value = _hash_value(restrictions, hash_name, hash_type, values, index)
    if len(restrictions) == 1:
        return KeyRange(hash_value)
    assert range_name is not None
    assert range_type is not None
    on_range = restrictions.get(range_name)
    if on_range is None:
        raise _missed(range_name)
    return KeyRange(hash_value, on_range.operator, _range_values(on_range, range_type, values, index))


def _bind_index(
    restrictions: Mapping[str, Restriction],
    hash_parts: Sequence[tuple[str, str]],
    range_parts: Sequence[tuple[str, str]],
    values: Values,
    index: str,
) -> IndexRange:
    hash_values = tuple(_hash_value(restrictions, name, kind, values, index) for name, kind in hash_parts)
    left = len(restrictions) - len(hash_parts)    # conditions on attributes that were not looked at yet
    equal: list[Scalar] = []
    operator: str | None = None
    operands: tuple[Scalar, ...] = ()
    for name, kind in range_parts:
        if left == 0:
            break
        restriction = restrictions.get(name)
        if restriction is None:
            raise _missed(name)    # there is one on a later attribute, or on something else
        if operator is not None:
            raise _unsupported()    # only the last may be other than =
        found = _range_values(restriction, kind, values, index)
        left -= 1
        if restriction.operator == "=":
            equal += found
        else:
            operator, operands = restriction.operator, found
    if left:
        raise _unsupported()
    return IndexRange(hash_values, tuple(equal), operator, operands)


def _hash_value(
    restrictions: Mapping[str, Restriction], name: str, kind: str, values: Values, index: str | None
) -> Scalar:
    restriction = restrictions.get(name)
    if restriction is None:
        raise _missed(name)
    operands = _operands(restriction, kind, values)
    if restriction.operator != "=":
        raise _unsupported()
    _check_not_empty(restriction, operands, index)
    (value,) = operands
    if value_size(value) > PARTITION_KEY_BYTES_MAX:
        raise ValidationError(
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit "
            f"of{PARTITION_KEY_BYTES_MAX} bytes"  # the missing space is AWS's
        )
    return value


def _range_values(restriction: Restriction, kind: str, values: Values, index: str | None) -> tuple[Scalar, ...]:
    operands = _operands(restriction, kind, values)
    _check_not_empty(restriction, operands, index)
    for operand in operands:
        if value_size(operand) > SORT_KEY_BYTES_MAX:
            raise ValidationError(
                "One or more parameter values were invalid: Aggregated size of all range keys has exceeded "
                f"the size limit of {SORT_KEY_BYTES_MAX} bytes"
            )
    return operands


def _missed(name: str) -> ValidationError:
    return ValidationError(f"Query condition missed key schema element: {name}")


def _unsupported() -> ValidationError:
    return ValidationError("Query key condition not supported")


def _operands(restriction: Restriction, key_type: str, values: Values) -> tuple[Scalar, ...]:
    """The values that a key attribute is compared with. Raises ValidationError if one is not of its type."""
    operands = tuple(values[placeholder] for placeholder in restriction.operands)
    for operand in operands:
        if key_type not in operand:
            raise ValidationError(
                "One or more parameter values were invalid: "
                "Condition parameter type does not match schema type"
            )
    return operands


def _check_not_empty(restriction: Restriction, operands: tuple[Scalar, ...], index: str | None) -> None:
    for operand in operands:
        ((kind, content),) = operand.items()
        if content == "":
            noun = "string" if kind == "S" else "binary"
            problem = f"The AttributeValue for a key attribute cannot contain an empty {noun} value."
            if index is None:
                raise ValidationError(
                    f"One or more parameter values are not valid. {problem} Key: {restriction.name}"
                )
            raise ValidationError(
                "One or more parameter values are not valid. A value specified for a secondary index key is not "
                f"supported. {problem} IndexName: {index}, IndexKey: {restriction.name}"
            )
