"""Global indexes of a whole server in memory, by what its clients and its operator see."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import varley
from tests.crash.server_process import Client

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
