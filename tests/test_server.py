"""The whole server: what only shows when all parts are together."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from varley.clock import SystemClock
from varley.errors import Damaged, WorldError
from varley.server import Server
from varley.settings import ClusterSettings, NodeSettings
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
