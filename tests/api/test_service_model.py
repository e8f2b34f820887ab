"""Every operation and every parameter of the service is known here, if only to be refused.

A parameter that nobody declared would be decoded away without a word: a condition that is not checked, a filter
that does not filter. So the shapes of requests are compared, all the way down, with botocore's newest model of
the service. A new botocore may add to the model; then this fails until somebody decides what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.session import get_session
from msgspec import inspect

from varley.api.operations import NOT_OFFERED, OPERATIONS
from varley.api.requests import Request

SERVICES: list[ServiceModel] = [get_session().get_service_model(name) for name in ("dynamodb", "dynamodbstreams")]
IN_MODEL = {name: service for service in SERVICES for name in service.operation_names}


def test_every_operation_is_either_offered_or_refused_by_name() -> None:
    assert set(OPERATIONS) | NOT_OFFERED == set(IN_MODEL)
    assert set(OPERATIONS) & NOT_OFFERED == set()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_parameter_is_known(name: str) -> None:
    request = OPERATIONS[name][0]
    assert request.__name__ == f"{name}Request"    # errors name the shape by it
    assert list(differences(request, IN_MODEL[name].operation_model(name).input_shape)) == []


def differences(request: type[Request], shape: Shape | None) -> Iterator[str]:
    """Where `request` and the model disagree. An operation without input has no shape."""
    if shape is None:
        fields = inspect.type_info(request)
        assert isinstance(fields, inspect.StructType)
        yield from (f"{field.encode_name} is not in the model" for field in fields.fields)
    else:
        yield from _differences(inspect.type_info(request), shape, "")


def _differences(kind: inspect.Type, shape: Shape, path: str) -> Iterator[str]:
    kind = _bare(kind)
    match shape, kind:
        case _, inspect.AnyType():
            pass    # kept as it was sent, for the operation to look into
        case StructureShape(), inspect.DictType():
            # An attribute value, or a structure of an old-style parameter, whose members are checked one by one.
            assert isinstance(_bare(kind.value_type), inspect.AnyType), path
        case StructureShape(), inspect.StructType():
            fields = {field.encode_name: field for field in kind.fields}
            yield from (f"{path}.{name} is not known" for name in shape.members if name not in fields)
            yield from (f"{path}.{name} is not in the model" for name in fields if name not in shape.members)
            for name, member in shape.members.items():
                if name in fields:
                    yield from _differences(fields[name].type, member, f"{path}.{name}")
        case ListShape(), inspect.ListType():
            yield from _differences(kind.item_type, shape.member, f"{path}[]")
        case MapShape(), inspect.DictType():
            yield from _differences(kind.value_type, shape.value, f"{path}{{}}")
        case _:
            if not isinstance(kind, SCALARS.get(shape.type_name, ())):
                yield f"{path} is {type(kind).__name__}, and {shape.type_name} in the model"


SCALARS: dict[str, type[inspect.Type]] = {
    "string": inspect.StrType,
    "boolean": inspect.BoolType,
    "integer": inspect.IntType,
    "long": inspect.IntType,
    "double": inspect.FloatType,
    "timestamp": inspect.FloatType,
    "blob": inspect.StrType,
}


def _bare(kind: inspect.Type) -> inspect.Type:
    """Without "or None" and annotations."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


class Part(Request):
    region_name: int | None = None


class Whole(Request):
    global_table_name: str | None = None
    replication_group: list[Part] | None = None
    replication_grup: str | None = None


def test_the_check_sees_what_it_should() -> None:
    shape = IN_MODEL["CreateGlobalTable"].operation_model("CreateGlobalTable").input_shape
    assert list(differences(Whole, shape)) == [
        ".ReplicationGrup is not in the model",
        ".ReplicationGroup[].RegionName is IntType, and string in the model",
    ]
    shape = IN_MODEL["DescribeTable"].operation_model("DescribeTable").input_shape
    assert list(differences(Part, shape)) == [".TableName is not known", ".RegionName is not in the model"]
