# Why: a table that comes back empty is worse than one that does not come back.

from typing import Any

import pytest

from .policies import arn_of
from .refusals import constraint, invalid, refused
from .table import Table, unique

ONE_TIME = (
    "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both"
)


def restore(dynamodb: Any, **parameters: Any) -> None:
    dynamodb.restore_table_to_point_in_time(
        **{"TargetTableName": unique("restored"), "UseLatestRestorableTime": True, **parameters}
    )


@pytest.mark.parametrize("by", ["name", "arn"])
def test_a_table_without_it_cannot_be_restored(table: Table, dynamodb: Any, by: str) -> None:
    source = {"SourceTableName": table.name} if by == "name" else {"SourceTableArn": arn_of(dynamodb, table)}
    text = f"Point in time recovery is not enabled for table '{table.name}'"
    with refused("PointInTimeRecoveryUnavailableException", text):
        restore(dynamodb, **source)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("TableNotFoundException", f"Table not found: {name}"):
        restore(dynamodb, SourceTableName=name)


def test_there_is_one_source(table: Table, dynamodb: Any) -> None:
    with invalid():
        restore(dynamodb)
    with invalid():
        restore(dynamodb, SourceTableName=table.name, SourceTableArn=arn_of(dynamodb, table))


def test_there_is_one_time(table: Table, dynamodb: Any) -> None:
    with invalid(ONE_TIME):
        restore(dynamodb, SourceTableName=table.name, UseLatestRestorableTime=False)
    with invalid(ONE_TIME):
        restore(dynamodb, SourceTableName=table.name, RestoreDateTime=1_700_000_000)


def test_the_table_must_be_named(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "targetTableName", "not be null")):
        restore(dynamodb, SourceTableName=table.name, TargetTableName=None)
