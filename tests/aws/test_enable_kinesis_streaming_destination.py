# Why: a destination that is accepted and never gets anything looks like a table that nobody writes to.

from typing import Any

import pytest

from .refusals import constraint, invalid, refused
from .table import Table, unique

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/changes"


@pytest.mark.varley_only
def test_no_stream_can_be_enabled(table: Table, dynamodb: Any) -> None:
    with invalid("EnableKinesisStreamingDestination is not supported by this version of Varley"):
        dynamodb.enable_kinesis_streaming_destination(
            TableName=table.name,
            StreamArn=STREAM,
            EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
        )


def test_unknown_words_are_refused(table: Table, dynamodb: Any) -> None:
    member = "enableKinesisStreamingConfiguration.approximateCreationDateTimePrecision"
    with invalid(constraint("'SECOND'", member, "satisfy enum value set: [MILLISECOND, MICROSECOND]")):
        dynamodb.enable_kinesis_streaming_destination(
            TableName=table.name,
            StreamArn=STREAM,
            EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "SECOND"},
        )


def test_there_must_be_a_stream(table: Table, dynamodb: Any) -> None:
    with invalid(constraint("null", "streamArn", "not be null")):
        dynamodb.enable_kinesis_streaming_destination(TableName=table.name)


def test_a_missing_table(dynamodb: Any) -> None:
    name = unique("missing")
    with refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"):
        dynamodb.enable_kinesis_streaming_destination(TableName=name, StreamArn=STREAM)
