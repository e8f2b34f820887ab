"""Money moves between partitions while nodes are killed, most often the one that coordinates: none is lost or made, who
reads all accounts at once sees all of it, and nothing stays locked.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import msgspec
import pytest

from tests.models.serializability import Transaction, check
from varley.clock import SystemClock

from .machines import Body, Cluster, Machine
from .test_index_changes import told, trimmed, wait_until_led
from .test_stream_changes import ask

SEED = int(os.environ.get("BANK_SEED", "1"))
SEEDS = int(os.environ.get("BANK_SEEDS", "2"))
ROUNDS = 3
ACCOUNTS = tuple("abcdefgh")
LISTS = tuple("xyz")
EACH = 100
LOCKED_SECONDS = 10.0
CREATE: Body = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def key(name: str) -> Body:
    return {"TableName": "things", "Key": {"pk": {"S": name}}}


def move(name: str, amount: int) -> Body:
    return {
        "Update": {
            **key(name),
            "UpdateExpression": "ADD n :n",
            "ExpressionAttributeValues": {":n": {"N": str(amount)}},
        }
    }


def append(name: str, value: int) -> Body:
    values = {":v": {"L": [{"N": str(value)}]}, ":none": {"L": []}}
    return {
        "Update": {
            **key(name),
            "UpdateExpression": "SET l = list_append(if_not_exists(l, :none), :v)",
            "ExpressionAttributeValues": values,
        }
    }


def all_of(names: tuple[str, ...]) -> Body:
    return {"TransactItems": [{"Get": key(name)} for name in names]}


class Clients:
    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.chance = random.Random(f"{seed} clients")
        self.is_over = False
        self.history: list[Transaction] = []
        self.moved = self.read = self.values = 0

    async def ask(self, operation: str, body: Body) -> tuple[int, bytes]:
        up = [each for each in self.cluster.machines if each.name not in self.cluster.stopped]
        machine = self.chance.choice(up)
        try:
            async with asyncio.timeout(4):
                return await machine.ask(operation, body)
        except TimeoutError:
            return 500, b""     # the node that was asked was killed

    async def transfer(self) -> None:
        while not self.is_over:
            source, target = self.chance.sample(ACCOUNTS, 2)
            amount = self.chance.randrange(1, 9)
            body = {"TransactItems": [move(source, -amount), move(target, amount)]}
            if self.chance.random() < 0.5:
                body["ClientRequestToken"] = f"{self.chance.getrandbits(64)}"
            status, _ = await self.ask("TransactWriteItems", body)
            self.moved += status == 200
            # Else those who read all of it are refused all the time.
            await asyncio.sleep(0.005 if self.chance.random() < 0.6 else 0.2)

    async def audit(self) -> None:
        while not self.is_over:
            status, answer = await self.ask("TransactGetItems", all_of(ACCOUNTS))
            if status == 200:
                found = [int(each["Item"]["n"]["N"]) for each in msgspec.json.decode(answer)["Responses"]]
                assert sum(found) == EACH * len(ACCOUNTS), found
                self.read += 1
            await asyncio.sleep(0.02)

    async def append(self, name: str) -> None:
        """Lists that tell their own history; see tests/models/serializability.py."""
        loop = asyncio.get_running_loop()
        number = 0
        while not self.is_over:
            number += 1
            began = loop.time()
            if self.chance.random() < 0.5:
                status, answer = await self.ask("TransactGetItems", all_of(LISTS))
                if status == 200:
                    reads = dict(zip(LISTS, map(values, msgspec.json.decode(answer)["Responses"]), strict=True))
                    self.history.append(Transaction(f"{name} {number}", {}, reads, began, loop.time()))
            else:
                appends = {}
                for each in self.chance.sample(LISTS, 2):
                    self.values += 1
                    appends[each] = self.values
                body = {"TransactItems": [append(*each) for each in appends.items()]}
                status, answer = await self.ask("TransactWriteItems", body)
                ended = loop.time() if status != 500 else None
                is_done = status not in (400, 503)
                self.history.append(Transaction(f"{name} {number}", appends, {}, began, ended, is_done))
            await asyncio.sleep(0.01)


def values(response: Any) -> tuple[int, ...]:
    return tuple(int(each["N"]) for each in response.get("Item", {}).get("l", {}).get("L", ()))


def ledger_leader(cluster: Cluster) -> Machine:
    ledger = cluster.catalog.ledger
    assert ledger is not None
    return next(each for each in cluster.machines if each.hosted.leads(ledger.groups[0]))


async def run(seed: int) -> None:
    chance = random.Random(seed)
    cluster = Cluster("n1", "n2", "n3", clock=SystemClock(), is_replicated=True)
    await cluster.start()
    for machine in cluster.machines:
        machine.transactions.start()
    await told(cluster.machines[0], "CreateTable", CREATE)
    for name in ACCOUNTS:
        item = {"pk": {"S": name}, "n": {"N": str(EACH)}}
        await ask(cluster, chance, "PutItem", {"TableName": "things", "Item": item})
    clients = Clients(cluster, seed)
    running = [asyncio.ensure_future(clients.transfer()) for _ in range(2)]
    running += [asyncio.ensure_future(clients.audit())]
    running += [asyncio.ensure_future(clients.append(f"c{number}")) for number in range(3)]
    for number in range(ROUNDS):
        await wait_until_led(cluster)
        await asyncio.sleep(0.2 + chance.random() * 0.5)
        gone = ledger_leader(cluster) if number != 1 else chance.choice(cluster.machines)
        await cluster.stop_one(gone)
        await asyncio.sleep(chance.random())
        await trimmed(cluster)
        (await cluster.rebuild(gone)).transactions.start()
    await wait_until_led(cluster)
    before = clients.moved
    await asyncio.sleep(0.3)
    clients.is_over = True
    await asyncio.gather(*running)
    assert clients.moved > before > 0 and clients.read
    # Whatever was left is finished, without anybody asking for it.
    loop = asyncio.get_running_loop()
    since = loop.time()
    while any(locks(each) for each in cluster.machines):
        assert loop.time() < since + LOCKED_SECONDS, f"BANK_SEED={seed}"
        await asyncio.sleep(0.05)
    found = await ask(cluster, chance, "TransactGetItems", all_of(ACCOUNTS))
    assert sum(int(each["Item"]["n"]["N"]) for each in found["Responses"]) == EACH * len(ACCOUNTS)
    final = await ask(cluster, chance, "TransactGetItems", all_of(LISTS))
    check(clients.history, dict(zip(LISTS, map(values, final["Responses"]), strict=True)))
    await cluster.stop()


def locks(machine: Machine) -> int:
    return sum(
        len(partition.participant.markers)
        for route in machine.router.routes()
        for partition in route.partitions
        if machine.hosted.leads(partition.group)
    )


@pytest.mark.parametrize("seed", range(SEED, SEED + SEEDS))
def test_no_money_is_lost_or_made_while_coordinators_are_killed(seed: int) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(100):
            await run(seed)

    asyncio.run(in_time())
