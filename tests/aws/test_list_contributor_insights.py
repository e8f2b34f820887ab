# Why: the list has only what is on, and comes in pages; how they follow each other is in
# tests/api/test_list_contributor_insights.py.

from typing import Any

import pytest

from .refusals import constraint, invalid, refused
from .table import Table, unique


def test_a_table_where_they_are_off_is_not_listed(table: Table, dynamodb: Any) -> None:
    answer = dynamodb.list_contributor_insights(TableName=table.name)
    assert answer["ContributorInsightsSummaries"] == []
    assert "NextToken" not in answer


@pytest.mark.varley_only
def test_one_where_they_are_on_is(make_table: Any, dynamodb: Any) -> None:
    names = sorted(make_table().name for _ in range(3))
    for name in names:
        dynamodb.update_contributor_insights(TableName=name, ContributorInsightsAction="ENABLE")
    assert dynamodb.list_contributor_insights(TableName=names[0])["ContributorInsightsSummaries"] == [
        {
            "TableName": names[0],
            "ContributorInsightsStatus": "ENABLED",
            "ContributorInsightsMode": "ACCESSED_AND_THROTTLED_KEYS",
        }
    ]
    listed: list[str] = []
    more: dict[str, str] = {}
    while True:
        answer = dynamodb.list_contributor_insights(MaxResults=1, **more)
        listed += [entry["TableName"] for entry in answer["ContributorInsightsSummaries"]]
        if "NextToken" not in answer:
            break
        more = {"NextToken": answer["NextToken"]}
    assert [name for name in listed if name in names] == names


def test_a_page_has_a_size(dynamodb: Any) -> None:
    with invalid(constraint("'101'", "maxResults", "have value less than or equal to 100")):
        dynamodb.list_contributor_insights(MaxResults=101)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.list_contributor_insights(TableName=name)
