# Why: the service makes no global tables of the first version any more, and says which to make instead.

from typing import Any

from .refusals import constraint, invalid
from .table import Table

LEGACY = (
    "One or more parameter values were invalid: DynamoDB global tables version 2017.11.29 is not supported. "
    "We recommend using DynamoDB global tables version 2019.11.21, instead of version 2017.11.29 (Legacy)."
)


def test_none_is_made(table: Table, dynamodb: Any) -> None:
    with invalid(LEGACY):
        dynamodb.create_global_table(
            GlobalTableName=table.name, ReplicationGroup=[{"RegionName": "us-east-1"}, {"RegionName": "us-west-2"}]
        )


def test_there_must_be_a_group(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "replicationGroup", "not be null")):
        dynamodb.create_global_table(GlobalTableName=table.name)
