"""A server whose partitions a test splits, and clients that know what they were promised."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.crash.server_process import Client, Refused

SECONDS_MAX = 60.0
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
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "BillingMode": "PAY_PER_REQUEST",
}


def until(holds: Callable[[], Any], why: str = "it has not come to be") -> Any:
    deadline = time.monotonic() + SECONDS_MAX
    while not (found := holds()):
        assert time.monotonic() < deadline, why
    return found


class Admin:
    """The pages about splits of one admin port."""

    def __init__(self, port: int | None) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def order(self, table: str = "Things", **more: Any) -> dict[str, Any]:
        """The answer, also if it is a refusal."""
        request = urllib.request.Request(f"{self._url}/split", json.dumps({"table": table, **more}).encode())
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refusal:
            return dict(json.load(refusal))

    def under_way(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self._url}/splits", timeout=10) as answer:
            return list(json.load(answer)["splits"])

    def split(self, table: str = "Things", **more: Any) -> dict[str, Any]:
        """Returns when nothing is left to do."""
        told = self.order(table, **more)
        assert told["refused"] is None, told
        until(lambda: not self.under_way())
        return told


def item_of(number: int, version: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"k{number}"}, "g": {"S": f"g{number % 7}"}, "n": {"N": str(version)}, "x": {"S": "x" * 100},
    }  # fmt: skip


def put(client: Client, number: int, version: int) -> None:
    client.call("PutItem", {"TableName": "Things", "Item": item_of(number, version)})


def scanned(client: Client, **more: Any) -> dict[int, int]:
    """number -> version, page by page; each item once."""
    found: dict[int, int] = {}
    start: dict[str, Any] = {}
    while True:
        page = client.call("Scan", {"TableName": "Things", **more, **start})
        for item in page["Items"]:
            number = int(item["pk"]["S"][1:])
            assert number not in found, "an item was seen twice"
            found[number] = int(item["n"]["N"])
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


class Load:
    """Threads that put, delete and read items of their own, and compare.

    `expected`: number -> the version that was acknowledged last, None: deleted; `tried`: that was sent last.
    """

    def __init__(self, ports: list[int], numbers: int, *, threads: int = 3) -> None:
        self.expected: dict[int, int | None] = {}
        self.tried: dict[int, int | None] = {}
        self.wrong: list[str] = []
        self.done = 0
        self.slowest = 0.0
        self._numbers = numbers
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._run, args=(ports[number % len(ports)], number, threads))
            for number in range(threads)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def _run(self, port: int, seed: int, threads: int) -> None:
        chance = random.Random(seed)
        client = Client(port)
        version = 0
        while not self._is_over and not self.wrong:
            version += 1
            number = chance.randrange(self._numbers) // threads * threads + seed
            begun = time.monotonic()
            try:
                self._write(client, number, version)
                self._read(client, number)
            except Refused as refusal:
                self.wrong.append(str(refusal))
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.done += 1
        client.close()

    def _write(self, client: Client, number: int, version: int) -> None:
        self.tried[number] = version if version % 5 else None
        if version % 5:
            put(client, number, version)
            self.expected[number] = version
        else:
            client.call("DeleteItem", {"TableName": "Things", "Key": {"pk": {"S": f"k{number}"}}})
            self.expected[number] = None

    def _read(self, client: Client, number: int) -> None:
        got = client.call(
            "GetItem", {"TableName": "Things", "Key": {"pk": {"S": f"k{number}"}}, "ConsistentRead": True}
        ).get("Item")
        found = None if got is None else int(got["n"]["N"])
        if found != self.expected[number]:
            self.wrong.append(f"k{number} is {found}, {self.expected[number]} was acknowledged")

    @property
    def there(self) -> dict[int, int]:
        return {number: version for number, version in self.expected.items() if version is not None}

    def wait_for_some(self, count: int = 100) -> None:
        wanted = self.done + count
        until(lambda: self.done >= wanted or self.wrong)
