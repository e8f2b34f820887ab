"""The GlobalSecondaryIndexUpdates of an UpdateTable: an index that comes, one that goes, throughput that changes.

    Update    any number of them in one request, of different indexes; part of the table's new definition
    Create    one at a time for a table, in a request and between requests; the index is filled in the background
    Delete    the same

So an UpdateTable is a new definition, and then perhaps one thing to do: a Creation or a Deletion.

Rules and texts: as observed by users of the service, us-west-2, October 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, cast

import msgspec

from varley.api.global_indexes import (
    CreateGlobalSecondaryIndexAction,
    WordsOfUpdateTable,
    check_projected_total,
    global_index_of,
)
from varley.api.requests import Structure
from varley.api.table_structures import (
    INVALID,
    AttributeDefinition,
    OnDemandThroughput,
    ProvisionedThroughput,
    WarmThroughput,
    check_on_demand_range,
    check_per_second_quotas,
    check_quotas,
    units_of,
)
from varley.api.throughput_decreases import check_decreases
from varley.errors import LimitExceeded, ResourceInUse, ResourceNotFound, ValidationError
from varley.limits import GLOBAL_INDEXES_MAX
from varley.table import schema
from varley.table.description import View
from varley.table.schema import GlobalIndex, Provisioned, Table, changed
from varley.table.schema import WarmThroughput as Warm

REMOVED: Final = -1    # as a cap of OnDemandThroughput
IN_USE: Final = "Attempt to change a resource which is still in use: "
_ONE_AT_A_TIME: Final = (
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
)
_ACTIONS: Final = ("update", "create", "delete")


class UpdateGlobalSecondaryIndexAction(Structure):
    index_name: str | None = None
    provisioned_throughput: ProvisionedThroughput | None = None
    on_demand_throughput: OnDemandThroughput | None = None
    warm_throughput: WarmThroughput | None = None


class DeleteGlobalSecondaryIndexAction(Structure):
    index_name: str | None = None


class GlobalSecondaryIndexUpdate(Structure):
    update: UpdateGlobalSecondaryIndexAction | None = None
    create: CreateGlobalSecondaryIndexAction | None = None
    delete: DeleteGlobalSecondaryIndexAction | None = None


Updates = Sequence[GlobalSecondaryIndexUpdate]


@dataclass(frozen=True, slots=True)
class Creation:
    index: GlobalIndex    # CREATING, and to be filled


@dataclass(frozen=True, slots=True)
class Deletion:
    name: str


def check_updates(updates: Updates) -> None:
    """All that can be said of them without looking at the table. Raises ValidationError."""
    if not updates:
        raise ValidationError(f"{INVALID}List of GlobalSecondaryIndexUpdates is empty")
    seen = set()
    for update in updates:
        actions = [action for name in _ACTIONS if (action := getattr(update, name)) is not None]
        if not actions:
            raise ValidationError(
                f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        if len(actions) > 1:
            raise ValidationError(
                f"{INVALID}Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
            )
        name = actions[0].index_name
        if name in seen:
            raise ValidationError(
                f"{INVALID}Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
        seen.add(name)


def creates_or_deletes(updates: Updates | None) -> bool:
    return any(update.create is not None or update.delete is not None for update in updates or ())


# Throughput


def with_updates(
    table: Table,
    updates: Updates,
    view: View,
    *,
    others: Iterable[Provisioned],
    is_switching: bool,
) -> Table:
    """`table`, which has its new billing mode, with the throughput of its indexes as the Updates want it.

    `is_switching`: the request names that billing mode. `others`: what all but its indexes have reserved. Raises
    ValidationError, LimitExceeded, ResourceNotFound or ResourceInUse, the client's fault.
    """
    others = list(others)
    for update in updates:
        asked = update.update
        if asked is not None:
            index = _found(table, asked.index_name, "update")
            siblings = [each.provisioned for each in table.global_indexes if each is not index]
            new = _updated(table, index, asked, view, [*others, *siblings], is_switching)
            table = _replaced(table, new)
    return table


def _updated(
    table: Table,
    index: GlobalIndex,
    asked: UpdateGlobalSecondaryIndexAction,
    view: View,
    others: list[Provisioned],
    is_switching: bool,
) -> GlobalIndex:
    is_on_demand = table.billing_mode == "PAY_PER_REQUEST"
    throughputs = (asked.provisioned_throughput, asked.on_demand_throughput, asked.warm_throughput)
    if is_on_demand and asked.provisioned_throughput is not None and is_switching:
        raise ValidationError(INVALID + WordsOfUpdateTable().not_provisioned(index.name))
    if is_on_demand and (asked.provisioned_throughput is not None or not any(throughputs)):
        raise ValidationError(
            f"{INVALID}The only Updates for index: {index.name} when TableThroughputMode is PAY_PER_REQUEST can be to "
            "OnDemandThroughput, WarmThroughput"
        )
    if not any(throughputs):
        raise ValidationError(INVALID + WordsOfUpdateTable().missing(index.name))
    if asked.provisioned_throughput is not None:
        index = _with_units(index, asked.provisioned_throughput, view, others)
    if asked.on_demand_throughput is not None:
        index = _with_caps(table, index, asked.on_demand_throughput, view)
    if asked.warm_throughput is not None:
        index = _with_warm(index, asked.warm_throughput, view)
    return index


def _with_units(
    index: GlobalIndex,
    asked: ProvisionedThroughput,
    view: View,
    others: list[Provisioned],
) -> GlobalIndex:
    read, write = units_of(asked)
    now = index.provisioned
    if (read, write) == (now.read_units, now.write_units):
        raise ValidationError(
            f"The provisioned throughput for the index {index.name} will not change. The requested value equals the "
            f"current value. Current ReadCapacityUnits provisioned for index {index.name}: {now.read_units}. "
            f"Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for index {index.name}: "
            f"{now.write_units}. Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB Developer Guide "
            "for current limits and how to request higher limits."
        )
    if read < now.read_units or write < now.write_units:
        check_decreases(now, view.now)
    check_quotas(read, write, others=others, region=view.region, index=index.name)
    if now.read_units == 0:    # it was on demand
        provisioned = msgspec.structs.replace(now, read_units=read, write_units=write)
    else:
        provisioned = now.changed_to(read, write, view.now)
    warm = index.warm.raised_to(Warm(read_units=read, write_units=write))
    return msgspec.structs.replace(index, provisioned=provisioned, warm=warm)


def _with_caps(table: Table, index: GlobalIndex, asked: OnDemandThroughput, view: View) -> GlobalIndex:
    read, write = asked.max_read_request_units, asked.max_write_request_units
    if table.billing_mode == "PROVISIONED" and (read is not None or write is not None):
        member = "MaxReadRequestUnits" if read is not None else "MaxWriteRequestUnits"
        raise ValidationError(INVALID + WordsOfUpdateTable().not_on_demand(index.name, member))
    check_on_demand_range(asked, removable=True, of=f"index : {index.name}")
    check_per_second_quotas("OnDemandThroughput", read, write, region=view.region, of=f"index {index.name}")
    caps = changed_caps(index.on_demand, asked)
    return msgspec.structs.replace(index, on_demand=caps)


def changed_caps(
    caps: schema.OnDemandThroughput | None, asked: OnDemandThroughput
) -> schema.OnDemandThroughput | None:
    """What `asked` makes of them: it may change one, or take one away."""
    read, write = asked.max_read_request_units, asked.max_write_request_units
    caps = caps or schema.OnDemandThroughput()
    max_read = caps.max_read_units if read is None else None if read == REMOVED else read
    max_write = caps.max_write_units if write is None else None if write == REMOVED else write
    if max_read is None and max_write is None:
        return None
    return schema.OnDemandThroughput(max_read_units=max_read, max_write_units=max_write)


def _with_warm(index: GlobalIndex, asked: WarmThroughput, view: View) -> GlobalIndex:
    return msgspec.structs.replace(index, warm=raised_warm(index.warm, asked, view, of=f"index {index.name}"))


def raised_warm(warm: Warm, asked: WarmThroughput, view: View, *, of: str) -> Warm:
    """Raises ValidationError if it would be lowered; `of` says whose it is."""
    for member, units, current in (
        ("ReadUnitsPerSecond", asked.read_units_per_second, warm.read_units),
        ("WriteUnitsPerSecond", asked.write_units_per_second, warm.write_units),
    ):
        if units is not None and units < current:
            raise ValidationError(
                f"{INVALID}Requested {member} for WarmThroughput for {of} is lower than current "
                "WarmThroughput, decreasing WarmThroughput is not supported"
            )
    read, write = asked.read_units_per_second, asked.write_units_per_second
    check_per_second_quotas("WarmThroughput", read, write, region=view.region, of=of)
    return Warm(read_units=read or warm.read_units, write_units=write or warm.write_units)


# Billing mode


def switched_to_on_demand(table: Table, now: float) -> tuple[GlobalIndex, ...]:
    """The indexes of a table that goes on demand. For each of them, but not for the table, that is a decrease."""
    return tuple(
        msgspec.structs.replace(
            index,
            provisioned=index.provisioned.changed_to(0, 0, now),
            warm=index.warm.raised_to(schema.ON_DEMAND_WARM),
        )
        for index in table.global_indexes
    )


def check_switch_to_provisioned(table: Table, updates: Updates) -> None:
    """Raises ValidationError unless every index of the table is told what it shall have."""
    told = {each.update.index_name for each in updates if each.update and each.update.provisioned_throughput}
    for index in table.global_indexes:
        if index.name not in told:
            raise ValidationError(f"{INVALID}ProvisionedThroughput must be specified for index: {index.name}")


def check_no_index_goes(table: Table) -> None:
    """Raises ResourceInUse while an index of the table is being deleted."""
    going = [index.name for index in table.global_indexes if index.status == "DELETING"]
    if going:
        raise ResourceInUse(
            f"{IN_USE}Can't change table IOPS when an index is being deleted. Table: {table.name} "
            f"Indexes: [{', '.join(going)}]"
        )


# Indexes that come and go


def action_of(
    table: Table,
    updates: Updates,
    definitions: Sequence[AttributeDefinition] | None,
    view: View,
    *,
    others: Iterable[Provisioned],
    random: Random,
) -> Creation | Deletion | None:
    """What else there is to do. `table` is as the rest of the request makes it; `others`: as above, and the table.

    Raises ValidationError, LimitExceeded, ResourceNotFound or ResourceInUse, the client's fault.
    """
    asked = [one for each in updates if (one := each.create or each.delete) is not None]
    if not asked:
        return None
    if len(asked) > 1:
        raise LimitExceeded(_ONE_AT_A_TIME)
    action: Creation | Deletion
    if isinstance(asked[0], CreateGlobalSecondaryIndexAction):
        action = _creation(table, asked[0], definitions, view, others, random)
    else:
        action = _deletion(table, asked[0])
    changing = {index.name for index in table.global_indexes if index.status in ("CREATING", "DELETING")}
    if changing - {asked[0].index_name}:
        raise LimitExceeded(_ONE_AT_A_TIME)
    return action


def _creation(
    table: Table,
    asked: CreateGlobalSecondaryIndexAction,
    definitions: Sequence[AttributeDefinition] | None,
    view: View,
    others: Iterable[Provisioned],
    random: Random,
) -> Creation:
    assert asked.index_name is not None
    assert asked.key_schema is not None
    taken = {*(index.name for index in table.local_indexes), *(index.name for index in table.global_indexes)}
    taken.update(index.name for index in table.vector_indexes)
    if asked.index_name in taken:
        raise ValidationError("Attempting to create an index which already exists")
    if not definitions:
        raise ValidationError(f"{INVALID}AttributeDefinitions is not specified for index: {asked.index_name}")
    kinds = {
        cast("str", each.attribute_name): cast("schema.ScalarKind", each.attribute_type) for each in definitions
    }
    names = [cast("str", each.attribute_name) for each in asked.key_schema]
    if not set(names) <= set(kinds):
        raise ValidationError(
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(kinds)}]"
        )
    for each in table.vector_indexes:
        if each.attribute in names:
            raise ValidationError(f"{INVALID}The vector attribute {each.attribute} is defined in AttributeDefinitions")
    # What the table says of an attribute goes: definitions that disagree are not looked at. So does the service, as its
    # users report.
    kinds.update((each.name, each.kind) for each in table.attribute_definitions)
    index = global_index_of(
        asked, kinds, table.billing_mode, WordsOfUpdateTable(), random=random, region=view.region
    )
    if len(table.global_indexes) >= GLOBAL_INDEXES_MAX:
        raise LimitExceeded(
            f"Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of "
            f"{GLOBAL_INDEXES_MAX}"
        )
    projections = [each.projection for each in table.local_indexes]
    projections += [each.projection for each in table.global_indexes]
    check_projected_total([*projections, index.projection])
    units = index.provisioned
    check_quotas(units.read_units, units.write_units, others=others, region=view.region, index=index.name)
    return Creation(msgspec.structs.replace(index, status="CREATING", is_backfilling=True))


def _deletion(table: Table, asked: DeleteGlobalSecondaryIndexAction) -> Deletion:
    index = _found(table, asked.index_name, "delete")
    if index.status == "CREATING" and not index.is_backfilling:
        raise ResourceInUse(
            f"{IN_USE}Index creation is in resource allocation phase. Retry deletion during backfilling phase or when "
            f"the index is active. Table: {table.name} Index: {index.name}"
        )
    return Deletion(index.name)


def _found(table: Table, name: str | None, verb: str) -> GlobalIndex:
    for index in table.global_indexes:
        if index.name == name:
            if index.status == "DELETING":
                raise ResourceInUse(f"{IN_USE}Index is being deleted. Table: {table.name} Index: {name}")
            return index
    if any(index.name == name for index in table.local_indexes):
        raise ValidationError(f"Cannot {verb} an index that is not a GlobalSecondaryIndex: {name}")
    raise ResourceNotFound(f"Requested resource not found: Index {name} for table {table.name}")


def _replaced(table: Table, new: GlobalIndex) -> Table:
    indexes = tuple(new if index.name == new.name else index for index in table.global_indexes)
    return changed(table, global_indexes=indexes)
