"""Groups over the real links, in memory, on a real loop: nothing here waits for a time, only for what happens."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from tests.node.writes import Write, number_of, row_key
from varley.clock import SystemClock
from varley.net.links import Links
from varley.node.member_partition import MemberPartition
from varley.node.node import Node
from varley.paxos.events import AddLearner
from varley.paxos.lease import Timing
from varley.paxos.membership import Configuration, Member
from varley.storage.memory_log import MemoryLog
from varley.storage.tree_folder import NoFolder

GROUP = 7
MS = 1000
TIMING = Timing(
    lease_us=400 * MS, beat_us=80 * MS, rest_us=120 * MS, together_us=20 * MS, election_us=430 * MS, spread_us=150 * MS,
    answer_us=80 * MS, resend_us=60 * MS,
    hand_over_us=300 * MS,
)  # fmt: skip
SECONDS = 30


class Future:
    """A waiter, to be awaited."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def reply(self, body: bytes) -> None:
        self.answer.set_result(body)

    def fail(self, error: BaseException) -> None:
        self.answer.set_exception(error)


class Cluster:
    def __init__(self) -> None:
        self.led: asyncio.Queue[MemberPartition] = asyncio.Queue()
        self.nodes: dict[str, Node] = {}
        self.links: dict[str, Links] = {}
        self.ports: dict[str, int] = {}

    async def node(self, name: str) -> Node:
        loop = asyncio.get_running_loop()
        links = Links(loop, name, cluster="test")
        port = await links.listen("127.0.0.1", 0)
        for other, other_links in self.links.items():
            other_links.set_address(name, "127.0.0.1", port)
            links.set_address(other, "127.0.0.1", self.ports[other])
        self.links[name], self.ports[name] = links, port
        node = self.nodes[name] = Node(
            loop, SystemClock(), overlay_bytes_max=1 << 20, log_bytes_max=1 << 20, engines=NoFolder(),
            on_fatal=_fail, name=name, links=links, chance=Random(name), timing=TIMING,
            on_leading=lambda partition, ballot: self.led.put_nowait(partition),
        )  # fmt: skip
        node.start(MemoryLog(on_durable=node.log_is_durable))
        return node

    async def leader(self) -> MemberPartition:
        while True:
            partition = await self.led.get()
            if partition.is_leading:
                return partition

    async def stop(self, name: str) -> None:
        await self.nodes.pop(name).stop()
        await self.links.pop(name).close()


def _fail(error: BaseException) -> None:
    raise error


async def write(partition: MemberPartition, write: Write) -> bytes:
    waiter = Future()
    answer = partition.write(write, waiter)
    return await waiter.answer if answer is None else answer


def test_a_group_over_real_links(caplog: Any) -> None:
    async def run() -> None:
        cluster = Cluster()
        members = tuple(Member(f"n{number}", number) for number in (1, 2, 3))
        configuration = Configuration(members)
        nodes = [await cluster.node(member.name) for member in members]
        for node, member in zip(nodes, members, strict=True):
            await node.create_member(GROUP, member, configuration)
        leader = await cluster.leader()
        for number in range(100):
            assert await write(leader, Write(f"row {number}", number)) == b"%d" % number
        # A fourth, which gets the state and then a vote.
        fourth = Member("n4", 4, votes=False, joins=True)
        node = await cluster.node("n4")
        partition = await node.create_learner(GROUP, fourth)
        assert partition is not None and leader.leader is not None
        assert cluster.nodes[leader.leader].reconfigure(GROUP, AddLearner(fourth)) is None
        while "n4" not in node.member_status(GROUP).configuration.voters:
            await write(leader, Write("row 0", 7))
        assert number_of(partition.get(row_key("row 99"))) == 99
        # The leader stops in good order; another goes on.
        first = leader.leader
        await cluster.stop(first)
        leader = await cluster.leader()
        assert leader.leader != first
        assert number_of(leader.get(row_key("row 0"))) == 7
        assert await write(leader, Write("row 1", 8)) == b"8"
        for name in list(cluster.nodes):
            await cluster.stop(name)

    async def in_time() -> None:
        async with asyncio.timeout(SECONDS):
            await run()

    asyncio.run(in_time())
    assert "an answer could not be given" not in caplog.text
