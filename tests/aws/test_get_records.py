# Why: a consumer whose stream has gone must see that it has, and not read nothing for ever.

from typing import Any

import pytest

from .refusals import constraint, invalid, refused
from .streams import missing_stream, streams_client
from .table import Table


@pytest.fixture
def streams(session: Any, endpoint: str) -> Any:
    return streams_client(session, endpoint)


def test_what_is_no_iterator(streams: Any) -> None:
    with invalid("Invalid ShardIterator"):
        streams.get_records(ShardIterator="x")


@pytest.mark.varley_only
def test_an_iterator_of_a_stream_that_is_not_there(table: Table, dynamodb: Any, streams: Any) -> None:
    """Those of the service are sealed: nobody else can make one."""
    arn = missing_stream(dynamodb, table)
    with refused("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found"):
        streams.get_records(ShardIterator=f"{arn}|1|AAAAAAAAAAE=")


@pytest.mark.varley_only
def test_a_page_has_a_size(streams: Any) -> None:
    with invalid(constraint("'0'", "limit", "have value greater than or equal to 1")):
        streams.get_records(ShardIterator="x", Limit=0)
    with invalid(constraint("'1001'", "limit", "have value less than or equal to 1000")):
        streams.get_records(ShardIterator="x", Limit=1001)
