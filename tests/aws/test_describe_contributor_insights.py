# Why: infrastructure tools ask for it right after CreateTable and on every refresh; a refusal stops them.

from typing import Any

from .refusals import refused
from .table import Table, unique


def members(answer: Any) -> Any:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_they_are_off_unless_somebody_turns_them_on(table: Table, dynamodb: Any) -> None:
    answer = dynamodb.describe_contributor_insights(TableName=table.name)
    assert members(answer) == {"TableName": table.name, "ContributorInsightsStatus": "DISABLED"}


def test_an_index_that_is_not_there(table: Table, dynamodb: Any) -> None:
    text = f"Requested resource not found: Index: ghost not found for table: {table.name}"
    with refused("ResourceNotFoundException", text):
        dynamodb.describe_contributor_insights(TableName=table.name, IndexName="ghost")


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.describe_contributor_insights(TableName=name)
