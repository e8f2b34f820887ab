"""Partitions of a server that is alone are split, as its clients and its operator see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import varley
from tests.aws.streams import all_records, shards_of
from tests.crash.server_process import Client, Refused
from tests.splits.split_server import (
    LOCAL_TABLE,
    TABLE,
    Admin,
    Load,
    LocalLoad,
    assert_local_indexes,
    counted,
    counts_of,
    item_of,
    key_of,
    local_item_of,
    put,
    scanned,
    until,
)
from varley.cli.check import examine
from varley.item.key_bytes import row_key

pytestmark = pytest.mark.slow


def server(folder: Path | None = None, **more: Any) -> varley.Server:
    data = {} if folder is None else {"data_dir": str(folder)}
    return varley.Server(admin_port=0, split_keep_seconds=0.2, **data, **more)


def hash_of(number: int) -> bytes:
    return row_key("S", f"k{number}")[1:]


def test_no_write_is_lost_and_no_read_is_wrong_while_partitions_are_split(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with server(folder) as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", TABLE)
        with Load([running.port], 300) as load:
            load.wait_for_some()
            groups = [admin.split(), admin.split(index="by-g"), admin.split(), admin.split(index="by-g")]
            load.wait_for_some()
        assert load.wrong == []
        assert len({told["child"] for told in groups}) == 4
        assert scanned(client) == load.there
        assert scanned(client, ConsistentRead=True) == load.there
        until(lambda: scanned(client, IndexName="by-g") == load.there)
        counted = client.call("DescribeTable", {"TableName": "Things"})["Table"]
        assert counted["ItemCount"] == counted["GlobalSecondaryIndexes"][0]["ItemCount"] == len(load.there)
        client.close()
    assert examine(str(folder), lambda path: None) == []
    with server(folder) as running:
        client = Client(running.port)
        assert scanned(client) == scanned(client, IndexName="by-g") == load.there
        client.close()


def test_local_indexes_have_what_the_items_give_them_before_during_and_after(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with server(folder) as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", LOCAL_TABLE)
        admin.split()    # while there are no rows, and no tally
        with LocalLoad([running.port], 300) as load:
            load.wait_for_some()
            for _ in range(3):
                admin.split()
            load.wait_for_some()
        assert load.wrong == []
        assert scanned(client) == load.there
        assert_local_indexes(client, load.there)
        assert counted(client) == counts_of(load.there)
        client.close()
    assert examine(str(folder), lambda path: None) == []
    with server(folder) as running:
        client = Client(running.port)
        assert_local_indexes(client, load.there)
        assert counted(client) == counts_of(load.there)
        for number in load.there:    # each tally comes to nothing
            client.call("DeleteItem", {"TableName": "Things", "Key": key_of(local_item_of(number, 0))})
        assert_local_indexes(client, {})
        assert counted(client) == counts_of({})
        client.close()
    assert examine(str(folder), lambda path: None) == []


def test_the_parents_shard_ends_and_two_follow_on_it() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", TABLE)
        arn = client.call("DescribeTable", {"TableName": "Things"})["Table"]["LatestStreamArn"]
        for number in range(20):
            put(client, number, 1)
        streams = running.client("dynamodbstreams")
        [before] = shards_of(streams, arn)
        told = admin.split()
        for number in range(20):
            put(client, number, 2)
        shards = shards_of(streams, arn)
        assert [each.get("ParentShardId") for each in shards] == [None, before["ShardId"], before["ShardId"]]
        assert shards[0]["ShardId"] == before["ShardId"]
        assert "EndingSequenceNumber" in shards[0]["SequenceNumberRange"]
        assert ["EndingSequenceNumber" in each["SequenceNumberRange"] for each in shards[1:]] == [False, False]
        assert {int(each["ShardId"][-8:], 16) for each in shards[1:]} == {told["parent"], told["child"]}
        seen: dict[str, list[str]] = {}
        for record in all_records(streams, arn):
            seen.setdefault(record["dynamodb"]["Keys"]["pk"]["S"], []).append(record["dynamodb"]["NewImage"]["n"]["N"])
        assert seen == {f"k{number}": ["1", "2"] for number in range(20)}
        client.close()


def test_what_expires_does_so_in_both_halves() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", {key: value for key, value in TABLE.items() if key != "StreamSpecification"})
        client.call(
            "UpdateTimeToLive",
            {"TableName": "Things", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "e"}},
        )
        soon = int(running.clock.time()) + 1000
        for number in range(20):
            client.call(
                "PutItem", {"TableName": "Things", "Item": {**item_of(number, 1), "e": {"N": str(soon + number % 2)}}}
            )
        put(client, 20, 1)
        admin.split()
        running.advance(2000)
        until(lambda: scanned(client) == {20: 1})
        client.close()


def test_transactions_go_on_over_a_split() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", TABLE)
        by_place = sorted(range(10), key=hash_of)
        low, high = by_place[0], by_place[-1]

        def transact(version: int, token: str) -> None:
            puts = [{"Put": {"TableName": "Things", "Item": item_of(number, version)}} for number in (low, high)]
            client.call("TransactWriteItems", {"TransactItems": puts, "ClientRequestToken": token})

        transact(1, "first")
        admin.split(at=hash_of(high).hex())
        transact(1, "first")    # it was done: nothing is done again
        put(client, high, 2)
        transact(1, "first")
        assert scanned(client) == {low: 1, high: 2}
        transact(3, "second")
        gets = [{"Get": {"TableName": "Things", "Key": {"pk": {"S": f"k{number}"}}}} for number in (low, high)]
        found = client.call("TransactGetItems", {"TransactItems": gets})["Responses"]
        assert [each["Item"]["n"]["N"] for each in found] == ["3", "3"]
        client.close()


def test_what_cannot_be_split_is_refused() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        assert "not found" in admin.order("Nothing")["refused"]
        client.call("CreateTable", TABLE)
        assert "does not have the specified index" in admin.order(index="by-h")["refused"]
        assert "is no partition" in admin.order(group=77)["refused"]
        assert "32 hexadecimal digits" in admin.order(at="80")["refused"]
        assert "message" in admin.order(at="not hexadecimal")
        told = admin.split()
        middle = "80" + 30 * "0"
        assert "not inside" in admin.order(group=told["parent"], at=middle)["refused"]
        client.close()


def test_a_table_that_is_being_split_keeps_its_indexes_and_streams() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", TABLE)
        put(client, 1, 1)
        assert admin.order()["refused"] is None
        with pytest.raises(Refused) as refused:
            client.call(
                "UpdateTable", {"TableName": "Things", "StreamSpecification": {"StreamEnabled": False}}
            )
        assert refused.value.answer["__type"].endswith("#ResourceInUseException")
        assert "already" in admin.order()["refused"]
        until(lambda: not admin.under_way())
        client.call("UpdateTable", {"TableName": "Things", "StreamSpecification": {"StreamEnabled": False}})
        client.close()


def test_a_partition_without_items_is_split_in_the_middle_of_its_hashes() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", TABLE)
        assert admin.order()["refused"] is None
        assert until(lambda: [each["at"] for each in admin.under_way() if each["at"]]) == ["80" + 30 * "0"]
        until(lambda: not admin.under_way())
        put(client, 1, 1)
        assert scanned(client) == {1: 1}
        client.close()


def test_a_split_does_not_wait_for_an_index_that_is_held_back() -> None:
    with server(index_delay_seconds=3600.0) as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", TABLE)
        for number in range(20):
            put(client, number, 1)
        admin.split()
        for number in range(20):
            put(client, number, 2)
        assert scanned(client) == dict.fromkeys(range(20), 2)
        assert scanned(client, IndexName="by-g") == {}
        running.advance(3601)
        until(lambda: scanned(client, IndexName="by-g") == dict.fromkeys(range(20), 2))
        client.close()


def test_a_table_that_is_deleted_takes_its_split_with_it() -> None:
    with server() as running:
        client, admin = Client(running.port), Admin(running.admin_port)
        client.call("CreateTable", {key: value for key, value in TABLE.items() if key != "StreamSpecification"})
        put(client, 1, 1)
        assert admin.order()["refused"] is None

        def is_deleted() -> bool:
            try:
                client.call("DeleteTable", {"TableName": "Things"})
            except Refused as refused:
                return not refused.answer["__type"].endswith("#ResourceInUseException")    # else it goes on
            return True

        until(is_deleted)
        until(lambda: not admin.under_way())
        client.call("CreateTable", TABLE)
        assert scanned(client) == {}
        client.close()
