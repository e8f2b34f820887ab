# Why: a consumer whose stream has gone must see that it has, and not that it is empty.

from typing import Any

import pytest

from .refusals import constraint_on, invalid, refused
from .streams import missing_stream, streams_client
from .table import Table


@pytest.fixture
def streams(session: Any, endpoint: str) -> Any:
    return streams_client(session, endpoint)


def test_a_stream_that_is_not_there(table: Table, dynamodb: Any, streams: Any) -> None:
    arn = missing_stream(dynamodb, table)
    with refused("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found"):
        streams.describe_stream(StreamArn=arn)


def test_a_page_has_a_size(table: Table, dynamodb: Any, streams: Any) -> None:
    with invalid("One or more parameter values were invalid: Limit cannot be greater than the maximum: 100"):
        streams.describe_stream(StreamArn=missing_stream(dynamodb, table), Limit=101)


@pytest.mark.varley_only
@pytest.mark.parametrize(
    ("parameters", "member"),
    [
        ({"StreamArn": None}, "streamArn"),
        ({"StreamArn": "arn"}, "streamArn"),
        ({"ExclusiveStartShardId": "x"}, "exclusiveStartShardId"),
        ({"ShardFilter": {"Type": "ALL"}}, "shardFilter.type"),
        ({"ShardFilter": {"ShardId": "x"}}, "shardFilter.shardId"),
    ],
)
def test_these_parameters_break_the_service_model(
    table: Table, dynamodb: Any, streams: Any, parameters: dict[str, Any], member: str
) -> None:
    with invalid(constraint_on(member)):
        streams.describe_stream(**{"StreamArn": missing_stream(dynamodb, table), **parameters})
