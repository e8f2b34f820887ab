"""One node of a cluster: every part of it is built and wired here, as server.py does for a server that is alone.

    clients ---> front door ---> gateway ---> api ---> router ---> partitions, wherever they are
                                    |                                 |                 |
                                    +--- links to other nodes <-------+                node: the replicas here
                                                |                                       |
                   etcd: nodes, tables, members of groups, followed by one watch      log, trees

Start: lock the data folder; reach etcd; read the tables and the members of groups; say that this node is up, which
fails if another has its name; open the log and the trees; go on with the members that are here; serve clients. So a
node takes part in its groups a moment before it answers clients.

Stop: say that it is down, so that nothing new comes; let others lead what is led here; let requests end; make
everything durable. A client of another node notices nothing, one of this node only that its connection ends.

While etcd is away everything goes on as it is: groups elect leaders among themselves, requests find them, tables stay
as they are, and a node starts by what it remembers (cluster/remembering.py). What cannot be done is to change tables,
to replace members, and to start a node that was never in the cluster.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import shutil
import uuid
from collections.abc import Coroutine, Iterable
from time import perf_counter
from typing import Any, Final

import msgspec

from varley import __version__
from varley.admin import readings
from varley.api import operations
from varley.api.services import Services
from varley.assembly.background import Abroad, Background
from varley.assembly.life import Life
from varley.assembly.link_tls import link_tls
from varley.assembly.opened_log import Log, engines_of, open_log
from varley.assembly.ports import Ports
from varley.assembly.services import services
from varley.assembly.split_pages import SplitPages
from varley.assembly.tables import drop_tables
from varley.assembly.tasks import Tasks, answer, of_tasks
from varley.autoadmin.driver import Rules
from varley.autoadmin.health import Trust
from varley.autoadmin.keeper import Keeper
from varley.autoadmin.repair import Patience
from varley.bulk.owning import Owning
from varley.clock import Clock
from varley.cluster.agreement import Agreement
from varley.cluster.definitions import Definitions
from varley.cluster.everywhere import Everywhere
from varley.cluster.founders import is_serving, machines
from varley.cluster.hosting import Hosting
from varley.cluster.knowledge import Knowledge
from varley.cluster.neighbours import Neighbours
from varley.cluster.pages import ClusterPages
from varley.cluster.placing_pages import PlacingPages
from varley.cluster.publishing import Publishing
from varley.cluster.readings import of_groups, of_links, of_memds, of_metadata
from varley.cluster.split_home import ClusterHome
from varley.cluster.status import Status
from varley.cluster.tables import Tables
from varley.errors import NodesMissing, WorldError
from varley.gateway.gateway import Gateway
from varley.gateway.participants import bind
from varley.http.call import Call
from varley.indexes.abroad import Abroad as IndexesAbroad
from varley.listening import cannot_listen, in_url, reachable
from varley.metadata.catalog import Catalog
from varley.metadata.group_members import GroupMembers
from varley.metadata.nodes import FORMAT_VERSION, NodeInfo, Nodes, Registration
from varley.net.links import Links
from varley.node.member_partition import MemberPartition
from varley.node.node import Node
from varley.remote.by_quorum import ByQuorum, by_lease
from varley.remote.hosted import Hosted
from varley.remote.memds_node import MemdsNode
from varley.remote.peers import Peers
from varley.remote.places import Places
from varley.router.routes import Router
from varley.settings import LEASE, ClusterSettings, MemberSettings, NodeSettings
from varley.storage.data_folder import DataFolder
from varley.storage.opening import Expected, OpenData
from varley.storage.refusing_log import RefusingLog
from varley.transactions.abroad import Abroad as TransactionsAbroad

logger = logging.getLogger("varley.cluster")

_CALLS_SECONDS: Final = 5.0             # for calls to end whose connections are closed already
_WORK_SECONDS: Final = 10.0             # for what is done for groups to end
_LEAVE_SECONDS: Final = 2.0             # for etcd to hear that this node is down; else its lease ends
_LEDGER_SECONDS: Final = 10.0           # how long the first nodes wait for others, before they found it without them
_LOOK_SECONDS: Final = 0.1


class ClusterServer(Life):
    """See Life."""

    def __init__(self, node: NodeSettings, cluster: ClusterSettings, member: MemberSettings, clock: Clock) -> None:
        assert member.cluster is not None and member.name is not None
        super().__init__(node)
        self._cluster = cluster
        self._member = member
        self._url = member.cluster
        self.name = member.name
        self._clock = clock
        self._random = random.Random(random.SystemRandom().getrandbits(128))    # ids of tables and transactions
        self._loop: asyncio.AbstractEventLoop
        self._calls = Tasks("calls")            # what takes longer than its step of the loop, on behalf of a call
        self._followers = Tasks("followers")    # what runs until this node stops
        self._work = Tasks("groups")            # what is done for groups
        self._does_node_run = False    # between node.start and node.stop or node.halt
        # Built by _open(), in this order.
        self._folder: DataFolder | None = None    # None: in memory
        self._known: Knowledge | None = None
        self._links: Links | None = None
        self._nodes: Nodes
        self._members: GroupMembers
        self._catalog: Catalog
        self._registration: Registration | None = None
        self._hosted: Hosted
        self._memds: MemdsNode | None = None
        self._neighbours: Neighbours
        self._peers: Peers
        self._places: Places
        self._definitions: Definitions
        self._node: Node
        self._hosting: Hosting | None = None
        self._publishing: Publishing | None = None
        self._keeper: Keeper
        self._router: Router
        self._background: Background | None = None
        self._tables: Tables
        self._owning: Owning
        self._agreement: Agreement
        self._services: Services
        self._gateway: Gateway
        self._log: Log
        self._ports: Ports | None = None
        self.port = 0
        self.link_port = 0
        self.admin_port: int | None = None

    async def _open(self) -> None:
        """Raises WorldError: the folder, a port, a setting or etcd is not usable, or the disk failed."""
        self._loop = asyncio.get_running_loop()
        if not self._settings.in_memory:
            self._folder = await self._loop.run_in_executor(None, DataFolder.open, self._settings.data_dir)
        await self._open_metadata()
        await self._open_links()
        opened = await self._open_storage()
        self._open_background()
        self._serve_groups(opened)
        await self._open_ports()

    # Start, in this order

    async def _open_metadata(self) -> None:
        """The views of what etcd has, and this node's place in them."""
        known = self._known = await Knowledge.open(
            self._loop, self._url, self.name, self._folder, replicas=self._cluster.replicas, keep=self._work.start
        )
        self._nodes, self._members, self._catalog = known.nodes, known.members, known.catalog

    async def _open_links(self) -> None:
        member, known = self._member, self._known
        assert known is not None
        links = self._links = Links(
            self._loop, self.name, cluster=f"cluster {known.store.address.prefix}", tls=link_tls(member)
        )
        try:
            self.link_port = await links.listen(self._settings.host, member.link_port)
        except OSError as error:
            raise cannot_listen(error, self._settings.host, member.link_port, "link_port") from error
        self._neighbours = Neighbours(links, self._nodes)
        self._registration = await known.register(self._info(api=""))

    def _info(self, *, api: str) -> NodeInfo:
        """What this node says of itself; without an API while it starts."""
        return NodeInfo(
            format_version=FORMAT_VERSION,
            name=self.name,
            zone=self._member.zone,
            api=api,
            link_host=self._advertised,
            link_port=self.link_port,
            data_id=str(uuid.uuid4()) if self._folder is None else self._folder.id,
            version=__version__,
            capacity=self._member.capacity,
            machine=self._member.machine,
        )

    @property
    def _advertised(self) -> str:
        return self._member.advertise or reachable(self._settings.host)

    async def _open_storage(self) -> OpenData | None:
        """The node, with its log open, and nothing on it yet; gives what recovery found. None: in memory."""
        settings, known = self._settings, self._known
        assert known is not None
        engines = engines_of(self._folder)
        self._node = Node(
            self._loop,
            self._clock,
            engines=engines,
            overlay_bytes_max=settings.checkpoint_overlay_bytes,
            log_bytes_max=settings.checkpoint_log_bytes + settings.segment_bytes,
            on_fatal=self.fail,
            name=self.name,
            links=self._links,
            on_leading=self._on_leading,
            on_following=self._on_following,
        )
        expected = Expected((), self._catalog.groups_given, {}, members=known.groups_here())
        self._log, opened = await open_log(
            self._loop, self._node, self._folder, engines, expected, segment_bytes=settings.segment_bytes
        )
        self._node.start(self._log)
        self._does_node_run = True
        return opened

    def _open_background(self) -> None:
        """Routes, and what works on tables by itself."""
        links, settings, known = self._links, self._settings, self._known
        assert links is not None and known is not None
        self._hosted = Hosted(self.name)
        memds = self._memds = MemdsNode(self._loop, self.name, links.send, self._random, known.is_gone)
        peers = self._peers = Peers(self._loop, self._clock, self._hosted, memds, links.request)
        self._places = Places(self._loop, peers, self._members_of, _leave_to_hosting, lambda: self._node.refusal)
        self._router = Router(self._places, index_backlog_bytes=settings.index_backlog_bytes)
        self._definitions = Definitions(
            self._loop, self._catalog, replica=self._hosted.copy, begins=self._places.begins_to_lead,
            hand_over=lambda group: self._node.members.by_group[group].hand_over_to_anybody(),
        )  # fmt: skip
        background = self._background = Background(
            self._loop,
            self._clock,
            self._random,
            settings=settings,
            cluster=self._cluster,
            store=known.store,
            catalog=self._catalog,
            node=self._places,
            router=self._router,
            abroad=Abroad(
                home=self._split_home,
                leads=self._hosted.leads,
                indexes=lambda: IndexesAbroad(peers, self._definitions.is_current),
                transactions=lambda router: TransactionsAbroad(
                    peers, router, lambda operation, actions: bind(self._services, operation, actions)
                ),
            ),
        )
        background.transactions.why_no_ledger = NodesMissing("The cluster has no ledger of transactions yet")
        self._places.on_leading += (
            background.indexes.begins_to_lead, background.sweeper.begins_to_lead, background.splits.begins_to_lead,
        )  # fmt: skip
        self._router.watchers.append(self._definitions)
        background.bulk.operations.see(known.first)
        background.bulk.peers, background.bulk.name = peers, self.name
        self._owning = Owning(self._loop, background.bulk, self._nodes, self._clock, background.tasks.start)
        self._tables = Tables(
            self._catalog, self._places, self._router, background.streams, background.sweeper, background.transactions,
            background.indexes, self._peers.memds,
        )  # fmt: skip
        self._services = services(
            settings,
            self._cluster,
            self._clock,
            self._random,
            catalog=self._catalog,
            router=self._router,
            background=background,
            spawn=self._spawn,
        )
        self._gateway = Gateway(peers, self._run_here)

    def _serve_groups(self, opened: OpenData | None) -> None:
        """In one step of the loop: tables, the members that are here, and what other nodes ask."""
        links, known, background, memds = self._links, self._known, self._background, self._memds
        assert links is not None and known is not None and background is not None and memds is not None
        assert self._registration is not None
        self._hosting = Hosting(
            self._loop, self._node, self._members, self._hosted, memds, known.remembering, self._work.start,
            lead_of=by_lease if self._cluster.strong_reads == LEASE else ByQuorum,
        )  # fmt: skip
        self._hosting.parent_in_map = self._catalog.parent_of
        self._hosting.on_opened = self._on_leading
        self._publishing = Publishing(self._loop, self._node, self._members, memds, self._work.start)
        self._keeper = self._made_keeper(links, known, self._hosting)
        self._agreement = Agreement(self._loop, links, self._catalog, lambda: self._neighbours)
        self._status = Status(
            self._loop, known.store.address.prefix, links, self._node, self._nodes, self._neighbours, self._members,
            self._catalog, memds,
        )  # fmt: skip
        self._tables.open_all()
        memds.serve(links)
        memds.start()
        self._peers.serve(links)
        self._hosting.start(
            {} if opened is None else opened.members,
            {} if opened is None else opened.trees,
            groups_before=known.groups_before,
            is_old=known.is_old,
        )
        self._publishing.start()
        background.start_in_cluster()
        self._owning.start()
        self._tables.is_serving = True
        self._followers.start(known.follow([self._keeper.orders, background.bulk.operations], self._hosting))
        self._followers.start(self._hold(self._registration))
        self._followers.keep_running(lambda: self._found_ledger(background))
        self._keeper.serve(self._work.start)
        self._keeper.start(self._followers.start, self._followers.keep_running)

    def _made_keeper(self, links: Links, known: Knowledge, hosting: Hosting) -> Keeper:
        cluster = self._cluster
        rules = Rules(
            replicas=cluster.replicas,
            patience=Patience(cluster.suspect_seconds, cluster.replace_seconds),
            trust=Trust(lost_seconds=cluster.replace_seconds),
            balances=cluster.balance,
        )
        log = self._log
        disk = None
        if not isinstance(log, RefusingLog):
            written = log.statistics
            disk = lambda: (written.frames, written.seconds(perf_counter()))    # noqa: E731 (nobody calls it here)
        folder = self._folder
        free_bytes = None if folder is None else lambda: shutil.disk_usage(folder.path).free
        keeper = Keeper(
            self._node, links, known.store, self._nodes, self._members, rules, now=self._loop.time, clock=self._clock,
            begin=hosting.begin, end=hosting.end, disk=disk, free_bytes=free_bytes,
        )  # fmt: skip
        known.founders.may_found = lambda info: is_serving(info) and info.name not in keeper.orders.draining
        return keeper

    async def _open_ports(self) -> None:
        background, known, links = self._background, self._known, self._links
        assert background is not None and known is not None and links is not None and self._memds is not None
        pages = ClusterPages(
            self._status, links, self._neighbours, is_development=self._settings.clock_is_movable
        )
        everywhere = Everywhere(
            self._loop, links, self._nodes, self._clock, is_development=self._settings.clock_is_movable,
            rotate=background.streams.rotate, drop_tables=self._drop_tables, forget=background.transactions.forget,
            keep=self._work.start,
        )  # fmt: skip
        everywhere.serve()
        self._ports = Ports(
            self._settings,
            self._clock,
            self._gateway.handle,
            why_not_ready=self._why_not_ready,
            warning=lambda: known.warning,
            counters=self._router.counters,
            readings=[
                functools.partial(readings.of_log, self._log),
                functools.partial(readings.of_node, self._node),
                functools.partial(readings.of_tables, self._catalog, self._router, background.sweeper),
                functools.partial(readings.of_indexes, background.indexes),
                functools.partial(of_links, links),
                functools.partial(of_memds, self._memds),
                functools.partial(of_groups, self._node),
                lambda: of_metadata(known.trouble),
                functools.partial(of_tasks, self._calls, self._followers, self._work, background.tasks),
            ],
            rotate_shards=background.streams.rotate,
            more_pages={
                **pages.pages(),
                **PlacingPages(self._keeper).pages(),
                **SplitPages(background.splits, self._peers.know_sums).pages(),
                **everywhere.pages(),
            },
            shares_port=self._member.share_port,
        )
        await self._ports.open()
        self.port, self.admin_port = self._ports.port, self._ports.admin_port
        assert self._registration is not None
        api = f"{self._settings.scheme}://{in_url(self._advertised)}:{self.port}"
        await self._registration.say(msgspec.structs.replace(self._registration.info, api=api))

    # What runs until it stops

    async def _hold(self, registration: Registration) -> None:
        try:
            await registration.hold()
        except Exception as error:    # its lease has ended, or will: others take this node for lost
            self.fail(error)

    async def _found_ledger(self, background: Background) -> None:
        """Once in the life of a cluster: by whoever is first, when there are nodes for all of its replicas, or no more
        of them come."""
        deadline = self._loop.time() + _LEDGER_SECONDS
        while self._catalog.ledger is None:
            serving = machines(self._nodes)
            if serving >= self._cluster.replicas or (serving and self._loop.time() > deadline):
                try:
                    self._tables.open_ledger(await background.create_ledger_in_cluster())
                except WorldError as error:
                    logger.warning("the ledger of transactions is made later: %s", error)
            await asyncio.sleep(_LOOK_SECONDS)

    # Groups

    def _on_leading(self, partition: MemberPartition, ballot: int) -> None:
        assert self._hosting is not None
        self._hosting.attach(partition.group, partition)
        if partition.group not in self._hosted.closed:    # else when it has all: see cluster/hosting.py
            self._definitions.begins_to_lead(partition, ballot)

    def _on_following(self, partition: MemberPartition) -> None:
        self._definitions.follows(partition.group)
        self._places.follows(partition.group)

    def _split_home(self, background: Background) -> ClusterHome:
        def abroad() -> IndexesAbroad:
            assert background.indexes.abroad is not None
            return background.indexes.abroad

        return ClusterHome(
            self._hosted, self._places, abroad, lambda described, split: self._tables.split(described, split)
        )

    def _members_of(self, group: int) -> tuple[int, Iterable[str]]:
        assert self._hosting is not None
        return self._hosting.members_of(group)

    # Requests

    def _run_here(self, call: Call) -> bytes | None:
        return operations.run(self._services, call)

    def _spawn(self, work: Coroutine[Any, Any, bytes], call: Call) -> None:
        """Run `work` and answer `call` with what it returns or raises."""
        self._calls.start(answer(self._agreed(work), call))

    async def _agreed(self, work: Coroutine[Any, Any, bytes]) -> bytes:
        """If tables or bulk operations were changed: answered when all nodes know."""
        before = self._made()
        body = await work
        if self._made() != before:
            await self._agreement.wait_seen(self._made())
        return body

    async def _drop_tables(self) -> None:
        assert self._background is not None
        await drop_tables(self._catalog, self._places, self._router, self._background)
        await self._agreement.wait_seen(self._made())

    def _made(self) -> int:
        assert self._background is not None
        return max(self._catalog.made, self._background.bulk.operations.made)

    def _why_not_ready(self) -> str | None:
        """For `/ready`: in a few words why other nodes should be asked, or None."""
        if self._is_stopping:
            return "stopping"
        if self._catalog.ledger is None:
            return "the cluster has no ledger yet: nodes are missing"
        refusal = self._node.refusal
        return None if refusal is None else f"writes are refused: {refusal.problem}"

    # Stopping

    async def _wind_down(self, failure: Exception | None) -> None:
        assert self._ports is not None and self._background is not None
        assert self._hosting is not None and self._publishing is not None
        if failure is None:
            await self._leave()
            self._hosting.stop()
            await self._node.stop_leading()
        await self._ports.door.drain(self.drain_seconds)
        await self._calls.end_within(_CALLS_SECONDS)
        self._publishing.stop()
        if failure is None:
            self._owning.stop()
            await self._background.stop_in_cluster()
            assert self._known is not None
            self._known.remembering.stop()
            await self._work.end_within(_WORK_SECONDS)
            await self._known.remembering.save()
            self._does_node_run = False
            await self._node.stop()

    def _hurry(self) -> None:
        if self._ports is not None:
            self._ports.door.close_now()

    async def _leave(self) -> None:
        """Others place nothing here any more."""
        registration, self._registration = self._registration, None
        await self._followers.cancel()
        if registration is not None:
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await registration.leave()
            except (WorldError, TimeoutError):
                pass    # etcd is away: the lease ends by itself

    async def _close(self) -> None:
        await self._leave()
        if self._hosting is not None:
            self._hosting.stop()
        if self._publishing is not None:
            self._publishing.stop()
        if self._memds is not None:
            self._memds.stop()
        if self._ports is not None:
            await self._ports.close()
        if self._background is not None:
            await self._background.halt()
        if self._does_node_run:
            self._does_node_run = False
            await self._node.halt()
        await self._work.cancel()
        if self._links is not None:
            await self._links.close()
        if self._known is not None:
            await self._known.close()
        if self._folder is not None:
            self._folder.close()


async def _leave_to_hosting(group: int) -> None:
    """A group that no table has any more is removed when the metadata says so: see cluster/hosting.py."""
