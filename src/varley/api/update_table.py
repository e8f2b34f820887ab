"""UpdateTable: change a table's capacity, class, stream, protection, encryption or global indexes.

Most kinds of change must be alone in their request; what goes together is billing mode with the capacity that it needs,
of the table and of its indexes, and with an index that comes. A change is done, and durable, before it is answered, so
the table is ACTIVE for whoever looks next, although the answer speaks of a change under way, as clients expect. Only an
index that comes is filled afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec

from varley.api.constraints import INDEX_NAME, NOT_NULL, TABLE_NAME, Each, Length, Members, OneOf, check
from varley.api.contributor_insights import without_insights
from varley.api.index_updates import (
    Creation,
    Deletion,
    GlobalSecondaryIndexUpdate,
    action_of,
    check_switch_to_provisioned,
    check_updates,
    creates_or_deletes,
    with_updates,
)
from varley.api.requests import Request, decoder
from varley.api.services import Services, view_of
from varley.api.table_structures import (
    ATTRIBUTE_DEFINITIONS,
    INDEX,
    INVALID,
    PROVISIONED_THROUGHPUT,
    SSE_SPECIFICATION,
    STREAM_SPECIFICATION,
    AttributeDefinition,
    OnDemandThroughput,
    ProvisionedThroughput,
    SSESpecification,
    StreamSpecification,
    WarmThroughput,
    check_table_class,
    encryption_of,
    not_supported,
    partition_count,
    provisioned_of,
)
from varley.api.throughput_updates import (
    show_removed_caps,
    with_capacity,
    with_caps,
    with_warm,
)
from varley.api.vector_indexes import (
    VECTOR_INDEX_UPDATES,
    VectorIndexUpdate,
    check_vector_updates,
    with_vector_updates,
)
from varley.errors import ResourceInUse, ResourceNotFound, ValidationError
from varley.http.call import Call
from varley.remote.peers import Peers
from varley.table import schema
from varley.table.description import View, description_when_updated
from varley.table.schema import Provisioned, Table, changed
from varley.table.stream_record import new_stream
from varley.table.table_name import table_name


class UpdateTableRequest(Request):
    attribute_definitions: list[AttributeDefinition] | None = None
    table_name: str | None = None
    billing_mode: str | None = None
    provisioned_throughput: ProvisionedThroughput | None = None
    global_secondary_index_updates: list[GlobalSecondaryIndexUpdate] | None = None
    stream_specification: StreamSpecification | None = None
    sse_specification: SSESpecification | None = msgspec.field(name="SSESpecification", default=None)
    replica_updates: list[dict[str, Any]] | None = None
    table_class: str | None = None
    deletion_protection_enabled: bool | None = None
    multi_region_consistency: str | None = None
    global_table_witness_updates: list[dict[str, Any]] | None = None
    on_demand_throughput: OnDemandThroughput | None = None
    warm_throughput: WarmThroughput | None = None
    global_table_settings_replication_mode: str | None = None
    disassociation_protection_enabled: bool | None = None
    vector_index_updates: list[VectorIndexUpdate] | None = None


_decode = decoder(UpdateTableRequest)

_INDEX_ACTIONS: Final = Members(
    update=(
        Members(index_name=(NOT_NULL, *INDEX_NAME), provisioned_throughput=(PROVISIONED_THROUGHPUT,)),
    ),
    create=(Members(**INDEX, provisioned_throughput=(PROVISIONED_THROUGHPUT,)),),
    delete=(Members(index_name=(NOT_NULL, *INDEX_NAME)),),
)
_UPDATE_TABLE: Final = Members(
    attribute_definitions=(ATTRIBUTE_DEFINITIONS,),
    table_name=TABLE_NAME,
    billing_mode=(OneOf("PROVISIONED", "PAY_PER_REQUEST"),),
    provisioned_throughput=(PROVISIONED_THROUGHPUT,),
    global_secondary_index_updates=(Each(_INDEX_ACTIONS),),
    stream_specification=(STREAM_SPECIFICATION,),
    sse_specification=(SSE_SPECIFICATION,),
    replica_updates=(Length(1),),
    multi_region_consistency=(OneOf("EVENTUAL", "STRONG"),),
    global_table_witness_updates=(Length(1, 1),),
    global_table_settings_replication_mode=(OneOf("ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES"),),
    vector_index_updates=(VECTOR_INDEX_UPDATES,),
)


def run(services: Services, call: Call) -> bytes | None:
    request = _decode(call.body)
    check_request(request)
    assert request.table_name is not None
    view = view_of(services, call)
    services.spawn(_update(services, call.elsewhere, request, table_name(request.table_name), view), call)
    return None


async def _update(
    services: Services, peers: Peers | None, request: UpdateTableRequest, name: str, view: View
) -> bytes:
    catalog = services.catalog
    async with catalog.changes:
        described = catalog.get(name)
        if described is None:
            raise ResourceNotFound(f"Requested resource not found: Table: {name} not found")
        before = described.table
        others = provisioned_of(each.table for each in catalog if each is not described)
        after = updated_table(before, request, view, others=others)
        vector_updates = request.vector_index_updates or ()
        after = with_vector_updates(after, vector_updates, request.attribute_definitions, services.random)
        is_stream_changed = after.streams != before.streams
        if is_stream_changed and after.stream is not None:
            after = services.streams.distinguished(after)
        action = action_of(
            after,
            request.global_secondary_index_updates or (),
            None if vector_updates else request.attribute_definitions,
            view,
            others=[*others, *provisioned_of([after])],
            random=services.random,
        )

        def checked(newest: Table) -> Table:
            if newest != before:    # another node was quicker, and what was checked is not what there is
                raise ResourceInUse(
                    f"Attempt to change a resource which is still in use: Table is being updated: {name}"
                )
            return after

        match action:
            case Creation(index=index):
                partitions = partition_count(after.billing_mode, index.warm, services.cluster.initial_partitions)
                described = (await services.indexes.create(name, index, checked, partitions=partitions))[1]
                after = _with_status(described.table, index.name, "CREATING")
            case Deletion(name=index_name):
                await services.indexes.delete(
                    name, index_name, lambda newest: without_insights(checked(newest), index_name)
                )
                after = _with_status(after, index_name, "DELETING")
            case None:
                described = (await catalog.change(name, checked))[1]
                is_rebilled = after.global_indexes and after.billing_mode != before.billing_mode
                if is_stream_changed or is_rebilled or after.vector_indexes != before.vector_indexes:
                    await services.router.update(described)
        if is_stream_changed:
            described = catalog.get(name)
            assert described is not None
            services.streams.redefine(described, services.router.route(name).partitions)
        if peers is not None:
            await peers.know_sums(described.groups)
        item_count, size_bytes = services.router.statistics(name)
        index_sizes = services.router.index_statistics(name)
    if after.vector_indexes:    # all items are looked at: others may change tables meanwhile
        index_sizes |= await services.vectors.statistics(services.router.route(name), peers)
    shown = description_when_updated(
        before,
        after,
        view,
        item_count=item_count,
        size_bytes=size_bytes,
        index_sizes=index_sizes,
        updating=request.provisioned_throughput is not None
        or request.stream_specification is not None
        or request.billing_mode is not None
        or request.table_class is not None
        or action is not None
        or bool(vector_updates),
    )
    show_removed_caps(shown, request.on_demand_throughput)
    return msgspec.json.encode({"TableDescription": shown})


def _with_status(table: Table, name: str, status: schema.IndexStatus) -> Table:
    """`table` as the answer shows it: one of its indexes is about to come or to go."""
    return changed(
        table,
        global_indexes=tuple(
            msgspec.structs.replace(index, status=status, is_backfilling=False) if index.name == name else index
            for index in table.global_indexes
        ),
    )


def check_request(request: UpdateTableRequest) -> None:
    """All that can be said of a request without looking at the table. Raises ValidationError."""
    check(_UPDATE_TABLE, request)
    check_table_class(request.table_class)
    _check_that_something_changes(request)
    _check_what_goes_together(request)
    check_vector_updates(request.vector_index_updates or ())
    if request.global_secondary_index_updates is not None:
        check_updates(request.global_secondary_index_updates)
    _refuse_unsupported(request)


def updated_table(
    table: Table,
    request: UpdateTableRequest,
    view: View,
    *,
    others: Iterable[Provisioned],
) -> Table:
    """`table` as `request` wants it, but for an index that comes or goes; `others` is what all other tables, and their
    indexes, have reserved.

    Raises ValidationError, LimitExceeded, ResourceNotFound or ResourceInUse, the client's fault.
    """
    others = list(others)
    updates = request.global_secondary_index_updates or ()
    if request.sse_specification is not None:
        table = _with_encryption(table, request.sse_specification)
    if request.table_class is not None and request.table_class != (table.table_class or "STANDARD"):
        table = changed(table, table_class=request.table_class, table_class_changed_at=view.now)
    if request.deletion_protection_enabled is not None:
        table = changed(table, deletion_protection=request.deletion_protection_enabled)
    if request.stream_specification is not None:
        table = _with_stream(table, request.stream_specification, view.now)
    if request.billing_mode is not None or request.provisioned_throughput is not None:
        if request.billing_mode == "PROVISIONED" and table.billing_mode == "PAY_PER_REQUEST":
            check_switch_to_provisioned(table, updates)
        of_indexes = [index.provisioned for index in table.global_indexes]
        table = with_capacity(
            table, request.billing_mode, request.provisioned_throughput, view, [*others, *of_indexes]
        )
    table = with_updates(
        table,
        updates,
        view,
        others=[*others, table.provisioned],
        is_switching=request.billing_mode is not None,
    )
    if request.on_demand_throughput is not None:
        table = with_caps(table, request.on_demand_throughput, view)
    if request.warm_throughput is not None:
        table = with_warm(table, request.warm_throughput, view)
    return table


def _check_that_something_changes(request: UpdateTableRequest) -> None:
    changes = {
        "ProvisionedThroughput": request.provisioned_throughput,
        "BillingMode": request.billing_mode,
        "UpdateStreamEnabled": request.stream_specification,
        "GlobalSecondaryIndexUpdates": request.global_secondary_index_updates or None,    # [] is as good as none here
        "SSESpecification": request.sse_specification,
        "ReplicaUpdates": request.replica_updates,
        # The service names these two, which its public model does not have.
        "MultiAccountReplicaReady": None,
        "ReplicaTransitRoleArn": None,
        "MultiRegionConsistency": request.multi_region_consistency,
        "DeletionProtectionEnabled": request.deletion_protection_enabled,
        "OnDemandThroughput": request.on_demand_throughput,
        "WarmThroughput": request.warm_throughput,
        "TableClass": request.table_class,
    }
    unnamed = (
        request.global_table_witness_updates,
        request.global_table_settings_replication_mode,
        request.disassociation_protection_enabled,
        request.vector_index_updates,
    )
    if any(value is not None for value in (*changes.values(), *unnamed)):
        return
    *names, last = changes
    raise ValidationError(f"At least one of {', '.join(names)} or {last} is required")


def _check_what_goes_together(request: UpdateTableRequest) -> None:
    present = {
        field
        for field in request.__struct_fields__
        if field not in ("table_name", "attribute_definitions") and getattr(request, field) not in (None, [])
    }
    has_new_index = any(each.create is not None for each in request.global_secondary_index_updates or ())
    if "warm_throughput" in present and has_new_index:
        raise ValidationError(
            f"{INVALID}Create global secondary index cannot be specified when updating WarmThroughput"
        )
    for field, name in (
        ("sse_specification", "Server-Side Encryption modification"),
        ("table_class", "TableClass modification"),
        ("deletion_protection_enabled", "DeletionProtection modification"),
        ("warm_throughput", "WarmThroughput"),
    ):
        if field in present and present != {field}:
            raise ValidationError(f"{INVALID}{name} must be the only operation in the request")
    if "on_demand_throughput" in present and not present <= {"on_demand_throughput", "billing_mode"}:
        raise ValidationError(
            f"{INVALID}OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"
        )
    if creates_or_deletes(request.global_secondary_index_updates):
        for field, activity in (
            ("provisioned_throughput", "updating table IOPS"),
            ("stream_specification", "changing stream status"),
        ):
            if field in present:
                raise ValidationError(f"{INVALID}You cannot create or delete index while {activity}")
    if {"stream_specification", "provisioned_throughput"} <= present:
        raise ValidationError(f"{INVALID}You cannot modify stream status while updating table IOPS")
    if request.billing_mode == "PROVISIONED" and request.provisioned_throughput is None:
        raise ValidationError(
            f"{INVALID}ProvisionedThroughput must be specified when BillingMode is PROVISIONED"
        )
    if request.billing_mode == "PAY_PER_REQUEST" and request.provisioned_throughput is not None:
        raise ValidationError(
            f"{INVALID}ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST"
        )


def _refuse_unsupported(request: UpdateTableRequest) -> None:
    stream = request.stream_specification
    if stream is not None and stream.stream_enabled:
        if stream.stream_view_type is None:
            raise ValidationError(f"{INVALID}If stream is being enabled then UpdateViewType is required")
    elif stream is not None and stream.stream_view_type is not None:
        raise ValidationError(
            f"{INVALID}If stream is being disabled, then UpdateViewType must not be specified"
        )
    for member, value in (
        ("ReplicaUpdates", request.replica_updates),
        ("MultiRegionConsistency", request.multi_region_consistency),
        ("GlobalTableWitnessUpdates", request.global_table_witness_updates),
        ("GlobalTableSettingsReplicationMode", request.global_table_settings_replication_mode),
        ("DisassociationProtectionEnabled", request.disassociation_protection_enabled),
    ):
        if value is not None:
            raise not_supported(member)


# Each kind of change


def _with_encryption(table: Table, specification: SSESpecification) -> Table:
    encryption = encryption_of(specification)
    if encryption is None and table.encryption is None:
        raise ValidationError(f"{INVALID}Table is already encrypted by default")
    if encryption is not None and encryption.key is not None and encryption == table.encryption:
        raise ValidationError(
            f"{INVALID}Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if "
            "you want to change Master Key"
        )
    return changed(table, encryption=encryption)


def _with_stream(table: Table, specification: StreamSpecification, now: float) -> Table:
    if specification.stream_enabled:
        if table.stream is not None:
            raise ValidationError(f"Table already has an enabled stream: TableName: {table.name}")
        stream = new_stream(round(now * 1000), cast("schema.StreamView", specification.stream_view_type))
        return changed(table, streams=(*table.streams, stream))
    if table.stream is None:
        raise ValidationError(f"Table has no stream to disable: TableName: {table.name}")
    disabled = msgspec.structs.replace(table.stream, disabled_at=now)
    return changed(table, streams=(*table.streams[:-1], disabled))
