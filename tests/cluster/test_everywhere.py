"""What is told one node and done by all: the clock, shards, a fresh start; and bulk puts, which outlive their node."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.local_cluster import LocalCluster, all_keys

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("etcd_program")]

HOUR = 3600


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3") / "music"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def cluster(etcd_program: None, tmp_path_factory: pytest.TempPathFactory, bucket: Path) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("cluster") / "data"
    with LocalCluster(folder, "--nodes", "3", "--s3-dir", str(bucket.parent)) as running:
        yield running


def offsets(cluster: LocalCluster) -> list[float]:
    return [round(cluster.admin(name, "/clock")["offset_seconds"], 3) for name in cluster.nodes]


def test_a_clock_that_is_moved_is_moved_on_all_nodes_and_on_those_that_come_later(cluster: LocalCluster) -> None:
    cluster.make_table("expiring")
    cluster.client("n1").update_time_to_live(
        TableName="expiring", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
    )
    until = {"N": str(int(time.time()) + HOUR)}
    for number in range(10):
        cluster.client("n2").put_item(TableName="expiring", Item={"k": {"S": str(number)}, "until": until})
    shown = cluster.admin("n3", "/clock", {"advance_seconds": 2 * HOUR})
    assert shown["offset_seconds"] == 2 * HOUR
    assert offsets(cluster) == [2 * HOUR] * 3
    cluster.wait_for(lambda: not all_keys(cluster.client("n1"), "expiring"))

    cluster.kill("n2")
    cluster.start("n2")
    cluster.wait_for(lambda: offsets(cluster) == [2 * HOUR] * 3)
    cluster.client("n2").put_item(TableName="expiring", Item={"k": {"S": "late"}, "until": until})
    cluster.wait_for(lambda: not all_keys(cluster.client("n2"), "expiring"))


def test_a_clock_is_moved_on_all_nodes_or_on_none(cluster: LocalCluster) -> None:
    before = offsets(cluster)
    cluster.admin("n1", "/links", {"cut": "n3"})
    try:
        cluster.wait_for(lambda: not cluster.admin("n1", "/links")["n3"]["up"])
        with pytest.raises(urllib.error.HTTPError, match="409"):
            cluster.admin("n1", "/clock", {"advance_seconds": HOUR})
    finally:
        cluster.admin("n1", "/links", {"mend": "n3"})
    assert offsets(cluster) == before
    cluster.wait_for(lambda: cluster.admin("n1", "/links")["n3"]["up"])


def test_shards_end_wherever_they_are(cluster: LocalCluster) -> None:
    cluster.make_table("streamed", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    leader = cluster.leader_of("streamed")
    other = next(name for name in cluster.nodes if name != leader)
    assert cluster.admin(other, "/shards", {"table": "streamed"}) == {"ending": 1}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        cluster.admin(other, "/shards", {"table": "nothing"})


def _start(client: Any, items: int) -> str:
    arn: str = client.start_bulk_put_items(
        TableName="bulky",
        InputS3Configuration={"S3Bucket": "music", "S3KeyPrefix": "in", "InputFormat": "DYNAMODB_JSON"},
        OutputS3Configuration={"S3Bucket": "music", "S3KeyPrefix": "out", "OutputType": ["ERROR"]},
        MaxWriteRequestUnits=1024,
    )["BulkOperationDescription"]["BulkOperationArn"]
    return arn


def test_a_bulk_put_goes_on_when_its_node_is_killed(cluster: LocalCluster, bucket: Path) -> None:
    cluster.make_table("bulky")
    items = 6000
    (bucket / "in").mkdir()
    lines = (json.dumps({"Item": {"k": {"S": str(number)}}}) for number in range(items))
    (bucket / "in" / "songs.json").write_text("\n".join(lines))
    arn = _start(cluster.client("n1"), items)

    def described(node: str) -> dict[str, Any]:
        shown: dict[str, Any] = cluster.client(node).describe_bulk_operation(BulkOperationArn=arn)
        return shown["BulkOperationDescription"]

    assert described("n3")["BulkOperationStatus"] == "IN_PROGRESS", "all nodes know of it at once"
    cluster.wait_for(lambda: described("n2")["ProcessedItemCount"] > 0)
    cluster.kill("n1")
    assert described("n2")["ProcessedItemCount"] < items
    cluster.wait_for(lambda: described("n2")["BulkOperationStatus"] == "COMPLETED")
    assert described("n3")["ProcessedItemCount"] == items
    assert all_keys(cluster.client("n3"), "bulky") == {str(number) for number in range(items)}
    cluster.start("n1")


def test_a_fresh_start(cluster: LocalCluster) -> None:
    cluster.make_table("dropped")
    for number in range(20):
        cluster.client("n1").put_item(TableName="dropped", Item={"k": {"S": str(number)}})
    assert cluster.admin("n2", "/reset", {}) == {}
    for name in cluster.nodes:
        assert cluster.client(name).list_tables()["TableNames"] == []
    cluster.make_table("dropped", node="n3")
    assert all_keys(cluster.client("n1"), "dropped") == set()
