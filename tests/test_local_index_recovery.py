"""An index and its table are one, also after a restart and after kill -9: the item's row and the rows that follow from
it stand in one log entry. And `varley check` sees it when they are not one.

Several threads write the same few keys at once, so that writes are evaluated against rows that are not chosen yet;
overlays are small, so that checkpoints run all the time and recovery finds trees that are half written.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest
from google_crc32c import value as crc32c

import varley
from tests.crash.check_command import findings
from tests.crash.server_process import SMALL, Client, ServerProcess
from tests.crash.workers import Worker, run, run_until_killed
from varley.item import stored
from varley.storage.lmdb_engine import META_KEY, decode_meta, encode_meta
from varley.storage.tree_folder import TreeFolder

SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
WRITERS = 4
ROUNDS = 4

TABLE: dict[str, Any] = {
    "TableName": "Threads",
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "x", "AttributeType": "S"},
        {"AttributeName": "n", "AttributeType": "N"},
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-x",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "x", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": "by-n",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "n", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        },
    ],
    "BillingMode": "PAY_PER_REQUEST",
}

Item = dict[str, Any]


class Writer(Worker):
    """Writes keys that others write too."""

    def step(self) -> None:
        self.client.call(*self._request())

    def _request(self) -> tuple[str, dict[str, Any]]:
        chance = self.random
        key = {"pk": {"S": f"p{chance.randrange(5)}"}, "sk": {"N": str(chance.randrange(8))}}
        choice = chance.random()
        if choice < 0.2:
            return "DeleteItem", {"TableName": "Threads", "Key": key}
        if choice < 0.5:
            return "UpdateItem", {
                "TableName": "Threads",
                "Key": key,
                "UpdateExpression": "ADD n :one SET filler = :f",
                "ExpressionAttributeValues": {":one": {"N": "1"}, ":f": {"S": "f" * chance.randrange(300)}},
            }
        item: Item = dict(key)
        if chance.random() < 0.7:
            item["x"] = {"S": "x" * chance.choice([1, 1, 2, 600])}    # 600: row keys longer than LMDB's
        if chance.random() < 0.7:
            item["n"] = {"N": str(chance.randrange(-3, 3))}
        if choice < 0.7:
            return "BatchWriteItem", {"RequestItems": {"Threads": [{"PutRequest": {"Item": item}}]}}
        return "PutItem", {"TableName": "Threads", "Item": item}


def everything(client: Client, **parameters: Any) -> list[Item]:
    items: list[Item] = []
    request = {"TableName": "Threads", "ConsistentRead": True, **parameters}
    while True:
        page = client.call("Scan", request)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def assert_one(port: int) -> int:
    """Each index is exactly what its table's items make it; the number of items."""
    client = Client(port)
    items = everything(client)
    described = client.call("DescribeTable", {"TableName": "Threads"})["Table"]
    assert described["ItemCount"] == len(items)
    for index, name, kept in (("by-x", "x", ("pk", "sk", "x")), ("by-n", "n", None)):
        expected = [
            item if kept is None else {each: item[each] for each in kept} for item in items if name in item
        ]
        found = everything(client, IndexName=index)
        assert sorted(map(repr_of, found)) == sorted(map(repr_of, expected))
        shown = next(each for each in described["LocalSecondaryIndexes"] if each["IndexName"] == index)
        assert shown["ItemCount"] == len(found)
    client.close()
    return len(items)


def repr_of(item: Item) -> str:
    return json.dumps(item, sort_keys=True)


@pytest.mark.slow
def test_index_and_table_are_one_after_kill_9(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print(f"TEST_SEED={SEED}")
    chance = random.Random(SEED)
    server = ServerProcess(tmp_path / "data", *SMALL, "--initial-partitions", "2")
    server.start()
    client = server.client()
    client.call("CreateTable", TABLE)
    client.close()
    written = 0
    for _ in range(ROUNDS):
        writers = [Writer(server.port, chance.randrange(2**32)) for _ in range(WRITERS)]
        run_until_killed(server, writers, chance.uniform(0.2, 0.5))
        written += sum(writer.steps for writer in writers)
        assert findings(tmp_path / "data", capsys) == []
        server.start()
        assert_one(server.port)
    assert written > ROUNDS * 10, "the writers did next to nothing: this test shows nothing"
    assert server.stop() == 0
    assert findings(tmp_path / "data", capsys) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose trees have everything, and whose log has no more. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("written") / "data"
    with varley.Server(data_dir=str(folder), initial_partitions=2) as server:
        client = Client(server.port)
        client.call("CreateTable", TABLE)
        client.close()
        writers = [Writer(server.port, seed, 100) for seed in range(WRITERS)]
        run(writers)
        assert [writer.steps for writer in writers] == [100] * WRITERS
        assert assert_one(server.port) > 10
    return folder


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "data"))


@pytest.mark.slow
def test_index_and_table_are_one_after_a_restart(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(data, capsys) == []
    with varley.Server(data_dir=str(data)) as server:
        assert_one(server.port)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "problem"),
    [
        (0, "a row of the index by-n that no item has"),
        (1, "the index by-x lacks this row"),
        (2, "the index by-n lacks this row"),
        (6, "its tally says"),
    ],
    ids=["item", "first index", "second index", "tally"],
)
def test_a_row_that_was_lost_is_found_by_check(
    data: Path, capsys: pytest.CaptureFixture[str], space: int, problem: str
) -> None:
    group = change_tree(data, space, remove=True)
    if space == 0:
        # The count of items tells it first, and then nobody looks at what follows: correct the count.
        assert any("its own row says" in each for each in findings(data, capsys))
        lower_count(data, group)
    assert any(problem in each for each in findings(data, capsys))


@pytest.mark.slow
def test_an_index_row_too_many_is_found_by_check(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_tree(data, 2, remove=False)
    assert any("the item belongs under the key" in each for each in findings(data, capsys))


def change_tree(data: Path, space: int, *, remove: bool) -> int:
    """Remove a row of this space, or put it under another key too. Returns the group."""
    folder = TreeFolder(str(data / "trees"))
    for group in folder.groups():
        with lmdb.open(folder.folder_of(group)) as env, env.begin(write=True) as txn:
            for key, value in txn.cursor():
                content = value[:-4]
                wanted = key[0] == space and len(key) < 511
                if space == 0:    # one that is in the second index
                    wanted = wanted and b'"n":' in content
                if wanted and remove:
                    txn.delete(key)
                    return group
                if wanted:
                    txn.put(key + b"\x01", content + crc32c(key + b"\x01" + content).to_bytes(4, "little"))
                    return group
    raise AssertionError("there is no such row")


def lower_count(data: Path, group: int) -> None:
    """Make the tree's own row, behind Varley's back, what it would be with the items that are there."""
    with lmdb.open(TreeFolder(str(data / "trees")).folder_of(group)) as env, env.begin(write=True) as txn:
        applied, _ = decode_meta(txn.get(META_KEY), group)
        items = [value for key, value in txn.cursor() if key[0] == 0]
        size = sum(map(stored.item_size, items))
        applied = applied._replace(item_count=len(items), size_bytes=size)
        txn.put(META_KEY, encode_meta(group, applied, is_partial=False))
