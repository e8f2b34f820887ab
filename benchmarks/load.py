"""Fills a server for a benchmark: two tables, 1 KB items. Speaks raw HTTP, since boto3 would be the bottleneck."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

FILLER = "x" * 950
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, "
    "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
}


class Client:
    """One keep-alive connection; `call` raises on any answer but 200."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=120)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self._connection.request(
            "POST", "/", json.dumps(request), {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        )
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {answer.status} {body[:300]!r}")
        return json.loads(body)


def create_table(client: Client, name: str, sort_key: bool) -> None:
    keys = [("pk", "S", "HASH")] + ([("sk", "N", "RANGE")] if sort_key else [])
    client.call(
        "CreateTable",
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": n, "KeyType": role} for n, _, role in keys],
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": kind} for n, kind, _ in keys],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    while client.call("DescribeTable", {"TableName": name})["Table"]["TableStatus"] != "ACTIVE":
        pass


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def write_all(client: Client, table: str, items: Iterable[dict[str, Any]]) -> None:
    for batch in batches(items, 25):
        requests: Any = {table: [{"PutRequest": {"Item": item}} for item in batch]}
        while requests:
            requests = client.call("BatchWriteItem", {"RequestItems": requests}).get("UnprocessedItems")


def simple_items(first: int, last: int) -> Iterator[dict[str, Any]]:
    return ({"pk": {"S": f"key-{i}"}, "filler": {"S": FILLER}, "n": {"N": "12"}} for i in range(first, last))


def range_items(count: int) -> Iterator[dict[str, Any]]:
    return (
        {"pk": {"S": f"group-{i // 10}"}, "sk": {"N": str(i % 10)}, "filler": {"S": FILLER}, "n": {"N": "12"}}
        for i in range(count)
    )


def fill(endpoint: str, items: int) -> None:
    client = Client(endpoint)
    create_table(client, "bench_simple", sort_key=False)
    create_table(client, "bench_range", sort_key=True)
    write_all(client, "bench_simple", simple_items(0, items))
    write_all(client, "bench_range", range_items(items))
