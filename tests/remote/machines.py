"""Several nodes in one process, on one loop: the real parts of a server, and a wire between them that can be cut.

Groups have one replica each, spread over the nodes: so any request is for somebody else more often than not, and
nothing here depends on elections. Who leads is moved by hand. The catalog is shared, as that of a cluster is.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from varley.api import operations
from varley.api.bulk_put import run_bulk_put
from varley.api.services import Services
from varley.bulk.operations import BulkOperations
from varley.bulk.runner import BulkRunner
from varley.clock import Clock, StoppedClock
from varley.cluster.definitions import Definitions
from varley.errors import ApiError, WorldError
from varley.expiry.sweeper import Sweeper
from varley.gateway.gateway import Gateway
from varley.gateway.participants import bind
from varley.http.call import Call
from varley.http.wire import as_api_error, error_body
from varley.indexes.abroad import Abroad
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog, Described
from varley.metadata.memory import MemoryStore
from varley.net.links import Links
from varley.net.outcome import NoAnswer, NotSent, Outcome
from varley.node.member import member_name
from varley.node.member_partition import MemberPartition
from varley.node.node import Node
from varley.node.partition import Partition
from varley.node.settled import Done
from varley.paxos.lease import Timing
from varley.paxos.membership import Configuration, Member
from varley.remote.hosted import Hosted
from varley.remote.memds_node import MemdsNode
from varley.remote.peers import Peers
from varley.remote.places import Places
from varley.remote.relay import Ask
from varley.router.memds import Group
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.settings import ClusterSettings, NodeSettings
from varley.storage.memory_log import MemoryLog
from varley.storage.tree_folder import NoFolder
from varley.streams.streams import Streams
from varley.transactions.abroad import Abroad as TransactionsAbroad
from varley.transactions.record import ledger_table
from varley.transactions.transactions import Transactions
from varley.vectors.search import VectorSearch

Body = dict[str, Any]
Heard = Callable[[Outcome], None]

PARTITIONS = 5
MS = 1000
TIMING = Timing(
    lease_us=400 * MS, beat_us=80 * MS, rest_us=120 * MS, together_us=20 * MS, election_us=430 * MS, spread_us=150 * MS,
    answer_us=80 * MS, resend_us=60 * MS,
    hand_over_us=300 * MS,
)  # fmt: skip
AUTHORIZATION = (
    b"AWS4-HMAC-SHA256 Credential=111122223333/20260101/eu-west-2/dynamodb/aws4_request, SignedHeaders=host, "
    b"Signature=" + b"0" * 64
)


class Answer:
    """The connection of one call: what the client gets. See http.call.Answering."""

    def __init__(self) -> None:
        self.given: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    def success(self, call: Call, body: bytes) -> bytes:
        self.given.set_result((200, body))
        return body

    def failure(self, call: Call, error: BaseException) -> bytes:
        if not isinstance(error, ApiError | WorldError):
            traceback.print_exception(error)    # a bug; the client is told of status 500
        told = as_api_error(error)
        self.given.set_result((told.status, error_body(told)))
        return b"failed"

    def settle(self, call: Call) -> None:
        pass


class Lease:
    """What a group of one says of its leading, and what a test lets it say. See remote.hosted.Lead."""

    def __init__(self, leader: str) -> None:
        self.is_leading = True
        self.ballot = 1
        self.leader: str | None = leader
        self.lapses = 0     # so many times yet, `may_answer` is not sure
        self.on_confirm: Callable[[Done], None] = lambda then: asyncio.get_running_loop().call_soon(then, None)  # type: ignore[assignment,return-value]

    def may_answer(self, ballot: int) -> bool:
        if self.lapses:
            self.lapses -= 1
            return False
        return ballot == self.ballot

    def confirm(self, then: Done) -> None:
        self.on_confirm(then)


class Wire:
    """Between all nodes. `cut`: nothing gets from the first to the second. `mute`: answers of the node are lost."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.cut: set[tuple[str, str]] = set()
        self.mute: set[str] = set()
        self.questions: list[tuple[str, str, int]] = []

    def of(self, sender: str) -> Ask:
        def ask(to: str, service: int, payload: bytes, then: Heard, *, timeout_seconds: float) -> None:
            loop = asyncio.get_running_loop()
            self.questions.append((sender, to, service))
            if (sender, to) in self.cut:
                loop.call_soon(then, NotSent("cut"))
                return

            def answer(answered: bytes) -> None:
                lost = to in self.mute
                loop.call_soon(then, NoAnswer("mute") if lost else answered)

            peers = self.machines[to].peers
            assert peers is not None
            loop.call_soon(peers.handlers[service], sender, payload, answer)

        return ask


class _Placing:
    """What a Router has in place of a Node: a new group has its replica somewhere."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def refusal(self) -> WorldError | None:
        return self._machine.node.refusal

    def create_group(self, group: int) -> Partition:
        return self._machine.cluster.place(self._machine, group)

    async def remove_group(self, group: int) -> None:
        if not self._machine.cluster.is_mirroring:
            await self._machine.cluster.remove(group)


class MirroredStreams(Streams):
    """What is told to one node is told to all."""

    def __init__(self, clock: Clock, machine: Machine) -> None:
        super().__init__(clock)
        self._machine = machine
        self.is_mirror = False

    def _others(self) -> list[MirroredStreams]:
        if self.is_mirror:
            return []
        return [each.streams for each in self._machine.cluster.machines if each is not self._machine]

    def _partitions(self, described: Described) -> Sequence[Partition]:
        machine = self._machine
        return [machine.partition(each.group) for each in described.partitions]

    def open(self, described: Described, partitions: Sequence[Partition]) -> None:
        super().open(described, partitions)
        for other in self._others():
            other.is_mirror = True
            other.open(described, other._partitions(described))
            other.is_mirror = False

    def redefine(self, described: Described, partitions: Sequence[Partition]) -> None:
        super().redefine(described, partitions)
        for other in self._others():
            other.is_mirror = True
            other.redefine(described, other._partitions(described))
            other.is_mirror = False

    def drop(self, table: Any) -> None:
        super().drop(table)
        for other in self._others():
            other.is_mirror = True
            other.drop(table)
            other.is_mirror = False


class Machine:
    """One node. `peers` is None if it is alone: then it is put together as a server on one machine is."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name = name
        self.cluster = cluster
        loop = asyncio.get_running_loop()
        clock = cluster.clock
        self.is_late = False    # it hears of no change of a table until `catch_up`
        self.peers: Peers | None = None
        self.links: Links | None = None
        if cluster.is_linked:
            self.links = Links(loop, name, cluster="tests")
        self.node = Node(
            loop, clock, engines=NoFolder(), overlay_bytes_max=1 << 30, log_bytes_max=1 << 30, on_fatal=_fatal,
            name=name, links=self.links, timing=TIMING, chance=random.Random(f"elections of {name}"),
            on_leading=lambda partition, ballot: self.definitions.begins_to_lead(partition, ballot),
            on_following=self._follows,
        )  # fmt: skip
        self.node.start(MemoryLog(on_durable=self.node.log_is_durable))
        self.hosted = Hosted(name)
        send = partial(cluster.send, name) if self.links is None else self.links.send
        self.memds = MemdsNode(loop, name, send, random.Random(f"memds of {name}"))
        if not cluster.is_single:
            ask = cluster.wire.of(name) if self.links is None else self.links.request
            self.peers = Peers(loop, clock, self.hosted, self.memds, ask)
            self.places = Places(loop, self.peers, cluster.members_of, cluster.remove)
            self.definitions = Definitions(
                loop, cluster.catalog, replica=self.hosted.copy, begins=self.places.begins_to_lead,
                hand_over=lambda group: self.node.members.by_group[group].hand_over_to_anybody(),
            )  # fmt: skip
        self.router = Router(self.node if self.peers is None else _Placing(self))
        chance = random.Random(name)
        abroad = None
        if self.peers is not None:
            abroad = TransactionsAbroad(self.peers, self.router, lambda *asked: bind(self.services, *asked))
        self.transactions = Transactions(loop, clock, chance, self.router, abroad)
        self.indexes = Indexes(
            loop, clock, cluster.catalog, self.router, delay_seconds=0.0, keep=self._keep,
            abroad=None if self.peers is None else Abroad(self.peers, self.definitions.is_current),
        )
        if self.peers is not None:
            self.router.watchers.append(self.definitions)
        self.streams: MirroredStreams = MirroredStreams(clock, self)
        self.router.watchers.append(self)
        settings = NodeSettings(in_memory=True, port=0)
        self.services = Services(
            settings=settings,
            cluster=ClusterSettings(initial_partitions=PARTITIONS),
            clock=clock,
            random=random.Random(f"ids of {name}"),
            catalog=cluster.catalog,
            router=self.router,
            sweeper=Sweeper(
                loop, clock, self.router, delay_seconds=0.0,
                leads=(lambda group: True) if self.peers is None else self.hosted.leads,
            ),
            bulk=BulkRunner(
                loop, clock, self.router, BulkOperations(cluster.store), None, run_bulk_put, self._keep
            ),
            vectors=VectorSearch(bytes_max=1 << 20),
            streams=self.streams,
            transactions=self.transactions,
            indexes=self.indexes,
            spawn=self._spawn,
        )
        self.tasks: set[asyncio.Task[None]] = set()
        self.gateway = None if self.peers is None else Gateway(self.peers, self.run_here)
        self.indexes.start()
        if self.peers is not None:
            self.places.on_leading += (self.indexes.begins_to_lead, self.services.sweeper.begins_to_lead)

    def _follows(self, partition: MemberPartition) -> None:
        self.definitions.follows(partition.group)
        self.places.follows(partition.group)

    def run_here(self, call: Call) -> bytes | None:
        return operations.run(self.services, call)

    def partition(self, group: int) -> Partition:
        """For this node's routes."""
        if self.peers is None:
            return next(
                each for route in self.router.routes() for each in route.partitions if each.group == group
            )
        return self.places.partition(group)

    async def ask(self, operation: str, body: Body) -> tuple[int, bytes]:
        """One request of a client of this node: status and body."""
        headers = {b"host": b"here", b"x-amz-date": b"20260101T000000Z", b"authorization": AUTHORIZATION}
        answer = Answer()
        call = Call(answer, operation, msgspec.json.encode(body), headers, AUTHORIZATION, 0.0)
        handle = self.run_here if self.gateway is None else self.gateway.handle
        try:
            found = handle(call)
        except Exception as error:
            call.fail(error)
        else:
            if found is not None:
                call.reply(found)
        return await asyncio.wait_for(answer.given, 20)

    def _spawn(self, work: Coroutine[Any, Any, bytes], call: Call) -> None:
        async def run() -> None:
            try:
                body = await work
            except Exception as error:
                call.fail(error)
            else:
                call.reply(body)

        self._keep(run())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # What is told to one node's router is told to all

    def opened(self, route: Route) -> None:
        described = self.cluster.catalog.get(route.name)
        if described is None or self.cluster.is_mirroring:
            return
        self.cluster.is_mirroring = True
        for other in self.cluster.machines:
            if other is not self and not other.is_late:
                other.hear_of(described)
        self.cluster.is_mirroring = False

    def hear_of(self, described: Described) -> None:
        is_known = described.table.name in self.router
        _step(self.router.update(described) if is_known else self.router.open_partitions(described))

    def catch_up(self) -> None:
        """It hears of what it has missed."""
        self.is_late = False
        self.cluster.is_mirroring = True
        for described in self.cluster.catalog:
            self.hear_of(described)
        self.cluster.is_mirroring = False

    def index_closed(self, index: GlobalIndexRoute) -> None:
        pass

    def closed(self, route: Route) -> None:
        if self.cluster.is_mirroring:
            return
        self.cluster.is_mirroring = True
        for other in self.cluster.machines:
            if other is not self and route.name in other.router:
                described = self.cluster.dropped[route.name]
                _step(other.router.close_partitions(described, keep_groups=True))
        self.cluster.is_mirroring = False

    async def stop(self) -> None:
        self.transactions.halt()
        self.indexes.close()
        await self.node.stop()


class Cluster:
    """`names`: one name is a server on one machine, as it is without all this."""

    def __init__(
        self, *names: str, clock: Clock | None = None, is_linked: bool = False, is_replicated: bool = False
    ) -> None:
        """`is_linked`: by sockets, in place of the wire. `is_replicated`: each group has a member on each node; they
        elect who leads, which takes time, and the clock has to go."""
        self.is_linked = is_linked or is_replicated
        self.is_replicated = is_replicated
        self._names = names
        self.clock: Clock = clock or StoppedClock()
        self.is_single = len(names) == 1
        self.founded: set[int] = set()
        self.ports: dict[str, int] = {}         # of links, by name
        self.numbers = len(names)               # of members, that were given to those of any group
        self._lives: dict[str, int] = {}
        self.stopped: set[str] = set()
        self.is_mirroring = False
        self.store = MemoryStore()
        self.catalog = _RememberingCatalog(self.store)
        self.dropped = self.catalog.dropped
        self.wire = Wire()
        self.machines = [Machine(name, self) for name in names]
        self.wire.machines.update((each.name, each) for each in self.machines)
        self.leases: dict[int, Lease] = {}

    def members_of(self, group: int) -> tuple[int, Sequence[str]]:
        return 1, self._names if self.is_replicated else [self.owner(group).name]

    async def _found(self, group: int) -> None:
        """Begin a group with a member on each node."""
        members = [Member(name, number) for number, name in enumerate(self._names, 1)]
        for each, member in zip(self.machines, members, strict=True):
            partition = await each.node.create_member(group, member, Configuration(tuple(members)))
            assert partition is not None
            each.places.hosts(partition, partition)
            each.memds.learn(group, Group(1, tuple(self._names)))

    def send(self, sender: str, to: str, channel: int, payload: bytes) -> None:
        """What MemDS says."""
        if to not in self.stopped and (sender, to) not in self.wire.cut:
            self.wire.machines[to].memds.heard(sender, payload)

    async def _link(self) -> None:
        ports = {each.name: await each.links.listen("127.0.0.1", 0) for each in self.machines if each.links}
        self.ports.update(ports)
        for each in self.machines:
            assert each.links is not None and each.peers is not None
            each.memds.serve(each.links)
            each.memds.start()
            each.peers.serve(each.links)
            for name, port in ports.items():
                if name != each.name:
                    each.links.set_address(name, "127.0.0.1", port)

    async def start(self) -> None:
        """The ledger of transactions, which is a group like any other."""
        if self.is_linked:
            await self._link()
        else:
            for each in self.machines:
                for name in self._names:
                    if name != each.name:
                        each.memds.is_connected(name, True)
        async with self.catalog.changes:
            [group] = (await self.catalog.create_ledger(ledger_table("ledger", self.clock.time()))).groups
        first = self.machines[0]
        opened = first.node.create_group(group) if self.is_single else self.place(first, group)
        for each in self.machines:
            each.transactions.open_ledger(opened if self.is_single else each.partition(group))

    def owner(self, group: int) -> Machine:
        return self.machines[group % len(self.machines)]

    def place(self, asking: Machine, group: int) -> Partition:
        owner = self.owner(group)
        if self.is_replicated:
            if group not in self.founded:
                self.founded.add(group)
                asking._keep(self._found(group))
        elif group not in owner.hosted.partitions:
            lease = self.leases[group] = Lease(owner.name)
            owner.places.hosts(owner.node.create_group(group), lease)
            self.announce(group, owner)
        return asking.partition(group)

    def announce(self, group: int, leader: Machine) -> None:
        leader.places.begins_to_lead(group, self.leases[group].ballot)

    async def remove(self, group: int) -> None:
        owner = self.owner(group)
        if group in owner.hosted.partitions:
            owner.places.hosts_no_more(group)
        if group in owner.node._replicas:
            await owner.node.remove_group(group)

    async def stop_one(self, machine: Machine) -> None:
        """It answers nobody any more."""
        self.stopped.add(machine.name)
        machine.memds.stop()
        if machine.links is not None:
            await machine.links.close()
        await machine.stop()

    async def rebuild(self, machine: Machine) -> Machine:
        """After `stop_one`: the node comes back with an empty disk, as another member of each group."""
        assert self.is_replicated and machine.name in self.stopped
        life = self._lives[machine.name] = self._lives.get(machine.name, 1) + 1
        again = Machine(machine.name, self)
        self.machines[self.machines.index(machine)] = again
        self.stopped.discard(machine.name)
        self.is_mirroring = True
        for described in self.catalog:
            _step(again.router.open_partitions(described))
            if described.table.streams:
                again.streams.is_mirror = True
                again.streams.open(described, again.streams._partitions(described))
                again.streams.is_mirror = False
        self.is_mirroring = False
        ledger = self.catalog.ledger
        assert ledger is not None
        again.transactions.open_ledger(again.partition(ledger.groups[0]))
        await self._link_one(again)
        others = [each for each in self.machines if each is not again]
        for group in self.founded:
            lost = member_name(machine.name, life - 1)
            self.numbers += 1
            known = [one for one in others[0].node.members.by_group[group].configuration[1].names if one != lost]
            member = Member(member_name(machine.name, life), self.numbers, votes=False, joins=True)
            partition = await again.node.create_learner(group, member, lost=lost, known=known)
            assert partition is not None
            again.places.hosts(partition, partition)
            again.memds.learn(group, Group(1, tuple(self._names)))
        return again

    async def _link_one(self, machine: Machine) -> None:
        assert machine.links is not None and machine.peers is not None
        port = await machine.links.listen("127.0.0.1", 0)
        machine.memds.serve(machine.links)
        machine.memds.start()
        machine.peers.serve(machine.links)
        for other in self.machines:
            if other is not machine:
                assert other.links is not None
                other.links.set_address(machine.name, "127.0.0.1", port)
                machine.links.set_address(other.name, "127.0.0.1", self.ports[other.name])
        self.ports[machine.name] = port

    async def stop(self) -> None:
        for each in self.machines:
            if each.name not in self.stopped:
                await self.stop_one(each)


class _RememberingCatalog(Catalog):
    """Knows what was deleted, so that the other nodes can be told."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.dropped: dict[str, Described] = {}

    async def delete(self, name: str, *, keep: Any = None) -> Described:
        described = await super().delete(name, keep=keep)
        self.dropped[name] = described
        return described


def _step(work: Coroutine[Any, Any, None]) -> None:
    """Run what does not wait."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def _fatal(error: BaseException) -> None:
    raise AssertionError(f"a node has failed: {error}")
