"""What GlobalSecondaryIndexUpdates make of a table in each state that an index may be in."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from tests.table.tables import on_demand_table, provisioned_table
from varley.api import update_table
from varley.api.index_updates import Creation, Deletion, action_of
from varley.api.update_table import check_request, updated_table
from varley.errors import LimitExceeded, ResourceInUse, ValidationError
from varley.table.description import View, description, description_when_updated
from varley.table.schema import (
    ON_DEMAND_WARM,
    AttributeDefinition,
    GlobalIndex,
    OnDemandThroughput,
    Projection,
    Provisioned,
    Table,
    WarmThroughput,
)

NOON = 20_000 * 86_400 + 43_200.0
view = View(account="123456789012", region="eu-west-1", now=NOON)
IN_USE = "Attempt to change a resource which is still in use: "
ONE_AT_A_TIME = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"


def index(name: str = "by-pk", **members: Any) -> GlobalIndex:
    return GlobalIndex(
        **{
            "name": name,
            "id": "00000000-0000-4000-8000-000000000000",
            "hash_keys": (AttributeDefinition(name="pk", kind="S"),),
            "projection": Projection(kind="ALL"),
            "warm": ON_DEMAND_WARM,
            **members,
        }
    )


def with_units(read: int, write: int, name: str = "by-pk", **members: Any) -> GlobalIndex:
    return index(
        name,
        **{
            "provisioned": Provisioned(read_units=read, write_units=write),
            "warm": WarmThroughput(read_units=read, write_units=write),
            **members,
        },
    )


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def updates(table: Table, *actions: dict[str, Any], **members: Any) -> tuple[Table, Creation | Deletion | None]:
    body = {"TableName": "Music", "GlobalSecondaryIndexUpdates": list(actions), **members}
    request = update_table._decode(msgspec.json.encode(body))
    check_request(request)
    after = updated_table(table, request, view, others=())
    action = action_of(
        after,
        request.global_secondary_index_updates or (),
        request.attribute_definitions,
        view,
        others=(),
        random=Random(1),
    )
    return after, action


CREATE = {
    "Create": {
        "IndexName": "new",
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
}
DEFINITIONS = [{"AttributeName": "a", "AttributeType": "N"}, {"AttributeName": "pk", "AttributeType": "N"}]


def test_an_index_that_comes_is_to_be_filled() -> None:
    after, action = updates(on_demand_table(), CREATE, AttributeDefinitions=DEFINITIONS)
    assert after == on_demand_table()    # it comes by itself, with its partitions
    assert isinstance(action, Creation)
    new = action.index
    assert (new.status, new.is_backfilling, new.warm) == ("CREATING", True, ON_DEMAND_WARM)
    # pk is what the table says that it is.
    assert [(each.name, each.kind) for each in (*new.hash_keys, *new.range_keys)] == [("a", "N"), ("pk", "S")]


def test_an_index_comes_together_with_the_mode_that_it_is_for() -> None:
    after, action = updates(
        provisioned_table(), CREATE, AttributeDefinitions=DEFINITIONS, BillingMode="PAY_PER_REQUEST"
    )
    assert after.billing_mode == "PAY_PER_REQUEST"
    assert isinstance(action, Creation)
    assert action.index.provisioned == Provisioned()


@pytest.mark.parametrize("action", [CREATE, {"Delete": {"IndexName": "other"}}], ids=["create", "delete"])
@pytest.mark.parametrize(
    "changing",
    [index(status="CREATING", is_backfilling=True), index(status="CREATING"), index(status="DELETING")],
    ids=["filled", "allocated", "deleted"],
)
def test_nothing_comes_or_goes_while_another_index_does(changing: GlobalIndex, action: dict[str, Any]) -> None:
    table = on_demand_table(global_indexes=(changing, index("other")))
    with pytest.raises(LimitExceeded) as refusal:
        updates(table, action, AttributeDefinitions=DEFINITIONS)
    assert refusal.value.message == ONE_AT_A_TIME


def test_an_index_that_is_being_filled_may_go_and_its_throughput_may_change() -> None:
    table = on_demand_table(global_indexes=(index(status="CREATING", is_backfilling=True),))
    assert updates(table, {"Delete": {"IndexName": "by-pk"}})[1] == Deletion("by-pk")
    caps = {"IndexName": "by-pk", "OnDemandThroughput": {"MaxReadRequestUnits": 5}}
    after, _ = updates(table, {"Update": caps})
    assert after.global_indexes[0].on_demand == OnDemandThroughput(max_read_units=5)


def test_an_index_that_is_being_allocated_may_not_go() -> None:
    table = on_demand_table(global_indexes=(index(status="CREATING"),))
    with pytest.raises(ResourceInUse) as refusal:
        updates(table, {"Delete": {"IndexName": "by-pk"}})
    assert refusal.value.message == (
        f"{IN_USE}Index creation is in resource allocation phase. Retry deletion during backfilling phase or when the "
        "index is active. Table: Music Index: by-pk"
    )


def test_an_index_that_goes_is_not_changed_nor_is_the_tables_throughput() -> None:
    table = provisioned_table(global_indexes=(with_units(1, 1, status="DELETING"),))
    change = {"Update": {"IndexName": "by-pk", "ProvisionedThroughput": units(2, 2)}}
    with pytest.raises(ResourceInUse) as refusal:
        updates(table, change)
    assert refusal.value.message == f"{IN_USE}Index is being deleted. Table: Music Index: by-pk"
    for members in ({"BillingMode": "PAY_PER_REQUEST"}, {"ProvisionedThroughput": units(9, 9)}):
        request = update_table._decode(msgspec.json.encode({"TableName": "Music", **members}))
        with pytest.raises(ResourceInUse) as refusal:
            updated_table(table, request, view, others=())
        assert refusal.value.message == (
            f"{IN_USE}Can't change table IOPS when an index is being deleted. Table: Music Indexes: [by-pk]"
        )


def test_going_on_demand_is_a_decrease_for_each_index() -> None:
    caps = OnDemandThroughput(max_read_units=7)
    table = provisioned_table(global_indexes=(with_units(3, 4),))
    request = update_table._decode(b'{"TableName":"Music","BillingMode":"PAY_PER_REQUEST"}')
    after = updated_table(table, request, view, others=())
    (found,) = after.global_indexes
    assert found.provisioned == Provisioned(decreased_at=NOON, decreases=1)
    assert found.warm == ON_DEMAND_WARM
    capped = on_demand_table(global_indexes=(index(on_demand=caps),))
    change = {"Update": {"IndexName": "by-pk", "ProvisionedThroughput": units(2, 2)}}
    back, _ = updates(capped, change, BillingMode="PROVISIONED", ProvisionedThroughput=units(1, 1))
    (found,) = back.global_indexes
    assert found.on_demand is None
    assert found.provisioned == Provisioned(read_units=2, write_units=2)


def test_what_indexes_have_counts_towards_the_account() -> None:
    table = provisioned_table(1, 1, global_indexes=(with_units(30_000, 1), with_units(1, 1, "other")))
    change = {"Update": {"IndexName": "other", "ProvisionedThroughput": units(40_000, 1)}}
    request = update_table._decode(
        msgspec.json.encode({"TableName": "Music", "GlobalSecondaryIndexUpdates": [change]})
    )
    others = [Provisioned(read_units=39_999, write_units=1)]
    with pytest.raises(LimitExceeded) as refusal:
        updated_table(table, request, view, others=others)
    assert "ReadCapacityUnits limit to be exceeded for the account" in refusal.value.message


def test_a_switch_of_the_billing_mode_that_is_not_named_is_none() -> None:
    table = on_demand_table(global_indexes=(index(),))
    change = {"Update": {"IndexName": "by-pk", "ProvisionedThroughput": units(2, 2)}}
    with pytest.raises(ValidationError) as refusal:
        updates(table, change, BillingMode="PAY_PER_REQUEST")
    assert refusal.value.message.endswith("for index: by-pk when BillingMode is PAY_PER_REQUEST")
    with pytest.raises(ValidationError) as refusal:
        updates(table, change)
    assert refusal.value.message.endswith("can be to OnDemandThroughput, WarmThroughput")


# How it is shown


def test_an_index_shows_that_it_is_filled_and_with_what() -> None:
    table = on_demand_table(global_indexes=(index(status="CREATING", is_backfilling=True), index("other")))
    shown = description(table, view, item_count=0, size_bytes=0, index_sizes={"by-pk": (2, 30)})
    filled, other = shown["GlobalSecondaryIndexes"]
    assert (filled["IndexStatus"], filled["Backfilling"]) == ("CREATING", True)
    assert (filled["ItemCount"], filled["IndexSizeBytes"]) == (2, 30)
    assert "Backfilling" not in other


def test_the_answer_to_a_change_shows_what_was() -> None:
    before = provisioned_table(global_indexes=(with_units(3, 4), with_units(1, 1, "other")))
    after, _ = updates(before, {"Update": {"IndexName": "by-pk", "ProvisionedThroughput": units(9, 9)}})
    shown = description_when_updated(before, after, view, item_count=0, size_bytes=0, updating=False)
    changed, other = shown["GlobalSecondaryIndexes"]
    assert (changed["IndexStatus"], changed["ProvisionedThroughput"]["ReadCapacityUnits"]) == ("UPDATING", 3)
    assert changed["WarmThroughput"] == {"ReadUnitsPerSecond": 3, "WriteUnitsPerSecond": 4, "Status": "ACTIVE"}
    assert other["IndexStatus"] == "ACTIVE"
