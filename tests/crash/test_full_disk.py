"""A disk that is full: writes are refused and say why, reads go on, nothing acknowledged is lost, and with space again
everything works again. The disk is a real one, of 8 MB, under a real server.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.server_process import Refused, ServerProcess
from tests.crash.small_disk import Filling, small_disk
from varley.cli import main
from varley.storage.check import check

SECONDS_MAX = 20    # to notice that there is space again
TABLE: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


class Disk:
    """The small disk, the server on it, and what the server has acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.filling = Filling(folder)
        self.server = ServerProcess(
            folder / "data", "--segment-bytes", "65536", "--checkpoint-overlay-bytes", "300000",
            "--checkpoint-log-bytes", "600000", "--initial-partitions", "2", log=folder.parent / "server.log",
        )  # fmt: skip
        self.acknowledged: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.written = 0
        self.server.start()
        self.client = self.server.client()
        self.client.call("CreateTable", {"TableName": "things", **TABLE})

    def put(self) -> Refused | None:
        """One new item of 1 KB."""
        self.written += 1
        key = f"key-{self.written}"
        self.unknown[key] = self.written
        try:
            self.client.call("PutItem", {"TableName": "things", "Item": item(key, self.written)})
        except Refused as refusal:
            return refusal
        self.acknowledged[key] = self.unknown.pop(key)
        return None

    def put_until_refused(self) -> Refused:
        for _ in range(20_000):
            refusal = self.put()
            if refusal is not None:
                return refusal
        raise AssertionError("the disk does not get full")

    def put_until_accepted(self) -> None:
        """With space again, writes work again: in the time that a checkpoint is tried again, at the latest."""
        deadline = time.monotonic() + SECONDS_MAX
        while (refusal := self.put()) is not None:
            assert time.monotonic() < deadline, refusal

    def judge(self) -> None:
        """All that was acknowledged is there, and nothing that was never sent."""
        found: dict[str, int] = {}
        start: dict[str, Any] = {}
        while True:
            page = self.client.call("Scan", {"TableName": "things", "ConsistentRead": True, **start})
            for each in page["Items"]:
                number = int(each["n"]["N"])
                assert each == item(each["pk"]["S"], number)
                found[each["pk"]["S"]] = number
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        lost = self.acknowledged.keys() - found.keys()
        assert not lost, f"{len(lost)} acknowledged items are lost: {sorted(lost)[:5]}"
        assert found.items() <= {**self.acknowledged, **self.unknown}.items()
        for key in list(self.acknowledged)[:3]:
            answer = self.client.call("GetItem", {"TableName": "things", "Key": {"pk": {"S": key}}})
            assert answer["Item"] == item(key, self.acknowledged[key])

    def restart(self) -> None:
        self.server.kill()
        self.server.start()
        self.client = self.server.client()


def item(key: str, number: int) -> dict[str, Any]:
    return {"pk": {"S": key}, "n": {"N": str(number)}, "filler": {"S": f"{number:08}" * 128}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as folder:
        disk = Disk(folder)
        yield disk
        disk.client.close()
        if disk.server.is_running:
            disk.server.kill()


def is_about_space(refusal: Refused) -> bool:
    problem = refusal.answer["message"].lower()
    return refusal.status == 500 and "InternalServerError" in refusal.answer["__type"] and "space" in problem


@pytest.mark.slow
def test_a_full_disk_refuses_writes_and_loses_nothing(disk: Disk) -> None:
    assert is_about_space(disk.put_until_refused())
    disk.filling.take()
    for _ in range(20):
        refusal = disk.put()
        assert refusal is None or is_about_space(refusal)
    disk.judge()
    disk.filling.give_back()
    assert disk.client.call("ListTables", {}) == {"TableNames": ["things"]}
    print(f"{len(disk.acknowledged)} items on a disk of 8 MB, {len(disk.unknown)} refused")


@pytest.mark.slow
def test_writes_work_again_when_there_is_space(disk: Disk) -> None:
    for left in (3_000_000, 1_000_000, 200_000):
        disk.filling.take(leave=left)
        disk.put_until_refused()
        disk.judge()
        disk.filling.give_back()
        disk.put_until_accepted()
        for _ in range(200):
            assert disk.put() is None
    disk.judge()
    assert disk.server.stop() == 0
    assert check(str(disk.server.data_dir)) == []
    disk.server.start()
    disk.client = disk.server.client()
    disk.judge()


@pytest.mark.slow
def test_a_server_that_is_killed_on_a_full_disk_starts_on_it_and_reads_everything(disk: Disk) -> None:
    for _ in range(200):
        assert disk.put() is None
    disk.filling.take()
    disk.put_until_refused()
    disk.restart()
    disk.judge()
    refusal = disk.put_until_refused()
    assert is_about_space(refusal)
    disk.restart()
    disk.filling.give_back()
    disk.put_until_accepted()
    disk.judge()


@pytest.mark.slow
def test_the_first_checkpoint_of_a_tree_does_not_fit(disk: Disk) -> None:
    """LMDB would make its files in memory maps, and the process would end with SIGBUS."""
    for _ in range(200):
        assert disk.put() is None    # less than a checkpoint is made for
    for leave in (0, 4096, 8192, 20_480, 40_960):
        disk.filling.take(leave=leave)
        assert disk.server.stop() == 0, "what cannot be checkpointed stays in the log"
        disk.server.start()
        disk.client = disk.server.client()
        disk.judge()
        disk.filling.give_back()
    assert disk.server.stop() == 0
    assert check(str(disk.server.data_dir)) == []


@pytest.mark.slow
def test_tables_on_a_full_disk(disk: Disk) -> None:
    """They are made or they are not; who is refused hears why, and an old one can be deleted, which makes space."""
    disk.filling.take(leave=2_000_000)
    disk.put_until_refused()
    disk.filling.take()
    names = {"things"}
    refusals = []
    for number in range(50):
        name = f"table-{number}"
        try:
            disk.client.call("CreateTable", {"TableName": name, **TABLE})
            names.add(name)
        except Refused as refusal:
            refusals.append(refusal)
    assert refusals
    assert all(map(is_about_space, refusals))
    assert set(disk.client.call("ListTables", {})["TableNames"]) == names
    disk.restart()
    assert set(disk.client.call("ListTables", {})["TableNames"]) == names
    disk.judge()
    disk.filling.give_back()
    disk.client.call("CreateTable", {"TableName": "another", **TABLE})
    disk.client.call("DeleteTable", {"TableName": "things"})
    disk.client.call("CreateTable", {"TableName": "things", **TABLE})
    disk.acknowledged.clear()
    disk.unknown.clear()
    disk.put_until_accepted()
    disk.judge()


@pytest.mark.slow
def test_a_table_whose_checkpoint_does_not_fit_can_be_deleted(disk: Disk) -> None:
    disk.put_until_refused()
    disk.filling.take()
    try:
        disk.client.call("DeleteTable", {"TableName": "things"})
        assert disk.client.call("ListTables", {}) == {"TableNames": []}
    except Refused as refusal:
        if not is_about_space(refusal):    # metadata needs a page, too
            raise


@pytest.mark.slow
def test_a_global_index_gets_all_changes_in_order_when_there_is_space(
    disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an index could not take waits, also over kill -9, and nothing is passed over."""
    names = ("pk", "g")
    index = {
        "IndexName": "by-g",
        "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in names]
    indexed = {**TABLE, "TableName": "indexed", "AttributeDefinitions": definitions, "GlobalSecondaryIndexes": [index]}
    disk.client.call("CreateTable", indexed)
    acknowledged: dict[str, int] = {}
    written = 0

    def put() -> Refused | None:
        nonlocal written
        written += 1
        key = f"key-{written % 400}"
        new = {**item(key, written), "g": {"S": f"g{written % 3}"}}
        try:
            disk.client.call("PutItem", {"TableName": "indexed", "Item": new})
        except Refused as refusal:
            return refusal
        acknowledged[key] = written
        return None

    def everything(**parameters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        request = {"TableName": "indexed", **parameters}
        while True:
            page = disk.client.call("Scan", request)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return sorted(found, key=lambda each: (each["pk"]["S"], int(each["n"]["N"])))
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def judge() -> None:
        items = everything(ConsistentRead=True)
        numbers = {each["pk"]["S"]: int(each["n"]["N"]) for each in items}
        assert len(numbers) == len(items), "twice in the table"
        for key, number in acknowledged.items():
            assert numbers[key] >= number
        # On the way an item may be there under its old key and its new one: each partition of the index tries again in
        # its own time.
        deadline = time.monotonic() + SECONDS_MAX
        while (rows := everything(IndexName="by-g")) != items:
            wrong = [each for each in rows if each not in items]
            missing = [each for each in items if each not in rows]
            about = f"after {written} puts: {len(rows)} rows, {len(items)} items; {wrong[:3]}, {missing[:3]}"
            assert time.monotonic() < deadline, f"the index does not become what its table is, {about}"

    for is_killed in (False, True):
        disk.filling.take(leave=1_000_000)
        for _ in range(20_000):
            if put() is not None:
                break
        disk.filling.take()
        for _ in range(20):
            put()
        if is_killed:
            disk.restart()
        disk.filling.give_back()
        deadline = time.monotonic() + SECONDS_MAX
        while (refusal := put()) is not None:
            assert time.monotonic() < deadline, refusal
        judge()
    assert disk.server.stop() == 0
    main(["check", "--data-dir", str(disk.server.data_dir), "--json"])
    assert json.loads(capsys.readouterr().out)["findings"] == []
