"""Who leads next may not have heard yet of what its predecessor knew of the table: it does not begin before it has.

A node is made late by hand: it hears of no table's change. Those that were not late are stopped, so that it leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from varley.clock import SystemClock
from varley.cluster import definitions
from varley.table.followed_definition import DEFINITION_KEY, definition_version

from .machines import Body, Cluster, Machine
from .test_replicated import told

SECONDS = 60
TABLE = {"TableName": "things"}
KEY: Body = {"pk": {"S": "0007"}}
CREATE: Body = {
    **TABLE,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
ADD_INDEX: Body = {
    **TABLE,
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "color", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexUpdates": [
        {
            "Create": {
                "IndexName": "by-color",
                "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        }
    ],
}  # fmt: skip
ADD_STREAM: Body = {**TABLE, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}


class World:
    """One item, in a partition that `leader` leads; all others are late."""

    def __init__(self) -> None:
        self.cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)

    async def start(self) -> None:
        await self.cluster.start()
        await told(self.cluster.machines[0], "CreateTable", CREATE)
        await told(self.cluster.machines[0], "PutItem", {**TABLE, "Item": {**KEY, "color": {"S": "red"}}})
        route = self.cluster.machines[0].router.route("things")
        self.group = route.partition_of(route.keys.row_key(KEY)).group
        self.leader = await self.wait_for_leader(self.cluster.machines)
        self.late = [each for each in self.cluster.machines if each is not self.leader]
        for each in self.late:
            each.is_late = True

    async def wait_for_leader(self, machines: list[Machine]) -> Machine:
        """Whose member of the group serves, whether or not it may be asked."""
        while True:
            for each in machines:
                if each.node.members.by_group[self.group].is_leading:
                    return each
            await asyncio.sleep(0.01)

    def barred(self) -> list[Machine]:
        return [each for each in self.late if not each.hosted.leads(self.group)]

    async def until_noted(self) -> None:
        """All members have, in what they have applied, that the leader follows the newest definition."""
        described = self.cluster.catalog.get("things")
        assert described is not None
        partitions = [each.hosted.partitions[self.group][0] for each in self.cluster.machines]
        newest = described.table_version
        await self.until(lambda: all(definition_version(each.get(DEFINITION_KEY)) >= newest for each in partitions))

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)

    async def catch_up(self) -> None:
        """Once a member serves, and its node is asked nothing all the same."""
        await self.wait_for_leader(self.late)
        assert self.barred() == self.late
        for each in self.late:
            each.catch_up()


def in_world(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        async def whole() -> None:
            async with asyncio.timeout(SECONDS):
                world = World()
                await world.start()
                await test(world)
                await world.cluster.stop()

        asyncio.run(whole())

    run.__name__ = test.__name__
    return run


@in_world
async def test_an_item_that_goes_has_no_row_in_an_index_that_the_next_leader_did_not_know(world: World) -> None:
    await told(world.leader, "UpdateTable", ADD_INDEX)
    backlogs = [index.backlog for index in world.leader.router.route("things").global_indexes]
    [index] = world.leader.router.route("things").global_indexes
    # It is ACTIVE by then if the one node leads all partitions.
    filling = world.leader.indexes.filling
    await world.until(lambda: not index.is_backfilling or filling.is_through(world.group, index.id))
    await world.until(lambda: not any(each.changes for each in backlogs))
    await world.until_noted()
    await world.cluster.stop_one(world.leader)
    deleting = asyncio.ensure_future(told(world.late[0], "DeleteItem", {**TABLE, "Key": KEY}))
    await world.catch_up()
    await deleting
    rows = 1
    while rows:
        rows = (await told(world.late[1], "Scan", {**TABLE, "IndexName": "by-color"}))["Count"]


@in_world
async def test_a_write_leaves_a_record_in_a_stream_that_the_next_leader_did_not_know(world: World) -> None:
    await told(world.leader, "UpdateTable", ADD_STREAM)
    await world.until_noted()
    await world.cluster.stop_one(world.leader)
    deleting = asyncio.ensure_future(told(world.late[0], "DeleteItem", {**TABLE, "Key": KEY}))
    await world.catch_up()
    await deleting
    machine = world.late[0]
    arn = (await told(machine, "DescribeTable", TABLE))["Table"]["LatestStreamArn"]
    records = []
    for shard in (await told(machine, "DescribeStream", {"StreamArn": arn}))["StreamDescription"]["Shards"]:
        asked = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = await told(machine, "GetShardIterator", asked)
        records += (await told(machine, "GetRecords", iterator))["Records"]
    assert [each["eventName"] for each in records] == ["REMOVE"]


@in_world
async def test_who_does_not_hear_of_it_lets_another_lead(world: World) -> None:
    definitions_wait = definitions.WAIT_SECONDS
    definitions.WAIT_SECONDS = 0.3  # type: ignore[misc]
    try:
        await told(world.leader, "UpdateTable", ADD_STREAM)
        await world.until_noted()
        knows = world.late[0]
        knows.catch_up()
        await world.cluster.stop_one(world.leader)
        # Whoever is elected first, in the end the one that knows leads.
        await world.until(lambda: knows.hosted.leads(world.group))
        await told(world.late[1], "DeleteItem", {**TABLE, "Key": KEY})
    finally:
        definitions.WAIT_SECONDS = definitions_wait  # type: ignore[misc]


@in_world
async def test_the_stream_of_a_deleted_table_is_read_whoever_leads_its_partitions(world: World) -> None:
    """No definition of the table is known any more; nothing is evaluated by one either."""
    await told(world.leader, "UpdateTable", ADD_STREAM)
    for each in world.late:
        each.catch_up()
    arn = (await told(world.leader, "DescribeTable", TABLE))["Table"]["LatestStreamArn"]
    await told(world.leader, "DeleteItem", {**TABLE, "Key": KEY})
    await world.until_noted()
    await told(world.leader, "DeleteTable", TABLE)
    await world.cluster.stop_one(world.leader)
    shards = (await told(world.late[0], "DescribeStream", {"StreamArn": arn}))["StreamDescription"]["Shards"]
    shard = next(each["ShardId"] for each in shards if each["ShardId"].endswith(f"{world.group:08x}"))
    asked = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = await told(world.late[0], "GetShardIterator", asked)
    assert len((await told(world.late[1], "GetRecords", iterator))["Records"]) == 1
