"""What UpdateTable does to a table's own throughput: billing mode, provisioned units, caps on demand, warm throughput.

That of its indexes is in index_updates.py. All here raise ValidationError or LimitExceeded, the client's fault.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from varley.api.index_updates import (
    REMOVED,
    changed_caps,
    check_no_index_goes,
    raised_warm,
    switched_to_on_demand,
)
from varley.api.table_structures import (
    INVALID,
    OnDemandThroughput,
    ProvisionedThroughput,
    WarmThroughput,
    check_on_demand_range,
    check_per_second_quotas,
    check_quotas,
    units_of,
)
from varley.api.throughput_decreases import check_decreases
from varley.errors import ValidationError
from varley.table import schema
from varley.table.description import Description, View
from varley.table.schema import ON_DEMAND_WARM, Provisioned, Table, changed


def with_capacity(
    table: Table,
    billing_mode: str | None,
    asked: ProvisionedThroughput | None,
    view: View,
    others: Iterable[Provisioned],
) -> Table:
    """Another billing mode, or other units; `billing_mode` None: it stays. `others`: what all others have reserved."""
    if billing_mode == "PAY_PER_REQUEST":
        if table.billing_mode == "PAY_PER_REQUEST":
            return table
        check_no_index_goes(table)
        return _on_demand(table, view.now)
    assert asked is not None
    if billing_mode is None and table.billing_mode == "PAY_PER_REQUEST":
        raise ValidationError(
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
            "PAY_PER_REQUEST"
        )
    check_no_index_goes(table)
    read, write = units_of(asked)
    now = table.provisioned
    if (read, write) == (now.read_units, now.write_units):
        raise ValidationError(
            "The provisioned throughput for the table will not change. The requested value equals the current "
            f"value. Current ReadCapacityUnits provisioned for the table: {now.read_units}. Requested "
            f"ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for the table: "
            f"{now.write_units}. Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB Developer "
            "Guide for current limits and how to request higher limits."
        )
    if read < now.read_units or write < now.write_units:
        check_decreases(now, view.now)
    check_quotas(read, write, others=others, region=view.region)
    if table.billing_mode == "PAY_PER_REQUEST":
        provisioned = msgspec.structs.replace(now, read_units=read, write_units=write)
    else:
        provisioned = now.changed_to(read, write, view.now)
    return changed(
        table,
        billing_mode="PROVISIONED",
        provisioned=provisioned,
        on_demand=None,
        global_indexes=tuple(msgspec.structs.replace(index, on_demand=None) for index in table.global_indexes),
        warm=table.warm.raised_to(schema.WarmThroughput(read_units=read, write_units=write)),
    )


def _on_demand(table: Table, now: float) -> Table:
    return changed(
        table,
        billing_mode="PAY_PER_REQUEST",
        on_demand_since=now,
        provisioned=msgspec.structs.replace(table.provisioned, read_units=0, write_units=0),
        global_indexes=switched_to_on_demand(table, now),
        warm=table.warm.raised_to(ON_DEMAND_WARM),
    )


def with_caps(table: Table, asked: OnDemandThroughput, view: View) -> Table:
    read, write = asked.max_read_request_units, asked.max_write_request_units
    if read is None and write is None:
        raise ValidationError(
            f"{INVALID}OnDemandThroughput must have at least one of MaxReadRequestUnits or "
            "MaxWriteRequestUnits specified"
        )
    if table.billing_mode == "PROVISIONED":
        member = "MaxReadRequestUnits" if read is not None else "MaxWriteRequestUnits"
        raise ValidationError(
            f"{INVALID}{member} for OnDemandThroughput cannot be specified when the table BillingMode is "
            "PROVISIONED"
        )
    check_on_demand_range(asked, removable=True)
    check_per_second_quotas("OnDemandThroughput", read, write, region=view.region)
    return changed(table, on_demand=changed_caps(table.on_demand, asked))


def with_warm(table: Table, asked: WarmThroughput, view: View) -> Table:
    if asked.read_units_per_second is None and asked.write_units_per_second is None:
        raise ValidationError(
            f"{INVALID}WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond "
            "specified"
        )
    return changed(table, warm=raised_warm(table.warm, asked, view, of="table"))


def show_removed_caps(shown: Description, asked: OnDemandThroughput | None) -> None:
    """The answer to a request that removes a cap says -1, where DescribeTable then says nothing."""
    if asked is None:
        return
    for name, units in (
        ("MaxReadRequestUnits", asked.max_read_request_units),
        ("MaxWriteRequestUnits", asked.max_write_request_units),
    ):
        if units == REMOVED:
            shown.setdefault("OnDemandThroughput", {})[name] = REMOVED
