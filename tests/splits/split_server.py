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
from varley.item.size import item_size

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


# The same with item collections, of some ten items each, and two local indexes: one has all of each item, the other a
# part of two in three.
LOCAL_TABLE: dict[str, Any] = {
    "TableName": "Things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "a", "b")],
    "LocalSecondaryIndexes": [
        {
            "IndexName": f"by-{name}",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": name, "KeyType": "RANGE"}],
            "Projection": projection,
        }
        for name, projection in (
            ("a", {"ProjectionType": "ALL"}), ("b", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]}),
        )
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
COLLECTIONS = 30
ItemOf = Callable[[int, int], dict[str, Any]]


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


def local_item_of(number: int, version: int) -> dict[str, Any]:
    """Of LOCAL_TABLE. Its place in both indexes changes with the version, and so does its size."""
    item = {
        "pk": {"S": f"c{number % COLLECTIONS}"}, "sk": {"S": f"k{number}"}, "a": {"S": f"a{version % 5}"},
        "n": {"N": str(version)}, "x": {"S": "x" * (version % 100)},
    }  # fmt: skip
    return {**item, "b": {"S": f"b{version % 7}"}} if is_in_b(version) else item


def is_in_b(version: int) -> bool:
    return version % 3 > 0


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("pk", "sk") if name in item}


def number_of(item: dict[str, Any]) -> int:
    return int(item.get("sk", item["pk"])["S"][1:])


def put(client: Client, number: int, version: int, item_of: ItemOf = item_of) -> None:
    client.call("PutItem", {"TableName": "Things", "Item": item_of(number, version)})


def scanned(client: Client, **more: Any) -> dict[int, int]:
    """number -> version, page by page; each item once."""
    found: dict[int, int] = {}
    start: dict[str, Any] = {}
    while True:
        page = client.call("Scan", {"TableName": "Things", **more, **start})
        for item in page["Items"]:
            number = number_of(item)
            assert number not in found, "an item was seen twice"
            found[number] = int(item["n"]["N"])
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def assert_local_indexes(client: Client, there: dict[int, int]) -> None:
    """They have what the items `there`, number -> version, give them."""
    in_b = {number: version for number, version in there.items() if is_in_b(version)}
    assert scanned(client, IndexName="by-a", ConsistentRead=True) == there
    assert scanned(client, IndexName="by-b", ConsistentRead=True) == in_b


def counted(client: Client) -> dict[str, tuple[int, int]]:
    """What DescribeTable says: (items, bytes) of the table and of its local indexes."""
    table = client.call("DescribeTable", {"TableName": "Things"})["Table"]
    found = {each["IndexName"]: (each["ItemCount"], each["IndexSizeBytes"]) for each in table["LocalSecondaryIndexes"]}
    return {"Things": (table["ItemCount"], table["TableSizeBytes"]), **found}


def counts_of(there: dict[int, int]) -> dict[str, tuple[int, int]]:
    """What it should say."""
    items = [local_item_of(number, version) for number, version in there.items()]
    in_b = [{name: item[name] for name in ("pk", "sk", "b", "n")} for item in items if "b" in item]
    rows_of = {"Things": items, "by-a": items, "by-b": in_b}
    return {name: (len(rows), sum(map(item_size, rows))) for name, rows in rows_of.items()}


class Load:
    """Threads that put, delete and read items of their own, and compare.

    `expected`: number -> the version that was acknowledged last, None: deleted; `tried`: that was sent last.
    """

    def __init__(
        self, ports: list[int], numbers: int, *, threads: int = 3, item_of: ItemOf = item_of
    ) -> None:
        self.expected: dict[int, int | None] = {}
        self.tried: dict[int, int | None] = {}
        self.wrong: list[str] = []
        self.done = 0
        self.slowest = 0.0
        self._numbers = numbers
        self._item_of = item_of
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
            put(client, number, version, self._item_of)
            self.expected[number] = version
        else:
            client.call("DeleteItem", {"TableName": "Things", "Key": key_of(self._item_of(number, version))})
            self.expected[number] = None

    def _read(self, client: Client, number: int) -> None:
        got = client.call(
            "GetItem",
            {"TableName": "Things", "Key": key_of(self._item_of(number, 0)), "ConsistentRead": True},
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


class LocalLoad(Load):
    """The same with items of LOCAL_TABLE. Each item collection is one thread's, which compares both indexes with it."""

    def __init__(self, ports: list[int], numbers: int) -> None:
        super().__init__(ports, numbers, threads=3, item_of=local_item_of)
        assert COLLECTIONS % 3 == 0

    def _read(self, client: Client, number: int) -> None:
        super()._read(client, number)
        collection = f"c{number % COLLECTIONS}"
        there = {each: version for each, version in self._of(number).items() if version is not None}
        in_order = {
            "by-a": sorted(there, key=lambda each: (f"a{there[each] % 5}", f"k{each}")),
            "by-b": sorted(
                (each for each in there if is_in_b(there[each])), key=lambda each: (f"b{there[each] % 7}", f"k{each}")
            ),
        }
        for index, expected in in_order.items():
            found = client.call(
                "Query",
                {
                    "TableName": "Things", "IndexName": index, "ConsistentRead": True,
                    "KeyConditionExpression": "pk = :c", "ExpressionAttributeValues": {":c": {"S": collection}},
                },
            )["Items"]  # fmt: skip
            versions = [(number_of(item), int(item["n"]["N"])) for item in found]
            if versions != [(each, there[each]) for each in expected]:
                self.wrong.append(f"{collection} in {index} is {versions}, of {there}")

    def _of(self, number: int) -> dict[int, int | None]:
        """What was acknowledged of the item's collection."""
        numbers = range(number % COLLECTIONS, self._numbers + COLLECTIONS, COLLECTIONS)
        return {each: self.expected[each] for each in numbers if each in self.expected}
