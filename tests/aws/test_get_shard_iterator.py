# Why: a consumer whose stream has gone must see that it has.

from typing import Any

import pytest

from .refusals import constraint_on, invalid, refused
from .streams import missing_stream, streams_client
from .table import Table

INVALID = "One or more parameter values were invalid: "
SHARD = "shardId-00000001507210000000-abcdef12"
NUMBER = "000000000000000000001"


@pytest.fixture
def streams(session: Any, endpoint: str) -> Any:
    return streams_client(session, endpoint)


def request(dynamodb: Any, table: Table, **more: Any) -> dict[str, Any]:
    return {
        "StreamArn": missing_stream(dynamodb, table),
        "ShardId": SHARD,
        "ShardIteratorType": "LATEST",
        **more,
    }


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": NUMBER},
        pytest.param(
            {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_700_000_000}, marks=pytest.mark.varley_only
        ),
    ],
    ids=["latest", "after", "at a time"],
)
def test_a_stream_that_is_not_there(table: Table, dynamodb: Any, streams: Any, more: dict[str, Any]) -> None:
    parameters = request(dynamodb, table, **more)
    text = f"Requested resource not found: Stream: {parameters['StreamArn']} not found"
    with refused("ResourceNotFoundException", text):
        streams.get_shard_iterator(**parameters)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "Invalid SequenceNumber"),
        ({"SequenceNumber": NUMBER}, "SequenceNumber should not be passed for this iterator type"),
    ],
    ids=["no number", "number"],
)
def test_a_number_goes_with_some_types(
    table: Table, dynamodb: Any, streams: Any, more: dict[str, Any], text: str
) -> None:
    with invalid(INVALID + text):
        streams.get_shard_iterator(**request(dynamodb, table, **more))


@pytest.mark.varley_only
@pytest.mark.parametrize(
    ("more", "member"),
    [
        ({"StreamArn": None}, "streamArn"),
        ({"ShardId": "x"}, "shardId"),
        ({"ShardIteratorType": "FIRST"}, "shardIteratorType"),
        ({"SequenceNumber": "1"}, "sequenceNumber"),
    ],
)
def test_these_parameters_break_the_service_model(
    table: Table, dynamodb: Any, streams: Any, more: dict[str, Any], member: str
) -> None:
    with invalid(constraint_on(member)):
        streams.get_shard_iterator(**request(dynamodb, table, **more))
