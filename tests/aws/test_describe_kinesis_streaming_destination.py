# Why: infrastructure tools and consoles ask for it whenever they show a table.

from typing import Any

from .refusals import refused
from .table import Table, unique


def test_a_tables_changes_go_nowhere_unless_somebody_says_so(table: Table, dynamodb: Any) -> None:
    answer = dynamodb.describe_kinesis_streaming_destination(TableName=table.name)
    assert answer["TableName"] == table.name
    assert answer["KinesisDataStreamDestinations"] == []


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.describe_kinesis_streaming_destination(TableName=name)
