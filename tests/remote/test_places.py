"""Nodes that are linked by sockets, and who is told that somebody leads."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from varley.router.memds import Group

from .machines import Body, Cluster, Machine

CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


async def told(machine: Machine, operation: str, body: Body) -> Any:
    status, answer = await machine.ask(operation, body)
    assert status == 200, answer
    return msgspec.json.decode(answer)


def test_over_sockets_any_node_takes_any_request() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3", is_linked=True)
        await cluster.start()
        machines = cluster.machines
        await told(machines[0], "CreateTable", CREATE)
        puts = [{"PutRequest": {"Item": {"pk": {"S": f"{number}"}, "n": {"N": "1"}}}} for number in range(25)]
        left = await told(machines[1], "BatchWriteItem", {"RequestItems": {"things": puts}})
        assert left == {"UnprocessedItems": {}}
        for machine in machines:
            scanned = await told(machine, "Scan", {"TableName": "things", "ConsistentRead": True})
            assert {item["pk"]["S"] for item in scanned["Items"]} == set(map(str, range(25)))
            one = {"TableName": "things", "Key": {"pk": {"S": "7"}}, "ConsistentRead": True}
            assert (await told(machine, "GetItem", one))["Item"]["n"] == {"N": "1"}
            assert (await told(machine, "DescribeTable", {"TableName": "things"}))["Table"]["ItemCount"] == 25
        items = [
            {"Put": {"TableName": "things", "Item": {"pk": {"S": f"{number}"}, "n": {"N": "2"}}}} for number in range(9)
        ]
        await told(machines[2], "TransactWriteItems", {"TransactItems": items})
        gets = [{"Get": {"TableName": "things", "Key": {"pk": {"S": f"{number}"}}}} for number in range(9)]
        got = await told(machines[0], "TransactGetItems", {"TransactItems": gets})
        assert [each["Item"]["n"]["N"] for each in got["Responses"]] == ["2"] * 9
        await cluster.stop()

    asyncio.run(run())


def test_a_node_that_comes_is_told_who_leads() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        leader, newcomer = cluster.machines[1:]
        cluster.wire.cut.add(("n2", "n3"))
        [group, *_] = leader.hosted.partitions
        cluster.leases[group].ballot = 2
        leader.places.begins_to_lead(group, 2)
        assert newcomer.memds.find(group).ballot == 1
        cluster.wire.cut.clear()
        leader.memds.is_connected("n3", True)
        assert newcomer.memds.find(group) == Group(1, ("n2",), 2, "n2")
        assert set(newcomer.memds.led_by("n2")) == set(leader.hosted.partitions)
        await cluster.stop()

    asyncio.run(run())


def test_whoever_has_made_groups_waits_for_their_leaders() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2")
        await cluster.start()
        peers = cluster.machines[0].peers
        assert peers is not None
        waiting = asyncio.ensure_future(peers.wait_for_leaders([77, 78], 20))
        await asyncio.sleep(0)
        peers.memds.learn(78, Group(1, ("n2",), 3, "n2"))
        await asyncio.sleep(0)
        peers.memds.learn(77, Group(1, ("n2",)))
        await asyncio.sleep(0)
        assert not waiting.done()
        peers.memds.learn(77, Group(1, ("n2",), 3, "n2"))
        assert await waiting
        assert await peers.wait_for_leaders([77, 78], 0)
        assert not await peers.wait_for_leaders([77, 79], 0)
        await cluster.stop()

    asyncio.run(run())


def test_a_node_that_leads_no_more_is_not_asked_first() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2")
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        group = next(iter(cluster.machines[0].hosted.partitions))
        cluster.machines[0].places.follows(group)
        for machine in cluster.machines:
            assert machine.memds.find(group) == Group(1, ("n1",), 1, None)
        await cluster.stop()

    asyncio.run(run())
