"""A table as clients are shown it: the TableDescription of DescribeTable and of the answers to changes.

Which members are there says something, and tools rely on it: a table that was always provisioned has no
BillingModeSummary, an absent SSEDescription means the service's own key, an absent TableClassSummary means
STANDARD. The answers to changes are not what DescribeTable says a moment later: they tell of a change under
way.

    CreateTable    CREATING, its indexes too; no WarmThroughput unless it was asked for, and none on indexes; no time of
                   the change to on-demand
    UpdateTable    UPDATING (for capacity, billing and class, and for an index that comes or goes; the rest stays
                   ACTIVE); capacity as it was; an index whose throughput changes UPDATING, with the throughput it had
    DeleteTable    DELETING; neither keys nor time of creation

Here a change is done before its answer goes out, so the first DescribeTable after it shows the new state, ACTIVE. Only
a global index that is added to a table takes its time: it is CREATING, and Backfilling, until it has all items.

Sources: the service model 2012-08-10 in botocore 1.44.5; which members are there when, and the answers to
changes: as observed by users of the service, us-west-2, October 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from varley.table.schema import (
    Encryption,
    GlobalIndex,
    LocalIndex,
    OnDemandThroughput,
    Projection,
    Provisioned,
    Table,
    VectorIndex,
    WarmThroughput,
)
from varley.table.table_name import table_arn

Description = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """For whom, and when, a table is described. Account and Region appear in ARNs only."""

    account: str
    region: str
    now: float    # epoch seconds


def description(
    table: Table,
    view: View,
    *,
    item_count: int,
    size_bytes: int,
    index_sizes: Mapping[str, tuple[int, int]] | None = None,
) -> Description:
    """What DescribeTable shows. `index_sizes`: (rows, bytes) by index; None: all are empty."""
    shown: Description = {
        "AttributeDefinitions": [
            {"AttributeName": each.name, "AttributeType": each.kind}
            for each in sorted(table.attribute_definitions, key=lambda each: each.name)
        ],
        "TableName": table.name,
        "KeySchema": key_schema(table.key_schema.names[:1], table.key_schema.names[1:]),
        "TableStatus": table.status,
        "CreationDateTime": _time(table.created_at),
        "ProvisionedThroughput": _provisioned(table.provisioned, view.now),
        "TableSizeBytes": size_bytes,
        "ItemCount": item_count,
        "TableArn": table_arn(table.name, account=view.account, region=view.region),
        "TableId": table.id,
    }
    if table.local_indexes:
        shown["LocalSecondaryIndexes"] = [
            _local_index(table, index, view, *(index_sizes or {}).get(index.name, (0, 0)))
            for index in table.local_indexes
        ]
    if table.global_indexes:
        shown["GlobalSecondaryIndexes"] = [
            _global_index(table, index, view, *(index_sizes or {}).get(index.name, (0, 0)))
            for index in table.global_indexes
        ]
    if table.vector_indexes:
        shown["VectorIndexes"] = [
            _vector_index(table, index, view, *(index_sizes or {}).get(index.name, (0, 0)))
            for index in table.vector_indexes
        ]
    if table.on_demand_since is not None:
        shown["BillingModeSummary"] = {
            "BillingMode": table.billing_mode,
            "LastUpdateToPayPerRequestDateTime": _time(table.on_demand_since),
        }
    if table.stream is not None:
        shown["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view}
    if table.streams:    # the last one, also when it is disabled
        shown["LatestStreamLabel"] = table.streams[-1].label
        shown["LatestStreamArn"] = f"{shown['TableArn']}/stream/{table.streams[-1].label}"
    if table.encryption is not None:
        shown["SSEDescription"] = _encryption(table.encryption, view)
    if table.table_class is not None:
        shown["TableClassSummary"] = {"TableClass": table.table_class}
        if table.table_class_changed_at is not None:
            shown["TableClassSummary"]["LastUpdateDateTime"] = _time(table.table_class_changed_at)
    shown["DeletionProtectionEnabled"] = table.deletion_protection
    if table.on_demand is not None:
        shown["OnDemandThroughput"] = _on_demand(table.on_demand)
    shown["WarmThroughput"] = _warm(table.warm, "ACTIVE")
    return shown


def description_when_created(table: Table, view: View, *, warm_was_asked_for: bool) -> Description:
    """What CreateTable answers."""
    shown = description(table, view, item_count=0, size_bytes=0)
    shown["TableStatus"] = "CREATING"
    for index in shown.get("GlobalSecondaryIndexes", ()):
        index["IndexStatus"] = "CREATING"
        del index["WarmThroughput"]
    if "BillingModeSummary" in shown:
        shown["BillingModeSummary"] = {"BillingMode": table.billing_mode}
    if warm_was_asked_for:
        shown["WarmThroughput"]["Status"] = "UPDATING"
    else:
        del shown["WarmThroughput"]
    return shown


def description_when_updated(
    before: Table,
    after: Table,
    view: View,
    *,
    item_count: int,
    size_bytes: int,
    updating: bool,
    index_sizes: Mapping[str, tuple[int, int]] | None = None,
) -> Description:
    """What UpdateTable answers. `updating`: the change is of a kind for which the status is said to be UPDATING."""
    shown = description(after, view, item_count=item_count, size_bytes=size_bytes, index_sizes=index_sizes)
    indexes_before = {index.name: index for index in before.global_indexes}
    for index, index_shown in zip(after.global_indexes, shown.get("GlobalSecondaryIndexes", ()), strict=True):
        if index.name in indexes_before and after.billing_mode == before.billing_mode:
            _show_change(indexes_before[index.name], index, index_shown, view)
    if updating:
        shown["TableStatus"] = "UPDATING"
    if after.billing_mode != before.billing_mode and after.billing_mode == "PAY_PER_REQUEST":
        shown["BillingModeSummary"] = {"BillingMode": after.billing_mode}
    elif after.billing_mode == before.billing_mode and after.provisioned != before.provisioned:
        throughput = shown["ProvisionedThroughput"]
        throughput["ReadCapacityUnits"] = before.provisioned.read_units
        throughput["WriteCapacityUnits"] = before.provisioned.write_units
        throughput["NumberOfDecreasesToday"] = before.provisioned.decreases_on(view.now)
    if after.encryption != before.encryption:
        shown["SSEDescription"] = {"Status": "UPDATING"}
    if after.warm != before.warm:
        changing = after.provisioned == before.provisioned
        shown["WarmThroughput"] = _warm(before.warm, "UPDATING" if changing else "ACTIVE")
    return shown


def description_when_deleted(table: Table, view: View, *, item_count: int, size_bytes: int) -> Description:
    """What DeleteTable answers."""
    shown = description(table, view, item_count=item_count, size_bytes=size_bytes)
    shown["TableStatus"] = "DELETING"
    kept = ("TableName", "TableStatus", "ProvisionedThroughput", "TableSizeBytes", "ItemCount", "TableArn",
            "TableId", "BillingModeSummary", "TableClassSummary", "DeletionProtectionEnabled")  # fmt: skip
    return {name: shown[name] for name in kept if name in shown}


def _show_change(before: GlobalIndex, after: GlobalIndex, shown: Description, view: View) -> None:
    """What the answer to UpdateTable says otherwise of an index whose throughput it changes."""
    if after.provisioned != before.provisioned or after.on_demand != before.on_demand:
        shown["IndexStatus"] = "UPDATING"
    if after.provisioned != before.provisioned:
        shown["ProvisionedThroughput"] = _provisioned(before.provisioned, view.now)
        shown["WarmThroughput"] = _warm(before.warm, "ACTIVE")
    elif after.warm != before.warm:
        shown["WarmThroughput"] = _warm(before.warm, "UPDATING")


def key_schema(hash_names: Iterable[str], range_names: Iterable[str]) -> list[dict[str, str]]:
    return [
        *({"AttributeName": name, "KeyType": "HASH"} for name in hash_names),
        *({"AttributeName": name, "KeyType": "RANGE"} for name in range_names),
    ]


def _local_index(table: Table, index: LocalIndex, view: View, rows: int, size_bytes: int) -> Description:
    return {
        "IndexName": index.name,
        "KeySchema": key_schema((table.key_schema.hash_name,), (index.range_name,)),
        "Projection": _projection(index.projection),
        "IndexSizeBytes": size_bytes,
        "ItemCount": rows,
        "IndexArn": _index_arn(table, index.name, view),
    }


def _global_index(table: Table, index: GlobalIndex, view: View, rows: int, size_bytes: int) -> Description:
    shown: Description = {
        "IndexName": index.name,
        "KeySchema": key_schema((each.name for each in index.hash_keys), (each.name for each in index.range_keys)),
        "Projection": _projection(index.projection),
        "IndexStatus": index.status,
        "ProvisionedThroughput": _provisioned(index.provisioned, view.now),
        "IndexSizeBytes": size_bytes,
        "ItemCount": rows,
        "IndexArn": _index_arn(table, index.name, view),
        "WarmThroughput": _warm(index.warm, "ACTIVE"),
    }
    if index.status == "CREATING":
        shown["Backfilling"] = index.is_backfilling
    if index.on_demand is not None:
        shown["OnDemandThroughput"] = _on_demand(index.on_demand)
    return shown


def _vector_index(table: Table, index: VectorIndex, view: View, items: int, size_bytes: int) -> Description:
    shown: Description = {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": index.attribute},
        "Projection": _projection(index.projection),
        "Dimensions": index.dimensions,
        "DistanceFunction": index.distance,
        "IndexStatus": "ACTIVE",
        "IndexSizeBytes": size_bytes,
        "ItemCount": items,
        "IndexArn": _index_arn(table, index.name, view),
    }
    if index.search_names:
        roles = dict.fromkeys(index.filter_names, "INLINE_FILTER")
        if index.hash_name is not None:
            roles = {index.hash_name: "HASH", **roles}
        shown["SearchSchema"] = [
            {"AttributeName": name, "SearchSchemaElementType": role} for name, role in roles.items()
        ]
    return shown


def _projection(projection: Projection) -> Description:
    shown: Description = {"ProjectionType": projection.kind}
    if projection.names:
        shown["NonKeyAttributes"] = sorted(projection.names)
    return shown


def _index_arn(table: Table, index: str, view: View) -> str:
    return f"{table_arn(table.name, account=view.account, region=view.region)}/index/{index}"


def _provisioned(provisioned: Provisioned, now: float) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if provisioned.increased_at is not None:
        shown["LastIncreaseDateTime"] = _time(provisioned.increased_at)
    if provisioned.decreased_at is not None:
        shown["LastDecreaseDateTime"] = _time(provisioned.decreased_at)
    shown["NumberOfDecreasesToday"] = provisioned.decreases_on(now)
    shown["ReadCapacityUnits"] = provisioned.read_units
    shown["WriteCapacityUnits"] = provisioned.write_units
    return shown


def _on_demand(caps: OnDemandThroughput) -> dict[str, int]:
    shown = {"MaxReadRequestUnits": caps.max_read_units, "MaxWriteRequestUnits": caps.max_write_units}
    return {name: units for name, units in shown.items() if units is not None}


def _warm(warm: WarmThroughput, status: str) -> dict[str, Any]:
    return {
        "ReadUnitsPerSecond": warm.read_units,
        "WriteUnitsPerSecond": warm.write_units,
        "Status": status,
    }


def _encryption(encryption: Encryption, view: View) -> dict[str, str]:
    key = encryption.key or "alias/aws/dynamodb"
    if not key.startswith("arn:"):
        resource = key if key.startswith("alias/") else f"key/{key}"
        key = f"arn:aws:kms:{view.region}:{view.account}:{resource}"
    return {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}


def _time(epoch_seconds: float) -> float:
    return round(epoch_seconds, 3)    # the service gives milliseconds
