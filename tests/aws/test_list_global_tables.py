# Why: consoles ask for it first of all. There are no global tables of the first version.

from typing import Any

import pytest

from .refusals import constraint, constraint_on, invalid


@pytest.mark.parametrize("more", [{}, {"RegionName": "us-east-1"}, {"Limit": 1}], ids=["all", "region", "limit"])
def test_there_are_none(dynamodb: Any, more: dict[str, Any]) -> None:
    answer = dynamodb.list_global_tables(**more)
    assert answer["GlobalTables"] == []
    assert "LastEvaluatedGlobalTableName" not in answer


def test_a_page_has_a_size(dynamodb: Any) -> None:
    with invalid(constraint("'0'", "limit", "have value greater than or equal to 1")):
        dynamodb.list_global_tables(Limit=0)


def test_a_list_starts_at_a_name(dynamodb: Any) -> None:
    with invalid(constraint_on("exclusiveStartGlobalTableName")):
        dynamodb.list_global_tables(ExclusiveStartGlobalTableName="x")
