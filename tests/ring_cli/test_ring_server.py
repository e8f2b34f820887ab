"""A node's server that is told to stop before it is what it is to be."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from varley.ring_node.node import RingNode
from varley.ring_server import RingServer
from varley.settings import NodeSettings, RingFlags

SECONDS = 4     # a seed that says nothing is waited for longer


def server_at(folder: Path, seed_port: int) -> RingServer:
    node = NodeSettings(port=0, data_dir=str(folder / "b"))
    return RingServer(node, RingFlags(name="b", seeds=f"a=127.0.0.1:{seed_port}", engine="sqlite"))


@pytest.mark.slow
def test_one_that_finds_no_seed_stops_when_it_is_told_to(tmp_path: Path) -> None:
    async def run(port: int) -> None:
        server = server_at(tmp_path, port)
        starting = asyncio.ensure_future(server.start())
        while not server._is_started:  # noqa: ASYNC110 (nobody is told; it is a few turns)
            await asyncio.sleep(0)
        server.begin_to_stop()
        async with asyncio.timeout(SECONDS):
            await starting
            await server.wait_stopped()

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        asyncio.run(run(deaf.getsockname()[1]))


@pytest.mark.slow
def test_one_that_is_told_to_stop_while_it_opens_its_folder_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_at(tmp_path, 1)
    opened: list[RingNode] = []
    start = RingNode.start

    async def told(node: RingNode) -> None:
        server.begin_to_stop()
        await start(node)
        opened.append(node)

    monkeypatch.setattr(RingNode, "start", told)

    async def run() -> None:
        async with asyncio.timeout(SECONDS):
            await server.start()
            await server.wait_stopped()

    asyncio.run(run())
    assert opened[0].store._is_closed and not opened[0].is_ready()
