# Why: see test_describe_global_table.py; the service words this one a little otherwise.

from typing import Any

from .refusals import constraint, invalid, refused
from .table import Table


def test_none_is_global(table: Table, dynamodb: Any) -> None:
    with refused("GlobalTableNotFoundException", f"Global table with name: '{table.name}' does not exist."):
        dynamodb.describe_global_table_settings(GlobalTableName=table.name)


def test_it_must_be_named(dynamodb: Any) -> None:
    with invalid(constraint("null", "globalTableName", "not be null")):
        dynamodb.describe_global_table_settings()
