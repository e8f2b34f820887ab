# Why: the AWS command line is what people look at a table with. It has a paginator of its own (--max-items and
# --starting-token), words errors in its own way, and is the one client of streams that is at hand in a shell. The first
# steps of the developer guide with it are in tests/aws/test_getting_started.py.

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow       # each command is a Python process of its own

Aws = Callable[..., Any]
NAME = f"varley-cli-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def aws(environment: dict[str, str]) -> Aws:
    """aws("dynamodb", "get-item", …) -> what it prints, decoded; a dict among the arguments goes as JSON."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(*arguments: str | dict[str, Any] | list[Any], refused: bool = False) -> Any:
        words = [word if isinstance(word, str) else json.dumps(word) for word in arguments]
        done = subprocess.run(
            ["aws", *words, "--output", "json"],
            env=environment | {"PATH": path, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == refused, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stderr if refused else json.loads(done.stdout or "null")

    return run


@pytest.fixture(scope="module")
def stream_arn(aws: Aws) -> Iterator[str]:
    """Of a table of songs with a global index by genre."""
    made = aws(
        "dynamodb", "create-table", "--table-name", NAME, "--billing-mode", "PAY_PER_REQUEST",
        "--attribute-definitions", "AttributeName=artist,AttributeType=S", "AttributeName=song,AttributeType=S",
        "AttributeName=genre,AttributeType=S",
        "--key-schema", "AttributeName=artist,KeyType=HASH", "AttributeName=song,KeyType=RANGE",
        "--global-secondary-indexes",
        "IndexName=by-genre,KeySchema=[{AttributeName=genre,KeyType=HASH}],Projection={ProjectionType=ALL}",
        "--stream-specification", "StreamEnabled=true,StreamViewType=NEW_IMAGE",
    )  # fmt: skip
    aws("dynamodb", "wait", "table-exists", "--table-name", NAME)
    yield made["TableDescription"]["LatestStreamArn"]
    aws("dynamodb", "delete-table", "--table-name", NAME)


def song(number: int) -> dict[str, Any]:
    return {"artist": {"S": "Nina Simone"}, "song": {"S": f"song-{number}"}, "genre": {"S": "jazz"}}


def test_a_table_in_a_shell(aws: Aws, stream_arn: str) -> None:
    puts = [{"PutRequest": {"Item": song(number)}} for number in range(6)]
    assert aws("dynamodb", "batch-write-item", "--request-items", {NAME: puts}) == {"UnprocessedItems": {}}

    query = (
        "dynamodb", "query", "--table-name", NAME, "--consistent-read", "--key-condition-expression", "artist = :a",
        "--expression-attribute-values", {":a": {"S": "Nina Simone"}},
    )  # fmt: skip
    page = aws(*query, "--max-items", "4", "--page-size", "3")
    rest = aws(*query, "--starting-token", page["NextToken"])
    assert [*page["Items"], *rest["Items"]] == [song(number) for number in range(6)]

    check = {
        "TableName": NAME,
        "Key": {"artist": {"S": "Nina Simone"}, "song": {"S": "song-0"}},
        "ConditionExpression": "attribute_not_exists(artist)",
    }
    told = aws(
        "dynamodb", "transact-write-items", "--transact-items",
        [{"Put": {"TableName": NAME, "Item": song(7)}}, {"ConditionCheck": check}], refused=True,
    )  # fmt: skip
    assert "(TransactionCanceledException) when calling the TransactWriteItems operation" in told
    assert "[None, ConditionalCheckFailed]" in told


def test_its_stream_in_a_shell(aws: Aws, stream_arn: str) -> None:
    aws("dynamodb", "put-item", "--table-name", NAME, "--item", song(9))
    stream = aws("dynamodbstreams", "describe-stream", "--stream-arn", stream_arn)["StreamDescription"]
    seen = []
    for shard in stream["Shards"]:
        begin = aws(
            "dynamodbstreams", "get-shard-iterator", "--stream-arn", stream_arn, "--shard-id", shard["ShardId"],
            "--shard-iterator-type", "TRIM_HORIZON",
        )  # fmt: skip
        seen += aws("dynamodbstreams", "get-records", "--shard-iterator", begin["ShardIterator"])["Records"]
    assert song(9) in [record["dynamodb"]["NewImage"] for record in seen]
