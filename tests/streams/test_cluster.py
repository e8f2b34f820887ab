"""Streams of a table whose partitions several nodes lead: read through any of them, they are one stream."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tests.remote.machines import Body, Cluster, Machine

CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}


async def told(machine: Machine, operation: str, body: Body) -> Any:
    status, answer = await machine.ask(operation, body)
    assert status == 200, answer
    return msgspec.json.decode(answer)


async def described(machine: Machine, arn: str) -> list[Body]:
    """All shards, two at a time."""
    shards: list[Body] = []
    page: Body = {"StreamArn": arn, "Limit": 2}
    while True:
        answer = (await told(machine, "DescribeStream", page))["StreamDescription"]
        shards += answer["Shards"]
        if "LastEvaluatedShardId" not in answer:
            return shards
        page["ExclusiveStartShardId"] = answer["LastEvaluatedShardId"]


async def records(machines: list[Machine], arn: str, shards: list[Body]) -> set[str]:
    """The keys of all records, each page through the next node."""
    found: list[str] = []
    turn = 0
    for shard in shards:
        asked = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = (await told(machines[turn % 3], "GetShardIterator", asked))["ShardIterator"]
        while True:
            turn += 1
            page = await told(machines[turn % 3], "GetRecords", {"ShardIterator": iterator, "Limit": 3})
            found += [record["dynamodb"]["Keys"]["pk"]["S"] for record in page["Records"]]
            iterator = page.get("NextShardIterator")
            if iterator is None or not page["Records"]:
                break
    assert len(found) == len(set(found))
    return set(found)


def test_a_stream_is_the_same_through_each_node() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        machines = cluster.machines
        await told(machines[0], "CreateTable", CREATE)
        names = {f"item {number}" for number in range(40)}
        for number, name in enumerate(sorted(names)):
            await told(machines[number % 3], "PutItem", {"TableName": "things", "Item": {"pk": {"S": name}}})
        [stream] = (await told(machines[2], "ListStreams", {}))["Streams"]
        arn = stream["StreamArn"]
        views = [await described(machine, arn) for machine in machines]
        assert views[0] == views[1] == views[2]
        assert len(views[0]) == 5
        assert await records(machines, arn, views[0]) == names
        ids = [shard["ShardId"] for shard in views[0]]
        assert ids == sorted(ids)
        await cluster.stop()

    asyncio.run(run())


def test_a_shard_of_no_partition_is_not_found() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        [stream] = (await told(cluster.machines[1], "ListStreams", {}))["Streams"]
        for shard in ("shardId-00000001700000000000-0000ffff", "shardId-00000001700000000000-whatever", "x" * 30):
            asked = {"StreamArn": stream["StreamArn"], "ShardId": shard, "ShardIteratorType": "LATEST"}
            status, body = await cluster.machines[1].ask("GetShardIterator", asked)
            assert status == 400 and b"Shard does not exist" in body
        await cluster.stop()

    asyncio.run(run())


def test_a_new_leader_knows_the_shards_that_others_have_begun() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2")
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        [stream] = (await told(cluster.machines[0], "ListStreams", {}))["Streams"]
        before = await described(cluster.machines[0], stream["StreamArn"])
        for machine in cluster.machines:
            machine.streams.rotate("things")
        for machine in cluster.machines:
            for opened in machine.streams.readable("things"):
                for partition in opened.partitions:
                    decided = asyncio.Event()
                    if partition.settle(decided.set):
                        await decided.wait()
        for lease in cluster.leases.values():
            lease.ballot += 1    # what was known of each partition is looked at again
        shards = await described(cluster.machines[1], stream["StreamArn"])
        assert len(before) == 5 and len(shards) == 10
        assert {shard["ParentShardId"] for shard in shards if "ParentShardId" in shard} == {
            shard["ShardId"] for shard in before
        }
        await cluster.stop()

    asyncio.run(run())
