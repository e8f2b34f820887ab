"""Whole nodes in one process: real members of real groups, the parts that keep the cluster whole, links that can be
cut, one store of metadata. Nothing runs by itself: `settle` lets time pass. Disks are memory, so a node that is killed
is lost for good; one that is cut off keeps what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from tests.node.fake_links import FakeLinks, Network
from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter, Write
from varley.autoadmin.driver import Rules
from varley.autoadmin.keeper import Keeper
from varley.cluster.publishing import Publishing
from varley.metadata.following import follow
from varley.metadata.group_members import GroupMembers
from varley.metadata.memory import MemoryStore
from varley.metadata.nodes import NodeInfo, Nodes, Registration
from varley.net.outcome import NoAnswer, Outcome
from varley.node.member import node_of
from varley.node.member_partition import MemberPartition
from varley.node.node import Node
from varley.paxos.membership import Configuration, Member
from varley.remote.memds_node import MemdsNode
from varley.storage.memory_log import MemoryLog
from varley.storage.tree_folder import NoFolder


class LoopClock:
    def __init__(self, loop: SteppedLoop) -> None:
        self._loop = loop

    def time(self) -> float:
        return 1_700_000_000.0 + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()


class AdminLinks:
    """Outcomes as varley.net has them; of what was lost nobody knows anything."""

    def __init__(self, links: FakeLinks) -> None:
        self.links = links

    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Outcome], None], *, timeout_seconds: float
    ) -> None:
        self.links.request(
            to, service, payload, lambda outcome: then(outcome if isinstance(outcome, bytes) else NoAnswer("lost")),
            timeout_seconds=timeout_seconds,
        )  # fmt: skip

    def is_up(self, name: str) -> bool:
        return self.links.is_up(name)

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None:
        self.links.serve_requests(service, handler)


class Machine:
    def __init__(self, cluster: RealCluster, name: str, zone: str) -> None:
        self.cluster = cluster
        self.name = name
        loop, clock = cluster.loop, LoopClock(cluster.loop)
        self.is_up = True
        self.partitions: dict[int, MemberPartition] = {}
        links = cluster.network.join(name)
        self.node = Node(
            loop, clock, overlay_bytes_max=1 << 20, log_bytes_max=1 << 20, engines=NoFolder(), on_fatal=_fail,
            name=name, links=links, lease_clock_us=lambda: int(loop.time() * 1_000_000),
            chance=Random(cluster.random.random()),
            on_leading=lambda partition, ballot: self.partitions.update({partition.group: partition}),
        )  # fmt: skip
        self.node.start(MemoryLog(on_durable=self.node.log_is_durable))
        store = cluster.store
        self.nodes = Nodes(store)
        self.members = GroupMembers(store, cluster.founders)
        self.tasks: list[asyncio.Task[None]] = []
        keeper = self.keeper = Keeper(
            self.node, AdminLinks(links), store, self.nodes, self.members, cluster.rules, now=loop.time, clock=clock
        )
        self.hosted, self.orders = keeper.hosted, keeper.orders
        self.election, self.driver = keeper.election, keeper.driver
        keeper.serve(self.start)
        info = NodeInfo(
            format_version=1, name=name, zone=zone, api="", link_host="", link_port=0, data_id=name, version="0"
        )
        self.registration: Registration = loop.run(self.nodes.register(info))
        self.start(self.registration.hold())
        self.start(follow(store, [self.nodes, self.members, self.orders]))
        memds = MemdsNode(loop, name, links.send, Random(cluster.random.random()))     # nobody asks it here
        self.publishing = Publishing(loop, self.node, self.members, memds, self.start)
        self.publishing.start()
        keeper.start(self.start, lambda run: self.start(run()))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self.cluster.loop.create_task(work))

    def kill(self) -> None:
        """Gone for good: it says nothing to anybody, and its leases run out."""
        self.is_up = False
        self.cluster.network.leave(self.name)
        self.node.members.stop()
        self.publishing.stop()
        self.halt()
        self.cluster.loop.turns()

    def halt(self) -> None:
        """Nothing of what keeps the cluster whole is done by this one any more, at whatever point it is."""
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()


class RealCluster:
    def __init__(self, zones: dict[str, str], *, seed: int = 1, rules: Rules | None = None) -> None:
        self.random = Random(seed)
        self.loop = SteppedLoop()
        self.loop.run_for(1000)
        self.network = Network(self.loop, seed)
        self.rules = rules or Rules()
        self.store = self.loop.run(self._store())
        self.founded: dict[int, Configuration] = {}
        self.machines = {name: Machine(self, name, zone) for name, zone in zones.items()}

    async def _store(self) -> MemoryStore:
        return MemoryStore(LoopClock(self.loop))

    def founders(self, groups: Sequence[int]) -> dict[int, Configuration]:
        return {group: self.founded[group] for group in groups}

    def found(self, group: int, *names: str) -> None:
        members = tuple(Member(name, number) for number, name in enumerate(names, 1))
        self.founded[group] = Configuration(members)
        someone = self.machines[names[0]].members
        assert self.loop.run(self.store.compare_and_set(someone.founding([group]))) is not None
        for member in members:
            self.loop.run(self.machines[member.name].node.create_member(group, member, self.founded[group]))

    def settle(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.loop.run_for(0.1)
            for machine in self.machines.values():
                while machine.is_up and any(
                    member.has_tree and member.tree.is_frozen for member in machine.node.members.by_group.values()
                ):
                    self.loop.wait_for_call()

    def settle_until(self, is_so: Callable[[], bool], seconds: float = 300) -> None:
        for _ in range(int(seconds * 2)):
            if is_so():
                return
            self.settle(0.5)
        raise AssertionError({group: self.shape(group) for group in self.founded})

    def leader(self, group: int) -> MemberPartition | None:
        for machine in self.machines.values():
            partition = machine.partitions.get(group)
            if machine.is_up and partition is not None and partition.is_leading:
                return partition
        return None

    def lead(self, group: int) -> str:
        """The node that leads it, after waiting for one."""
        self.settle_until(lambda: self.leader(group) is not None, 20)
        partition = self.leader(group)
        assert partition is not None and partition.leader is not None
        return partition.leader

    def configuration(self, group: int) -> Configuration:
        name = self.lead(group)
        return self.machines[name].node.member_status(group).configuration

    def shape(self, group: int) -> list[tuple[str, str, bool]]:
        """(node, kind, votes) of each member."""
        if self.leader(group) is None:
            return []
        return sorted((node_of(one.name), one.kind, one.votes) for one in self.configuration(group).members)

    def write(self, group: int, key: str, number: int) -> None:
        self.lead(group)
        partition = self.leader(group)
        assert partition is not None
        waiter = Waiter()
        answer = partition.write(Write(key, number), waiter)
        if answer is None:
            self.settle_until(lambda: waiter.answers != [], 20)
            assert waiter.answers == [b"%d" % number], waiter.answers

    def stop(self) -> None:
        for machine in self.machines.values():
            if machine.is_up:
                machine.kill()
        self.loop.close()


def _fail(error: BaseException) -> None:
    raise error
