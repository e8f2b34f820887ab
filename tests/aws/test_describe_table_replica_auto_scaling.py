# Why: CDK and consoles ask for it; a table in one Region has a refusal of its own, the same as one that is missing.

from typing import Any

from .refusals import constraint_on, invalid, refused
from .table import Table, unique


def test_a_table_in_one_region_has_no_replicas(table: Table, dynamodb: Any) -> None:
    with refused("ResourceNotFoundException", f"Global table with name: '{table.name}' does not exist."):
        dynamodb.describe_table_replica_auto_scaling(TableName=table.name)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Global table with name: '{name}' does not exist."):
        dynamodb.describe_table_replica_auto_scaling(TableName=name)


def test_what_is_no_name(dynamodb: Any) -> None:
    with invalid(constraint_on("tableName")):
        dynamodb.describe_table_replica_auto_scaling(TableName="a b c")
