"""The whole server: what only shows when all parts are together."""

from __future__ import annotations

import asyncio
import errno
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from varley.assembly.background import Background
from varley.clock import SystemClock
from varley.errors import Damaged, Exhausted, LogFailed, WorldError
from varley.server import Server
from varley.settings import ClusterSettings, NodeSettings
from varley.storage.disk import RealDisk
from varley.storage.undelivered import Undelivered
from varley.testing import Server as EmbeddedServer

MUSIC = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.slow
@pytest.mark.parametrize("is_checkpointed", [True, False], ids=["in trees", "in the log"])
def test_lost_metadata_does_not_cost_the_data(tmp_path: Path, is_checkpointed: bool) -> None:
    """A tree that no table owns is removed at the start: that must not be decided by metadata that is not there."""
    folder, killed = tmp_path / "data", tmp_path / "killed"
    with EmbeddedServer(data_dir=str(folder)) as server:
        client = server.client()
        client.create_table(**MUSIC)
        client.put_item(TableName="Music", Item={"pk": {"S": "a"}})
        shutil.copytree(folder, killed)
    lost = folder if is_checkpointed else killed
    (lost / "metadata/data.mdb").rename(tmp_path / "kept")
    with pytest.raises(Damaged, match="groups up to 0"):
        EmbeddedServer(data_dir=str(lost)).start()
    shutil.move(tmp_path / "kept", lost / "metadata/data.mdb")
    with EmbeddedServer(data_dir=str(lost)) as server:
        assert server.client().get_item(TableName="Music", Key={"pk": {"S": "a"}})["Item"] == {"pk": {"S": "a"}}


def test_readiness_and_metrics_of_a_disk_that_refuses_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = [False]
    write = RealDisk.write_synced

    def write_synced(disk: RealDisk, file: int, offset: int, parts: Sequence[bytes]) -> None:
        if is_full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(disk, file, offset, parts)

    monkeypatch.setattr(RealDisk, "write_synced", write_synced)
    with EmbeddedServer(data_dir=str(tmp_path / "data"), admin_port=0) as server:
        client = server.client()
        client.create_table(**MUSIC)
        client.put_item(TableName="Music", Item={"pk": {"S": "a"}})
        for port in (server.port, server.admin_port):
            assert fetch(port, "/ready")[0] == 200
        is_full[0] = True
        with pytest.raises(ClientError, match="InternalServerError"):
            client.put_item(TableName="Music", Item={"pk": {"S": "b"}})
        assert fetch(server.port, "/ready")[0] == 503
        assert fetch(server.admin_port, "/ready") == (503, "writes are refused: no space left for the log\n")
        assert client.get_item(TableName="Music", Key={"pk": {"S": "a"}})["Item"] == {"pk": {"S": "a"}}
        is_full[0] = False
        client.put_item(TableName="Music", Item={"pk": {"S": "b"}})
        assert fetch(server.admin_port, "/ready") == (200, "ready\n")
        page = fetch(server.admin_port, "/metrics")[1]
        values = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("varley_"))
        assert float(values['varley_refused_writes_total{error="DiskFull"}']) >= 1
        assert float(values["varley_overlay_bytes"]) > 0
        assert float(values["varley_log_size_bytes"]) > 0
        assert float(values["varley_log_records_total"]) == 2
        assert float(values["varley_log_sync_seconds_total"]) > 0


def test_metrics_of_an_index(tmp_path: Path) -> None:
    with EmbeddedServer(admin_port=0) as server:
        client = server.client()
        client.create_table(
            TableName="Music",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "x")],
            LocalSecondaryIndexes=[
                {
                    "IndexName": "by-x",
                    "KeySchema": [
                        {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "x", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )  # fmt: skip
        client.put_item(TableName="Music", Item={"pk": {"S": "a"}, "sk": {"S": "b"}, "x": {"S": "c"}})
        client.put_item(TableName="Music", Item={"pk": {"S": "a"}, "sk": {"S": "c"}})
        page = fetch(server.admin_port, "/metrics")[1]
        assert 'varley_table_items{index="",table="Music"} 2.0' in page
        assert 'varley_table_items{index="by-x",table="Music"} 1.0' in page
        assert 'varley_table_bytes{index="by-x",table="Music"} ' in page


def fetch(port: int | None, path: str) -> tuple[int, str]:
    """(status, body)."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_lost_trees_and_a_lost_log_are_named_and_never_served_as_empty_tables(tmp_path: Path, is_killed: bool) -> None:
    folder = tmp_path / "data"
    with EmbeddedServer(data_dir=str(folder)) as server:
        server.client().create_table(**MUSIC)
        server.client().put_item(TableName="Music", Item={"pk": {"S": "a"}})
    with EmbeddedServer(data_dir=str(folder)) as server:    # "a" is in a tree, "b" in the log
        server.client().put_item(TableName="Music", Item={"pk": {"S": "b"}})
        if is_killed:
            shutil.copytree(folder, tmp_path / "killed")
    if is_killed:
        folder = tmp_path / "killed"
    trees = [tree.relative_to(folder) for tree in (folder / "trees").iterdir()]
    lost: list[tuple[Path, str]] = [(tree, "The tree is missing") for tree in trees]
    lost += [(Path(name), "the folder is missing") for name in ("log", "trees", "metadata")]
    assert len(lost) >= 4
    for path, problem in lost:
        (folder / path).rename(tmp_path / "kept")
        with pytest.raises(Damaged, match=problem):
            EmbeddedServer(data_dir=str(folder)).start()
        (tmp_path / "kept").rename(folder / path)
    (folder / "log").rename(tmp_path / "kept")
    (folder / "log").mkdir()
    with pytest.raises(Damaged, match="the log is empty"):
        EmbeddedServer(data_dir=str(folder)).start()
    (folder / "log").rmdir()
    (tmp_path / "kept").rename(folder / "log")
    with EmbeddedServer(data_dir=str(folder)) as server:
        for key in "ab":
            assert "Item" in server.client().get_item(TableName="Music", Key={"pk": {"S": key}})


def test_too_few_open_files_at_the_start_are_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recover(*arguments: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files", "/a/tree")

    monkeypatch.setattr("varley.storage.opening.recover", recover)
    with pytest.raises(Exhausted, match=r"Too many open files \(open /a/tree\). Allow this process more open files"):
        EmbeddedServer(data_dir=str(tmp_path / "data")).start()


def test_a_disk_that_fails_during_the_start_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finishes what a crash has left writes to the log, before any port is open."""
    start = Background.start
    problems = [LogFailed("Input/output error")]

    async def start_and_fail(background: Background, undelivered: Iterable[Undelivered]) -> None:
        await start(background, undelivered)
        while problems:
            background._node.log_has_failed(problems.pop(), [])
            await asyncio.sleep(0)    # the log's thread tells the loop, a turn later

    monkeypatch.setattr(Background, "start", start_and_fail)
    with pytest.raises(LogFailed, match="Input/output error"):
        EmbeddedServer(data_dir=str(tmp_path / "data")).start()
    with EmbeddedServer(data_dir=str(tmp_path / "data")) as server:
        assert server.client().list_tables()["TableNames"] == []


def test_a_start_that_fails_lets_go_of_everything(tmp_path: Path) -> None:
    async def start(port: int) -> Server:
        server = Server(NodeSettings(data_dir=str(tmp_path / "data"), port=port), ClusterSettings(), SystemClock())
        await server.start()
        return server

    async def two_starts() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(WorldError, match="is in use"):
            await start(other.getsockname()[1])
        await (await start(0)).stop()

    asyncio.run(two_starts())
