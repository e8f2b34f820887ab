# Why: infrastructure tools ask for it right after CreateTable and on every refresh; a refusal stops them.

from typing import Any

from .refusals import refused
from .table import Table, unique


def test_items_do_not_expire_unless_somebody_says_so(table: Table, dynamodb: Any) -> None:
    answer = dynamodb.describe_time_to_live(TableName=table.name)
    assert answer["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.describe_time_to_live(TableName=name)
