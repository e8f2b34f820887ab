"""Fills a server for a benchmark. Speaks raw HTTP, since boto3 would be the bottleneck.

    bench_simple    key-00000000 …                  a partition key
    bench_range     group-00000000, sk 0 … 9        ten items to a partition key

With the usual filler an item is 1 KB.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

FILLER_BYTES = 950
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, "
    "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
}
_BATCH = 25
_WRITERS = 4


class Client:
    """One keep-alive connection; raises on any answer but 200."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=120)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.call_raw(operation, json.dumps(request).encode()))
        return answer

    def call_raw(self, operation: str, body: bytes) -> bytes:
        self._connection.request("POST", "/", body, {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {answer.status} {content[:300]!r}")
        return content

    def close(self) -> None:
        self._connection.close()


def create_table(client: Client, name: str, *, sort_key: bool = False) -> None:
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


def simple_items(first: int, last: int, filler_bytes: int = FILLER_BYTES) -> Iterator[str]:
    """Items `first` up to but not `last` of bench_simple, as JSON."""
    rest = f'"}},"filler":{{"S":"{"x" * filler_bytes}"}},"n":{{"N":"12"}}}}'
    return (f'{{"pk":{{"S":"key-{number:08d}{rest}' for number in range(first, last))


def range_items(count: int) -> Iterator[str]:
    rest = f'"}},"filler":{{"S":"{"x" * FILLER_BYTES}"}},"n":{{"N":"12"}}}}'
    return (
        f'{{"pk":{{"S":"group-{number // 10:08d}"}},"sk":{{"N":"{number % 10}{rest}' for number in range(count)
    )


def write_all(client: Client, table: str, items: Iterable[str]) -> None:
    for batch in _batches(items):
        puts = ",".join(f'{{"PutRequest":{{"Item":{item}}}}}' for item in batch)
        body = f'{{"RequestItems":{{"{table}":[{puts}]}}}}'.encode()
        answer = client.call_raw("BatchWriteItem", body)
        if b'"PutRequest"' in answer:
            _write_the_rest(client, json.loads(answer)["UnprocessedItems"])


def _write_the_rest(client: Client, requests: Any) -> None:
    while requests:
        requests = client.call("BatchWriteItem", {"RequestItems": requests}).get("UnprocessedItems")


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    source = iter(items)
    while batch := list(islice(source, _BATCH)):
        yield batch


def write_simple(endpoint: str, first: int, last: int, filler_bytes: int = FILLER_BYTES) -> None:
    """The same items again, or new ones, over several connections."""
    share = -(-(last - first) // _WRITERS)

    def write(start: int) -> None:
        client = Client(endpoint)
        write_all(client, "bench_simple", simple_items(start, min(start + share, last), filler_bytes))
        client.close()

    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(write, range(first, last, share)))


def fill(endpoint: str, items: int) -> None:
    """Both tables, with `items` items each."""
    client = Client(endpoint)
    create_table(client, "bench_simple")
    create_table(client, "bench_range", sort_key=True)
    write_simple(endpoint, 0, items)
    write_all(client, "bench_range", range_items(items))
    client.close()
