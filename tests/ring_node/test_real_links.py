"""Three nodes in one process, with real sockets, threads and files: what the pretended world leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from varley.errors import BadSettings, DataFolderLocked
from varley.net.links import Links
from varley.ring_node.keys import ring_key
from varley.ring_node.node import RingNode
from varley.ring_node.service import Got, Put
from varley.ring_node.settings import BucketSettings, RingNodeSettings, RingSettings


class Ring:
    """Nodes that are started and stopped by name; each keeps its folder and its port."""

    def __init__(self, folder: Path, engine: str, ring: RingSettings | None = None, **own: Any) -> None:
        self.ring = ring or RingSettings(partitions=8)
        self.nodes: dict[str, RingNode] = {}
        self._links: dict[str, Links] = {}
        self._ports: dict[str, int] = {}
        self._folder = folder
        self._own = {"engine": engine, "replica_timeout_seconds": 1.0, **own}

    async def start(self, name: str, ring: RingSettings | None = None) -> RingNode:
        loop = asyncio.get_running_loop()
        links = self._links[name] = Links(loop, name, cluster="test")
        self._ports[name] = await links.listen("127.0.0.1", self._ports.get(name, 0))
        first = next(iter(self._ports))
        data_dir = None if self._own["engine"] == "memory" else str(self._folder / name)
        own = RingNodeSettings(
            name=name, data_dir=data_dir, seeds={first: ("127.0.0.1", self._ports[first])}, **self._own
        )
        node = RingNode(own, ring or self.ring, loop=loop, links=links, address=f"127.0.0.1:{self._ports[name]}")
        await node.start()
        self.nodes[name] = node
        return node

    async def stop(self, name: str) -> None:
        await self.nodes.pop(name).stop()
        await self._links.pop(name).close()

    async def stop_all(self) -> None:
        for name in list(self.nodes):
            await self.stop(name)
        for links in self._links.values():
            await links.close()

    async def made_of(self, *names: str) -> None:
        for name in names:
            node = await self.start(name)
            await node.join()
        await until(lambda: all(len(node.status().members) == len(names) for node in self.nodes.values()))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)   # a turn of the loop, and a thread's


async def put(node: RingNode, key: bytes, value: bytes | None, context: bytes | None = None) -> Any:
    answer = asyncio.get_running_loop().create_future()
    node.put("b", key, context, value, w=None, then=answer.set_result)
    return await answer


async def get(node: RingNode, key: bytes) -> Any:
    answer = asyncio.get_running_loop().create_future()
    node.get("b", key, r=None, then=answer.set_result)
    return await answer


def run(what: Callable[[Ring], Any], ring: Ring) -> None:
    async def whole() -> None:
        try:
            await what(ring)
        finally:
            await ring.stop_all()

    asyncio.run(whole())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["lmdb", "sqlite", "memory"])
def test_put_get_hint_handoff_and_restart(engine: str, tmp_path: Path) -> None:
    async def what(ring: Ring) -> None:
        await ring.made_of("a", "b", "c", "d")
        a = ring.nodes["a"]
        puts = [put(a, b"%d" % index, b"v%d" % index * 1000) for index in range(50)]
        assert all(isinstance(answer, Put) for answer in await asyncio.gather(*puts))
        assert [value.data for value in (await get(ring.nodes["c"], b"7")).values] == [b"v7" * 1000]

        await ring.stop("d")
        puts = [put(a, b"%d" % index, b"w%d" % index) for index in range(50, 100)]
        assert all(isinstance(answer, Put) for answer in await asyncio.gather(*puts))
        assert sum(node.status().hints for node in ring.nodes.values()) > 0
        d = await ring.start("d")
        await until(lambda: sum(node.status().hints for node in ring.nodes.values()) == 0)
        # With the memory engine all that it had is gone: comparisons bring that.
        names = [ring_key("b", b"%d" % index) for index in range(100)]
        await until(lambda: all("d" not in a.members.homes_of(name) or len(d.store.row(name)) for name in names))
        for index in range(100):
            answer = await get(d, b"%d" % index)
            assert isinstance(answer, Got) and len(answer.values) == 1

    run(what, Ring(tmp_path, engine))


@pytest.mark.slow
def test_a_node_with_other_settings_is_refused_by_name_and_both_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def what(ring: Ring) -> None:
        await ring.made_of("a")
        other = RingSettings(partitions=8, default=BucketSettings(n=2, r=1, w=1))
        node = await ring.start("b", other)
        with pytest.raises(BadSettings, match=r'"n":3.*"n":2'):
            await node.join()
        await until(lambda: "b" in ring.nodes["a"].status().refused)
        assert '"n":2' in ring.nodes["a"].status().refused["b"]
        assert any("node b is refused" in record.getMessage() for record in caplog.records)

    run(what, Ring(tmp_path, "memory"))


@pytest.mark.slow
def test_a_folder_has_one_node_at_a_time_and_stays_its(tmp_path: Path) -> None:
    async def what(ring: Ring) -> None:
        node = await ring.start("a")
        links = Links(asyncio.get_running_loop(), "a", cluster="test")
        for name, error in ("a", DataFolderLocked), ("b", BadSettings):
            own = RingNodeSettings(name=name, data_dir=str(tmp_path / "a"))
            second = RingNode(own, ring.ring, loop=asyncio.get_running_loop(), links=links, address="127.0.0.1:1")
            with pytest.raises(error):
                await second.start()
            if name == "a":
                await node.stop()
                ring.nodes.clear()
        await links.close()

    run(what, Ring(tmp_path, "lmdb"))
