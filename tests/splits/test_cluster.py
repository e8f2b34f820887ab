"""Partitions of a cluster are split while clients of all its nodes use them. Under trouble: tests/campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.aws.streams import all_records, shards_of
from tests.cluster.local_cluster import LocalCluster
from tests.crash.server_process import Client
from tests.splits.split_server import (
    LOCAL_TABLE,
    TABLE,
    Admin,
    Load,
    LocalLoad,
    assert_local_indexes,
    counted,
    counts_of,
    put,
    scanned,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("etcd_program")]


def streams_of(cluster: LocalCluster, node: str) -> Any:
    return boto3.client(
        "dynamodbstreams", endpoint_url=cluster.nodes[node]["endpoint"], region_name="us-east-1",
        aws_access_key_id="any", aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 4}),
    )  # fmt: skip


def test_partitions_of_a_table_and_its_index_are_split_under_load(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster", "--nodes", "3", "--split-keep-seconds", "1") as cluster:
        ports = [int(node["endpoint"].rpartition(":")[2]) for node in cluster.nodes.values()]
        admins = [Admin(node["admin_port"]) for node in cluster.nodes.values()]
        clients = [Client(port) for port in ports]
        clients[0].call("CreateTable", TABLE)
        arn = clients[0].call("DescribeTable", {"TableName": "Things"})["Table"]["LatestStreamArn"]
        first, second = 9990, 9991
        put(clients[0], first, 1)
        put(clients[0], second, 1)
        with Load(ports, 200) as load:
            load.wait_for_some()
            told = [admins[1].order(), admins[2].order(index="by-g")]
            assert [each["refused"] for each in told] == [None, None]
            until(lambda: not any(admin.under_way() for admin in admins))
            load.wait_for_some()
        assert load.wrong == []
        put(clients[1], first, 2)
        put(clients[2], second, 2)
        there = load.there | {first: 2, second: 2}
        for client in clients:
            assert scanned(client, ConsistentRead=True) == there
            until(lambda client=client: scanned(client) == there)    # type: ignore[misc]
            until(lambda client=client: scanned(client, IndexName="by-g") == there)    # type: ignore[misc]
        groups = cluster.groups_of("Things")
        assert sorted(each["index"] or "" for each in groups) == ["", "", "by-g", "by-g"]
        streams = streams_of(cluster, "n3")
        shards = shards_of(streams, arn)
        assert [each.get("ParentShardId") for each in shards] == [None, shards[0]["ShardId"], shards[0]["ShardId"]]
        versions = [
            (record["dynamodb"]["Keys"]["pk"]["S"], record["dynamodb"]["NewImage"]["n"]["N"])
            for record in all_records(streams, arn)
            if record["dynamodb"]["Keys"]["pk"]["S"] in ("k9990", "k9991")
        ]
        assert [number for key, number in versions if key == "k9990"] == ["1", "2"]
        assert [number for key, number in versions if key == "k9991"] == ["1", "2"]
        for client in clients:
            client.close()


def test_local_indexes_have_what_the_items_give_them_before_during_and_after(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster", "--nodes", "3", "--split-keep-seconds", "1") as cluster:
        ports = [int(node["endpoint"].rpartition(":")[2]) for node in cluster.nodes.values()]
        admins = [Admin(node["admin_port"]) for node in cluster.nodes.values()]
        clients = [Client(port) for port in ports]
        clients[0].call("CreateTable", LOCAL_TABLE)
        with LocalLoad(ports, 200) as load:
            load.wait_for_some()
            for admin in admins[:2]:
                assert admin.order()["refused"] is None
                until(lambda: not any(each.under_way() for each in admins))
            load.wait_for_some()
        assert load.wrong == []
        assert len(cluster.groups_of("Things")) == 3
        for client in clients:
            assert scanned(client, ConsistentRead=True) == load.there
            assert_local_indexes(client, load.there)
            until(lambda client=client: counted(client) == counts_of(load.there))    # type: ignore[misc]
            client.close()
