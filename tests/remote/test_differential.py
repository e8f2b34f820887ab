"""A request through a node that may lead nothing of what it is about is answered, byte for byte, as on one machine.

The requests are those that are compared with DynamoDB Local (tests/differential): valid and wrong ones, with indexes,
filters, capacity, pages. `CLUSTER_SEED=…` runs those of that run again, CLUSTER_CASES more of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from typing import Any

import msgspec
import pytest

from tests.differential.cases import KINDS, case_of
from tests.differential.tables import PREFIX
from tests.differential.world import BY_NAME, TABLES

from .machines import Cluster

_CASES = int(os.environ.get("CLUSTER_CASES", "150"))
_PAGES_MAX = 30
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteStatement",
           "BatchExecuteStatement", "ExecuteTransaction")  # fmt: skip


class Both:
    """A server on one machine, and a cluster; each request goes to the one, and to some node of the other."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.single = Cluster("alone")
        self.cluster = Cluster("n1", "n2", "n3")
        self.requests = 0

    async def start(self) -> None:
        await self.single.start()
        await self.cluster.start()
        for table in TABLES:
            await self.step("CreateTable", table.definition())

    async def ask(self, operation: str, body: dict[str, Any]) -> bytes:
        self.requests += 1
        expected = await self.single.machines[0].ask(operation, body)
        machine = self.chance.choice(self.cluster.machines)
        assert machine.peers is not None
        for described in self.cluster.catalog:    # else they are kept for some seconds, and this clock stands still
            for group in described.groups:
                machine.peers.sums.forget(group)
        found = await machine.ask(operation, body)
        await self._indexes_are_filled()
        told = f"{operation} through {machine.name}: {msgspec.json.encode(body).decode()}"
        ours, theirs = _without_ids(found[1]), _without_ids(expected[1])
        at = next((at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), 0)
        assert ours == theirs, (
            f"{told}\nin a cluster   …{ours[max(at - 60, 0) :]!r}\non one machine …{theirs[max(at - 60, 0) :]!r}"
        )
        assert found[0] == expected[0]
        return expected[1]

    async def _indexes_are_filled(self) -> None:
        """What indexes get, they get a moment later, on one machine as in a cluster."""
        for machine in (*self.single.machines, *self.cluster.machines):
            indexes = machine.indexes
            while not indexes.is_idle:  # noqa: ASYNC110 - turns of the loop
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def step(self, operation: str, body: dict[str, Any]) -> None:
        """A request, and those for the pages behind it."""
        for _ in range(_PAGES_MAX):
            told = msgspec.json.decode(await self.ask(operation, body))
            if not isinstance(told, dict) or operation not in ("Query", "Scan", "ExecuteStatement"):
                return
            if "LastEvaluatedKey" in told and operation != "ExecuteStatement":
                body = {**body, "ExclusiveStartKey": told["LastEvaluatedKey"]}
            elif "NextToken" in told:
                body = {**body, "NextToken": told["NextToken"]}
            else:
                return

    async def delete(self, name: str) -> None:
        await self.ask("UpdateTable", {"TableName": name, "DeletionProtectionEnabled": False})
        await self.ask("DeleteTable", {"TableName": name})

    async def empty(self, name: str) -> None:
        table = BY_NAME[name]
        told = msgspec.json.decode(await self.ask("Scan", {"TableName": name, "ConsistentRead": True}))
        for item in told["Items"]:
            await self.ask("DeleteItem", {"TableName": name, "Key": {each: item[each] for each in table.key_names}})


def _without_ids(body: bytes) -> bytes:
    """Ids of tables and labels of streams are drawn by chance."""
    return re.sub(rb'"(TableId|LatestStreamLabel|LatestStreamArn)":"[^"]*"', b"", body)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_any_node_answers_as_a_single_one_does(kind: str) -> None:
    seed = os.environ.get("CLUSTER_SEED") or "17"

    async def run() -> None:
        both = Both(random.Random(seed))
        await both.start()
        for number in range(_CASES // len(KINDS) + 1):
            case = case_of(f"{seed}:{number}", kind)
            for operation, body in case:
                await both.step(operation, body)
            for name in sorted({str(body.get("TableName")) for _, body in case}):
                if name.startswith(PREFIX):
                    await both.delete(name)
            for name in BY_NAME:
                if any(operation in _WRITES and name in str(body) for operation, body in case):
                    await both.empty(name)
        await both.single.stop()
        await both.cluster.stop()

    asyncio.run(run())
