from __future__ import annotations

import pytest
from botocore.session import get_session

from tests.table.tables import on_demand_table
from tests.table.test_description import check_members
from varley.api.contributor_insights import (
    description,
    description_when_updated,
    summaries,
    with_insights,
)
from varley.table import schema
from varley.table.schema import AttributeDefinition, ContributorInsightsMode, KeySchema, Table

NOW = 1_700_000_000.25
ALL: ContributorInsightsMode = "ACCESSED_AND_THROTTLED_KEYS"
THROTTLED: ContributorInsightsMode = "THROTTLED_KEYS"
NEVER = on_demand_table("Music")


def on(table: Table, mode: ContributorInsightsMode | None = None, now: float = NOW) -> Table:
    return with_insights(table, None, enable=True, mode=mode, now=now)


def off(table: Table, mode: ContributorInsightsMode | None = None, now: float = NOW) -> Table:
    return with_insights(table, None, enable=False, mode=mode, now=now)


def test_a_table_of_which_nobody_asked() -> None:
    assert description(NEVER, None) == {"TableName": "Music", "ContributorInsightsStatus": "DISABLED"}
    assert summaries(NEVER) == []


def test_they_are_on_by_the_first_look_though_the_answer_says_enabling() -> None:
    table = on(NEVER)
    assert description_when_updated(NEVER, table, None) == {
        "TableName": "Music",
        "ContributorInsightsStatus": "ENABLING",
        "ContributorInsightsMode": ALL,
    }
    assert description(table, None) == {
        "TableName": "Music",
        "ContributorInsightsRuleList": [
            "DynamoDBContributorInsights-PKC-Music-1700000000250",
            "DynamoDBContributorInsights-PKT-Music-1700000000250",
        ],
        "ContributorInsightsStatus": "ENABLED",
        "LastUpdateDateTime": NOW,
        "ContributorInsightsMode": ALL,
    }
    assert schema.from_json(schema.to_json(table)) == table


def test_a_sort_key_has_rules_too() -> None:
    keys = (AttributeDefinition(name="pk", kind="S"), AttributeDefinition(name="sk", kind="N"))
    key_schema = KeySchema(hash_name="pk", hash_kind="S", range_name="sk", range_kind="N")
    table = on(on_demand_table("Music", attribute_definitions=keys, key_schema=key_schema))
    kinds = [name.split("-")[1] for name in description(table, None)["ContributorInsightsRuleList"]]
    assert kinds == ["PKC", "SKC", "PKT", "SKT"]


def test_on_again_is_no_change() -> None:
    table = on(NEVER)
    assert on(table, ALL, NOW + 1) is table
    assert description_when_updated(table, table, None)["ContributorInsightsStatus"] == "ENABLED"


def test_another_mode_keeps_the_rules_that_it_has() -> None:
    table = on(on(NEVER), THROTTLED, NOW + 1)
    shown = description(table, None)
    assert shown["ContributorInsightsRuleList"] == ["DynamoDBContributorInsights-PKT-Music-1700000000250"]
    assert shown["LastUpdateDateTime"] == NOW + 1
    assert description_when_updated(on(NEVER), table, None)["ContributorInsightsStatus"] == "ENABLING"


def test_no_mode_is_the_default_one_also_where_the_other_is_in_force() -> None:
    assert description(on(on(NEVER, THROTTLED)), None)["ContributorInsightsMode"] == ALL


def test_off_keeps_the_mode_and_has_no_rules() -> None:
    before = on(NEVER, THROTTLED)
    after = off(before, ALL, NOW + 1)
    assert description_when_updated(before, after, None) == {
        "TableName": "Music",
        "ContributorInsightsStatus": "DISABLING",
        "ContributorInsightsMode": THROTTLED,
    }
    assert description(after, None) == {
        "TableName": "Music",
        "ContributorInsightsStatus": "DISABLED",
        "LastUpdateDateTime": NOW + 1,
        "ContributorInsightsMode": THROTTLED,
    }
    assert summaries(after) == []


def test_off_again_is_no_change() -> None:
    assert off(NEVER) is NEVER
    assert description_when_updated(NEVER, NEVER, None) == {
        "TableName": "Music",
        "ContributorInsightsStatus": "DISABLED",
    }
    table = off(on(NEVER))
    assert off(table, now=NOW + 1) is table


def test_rules_are_new_ones_when_they_are_on_again() -> None:
    table = on(off(on(NEVER)), now=NOW + 1)
    assert description(table, None)["ContributorInsightsRuleList"][0].endswith("-1700000001250")


def test_an_index_has_its_own() -> None:
    table = with_insights(on(NEVER), "ByYear", enable=True, mode=THROTTLED, now=NOW)
    assert [(each["TableName"], each.get("IndexName")) for each in summaries(table)] == [
        ("Music", None),
        ("Music", "ByYear"),
    ]
    shown = description(table, "ByYear")
    assert shown["IndexName"] == "ByYear"
    assert shown["ContributorInsightsRuleList"] == ["DynamoDBContributorInsights-PKT-Music-ByYear-1700000000250"]


@pytest.mark.parametrize("table", [NEVER, on(NEVER), off(on(NEVER))])
def test_every_member_is_one_of_the_service_model(table: Table) -> None:
    model = get_session().get_service_model("dynamodb")
    check_members(
        description(table, None), model.operation_model("DescribeContributorInsights").output_shape, ""
    )
    check_members(
        description_when_updated(NEVER, table, None),
        model.operation_model("UpdateContributorInsights").output_shape,
        "",
    )
