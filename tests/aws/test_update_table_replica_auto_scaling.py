# Why: a table in one Region has no replicas to scale, which must be said; and its parameters are many.

from typing import Any

from .refusals import constraint, constraint_on, invalid, refused
from .table import Table

SETTINGS = {
    "MinimumUnits": 1,
    "MaximumUnits": 10,
    "ScalingPolicyUpdate": {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0}},
}


def test_a_table_in_one_region_has_no_replicas(table: Table, dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", f"Global table with name: '{table.name}' does not exist."):
        dynamodb.update_table_replica_auto_scaling(
            TableName=table.name, ProvisionedWriteCapacityAutoScalingUpdate=SETTINGS
        )


def test_settings_are_checked_all_the_way_down(table: Table, dynamodb: Any) -> None:
    policy = "scalingPolicyUpdate.targetTrackingScalingPolicyConfiguration.targetValue"
    with invalid(constraint("null", f"provisionedWriteCapacityAutoScalingUpdate.{policy}", "not be null")):
        dynamodb.update_table_replica_auto_scaling(
            TableName=table.name,
            ProvisionedWriteCapacityAutoScalingUpdate={
                "ScalingPolicyUpdate": {"TargetTrackingScalingPolicyConfiguration": {}}
            },
        )
    with invalid(constraint_on("globalSecondaryIndexUpdates.1.member.indexName")):
        dynamodb.update_table_replica_auto_scaling(
            TableName=table.name, GlobalSecondaryIndexUpdates=[{"IndexName": "x"}]
        )
    with invalid(constraint("null", "replicaUpdates.1.member.regionName", "not be null")):
        dynamodb.update_table_replica_auto_scaling(
            TableName=table.name,
            ReplicaUpdates=[{"ReplicaProvisionedReadCapacityAutoScalingUpdate": SETTINGS}],
        )
