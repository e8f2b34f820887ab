"""Sweeps of partitions that this node leads no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tests.remote.machines import Body, Cluster, Machine
from varley.clock import MovableClock, StoppedClock

CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
TTL: Body = {"TableName": "things", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "at"}}


async def told(machine: Machine, operation: str, body: Body) -> Any:
    status, answer = await machine.ask(operation, body)
    assert status == 200, answer
    return msgspec.json.decode(answer)


def test_a_sweep_ends_when_another_node_leads_and_begins_anew_when_this_one_does() -> None:
    async def run() -> None:
        clock = MovableClock(StoppedClock())
        cluster = Cluster("n1", "n2", clock=clock)
        await cluster.start()
        for machine in cluster.machines:
            machine.services.sweeper.start([])
        await told(cluster.machines[0], "CreateTable", CREATE)
        described = cluster.catalog.get("things")
        assert described is not None
        await told(cluster.machines[0], "UpdateTimeToLive", TTL)
        described = cluster.catalog.get("things")
        assert described is not None
        for machine in cluster.machines:
            machine.services.sweeper.redefine(described)
        expires = str(int(clock.time()) + 60)
        for number in range(450):
            item = {"pk": {"S": f"{number}"}, "at": {"N": expires}}
            await told(cluster.machines[0], "PutItem", {"TableName": "things", "Item": item})
        route = cluster.machines[0].router.route("things")
        group = route.partitions[0].group
        owner = cluster.owner(group)
        replica = owner.node._replicas[group]
        lease, sweeper = cluster.leases[group], owner.services.sweeper
        clock.advance(120)
        sweeper.tick()
        [sweep] = [each for each in sweeper._tables["things"]._sweeps if each.group == group]
        assert sweep.is_busy
        lease.is_leading = False
        async with asyncio.timeout(10):
            while sweep.is_busy or sweeper.under_way:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        left = replica.tree.item_count
        assert left
        lease.is_leading = True
        lease.ballot += 1
        sweeper.begins_to_lead(group)
        async with asyncio.timeout(10):
            while replica.tree.item_count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        for machine in cluster.machines:
            machine.services.sweeper.stop()
        await cluster.stop()

    asyncio.run(run())
