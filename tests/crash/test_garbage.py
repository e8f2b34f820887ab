"""Garbage at a running server, between good requests: every good one is answered right, nothing bad is written, memory
does not grow, and the log has no traceback.

    GARBAGE_SECONDS=60 pytest tests/crash/test_garbage.py -s        longer; TEST_SEED=7 for a certain run
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from tests.crash.server_process import HEADERS, ServerProcess, resident_bytes
from tests.crash.test_full_disk import TABLE, item

SECONDS = float(os.environ.get("GARBAGE_SECONDS", "4"))
SEED = int(os.environ.get("TEST_SEED", "0")) or SystemRandom().randrange(2**32)
GROWTH_BYTES_MAX = 48 * 1024 * 1024    # caches fill, and arenas are not given back; a leak of each request is more
ITEMS = 50
OPERATIONS = (
    "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem",
    "CreateTable", "DeleteTable", "DescribeTable", "ListTables", "UpdateTable", "TagResource",
)  # fmt: skip
BITS = (
    "#a", ":v", "a", "(", ")", "=", "<>", "<", "AND", "OR", "NOT", "BETWEEN", "IN", ",", ".", "[0]", "[", "]", "SET",
    "REMOVE", "ADD", "DELETE", "+", "-", "if_not_exists", "list_append", "size", "contains", "begins_with",
    "attribute_exists", "#", ":", '"', "\\", "\0", "\u00fc", "\U0001f600", " ", "123", "a" * 300,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, [[]], {"S": 1}, {"S": "x", "N": "1"}, {"N": "1e999"}, {"N": "x"},
    {"B": "not base64!"}, {"SS": []}, {"SS": ["a", "a"]}, {"NULL": False}, {"M": {"a": {"L": [{"X": 1}]}}}, {"L": 3},
)  # fmt: skip


class Garbage:
    """Bytes that are nearly requests. None of them may write: where one is whole, its table does not exist."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def request(self) -> bytes:
        choice = self.random.random()
        if choice < 0.1:
            return self.random.randbytes(self.random.randrange(1, 3000))
        whole = http(self.random.choice(OPERATIONS), self._body())
        if choice < 0.25:
            return whole[: self.random.randrange(len(whole))]
        if choice < 0.4:
            return self._flipped(whole)
        if choice < 0.5:
            return whole.replace(b"Content-Length", self.random.choice((b"Content-Lengt", b"Transfer-Encoding", b"X")))
        return whole

    def _flipped(self, whole: bytes) -> bytes:
        changed = bytearray(whole)
        for _ in range(self.random.randrange(1, 6)):
            changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        return bytes(changed)

    def _body(self) -> bytes:
        choice = self.random.random()
        if choice < 0.1:
            return self.random.randbytes(self.random.randrange(400))
        if choice < 0.2:
            return b"[" * self.random.randrange(1, 5000)
        body = json.dumps(self._members()).encode()
        return body[: self.random.randrange(len(body) + 1)] if choice < 0.35 else body

    def _members(self) -> dict[str, Any]:
        names = ("Item", "Key", "ExpressionAttributeNames", "ExpressionAttributeValues", "Limit", "Select", "Tags",
                 "Expected", "RequestItems", "ConsistentRead", "ExclusiveStartKey", "KeySchema")  # fmt: skip
        members: dict[str, Any] = {"TableName": self.random.choice(("nothing", "no", "", "a b", 1, None, "x" * 300))}
        for name in self.random.sample(names, self.random.randrange(5)):
            members[name] = self._value(0)
        for name in ("ConditionExpression", "UpdateExpression", "KeyConditionExpression", "FilterExpression",
                     "ProjectionExpression"):  # fmt: skip
            if self.random.random() < 0.3:
                members[name] = self._expression()
        return members

    def _value(self, depth: int) -> Any:
        if depth < 3 and self.random.random() < 0.5:
            names = [self.random.choice(("pk", "#a", ":v", "nothing", "")) for _ in range(self.random.randrange(4))]
            return {name: self._value(depth + 1) for name in names}
        return self.random.choice(VALUES)

    def _expression(self) -> str:
        if self.random.random() < 0.05:
            return "(" * self.random.randrange(1, 4000)
        return " ".join(self.random.choice(BITS) for _ in range(self.random.randrange(1, 30)))


def http(operation: str, body: bytes) -> bytes:
    lines = [f"{name}: {value}" for name, value in HEADERS.items()]
    head = "\r\n".join(
        ["POST / HTTP/1.1", "Host: x", f"X-Amz-Target: DynamoDB_20120810.{operation}", *lines,
         f"Content-Length: {len(body)}", "", ""]
    )  # fmt: skip
    return head.encode() + body


def throw(port: int, garbage: bytes) -> None:
    """Send it, say that no more comes, and read whatever is answered until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        try:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass    # the server had heard enough


@pytest.mark.slow
def test_good_requests_are_answered_right_whatever_comes_between_them(tmp_path: Path) -> None:
    print(f"TEST_SEED={SEED} GARBAGE_SECONDS={SECONDS:g}")
    random = Random(SEED)
    garbage = Garbage(random)
    server = ServerProcess(tmp_path / "data")
    server.start()
    client = server.client()
    client.call("CreateTable", {"TableName": "things", **TABLE})
    items: dict[str, Any] = {}
    thrown = answered = 0
    settled = 0
    start = time.monotonic()
    while time.monotonic() < start + SECONDS:
        for _ in range(20):
            throw(server.port, garbage.request())
            thrown += 1
        number = random.randrange(ITEMS)
        key = f"key-{number}"
        if random.random() < 0.5:
            items[key] = item(key, random.randrange(1000))
            client.call("PutItem", {"TableName": "things", "Item": items[key]})
        read = client.call("GetItem", {"TableName": "things", "Key": {"pk": {"S": key}}, "ConsistentRead": True})
        assert read.get("Item") == items.get(key)
        answered += 1
        if not settled and time.monotonic() > start + SECONDS / 3:
            settled = resident_bytes(server.pid)
    growth = resident_bytes(server.pid) - settled
    assert client.call("ListTables", {}) == {"TableNames": ["things"]}
    scanned = client.call("Scan", {"TableName": "things"})["Items"]
    assert {each["pk"]["S"]: each for each in scanned} == items
    client.close()
    assert server.stop() == 0
    said = server.log.read_text()
    assert "Traceback" not in said, said
    assert growth < GROWTH_BYTES_MAX
    assert answered > SECONDS
    print(f"{thrown} pieces of garbage, {answered} good requests, memory grew by {growth / 1e6:.1f} MB")
