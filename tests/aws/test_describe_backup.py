# Why: tools poll for a backup until it is there; they go by the code of the refusal.

from typing import Any

import pytest

from .policies import arn_of
from .refusals import constraint, invalid, refused
from .table import Table


def test_a_backup_that_is_not_there(table: Table, dynamodb: Any) -> None:
    arn = arn_of(dynamodb, table) + "/backup/01658528578619-c4d4e311"
    with refused("BackupNotFoundException", f"Backup not found: {arn}"):
        dynamodb.describe_backup(BackupArn=arn)


@pytest.mark.parametrize("end", ["", "/export/01658528578619-c4d4e311"], ids=["a table", "an export"])
def test_what_is_no_backup(table: Table, dynamodb: Any, end: str) -> None:
    with invalid("Invalid Backup ARN"):
        dynamodb.describe_backup(BackupArn=arn_of(dynamodb, table) + end)


def test_it_must_be_named(dynamodb: Any) -> None:
    with invalid(constraint("null", "backupArn", "not be null")):
        dynamodb.describe_backup()
