"""Global indexes are what their table's items make them, after kill -9 at any moment: while changes are on their way to
them, and while new indexes are filled.

Several threads write the same keys at once, one adds and deletes indexes; then the server is killed. `varley check`
looks at what is left; the server starts, delivers what its log has, goes on filling, and then table and indexes are
compared by what clients see of them. Rounds go on with the same folder.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.crash.check_command import findings
from tests.crash.server_process import SMALL, Client, Refused, ServerProcess
from tests.crash.workers import Worker, run_until_killed

ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))
SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
WRITERS = 4
SECONDS_MAX = 30    # until an index shows everything
ITEMS = 1500

Item = dict[str, Any]


def index(name: str, hash_name: str, range_name: str | None, kind: str, names: list[str] | None = None) -> Item:
    keys = [{"AttributeName": hash_name, "KeyType": "HASH"}]
    if range_name is not None:
        keys.append({"AttributeName": range_name, "KeyType": "RANGE"})
    projection: Item = {"ProjectionType": kind}
    if names:
        projection["NonKeyAttributes"] = names
    return {"IndexName": name, "KeySchema": keys, "Projection": projection}


# By name: definition, the attributes that an item must have to be in it, and what it shows of an item (None: all).
INDEXES: dict[str, tuple[Item, tuple[str, ...], tuple[str, ...] | None]] = {
    "by-x": (index("by-x", "x", "n", "ALL"), ("x", "n"), None),
    "by-n": (index("by-n", "n", None, "KEYS_ONLY"), ("n",), ("pk", "sk", "n")),
    "by-y": (index("by-y", "y", "sk", "INCLUDE", ["x"]), ("y",), ("pk", "sk", "y", "x")),
    "late": (index("late", "x", None, "ALL"), ("x",), None),
    "late-too": (index("late-too", "y", "n", "KEYS_ONLY"), ("y", "n"), ("pk", "sk", "y", "n")),
}
KINDS = {"pk": "S", "sk": "N", "x": "S", "y": "S", "n": "N"}
ALWAYS = ("by-x", "by-n", "by-y")
SOMETIMES = ("late", "late-too")


def definitions(*names: str) -> list[Item]:
    used = {"pk", "sk"}
    for name in names:
        used.update(each["AttributeName"] for each in INDEXES[name][0]["KeySchema"])
    return [{"AttributeName": name, "AttributeType": KINDS[name]} for name in sorted(used)]


TABLE: Item = {
    "TableName": "Threads",
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": definitions(*ALWAYS),
    "GlobalSecondaryIndexes": [INDEXES[name][0] for name in ALWAYS],
    "BillingMode": "PAY_PER_REQUEST",
}


class Writer(Worker):
    def step(self) -> None:
        chance = self.random
        key = {"pk": {"S": f"p{chance.randrange(40)}"}, "sk": {"N": str(chance.randrange(8))}}
        choice = chance.random()
        if choice < 0.2:
            self.client.call("DeleteItem", {"TableName": "Threads", "Key": key})
        elif choice < 0.5:
            self.client.call(
                "UpdateItem",
                {
                    "TableName": "Threads",
                    "Key": key,
                    "UpdateExpression": "ADD n :one SET filler = :f",
                    "ExpressionAttributeValues": {":one": {"N": "1"}, ":f": {"S": "f" * chance.randrange(300)}},
                },
            )
        else:
            puts = [{"PutRequest": {"Item": key | an_item(chance)}}]
            self.client.call("BatchWriteItem", {"RequestItems": {"Threads": puts}})


class Definer(Worker):
    """Adds and deletes indexes."""

    def step(self) -> None:
        name = self.random.choice(SOMETIMES)
        shown = self.client.call("DescribeTable", {"TableName": "Threads"})["Table"]
        there = {each["IndexName"] for each in shown["GlobalSecondaryIndexes"]}
        update: Item = {"Create": INDEXES[name][0]} if name not in there else {"Delete": {"IndexName": name}}
        try:
            self.client.call(
                "UpdateTable",
                {
                    "TableName": "Threads",
                    "AttributeDefinitions": definitions(*ALWAYS, *SOMETIMES),
                    "GlobalSecondaryIndexUpdates": [update],
                },
            )
        except Refused as refusal:
            # One index is made at a time; another that is being made is in the way for a moment.
            if not any(code in refusal.answer["__type"] for code in ("ResourceInUse", "LimitExceeded")):
                raise


def an_item(chance: random.Random) -> Item:
    item: Item = {}
    if chance.random() < 0.7:
        item["x"] = {"S": "x" * chance.choice([1, 1, 2, 600])}
    if chance.random() < 0.7:
        item["y"] = {"S": f"y{chance.randrange(4)}"}
    if chance.random() < 0.7:
        item["n"] = {"N": str(chance.randrange(-3, 3))}
    return item


def everything(client: Client, **parameters: Any) -> list[str]:
    items: list[Item] = []
    request = {"TableName": "Threads", **parameters}
    while True:
        page = client.call("Scan", request)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return sorted(json.dumps(item, sort_keys=True) for item in items)
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def described(client: Client) -> dict[str, Item]:
    """Indexes by name, once all are ACTIVE."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        shown = client.call("DescribeTable", {"TableName": "Threads"})["Table"]
        indexes = {each["IndexName"]: each for each in shown["GlobalSecondaryIndexes"]}
        if all(each["IndexStatus"] == "ACTIVE" for each in indexes.values()):
            return indexes
        assert time.monotonic() < deadline, indexes


def assert_one(port: int) -> None:
    """Each index becomes exactly what the table's items make it; nobody writes meanwhile."""
    client = Client(port)
    items = [json.loads(item) for item in everything(client, ConsistentRead=True)]
    for name in described(client):
        _, needed, shown_names = INDEXES[name]
        expected = sorted(
            json.dumps(
                item if shown_names is None else {each: item[each] for each in shown_names if each in item},
                sort_keys=True,
            )
            for item in items
            if all(each in item for each in needed)
        )
        deadline = time.monotonic() + SECONDS_MAX
        while (found := everything(client, IndexName=name)) != expected:
            assert time.monotonic() < deadline, f"{name}: {len(found)} rows, {len(expected)} expected"
        assert described(client)[name]["ItemCount"] == len(found)
    client.close()


@pytest.mark.slow
def test_indexes_are_what_items_make_them_after_kill_9(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print(f"TEST_SEED={SEED} KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = ServerProcess(tmp_path / "data", *SMALL, "--initial-partitions", "2")
    server.start()
    client = server.client()
    client.call("CreateTable", TABLE)
    for first in range(0, ITEMS, 25):    # of keys that nobody writes: what filling has to do
        puts = [
            {"PutRequest": {"Item": {"pk": {"S": f"q{number}"}, "sk": {"N": "0"}, **an_item(chance)}}}
            for number in range(first, first + 25)
        ]
        client.call("BatchWriteItem", {"RequestItems": {"Threads": puts}})
    client.close()
    written = defined = filling = 0
    for _ in range(ROUNDS):
        writers = [Writer(server.port, chance.randrange(2**32)) for _ in range(WRITERS)]
        definer = Definer(server.port, chance.randrange(2**32))
        run_until_killed(server, [*writers, definer], chance.uniform(0.1, 0.5))
        written += sum(writer.steps for writer in writers)
        defined += definer.steps
        # The tree of an index that was deleted just now may still be there; the next start removes it.
        found = findings(tmp_path / "data", capsys)
        assert [each for each in found if "a group that does not exist" not in each] == []
        server.start()
        shown = Client(server.port).call("DescribeTable", {"TableName": "Threads"})["Table"]
        filling += any(each["IndexStatus"] == "CREATING" for each in shown["GlobalSecondaryIndexes"])
        assert_one(server.port)
    assert written > ROUNDS * 10, "the writers did next to nothing: this test shows nothing"
    assert defined > ROUNDS
    assert server.stop() == 0
    assert findings(tmp_path / "data", capsys) == []
    print(f"{written} writes, {defined} changes of indexes; killed while one was filled: {filling} of {ROUNDS} times")


@pytest.mark.slow
def test_changes_that_were_held_back_survive_kill_9_and_a_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ServerProcess(tmp_path / "data", "--index-delay-seconds", "3600", "--initial-partitions", "2")
    server.start()
    client = server.client()
    client.call("CreateTable", TABLE)
    chance = random.Random(SEED)
    for number in range(200):
        item = {"pk": {"S": f"p{number % 50}"}, "sk": {"N": "0"}, **an_item(chance)}
        client.call("PutItem", {"TableName": "Threads", "Item": item})
    assert everything(client, IndexName="by-n") == []
    client.close()
    server.kill()
    assert findings(tmp_path / "data", capsys) == []
    server.start()    # what is read from the log is not held back again
    assert_one(server.port)
    client = server.client()
    for number in range(200):
        item = {"pk": {"S": f"p{number % 60}"}, "sk": {"N": "0"}, **an_item(chance)}
        client.call("PutItem", {"TableName": "Threads", "Item": item})
    client.close()
    assert server.stop() == 0
    assert findings(tmp_path / "data", capsys) == []
    server.start()
    assert_one(server.port)
    assert server.stop() == 0
