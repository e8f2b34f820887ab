"""Attribute values: checking them on the way in.

A value is a dict with one member, its kind and content, as in {"S": "x"} or {"L": [{"N": "1"}]}; an item maps
attribute names to values. They stay the plain dicts and lists that one JSON decode gave: an object for each
would cost more than the rest of what is done with it. Nobody has looked at them before they come here, so
anything that JSON can say may be in them.

`check_item` does three things in one pass: it refuses what DynamoDB refuses, in AWS's words; it rewrites
numbers to normal form, in place; and it returns the size that limits and capacity are counted in (size.py).
Every written item goes through it, hence two tricks, each of which keeps work off the common case:

  - It does not ask for the types of values, strings and numbers. `content.isascii()` and `content.isdigit()`
    exist on str and on nothing else that JSON decodes to, so a wrong type ends in an AttributeError, or in a
    TypeError or IndexError, and only then somebody looks what it was.
  - Errors are found in the order of the pass. AWS finds every wrong JSON type in the whole body (while it
    deserializes, SerializationException) before it looks at any value (ValidationException). So when, and
    only when, something was refused, the item is walked again for wrong types, by `check_shape`. That covers
    one item; a caller whose request holds several values does the same for the others: when a request is
    about to fail with a ValidationException, it calls `check_shape` on each value in the body, in their
    order, and lets a SerializationError win.

The texts are the service's own, typing errors included, as its clients have reported them; those that only
DynamoDB Local has shown (2026) are marked [Local].
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NoReturn

from varley.errors import SerializationError, ValidationError
from varley.item import number
from varley.item.size import DOCUMENT_BYTES, ELEMENT_BYTES, name_size, texts_size
from varley.limits import (
    ATTRIBUTE_NAME_BYTES_MAX,
    ITEM_BYTES_MAX,
    NESTING_MAX,
    NUMBER_DIGITS_MAX,
    QUOTED_CHARS_MAX,
)

Value = dict[str, Any]
Item = dict[str, Value]

# In the order of the members of AWS's own type.
KINDS = ("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL")

# What the pass raises: its own refusals, and what comes of using content that is not what it was taken for
# (IndexError: a list where a value has to be).
_UNTAKEN = (ValidationError, TypeError, AttributeError, IndexError)


def check_item(item: dict[str, Any]) -> int:
    """The size in DynamoDB bytes of an item, or of any map of names to values, such as a Key.

    Rewrites it in place: numbers to normal form; members of a value that are null or unknown are dropped, as
    AWS ignores them. Raises, and it is always the client's fault: ValidationError; SerializationError if a
    JSON type is wrong anywhere in the item. After a raise some of the numbers may have been rewritten.

    Does not look at the 400 KB limit, nor at which attributes are keys and what those may hold.
    """
    try:
        return _names_size(item) + _values_size(item.values(), 0)
    except _SurelyTooLarge:
        raise
    except _UNTAKEN as error:
        for value in item.values():
            check_shape(value)
        _refuse_nulls(error, item.values())


def check_value(value: Any) -> int:
    """The size of one attribute value. Rewrites it in place and raises, as `check_item` does."""
    try:
        return _values_size((value,), 0)
    except _SurelyTooLarge:
        raise
    except _UNTAKEN as error:
        check_shape(value)
        _refuse_nulls(error, (value,))


def check_shape(value: Any, depth: int = 0) -> None:
    """Raises SerializationError if a JSON type in `value` is wrong, in AWS's words.

    Returns quietly for anything that AWS's deserializer takes, valid or not; null is taken everywhere. What
    lies deeper than any item may go is not looked at: a body nested ten thousand times must not exhaust the
    stack here, and is refused for its depth.
    """
    if value is None or depth > NESTING_MAX:
        return
    if type(value) is not dict:
        _refuse_type(value, "Unexpected value type in payload", f"class {_ATTRIBUTE_VALUE}")
    for kind, content in value.items():
        if content is None:
            continue
        if kind == "S" or kind == "N":
            _check_string_shape(content)
        elif kind == "B":
            _check_binary_shape(content)
        elif kind == "BOOL" or kind == "NULL":
            _check_boolean_shape(content)
        elif kind == "M":
            if type(content) is not dict:
                _refuse_type(content, "Unexpected field type", _JAVA_MAP)
            for member in content.values():
                check_shape(member, depth + 1)
        elif kind == "L":
            _check_list_shape(content)
            for element in content:
                check_shape(element, depth + 1)
        elif kind == "SS" or kind == "NS" or kind == "BS":
            _check_list_shape(content)
            check_member = _check_binary_shape if kind == "BS" else _check_string_shape
            for member in content:
                if member is not None:
                    check_member(member)


def _values_size(values: Iterable[Any], depth: int) -> int:
    """The sum of the sizes of values that lie inside `depth` lists and maps."""
    size = 0
    for value in values:
        try:
            [kind] = value
        except ValueError:
            size += _odd_value_size(value, depth)
            continue
        content = value[kind]
        if kind == "S":
            size += len(content) if content.isascii() else len(content.encode())
        elif kind == "N":
            # The first case of `normalize` and of `number.size`, written out: positive integers.
            if (
                content.isdigit()
                and content[0] != "0"
                and content[-2:] != "00"
                and len(content) <= NUMBER_DIGITS_MAX
                and content.isascii()
            ):
                size += (len(content) + 3) >> 1
            else:
                value["N"] = normal = number.normalize(content)
                size += number.size(normal)
        elif kind in _CONTENT_SIZE:
            size += _CONTENT_SIZE[kind](content, depth)
        else:
            size += _odd_value_size(value, depth)
    return size


def _names_size(members: dict[str, Any]) -> int:
    """The UTF-8 length of all names. Refuses names that are empty or too long."""
    if "" in members:
        raise ValidationError("Empty attribute name")  # [Local]
    names = "".join(members)
    size = len(names) if names.isascii() else len(names.encode())
    if size > ATTRIBUTE_NAME_BYTES_MAX and max(map(name_size, members)) > ATTRIBUTE_NAME_BYTES_MAX:
        raise ValidationError("Attribute name is too large, must be less than 65536 bytes")  # [Local]
    return size


def _odd_value_size(value: Value, depth: int) -> int:
    """`_values_size` of one value that does not consist of one known member."""
    known = {kind: value[kind] for kind in KINDS if value.get(kind) is not None}
    if not known:
        raise ValidationError(_EMPTY)
    check_shape(value, depth)    # wrong types go first, in the order of the members
    for kind, content in known.items():    # what is wrong with a member goes before there being several
        size = _values_size(({kind: content},), depth)
    if len(known) > 1:
        raise ValidationError(
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )
    value.clear()
    value.update(known)
    if "N" in known:
        value["N"] = number.normalize(known["N"])
    return size


def _binary_size(text: Any, _depth: int) -> int:
    # Not decoded, only looked at, in a third of the decoder's time: what is left after taking out the
    # alphabet has to be the padding. The last character before the padding carries bits beyond the last
    # byte; they have to be zero, as AWS demands too, so that equal bytes are equal text.
    rest = text.encode().translate(None, _BASE64)
    if len(text) % 4 or (rest and text[-1 - len(rest) :] not in _BASE64_ENDS):
        _refuse_binary(text)
    return len(text) // 4 * 3 - len(rest)


def _boolean_size(content: Any, _depth: int) -> int:
    if content is not True and content is not False:
        raise TypeError("not a boolean")
    return 1


def _null_size(content: Any, _depth: int) -> int:
    if content is True:
        return 1
    if content is not False:
        raise TypeError("not a boolean")
    raise ValidationError(f"{_INVALID}: Null attribute value types must have the value of true")


def _list_size(elements: Any, depth: int) -> int:
    if type(elements) is not list:
        raise TypeError("not a list")
    _refuse_if_surely_too_large(len(elements))
    return _enter(depth) + ELEMENT_BYTES * len(elements) + _values_size(elements, depth + 1)


def _map_size(members: Any, depth: int) -> int:
    if type(members) is not dict:
        raise TypeError("not a map")
    _refuse_if_surely_too_large(len(members))
    size = _enter(depth) + ELEMENT_BYTES * len(members)
    return size + _names_size(members) + _values_size(members.values(), depth + 1)


def _enter(depth: int) -> int:
    """What a list or map itself counts for, unless it lies too deep.

    The value inside the deepest list or map is a level as well: 31 of them around a scalar are taken, a 32nd
    is not, even if it is empty (eu-west-2, 2026-06, as reported by users; DynamoDB Local agrees).
    """
    if depth + 1 >= NESTING_MAX:
        raise ValidationError(
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit"
        )
    return DOCUMENT_BYTES


def _string_set_size(members: Any, _depth: int) -> int:
    if type(members) is not list:
        raise TypeError("not a list")
    if not members:
        raise ValidationError(f"{_INVALID}: An string set  may not be empty")
    if None in members:
        raise ValidationError(f"{_INVALID}: An string set may not have a null string as a member")  # [Local]
    _refuse_if_surely_too_large(len(members) - 1)   # one may be empty
    size = texts_size(members)
    if len(set(members)) != len(members):
        raise ValidationError(f"{_INVALID}: Input collection [{_listed(members)}] contains duplicates.")
    return size


def _number_set_size(members: Any, _depth: int) -> int:
    if type(members) is not list:
        raise TypeError("not a list")
    if not members:
        raise ValidationError(f"{_INVALID}: An number set  may not be empty")
    if None in members:
        raise ValidationError("The parameter cannot be converted to a numeric value")
    _refuse_if_surely_too_large(len(members))
    members[:] = map(number.normalize, members)
    if len(set(members)) != len(members):
        raise ValidationError("Input collection contains duplicates")
    return sum(map(number.size, members))


def _binary_set_size(members: Any, depth: int) -> int:
    if type(members) is not list:
        raise TypeError("not a list")
    if not members:
        raise ValidationError(f"{_INVALID}: Binary sets should not be empty")
    if None in members:
        raise ValidationError(f"{_INVALID}: Binary sets may not contain null values")  # not seen, inferred
    _refuse_if_surely_too_large(len(members) - 1)
    size = 0
    for member in members:
        size += _binary_size(member, depth)
    if len(set(members)) != len(members):
        raise ValidationError(f"{_INVALID}: Input collection [{_listed(members)}]of type BS contains duplicates.")
    return size


def _listed(members: list[str]) -> str:
    return ", ".join(members[:QUOTED_CHARS_MAX])[:QUOTED_CHARS_MAX]


def _refuse_if_surely_too_large(count: int) -> None:
    """No item holds so many elements: each takes a byte at least. Refused before anybody looks at each of a million."""
    if count > ITEM_BYTES_MAX:
        raise _SurelyTooLarge("Item size has exceeded the maximum allowed size")


class _SurelyTooLarge(ValidationError):
    """Not worth a walk through all of it for wrong types."""


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64_ENDS = {*(last + "=" for last in "AEIMQUYcgkosw048"), *(last + "==" for last in "AQgw")}

_CONTENT_SIZE = {
    "B": _binary_size,
    "BOOL": _boolean_size,
    "NULL": _null_size,
    "M": _map_size,
    "L": _list_size,
    "SS": _string_set_size,
    "NS": _number_set_size,
    "BS": _binary_set_size,
}

_INVALID = "One or more parameter values were invalid"
_EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_ATTRIBUTE_VALUE = "com.amazonaws.dynamodb.v20120810.AttributeValue"
_JAVA_MAP = f"java.util.Map<java.lang.String, {_ATTRIBUTE_VALUE}>"


def _refuse_nulls(error: Exception, values: Collection[Any]) -> NoReturn:
    """Ends a check that met `error` in values whose shape is right."""
    if isinstance(error, ValidationError):
        raise error
    # Something was not what it was taken for, and yet no type is wrong: a null. AWS ignores nulls, so what
    # has to be there is missing.
    if any(map(_holds_null, values)):
        raise ValidationError(_EMPTY) from None
    raise error   # our mistake


def _holds_null(value: Any, depth: int = 0) -> bool:
    """Whether a value of the right shape is, or has inside, a null that leaves a value empty."""
    if depth > NESTING_MAX:
        return False
    if value is None or None in value.values():
        return True
    inside = (*value.get("L", ()), *value.get("M", {}).values())
    return any(_holds_null(element, depth + 1) for element in inside)


# Wrong types, in the words of AWS's JSON deserializer


def _check_string_shape(content: Any) -> None:
    if type(content) is not str:
        _refuse_type(content, f"{_token(content)} cannot be converted to String", "class java.lang.String")


def _check_boolean_shape(content: Any) -> None:
    if type(content) is str:
        raise SerializationError("Unexpected token received from parser")
    if type(content) is not bool:
        _refuse_type(content, f"{_token(content)} cannot be converted to Boolean", "class java.lang.Boolean")


def _check_binary_shape(content: Any) -> None:
    if type(content) is not str:
        text = "only base-64-encoded strings are convertible to bytes"
        _refuse_type(content, text, "class java.nio.ByteBuffer")
    _binary_size(content, 0)


def _check_list_shape(content: Any) -> None:
    if type(content) is not list:
        _refuse_type(content, "Unexpected field type", "")


def _refuse_type(content: Any, scalar_text: str, java_type: str) -> NoReturn:
    """Refuses content for its JSON type: a scalar with `scalar_text`, a list by its Java type."""
    if type(content) is dict:
        raise SerializationError("Start of structure or map found where not expected")
    if type(content) is list:
        raise SerializationError(f"Unrecognized collection type {java_type}")
    raise SerializationError(scalar_text)


def _token(content: Any) -> str:
    """What AWS's parser calls a JSON scalar that is no string."""
    if content is True:
        return "TRUE_VALUE"
    if content is False:
        return "FALSE_VALUE"
    return "NUMBER_VALUE" if type(content) is int else "DECIMAL_VALUE"


def _refuse_binary(text: str) -> NoReturn:
    if len(text) % 4:
        raise SerializationError(
            f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}"
        )
    raise SerializationError("Invalid last non-pad Base64 character dectected")  # sic
