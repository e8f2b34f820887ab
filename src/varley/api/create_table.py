"""CreateTable: define a table, make it durable, open its partitions, and only then answer.

Order of checks, as the service has it: constraints of the model; keys against attribute definitions; local indexes;
capacity against billing mode; global indexes; the rest; whether the name is taken comes last. A table and its indexes
are ACTIVE for whoever looks after the answer, although the answer itself says CREATING, as clients expect.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, cast

import msgspec

from varley.api.constraints import NOT_NULL, TABLE_NAME, Each, Length, Members, OneOf, check
from varley.api.global_indexes import (
    GlobalSecondaryIndex,
    WordsOfCreateTable,
    check_projected_total,
    global_index_of,
    warm_of,
)
from varley.api.key_schema import definitions_of, key_schema_of
from varley.api.local_indexes import LocalSecondaryIndex, local_indexes_of
from varley.api.requests import Request, decoder
from varley.api.resource_policy import document_of, with_policy
from varley.api.services import Services, view_of
from varley.api.table_structures import (
    ATTRIBUTE_DEFINITIONS,
    INDEX,
    INVALID,
    KEY_SCHEMA,
    LOCAL_INDEX,
    PROVISIONED_THROUGHPUT,
    SSE_SPECIFICATION,
    STREAM_SPECIFICATION,
    AttributeDefinition,
    KeySchemaElement,
    OnDemandThroughput,
    ProvisionedThroughput,
    SSESpecification,
    StreamSpecification,
    WarmThroughput,
    check_on_demand_range,
    check_per_second_quotas,
    check_quotas,
    check_table_class,
    encryption_of,
    not_supported,
    partition_count,
    provisioned_of,
    units_of,
)
from varley.api.tags import Tag, tags_of
from varley.api.vector_indexes import VECTOR_INDEX, VectorIndex, vector_indexes_of
from varley.errors import LimitExceeded, ResourceInUse, ValidationError
from varley.http.call import Call
from varley.limits import GLOBAL_INDEXES_MAX, TABLES_MAX
from varley.remote.peers import Peers
from varley.table import schema
from varley.table.description import View, description_when_created
from varley.table.schema import FORMAT_VERSION, Provisioned, Table
from varley.table.stream_record import new_stream
from varley.table.table_name import table_name


class CreateTableRequest(Request):
    attribute_definitions: list[AttributeDefinition] | None = None
    table_name: str | None = None
    key_schema: list[KeySchemaElement] | None = None
    local_secondary_indexes: list[LocalSecondaryIndex] | None = None
    global_secondary_indexes: list[GlobalSecondaryIndex] | None = None
    billing_mode: str | None = None
    provisioned_throughput: ProvisionedThroughput | None = None
    stream_specification: StreamSpecification | None = None
    sse_specification: SSESpecification | None = msgspec.field(name="SSESpecification", default=None)
    tags: list[Tag] | None = None
    table_class: str | None = None
    deletion_protection_enabled: bool | None = None
    warm_throughput: WarmThroughput | None = None
    resource_policy: str | None = None
    on_demand_throughput: OnDemandThroughput | None = None
    global_table_source_arn: str | None = None
    global_table_settings_replication_mode: str | None = None
    vector_indexes: list[VectorIndex] | None = None


_decode = decoder(CreateTableRequest)

_CREATE_TABLE: Final = Members(
    attribute_definitions=(NOT_NULL, ATTRIBUTE_DEFINITIONS),
    table_name=TABLE_NAME,
    billing_mode=(OneOf("PROVISIONED", "PAY_PER_REQUEST"),),
    provisioned_throughput=(PROVISIONED_THROUGHPUT,),
    key_schema=KEY_SCHEMA,
    local_secondary_indexes=(Each(Members(**LOCAL_INDEX)),),
    global_secondary_indexes=(Each(Members(**INDEX, provisioned_throughput=(PROVISIONED_THROUGHPUT,))),),
    stream_specification=(STREAM_SPECIFICATION,),
    sse_specification=(SSE_SPECIFICATION,),
    global_table_source_arn=(Length(1, 1024),),
    global_table_settings_replication_mode=(OneOf("ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES"),),
    vector_indexes=(Each(VECTOR_INDEX),),
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    view = view_of(services, call)
    table = table_of(request, now=view.now, random=services.random, region=view.region)
    if request.resource_policy is not None:
        table = with_policy(table, document_of(request.resource_policy), expected_revision=None, now=view.now)
    services.spawn(_create(services, call.elsewhere, table, view, request.warm_throughput is not None), call)
    return None


async def _create(services: Services, peers: Peers | None, table: Table, view: View, warm_was_asked_for: bool) -> bytes:
    catalog = services.catalog
    async with catalog.changes:
        if catalog.get(table.name) is not None:
            raise ResourceInUse(f"Table already exists: {table.name}")
        if len(catalog) >= TABLES_MAX:
            raise LimitExceeded(
                f"Subscriber limit exceeded: There is a limit of {TABLES_MAX} tables per subscriber"
            )
        _check_quotas(table, provisioned_of(each.table for each in catalog), view.region)
        initial = services.cluster.initial_partitions
        if table.stream is not None:
            table = services.streams.distinguished(table)
        described = await catalog.create(
            table,
            partitions=partition_count(table.billing_mode, table.warm, initial),
            index_partitions={
                index.id: partition_count(table.billing_mode, index.warm, initial) for index in table.global_indexes
            },
        )
        try:
            await services.router.open_partitions(described)
        except BaseException:
            # The client is told that it failed, so it must not be there after the next start.
            await catalog.delete(table.name)
            raise
        services.streams.open(described, services.router.route(table.name).partitions)
    if peers is not None:
        await peers.wait_for_leaders(described.groups)
    shown = description_when_created(table, view, warm_was_asked_for=warm_was_asked_for)
    return msgspec.json.encode({"TableDescription": shown})


def _check_quotas(table: Table, others: list[Provisioned], region: str) -> None:
    """Raises LimitExceeded if the table and its global indexes are beyond DescribeLimits beside the `others`."""
    check_quotas(table.provisioned.read_units, table.provisioned.write_units, others=others, region=region)
    others = [*others, table.provisioned]
    for index in table.global_indexes:
        read, write = index.provisioned.read_units, index.provisioned.write_units
        check_quotas(read, write, others=others, region=region, index=index.name)
        others.append(index.provisioned)


def table_of(request: CreateTableRequest, *, now: float, random: Random, region: str) -> Table:
    """The table that `request` asks for.

    Raises ValidationError or LimitExceeded, the client's fault.
    """
    check(_CREATE_TABLE, request)
    assert request.table_name is not None
    definitions = definitions_of(request.attribute_definitions)
    indexes = [*(request.local_secondary_indexes or ()), *(request.global_secondary_indexes or ())]
    key_schema = key_schema_of(
        request.key_schema,
        definitions,
        index_keys=(index.key_schema for index in indexes),
        searched=(
            each.attribute_name or "" for index in request.vector_indexes or () for each in index.search_schema or ()
        ),
    )
    kinds = dict(definitions)
    local_indexes = local_indexes_of(request.local_secondary_indexes, key_schema, kinds)
    billing_mode, provisioned = _capacity_of(request)
    global_indexes = _global_indexes_of(
        request.global_secondary_indexes, kinds, local_indexes, billing_mode, random, region
    )
    vector_indexes = vector_indexes_of(
        request.vector_indexes or (),
        kinds,
        billing_mode,
        taken=[*(index.name for index in local_indexes), *(index.name for index in global_indexes)],
        random=random,
    )
    on_demand = _on_demand_of(request, billing_mode, region)
    warm = warm_of(request.warm_throughput, provisioned, region=region)
    encryption = encryption_of(request.sse_specification)
    streams = _streams_of(request.stream_specification, now)
    check_table_class(request.table_class)
    tags = tags_of(request.tags)
    _refuse_unsupported(request)
    return Table(
        format_version=FORMAT_VERSION,
        name=table_name(request.table_name),
        id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
        created_at=now,
        attribute_definitions=tuple(schema.AttributeDefinition(name=name, kind=kind) for name, kind in definitions),
        key_schema=key_schema,
        local_indexes=local_indexes,
        global_indexes=global_indexes,
        vector_indexes=vector_indexes,
        streams=streams,
        billing_mode=billing_mode,
        on_demand_since=now if billing_mode == "PAY_PER_REQUEST" else None,
        provisioned=provisioned,
        on_demand=on_demand,
        warm=warm,
        table_class=cast("schema.TableClass | None", request.table_class),
        deletion_protection=bool(request.deletion_protection_enabled),
        encryption=encryption,
        tags=tags,
    )


def _global_indexes_of(
    asked: list[GlobalSecondaryIndex] | None,
    kinds: Mapping[str, schema.ScalarKind],
    local_indexes: Sequence[schema.LocalIndex],
    billing_mode: schema.BillingMode,
    random: Random,
    region: str,
) -> tuple[schema.GlobalIndex, ...]:
    if asked is None:
        return ()
    if not asked:
        raise ValidationError(f"{INVALID}List of GlobalSecondaryIndexes is empty")
    taken = {index.name for index in local_indexes}
    indexes = []
    for each in asked:
        index = global_index_of(each, kinds, billing_mode, WordsOfCreateTable(), random=random, region=region)
        if index.name in taken:
            raise ValidationError(f"{INVALID}Duplicate index name: {index.name}")
        taken.add(index.name)
        indexes.append(index)
    if len(indexes) > GLOBAL_INDEXES_MAX:
        raise ValidationError(
            f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
        )
    check_projected_total([*(each.projection for each in local_indexes), *(each.projection for each in indexes)])
    return tuple(indexes)


def _capacity_of(request: CreateTableRequest) -> tuple[schema.BillingMode, Provisioned]:
    if request.billing_mode == "PAY_PER_REQUEST":
        if request.provisioned_throughput is not None:
            raise ValidationError(
                f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
                "PAY_PER_REQUEST"
            )
        return "PAY_PER_REQUEST", Provisioned()
    if request.provisioned_throughput is None:
        raise ValidationError(
            f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is "
            "PROVISIONED"
        )
    read, write = units_of(request.provisioned_throughput)
    return "PROVISIONED", Provisioned(read_units=read, write_units=write)


def _on_demand_of(
    request: CreateTableRequest, billing_mode: schema.BillingMode, region: str
) -> schema.OnDemandThroughput | None:
    asked = request.on_demand_throughput
    if asked is None:
        return None
    read, write = asked.max_read_request_units, asked.max_write_request_units
    if billing_mode == "PROVISIONED" and (read is not None or write is not None):
        member = "MaxReadRequestUnits" if read is not None else "MaxWriteRequestUnits"
        raise ValidationError(
            f"{INVALID}{member} for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."
        )
    check_on_demand_range(asked, removable=False)
    check_per_second_quotas("OnDemandThroughput", read, write, region=region)
    if read is None and write is None:
        return None
    return schema.OnDemandThroughput(max_read_units=read, max_write_units=write)


def _streams_of(specification: StreamSpecification | None, now: float) -> tuple[schema.Stream, ...]:
    if specification is None:
        return ()
    view = specification.stream_view_type
    if specification.stream_enabled and view is None:
        raise ValidationError(
            f"{INVALID}Table is being created with a stream enabled, UpdateViewType is required"
        )
    if not specification.stream_enabled and view is not None:
        raise ValidationError(
            f"{INVALID}Table is being created with a stream disabled, UpdateViewType should not be specified"
        )
    return (new_stream(round(now * 1000), cast("schema.StreamView", view)),) if specification.stream_enabled else ()


def _refuse_unsupported(request: CreateTableRequest) -> None:
    for member, value in (
        ("GlobalTableSourceArn", request.global_table_source_arn),
        ("GlobalTableSettingsReplicationMode", request.global_table_settings_replication_mode),
    ):
        if value is not None:
            raise not_supported(member)
