"""A cluster of three processes with an etcd, as people start it; what is done to it, and what its clients notice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.local_cluster import LocalCluster, Writers, all_keys, varley
from tests.models.linearizability import Operation, item, judge
from varley.remote import journey

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("etcd_program")]

PAUSE_SECONDS_MAX = 6.0    # the goal is 3 s; machines that run tests are slower than those that serve


@pytest.fixture(scope="module")
def cluster(etcd_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One for all tests, which leave it whole."""
    with LocalCluster(tmp_path_factory.mktemp("cluster") / "data", "--nodes", "3") as running:
        yield running


def test_each_node_serves_all_that_others_have_made(cluster: LocalCluster) -> None:
    clients = {name: cluster.client(name) for name in cluster.nodes}
    for maker, client in clients.items():
        table = f"made-by-{maker}"
        cluster.make_table(table, node=maker)
        for name, writer in clients.items():
            writer.put_item(TableName=table, Item={"k": {"S": name}, "by": {"S": maker}})
        for reader in clients.values():
            assert reader.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"
            assert all_keys(reader, table) == set(clients)
            got = reader.get_item(TableName=table, Key={"k": {"S": "n2"}}, ConsistentRead=True)
            assert got["Item"] == {"k": {"S": "n2"}, "by": {"S": maker}}
        client.delete_table(TableName=table)
        for reader in clients.values():
            with pytest.raises(ClientError, match="not found"):
                reader.describe_table(TableName=table)


def test_replicas_are_on_all_three_nodes_and_in_all_three_zones(cluster: LocalCluster) -> None:
    cluster.make_table("replicated")
    [group] = cluster.groups_of("replicated")
    assert group["members"] == {"n1": "voter", "n2": "voter", "n3": "voter"}
    assert {node["zone"] for node in cluster.nodes.values()} == {"z1", "z2", "z3"}


def test_a_global_index_is_read_through_each_node(cluster: LocalCluster) -> None:
    cluster.client("n2").create_table(
        TableName="indexed", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("k", "colour")],
        GlobalSecondaryIndexes=[{
            "IndexName": "by-colour", "KeySchema": [{"AttributeName": "colour", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }],
    )  # fmt: skip
    cluster.client("n3").put_item(TableName="indexed", Item={"k": {"S": "1"}, "colour": {"S": "red"}})
    for name in cluster.nodes:
        client = cluster.client(name)

        def found(client: Any = client) -> Any:
            return client.query(
                TableName="indexed", IndexName="by-colour", KeyConditionExpression="colour = :c",
                ExpressionAttributeValues={":c": {"S": "red"}},
            )["Items"]  # fmt: skip

        assert cluster.wait_for(found) == [{"k": {"S": "1"}, "colour": {"S": "red"}}]


def test_a_transaction_over_partitions_of_several_leaders(cluster: LocalCluster) -> None:
    for number in range(3):
        cluster.make_table(f"account-{number}")
    for name in cluster.nodes:
        cluster.client(name).transact_write_items(
            TransactItems=[
                {"Update": {
                    "TableName": f"account-{number}", "Key": {"k": {"S": "sum"}}, "UpdateExpression": "ADD n :n",
                    "ExpressionAttributeValues": {":n": {"N": str(number)}},
                }}
                for number in range(3)
            ]
        )  # fmt: skip
    for name in cluster.nodes:
        answer = cluster.client(name).transact_get_items(
            TransactItems=[
                {"Get": {"TableName": f"account-{number}", "Key": {"k": {"S": "sum"}}}} for number in range(3)
            ]
        )
        assert [each["Item"]["n"]["N"] for each in answer["Responses"]] == ["0", "3", "6"]


def test_a_leader_that_is_killed_takes_nothing_with_it(
    cluster: LocalCluster, record_property: Callable[[str, object], None]
) -> None:
    cluster.make_table("killed")
    leader = cluster.leader_of("killed")
    others = [name for name in cluster.nodes if name != leader]
    writers = Writers(cluster, "killed", others)
    try:
        writers.wait_for_some()
        killed_at = time.monotonic()
        cluster.kill(leader)
        writers.wait_for_some()
    finally:
        writers.end()
    record_property("pause_seconds", round(writers.longest_pause, 2))
    assert writers.longest_pause < PAUSE_SECONDS_MAX
    # What was on its way to the leader has no outcome that anybody knows; nothing else fails.
    assert {code for _, code in writers.failures} <= {"InternalServerError"}
    assert all(when >= killed_at for when, _ in writers.failures)
    there = all_keys(cluster.client(others[0]), "killed")
    assert {key for _, key in writers.acknowledged} <= there

    cluster.start(leader)
    assert all_keys(cluster.client(leader), "killed") == there
    cluster.wait_for(lambda: _has_caught_up(cluster, "killed", leader))


def test_a_node_that_is_stopped_hands_over_without_an_error(cluster: LocalCluster) -> None:
    cluster.make_table("stopped")
    leader = cluster.leader_of("stopped")
    writers = Writers(cluster, "stopped", [name for name in cluster.nodes if name != leader])
    try:
        writers.wait_for_some()
        cluster.signal(leader, signal.SIGTERM)
        cluster.wait_gone(leader)
        writers.wait_for_some()
    finally:
        writers.end()
    assert writers.failures == []
    assert {key for _, key in writers.acknowledged} <= all_keys(
        cluster.client(next(iter(cluster.alive()))), "stopped"
    )
    cluster.start(leader)


def test_leadership_is_handed_over_by_request(cluster: LocalCluster) -> None:
    cluster.make_table("handed")
    [group] = cluster.groups_of("handed")
    leader = cluster.leader_of("handed")
    target = next(name for name in cluster.nodes if name != leader)
    cluster.admin(target, "/hand-over", {"group": group["group"], "to": target})
    cluster.wait_for(lambda: cluster.leader_of("handed") == target)
    cluster.client(leader).put_item(TableName="handed", Item={"k": {"S": "1"}})


def test_without_etcd_traffic_and_elections_go_on(cluster: LocalCluster) -> None:
    cluster.make_table("alone")
    etcd = cluster.etcd_pid()
    os.kill(etcd, signal.SIGSTOP)
    try:
        leader = cluster.leader_of("alone")
        others = [name for name in cluster.nodes if name != leader]
        writers = Writers(cluster, "alone", others)
        try:
            writers.wait_for_some()
            cluster.kill(leader)
            writers.wait_for_some()
        finally:
            writers.end()
        assert {key for _, key in writers.acknowledged} <= all_keys(cluster.client(others[0]), "alone")
    finally:
        os.kill(etcd, signal.SIGCONT)
    cluster.start(leader)
    cluster.wait_for(lambda: _has_caught_up(cluster, "alone", leader))


def test_without_etcd_nodes_start_by_what_they_remember(cluster: LocalCluster) -> None:
    """The leader is killed and comes back, then all at once; clients notice what they always do."""
    cluster.make_table("remembered", node="n2")
    etcd = cluster.etcd_pid()
    os.kill(etcd, signal.SIGSTOP)
    try:
        leader = cluster.leader_of("remembered")
        writers = Writers(cluster, "remembered", [name for name in cluster.nodes if name != leader])
        try:
            writers.wait_for_some()
            cluster.kill(leader)
            writers.wait_for_some()
            cluster.start(leader)
            cluster.wait_for(lambda: _has_caught_up(cluster, "remembered", leader))
        finally:
            writers.end()
        assert {code for _, code in writers.failures} <= {"InternalServerError"}
        assert cluster.ready(leader).startswith("ready, but tables and members stay as they are")
        cluster.client(leader).put_item(TableName="remembered", Item={"k": {"S": "through it"}})
        there = all_keys(cluster.client(leader), "remembered")
        assert {key for _, key in writers.acknowledged} < there
        for name in cluster.nodes:
            cluster.kill(name)
        for name in cluster.nodes:
            cluster.start(name)
        cluster.leader_of("remembered")
        assert all_keys(cluster.client("n3"), "remembered") >= there
        with pytest.raises(ClientError):
            cluster.make_table("too-early")
    finally:
        os.kill(etcd, signal.SIGCONT)
    for name in cluster.nodes:
        cluster.wait_for(lambda name=name: cluster.ready(name) == "ready")
    cluster.wait_for(lambda: {node["state"] for node in cluster.admin("n1", "/cluster")["nodes"]} == {"up"})
    cluster.make_table("in-time")
    assert all_keys(cluster.client("n2"), "in-time") == set()


def test_a_node_that_is_cut_off_is_led_around_and_comes_back(cluster: LocalCluster) -> None:
    cluster.make_table("cut")
    leader = cluster.leader_of("cut")
    others = [name for name in cluster.nodes if name != leader]
    for other in others:
        cluster.admin(leader, "/links", {"cut": other})
    client = cluster.client(others[0], retries={"total_max_attempts": 5})
    for number in range(5):
        client.put_item(TableName="cut", Item={"k": {"S": str(number)}})
    # It does not know, and does not say what it cannot know.
    with pytest.raises((ClientError, BotoCoreError)):
        cluster.client(leader).get_item(TableName="cut", Key={"k": {"S": "4"}}, ConsistentRead=True)
    for other in others:
        cluster.admin(leader, "/links", {"mend": other})
    cluster.wait_for(lambda: _has_caught_up(cluster, "cut", leader))
    assert all_keys(cluster.client(leader, retries={"total_max_attempts": 5}), "cut") == {str(n) for n in range(5)}


def test_two_nodes_that_lose_only_each_other_talk_through_the_third(cluster: LocalCluster) -> None:
    cluster.make_table("between")
    leader = cluster.leader_of("between")
    one, other = (name for name in cluster.nodes if name != leader)
    cluster.admin(one, "/links", {"cut": leader})
    try:
        # Until the silence is noticed a write may be told as unknown; from then on it goes through the third, at once.
        cluster.wait_for(lambda: not cluster.admin(one, "/links")[leader]["up"])
        client = cluster.client(one)
        begun = time.monotonic()
        for number in range(20):
            client.put_item(TableName="between", Item={"k": {"S": str(number)}})
        assert all_keys(client, "between") == {str(number) for number in range(20)}
        assert time.monotonic() - begun < journey.PATIENCE_SECONDS
        assert cluster.leader_of("between") == leader, "the other hears it, so nobody is elected"
        assert all_keys(cluster.client(other), "between") == {str(number) for number in range(20)}
    finally:
        cluster.admin(one, "/links", {"mend": leader})
    cluster.wait_for(lambda: cluster.admin(one, "/links")[leader]["up"])


def test_histories_under_kills_are_linearizable(cluster: LocalCluster) -> None:
    cluster.make_table("history")
    keys = ["a", "b", "c"]
    history: dict[str, list[Operation]] = {key: [] for key in keys}
    begun, over = threading.Semaphore(0), threading.Event()

    def run(node: str, seed: int) -> None:
        chance, client, number = random.Random(seed), cluster.client(node), seed * 1_000_000
        while not over.is_set():
            key, number = chance.choice(keys), number + 1
            what = chance.choice([("read",), ("put", number), ("add", 1), ("delete",)])
            called = time.monotonic()
            try:
                answer: Any = _done(client, key, what)
            except (ClientError, BotoCoreError):
                history[key].append(Operation(called, None, what, None))
            else:
                history[key].append(Operation(called, time.monotonic(), what, answer))
                begun.release()

    def some(count: int) -> None:
        for _ in range(count):
            assert begun.acquire(timeout=60)

    victims = ["n1", "n2"]
    threads = [threading.Thread(target=run, args=("n3", seed)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    try:
        for victim in victims:
            some(100)
            cluster.kill(victim)
            some(100)
            cluster.start(victim)
        some(100)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for key in keys:
        verdict = judge(history[key], None, item)
        assert verdict.is_linearizable, (key, verdict.placed[-5:])


def _done(client: Any, key: str, what: tuple[Any, ...]) -> Any:
    """Do it, and say what was answered, as models.linearizability.item has it."""
    named = {"TableName": "history", "Key": {"k": {"S": key}}}
    match what:
        case ("read",):
            found = client.get_item(**named, ConsistentRead=True).get("Item")
            return "absent" if found is None else int(found["n"]["N"])
        case ("put", number):
            client.put_item(TableName="history", Item={"k": {"S": key}, "n": {"N": str(number)}})
            return "ok"
        case ("add", number):
            answer = client.update_item(
                **named, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": {"N": str(number)}},
                ReturnValues="UPDATED_NEW",
            )  # fmt: skip
            return int(answer["Attributes"]["n"]["N"])
        case _:
            client.delete_item(**named)
            return "ok"


def _has_caught_up(cluster: LocalCluster, table: str, node: str) -> bool:
    [group] = cluster.groups_of(table, asked=node)
    return group["leader"] == node or group["lag"].get(node) == 0


def test_a_cluster_comes_back_as_it_was(etcd_program: None, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with LocalCluster(folder, "--nodes", "3") as cluster:
        cluster.make_table("kept")
        cluster.client("n2").put_item(TableName="kept", Item={"k": {"S": "1"}})
        endpoints = {name: node["endpoint"] for name, node in cluster.nodes.items()}
        assert cluster.stop() == 0
    with LocalCluster(folder) as cluster:
        assert {name: node["endpoint"] for name, node in cluster.nodes.items()} == endpoints
        assert all_keys(cluster.client("n3"), "kept") == {"1"}


def test_no_process_outlives_its_cluster(etcd_program: None, tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "data", "--nodes", "1") as cluster:
        etcd = cluster.etcd_pid()
        cluster.process.kill()
        cluster.process.wait()
        cluster.wait_gone("n1")
        cluster.wait_for(lambda: not Path(f"/proc/{etcd}").exists())


def test_a_node_whose_disk_is_lost_comes_back_as_another_member(etcd_program: None, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with LocalCluster(folder, "--nodes", "3") as cluster:
        cluster.make_table("kept")
        for number in range(20):
            cluster.client("n1").put_item(TableName="kept", Item={"k": {"S": str(number)}})
        cluster.kill("n3")
        shutil.rmtree(folder / "n3")
        # Its name is free when its lease in etcd has ended: a live node of another folder would be another node.
        cluster.wait_for(lambda: cluster.admin("n1", "/cluster")["nodes"][2]["state"] == "down")
        cluster.start("n3")
        voters = {"n1": "voter", "n2": "voter", "n3#4": "voter"}
        cluster.wait_for(lambda: cluster.groups_of("kept")[0]["members"] == voters)
        # It is one of the two that are left now.
        cluster.kill("n1")
        client = cluster.client("n3", retries={"total_max_attempts": 5})
        client.put_item(TableName="kept", Item={"k": {"S": "20"}})
        assert all_keys(client, "kept") == {str(number) for number in range(21)}
        # And it stays that member when it is started again.
        cluster.start("n1")
        cluster.signal("n3", signal.SIGTERM)
        cluster.wait_gone("n3")
        cluster.start("n3")
        assert cluster.groups_of("kept")[0]["members"] == voters


def test_what_a_deleted_table_had_goes_from_all_nodes(cluster: LocalCluster) -> None:
    def replicas() -> list[int]:
        return [node["replicas"] for node in cluster.admin("n1", "/cluster")["nodes"]]

    before = replicas()
    cluster.make_table("deleted", node="n2")
    assert replicas() == [count + 1 for count in before]
    cluster.client("n3").delete_table(TableName="deleted")
    cluster.wait_for(lambda: replicas() == before)


def test_a_name_belongs_to_one_folder(cluster: LocalCluster, tmp_path: Path) -> None:
    port = json.loads((cluster.folder / "cluster.json").read_text())["etcd_port"]
    told = varley("serve", "--cluster", f"etcd://127.0.0.1:{port}", "--name", "n1", "--port", "0",
                  "--data-dir", str(tmp_path / "another"))  # fmt: skip
    assert told.returncode == 1
    assert "There is a node named 'n1' already" in told.stderr


def test_a_single_server_refuses_the_folder_of_a_node(etcd_program: None, tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "data", "--nodes", "1"):
        pass
    told = varley("serve", "--port", "0", "--data-dir", str(tmp_path / "data" / "n1"))
    assert told.returncode == 2
    assert "belongs to the node 'n1' of the cluster 'varley'" in told.stderr


def test_status_is_shown_to_people(cluster: LocalCluster) -> None:
    cluster.make_table("shown")
    told = varley("cluster", "status", "--data-dir", str(cluster.folder))
    assert told.returncode == 0, told.stderr
    lines = [line.split() for line in told.stdout.splitlines()]
    assert ["n2", "z2", "up"] in [line[:3] for line in lines]
    [line] = [line for line in lines if "shown" in line]
    assert line[2] == cluster.leader_of("shown")
    assert line[3:6] == ["n1,", "n2,", "n3"]
    told = varley("cluster", "status", "--json", "--data-dir", str(cluster.folder))
    status = json.loads(told.stdout)
    assert [node["name"] for node in status["nodes"]] == ["n1", "n2", "n3"]
    assert status["groups"][0]["table"] == "varley:transactions"
    assert status["repairs"] is None or status["repairs"]["node"] in cluster.nodes


def test_a_hand_over_that_cannot_be_is_refused(cluster: LocalCluster) -> None:
    told = varley("cluster", "hand-over", "--group", "1", "--to", "n9", "--data-dir", str(cluster.folder))
    assert told.returncode == 1
    assert "n9 has no member of group 1" in told.stdout
