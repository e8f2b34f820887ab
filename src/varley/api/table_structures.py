"""The structures that CreateTable and UpdateTable share, with their constraints and what both demand of them.

Some of what they carry this version cannot do. That is refused in so many words, after what is wrong with
it by itself: a table that silently lacks the index it was created with is the worse answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from varley.api.constraints import INDEX_NAME, NOT_NULL, Each, Length, Members, OneOf, Range, Rule
from varley.api.requests import LONG, Structure
from varley.errors import LimitExceeded, ValidationError
from varley.limits import (
    ACCOUNT_CAPACITY_UNITS_MAX,
    KEY_ATTRIBUTE_NAME_BYTES_MAX,
    PARTITION_READ_UNITS_MAX,
    PARTITION_WRITE_UNITS_MAX,
    TABLE_CAPACITY_UNITS_MAX,
)
from varley.table import schema
from varley.table.schema import Encryption, Provisioned, Table

INVALID: Final = "One or more parameter values were invalid: "
_UNITS_OUT_OF_BOUNDS: Final = 1_000_000_000_000


# Shapes


class AttributeDefinition(Structure):
    attribute_name: str | None = None
    attribute_type: str | None = None


class KeySchemaElement(Structure):
    attribute_name: str | None = None
    key_type: str | None = None


class Projection(Structure):
    projection_type: str | None = None
    non_key_attributes: list[str] | None = None


class ProvisionedThroughput(Structure):
    read_capacity_units: Annotated[int, LONG] | None = None
    write_capacity_units: Annotated[int, LONG] | None = None


class OnDemandThroughput(Structure):
    max_read_request_units: Annotated[int, LONG] | None = None
    max_write_request_units: Annotated[int, LONG] | None = None


class WarmThroughput(Structure):
    read_units_per_second: Annotated[int, LONG] | None = None
    write_units_per_second: Annotated[int, LONG] | None = None


class StreamSpecification(Structure):
    stream_enabled: bool | None = None
    stream_view_type: str | None = None


class SSESpecification(Structure):
    enabled: bool | None = None
    sse_type: str | None = msgspec.field(name="SSEType", default=None)
    kms_master_key_id: str | None = msgspec.field(name="KMSMasterKeyId", default=None)


# Constraints, in the service's order

ATTRIBUTE_DEFINITIONS: Final = Each(
    Members(
        attribute_type=(NOT_NULL, OneOf("B", "N", "S")),
        attribute_name=(NOT_NULL, Length(1, KEY_ATTRIBUTE_NAME_BYTES_MAX)),
    )
)
_KEY_SCHEMA_ELEMENTS: Final = Each(
    Members(
        attribute_name=(NOT_NULL, Length(1, KEY_ATTRIBUTE_NAME_BYTES_MAX)),
        key_type=(NOT_NULL, OneOf("HASH", "RANGE")),
    )
)
KEY_SCHEMA: Final[tuple[Rule, ...]] = (NOT_NULL, Length(1, 2), _KEY_SCHEMA_ELEMENTS)
# A global index may have several hash and range attributes.
_INDEX_KEY_SCHEMA: Final[tuple[Rule, ...]] = (NOT_NULL, Length(1), _KEY_SCHEMA_ELEMENTS)
PROJECTION: Final = (
    NOT_NULL,
    Members(
        projection_type=(OneOf("ALL", "INCLUDE", "KEYS_ONLY"),),
        non_key_attributes=(Length(1, 20), Each(Length(1, 255))),
    ),
)
PROVISIONED_THROUGHPUT: Final = Members(
    write_capacity_units=(NOT_NULL, Range(1)), read_capacity_units=(NOT_NULL, Range(1))
)
INDEX: Final[dict[str, tuple[Rule, ...]]] = {
    "index_name": (NOT_NULL, *INDEX_NAME),
    "key_schema": _INDEX_KEY_SCHEMA,
    "projection": PROJECTION,
}
LOCAL_INDEX: Final[dict[str, tuple[Rule, ...]]] = {**INDEX, "key_schema": KEY_SCHEMA}
STREAM_SPECIFICATION: Final = Members(
    stream_enabled=(NOT_NULL,),
    stream_view_type=(OneOf("OLD_IMAGE", "KEYS_ONLY", "NEW_AND_OLD_IMAGES", "NEW_IMAGE"),),
)
SSE_SPECIFICATION: Final = Members(
    sse_type=(OneOf("AES256", "KMS"),), kms_master_key_id=(Length(1),)
)


# Demands that are the same for a new table and a changed one


def not_supported(member: str) -> ValidationError:
    return ValidationError(f"{member} is not supported by this version of Varley")


def check_table_class(table_class: str | None) -> None:
    if table_class not in (None, "STANDARD", "STANDARD_INFREQUENT_ACCESS"):
        raise ValidationError(
            "Invalid table-class parameter provided. Please try again with a valid table-class value: "
            "[STANDARD, STANDARD_INFREQUENT_ACCESS]."
        )


def encryption_of(specification: SSESpecification | None) -> Encryption | None:
    """The encryption that is asked for; None: the service's own key. Raises ValidationError."""
    if specification is None:
        return None
    if specification.enabled is False:
        if specification.sse_type is not None:
            raise ValidationError(f"{INVALID}SSEType can not be specified if Enabled is false")
        if specification.kms_master_key_id is not None:
            raise ValidationError(f"{INVALID}KMSMasterKeyId can not be specified if Enabled is false")
        return None
    if specification.sse_type == "AES256":
        raise ValidationError(f"{INVALID}SSEType AES256 is not supported")
    if specification.kms_master_key_id is not None and specification.sse_type is None:
        raise ValidationError(f"{INVALID}SSEType KMS is required if KMSMasterKeyId is specified")
    if specification.enabled is None and specification.sse_type is None:
        return None
    return Encryption(key=specification.kms_master_key_id)


def units_of(throughput: ProvisionedThroughput) -> tuple[int, int]:
    """(read units, write units). Raises ValidationError if they are more than anybody has."""
    read, write = throughput.read_capacity_units, throughput.write_capacity_units
    assert read is not None    # the constraints say so
    assert write is not None
    for name, units in (("ReadCapacityUnits", read), ("WriteCapacityUnits", write)):
        if units > _UNITS_OUT_OF_BOUNDS:
            raise ValidationError(f"Given value {units} for {name} is out of bounds")
    return read, write


def provisioned_of(tables: Iterable[Table]) -> list[Provisioned]:
    """What tables and their global indexes have reserved."""
    return [
        provisioned
        for table in tables
        for provisioned in (table.provisioned, *(index.provisioned for index in table.global_indexes))
    ]


def check_quotas(
    read: int, write: int, *, others: Iterable[Provisioned], region: str, index: str | None = None
) -> None:
    """Raises LimitExceeded if a table, or an index of it, with these units, beside the `others`, is beyond
    DescribeLimits.
    """
    of, whose = ("", "table") if index is None else (f" for index {index}", "index")
    more = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    others = list(others)
    for name, units, reserved in (
        ("ReadCapacityUnits", read, sum(each.read_units for each in others)),
        ("WriteCapacityUnits", write, sum(each.write_units for each in others)),
    ):
        if units > TABLE_CAPACITY_UNITS_MAX:
            raise LimitExceeded(
                f"The requested {name}{of}, {units}, is above the per {whose} maximum for the account in {region}. "
                f"Per table maximum: {TABLE_CAPACITY_UNITS_MAX}. {more}"
            )
        if units + reserved > ACCOUNT_CAPACITY_UNITS_MAX:
            raise LimitExceeded(
                f"This request would have caused the {name} limit to be exceeded for the account in {region}. "
                f"Current {name} reserved by the account: {reserved}. Limit: {ACCOUNT_CAPACITY_UNITS_MAX}. "
                f"Requested: {units}. {more}"
            )


def check_per_second_quotas(
    kind: str, read: int | None, write: int | None, *, region: str, of: str = "table"
) -> None:
    """The same for OnDemandThroughput and WarmThroughput; `kind` says which, `of` whose."""
    units_of_kind = {
        "OnDemandThroughput": ("MaxReadRequestUnits", "MaxWriteRequestUnits"),
        "WarmThroughput": ("ReadUnitsPerSecond", "WriteUnitsPerSecond"),
    }
    limits = ("TableMaxReadCapacityUnits", "TableMaxWriteCapacityUnits")
    for name, units, limit in zip(units_of_kind[kind], (read, write), limits, strict=True):
        if units is not None and units > TABLE_CAPACITY_UNITS_MAX:
            raise LimitExceeded(
                f"Subscriber limit exceeded: Requested {name} for {kind} for {of} exceeds {limit} of the "
                f"account in region {region}"
            )


def check_on_demand_range(throughput: OnDemandThroughput, *, removable: bool, of: str = "table") -> None:
    """`removable`: -1, which removes a cap, is allowed; `of` says whose. Raises ValidationError."""
    for name, units in (
        ("MaxReadRequestUnits", throughput.max_read_request_units),
        ("MaxWriteRequestUnits", throughput.max_write_request_units),
    ):
        if units is not None and units < 1 and not (removable and units == -1):
            raise ValidationError(
                f"{INVALID}Requested {name} for OnDemandThroughput for {of} is outside of valid range"
            )


def partition_count(billing_mode: schema.BillingMode, warm: schema.WarmThroughput, initial_partitions: int) -> int:
    """How many partitions a new table or global index gets: enough for the throughput that it was promised.

    A partition serves 3000 reads or 1000 writes a second, or a part of both. What every table on demand can
    take from its first second is not a promise that was asked for: on a laptop it would be four partitions
    for each.
    """
    if billing_mode == "PAY_PER_REQUEST" and warm == schema.ON_DEMAND_WARM:
        return initial_partitions
    # The sum of both parts, over their common denominator.
    parts = warm.read_units * PARTITION_WRITE_UNITS_MAX + warm.write_units * PARTITION_READ_UNITS_MAX
    needed = -(-parts // (PARTITION_READ_UNITS_MAX * PARTITION_WRITE_UNITS_MAX))
    return max(initial_partitions, needed)
