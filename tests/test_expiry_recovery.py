"""Kill -9 while items expire, and while their rows are put right: nothing that is to stay goes, and all that is to go
goes in the end. `varley check` agrees after each crash.

The server's clock is moved over its admin port, so that thousands of items are due at once; the kill comes while the
sweep is in the middle of them. Overlays are small, so that checkpoints run all the time.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import lmdb
import pytest

from tests.crash.check_command import findings
from tests.crash.server_process import SMALL, Client, Refused, ServerProcess
from varley.storage.tree_folder import TreeFolder

SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
ROUNDS = 5
ITEMS = 6000
SECONDS_MAX = 60

TABLE: dict[str, Any] = {
    "TableName": "Sessions",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "expires", "AttributeType": "N"},
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-expires",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "expires", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


class Expiring(ServerProcess):
    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, *SMALL, "--initial-partitions", "2", "--admin-port", "0")

    def move(self, epoch_seconds: float) -> None:
        self._admin("POST", "/clock", json.dumps({"set": epoch_seconds}))

    def expired(self) -> int:
        """How many items this process has deleted, as its metrics say."""
        lines = self._admin("GET", "/metrics").splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("varley_expired_items_total{"))

    def _admin(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read().decode()
        finally:
            connection.close()


def switch(client: Client, *, enabled: bool) -> None:
    specification = {"Enabled": enabled, "AttributeName": "expires"}
    client.call("UpdateTimeToLive", {"TableName": "Sessions", "TimeToLiveSpecification": specification})


def fill(client: Client, names: list[str], expires: dict[str, int | None]) -> None:
    for start in range(0, len(names), 25):
        puts = []
        for name in names[start : start + 25]:
            item: dict[str, Any] = {"pk": {"S": f"p{name[-1]}"}, "sk": {"S": name}, "filler": {"S": "f" * 100}}
            if expires[name] is not None:
                item["expires"] = {"N": str(expires[name])}
            puts.append({"PutRequest": {"Item": item}})
        while puts:    # overlays are so small that checkpoints may not keep up
            try:
                answer = client.call("BatchWriteItem", {"RequestItems": {"Sessions": puts}})
            except Refused as refusal:
                if "ThrottlingException" not in refusal.answer["__type"]:
                    raise
            else:
                puts = answer["UnprocessedItems"].get("Sessions", [])


def names_in(client: Client, **more: Any) -> set[str]:
    names: set[str] = set()
    request = {"TableName": "Sessions", "ConsistentRead": True, **more}
    while True:
        page = client.call("Scan", request)
        names |= {item["sk"]["S"] for item in page["Items"]}
        if "LastEvaluatedKey" not in page:
            return names
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


@pytest.mark.slow
def test_kill_9_during_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print(f"TEST_SEED={SEED}")
    chance = random.Random(SEED)
    start = int(time.time()) + 1000
    names = [f"n{number}" for number in range(ITEMS)]
    expires: dict[str, int | None] = {name: start + chance.randrange(100) for name in names}
    for name in chance.sample(names, ITEMS // 10):
        expires[name] = None
    stays = {name for name in names if expires[name] is None}
    server = Expiring(tmp_path / "data")
    server.start()
    client = server.client()
    client.call("CreateTable", TABLE)
    fill(client, names[: ITEMS // 2], expires)
    switch(client, enabled=True)
    fill(client, names[ITEMS // 2 :], expires)
    interrupted = 0
    due = start
    for number in range(ROUNDS):
        due = start + 100 * (number + 1) // ROUNDS
        before = names_in(client)
        server.move(due)
        looks = chance.randrange(3)
        while server.expired() == 0 or looks > 0:
            looks -= 1    # each look is a request: nothing is slept
        client.close()
        server.kill()
        assert findings(tmp_path / "data", capsys) == []
        server.start()
        client = server.client()
        left = names_in(client)
        gone = before - left
        assert all(when is not None and when < due for when in map(expires.__getitem__, gone))
        is_left = any(when is not None and when < due for when in map(expires.__getitem__, left))
        interrupted += bool(gone) and is_left
        assert names_in(client, IndexName="by-expires") == {name for name in left if expires[name] is not None}
    assert interrupted, "no kill came in the middle of a sweep: this test shows nothing"
    server.move(start + 200)
    deadline = time.monotonic() + SECONDS_MAX
    while names_in(client) != stays:
        assert time.monotonic() < deadline, "not all that expired went"
    client.close()
    assert server.stop() == 0
    assert findings(tmp_path / "data", capsys) == []


@pytest.mark.slow
def test_kill_9_while_items_begin_and_cease_to_expire(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print(f"TEST_SEED={SEED}")
    chance = random.Random(SEED)
    names = [f"n{number}" for number in range(ITEMS)]
    later: dict[str, int | None] = {name: int(time.time()) + 86_400 for name in names}
    server = Expiring(tmp_path / "data")
    server.start()
    client = server.client()
    client.call("CreateTable", TABLE)
    fill(client, names, later)
    for number in range(ROUNDS):
        # Not waited for: the kill comes while the rows are put right, or just before that.
        client.send(
            "UpdateTimeToLive",
            {
                "TableName": "Sessions",
                "TimeToLiveSpecification": {"Enabled": number % 2 == 0, "AttributeName": "expires"},
            },
        )
        other = server.client()
        wanted = ("ENABLING", "ENABLED") if number % 2 == 0 else ("DISABLING", "DISABLED")
        while described(other) not in wanted:
            pass
        for _ in range(chance.randrange(30)):
            described(other)
        other.close()
        client.close()
        server.kill()
        assert findings(tmp_path / "data", capsys) == []
        server.start()
        client = server.client()
        deadline = time.monotonic() + SECONDS_MAX
        while described(client) != wanted[1]:
            assert time.monotonic() < deadline, "the work does not go on"
    assert names_in(client) == set(names)
    client.close()
    assert server.stop() == 0
    assert findings(tmp_path / "data", capsys) == []


def described(client: Client) -> str:
    answer = client.call("DescribeTimeToLive", {"TableName": "Sessions"})
    status: str = answer["TimeToLiveDescription"]["TimeToLiveStatus"]
    return status


@pytest.mark.slow
@pytest.mark.parametrize("space", [0, 0x30], ids=["item", "expiry"])
def test_a_row_that_was_lost_is_found_by_check(tmp_path: Path, capsys: pytest.CaptureFixture[str], space: int) -> None:
    server = Expiring(tmp_path / "data")
    server.start()
    client = server.client()
    plain = {name: value for name, value in TABLE.items() if name != "LocalSecondaryIndexes"}
    client.call("CreateTable", {**plain, "AttributeDefinitions": TABLE["AttributeDefinitions"][:2]})
    switch(client, enabled=True)
    later: dict[str, int | None] = {f"n{number}": int(time.time()) + 86_400 for number in range(20)}
    fill(client, list(later), later)
    client.close()
    assert server.stop() == 0
    assert findings(tmp_path / "data", capsys) == []
    remove_row(tmp_path / "data", space)
    problems = findings(tmp_path / "data", capsys)
    assert any("its own row says" in each if space == 0 else "the expiry of the item" in each for each in problems)


def remove_row(data: Path, space: int) -> None:
    """Remove an item or an expiry from a tree, behind Varley's back."""
    folder = TreeFolder(str(data / "trees"))
    with lmdb.open(folder.folder_of(folder.groups()[0])) as env, env.begin(write=True) as txn:
        txn.delete(next(key for key, _ in txn.cursor() if key[0] == space and len(key) > 1))
