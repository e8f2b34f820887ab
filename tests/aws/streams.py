"""What tests of the streams operations share: to clients they are another service, with a client of its own."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from .table import Table

LABEL = "2000-01-01T00:00:00.000"


def streams_client(session: boto3.session.Session, endpoint: str) -> Any:
    """A client that sends what it is given, as the fixture `dynamodb` does."""
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
    return session.client("dynamodbstreams", endpoint_url=endpoint, config=config)


def missing_stream(dynamodb: Any, table: Table) -> str:
    """The ARN of a stream that the table never had."""
    return f"{dynamodb.describe_table(TableName=table.name)['Table']['TableArn']}/stream/{LABEL}"


def enabled(view: str) -> dict[str, Any]:
    return {"StreamEnabled": True, "StreamViewType": view}


def latest_stream(dynamodb: Any, table: Table) -> str:
    """The ARN of the table's newest stream."""
    arn: str = dynamodb.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    return arn


def shards_of(streams: Any, arn: str) -> list[dict[str, Any]]:
    """All shards, page by page."""
    found: list[dict[str, Any]] = []
    start: dict[str, Any] = {}
    while True:
        page = streams.describe_stream(StreamArn=arn, **start)["StreamDescription"]
        found += page["Shards"]
        if "LastEvaluatedShardId" not in page:
            return found
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}


def iterator(streams: Any, arn: str, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
    found: str = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)[
        "ShardIterator"
    ]
    return found


def records_from(streams: Any, place: str) -> list[dict[str, Any]]:
    """All records from this iterator on, to the shard's end or to the first empty page."""
    found: list[dict[str, Any]] = []
    following: str | None = place
    while following is not None:
        page = streams.get_records(ShardIterator=following)
        found += page["Records"]
        following = page.get("NextShardIterator") if page["Records"] else None
    return found


def all_records(streams: Any, arn: str) -> list[dict[str, Any]]:
    """Every record there is, shard after shard."""
    return [
        record
        for shard in shards_of(streams, arn)
        for record in records_from(streams, iterator(streams, arn, shard["ShardId"]))
    ]


def events(records: list[dict[str, Any]]) -> list[str]:
    return [record["eventName"] for record in records]
