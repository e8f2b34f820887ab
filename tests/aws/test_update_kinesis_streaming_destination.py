# Why: the one refusal of the three that tells which stream it is about.

from typing import Any

import pytest

from .refusals import invalid, refused
from .table import Table, unique

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/changes"
PRECISION = {"ApproximateCreationDateTimePrecision": "MICROSECOND"}


def test_what_was_never_enabled_cannot_be_updated(table: Table, dynamodb: Any) -> None:
    with invalid(
        "Table is not in a valid state to enable Kinesis Streaming Destination: "
        f"No streaming destination with streamArn: {STREAM} found for table with tableName: {table.name}"
    ):
        dynamodb.update_kinesis_streaming_destination(
            TableName=table.name, StreamArn=STREAM, UpdateKinesisStreamingConfiguration=PRECISION
        )


@pytest.mark.parametrize("more", [{}, {"UpdateKinesisStreamingConfiguration": {}}], ids=["nothing", "empty"])
def test_there_must_be_something_to_update(table: Table, dynamodb: Any, more: dict[str, Any]) -> None:
    with invalid(
        "Streaming destination cannot be updated with given parameters: "
        "UpdateKinesisStreamingConfiguration cannot be null or contain only null values"
    ):
        dynamodb.update_kinesis_streaming_destination(TableName=table.name, StreamArn=STREAM, **more)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.update_kinesis_streaming_destination(
            TableName=name, StreamArn=STREAM, UpdateKinesisStreamingConfiguration=PRECISION
        )
