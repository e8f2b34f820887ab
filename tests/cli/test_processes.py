"""`varley serve --processes`: how settings are divided, and real processes behind one port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cluster.local_cluster import LocalCluster, Writers, all_keys
from varley.cli.processes import Settings, settings_of
from varley.errors import BadSettings
from varley.settings import ClusterSettings, MemberSettings, NodeSettings, as_environment, load, load_member

SECONDS_MAX = 60.0
VARLEY = [sys.executable, "-m", "varley"]


# ---- How settings are divided


def divided(given: frozenset[str] = frozenset(), member: MemberSettings | None = None, **node: Any) -> Settings:
    return settings_of(NodeSettings(processes=2, **node), ClusterSettings(), member or MemberSettings(), given)


def test_each_process_has_a_name_a_folder_and_ports_of_its_own() -> None:
    settings = divided(data_dir="/d", admin_port=9000)
    assert settings.names() == ["n1.1", "n1.2"]
    for number in (1, 2):
        node, cluster, member = settings.of(number, 8123, "etcd://127.0.0.1:1/varley")
        assert (node.port, node.admin_port, node.data_dir) == (8123, 8999 + number, f"/d/n1.{number}")
        assert (node.processes, cluster.replicas, cluster.initial_partitions) == (1, 1, 2)
        assert (member.name, member.machine, member.share_port, member.capacity) == (f"n1.{number}", "n1", True, 0.5)


def test_in_a_cluster_replicas_are_on_other_machines() -> None:
    member = MemberSettings(cluster="etcd://h/music", name="m", zone="a", link_port=7000, capacity=4)
    settings = divided(member=member)
    for number in (1, 2):
        node, cluster, divided_member = settings.of(number, 8000, "etcd://h/music")
        assert cluster == ClusterSettings()
        assert node.admin_port == 0
        assert (divided_member.link_port, divided_member.zone, divided_member.capacity) == (6999 + number, "a", 2.0)
        assert (divided_member.name, divided_member.machine) == (f"m.{number}", "m")


def test_what_was_chosen_stays_chosen() -> None:
    settings = settings_of(
        NodeSettings(processes=4), ClusterSettings(initial_partitions=1), MemberSettings(),
        frozenset({"cluster.initial_partitions"}),
    )  # fmt: skip
    assert settings.cluster.initial_partitions == 1
    with pytest.raises(BadSettings, match="3 replicas on one machine"):
        divided(frozenset({"cluster.replicas"}))


def test_ports_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BadSettings, match="admin_port is 65535"):
        divided(admin_port=65535)


def test_in_memory_a_process_that_ends_would_take_its_part_with_it() -> None:
    with pytest.raises(BadSettings, match="in_memory"):
        NodeSettings(processes=2, in_memory=True)


def test_a_process_gets_its_settings_as_variables() -> None:
    node, cluster, member = divided(cors="", ttl_delay=2.5, tls_cert="c", tls_key="k").of(2, 8000, "etcd://u:p@h/x")
    environment = as_environment(node, cluster, member)
    assert load({}, environment) == (node, cluster)
    assert load_member({}, environment) == member


# ---- Real ones


class Served:
    """`varley serve --processes` as a child. Stopped at the end of the `with`."""

    def __init__(self, folder: Path, *words: str, processes: int = 2) -> None:
        self.folder = folder
        self.log = folder.with_name(folder.name + ".log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*VARLEY, "serve", "--processes", str(processes), "--data-dir", str(folder), "--port", "0", "--json",
                 "--stop-with-stdin", *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.said: dict[str, Any] = json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(SECONDS_MAX)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return code

    def client(self, node: str = "") -> Any:
        """Of a new connection, which any of the processes may get. (`node` is for Writers.)"""
        return boto3.client(
            "dynamodb", endpoint_url=self.said["endpoint"], region_name="us-east-1",
            aws_access_key_id="any", aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
        )  # fmt: skip

    def pids(self) -> list[int]:
        return [each["pid"] for each in self.said["processes"]]

    def connections(self) -> list[int]:
        """That each process has from clients now."""
        found = []
        for each in self.said["processes"]:
            with urllib.request.urlopen(f"http://127.0.0.1:{each['admin_port']}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            [line] = [line for line in lines if line.startswith("varley_connections ")]
            found.append(int(float(line.split()[1])))
        return found

    def leaders(self, table: str) -> list[str]:
        """Of each of its partitions."""
        url = f"http://127.0.0.1:{self.said['admin_port']}/cluster"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return [group["leader"] for group in json.load(answer)["groups"] if group["table"] == table]

    def wait_logged(self, text: str, count: int = 1) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while self.log.read_text().count(text) < count:
            assert time.monotonic() < deadline, self.log.read_text()
            threading.Event().wait(0.05)


TABLE: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
}  # fmt: skip


@pytest.fixture
def server(etcd_program: None, tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "data") as served:
        yield served


@pytest.mark.slow
def test_all_processes_answer_on_one_port(server: Served) -> None:
    clients = [server.client() for _ in range(32)]
    clients[0].create_table(TableName="things", **TABLE)
    assert sorted(server.leaders("things")) == ["n1.1", "n1.2"]
    for number, client in enumerate(clients):
        client.put_item(TableName="things", Item={"k": {"S": str(number)}})
    # Connections are kept, and the kernel has given some to each process: by chance, and all to one once in 2^31 times.
    assert min(server.connections()) > 0
    everything = {str(number) for number in range(32)}
    for client in clients:
        assert all_keys(client, "things") == everything
        assert {item["k"]["S"] for item in client.scan(TableName="things")["Items"]} == everything
        got = client.get_item(TableName="things", Key={"k": {"S": "7"}}, ConsistentRead=True)
        assert got["Item"] == {"k": {"S": "7"}}
    clients[1].transact_write_items(
        TransactItems=[{"Put": {"TableName": "things", "Item": {"k": {"S": f"t{n}"}}}} for n in range(8)]
    )
    assert all_keys(clients[2], "things") == everything | {f"t{n}" for n in range(8)}
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        clients[3].put_item(
            TableName="things", Item={"k": {"S": "7"}}, ConditionExpression="attribute_not_exists(k)"
        )
    for client in clients:
        client.close()
    assert server.stop() == 0


@pytest.mark.slow
def test_a_process_that_is_killed_comes_back_and_nothing_is_lost(server: Served) -> None:
    server.client().create_table(TableName="things", **TABLE)
    writers = Writers(server, "things", ["any"], threads=4)    # type: ignore[arg-type]
    try:
        writers.wait_for_some()
        for count, pid in enumerate(server.pids(), 1):
            os.kill(pid, signal.SIGKILL)
            server.wait_logged("serves again", count)
            writers.wait_for_some()
    finally:
        writers.end()
    acknowledged = {key for _, key in writers.acknowledged}
    # Of clients whose process, or whose partition's, was killed: nobody knows, or the connection was lost.
    assert {code for _, code in writers.failures} <= {
        "InternalServerError", "ConnectionClosedError", "EndpointConnectionError", "ServiceUnavailable",
    }  # fmt: skip
    assert acknowledged <= all_keys(server.client(), "things")
    assert server.stop() == 0
    with Served(server.folder) as again:
        assert acknowledged <= all_keys(again.client(), "things")


@pytest.mark.slow
def test_etcd_is_started_again_too(server: Served) -> None:
    words = f"--data-dir={server.folder}/etcd/data".encode()
    [etcd] = [
        int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal() and words in _command(folder)
    ]
    os.kill(etcd, signal.SIGKILL)
    server.wait_logged("etcd has ended (signal 9)")
    deadline = time.monotonic() + SECONDS_MAX
    while not _is_made(server, "things"):    # nobody is told when it is back
        assert time.monotonic() < deadline
    server.client().put_item(TableName="things", Item={"k": {"S": "1"}})


def _is_made(server: Served, table: str) -> bool:
    try:
        server.client().create_table(TableName=table, **TABLE)
    except ClientError:
        return False
    return True


def _command(folder: Path) -> list[bytes]:
    try:
        return (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.mark.slow
def test_children_end_with_their_supervisor(server: Served) -> None:
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    deadline = time.monotonic() + SECONDS_MAX
    while any(_command(Path(f"/proc/{pid}")) not in ([], [b""]) for pid in server.pids()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def refusal(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [*VARLEY, "serve", "--port", "0", *words], capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.slow
def test_its_folder_is_refused_to_others(server: Served) -> None:
    folder = str(server.folder)
    assert "process" in refusal("--processes", "2", "--data-dir", folder)    # it is locked
    server.stop()
    assert "Start it with --processes 2" in refusal("--processes", "3", "--data-dir", folder)
    assert "several processes" in refusal("--data-dir", folder)


@pytest.mark.slow
def test_a_process_that_cannot_start_ends_all(server: Served) -> None:
    server.stop()
    (server.folder / "n1.2" / "identity.json").write_text("damaged")
    said = refusal("--processes", "2", "--data-dir", str(server.folder))
    assert "Process n1.2" in said and "identity.json" in said


@pytest.mark.slow
def test_without_etcd_it_says_what_to_do(tmp_path: Path) -> None:
    said = refusal("--processes", "2", "--data-dir", str(tmp_path / "data"), PATH=str(tmp_path))
    assert "There is no etcd" in said and "apt install" in said and "leave out --processes" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_cluster_of_machines_with_two_processes_each(etcd_program: None, tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "data", "--nodes", "3", "--processes", "2") as cluster:
        cluster.make_table("things")
        for name in cluster.nodes:
            cluster.client(name).put_item(TableName="things", Item={"k": {"S": name}})
        groups = cluster.groups_of("things")
        assert len(groups) == 6
        for group in groups:
            assert {member.partition(".")[0] for member in group["members"]} == {"n1", "n2", "n3"}
        for name in cluster.nodes:
            assert all_keys(cluster.client(name), "things") == set(cluster.nodes)
        writers = Writers(cluster, "things", ["n1", "n3"])
        try:
            writers.wait_for_some()
            cluster.kill("n2")      # the supervisor: its processes end, as their input does
            writers.wait_for_some()
        finally:
            writers.end()
        cluster.start("n2")
        assert {key for _, key in writers.acknowledged} <= all_keys(cluster.client("n2"), "things")
