# Why: a backup that is accepted and not there would be found out on the worst of days.

from typing import Any

import pytest

from .refusals import constraint, constraint_on, invalid, refused
from .table import Table, unique


@pytest.mark.varley_only
def test_none_is_made(table: Table, dynamodb: Any) -> None:
    with invalid("CreateBackup is not supported by this version of Varley"):
        dynamodb.create_backup(TableName=table.name, BackupName="before")


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("TableNotFoundException", f"Table not found: {name}"):
        dynamodb.create_backup(TableName=name, BackupName="before")


def test_a_backup_has_a_name(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "backupName", "not be null")):
        dynamodb.create_backup(TableName=table.name)
    with invalid(constraint_on("backupName")):
        dynamodb.create_backup(TableName=table.name, BackupName="a b c")
