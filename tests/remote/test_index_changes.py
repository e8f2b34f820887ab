"""An index is what its table makes it, whatever leaders die while changes are on their way to it.

Changes are held back for a while at whoever sends them, so a leader that is killed always leaves some. Nodes are killed
and come back with empty disks, as members that get their state from others: from snapshots, as the others trim their
logs at random moments.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import msgspec
import pytest

from varley.clock import SystemClock

from .machines import Body, Cluster, Machine

SEED = int(os.environ.get("INDEX_SEED", "1"))
SEEDS = int(os.environ.get("INDEX_SEEDS", "2"))
ROUNDS = 3
COLORS = ("red", "green", "blue")
CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "color", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-color",
            "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}  # fmt: skip


async def told(machine: Machine, operation: str, body: Body) -> Any:
    status, answer = await machine.ask(operation, body)
    assert status == 200, answer
    return msgspec.json.decode(answer)


class Writer:
    """Puts, changes and deletes items, through any node that is up."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance
        self.is_over = False
        self.done = 0

    async def run(self, name: str) -> None:
        number = 0
        while not self.is_over:
            number += 1
            # Few items are written twice: what is lost would be made good by the next change.
            which = number if self.chance.random() < 0.7 else self.chance.randrange(number)
            key = {"pk": {"S": f"{name} {which:04}"}}
            up = [each for each in self.cluster.machines if each.name not in self.cluster.stopped]
            machine = self.chance.choice(up)
            if self.chance.random() < 0.15:
                asked = machine.ask("DeleteItem", {"TableName": "things", "Key": key})
            else:
                item = {**key, "color": {"S": self.chance.choice(COLORS)}, "by": {"S": f"{name} {number}"}}
                asked = machine.ask("PutItem", {"TableName": "things", "Item": item})
            try:
                async with asyncio.timeout(3):
                    await asked
            except TimeoutError:
                continue    # the node that was asked was killed
            self.done += 1
            await asyncio.sleep(0.01)


def hold_back(machine: Machine, seconds: float) -> None:
    machine.indexes.sending.delay_seconds = seconds


async def items(machine: Machine, operation: str, body: Body) -> list[Any]:
    found: list[Any] = []
    start: Body = {}
    while True:
        page = await told(machine, operation, {"TableName": "things", **body, **start})
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return sorted(found, key=lambda item: item["pk"]["S"])
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


async def wait_until_led(cluster: Cluster) -> None:
    """Until each group has a leader, all three members vote, and nothing is on its way."""
    async with asyncio.timeout(30):
        for group in cluster.founded:
            while True:
                up = [each for each in cluster.machines if each.hosted.leads(group)]
                if len(up) == 1:
                    configuration = up[0].node.members.by_group[group].configuration[1]
                    if len(configuration.voters) == 3 and set(configuration.names) == {
                        each.node.members.by_group[group].name for each in cluster.machines
                    }:
                        break
                await asyncio.sleep(0.02)


async def trimmed(cluster: Cluster) -> None:
    """Checkpoints of all groups, so that whoever comes next cannot have their logs from the beginning."""
    up = [each for each in cluster.machines if each.name not in cluster.stopped]
    for machine in up:
        for group in cluster.founded:
            machine.node.checkpoint(group)
    await asyncio.sleep(0.1)


async def run(seed: int, delay: float = 1.5) -> None:
    chance = random.Random(seed)
    cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
    await cluster.start()
    await told(cluster.machines[0], "CreateTable", CREATE)
    for machine in cluster.machines:
        hold_back(machine, delay)
    writers = [Writer(cluster, random.Random(f"{seed} {number}")) for number in range(3)]
    running = [asyncio.ensure_future(each.run(str(number))) for number, each in enumerate(writers)]
    for _ in range(ROUNDS):
        await wait_until_led(cluster)
        await asyncio.sleep(chance.random() * 0.5)
        for machine in cluster.machines:
            for group in cluster.founded:
                if chance.random() < 0.4:
                    machine.node.checkpoint(group)
        await asyncio.sleep(chance.random() * 0.2)
        gone = max(cluster.machines, key=lambda each: len(each.memds.led_by(each.name)))
        if chance.random() < 0.3:
            gone = chance.choice(cluster.machines)
        await cluster.stop_one(gone)
        for machine in cluster.machines:
            if machine is not gone and chance.random() < 0.5:
                for group in cluster.founded:
                    machine.node.checkpoint(group)
        await asyncio.sleep(chance.random())
        await trimmed(cluster)
        hold_back(await cluster.rebuild(gone), delay)
    await wait_until_led(cluster)
    for each in writers:
        each.is_over = True
    await asyncio.gather(*running)
    assert all(each.done for each in writers)
    expected = await items(cluster.machines[0], "Scan", {"ConsistentRead": True})
    found: list[Any] = []
    deadline = asyncio.get_running_loop().time() + 8
    while found != expected and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        # Each is an eventual read: any node will be right in the end.
        found = await items(chance.choice(cluster.machines), "Scan", {"IndexName": "by-color"})
    assert found == expected, f"INDEX_SEED={seed}"
    await cluster.stop()


@pytest.mark.parametrize("seed", range(SEED, SEED + SEEDS))
def test_an_index_is_what_its_table_makes_it_whoever_is_killed(seed: int) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(90):
            await run(seed)

    asyncio.run(in_time())
