"""Who reads a table's stream sees every change once, in the order of each item, whatever leaders go meanwhile.

The judge needs no clock: each record says what the item was and what it became, so the records of one item make a
chain from nothing to what the table has in the end. A record that is lost, comes twice, or comes too early breaks it.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import msgspec
import pytest

from varley.clock import SystemClock

from .machines import Body, Cluster
from .test_index_changes import items, told, trimmed, wait_until_led

SEED = int(os.environ.get("STREAM_SEED", "1"))
SEEDS = int(os.environ.get("STREAM_SEEDS", "2"))
ROUNDS = 3
CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


async def ask(cluster: Cluster, chance: random.Random, operation: str, body: Body) -> Any:
    """Through any node that is up, until it is answered."""
    while True:
        machine = chance.choice([each for each in cluster.machines if each.name not in cluster.stopped])
        try:
            async with asyncio.timeout(5):
                status, answer = await machine.ask(operation, body)
        except TimeoutError:
            continue
        if status == 200:
            return msgspec.json.decode(answer)
        assert status in (500, 503), answer
        await asyncio.sleep(0.02)


async def write(cluster: Cluster, chance: random.Random, name: str, is_over: asyncio.Event) -> None:
    number = 0
    while not is_over.is_set():
        number += 1
        key = {"pk": {"S": f"{chance.randrange(12):02}"}}
        machine = chance.choice([each for each in cluster.machines if each.name not in cluster.stopped])
        if chance.random() < 0.2:
            asked = machine.ask("DeleteItem", {"TableName": "things", "Key": key})
        else:
            asked = machine.ask("PutItem", {"TableName": "things", "Item": {**key, "by": {"S": f"{name} {number}"}}})
        try:
            async with asyncio.timeout(3):
                await asked
        except TimeoutError:
            continue    # the node that was asked was killed
        await asyncio.sleep(0.01)


class Consumer:
    """Reads each shard to its end, those that it follows from first; with iterators that any node answers."""

    def __init__(self, cluster: Cluster, chance: random.Random, arn: str) -> None:
        self.cluster = cluster
        self.chance = chance
        self.arn = arn
        self.records: list[Any] = []
        self.iterators: dict[str, str | None] = {}  # shard -> where it is read on; None: read to the end
        self.shards = 0

    async def look(self) -> None:
        """What there is now."""
        described = (await self._ask("DescribeStream", {"StreamArn": self.arn, "Limit": 100}))["StreamDescription"]
        shards = described["Shards"]
        assert "LastEvaluatedShardId" not in described
        self.shards = len(shards)
        for shard in sorted(shards, key=lambda each: each["ShardId"]):
            name = shard["ShardId"]
            parent = shard.get("ParentShardId")
            if name not in self.iterators:
                if parent is not None and self.iterators.get(parent, "") is not None:
                    continue
                asked = {"StreamArn": self.arn, "ShardId": name, "ShardIteratorType": "TRIM_HORIZON"}
                self.iterators[name] = (await self._ask("GetShardIterator", asked))["ShardIterator"]
            iterator = self.iterators[name]
            if iterator is not None:
                page = await self._ask("GetRecords", {"ShardIterator": iterator, "Limit": 7})
                self.records += page["Records"]
                self.iterators[name] = page.get("NextShardIterator")

    async def run(self, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            await self.look()
            await asyncio.sleep(0.02)

    async def _ask(self, operation: str, body: Body) -> Any:
        return await ask(self.cluster, self.chance, operation, body)


def judged(records: list[Any]) -> dict[str, Any]:
    """What the items are at the end of their chains."""
    state: dict[str, Any] = {}
    last: dict[str, str] = {}
    for record in records:
        change = record["dynamodb"]
        name = change["Keys"]["pk"]["S"]
        assert change.get("OldImage") == state.get(name), f"item {name}: lost, twice, or out of order"
        number = change["SequenceNumber"]
        assert name not in last or int(number) > int(last[name])
        last[name] = number
        state[name] = change.get("NewImage")
    return {name: item for name, item in state.items() if item is not None}


async def run(seed: int) -> None:
    chance = random.Random(seed)
    cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
    await cluster.start()
    created = await told(cluster.machines[0], "CreateTable", CREATE)
    consumer = Consumer(cluster, random.Random(f"{seed} reads"), created["TableDescription"]["LatestStreamArn"])
    writing_is_over, is_over = asyncio.Event(), asyncio.Event()
    writers = [
        asyncio.ensure_future(write(cluster, random.Random(f"{seed} {number}"), str(number), writing_is_over))
        for number in range(3)
    ]
    reading = asyncio.ensure_future(consumer.run(is_over))
    for _ in range(ROUNDS):
        await wait_until_led(cluster)
        await asyncio.sleep(chance.random() * 0.5)
        for machine in cluster.machines:
            machine.streams.rotate("things")    # of what it leads
        await asyncio.sleep(chance.random() * 0.05)
        gone = max(cluster.machines, key=lambda each: len(each.memds.led_by(each.name)))
        await cluster.stop_one(gone)
        await asyncio.sleep(chance.random())
        await trimmed(cluster)
        await cluster.rebuild(gone)
    await wait_until_led(cluster)
    writing_is_over.set()
    await asyncio.gather(*writers)
    is_over.set()
    await reading
    before = -1
    while len(consumer.records) > before or consumer.shards > len(consumer.iterators):
        before = len(consumer.records)
        for _ in range(2):
            await consumer.look()
    expected = {item["pk"]["S"]: item for item in await items(cluster.machines[0], "Scan", {"ConsistentRead": True})}
    assert judged(consumer.records) == expected, f"STREAM_SEED={seed}"
    assert consumer.shards > 5, "no shard was followed by another"
    assert len(consumer.records) > 50
    await cluster.stop()


@pytest.mark.parametrize("seed", range(SEED, SEED + SEEDS))
def test_a_consumer_sees_each_change_once_while_leaders_are_killed(seed: int) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(90):
            await run(seed)

    asyncio.run(in_time())
