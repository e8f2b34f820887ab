# Why: see test_describe_global_table.py; and its parameters are many.

from typing import Any

from .refusals import constraint, constraint_on, invalid, refused
from .table import Table


def test_none_is_global(table: Table, dynamodb: Any) -> None:
    with refused("GlobalTableNotFoundException", f"Global table with name: '{table.name}' does not exist."):
        dynamodb.update_global_table_settings(GlobalTableName=table.name, GlobalTableBillingMode="PAY_PER_REQUEST")


def test_settings_are_checked_all_the_way_down(table: Table, dynamodb: Any) -> None:
    modes = "satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"
    with invalid(constraint("'FREE'", "globalTableBillingMode", modes)):
        dynamodb.update_global_table_settings(GlobalTableName=table.name, GlobalTableBillingMode="FREE")
    units = "replicaSettingsUpdate.1.member.replicaProvisionedReadCapacityUnits"
    with invalid(constraint("'0'", units, "have value greater than or equal to 1")):
        dynamodb.update_global_table_settings(
            GlobalTableName=table.name,
            ReplicaSettingsUpdate=[{"RegionName": "us-east-1", "ReplicaProvisionedReadCapacityUnits": 0}],
        )
    with invalid(constraint_on("globalTableGlobalSecondaryIndexSettingsUpdate")):
        dynamodb.update_global_table_settings(
            GlobalTableName=table.name, GlobalTableGlobalSecondaryIndexSettingsUpdate=[]
        )
