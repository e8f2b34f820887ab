# Why: a table that comes back empty is worse than one that does not come back.

from typing import Any

from .policies import arn_of
from .refusals import constraint, constraint_on, invalid, refused
from .table import Table, unique

END = "/backup/01658528578619-c4d4e311"


def test_a_backup_that_is_not_there(table: Table, dynamodb: Any) -> None:
    arn = arn_of(dynamodb, table) + END
    with refused("BackupNotFoundException", f"Backup not found: {arn}"):
        dynamodb.restore_table_from_backup(TargetTableName=unique("restored"), BackupArn=arn)


def test_what_is_no_backup(table: Table, dynamodb: Any) -> None:
    with invalid("Invalid Backup ARN"):
        dynamodb.restore_table_from_backup(TargetTableName=unique("restored"), BackupArn=arn_of(dynamodb, table))


def test_the_table_must_be_named(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "targetTableName", "not be null")):
        dynamodb.restore_table_from_backup(BackupArn=arn_of(dynamodb, table) + END)


def test_overrides_are_checked_too(table: Table, dynamodb: Any) -> None:
    with invalid(constraint_on("provisionedThroughputOverride.readCapacityUnits")):
        dynamodb.restore_table_from_backup(
            TargetTableName=unique("restored"),
            BackupArn=arn_of(dynamodb, table) + END,
            ProvisionedThroughputOverride={"ReadCapacityUnits": 0, "WriteCapacityUnits": 1},
        )
