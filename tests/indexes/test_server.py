"""Global indexes of a whole server in memory, by what its clients and its operator see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import varley
from tests.crash.server_process import Client
from varley.metadata.catalog import Catalog
from varley.metadata.local import LocalStore

SECONDS_MAX = 20
TABLE: dict[str, Any] = {
    "TableName": "Things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
ITEM = {"pk": {"S": "a"}, "g": {"S": "one"}}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline


def found(client: Client) -> int:
    count: int = client.call("Scan", {"TableName": "Things", "IndexName": "by-g"})["Count"]
    return count


def test_moving_the_clock_shows_what_was_held_back() -> None:
    with varley.Server(index_delay_seconds=60.0, admin_port=0) as server:
        client = Client(server.port)
        client.call("CreateTable", TABLE)
        client.call("PutItem", {"TableName": "Things", "Item": ITEM})

        def metric(name: str) -> float:
            text = urlopen(f"http://127.0.0.1:{server.admin_port}/metrics").read().decode()
            [line] = [line for line in text.splitlines() if line.startswith(f'{name}{{index="by-g",table="Things"}}')]
            return float(line.split()[1])

        assert found(client) == 0
        assert metric("varley_index_undelivered_changes") == 1
        assert metric("varley_index_undelivered_bytes") > 50
        server.advance(61)
        until(lambda: found(client) == 1)
        assert metric("varley_index_undelivered_changes") == 0
        assert metric("varley_table_items") == 1
        client.close()


def test_a_reset_takes_what_was_on_its_way() -> None:
    with varley.Server(index_delay_seconds=60.0) as server:
        client = Client(server.port)
        for _ in range(3):
            client.call("CreateTable", TABLE)
            client.call("PutItem", {"TableName": "Things", "Item": ITEM})
            server.reset()
            assert client.call("ListTables", {})["TableNames"] == []
            server.advance(61)
        client.call("CreateTable", TABLE)
        assert found(client) == 0
        client.close()


THROUGHPUT = {"ReadCapacityUnits": 6000, "WriteCapacityUnits": 3000}    # five partitions: 6000 / 3000 + 3000 / 1000


@pytest.mark.parametrize("initial", [1, 7])
def test_an_index_that_comes_later_has_as_many_partitions_as_one_that_came_with_its_table(
    tmp_path: Path, initial: int
) -> None:
    [index] = TABLE["GlobalSecondaryIndexes"]
    provisioned = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {**THROUGHPUT, "ReadCapacityUnits": 1}}
    with varley.Server(data_dir=str(tmp_path / "data"), initial_partitions=initial) as server:
        client = Client(server.port)
        made = {**TABLE, **provisioned, "GlobalSecondaryIndexes": [{**index, "ProvisionedThroughput": THROUGHPUT}]}
        client.call("CreateTable", made)
        late = {**index, "IndexName": "late", "ProvisionedThroughput": THROUGHPUT}
        client.call(
            "UpdateTable",
            {
                "TableName": "Things",
                "AttributeDefinitions": TABLE["AttributeDefinitions"],
                "GlobalSecondaryIndexUpdates": [{"Create": late}],
            },
        )
        client.close()
    assert _index_partitions(tmp_path / "data") == {"by-g": max(initial, 5), "late": max(initial, 5)}


def _index_partitions(folder: Path) -> dict[str, int]:
    """How many partitions each index of the one table has."""

    async def load() -> dict[str, int]:
        catalog = Catalog(await LocalStore.open(str(folder / "metadata")))
        await catalog.load()
        described = catalog.get("Things")
        assert described is not None
        return {index.name: len(described.index_partitions[index.id]) for index in described.table.global_indexes}

    return asyncio.run(load())
