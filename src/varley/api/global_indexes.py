"""A new global index as a client asks for it: in CreateTable, or as the Create of an UpdateTable.

Both demand the same of its key and its projection, and say so in the same words; of its throughput they demand the same
too, but each in words of its own. Order of checks for one index: key, projection, throughput.

Texts and rules: as observed by users of the service, us-west-2, October 2026.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, Protocol, cast

from varley.api.requests import Structure
from varley.api.table_structures import (
    INVALID,
    KeySchemaElement,
    OnDemandThroughput,
    Projection,
    ProvisionedThroughput,
    WarmThroughput,
    check_on_demand_range,
    check_per_second_quotas,
    units_of,
)
from varley.errors import ValidationError
from varley.limits import INDEX_KEY_PARTS_MAX, PROJECTED_NAMES_MAX
from varley.table import schema
from varley.table.schema import ON_DEMAND_WARM, BillingMode, GlobalIndex, Provisioned, ScalarKind

ON_DEMAND_WARM_PAGE: Final = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
    "on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
)


class AskedIndex(Structure):
    index_name: str | None = None
    key_schema: list[KeySchemaElement] | None = None
    projection: Projection | None = None
    provisioned_throughput: ProvisionedThroughput | None = None
    on_demand_throughput: OnDemandThroughput | None = None
    warm_throughput: WarmThroughput | None = None


class GlobalSecondaryIndex(AskedIndex):
    """In CreateTable."""


class CreateGlobalSecondaryIndexAction(AskedIndex):
    """In UpdateTable."""


class Words(Protocol):
    """What the operation says about throughput that does not fit the table's billing mode."""

    def missing(self, index: str) -> str: ...

    def not_provisioned(self, index: str) -> str: ...

    def not_on_demand(self, index: str, member: str) -> str: ...


class WordsOfCreateTable:
    def missing(self, index: str) -> str:
        return f"ProvisionedThroughput is not specified for index: {index}"

    def not_provisioned(self, index: str) -> str:
        return (
            f"ProvisionedThroughput should not be specified for index: {index} when BillingMode is PAY_PER_REQUEST"
        )

    def not_on_demand(self, index: str, member: str) -> str:
        return (
            f"{member} for OnDemandThroughput for index: {index} cannot be specified when table BillingMode is "
            "PROVISIONED."
        )


class WordsOfUpdateTable:
    def missing(self, index: str) -> str:
        return f"Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {index}"

    def not_provisioned(self, index: str) -> str:
        return (
            f"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {index} when BillingMode "
            "is PAY_PER_REQUEST"
        )

    def not_on_demand(self, index: str, member: str) -> str:
        return (
            f"{member} for OnDemandThroughput for index : {index} cannot be specified when the table BillingMode is "
            "PROVISIONED"
        )


def global_index_of(
    asked: AskedIndex,
    kinds: Mapping[str, ScalarKind],
    billing_mode: BillingMode,
    words: Words,
    *,
    random: Random,
    region: str,
) -> GlobalIndex:
    """The index, ACTIVE; `kinds` has its attributes. Raises ValidationError or LimitExceeded, the client's fault."""
    name = asked.index_name
    assert name is not None
    hash_names, range_names = key_names_of(asked.key_schema)
    projection = projection_of(asked.projection)
    provisioned = _provisioned_of(asked, billing_mode, words)
    return GlobalIndex(
        name=name,
        id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
        hash_keys=_definitions(hash_names, kinds),
        range_keys=_definitions(range_names, kinds),
        projection=projection,
        provisioned=provisioned,
        on_demand=_on_demand_of(asked, billing_mode, words, region),
        warm=_warm_of(asked, provisioned, region),
    )


def key_names_of(elements: Sequence[KeySchemaElement] | None) -> tuple[list[str], list[str]]:
    """The attributes that are hashed, and those that order: one to four, and up to four. Raises ValidationError."""
    assert elements
    if elements[0].key_type != "HASH":
        raise ValidationError("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    names: dict[str, list[str]] = {"HASH": [], "RANGE": []}
    for element in elements:
        assert element.key_type is not None and element.attribute_name is not None
        if element.key_type == "HASH" and names["RANGE"]:
            raise ValidationError(
                f"{INVALID}All HASH key attributes must precede RANGE key attributes in the KeySchema"
            )
        names[element.key_type].append(element.attribute_name)
    for kind, found in names.items():
        if len(found) > INDEX_KEY_PARTS_MAX:
            raise ValidationError(
                f"{INVALID}The KeySchema exceeds the maximum allowed number of {kind} key attributes"
            )
    if len({*names["HASH"], *names["RANGE"]}) < len(elements):
        raise ValidationError("The KeySchema contains multiple key attributes with the same name")
    return names["HASH"], names["RANGE"]


def projection_of(asked: Projection | None) -> schema.Projection:
    """Of an index of any kind. Raises ValidationError."""
    assert asked is not None
    kind, names = asked.projection_type, asked.non_key_attributes
    if kind is None:
        raise ValidationError(f"{INVALID}Unknown ProjectionType: null")
    if kind != "INCLUDE" and names is not None:
        raise ValidationError(f"{INVALID}ProjectionType is {kind}, but NonKeyAttributes is specified")
    if kind == "INCLUDE" and names is None:
        raise ValidationError(f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    for number, name in enumerate(names or ()):
        if name in (names or ())[:number]:
            raise ValidationError(f"{INVALID}Duplicate element in NonKeyAttributes: {name}")
    return schema.Projection(kind=cast("schema.ProjectionKind", kind), names=tuple(names or ()))


def check_projected_total(projections: Sequence[schema.Projection]) -> None:
    """Over all indexes of a table. Raises ValidationError; the rule is [API], the text our own: AWS's is not known."""
    total = sum(len(projection.names) for projection in projections)
    if total > PROJECTED_NAMES_MAX:
        raise ValidationError(
            f"{INVALID}Number of NonKeyAttributes across all secondary indexes, {total}, exceeds the limit of "
            f"{PROJECTED_NAMES_MAX}"
        )


def _definitions(names: Sequence[str], kinds: Mapping[str, ScalarKind]) -> tuple[schema.AttributeDefinition, ...]:
    return tuple(schema.AttributeDefinition(name=name, kind=kinds[name]) for name in names)


def _provisioned_of(asked: AskedIndex, billing_mode: BillingMode, words: Words) -> Provisioned:
    assert asked.index_name is not None
    if billing_mode == "PAY_PER_REQUEST":
        if asked.provisioned_throughput is not None:
            raise ValidationError(INVALID + words.not_provisioned(asked.index_name))
        return Provisioned()
    if asked.provisioned_throughput is None:
        raise ValidationError(INVALID + words.missing(asked.index_name))
    read, write = units_of(asked.provisioned_throughput)
    return Provisioned(read_units=read, write_units=write)


def _on_demand_of(
    asked: AskedIndex, billing_mode: BillingMode, words: Words, region: str
) -> schema.OnDemandThroughput | None:
    caps = asked.on_demand_throughput
    if caps is None:
        return None
    assert asked.index_name is not None
    read, write = caps.max_read_request_units, caps.max_write_request_units
    if read is None and write is None:
        return None
    if billing_mode == "PROVISIONED":
        member = "MaxReadRequestUnits" if read is not None else "MaxWriteRequestUnits"
        raise ValidationError(INVALID + words.not_on_demand(asked.index_name, member))
    check_on_demand_range(caps, removable=False, of=f"index : {asked.index_name}")
    check_per_second_quotas("OnDemandThroughput", read, write, region=region, of=f"index {asked.index_name}")
    return schema.OnDemandThroughput(max_read_units=read, max_write_units=write)


def _warm_of(asked: AskedIndex, provisioned: Provisioned, region: str) -> schema.WarmThroughput:
    return warm_of(asked.warm_throughput, provisioned, region=region, of=f"index {asked.index_name}")


def warm_of(
    asked: WarmThroughput | None, provisioned: Provisioned, *, region: str, of: str = "table"
) -> schema.WarmThroughput:
    """What a new table or index can take at once; `of` says which. Raises ValidationError or LimitExceeded."""
    if provisioned.read_units:
        least = schema.WarmThroughput(read_units=provisioned.read_units, write_units=provisioned.write_units)
    else:
        least = ON_DEMAND_WARM
    if asked is None:
        return least
    warm = schema.WarmThroughput(
        read_units=least.read_units if asked.read_units_per_second is None else asked.read_units_per_second,
        write_units=least.write_units if asked.write_units_per_second is None else asked.write_units_per_second,
    )
    for member, capacity, units, floor in (
        ("ReadUnitsPerSecond", "ReadCapacityUnits", warm.read_units, least.read_units),
        ("WriteUnitsPerSecond", "WriteCapacityUnits", warm.write_units, least.write_units),
    ):
        if units < floor:
            what = (
                f"{capacity} of ProvisionedThroughput" if provisioned.read_units
                else f"initial throughput for OnDemand. See: {ON_DEMAND_WARM_PAGE}"
            )  # fmt: skip
            raise ValidationError(f"{INVALID}Requested {member} for WarmThroughput for {of} is lower than {what}")
    check_per_second_quotas("WarmThroughput", warm.read_units, warm.write_units, region=region, of=of)
    return warm
