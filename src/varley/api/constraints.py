"""The constraints of the service model: what is checked of a request before anybody looks what it means.

The service checks every member of a request against its model (required, lengths, values, patterns, sets of
words) and tells all that is wrong at once, up to ten complaints, in one text:

    2 validation errors detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must
    satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]; Value null at 'keySchema.1.member.keyType'
    failed to satisfy constraint: Member must not be null

Here the constraints of an operation are a table, `Members`, named for it, that names a request's fields and their
rules, in the order in which the service complains of them; `check` walks the request along it. Fields have their
Python names; how a member is spelt in a path is read from the request's class.

Good requests should not pay for it: the handlers of the data plane look at the few fields that requests
usually have (`has_unusual_write_options`) and come here only if there is anything else.

Sources: [API] the service model 2012-08-10 as it is in botocore 1.44.5; orders and words as the service has
them (observed in us-west-2 by others, and reported by users, to October 2026). The service's own order
looks like that of a hash table; where nobody has reported it, it is that of the model.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from varley.errors import ValidationError
from varley.limits import (
    LIST_TABLES_MAX,
    QUOTED_CHARS_MAX,
    SCAN_SEGMENTS_MAX,
    TABLE_NAME_CHARS_MAX,
    TABLE_NAME_CHARS_MIN,
)
from varley.table.table_name import TABLE_NAME_PATTERN

COMPLAINTS_MAX: Final = 10
# Of one list or map. No valid request has so many where an element's rules matter, and a request of 16 MB must not keep
# everybody waiting while its half a million elements are looked at.
_ELEMENTS_LOOKED_AT: Final = 10_000
_PACKAGE: Final = "com.amazonaws.dynamodb.v20120810"


def check(members: Members, request: msgspec.Struct) -> None:
    """Raises ValidationError, the client's fault, with all that `members` forbids in `request`."""
    complaints = list(islice(members.complaints(request, ""), COMPLAINTS_MAX))
    if complaints:
        count = len(complaints)
        plural = "" if count == 1 else "s"
        raise ValidationError(f"{count} validation error{plural} detected: {'; '.join(complaints)}")


# Rules. Each gives its complaints about one value that was found at a path; a value of None (a member that is
# not there) is the business of NotNull alone.


class Rule(Protocol):
    def complaints(self, value: Any, path: str) -> Iterator[str]: ...


class Members:
    """The rules for the members of a structure, by field name."""

    def __init__(self, **rules: Sequence[Rule]) -> None:
        self._rules = rules

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is None:
            return
        prefix = f"{path}." if path else ""
        if isinstance(value, msgspec.Struct):
            spellings = _spellings(type(value))
            for field, rules in self._rules.items():
                member = getattr(value, field)
                for rule in rules:
                    yield from rule.complaints(member, prefix + spellings[field])
        elif isinstance(value, dict):
            for field, rules in self._rules.items():
                name = "".join(map(str.capitalize, field.split("_")))
                for rule in rules:
                    yield from rule.complaints(value.get(name), prefix + _lower_first(name))


class Each:
    """Rules for every element of a list."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if isinstance(value, list):
            for number, element in enumerate(islice(value, _ELEMENTS_LOOKED_AT), start=1):
                for rule in self._rules:
                    yield from rule.complaints(element, f"{path}.{number}.member")


class EachValue:
    """Rules for every value of a map."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, element in islice(value.items(), _ELEMENTS_LOOKED_AT):
                for rule in self._rules:
                    yield from rule.complaints(element, f"{path}.{key}.member")


class NotNull:
    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is None:
            yield _complaint(value, path, "Member must not be null")


class OneOf:
    """A set of words, told in the service's order."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is not None and value not in self._words:
            yield _complaint(value, path, f"Member must satisfy enum value set: [{', '.join(self._words)}]")


class Length:
    """Of a string in characters, of a list or a map in elements."""

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        self.low = low
        self.high = high

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        for demand in self.broken_by(value):
            yield _complaint(value, path, demand)

    def broken_by(self, value: Any) -> Iterator[str]:
        if value is None:
            return
        if self.low is not None and len(value) < self.low:
            yield f"Member must have length greater than or equal to {self.low}"
        if self.high is not None and len(value) > self.high:
            yield f"Member must have length less than or equal to {self.high}"

    @property
    def demands(self) -> list[str]:
        """What is demanded, upper end first, as the service lists it for maps."""
        demands = []
        if self.high is not None:
            demands.append(f"Member must have length less than or equal to {self.high}")
        if self.low is not None:
            demands.append(f"Member must have length greater than or equal to {self.low}")
        return demands


class Range:
    """Of a number, both ends included."""

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        self._low = low
        self._high = high

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is None:
            return
        if self._low is not None and value < self._low:
            yield _complaint(value, path, f"Member must have value greater than or equal to {self._low}")
        if self._high is not None and value > self._high:
            yield _complaint(value, path, f"Member must have value less than or equal to {self._high}")


class Pattern:
    """Of a whole string."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._matches = re.compile(pattern).fullmatch

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is not None and not self._matches(value):
            yield _complaint(
                value, path, f"Member must satisfy regular expression pattern: {self._pattern}"
            )


class KeyLengths:
    """A `Length` for every key of a map; one complaint for the map."""

    def __init__(self, length: Length) -> None:
        self._length = length

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is not None and any(any(self._length.broken_by(key)) for key in value):
            yield _complaint(
                value, path, f"Map keys must satisfy constraint: [{', '.join(self._length.demands)}]"
            )


class ValueLengths:
    """A `Length` for every value of a map; one complaint for the map."""

    def __init__(self, length: Length) -> None:
        self._length = length

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is not None and any(any(self._length.broken_by(each)) for each in value.values()):
            yield _complaint(
                value, path, f"Map value must satisfy constraint: [{', '.join(self._length.demands)}]"
            )


class TableNameOrArn:
    """A table's name; an ARN passes, for `table_name` to take apart."""

    def __init__(self, chars_min: int) -> None:
        self._length = Length(chars_min, TABLE_NAME_CHARS_MAX)
        self._chars = Pattern(TABLE_NAME_PATTERN)

    def complaints(self, value: Any, path: str) -> Iterator[str]:
        if value is None or value.startswith("arn:"):
            return
        yield from self._length.complaints(value, path)
        if value or self._length.low != 1:
            yield from self._chars.complaints(value, path)


NOT_NULL: Final = NotNull()

# The data plane takes one and two characters for a name, and then finds no table; the control plane does not.
DATA_TABLE_NAME: Final = (NOT_NULL, TableNameOrArn(1))
TABLE_NAME: Final = (NOT_NULL, TableNameOrArn(TABLE_NAME_CHARS_MIN))
INDEX_NAME: Final = (
    Length(TABLE_NAME_CHARS_MIN, TABLE_NAME_CHARS_MAX),
    Pattern(TABLE_NAME_PATTERN),
)
START_TABLE_NAME: Final = (
    Pattern(TABLE_NAME_PATTERN),
    Length(TABLE_NAME_CHARS_MIN, TABLE_NAME_CHARS_MAX),
)
LIST_TABLES_LIMIT: Final = (Range(1, LIST_TABLES_MAX),)


# The data plane

CAPACITY_MODES: Final = frozenset({None, "NONE", "TOTAL", "INDEXES"})
_RETURN_VALUES: Final = frozenset({None, "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"})
_FAILURE_RETURN_VALUES: Final = frozenset({None, "NONE", "ALL_OLD"})
_COLLECTION_METRICS: Final = frozenset({None, "NONE", "SIZE"})

_CAPACITY: Final = (OneOf("INDEXES", "TOTAL", "NONE"),)
_METRICS: Final = (OneOf("SIZE", "NONE"),)
_ATTRIBUTES_TO_GET: Final = (Length(1), Each(Length(high=65535)))
_CONDITIONAL_OPERATOR: Final = (OneOf("OR", "AND"),)
_COMPARISON: Final = OneOf(
    "IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE",
    "CONTAINS",
)  # fmt: skip
_EXPECTED: Final = (EachValue(Members(comparison_operator=(_COMPARISON,))),)
_CONDITIONS: Final = (EachValue(Members(comparison_operator=(NOT_NULL, _COMPARISON))),)
_SELECT: Final = (OneOf("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"),)

GET_ITEM: Final = Members(
    return_consumed_capacity=_CAPACITY,
    attributes_to_get=_ATTRIBUTES_TO_GET,
    key=(NOT_NULL,),
    table_name=DATA_TABLE_NAME,
)


def _write(required: str, **more: Sequence[Rule]) -> Members:
    return Members(
        return_consumed_capacity=_CAPACITY,
        return_values=(OneOf("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"),),
        return_item_collection_metrics=_METRICS,
        return_values_on_condition_check_failure=(OneOf("ALL_OLD", "NONE"),),
        conditional_operator=_CONDITIONAL_OPERATOR,
        expected=_EXPECTED,
        **more,
        **{required: (NOT_NULL,)},
        table_name=DATA_TABLE_NAME,
    )


PUT_ITEM: Final = _write("item")
DELETE_ITEM: Final = _write("key")
UPDATE_ITEM: Final = _write(
    "key", attribute_updates=(EachValue(Members(action=(OneOf("ADD", "DELETE", "PUT"),))),)
)

BATCH_GET_ITEM: Final = Members(
    return_consumed_capacity=_CAPACITY,
    request_items=(
        NOT_NULL,
        Length(1, 100),
        KeyLengths(Length(1, 1024)),
        EachValue(Members(keys=(NOT_NULL, Length(1, 100)), attributes_to_get=_ATTRIBUTES_TO_GET)),
    ),
)
BATCH_WRITE_ITEM: Final = Members(
    return_consumed_capacity=_CAPACITY,
    return_item_collection_metrics=_METRICS,
    request_items=(
        NOT_NULL,
        Length(1, 25),
        KeyLengths(Length(1, 1024)),
        ValueLengths(Length(1, 25)),
        EachValue(
            Each(
                Members(
                    put_request=(Members(item=(NOT_NULL,)),),
                    delete_request=(Members(key=(NOT_NULL,)),),
                )
            )
        ),
    ),
)

_RANGE_READ: Final[dict[str, Sequence[Rule]]] = {
    "select": _SELECT,
    "limit": (Range(1),),
    "return_consumed_capacity": _CAPACITY,
    "attributes_to_get": _ATTRIBUTES_TO_GET,
    "conditional_operator": _CONDITIONAL_OPERATOR,
}
QUERY: Final = Members(
    **_RANGE_READ,
    query_filter=_CONDITIONS,
    key_conditions=_CONDITIONS,
    index_name=INDEX_NAME,
    table_name=DATA_TABLE_NAME,
)
SCAN: Final = Members(
    **_RANGE_READ,
    total_segments=(Range(1, SCAN_SEGMENTS_MAX),),
    segment=(Range(0, SCAN_SEGMENTS_MAX - 1),),
    scan_filter=_CONDITIONS,
    index_name=INDEX_NAME,
    table_name=DATA_TABLE_NAME,
)


def has_unusual_write_options(request: Any) -> bool:
    """Whether a PutItem, DeleteItem or UpdateItem has what only `check` can judge. HOT PATH.

    UpdateItem's old-style updates are looked at there.
    """
    return (
        request.return_values not in _RETURN_VALUES
        or request.return_consumed_capacity not in CAPACITY_MODES
        or request.return_values_on_condition_check_failure not in _FAILURE_RETURN_VALUES
        or request.return_item_collection_metrics not in _COLLECTION_METRICS
        or request.conditional_operator is not None
        or request.expected is not None
    )


# How values and paths are written


def _complaint(value: Any, path: str, demand: str) -> str:
    shown = "null" if value is None else f"'{_java_text(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {demand}"


def _java_text(value: Any) -> str:
    """`value` as Java's toString() gives it, or how that begins: a request of 16 MB gets no answer of 200."""
    pieces: list[str] = []
    chars = 0
    for piece in _java_pieces(value):
        pieces.append(piece)
        chars += len(piece)
        if chars > QUOTED_CHARS_MAX:
            return f"{''.join(pieces)[:QUOTED_CHARS_MAX]}..."
    return "".join(pieces)


def _java_pieces(value: Any) -> Iterator[str]:
    """The text of `value`, piece by piece. A structure has none of its own in Java: its class and a number."""
    match value:
        case bool():
            yield "true" if value else "false"
        case list():
            yield "["
            for number, each in enumerate(value):
                yield ", " if number else ""
                yield from _java_pieces(each)
            yield "]"
        case dict():
            yield "{"
            for number, (key, each) in enumerate(value.items()):
                yield f", {key}=" if number else f"{key}="
                yield from _java_pieces(each)
            yield "}"
        case msgspec.Struct():
            yield f"{_PACKAGE}.{type(value).__name__}@{zlib.crc32(msgspec.json.encode(value)):x}"
        case _:
            yield str(value)


@cache
def _spellings(shape: type[msgspec.Struct]) -> dict[str, str]:
    """How paths spell the members of `shape`, by field name: {"table_name": "tableName"}."""
    return {field.name: _lower_first(field.encode_name) for field in msgspec.structs.fields(shape)}


def _lower_first(name: str) -> str:
    # The first letter only, whatever follows: SSESpecification is sSESpecification in the service's paths.
    return name[:1].lower() + name[1:]
