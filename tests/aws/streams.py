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
