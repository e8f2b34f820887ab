# Why: the service refuses to add a replica before it looks for the table, and to remove one after.

from typing import Any

from .refusals import constraint, invalid, refused
from .table import Table

LEGACY = (
    "One or more parameter values were invalid: DynamoDB global tables version 2017.11.29 is not supported. "
    "We recommend using DynamoDB global tables version 2019.11.21, instead of version 2017.11.29 (Legacy)."
)


def test_no_replica_is_added(table: Table, dynamodb: Any) -> None:
    with invalid(LEGACY):
        dynamodb.update_global_table(
            GlobalTableName=table.name, ReplicaUpdates=[{"Create": {"RegionName": "us-west-2"}}]
        )


def test_there_is_none_to_remove(table: Table, dynamodb: Any) -> None:
    with refused("GlobalTableNotFoundException"):
        dynamodb.update_global_table(
            GlobalTableName=table.name, ReplicaUpdates=[{"Delete": {"RegionName": "us-west-2"}}]
        )


def test_there_must_be_something_to_update(table: Table, dynamodb: Any) -> None:
    with invalid("One or more parameter values were invalid"):
        dynamodb.update_global_table(GlobalTableName=table.name, ReplicaUpdates=[])


def test_a_replica_has_a_region(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "replicaUpdates.1.member.create.regionName", "not be null")):
        dynamodb.update_global_table(GlobalTableName=table.name, ReplicaUpdates=[{"Create": {}}])
