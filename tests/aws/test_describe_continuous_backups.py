# Why: infrastructure tools ask for it right after CreateTable and on every refresh; a refusal stops them.

from typing import Any

from .refusals import refused
from .table import Table, unique


def test_a_table_has_no_point_in_time_recovery_unless_it_is_turned_on(make_table: Any, dynamodb: Any) -> None:
    answer = dynamodb.describe_continuous_backups(TableName=make_table().name)
    description = answer["ContinuousBackupsDescription"]
    # The service says DISABLED for a few seconds after the table became active, whatever anybody does.
    assert description.pop("ContinuousBackupsStatus") in ("ENABLED", "DISABLED")
    assert description == {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}


def test_the_table_can_be_named_by_its_arn(table: Table, dynamodb: Any) -> None:
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    dynamodb.describe_continuous_backups(TableName=arn)


def test_a_missing_table_has_a_code_of_its_own(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("TableNotFoundException", f"Table not found: {name}"):
        dynamodb.describe_continuous_backups(TableName=name)
