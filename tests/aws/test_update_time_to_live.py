# Why: Terraform turns off what is off already and expects one refusal for it, word for word. Which change follows on
# which is in tests/api/test_update_time_to_live.py.

import time
from typing import Any

import pytest

from .refusals import constraint, invalid, refused
from .streams import all_records, enabled, latest_stream, streams_client
from .table import Table, unique


def update(dynamodb: Any, name: str, **specification: Any) -> Any:
    return dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


def test_what_is_off_cannot_be_turned_off(table: Table, dynamodb: Any) -> None:
    with invalid("TimeToLive is already disabled"):
        update(dynamodb, table.name, Enabled=False, AttributeName="expires")


def test_what_is_asked_for_is_answered_and_described(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    answer = update(dynamodb, table.name, Enabled=True, AttributeName="expires")
    assert answer["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "expires"}
    shown = dynamodb.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    assert shown["AttributeName"] == "expires"
    assert shown["TimeToLiveStatus"] in ("ENABLING", "ENABLED")


@pytest.mark.varley_only
def test_it_is_turned_on_and_off_at_once(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    update(dynamodb, table.name, Enabled=True, AttributeName="expires")
    shown = dynamodb.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    assert shown == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    with invalid("TimeToLive is already enabled"):
        update(dynamodb, table.name, Enabled=True, AttributeName="expires")
    with invalid("TimeToLive is active on a different AttributeName: current AttributeName is expires"):
        update(dynamodb, table.name, Enabled=True, AttributeName="until")
    answer = update(dynamodb, table.name, Enabled=False, AttributeName="expires")
    assert answer["TimeToLiveSpecification"] == {"Enabled": False, "AttributeName": "expires"}
    shown = dynamodb.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    assert shown == {"TimeToLiveStatus": "DISABLED"}


@pytest.mark.varley_only
def test_what_has_expired_goes_within_seconds_and_the_rest_stays(make_table: Any, dynamodb: Any) -> None:
    table = make_table()
    past = str(int(time.time()) - 60)
    stay = [{"S": past}, {"N": str(int(time.time()) + 3600)}, {"N": "1"}, {"L": [{"N": past}]}, {"N": past + "000"}]
    items = [{"pk": {"S": f"stays-{number}"}, "expires": value} for number, value in enumerate(stay)]
    table.fill([*items, {"pk": {"S": "goes"}, "expires": {"N": past}}])
    update(dynamodb, table.name, Enabled=True, AttributeName="expires")
    table.put({"pk": {"S": "goes, too"}, "expires": {"N": past + ".5"}})
    assert seen_within_seconds(table, items)


@pytest.mark.varley_only
def test_the_stream_tells_that_the_service_did_it(
    make_table: Any, dynamodb: Any, session: Any, endpoint: str
) -> None:
    table = make_table(StreamSpecification=enabled("NEW_AND_OLD_IMAGES"))
    update(dynamodb, table.name, Enabled=True, AttributeName="expires")
    item = {"pk": {"S": "goes"}, "expires": {"N": str(int(time.time()) - 60)}}
    table.put(item)
    assert seen_within_seconds(table, [])
    table.put({"pk": {"S": "other"}})
    table.delete({"pk": {"S": "other"}})
    records = all_records(streams_client(session, endpoint), latest_stream(dynamodb, table))
    assert [record["eventName"] for record in records] == ["INSERT", "REMOVE", "INSERT", "REMOVE"]
    assert records[1]["dynamodb"]["OldImage"] == item
    assert [record.get("userIdentity") for record in records] == [
        None,
        {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"},
        None,
        None,
    ]


def seen_within_seconds(table: Table, items: list[dict[str, Any]]) -> bool:
    """Whether the table comes to hold just these; each look is a request, so this waits without sleeping."""
    wanted = sorted(item["pk"]["S"] for item in items)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if sorted(item["pk"]["S"] for item in table.scan(ConsistentRead=True)["Items"]) == wanted:
            return True
    return False


@pytest.mark.parametrize("enabled", [True, False])
def test_the_attribute_is_named_also_to_turn_it_off(table: Table, dynamodb: Any, enabled: bool) -> None:
    with invalid(constraint("null", "timeToLiveSpecification.attributeName", "not be null")):
        update(dynamodb, table.name, Enabled=enabled)


def test_on_or_off_must_be_said(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "timeToLiveSpecification.enabled", "not be null")):
        update(dynamodb, table.name, AttributeName="expires")


def test_there_must_be_a_specification(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "timeToLiveSpecification", "not be null")):
        dynamodb.update_time_to_live(TableName=table.name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("", "greater than or equal to 1"), ("x" * 256, "less than or equal to 255")],
    ids=["empty", "long"],
)
def test_the_attribute_has_a_name_of_1_to_255_characters(table: Table, dynamodb: Any, name: str, rule: str) -> None:
    with invalid(constraint(f"'{name}'", "timeToLiveSpecification.attributeName", f"have length {rule}")):
        update(dynamodb, table.name, Enabled=True, AttributeName=name)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        update(dynamodb, name, Enabled=True, AttributeName="expires")
