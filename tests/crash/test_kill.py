"""What was acknowledged survives kill -9; what was not is there whole or not at all.

A few threads write as fast as they can; at a random moment the server is killed; it is started again and every key is
looked at. A thread knows for each of its keys the last value that was acknowledged and the one that was under way.
Rounds go on with the same data folder, so that recovery meets logs, torn tails and half-done checkpoints of earlier
rounds.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.crash.server_process import SMALL, Client, Refused, ServerProcess
from tests.crash.workers import Worker, run_until_killed

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))
SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
WRITERS = 8
KEYS = 12

Number = int | None    # the number an item holds; None: there is no item


class Writer(Worker):
    """Writes its own keys until the server goes away."""

    def __init__(self, number: int, port: int, known: dict[str, Number], seed: int) -> None:
        super().__init__(port, seed)
        self.keys = [f"writer-{number}-key-{i}" for i in range(KEYS)]
        self.known = known    # key -> what was acknowledged
        self.under_way: dict[str, Number] = {}    # key -> what it becomes if the last write happened
        self.acknowledged = 0

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.1:
            self._write_batch()
            return
        key = self.random.choice(self.keys)
        before = self.known[key]
        if choice < 0.5:
            after: Number = self.random.randrange(10**6)
            request: tuple[str, dict[str, Any]] = ("PutItem", {"TableName": "numbers", "Item": item(key, after)})
        elif choice < 0.8:
            after = (before or 0) + 1
            request = (
                "UpdateItem",
                {
                    "TableName": "numbers",
                    "Key": {"pk": {"S": key}},
                    "UpdateExpression": "ADD n :one SET filler = :f",
                    "ExpressionAttributeValues": {":one": {"N": "1"}, ":f": {"S": filler(after)}},
                },
            )
        else:
            after = None
            request = ("DeleteItem", {"TableName": "numbers", "Key": {"pk": {"S": key}}})
        self.under_way = {key: after}
        self.client.call(*request)
        self.known[key] = after
        self.under_way = {}
        self.acknowledged += 1

    def _write_batch(self) -> None:
        chosen = self.random.sample(self.keys, 5)
        self.under_way = {key: self.random.randrange(10**6) for key in chosen}
        puts = [{"PutRequest": {"Item": item(key, number)}} for key, number in self.under_way.items()]
        answer = self.client.call("BatchWriteItem", {"RequestItems": {"numbers": puts}})
        assert answer["UnprocessedItems"] == {}
        self.known.update(self.under_way)
        self.under_way = {}
        self.acknowledged += len(chosen)


def item(key: str, number: Number) -> dict[str, Any]:
    return {"pk": {"S": key}, "n": {"N": str(number)}, "filler": {"S": filler(number)}}


def filler(number: Number) -> str:
    """Tells whether an item is whole: a text that depends on its number."""
    return f"{number}-" * (1 + (number or 0) % 100)


@pytest.mark.slow
def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    print(f"TEST_SEED={SEED} KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = ServerProcess(tmp_path / "data", *SMALL, "--initial-partitions", "3")
    server.start()
    client = server.client()
    client.call(
        "CreateTable",
        {
            "TableName": "numbers",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    known: list[dict[str, Number]] = [{f"writer-{w}-key-{k}": None for k in range(KEYS)} for w in range(WRITERS)]
    acknowledged = 0
    for number in range(ROUNDS):
        writers = [Writer(w, server.port, known[w], chance.randrange(2**32)) for w in range(WRITERS)]
        run_until_killed(server, writers, chance.uniform(0.02, 0.35))
        acknowledged += sum(writer.acknowledged for writer in writers)
        server.start()
        client = server.client()
        for writer in writers:
            for key in writer.keys:
                _check(client, writer, key, number)
    assert acknowledged > ROUNDS * 10, "the writers did next to nothing: this test shows nothing"
    client.close()
    assert server.stop() == 0
    print(f"{acknowledged} acknowledged writes over {ROUNDS} rounds, none lost")


def _check(client: Client, writer: Writer, key: str, number: int) -> None:
    try:
        answer = client.call("GetItem", {"TableName": "numbers", "Key": {"pk": {"S": key}}, "ConsistentRead": True})
    except Refused as refusal:
        raise AssertionError(f"round {number}: {key} cannot be read: {refusal}") from refusal
    found: Number = None
    if "Item" in answer:
        found = int(answer["Item"]["n"]["N"])
        if "filler" in answer["Item"]:
            assert answer["Item"]["filler"]["S"] == filler(found), f"round {number}: {key} is not whole"
    allowed = {writer.known[key]} | ({writer.under_way[key]} if key in writer.under_way else set())
    assert found in allowed, f"round {number}: {key} holds {found}, allowed are {allowed}"
    writer.known[key] = found
