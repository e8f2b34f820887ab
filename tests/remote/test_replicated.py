"""A cluster as it will be: three nodes with sockets between them, and a member of each group on each of them.

Nothing waits for a time here, only for what happens; elections take some hundred milliseconds each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from varley.clock import SystemClock

from .machines import Body, Cluster, Machine

SECONDS = 60
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
RED: Body = {
    "TableName": "things",
    "IndexName": "by-color",
    "KeyConditionExpression": "color = :c",
    "ExpressionAttributeValues": {":c": {"S": "red"}},
}


async def told(machine: Machine, operation: str, body: Body) -> Any:
    status, answer = await machine.ask(operation, body)
    assert status == 200, answer
    return msgspec.json.decode(answer)


async def put(machine: Machine, number: int) -> int:
    item = {"pk": {"S": f"{number:04}"}, "color": {"S": "red"}}
    status, _ = await machine.ask("PutItem", {"TableName": "things", "Item": item})
    return status


async def count(machine: Machine, operation: str, body: Body, at_least: int) -> int:
    """How many there are, once there are so many."""
    found = 0
    while found < at_least:
        found = (await told(machine, operation, body))["Count"]
    return found


def test_a_leader_that_goes_takes_nothing_with_it() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        statuses = await asyncio.gather(*(put(cluster.machines[number % 3], number) for number in range(60)))
        assert set(statuses) == {200}
        scan = {"TableName": "things", "ConsistentRead": True}
        for machine in cluster.machines:
            assert (await told(machine, "Scan", scan))["Count"] == 60
        assert await count(cluster.machines[1], "Query", RED, 60) == 60

        # The node that leads most goes, in the middle of writes through the others.
        gone = max(cluster.machines, key=lambda each: len(each.memds.led_by(each.name)))
        assert gone.memds.led_by(gone.name)
        left = [each for each in cluster.machines if each is not gone]
        writing = [asyncio.ensure_future(put(left[number % 2], number)) for number in range(60, 160)]
        await cluster.stop_one(gone)
        statuses = await asyncio.gather(*writing)
        # Slow perhaps, but told as failed only where nobody knows.
        assert set(statuses) <= {200, 500}
        acknowledged = {f"{number:04}" for number, status in enumerate(statuses, 60) if status == 200}
        for machine in left:
            items = (await told(machine, "Scan", scan))["Items"]
            keys = {item["pk"]["S"] for item in items}
            assert acknowledged <= keys and {f"{number:04}" for number in range(60)} <= keys
        assert await count(left[0], "Query", RED, len(keys)) == len(keys)
        put_all = [{"Put": {"TableName": "things", "Item": {"pk": {"S": f"together {each}"}}}} for each in range(10)]
        await told(left[1], "TransactWriteItems", {"TransactItems": put_all})
        assert (await told(left[0], "Scan", scan))["Count"] == len(keys) + 10
        await cluster.stop()

    _in_time(run)


def test_a_replica_that_is_being_built_answers_nobody() -> None:
    """It has nothing yet. That an item is not there would be told of one that was there all the time."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        assert await put(cluster.machines[0], 7) == 200
        get = {"TableName": "things", "Key": {"pk": {"S": "0007"}}}
        [group] = [
            partition.group
            for route in cluster.machines[0].router.routes()
            for partition in [route.partition_of(route.keys.row_key(get["Key"]))]
        ]
        gone = cluster.machines[2]
        await cluster.stop_one(gone)
        again = await cluster.rebuild(gone)
        member = again.node.members.by_group[group]
        assert member.tree.applied_slot == 0
        while member.tree.applied_slot == 0:
            for status, body in await asyncio.gather(again.ask("GetItem", get), again.ask("Query", _ONLY_7)):
                assert status == 200 and b"0007" in body
        await cluster.stop()

    _in_time(run)


def test_a_page_that_is_read_while_the_replica_goes_is_read_elsewhere() -> None:
    """Slice by slice; after the first one, what is left is on this node no more."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        puts = [{"PutRequest": {"Item": {"pk": {"S": f"{number:04}"}}}} for number in range(1000)]
        for first in range(0, 1000, 25):
            await told(cluster.machines[0], "BatchWriteItem", {"RequestItems": {"things": puts[first : first + 25]}})
        machine = cluster.machines[2]
        assert await count(machine, "Scan", {"TableName": "things"}, 1000) == 1000
        last = machine.router.route("things").partitions[-1].group
        scanning = asyncio.ensure_future(told(machine, "Scan", {"TableName": "things"}))
        await asyncio.sleep(0)
        machine.places.hosts_no_more(last)
        await machine.node.remove_group(last)
        assert (await scanning)["Count"] == 1000
        await cluster.stop()

    _in_time(run)


_ONLY_7: Body = {
    "TableName": "things",
    "KeyConditionExpression": "pk = :k",
    "ExpressionAttributeValues": {":k": {"S": "0007"}},
}


def _in_time(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(SECONDS):
            await run()

    asyncio.run(in_time())
