"""From the bytes of a body to a typed request.

The problem: a request must be decoded in a microsecond, and a wrong one must be refused in AWS's words,
which tell which JSON token stood where another was expected. The idea: decode with one typed msgspec call
and, only when that fails, walk the untyped JSON against the very same type to find the first thing that
AWS would have stumbled over. So each request's shape is written once, as its msgspec.Struct, and the walk
costs good requests nothing. Rejected: a hand-written walk for each request (dynalite's way): slower, and it
says everything twice.

What a decoded request is not yet: attribute values are plain dicts (`{"S": "x"}`), to be checked by
`item.value`; members that AWS requires may be None, to be refused by `api.constraints`.

A Struct describes a shape of the service model by its annotations:
    str | None                 String             dict[str, X] | None      Map
    int | None                 Integer (or Long: `Annotated[int, LONG]`)
    bool | None                Boolean            list[X] | None           List
    AttributeValue             one attribute value, checked here only for being an object
    another Struct             Structure; its Java class name is its own name
Unknown members are ignored, as AWS ignores them. A null is a member that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect

from varley.errors import SerializationError
from varley.item.value import check_shape

AttributeValue = Annotated[dict[str, Any], msgspec.Meta(extra={"class": "AttributeValue"})]
Attributes = dict[str, AttributeValue]
LONG = msgspec.Meta(extra={"class": "Long"})

_WALKED_BYTES_MAX = 1024 * 1024
_PACKAGE = "com.amazonaws.dynamodb.v20120810."

T = TypeVar("T")


class Request(msgspec.Struct, rename="pascal", kw_only=True):
    """Base of all request shapes: members are spelt TableName on the wire, table_name here."""


class Structure(msgspec.Struct, rename="pascal", kw_only=True):
    """Base of the shapes inside requests."""


def decoder(shape: type[T]) -> Callable[[bytes], T]:
    """The function that decodes bodies of `shape`. Raises SerializationError in AWS's words."""
    decode = msgspec.json.Decoder(shape).decode

    def decode_or_explain(body: bytes) -> T:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _explain(body, shape)

    return decode_or_explain


class Condition(Structure):
    """An old-style condition: a member of KeyConditions, QueryFilter and ScanFilter."""

    attribute_value_list: list[AttributeValue] | None = None
    comparison_operator: str | None = None


class ExpectedAttributeValue(Structure):
    """A member of Expected."""

    value: AttributeValue | None = None
    exists: bool | None = None
    comparison_operator: str | None = None
    attribute_value_list: list[AttributeValue] | None = None


class AttributeValueUpdate(Structure):
    """A member of AttributeUpdates."""

    value: AttributeValue | None = None
    action: str | None = None


OldStyle = dict[str, Any]    # a map of the structures above; they stay dicts, and `old_style` checks their shape


def old_style(given: OldStyle | None, shape: type[Structure]) -> OldStyle | None:
    """`given` if its members have the shape. Raises SerializationError.

    Old-style parameters are rare: their members are decoded without a type, and looked at here when there are any.
    """
    if given is None:
        return None
    try:
        msgspec.convert(given, _map_of(shape))
    except msgspec.ValidationError:
        pass    # what AWS takes all the same, and what it says if not
    else:
        return given
    kind = inspect.type_info(shape)
    return {name: _walk(member, kind) or {} for name, member in given.items()}


@cache
def _map_of(shape: type[Structure]) -> Any:
    return dict[str, shape]  # type: ignore[valid-type]


def check_body(body: bytes, shape: type[Request]) -> None:
    """Raise SerializationError if anything in a body that was decoded has the wrong JSON type.

    For a request that is about to be refused with a ValidationError: AWS looks at the types of the whole body first,
    attribute values included, where we look at them when we come to them. A body that is larger than any valid request
    for one item is not looked at once more: that would take longer than all the rest.
    """
    if len(body) > _WALKED_BYTES_MAX:
        return
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SerializationError() from None    # in a member that the typed decoder has skipped
    if isinstance(tree, dict):
        _walk_structure(tree, inspect.type_info(shape))


def _explain(body: bytes, shape: type[T]) -> T:
    """Find what is wrong with `body`; or, where AWS would have taken it, decode it leniently."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SerializationError() from None
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise SerializationError(
                f"Unrecognized collection type class {_PACKAGE}{shape.__name__.removesuffix('Request')}Input"
            )
        raise SerializationError("Unexpected value type in payload")
    coerced = _walk_structure(tree, inspect.type_info(shape))
    try:
        return msgspec.convert(coerced, shape)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{shape.__name__}: the walk let through what the decoder refuses: {error}") from error


def _walk(value: Any, kind: inspect.Type) -> Any:
    """`value` as the decoder wants it, or SerializationError. `None` stands for a missing member."""
    if isinstance(kind, inspect.UnionType):
        if value is None:
            return None
        kind = next(option for option in kind.types if not isinstance(option, inspect.NoneType))
    extra: dict[str, str] = {}
    if isinstance(kind, inspect.Metadata):
        extra = kind.extra or {}
        kind = kind.type
    if isinstance(kind, inspect.StructType):
        if isinstance(value, list):
            raise SerializationError(f"Unrecognized collection type class {_PACKAGE}{kind.cls.__name__}")
        if value is not None and not isinstance(value, dict):
            raise SerializationError("Unexpected value type in payload")
        return None if value is None else _walk_structure(value, kind)
    if extra.get("class") == "AttributeValue":
        return _walk_attribute_value(value)
    if isinstance(kind, inspect.DictType):
        return _walk_map(value, kind)
    if isinstance(kind, inspect.ListType):
        return _walk_list(value, kind)
    return _walk_scalar(value, kind, extra.get("class", ""))


def _walk_structure(value: dict[str, Any], kind: inspect.Type) -> dict[str, Any]:
    assert isinstance(kind, inspect.StructType)
    fields = _fields(kind.cls)
    return {name: _walk(member, fields[name]) for name, member in value.items() if name in fields}


@cache
def _fields(shape: type) -> dict[str, inspect.Type]:
    """The types of a structure's members, by their names on the wire."""
    kind = inspect.type_info(shape)
    assert isinstance(kind, inspect.StructType)
    return {field.encode_name: field.type for field in kind.fields}


def _walk_map(value: Any, kind: inspect.DictType) -> Any:
    if isinstance(value, list):
        raise SerializationError(f"Unrecognized collection type {_java(kind)}")
    if value is not None and not isinstance(value, dict):
        raise SerializationError("Unexpected field type")
    return None if value is None else {
        key: _walk_element(member, kind.value_type) for key, member in value.items()
    }


def _walk_list(value: Any, kind: inspect.ListType) -> Any:
    if isinstance(value, dict):
        raise SerializationError("Start of structure or map found where not expected")
    if value is not None and not isinstance(value, list):
        raise SerializationError("Unexpected field type")
    return None if value is None else [_walk_element(member, kind.item_type) for member in value]


def _walk_element(value: Any, kind: inspect.Type) -> Any:
    """Of a list or a map. A null there cannot be left out as a member can: it is the empty element."""
    if value is not None:
        return _walk(value, kind)
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.StructType() | inspect.DictType():
            return {}
        case inspect.ListType():
            return []
        case inspect.StrType():
            return ""
    raise SerializationError()


def _walk_attribute_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}    # which is refused when values are looked at
    if isinstance(value, list):
        raise SerializationError(f"Unrecognized collection type class {_PACKAGE}AttributeValue")
    if not isinstance(value, dict):
        raise SerializationError("Unexpected value type in payload")
    check_shape(value)
    return value


def _walk_scalar(value: Any, kind: inspect.Type, name: str) -> Any:
    if isinstance(kind, inspect.AnyType):
        return value
    java = name or _SCALARS[type(kind)]
    if value is None:
        return None
    if isinstance(value, list):
        raise SerializationError(f"Unrecognized collection type class java.lang.{java}")
    if isinstance(value, dict):
        raise SerializationError("Start of structure or map found where not expected")
    token = (
        "TRUE_VALUE" if value is True
        else "FALSE_VALUE" if value is False
        else "STRING_VALUE" if isinstance(value, str)
        else "NUMBER_VALUE"
    )  # fmt: skip
    wanted = {"String": "STRING_VALUE", "Boolean": "BOOLEAN", "Integer": "NUMBER_VALUE", "Long": "NUMBER_VALUE",
              "Double": "NUMBER_VALUE"}[java]  # fmt: skip
    if java == "Boolean":
        if token in ("TRUE_VALUE", "FALSE_VALUE"):
            return value
        if token == "STRING_VALUE":
            raise SerializationError("Unexpected token received from parser")
    if token != wanted:
        raise SerializationError(f"{token} cannot be converted to {java}")
    if java in ("Integer", "Long") and isinstance(value, float):
        return int(value) if abs(value) < 2**63 else 2**63 - 1
    return value


_SCALARS: dict[type[inspect.Type], str] = {
    inspect.StrType: "String",
    inspect.BoolType: "Boolean",
    inspect.IntType: "Integer",
    inspect.FloatType: "Double",
}


def _java(kind: inspect.Type) -> str:
    """The Java type that AWS's messages name: `java.util.Map<java.lang.String, …AttributeValue>`."""
    if isinstance(kind, inspect.UnionType):
        kind = next(option for option in kind.types if not isinstance(option, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        if kind.extra and kind.extra.get("class") == "AttributeValue":
            return f"{_PACKAGE}AttributeValue"
        kind = kind.type
    if isinstance(kind, inspect.DictType):
        return f"java.util.Map<java.lang.String, {_java(kind.value_type)}>"
    if isinstance(kind, inspect.ListType):
        return f"java.util.List<{_java(kind.item_type)}>"
    if isinstance(kind, inspect.StructType):
        return f"{_PACKAGE}{kind.cls.__name__}"
    return f"java.lang.{_SCALARS.get(type(kind), 'Object')}"

