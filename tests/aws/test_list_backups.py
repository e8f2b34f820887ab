# Why: consoles and clean-up scripts list backups of every table, of tables that are gone too.

from typing import Any

import pytest

from .refusals import constraint, constraint_on, invalid
from .table import Table, unique


@pytest.mark.parametrize("more", [{}, {"BackupType": "ALL"}, {"Limit": 100}], ids=["none given", "type", "limit"])
def test_a_new_table_has_no_backups(table: Table, dynamodb: Any, more: dict[str, Any]) -> None:
    answer = dynamodb.list_backups(TableName=table.name, **more)
    assert answer["BackupSummaries"] == []
    assert "LastEvaluatedBackupArn" not in answer


def test_nor_has_a_missing_one(dynamodb: Any) -> None:
    assert dynamodb.list_backups(TableName=unique("missing"))["BackupSummaries"] == []


def test_a_time_range_runs_forward(dynamodb: Any) -> None:
    with invalid(
        "One or more parameter values were invalid: "
        "Time range lower bound must be less than or equal to upper bound"
    ):
        dynamodb.list_backups(TimeRangeLowerBound=2, TimeRangeUpperBound=1)


def test_a_page_has_a_size(dynamodb: Any) -> None:
    with invalid(constraint("'101'", "limit", "have value less than or equal to 100")):
        dynamodb.list_backups(Limit=101)


def test_unknown_words_are_refused(dynamodb: Any) -> None:
    with invalid(constraint_on("backupType")):
        dynamodb.list_backups(BackupType="user")
