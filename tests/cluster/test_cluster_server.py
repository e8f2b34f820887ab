"""Nodes of a cluster in one process, in memory, with a real etcd: as test_processes.py, without the processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.etcd_server import EtcdServer
from varley.clock import SystemClock
from varley.cluster_server import ClusterServer
from varley.errors import WorldError
from varley.metadata.nodes import NameTaken
from varley.node.member import HostedMember
from varley.settings import STRONG_READS, ClusterSettings, MemberSettings, NodeSettings

pytestmark = pytest.mark.slow

SECONDS = 30


class Cluster:
    def __init__(self, url: str) -> None:
        self._url = url
        self.servers: dict[str, ClusterServer] = {}

    async def start(self, name: str, **agreed: Any) -> ClusterServer:
        server = ClusterServer(
            NodeSettings(in_memory=True, port=0, drain_seconds=0.0), ClusterSettings(**agreed),
            MemberSettings(cluster=self._url, name=name, zone=name), SystemClock(),
        )  # fmt: skip
        await server.start()
        self.servers[name] = server
        return server

    async def stop(self, name: str) -> None:
        await self.servers.pop(name).stop()

    async def ask(self, name: str, operation: str, service: str = "dynamodb", **request: Any) -> Any:
        """As a client of this node."""
        client = boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self.servers[name].port}", region_name="us-east-1",
            aws_access_key_id="any", aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS),
        )  # fmt: skip
        try:
            return await asyncio.to_thread(getattr(client, operation), **request)
        finally:
            client.close()

    async def wait_for(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not what():    # noqa: ASYNC110 - turns of the loop
                await asyncio.sleep(0)

    async def wait_until(self, what: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        async with asyncio.timeout(SECONDS):
            while not await what():    # noqa: ASYNC110 - turns of the loop
                await asyncio.sleep(0)

    def leads(self, name: str) -> bool:
        """Whether this node leads a group that is no ledger's."""
        members = self.servers[name]._node.members.by_group
        ledger = self.servers[name]._catalog.ledger
        assert ledger is not None
        return any(member.is_leading for group, member in members.items() if group not in ledger.groups)

    async def records(self, name: str) -> list[str]:
        """The keys in the one stream that there is, through this node."""
        [stream] = (await self.ask(name, "list_streams", service="dynamodbstreams"))["Streams"]
        named = {"StreamArn": stream["StreamArn"]}
        described = await self.ask(name, "describe_stream", service="dynamodbstreams", **named)
        found = []
        for shard in described["StreamDescription"]["Shards"]:
            begun = await self.ask(
                name, "get_shard_iterator", service="dynamodbstreams", **named, ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )  # fmt: skip
            got = await self.ask(
                name, "get_records", service="dynamodbstreams", ShardIterator=begun["ShardIterator"]
            )
            found += [record["dynamodb"]["Keys"]["k"]["S"] for record in got["Records"]]
        return found

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


@pytest.mark.parametrize("strong_reads", STRONG_READS)
def test_strong_answers_by_lease_or_by_a_quorum(
    etcd: EtcdServer, strong_reads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are right; they differ in how often a majority is asked whether the leader leads."""
    asked: list[int] = []
    confirm = HostedMember.confirm

    def confirm_and_count(member: HostedMember, then: Callable[[BaseException | None], None]) -> None:
        asked.append(member.group)
        confirm(member, then)

    async def story(cluster: Cluster) -> None:
        for name in ("a", "b", "c"):
            await cluster.start(name, strong_reads=strong_reads)
        await cluster.wait_ready()
        await cluster.ask("a", "create_table", **TABLE)
        monkeypatch.setattr(HostedMember, "confirm", confirm_and_count)
        refused = 0
        for number, writer in enumerate(cluster.servers):
            await cluster.ask(writer, "put_item", TableName="table", Item={"k": {"S": "1"}, "n": {"N": str(number)}})
            for reader in cluster.servers:
                got = await cluster.ask(
                    reader, "get_item", TableName="table", Key={"k": {"S": "1"}}, ConsistentRead=True
                )
                assert got["Item"]["n"] == {"N": str(number)}
                pages = await cluster.ask(reader, "scan", TableName="table", ConsistentRead=True)
                assert [item["n"]["N"] for item in pages["Items"]] == [str(number)]
                with pytest.raises(ClientError, match="ConditionalCheckFailed"):
                    await cluster.ask(
                        reader, "put_item", TableName="table", Item={"k": {"S": "1"}},
                        ConditionExpression="attribute_not_exists(k)",
                    )  # fmt: skip
                refused += 1
        # By lease a majority is asked at most now and then, when a lease has ended before the answer left.
        questions = 3 * refused
        assert len(asked) >= questions if strong_reads == "read-index" else len(asked) < questions / 2

    run(etcd, story)


def test_a_node_that_has_forgotten_everything_is_another_member(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.ask("a", "create_table", **TABLE)
        await cluster.ask("a", "put_item", TableName="table", Item={"k": {"S": "1"}})
        await cluster.stop("b")
        await cluster.ask("a", "put_item", TableName="table", Item={"k": {"S": "2"}})
        await cluster.start("b")
        await cluster.wait_for(lambda: list(cluster.members("a").values()) == [{"a", "b#4", "c"}] * 2)
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


def test_an_index_that_one_node_adds_is_filled_and_read_through_others(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.ask("a", "create_table", **TABLE)
        for number in range(30):
            await cluster.ask("b", "put_item", TableName="table", Item={"k": {"S": str(number)}, "x": {"S": "y"}})
        await cluster.ask(
            "c", "update_table", TableName="table",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("k", "x")],
            GlobalSecondaryIndexUpdates=[{"Create": {
                "IndexName": "by-x", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }}],
        )  # fmt: skip
        for name in cluster.servers:
            await cluster.wait_until(lambda name=name: _is_active(cluster, name))  # type: ignore[misc]
            await cluster.wait_until(lambda name=name: _has_all(cluster, name))  # type: ignore[misc]

    async def _is_active(cluster: Cluster, name: str) -> bool:
        shown = (await cluster.ask(name, "describe_table", TableName="table"))["Table"]
        return [each["IndexStatus"] for each in shown["GlobalSecondaryIndexes"]] == ["ACTIVE"]

    async def _has_all(cluster: Cluster, name: str) -> bool:
        found = await cluster.ask(
            name, "query", TableName="table", IndexName="by-x", KeyConditionExpression="x = :x",
            ExpressionAttributeValues={":x": {"S": "y"}},
        )  # fmt: skip
        return len(found["Items"]) == 30

    run(etcd, story)


def test_items_expire_whoever_leads_and_after_the_leader_has_changed(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.ask("a", "create_table", **TABLE)
        await cluster.ask(
            "b", "update_time_to_live", TableName="table",
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"},
        )  # fmt: skip
        now = int(SystemClock().time())

        async def put(key: str) -> None:
            item = {"k": {"S": key}, "until": {"N": str(now - 10)}}
            await cluster.ask("c", "put_item", TableName="table", Item=item)

        async def is_empty() -> bool:
            return not (await cluster.ask("c", "scan", TableName="table", ConsistentRead=True))["Items"]

        await put("1")
        await cluster.wait_until(is_empty)
        await cluster.stop(next(name for name in ("a", "b") if cluster.leads(name)) if not cluster.leads("c") else "a")
        await put("2")
        await cluster.wait_until(is_empty)

    run(etcd, story)


def test_a_stream_is_read_through_any_node_and_outlives_its_leader_and_its_table(etcd: EtcdServer) -> None:
    async def story(cluster: Cluster) -> None:
        await three(cluster)
        stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
        await cluster.ask("a", "create_table", **TABLE, StreamSpecification=stream)
        await cluster.ask("b", "put_item", TableName="table", Item={"k": {"S": "1"}})
        leader = next(name for name in cluster.servers if cluster.leads(name))
        others = [name for name in cluster.servers if name != leader]
        assert [await cluster.records(name) for name in cluster.servers] == [["1"]] * 3
        await cluster.stop(leader)
        await cluster.ask(others[0], "put_item", TableName="table", Item={"k": {"S": "2"}})
        assert [await cluster.records(name) for name in others] == [["1", "2"]] * 2
        await cluster.ask(others[0], "delete_table", TableName="table")
        assert [await cluster.records(name) for name in others] == [["1", "2"]] * 2

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
