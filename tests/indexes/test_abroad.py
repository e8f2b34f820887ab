"""Global indexes whose partitions other nodes lead, and tables whose leaders change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.remote.machines import Body, Cluster, Machine
from varley.net.channels import DELIVER
from varley.table.outgoing import progress_key

CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
INDEX: Body = {
    "IndexName": "by-color",
    "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"},
}
ATTRIBUTES = [*CREATE["AttributeDefinitions"], {"AttributeName": "color", "AttributeType": "S"}]
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


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)


async def put(machine: Machine, number: int) -> None:
    item = {"pk": {"S": f"{number:03}"}, "color": {"S": "red"}}
    await told(machine, "PutItem", {"TableName": "things", "Item": item})


def arrived(cluster: Cluster) -> Callable[[], bool]:
    def holds() -> bool:
        propagations = [machine.indexes.propagation for machine in cluster.machines]
        return all(each.is_empty(target) for each in propagations for target in each.targets())

    return holds


def test_an_index_that_is_added_later_is_filled_by_all_and_becomes_active() -> None:
    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        for number in range(50):
            await put(cluster.machines[number % 3], number)
        update = {
            "TableName": "things",
            "AttributeDefinitions": ATTRIBUTES,
            "GlobalSecondaryIndexUpdates": [{"Create": INDEX}],
        }
        await told(cluster.machines[1], "UpdateTable", update)

        def is_active() -> bool:
            described = cluster.catalog.get("things")
            assert described is not None
            [index] = described.table.global_indexes
            return index.status == "ACTIVE" and all(each.indexes.filling.is_idle for each in cluster.machines)

        await until(is_active)
        for machine in cluster.machines:
            assert (await told(machine, "Query", RED))["Count"] == 50
        counts = [(await told(each, "DescribeTable", {"TableName": "things"}))["Table"] for each in cluster.machines]
        assert [each["ItemCount"] for each in counts] == [50] * 3
        assert [each["GlobalSecondaryIndexes"][0]["ItemCount"] for each in counts] == [50] * 3
        await cluster.stop()

    asyncio.run(run())


def test_what_was_applied_while_another_led_is_read_from_the_log_by_the_next_leader() -> None:
    """As a member sees it that follows, leads, and finds in its log what the leader before had not sent."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        table = {**CREATE, "AttributeDefinitions": ATTRIBUTES, "GlobalSecondaryIndexes": [INDEX]}
        await told(cluster.machines[0], "CreateTable", table)
        route = cluster.machines[0].router.route("things")
        group = route.partition_of(route.keys.row_key({"pk": {"S": "001"}})).group
        owner = cluster.owner(group)
        source = owner.indexes.sources[group]
        applied: list[tuple[int, Any]] = []
        real = source.chosen

        def chosen(slot: int, rows: Any) -> None:
            applied.append((slot, rows))
            real(slot, rows)

        replica = owner.node._replicas[group]
        replica.outgoing = SimpleNamespace(chosen=chosen, oldest=None)  # type: ignore[assignment]
        source.ends()
        await put(owner, 1)
        await until(arrived(cluster))
        assert (await told(cluster.machines[0], "Query", RED))["Count"] == 0
        # What was before has arrived, the leader before has said.
        [(slot, _)] = applied
        kept = slot - 1
        source.begins(kept, lambda after: iter([each for each in applied if each[0] > after]))
        assert source.kept_after(kept + 1) == kept
        await until(lambda: source.kept_after(kept + 1) == kept + 1)
        assert (await told(cluster.machines[0], "Query", RED))["Count"] == 1
        await cluster.stop()

    asyncio.run(run())


@pytest.mark.parametrize("is_deleted", [False, True])
def test_what_is_for_an_index_that_is_not_known_waits_unless_it_was_deleted(is_deleted: bool) -> None:
    """It was if this node knows all that leaders have known. What follows waits too."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        table = {**CREATE, "AttributeDefinitions": ATTRIBUTES, "GlobalSecondaryIndexes": [INDEX]}
        await told(cluster.machines[0], "CreateTable", table)
        route = cluster.machines[0].router.route("things")
        group = route.partition_of(route.keys.row_key({"pk": {"S": "001"}})).group
        owner = cluster.owner(group)
        source = owner.indexes.sources[group]
        applied: list[tuple[int, Any]] = []
        replica = owner.node._replicas[group]
        replica.outgoing = SimpleNamespace(  # type: ignore[assignment]
            chosen=lambda slot, rows: applied.append((slot, rows)), oldest=None
        )
        source.ends()
        await put(owner, 1)
        [(slot, rows)] = applied
        known, source.indexes = source.indexes, {}
        abroad = owner.indexes.abroad
        assert abroad is not None
        abroad.is_current = lambda group: is_deleted
        source.begins(slot - 1, lambda after: iter([(slot, rows)] if after < slot else []))
        for _ in range(20):
            await asyncio.sleep(0)
        if not is_deleted:
            assert source.kept_after(slot) == slot - 1
            source.indexes = known
        await until(lambda: source.kept_after(slot) == slot)
        assert (await told(cluster.machines[0], "Query", RED))["Count"] == (0 if is_deleted else 1)
        await cluster.stop()

    asyncio.run(run())


def test_a_batch_that_arrives_twice_is_taken_once() -> None:
    """Its answer was lost, so it is sent again: the target has the slot already."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        table = {**CREATE, "AttributeDefinitions": ATTRIBUTES, "GlobalSecondaryIndexes": [INDEX]}
        await told(cluster.machines[0], "CreateTable", table)
        for machine in cluster.machines:
            peers = machine.peers
            assert peers is not None
            real = peers.handlers[DELIVER]

            def twice(sender: str, payload: bytes, answer: Any, real: Any = real) -> None:
                real(sender, payload, lambda body: None)
                real(sender, payload, answer)

            peers.handlers[DELIVER] = twice
        for number in range(20):
            await put(cluster.machines[number % 3], number)
        await until(arrived(cluster))
        assert (await told(cluster.machines[0], "Query", RED))["Count"] == 20
        told_of = (await told(cluster.machines[1], "DescribeTable", {"TableName": "things"}))["Table"]
        assert told_of["GlobalSecondaryIndexes"][0]["ItemCount"] == 20
        await cluster.stop()

    asyncio.run(run())


def test_what_arrived_while_another_led_is_read_anew() -> None:
    """1. n1 fills an index with what partition P has. 2. n2 leads P for a moment, and sends the index a later slot: it
    passes over what is on its way from n1. 3. n1 leads P again and hears that this has arrived. Were it to note that,
    and to go on behind it, it would be missing for ever."""

    async def run() -> None:
        cluster = Cluster("n1", "n2", "n3")
        await cluster.start()
        await told(cluster.machines[0], "CreateTable", CREATE)
        for number in range(60):
            await put(cluster.machines[number % 3], number)
        held: list[Callable[[], None]] = []
        for machine in cluster.machines:
            sending = machine.indexes.sending
            real = sending._delivered
            sending._delivered = lambda *told, real=real: held.append(lambda: real(*told))  # type: ignore[assignment, misc]
        update = {
            "TableName": "things",
            "AttributeDefinitions": ATTRIBUTES,
            "GlobalSecondaryIndexUpdates": [{"Create": INDEX}],
        }
        await told(cluster.machines[1], "UpdateTable", update)
        route = cluster.machines[0].router.route("things")
        await until(lambda: len(held) >= 3)     # each node has sent something
        backfills = [each for machine in cluster.machines for each in machine.indexes.filling._backfills.values()]
        under_way = {backfill._left[0].group for backfill in backfills}
        assert len(under_way) == 3
        for lease in cluster.leases.values():
            lease.ballot += 2
        while held:
            held.pop()()
            for _ in range(20):
                await asyncio.sleep(0)
        described = cluster.catalog.get("things")
        assert described is not None
        [index] = described.table.global_indexes
        for machine in cluster.machines:
            for group, (partition, _) in machine.hosted.partitions.items():
                assert group not in under_way or partition.newest(progress_key(index.id)) is None
        for machine in cluster.machines:    # as each is told that leads again
            for partition in route.partitions:
                if machine.hosted.leads(partition.group):
                    machine.indexes.begins_to_lead(partition.group)
        while not arrived(cluster)() or held:
            for delivered in held:
                delivered()
            held.clear()
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while (await told(cluster.machines[0], "DescribeTable", {"TableName": "things"}))["Table"][
                "GlobalSecondaryIndexes"
            ][0]["IndexStatus"] != "ACTIVE":
                for delivered in held:
                    delivered()
                held.clear()
        assert (await told(cluster.machines[0], "Query", RED))["Count"] == 60
        await cluster.stop()

    asyncio.run(run())
