"""A data folder that cannot be written, such as a snapshot that was mounted to look into it: reads are answered, writes
are refused and say why, and nothing in the folder changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.crash.server_process import Client, NotStarted, Refused, ServerProcess
from tests.crash.small_disk import read_only
from tests.crash.test_full_disk import TABLE, item

ITEMS = 600


def written_folder(path: Path, *, is_killed: bool) -> dict[str, Any]:
    """Items, some of them in trees; if the server was killed, some of them only in the log."""
    server = ServerProcess(path, "--checkpoint-overlay-bytes", "100000", "--initial-partitions", "3")
    server.start()
    client = server.client()
    client.call("CreateTable", {"TableName": "things", **TABLE})
    items = {f"key-{number}": item(f"key-{number}", number) for number in range(ITEMS)}
    for each in items.values():
        client.call("PutItem", {"TableName": "things", "Item": each})
    client.close()
    if is_killed:
        server.kill()
    else:
        assert server.stop() == 0
    return items


def contents(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }


def reads(client: Client, items: dict[str, Any]) -> None:
    for key in list(items)[::37]:
        answer = client.call("GetItem", {"TableName": "things", "Key": {"pk": {"S": key}}, "ConsistentRead": True})
        assert answer["Item"] == items[key]
    assert client.call("Scan", {"TableName": "things", "Select": "COUNT"})["Count"] == ITEMS
    assert client.call("ListTables", {}) == {"TableNames": ["things"]}
    assert client.call("DescribeTable", {"TableName": "things"})["Table"]["TableStatus"] == "ACTIVE"


def refused(client: Client, operation: str, request: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        client.call(operation, request)
    assert caught.value.status == 500
    assert "InternalServerError" in caught.value.answer["__type"]
    assert "read-only" in caught.value.answer["message"]


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_read_only_folder_is_served_and_not_changed(tmp_path: Path, is_killed: bool) -> None:
    folder = tmp_path / "data"
    items = written_folder(folder, is_killed=is_killed)
    before = contents(folder)
    with read_only(folder):
        # So small that what was replayed would be checkpointed at once.
        server = ServerProcess(folder, "--checkpoint-overlay-bytes", "4096", "--checkpoint-log-bytes", "4096")
        server.start()
        client = server.client()
        for _ in range(2):    # nothing is left of a refused write
            reads(client, items)
            refused(client, "PutItem", {"TableName": "things", "Item": item("new", 1)})
            refused(client, "PutItem", {"TableName": "things", "Item": item("key-0", 99)})
            refused(client, "DeleteItem", {"TableName": "things", "Key": {"pk": {"S": "key-0"}}})
            refused(client, "BatchWriteItem", {"RequestItems": {"things": [{"PutRequest": {"Item": item("b", 1)}}]}})
            refused(client, "CreateTable", {"TableName": "another", **TABLE})
            refused(client, "DeleteTable", {"TableName": "things"})
        second = ServerProcess(folder)    # readers do not exclude each other
        second.start()
        assert second.stop() == 0
        client.close()
        assert server.stop() == 0
        assert contents(folder) == before
    server = ServerProcess(folder)
    server.start()
    client = server.client()
    reads(client, items)
    client.call("PutItem", {"TableName": "things", "Item": item("new", 1)})
    client.close()
    assert server.stop() == 0


@pytest.mark.slow
def test_a_read_only_folder_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with read_only(folder), pytest.raises(NotStarted) as caught:
        ServerProcess(folder).start()
    assert "nothing can be written here" in caught.value.log
    assert "Traceback" not in caught.value.log
    assert os.listdir(folder) == []
