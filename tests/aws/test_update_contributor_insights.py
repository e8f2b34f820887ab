# Why: what a tool sets, it reads back, and sets again until it is so. What changes when is in
# tests/api/test_contributor_insights.py.

from typing import Any

import pytest

from .eventually import eventually
from .global_indexes import definitions, index
from .refusals import constraint, invalid, refused
from .table import Table, unique


def update(dynamodb: Any, name: str, action: str, **more: Any) -> Any:
    answer = dynamodb.update_contributor_insights(TableName=name, ContributorInsightsAction=action, **more)
    return answer["ContributorInsightsStatus"], answer.get("ContributorInsightsMode")


@pytest.mark.varley_only
def test_what_is_set_is_so_at_the_first_look(make_table: Any, dynamodb: Any) -> None:
    """The service takes some seconds, but says the same."""
    name = make_table("S", "S").name
    assert update(dynamodb, name, "ENABLE") == ("ENABLING", "ACCESSED_AND_THROTTLED_KEYS")
    answer = dynamodb.describe_contributor_insights(TableName=name)
    assert answer["ContributorInsightsStatus"] == "ENABLED"
    assert len(answer["ContributorInsightsRuleList"]) == 4
    assert update(dynamodb, name, "ENABLE") == ("ENABLED", "ACCESSED_AND_THROTTLED_KEYS")
    mode = {"ContributorInsightsMode": "THROTTLED_KEYS"}
    assert update(dynamodb, name, "ENABLE", **mode) == ("ENABLING", "THROTTLED_KEYS")
    assert update(dynamodb, name, "DISABLE") == ("DISABLING", "THROTTLED_KEYS")
    answer = dynamodb.describe_contributor_insights(TableName=name)
    assert answer["ContributorInsightsStatus"] == "DISABLED"
    assert "ContributorInsightsRuleList" not in answer
    assert answer["LastUpdateDateTime"]


def test_to_turn_off_what_is_off_is_no_error(table: Table, dynamodb: Any) -> None:
    assert update(dynamodb, table.name, "DISABLE")[0] == "DISABLED"


def test_there_must_be_an_action(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "contributorInsightsAction", "not be null")):
        dynamodb.update_contributor_insights(TableName=table.name)


def test_unknown_words_are_refused(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("'ON'", "contributorInsightsAction", "satisfy enum value set: [ENABLE, DISABLE]")):
        update(dynamodb, table.name, "ON")
    rule = "satisfy enum value set: [ACCESSED_AND_THROTTLED_KEYS, THROTTLED_KEYS]"
    with invalid(constraint("'ALL'", "contributorInsightsMode", rule)):
        update(dynamodb, table.name, "ENABLE", ContributorInsightsMode="ALL")


def test_an_index_that_is_not_there(table: Table, dynamodb: Any) -> None:
    text = f"Requested resource not found: Index: ghost not found for table: {table.name}"
    with refused("ResourceNotFoundException", text):
        update(dynamodb, table.name, "ENABLE", IndexName="ghost")


def test_an_index_has_its_own_until_it_goes(make_table: Any, dynamodb: Any) -> None:
    name = make_table(
        "S",
        "S",
        AttributeDefinitions=definitions(pk="S", sk="S", a="S"),
        GlobalSecondaryIndexes=[index("by-a", "a")],
    ).name
    assert update(dynamodb, name, "ENABLE", IndexName="by-a")[0] == "ENABLING"
    shown = eventually(
        lambda: dynamodb.describe_contributor_insights(TableName=name, IndexName="by-a"),
        lambda shown: shown["ContributorInsightsStatus"] == "ENABLED",
    )
    rules = shown["ContributorInsightsRuleList"]
    assert [rule.rpartition("-")[0] for rule in rules] == [
        f"DynamoDBContributorInsights-PK{kind}-{name}-by-a" for kind in "CT"
    ]
    assert dynamodb.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"] == "DISABLED"
    (summary,) = dynamodb.list_contributor_insights(TableName=name)["ContributorInsightsSummaries"]
    assert (summary["IndexName"], summary["ContributorInsightsStatus"]) == ("by-a", "ENABLED")
    dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-a"}}])
    eventually(lambda: not dynamodb.list_contributor_insights(TableName=name)["ContributorInsightsSummaries"])
    text = f"Requested resource not found: Index: by-a not found for table: {name}"
    with refused("ResourceNotFoundException", text):
        dynamodb.describe_contributor_insights(TableName=name, IndexName="by-a")


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        update(dynamodb, name, "ENABLE")
