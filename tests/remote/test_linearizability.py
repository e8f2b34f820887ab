"""Single items of a cluster are linearizable: clients of all nodes, while leaders are cut off and come back.

A node that is cut off believes for a while that it leads, and is asked by its own clients. What it tells them is judged
with all the rest. (That answers wait for leases is shown in tests/gateway: here no process is stopped between the two.)
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Hashable
from typing import Any

import msgspec

from tests.models.linearizability import NotSo, Operation, judge
from varley.clock import SystemClock

from .machines import Body, Cluster, Machine

SEED = os.environ.get("CLUSTER_SEED", "17")
ROUNDS = int(os.environ.get("CLUSTER_ROUNDS", "3"))
ITEMS = ("a", "b", "c")
CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def apply(state: Hashable, what: Any, answer: Any) -> Hashable:
    match what:
        case ("put", value):
            return value
        case ("get",):
            if answer != (state,):
                raise NotSo
            return state
        case ("swap", expected, value):
            if answer is None:    # nobody knows
                return value if state == expected else state
            if answer != (state == expected):
                raise NotSo
            return value if answer else state
    raise AssertionError(what)


class Client:
    """Does one thing after the other on one node, and writes down what it was told."""

    def __init__(self, machine: Machine, chance: random.Random, history: dict[str, list[Operation]]) -> None:
        self.machine = machine
        self.chance = chance
        self.history = history
        self.seen: dict[str, str | None] = {}
        self.is_over = False
        self.done = 0

    async def run(self, name: str) -> None:
        number = 0
        while not self.is_over:
            item = self.chance.choice(ITEMS)
            number += 1
            value = f"{name} {number}"
            draw = self.chance.random()
            what: tuple[Any, ...] = ("get",)
            if draw < 0.3:
                what = ("put", value)
            elif draw < 0.5:
                what = ("swap", self.seen.get(item), value)
            await self._do(item, what)
            self.done += 1
            await asyncio.sleep(0)

    async def _do(self, item: str, what: tuple[Any, ...]) -> None:
        loop = asyncio.get_running_loop()
        called = loop.time()
        operation, body = _request(item, what)
        status, answer = await self.machine.ask(operation, body)
        returned: float | None = loop.time()
        told: Any = None
        if status == 200:
            told = True
            if what[0] == "get":
                found = msgspec.json.decode(answer).get("Item")
                self.seen[item] = None if found is None else found["v"]["S"]
                told = (self.seen[item],)
        elif status == 400:
            assert what[0] == "swap" and b"ConditionalCheckFailed" in answer, answer
            told = False
        elif status == 503 or what[0] == "get":
            return    # surely nothing was done
        else:
            returned = None
        self.history[item].append(Operation(called, returned, what, told))


def _request(item: str, what: tuple[Any, ...]) -> tuple[str, Body]:
    key = {"pk": {"S": item}}
    match what:
        case ("get",):
            return "GetItem", {"TableName": "things", "Key": key, "ConsistentRead": True}
        case ("put", value):
            return "PutItem", {"TableName": "things", "Item": {**key, "v": {"S": value}}}
        case ("swap", expected, value):
            body: Body = {"TableName": "things", "Item": {**key, "v": {"S": value}}}
            if expected is None:
                return "PutItem", {**body, "ConditionExpression": "attribute_not_exists(pk)"}
            values = {":v": {"S": expected}}
            return "PutItem", {**body, "ConditionExpression": "v = :v", "ExpressionAttributeValues": values}
    raise AssertionError(what)


def test_single_items_are_linearizable_while_leaders_are_cut_off() -> None:
    async def run() -> None:
        chance = random.Random(SEED)
        cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
        await cluster.start()
        assert (await cluster.machines[0].ask("CreateTable", CREATE))[0] == 200
        history: dict[str, list[Operation]] = {item: [] for item in ITEMS}
        clients = [Client(machine, random.Random(f"{SEED} {machine.name}"), history) for machine in cluster.machines]
        running = [asyncio.ensure_future(each.run(each.machine.name)) for each in clients]
        route = cluster.machines[0].router.route("things")
        for _ in range(ROUNDS):
            group = route.partition_of(route.keys.row_key({"pk": {"S": chance.choice(ITEMS)}})).group
            leader = next(each for each in cluster.machines if each.hosted.leads(group))
            others = [each for each in cluster.machines if each is not leader]
            for other in others:
                assert leader.links is not None and other.links is not None
                leader.links.cut(other.name)
                other.links.cut(leader.name)
            while not any(each.hosted.leads(group) for each in others):  # noqa: ASYNC110 - an election
                await asyncio.sleep(0)
            before = sum(each.done for each in clients if each.machine is not leader)
            while sum(each.done for each in clients if each.machine is not leader) < before + 100:  # noqa: ASYNC110
                await asyncio.sleep(0)
            for other in others:
                assert leader.links is not None and other.links is not None
                leader.links.mend(other.name)
                other.links.mend(leader.name)
            old = next(each for each in clients if each.machine is leader)
            before = old.done
            while old.done < before + 50:  # noqa: ASYNC110 - its clients get on again
                await asyncio.sleep(0)
        for each in clients:
            each.is_over = True
        await asyncio.gather(*running)
        await cluster.stop()
        for item, operations in history.items():
            verdict = judge(operations, None, apply)
            assert verdict.is_linearizable, f"CLUSTER_SEED={SEED}, {item}: {len(operations)} operations"
        assert sum(map(len, history.values())) > 200

    async def in_time() -> None:
        async with asyncio.timeout(100):
            await run()

    asyncio.run(in_time())
