# Why: point-in-time recovery that was accepted and is not there would be found out on the worst of days.

from typing import Any

import pytest

from .refusals import constraint, invalid, refused
from .table import Table, unique


def update(dynamodb: Any, name: str, **specification: Any) -> Any:
    return dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=specification)


@pytest.mark.varley_only
def test_it_cannot_be_turned_on(table: Table, dynamodb: Any) -> None:
    with invalid("PointInTimeRecoverySpecification is not supported by this version of Varley"):
        update(dynamodb, table.name, PointInTimeRecoveryEnabled=True, RecoveryPeriodInDays=7)


@pytest.mark.varley_only
def test_off_it_is_already(table: Table, dynamodb: Any) -> None:
    """The service agrees, but not in the first seconds of a table."""
    answer = update(dynamodb, table.name, PointInTimeRecoveryEnabled=False)
    description = answer["ContinuousBackupsDescription"]
    assert description["PointInTimeRecoveryDescription"] == {"PointInTimeRecoveryStatus": "DISABLED"}


def test_a_period_is_for_what_is_on(table: Table, dynamodb: Any) -> None:
    with invalid("Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."):
        update(dynamodb, table.name, PointInTimeRecoveryEnabled=False, RecoveryPeriodInDays=7)


def test_the_period_ends_after_35_days(table: Table, dynamodb: Any) -> None:
    member = "pointInTimeRecoverySpecification.recoveryPeriodInDays"
    with invalid(constraint("'36'", member, "have value less than or equal to 35")):
        update(dynamodb, table.name, PointInTimeRecoveryEnabled=True, RecoveryPeriodInDays=36)


def test_there_must_be_a_specification(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "pointInTimeRecoverySpecification", "not be null")):
        dynamodb.update_continuous_backups(TableName=table.name)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("TableNotFoundException", f"Table not found: {name}"):
        update(dynamodb, name, PointInTimeRecoveryEnabled=False)
