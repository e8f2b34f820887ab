# Why: indexes come and go on tables that are in use. Each step must say what it is in the middle of, refuse what would
# cut across it, and leave the table exactly as asked. (Developer guide, "Managing global secondary indexes"; API
# Reference, UpdateTable; states and texts as users of the service have reported them.)

from typing import Any

import pytest

from .eventually import eventually
from .global_indexes import (
    INVALID,
    definitions,
    described,
    index,
    rows,
    text,
    units,
    wait_for_rows,
    wait_until_active,
)
from .refusals import invalid, refused
from .table import Table

A = definitions(a="S")
ONE_AT_A_TIME = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
IN_USE = "Attempt to change a resource which is still in use: "


def update(table: Table, *actions: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer = table.client.update_table(
        TableName=table.name, **({"GlobalSecondaryIndexUpdates": list(actions)} if actions else {}), **parameters
    )
    shown: dict[str, Any] = answer["TableDescription"]
    return shown


def create(name: str, *keys: str, **more: Any) -> dict[str, Any]:
    return {"Create": index(name, *keys, **more)}


def delete(name: str) -> dict[str, Any]:
    return {"Delete": {"IndexName": name}}


def change(name: str, **more: Any) -> dict[str, Any]:
    return {"Update": {"IndexName": name, **more}}


def index_of(shown: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in shown["GlobalSecondaryIndexes"] if each["IndexName"] == name)
    return found


def wait_until_gone(table: Table, name: str) -> None:
    assert eventually(lambda: described(table, name) is None)


# Indexes that come and go


def test_an_index_that_is_added_has_the_items_from_before(make_table: Any) -> None:
    table = make_table()
    table.fill([{"pk": text(f"p{place:03}"), "a": text("x" if place % 2 else "y")} for place in range(120)])
    table.put({"pk": text("without")})
    table.put({"pk": text("odd"), "a": {"N": "1"}})     # it cannot be in the index, and is left out
    shown = update(table, create("by-a", "a"), AttributeDefinitions=A)
    assert shown["TableStatus"] == "UPDATING"
    new = index_of(shown, "by-a")
    assert (new["IndexStatus"], new["Backfilling"]) == ("CREATING", False)
    assert new["ItemCount"] == 0
    active = wait_until_active(table, "by-a")
    assert "Backfilling" not in active
    assert len(rows(table, "by-a", "a = :a", a=text("x"))) == 60
    assert len(rows(table, "by-a", "a = :a", a=text("y"))) == 60
    shown = table.client.describe_table(TableName=table.name)["Table"]
    assert [each["AttributeName"] for each in shown["AttributeDefinitions"]] == ["a", "pk"]


def test_an_item_that_is_written_later_is_in_it_too(make_table: Any) -> None:
    table = make_table()
    update(table, create("by-a", "a", projection="KEYS_ONLY"), AttributeDefinitions=A)
    wait_until_active(table, "by-a")
    table.put({"pk": text("later"), "a": text("x"), "b": text("not projected")})
    assert wait_for_rows(table, "by-a", 1, "a = :a", a=text("x")) == [{"pk": text("later"), "a": text("x")}]
    with invalid(f"{INVALID}Type mismatch for Index Key a Expected: S Actual: N IndexName: by-a"):
        table.put({"pk": text("odd"), "a": {"N": "1"}})


def test_an_index_that_is_deleted_takes_its_attributes_with_it(make_table: Any) -> None:
    table = make_table(
        AttributeDefinitions=definitions(pk="S", a="S", b="S"),
        GlobalSecondaryIndexes=[index("by-a", "a"), index("by-b", "b", "pk")],
    )
    table.put({"pk": text("p"), "a": text("x"), "b": text("y")})
    shown = update(table, delete("by-a"))
    assert shown["TableStatus"] == "UPDATING"
    assert index_of(shown, "by-a")["IndexStatus"] == "DELETING"
    wait_until_gone(table, "by-a")
    shown = table.client.describe_table(TableName=table.name)["Table"]
    assert [each["AttributeName"] for each in shown["AttributeDefinitions"]] == ["b", "pk"]
    with invalid("The table does not have the specified index: by-a"):
        rows(table, "by-a", "a = :a", a=text("x"))
    assert len(wait_for_rows(table, "by-b", 1, "b = :b", b=text("y"))) == 1
    table.put({"pk": text("p"), "a": {"N": "1"}})    # nothing depends on it any more


def test_an_index_may_come_again_with_another_key(make_table: Any) -> None:
    table = make_table(
        AttributeDefinitions=definitions(pk="S", a="S"), GlobalSecondaryIndexes=[index("again", "a")]
    )
    table.put({"pk": text("p"), "a": text("x"), "b": text("y")})
    update(table, delete("again"))
    wait_until_gone(table, "again")
    update(table, create("again", "b"), AttributeDefinitions=definitions(b="S"))
    wait_until_active(table, "again")
    assert len(rows(table, "again", "b = :b", b=text("y"))) == 1
    with invalid("Query condition missed key schema element: b"):
        rows(table, "again", "a = :a", a=text("x"))


def test_definitions_of_attributes_that_are_known_may_be_left_out_or_disagree(make_table: Any) -> None:
    table = make_table()
    update(table, create("by-a", "a", "pk"), AttributeDefinitions=definitions(a="S", pk="N", stale="B"))
    wait_until_active(table, "by-a")
    shown = table.client.describe_table(TableName=table.name)["Table"]
    assert shown["AttributeDefinitions"] == definitions(a="S", pk="S")


def test_definitions_are_ignored_where_no_index_comes(make_table: Any) -> None:
    table = make_table()
    update(table, AttributeDefinitions=definitions(pk="N", x="S"), DeletionProtectionEnabled=False)
    shown = table.client.describe_table(TableName=table.name)["Table"]
    assert shown["AttributeDefinitions"] == definitions(pk="S")


def test_a_protected_table_does_not_protect_its_indexes(make_table: Any) -> None:
    table = make_table(GlobalSecondaryIndexes=[index("by-pk", "pk")], DeletionProtectionEnabled=True)
    update(table, delete("by-pk"))
    wait_until_gone(table, "by-pk")
    update(table, DeletionProtectionEnabled=False)


# What is refused whatever the table is


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (
            [{}],
            f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
            "GlobalSecondaryIndexUpdate.Delete must not be null",
        ),
        (
            [{**delete("by-pk"), **change("by-pk", ProvisionedThroughput=units(1, 1))}],
            f"{INVALID}Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object",
        ),
        (
            [delete("by-pk"), create("by-pk", "pk")],
            f"{INVALID}Only one global secondary index update per index is allowed simultaneously. Index: by-pk",
        ),
    ],
    ids=["nothing", "two things", "one index twice"],
)
def test_each_update_is_one_thing_to_one_index(table: Table, actions: list[Any], words: str) -> None:
    with invalid(words):
        update(table, *actions)


def test_an_empty_list_is_no_change_and_no_companion_of_one(table: Table) -> None:
    with invalid() as refusal:
        table.client.update_table(TableName=table.name, GlobalSecondaryIndexUpdates=[])
    assert refusal.text.startswith("At least one of ProvisionedThroughput, BillingMode")
    with invalid(f"{INVALID}List of GlobalSecondaryIndexUpdates is empty"):
        table.client.update_table(
            TableName=table.name, GlobalSecondaryIndexUpdates=[], DeletionProtectionEnabled=False
        )


@pytest.mark.parametrize(
    ("companion", "words"),
    [
        (
            {"ProvisionedThroughput": units(2, 2)},
            f"{INVALID}You cannot create or delete index while updating table IOPS",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False}},
            f"{INVALID}You cannot create or delete index while changing stream status",
        ),
        (
            {"DeletionProtectionEnabled": True},
            f"{INVALID}DeletionProtection modification must be the only operation in the request",
        ),
        (
            {"TableClass": "STANDARD"},
            f"{INVALID}TableClass modification must be the only operation in the request",
        ),
        (
            {"WarmThroughput": {"ReadUnitsPerSecond": 12_001}},
            f"{INVALID}Create global secondary index cannot be specified when updating WarmThroughput",
        ),
    ],
    ids=["throughput", "stream", "protection", "class", "warm throughput"],
)
def test_an_index_does_not_come_together_with(table: Table, companion: dict[str, Any], words: str) -> None:
    with invalid(words):
        update(table, create("by-a", "a"), AttributeDefinitions=A, **companion)
    assert described(table, "by-a") is None


# What is refused because of the table


@pytest.fixture(scope="module")
def indexed(make_table: Any) -> Table:
    """On demand; a local index "local", a global one "global"."""
    table: Table = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(pk="S", sk="S", a="S"),
        LocalSecondaryIndexes=[index("local", "pk", "a")],
        GlobalSecondaryIndexes=[index("global", "a")],
    )
    return table


@pytest.mark.parametrize("name", ["global", "local"])
def test_a_name_that_is_taken(indexed: Table, name: str) -> None:
    with invalid("Attempting to create an index which already exists"):
        update(indexed, create(name, "a"), AttributeDefinitions=A)


@pytest.mark.parametrize("action", [delete("nobody"), change("nobody", OnDemandThroughput={"MaxReadRequestUnits": 1})])
def test_an_index_that_is_not_there(indexed: Table, action: dict[str, Any]) -> None:
    words = f"Requested resource not found: Index nobody for table {indexed.name}"
    with refused("ResourceNotFoundException", words):
        update(indexed, action)


def test_local_indexes_never_change(indexed: Table) -> None:
    with invalid("Cannot delete an index that is not a GlobalSecondaryIndex: local"):
        update(indexed, delete("local"))
    with invalid("Cannot update an index that is not a GlobalSecondaryIndex: local"):
        update(indexed, change("local", OnDemandThroughput={"MaxReadRequestUnits": 1}))


def test_a_new_index_says_what_its_attributes_are(indexed: Table) -> None:
    with invalid(f"{INVALID}AttributeDefinitions is not specified for index: by-b"):
        update(indexed, create("by-b", "b"))
    with invalid() as refusal:
        update(indexed, create("by-b", "b"), AttributeDefinitions=A)
    assert "Some index key attributes are not defined in AttributeDefinitions" in refusal.text


@pytest.mark.parametrize(
    "actions",
    [
        [create("by-a", "a"), create("by-a-too", "a")],
        [create("by-a", "a"), delete("global")],
    ],
    ids=["two come", "one comes, one goes"],
)
def test_one_index_at_a_time_comes_or_goes(indexed: Table, actions: list[Any]) -> None:
    with refused("LimitExceededException", ONE_AT_A_TIME):
        update(indexed, *actions, AttributeDefinitions=A)
    assert described(indexed, "global") is not None
    assert described(indexed, "by-a") is None


def test_twenty_indexes_are_the_most(make_table: Any) -> None:
    table = make_table(GlobalSecondaryIndexes=[index(f"by-{place:02}", "pk") for place in range(20)])
    words = "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20"
    with refused("LimitExceededException", words):
        update(table, create("one-more", "pk"), AttributeDefinitions=definitions(pk="S"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"ProvisionedThroughput": units(1, 1)},
            f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: by-a when "
            "BillingMode is PAY_PER_REQUEST",
        ),
        ({"projection": "INCLUDE"}, f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
    ],
    ids=["throughput", "projection"],
)
def test_a_new_index_is_looked_at_as_one_of_a_new_table(indexed: Table, more: dict[str, Any], words: str) -> None:
    with invalid(words):
        update(indexed, create("by-a", "a", **more), AttributeDefinitions=A)


# Throughput


@pytest.fixture
def provisioned(make_table: Any) -> Table:
    """A table with 1/1 and two indexes with 2/2."""
    table: Table = make_table(
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units(1, 1),
        GlobalSecondaryIndexes=[
            index("one", "pk", ProvisionedThroughput=units(2, 2)),
            index("two", "pk", ProvisionedThroughput=units(2, 2)),
        ],
    )
    return table


def capacity(table: Table, name: str) -> tuple[int, int]:
    shown = described(table, name)
    assert shown is not None
    throughput = shown["ProvisionedThroughput"]
    return throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]


def test_several_indexes_change_their_throughput_at_once(provisioned: Table) -> None:
    shown = update(
        provisioned,
        change("one", ProvisionedThroughput=units(3, 2)),
        change("two", ProvisionedThroughput=units(1, 4)),
    )
    assert shown["TableStatus"] == "ACTIVE"
    assert index_of(shown, "one")["IndexStatus"] == "UPDATING"
    assert index_of(shown, "one")["ProvisionedThroughput"]["ReadCapacityUnits"] == 2
    wait_until_active(provisioned, "one")
    wait_until_active(provisioned, "two")
    assert (capacity(provisioned, "one"), capacity(provisioned, "two")) == ((3, 2), (1, 4))
    two = described(provisioned, "two")
    assert two is not None
    assert two["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 1
    assert two["WarmThroughput"]["ReadUnitsPerSecond"] == 2
    assert provisioned.client.describe_table(TableName=provisioned.name)["Table"]["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        **units(1, 1),
    }


def test_throughput_that_stays_as_it_is_is_no_change(provisioned: Table) -> None:
    with invalid() as refusal:
        update(
            provisioned,
            change("one", ProvisionedThroughput=units(3, 3)),
            change("two", ProvisionedThroughput=units(2, 2)),
        )
    assert refusal.text.startswith(
        "The provisioned throughput for the index two will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for index two: 2. Requested ReadCapacityUnits: 2."
    )
    assert capacity(provisioned, "one") == (2, 2)


def test_each_index_has_four_decreases_a_day(provisioned: Table) -> None:
    update(provisioned, change("one", ProvisionedThroughput=units(9, 9)))
    wait_until_active(provisioned, "one")
    for units_now in (8, 7, 6, 5):
        update(provisioned, change("one", ProvisionedThroughput=units(units_now, 9)))
        wait_until_active(provisioned, "one")
    with refused("LimitExceededException") as refusal:
        update(
            provisioned,
            change("two", ProvisionedThroughput=units(1, 1)),
            change("one", ProvisionedThroughput=units(4, 9)),
        )
    assert refusal.text.startswith("Subscriber limit exceeded: Provisioned throughput decreases are limited")
    assert capacity(provisioned, "two") == (2, 2)
    update(provisioned, change("two", ProvisionedThroughput=units(1, 1)))


def test_a_table_goes_on_demand_with_its_indexes_and_back_with_each_of_them(provisioned: Table) -> None:
    update(provisioned, BillingMode="PAY_PER_REQUEST")
    eventually(lambda: capacity(provisioned, "one") == (0, 0))
    wait_until_active(provisioned, "one")
    assert capacity(provisioned, "two") == (0, 0)
    back = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(5, 5)}
    with invalid(f"{INVALID}ProvisionedThroughput must be specified for index: two"):
        update(provisioned, change("one", ProvisionedThroughput=units(6, 6)), **back)
    shown = update(
        provisioned,
        change("one", ProvisionedThroughput=units(6, 6)),
        change("two", ProvisionedThroughput=units(7, 7)),
        **back,
    )
    assert index_of(shown, "one")["ProvisionedThroughput"]["ReadCapacityUnits"] == 6
    wait_until_active(provisioned, "one")
    assert (capacity(provisioned, "one"), capacity(provisioned, "two")) == ((6, 6), (7, 7))


def test_an_index_on_demand_has_caps_only(indexed: Table) -> None:
    with invalid(
        f"{INVALID}The only Updates for index: global when TableThroughputMode is PAY_PER_REQUEST can be to "
        "OnDemandThroughput, WarmThroughput"
    ):
        update(indexed, change("global", ProvisionedThroughput=units(1, 1)))
    shown = update(
        indexed, change("global", OnDemandThroughput={"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": 60})
    )
    assert (shown["TableStatus"], index_of(shown, "global")["IndexStatus"]) == ("ACTIVE", "UPDATING")
    active = wait_until_active(indexed, "global")
    assert active["OnDemandThroughput"] == {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": 60}
    update(indexed, change("global", OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1}))
    wait_until_active(indexed, "global")


def test_warm_throughput_is_only_raised(indexed: Table) -> None:
    with invalid(
        f"{INVALID}Requested ReadUnitsPerSecond for WarmThroughput for index global is lower than current "
        "WarmThroughput, decreasing WarmThroughput is not supported"
    ):
        update(indexed, change("global", WarmThroughput={"ReadUnitsPerSecond": 100}))
    shown = index_of(update(indexed, change("global", WarmThroughput={"ReadUnitsPerSecond": 12_001})), "global")
    assert shown["IndexStatus"] == "ACTIVE"
    assert shown["WarmThroughput"] == {
        "ReadUnitsPerSecond": 12_000,
        "WriteUnitsPerSecond": 4_000,
        "Status": "UPDATING",
    }


def test_caps_are_for_tables_on_demand(provisioned: Table) -> None:
    with invalid(
        f"{INVALID}MaxReadRequestUnits for OnDemandThroughput for index : one cannot be specified when the table "
        "BillingMode is PROVISIONED"
    ):
        update(provisioned, change("one", OnDemandThroughput={"MaxReadRequestUnits": 1}))


def test_a_new_index_of_a_provisioned_table_needs_throughput(provisioned: Table) -> None:
    with invalid(f"{INVALID}Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: by-a"):
        update(provisioned, create("by-a", "a"), AttributeDefinitions=A)
    shown = update(
        provisioned,
        create("by-a", "a", ProvisionedThroughput=units(3, 3)),
        change("one", ProvisionedThroughput=units(4, 4)),
        AttributeDefinitions=A,
    )
    assert index_of(shown, "by-a")["ProvisionedThroughput"]["ReadCapacityUnits"] == 3
    wait_until_active(provisioned, "by-a")
    assert capacity(provisioned, "one") == (4, 4)
