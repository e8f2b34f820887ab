"""A consumer sees every change exactly once, over kill -9 of the server under load, while shards end all the time.

Writers change the same few items as fast as they can, a consumer reads along, somebody ends shards; at a random moment
the server is killed and started again. Each change bears a number of its own, so afterwards it can be said of each
whether it was seen, how often, and in which order. Segments and overlays are small, so that recovery finds records in
the log, in trees, and in checkpoints that are half written.
"""

from __future__ import annotations

import http.client
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.crash.server_process import SMALL, Client, Refused, ServerProcess
from tests.crash.workers import Worker, run_until_killed
from tests.streams.consumer import Consumer, Expired
from varley.cli.check import examine

ROUNDS = int(os.environ.get("STREAM_KILL_ROUNDS", "8"))
SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
WRITERS = 4
KEYS = 6

class Writer(Worker):
    """Puts its numbers into items that others write too, until the server goes away."""

    def __init__(self, writer: int, port: int, seed: int, first: int) -> None:
        super().__init__(port, seed)
        self.writer = writer
        self.next = first
        self.acknowledged: list[str] = []

    def step(self) -> None:
        mark = f"{self.writer}:{self.next}"
        self.next += 1
        key = {"pk": {"S": f"k{self.random.randrange(KEYS)}"}}
        choice = self.random.random()
        if choice < 0.2:    # a change that the consumer knows by the mark it removes
            self.client.call("DeleteItem", {"TableName": "items", "Key": key})
        elif choice < 0.6:
            filler = {"S": "f" * self.random.randrange(300)}
            self.client.call("PutItem", {"TableName": "items", "Item": {**key, "mark": {"S": mark}, "f": filler}})
            self.acknowledged.append(mark)
        else:
            update = {
                "TableName": "items",
                "Key": key,
                "UpdateExpression": "SET mark = :m",
                "ExpressionAttributeValues": {":m": {"S": mark}},
            }
            self.client.call("UpdateItem", update)
            self.acknowledged.append(mark)


class Reader(Worker):
    """Lets the consumer read, and now and then ends shards, until the server goes away."""

    def __init__(self, consumer: Consumer, port: int, admin_port: int | None, seed: int) -> None:
        super().__init__(port, seed)
        self.consumer = consumer
        self.consumer.call = self.call
        self.admin_port = admin_port

    def step(self) -> None:
        self.consumer.step(self.random.choice((3, 100, 1000)))
        if self.random.random() < 0.2:
            self._end_shards()
        if self.random.random() < 0.1:
            self.consumer.restart()

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return streams_call(self.client, operation, request)

    def _end_shards(self) -> None:
        assert self.admin_port is not None
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        connection.request("POST", "/shards", json.dumps({"table": "items"}))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()


def streams_call(client: Client, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return client.call(operation, request, "DynamoDBStreams")
    except Refused as refusal:
        if "ExpiredIterator" in refusal.answer["__type"]:
            raise Expired from refusal
        raise


@pytest.mark.slow
def test_a_consumer_sees_every_change_once_over_kill_9(tmp_path: Path) -> None:
    print(f"TEST_SEED={SEED} STREAM_KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = ServerProcess(
        tmp_path / "data", *SMALL, "--initial-partitions", "3", "--admin-port", "0", "--stream-shard-seconds", "1"
    )
    server.start()
    client = server.client()
    created = client.call(
        "CreateTable",
        {
            "TableName": "items",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
    )
    arn = created["TableDescription"]["LatestStreamArn"]
    consumer = Consumer(lambda operation, request: {}, arn)
    acknowledged: list[str] = []
    next_marks = [0] * WRITERS
    for _ in range(ROUNDS):
        writers = [Writer(w, server.port, chance.randrange(2**32), next_marks[w]) for w in range(WRITERS)]
        reader = Reader(consumer, server.port, server.admin_port, chance.randrange(2**32))
        run_until_killed(server, [*writers, reader], chance.uniform(0.1, 0.8))
        next_marks = [writer.next for writer in writers]
        acknowledged += [mark for writer in writers for mark in writer.acknowledged]
        server.start()
    client = server.client()
    consumer.restart()
    consumer.call = lambda operation, request: streams_call(client, operation, request)
    consumer.catch_up()
    left = _follow(consumer.records, acknowledged)
    scanned = client.call("Scan", {"TableName": "items", "ConsistentRead": True})["Items"]
    assert {item["pk"]["S"]: item for item in scanned} == left
    shards = len(consumer.checkpoints)
    client.close()
    assert server.stop() == 0
    assert examine(str(tmp_path / "data"), lambda path: None) == []
    assert len(acknowledged) > ROUNDS * 10, "the writers did next to nothing: this test shows nothing"
    assert shards > 3 * ROUNDS, "hardly a shard ended: this test shows little"
    print(f"{len(consumer.records)} records in {shards} shards, {len(acknowledged)} acknowledged changes")


def _follow(records: list[dict[str, Any]], acknowledged: list[str]) -> dict[str, Any]:
    """What the records leave of the table, if each takes up what the one before it of this item has left."""
    items: dict[str, Any] = {}
    seen: list[str] = []
    for record in records:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"]
        assert change.get("OldImage") == items.get(key), f"a change of {key} is missing, or comes twice"
        if "NewImage" in change:
            items[key] = change["NewImage"]
            seen.append(change["NewImage"]["mark"]["S"])
        else:
            del items[key]
    assert len(set(seen)) == len(seen), "a change was seen twice"
    assert set(acknowledged) - set(seen) == set(), "a change was not seen"
    assert len({record["eventID"] for record in records}) == len(records)
    return items
