"""Processes that are killed for good, emptied, and brought back: what the cluster does by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.local_cluster import LocalCluster, Writers, all_keys

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("etcd_program")]


@pytest.fixture(scope="module")
def cluster(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Five nodes, and little patience. Nothing moves but for a reason."""
    folder = tmp_path_factory.mktemp("cluster") / "data"
    words = ["--nodes", "5", "--suspect-seconds", "2", "--replace-seconds", "6", "--no-balance"]
    with LocalCluster(folder, *words) as running:
        running.make_table("music")
        yield running


def command(cluster: LocalCluster, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "varley", "cluster", *words, "--data-dir", str(cluster.folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def group_of(cluster: LocalCluster, table: str) -> dict[str, Any]:
    (group,) = cluster.groups_of(table)
    return group


def nodes_of(group: dict[str, Any]) -> set[str]:
    return {name.partition("#")[0] for name in group["members"]}


def is_whole(cluster: LocalCluster, *, without: str = "", table: str = "music") -> bool:
    group = group_of(cluster, table)
    voters = list(group["members"].values()) == ["voter"] * 3
    return group["leader"] is not None and voters and without not in nodes_of(group)


def test_a_node_that_is_killed_for_good_is_replaced_and_nothing_is_lost(cluster: LocalCluster, tmp_path: Path) -> None:
    killed = cluster.leader_of("music")
    others = [name for name in cluster.nodes if name != killed]
    writers = Writers(cluster, "music", others)
    try:
        writers.wait_for_some()
        cluster.kill(killed)
        writers.wait_for_some()
        cluster.wait_for(lambda: is_whole(cluster, without=killed))
        writers.wait_for_some()
    finally:
        writers.end()
    acknowledged = {key for _, key in writers.acknowledged}
    for name in others:
        assert acknowledged <= all_keys(cluster.client(name), "music")
    # It comes back, ends what it still had, and may be given something again.
    cluster.start(killed)
    cluster.wait_for(lambda: is_whole(cluster))
    cluster.client(killed).put_item(TableName="music", Item={"k": {"S": "back"}})


def test_a_node_is_emptied_and_refilled(cluster: LocalCluster) -> None:
    cluster.wait_for(lambda: is_whole(cluster))
    node = cluster.leader_of("music")
    done = command(cluster, "drain", node, "--wait")
    assert done.returncode == 0 and "may stop" in done.stdout, done.stderr
    assert is_whole(cluster, without=node)
    assert node not in {each for group in cluster.admin(node, "/cluster")["groups"] for each in nodes_of(group)}
    again = command(cluster, "drain", node)
    assert again.returncode == 1 and "being emptied already" in again.stderr
    shown = command(cluster, "repairs")
    assert shown.returncode == 0 and "empty: it may stop" in shown.stdout, shown.stderr
    cluster.make_table("while-it-is-empty")
    assert node not in nodes_of(group_of(cluster, "while-it-is-empty"))
    assert command(cluster, "drain", node, "--cancel").returncode == 0
    assert command(cluster, "drain", "nobody").returncode == 1


def test_a_replica_is_moved(cluster: LocalCluster) -> None:
    cluster.wait_for(lambda: is_whole(cluster))
    group = group_of(cluster, "music")
    source = sorted(nodes_of(group))[0]
    target = sorted(set(cluster.nodes) - nodes_of(group))[0]
    refused = command(cluster, "move", "--group", str(group["group"]), "--from", target, "--to", source)
    assert refused.returncode == 1 and "has no replica" in refused.stderr
    done = command(cluster, "move", "--group", str(group["group"]), "--from", source, "--to", target)
    assert done.returncode == 0, done.stderr
    cluster.wait_for(lambda: is_whole(cluster, without=source) and target in nodes_of(group_of(cluster, "music")))
    assert all_keys(cluster.client(source), "music") >= {"back"}
