# Why: consumers look for a table's stream by listing, and wait until there is one.

from typing import Any

import pytest

from .refusals import constraint, invalid
from .streams import missing_stream, streams_client
from .table import Table, unique


@pytest.fixture
def streams(session: Any, endpoint: str) -> Any:
    return streams_client(session, endpoint)


def test_a_table_has_no_stream_unless_somebody_asked_for_one(table: Table, streams: Any) -> None:
    answer = streams.list_streams(TableName=table.name, Limit=100)
    assert answer["Streams"] == []
    assert "LastEvaluatedStreamArn" not in answer


def test_nor_has_a_missing_one(streams: Any) -> None:
    assert streams.list_streams(TableName=unique("missing"))["Streams"] == []


def test_a_list_starts_after_a_stream_that_may_have_gone(table: Table, dynamodb: Any, streams: Any) -> None:
    start = missing_stream(dynamodb, table)
    assert streams.list_streams(TableName=table.name, ExclusiveStartStreamArn=start)["Streams"] == []


def test_a_page_has_a_size(streams: Any) -> None:
    with invalid(constraint("'0'", "limit", "have value greater than or equal to 1")):
        streams.list_streams(Limit=0)
    with invalid(
        "One or more parameter values were invalid: Limit cannot be greater than the maximum allowed size: 100"
    ):
        streams.list_streams(Limit=101)
