# Why: tools that clean up disable without looking first, and know the refusal for what was never enabled.

from typing import Any

from .refusals import invalid, refused
from .table import Table, unique

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/changes"


def test_what_was_never_enabled_cannot_be_disabled(table: Table, dynamodb: Any) -> None:
    with invalid(
        "Table is not in a valid state to enable Kinesis Streaming Destination: "
        "KinesisStreamingDestination must be ACTIVE to perform DISABLE operation."
    ):
        dynamodb.disable_kinesis_streaming_destination(TableName=table.name, StreamArn=STREAM)


def test_what_is_disabled_has_no_precision(table: Table, dynamodb: Any) -> None:
    with invalid():
        dynamodb.disable_kinesis_streaming_destination(
            TableName=table.name,
            StreamArn=STREAM,
            EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
        )


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.disable_kinesis_streaming_destination(TableName=name, StreamArn=STREAM)
