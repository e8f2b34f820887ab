"""`varley check` compares each global index with its table, over the groups of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest
from google_crc32c import value as crc32c

import varley
from tests.crash.check_command import findings
from tests.crash.server_process import Client
from varley.item import stored
from varley.storage.lmdb_engine import META_KEY, decode_meta, encode_meta
from varley.storage.tree_folder import TreeFolder
from varley.table.outgoing import progress_key, progress_value

TABLE: dict[str, Any] = {
    "TableName": "Things",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder whose trees have everything."""
    folder = tmp_path / "data"
    with varley.Server(data_dir=str(folder)) as server:
        client = Client(server.port)
        client.call("CreateTable", TABLE)
        for number in range(30):
            item = {"pk": {"S": f"k{number}"}, "g": {"S": f"g{number % 3}"}, "n": {"N": "1"}, "x": {"S": "x"}}
            client.call("PutItem", {"TableName": "Things", "Item": item})
        client.close()
    return folder


def groups_of(folder: Path) -> tuple[int, int]:
    """The groups of table and index: those that have items, in order."""
    having = []
    for group in TreeFolder(str(folder / "trees")).groups():
        with lmdb.open(TreeFolder(str(folder / "trees")).folder_of(group)) as env, env.begin() as txn:
            if any(key[0] == 0 for key, _ in txn.cursor()):
                having.append(group)
    base, index = having
    return base, index


def change(folder: Path, group: int, change_rows: Callable[[Any, bytes], None]) -> None:
    """Do something to the first item of a group, behind Varley's back, such that its counts are right."""
    with lmdb.open(TreeFolder(str(folder / "trees")).folder_of(group)) as env, env.begin(write=True) as txn:
        change_rows(txn, next(key for key, _ in txn.cursor() if key[0] == 0))
        applied, _ = decode_meta(txn.get(META_KEY), group)
        sizes = [stored.item_size(value) for key, value in txn.cursor() if key[0] == 0]
        applied = applied._replace(item_count=len(sizes), size_bytes=sum(sizes))
        txn.put(META_KEY, encode_meta(group, applied, is_partial=False))


def test_an_index_that_is_its_table_is_sound(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(data, capsys) == []


def test_a_row_that_the_index_lacks_is_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(data, groups_of(data)[1], lambda txn, key: txn.delete(key))
    [problem] = findings(data, capsys)
    assert problem.startswith("the index by-g lacks this row of the item ")


def test_a_row_without_its_item_is_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(data, groups_of(data)[0], lambda txn, key: txn.delete(key))
    assert findings(data, capsys) == ["a row of the index by-g that no item has"]


def test_progress_that_belongs_to_nothing_is_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def leave(txn: Any, item_key: bytes) -> None:
        key = progress_key("00000000-0000-4000-8000-000000000001")
        content = progress_value(item_key, 1)
        txn.put(key, content + crc32c(key + content).to_bytes(4, "little"))

    change(data, groups_of(data)[0], leave)
    assert findings(data, capsys) == ["says how far an index is filled that there is not"]
