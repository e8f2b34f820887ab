# Why: a stream's shards end every few hours and others follow on them. A consumer reads the records of one item in
# their order only if it reads parents before children, and DescribeStream must let it: parents that are named, ends
# that are told, an iterator that says when there is nothing more to come. Hours pass here by moving the server's clock.

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

import varley

from .conftest import REGION, Eventually, Run, without_aws

pytestmark = [pytest.mark.slow, pytest.mark.node]

SHARD_HOURS = 4
ITEMS = 6


@pytest.fixture
def server() -> Iterator[varley.Server]:
    with varley.Server(in_memory=True, initial_partitions=2) as server:
        yield server


def test_a_consumer_with_leases_follows_items_across_shards(
    server: varley.Server, node: Run, eventually: Eventually
) -> None:
    dynamodb, streams = server.client(), server.client("dynamodbstreams")
    arn = dynamodb.create_table(
        TableName="Counters",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]["LatestStreamArn"]

    def shards() -> int:
        return len(streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"])

    version = 0
    for generation in range(1, 4):
        for _ in range(5):
            version += 1
            for item in range(ITEMS):
                dynamodb.update_item(
                    TableName="Counters",
                    Key={"pk": {"S": f"item-{item}"}},
                    UpdateExpression="SET version = :version",
                    ExpressionAttributeValues={":version": {"N": str(version)}},
                )
        if generation < 3:
            server.advance(SHARD_HOURS * 3600 + 1)
            eventually(shards, lambda count, most=2 * generation: count > most)

    environment = without_aws(os.environ) | {
        "AWS_ENDPOINT_URL_DYNAMODB": server.endpoint_url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": REGION,
    }
    told = json.loads(node("read_stream.js", arn, "leases", str(ITEMS * version), environment=environment))

    for item in range(ITEMS):
        versions = [record["version"] for record in told["records"] if record["key"] == f"item-{item}"]
        assert versions == list(range(1, version + 1))
    parents = {shard["ShardId"]: shard.get("ParentShardId") for shard in told["shards"]}
    ended = {
        shard["ShardId"] for shard in told["shards"] if "EndingSequenceNumber" in shard["SequenceNumberRange"]
    }
    assert len({record["shard"] for record in told["records"]}) == len(parents) == 6    # 2 partitions, 3 generations
    assert sum(parent is None for parent in parents.values()) == 2
    assert ended == {parent for parent in parents.values() if parent is not None}
    assert {shard for shard, checkpoint in told["leases"].items() if checkpoint == "SHARD_END"} == ended
