"""Nodes of a cluster in one process, in memory, with a real etcd: what test_processes.py does, without the processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from tests.etcd_server import EtcdServer
from varley.clock import SystemClock
from varley.cluster_server import ClusterServer
from varley.errors import WorldError
from varley.metadata.nodes import NameTaken
from varley.settings import ClusterSettings, MemberSettings, NodeSettings

pytestmark = pytest.mark.slow

SECONDS = 30


class Cluster:
    def __init__(self, url: str) -> None:
        self._url = url
        self.servers: dict[str, ClusterServer] = {}

    async def start(self, name: str) -> ClusterServer:
        server = ClusterServer(
            NodeSettings(in_memory=True, port=0, drain_seconds=0.0), ClusterSettings(),
            MemberSettings(cluster=self._url, name=name, zone=name), SystemClock(),
        )  # fmt: skip
        await server.start()
        self.servers[name] = server
        return server

    async def stop(self, name: str) -> None:
        await self.servers.pop(name).stop()

    async def ask(self, name: str, operation: str, **request: Any) -> Any:
        """As a client of this node."""
        client = boto3.client(
            "dynamodb", endpoint_url=f"http://127.0.0.1:{self.servers[name].port}", region_name="us-east-1",
            aws_access_key_id="any", aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS),
        )  # fmt: skip
        try:
            return await asyncio.to_thread(getattr(client, operation), **request)
        finally:
            client.close()

    async def wait_for(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not what():
                await asyncio.sleep(0.01)

    async def wait_ready(self) -> None:
        await self.wait_for(lambda: all(each._why_not_ready() is None for each in self.servers.values()))

    def members(self, name: str) -> dict[int, set[str]]:
        """Names of members by group, as this node has heard that they are published."""
        items = self.servers[name]._members.items()
        return {group: set(published.configuration.names) for group, published in items.items()}


def run(etcd: EtcdServer, story: Callable[[Cluster], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        cluster = Cluster(etcd.url(f"cluster-{uuid4().hex}"))
        try:
            await story(cluster)
        finally:
            for name in list(cluster.servers):
                await cluster.stop(name)

    asyncio.run(tell())


TABLE: dict[str, Any] = {
    "TableName": "table", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
}  # fmt: skip


async def three(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        await cluster.start(name)
    await cluster.wait_ready()


def test_any_node_takes_any_request(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.ask("a", "create_table", **TABLE)
        await cluster.ask("b", "put_item", TableName="table", Item={"k": {"S": "1"}})
        for name in cluster.servers:
            found = await cluster.ask(name, "get_item", TableName="table", Key={"k": {"S": "1"}}, ConsistentRead=True)
            assert found["Item"] == {"k": {"S": "1"}}
        await cluster.ask("c", "delete_table", TableName="table")
        for name, server in cluster.servers.items():
            assert (await cluster.ask(name, "list_tables"))["TableNames"] == []
            # What it had goes a moment later; the ledger of transactions stays.
            await cluster.wait_for(lambda server=server: len(server._node.members.by_group) == 1)  # type: ignore[misc]

    run(etcd, story)


def test_a_node_that_has_forgotten_everything_is_another_member(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.ask("a", "create_table", **TABLE)
        await cluster.ask("a", "put_item", TableName="table", Item={"k": {"S": "1"}})
        await cluster.stop("b")
        await cluster.ask("a", "put_item", TableName="table", Item={"k": {"S": "2"}})
        await cluster.start("b")
        await cluster.wait_for(lambda: list(cluster.members("a").values()) == [{"a", "b#2", "c"}] * 2)
        await cluster.stop("c")
        found = await cluster.ask("b", "scan", TableName="table", ConsistentRead=True)
        assert sorted(item["k"]["S"] for item in found["Items"]) == ["1", "2"]

    run(etcd, story)


def test_a_node_that_comes_later_knows_the_tables(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.ask("a", "create_table", **TABLE)
        await cluster.ask("a", "put_item", TableName="table", Item={"k": {"S": "1"}})
        await cluster.start("d")
        found = await cluster.ask("d", "get_item", TableName="table", Key={"k": {"S": "1"}})
        assert found["Item"] == {"k": {"S": "1"}}

    run(etcd, story)


def test_a_name_that_is_taken_is_refused(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.start("a")
        first = cluster.servers["a"]
        with pytest.raises(NameTaken):
            await cluster.start("a")
        assert cluster.servers["a"] is first

    run(etcd, story)


def test_without_etcd_no_node_starts() -> None:
    server = ClusterServer(
        NodeSettings(in_memory=True, port=0), ClusterSettings(),
        MemberSettings(cluster="etcd://127.0.0.1:1/none", name="a"), SystemClock(),
    )  # fmt: skip

    async def start() -> None:
        with pytest.raises(WorldError, match="etcd"):
            await server.start()

    asyncio.run(start())
