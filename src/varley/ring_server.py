"""One process of a ring: links to the other nodes, the node, the front door of its clients, the admin port.

    clients ---> front door ---> ring_api ---> RingNode ---> engine
                                                  |
                                                links ---> other nodes

Start: listen for nodes and for clients, so that both ports are known; open the node, which tells them to the others;
join, if this node has never heard of a ring. Until the node is open a request is answered `Unavailable`, and `/ready`
is false until it is a member. Stop: let requests end, flush, close.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from typing import Any, Final

from varley.admin.metrics import Metrics, Reading
from varley.admin.pages import Pages
from varley.admin.port import AdminPort
from varley.assembly.door_settings import door_settings
from varley.assembly.life import Life
from varley.assembly.link_tls import link_tls
from varley.assembly.tasks import Tasks, of_tasks
from varley.clock import Clock, SystemClock
from varley.counters import Counters
from varley.errors import BadSettings, WorldError
from varley.http.call import Call
from varley.http.server import FrontDoor
from varley.http.visit import Visit
from varley.listening import cannot_listen, in_url, reachable
from varley.net.links import Links
from varley.ring.siblings import Mode
from varley.ring_api.answer import WORDING, error_response
from varley.ring_api.handler import RingHandler
from varley.ring_api.readings import readings
from varley.ring_api.resources import OPERATIONS, operation_of
from varley.ring_node.node import RingNode
from varley.ring_node.service import Unavailable
from varley.ring_node.settings import BucketSettings, RingNodeSettings, RingSettings
from varley.settings import NodeSettings, RingFlags

logger = logging.getLogger("varley.ring")

LINK_PORT_ABOVE: Final = 10_000     # above the port of clients, unless a setting says otherwise
_JOIN_AGAIN_SECONDS: Final = 1.0
_CALLS_SECONDS: Final = 5.0         # for calls to end whose connections are closed already


class RingServer(Life):
    """See Life."""

    def __init__(self, node: NodeSettings, flags: RingFlags, clock: Clock | None = None) -> None:
        """Raises BadSettings."""
        super().__init__(node)
        self._flags = flags
        self._own = own_settings(node, flags)
        self._ring = agreed_settings(flags)
        self._clock = clock or SystemClock()
        self._calls = Tasks("calls")    # what takes longer than its step of the loop, on behalf of a call
        self._links: Links | None = None
        self._door: FrontDoor | None = None
        self._admin: AdminPort | None = None
        self._node: RingNode | None = None
        self._handler: RingHandler | None = None        # None until the node is open
        self.port = 0
        self.link_port = 0
        self.admin_port: int | None = None

    @property
    def endpoint(self) -> str:
        """As clients on other machines reach it."""
        return f"{self._settings.scheme}://{in_url(self._advertised)}:{self.port}"

    @property
    def link_address(self) -> str:
        return f"{self._advertised}:{self.link_port}"

    @property
    def name(self) -> str:
        return self._own.name

    async def start(self) -> None:
        """Return when the node is open and a member, or is told to stop. Raises WorldError when it cannot be."""
        await super().start()
        assert self._node is not None
        if self._flags.join and not self._node.members.history.changes:
            try:
                await self._join(self._node)    # this may take for ever: it can be told to stop already
            except BaseException:
                await self.stop()
                raise

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        await self._listen(loop)
        self._node = RingNode(
            self._own, self._ring, loop=loop, links=self._links_made, address=self.link_address,
            endpoint=self.endpoint, clock=self._clock,
        )  # fmt: skip
        await self._node.start()
        self._handler = RingHandler(self._node, self._calls.start)
        await self._open_admin_port(self._node)

    @property
    def _advertised(self) -> str:
        return self._flags.advertise or reachable(self._settings.host)

    @property
    def _links_made(self) -> Links:
        assert self._links is not None
        return self._links

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        settings, flags = self._settings, self._flags
        self._links = Links(loop, self.name, cluster=f"ring {self._ring.name}", tls=link_tls(flags))
        self._door = FrontDoor(
            self._handle,
            operations=OPERATIONS,
            resources=operation_of,
            wording=WORDING,
            is_ready=self._is_ready,
            settings=door_settings(settings),
        )
        try:
            self.port = await self._door.start(settings.host, settings.port)
        except OSError as error:
            raise cannot_listen(error, settings.host, settings.port) from error
        wanted = flags.link_port
        if wanted is None:
            wanted = settings.port + LINK_PORT_ABOVE if settings.port else 0
        try:
            self.link_port = await self._links.listen(settings.host, wanted)
        except (OSError, OverflowError) as error:
            if isinstance(error, OverflowError):
                error = OSError(f"there is no port {wanted}: set --link-port")
            raise cannot_listen(error, settings.host, wanted, "link_port") from error

    async def _open_admin_port(self, node: RingNode) -> None:
        if self._settings.admin_port is None:
            return
        assert self._door is not None

        def of_the_ring() -> Iterator[Reading]:
            assert self._door is not None
            yield Reading("varley_connections", self._door.connections)
            yield from readings(node)
            yield from of_tasks(self._calls)

        pages = Pages(
            Metrics(self._door.traffic, Counters(), [of_the_ring]),
            self._clock,
            movable_clock=None,
            why_not_ready=lambda: None if self._is_ready() else "not a member of a ring, or stopping",
        )
        self._admin = AdminPort(pages, self._settings.admin_host, self._settings.admin_port)
        await self._admin.start()
        self.admin_port = self._admin.port

    async def _join(self, node: RingNode) -> None:
        """Until a seed answers: nodes of a ring are started in any order."""
        while not self._is_stopping:
            try:
                await node.join()
                return
            except BadSettings:
                raise
            except WorldError as error:
                if not self._is_stopping:
                    logger.warning("this node is not in the ring yet: %s", error)
                    await asyncio.sleep(_JOIN_AGAIN_SECONDS)

    def _handle(self, call: Call) -> bytes | None:
        if self._handler is None:
            assert isinstance(call, Visit)
            call.respond(error_response(Unavailable("this node is starting")), error="Unavailable")
            return None
        return self._handler(call)

    def _is_ready(self) -> bool:
        return self._node is not None and self._handler is not None and self._node.is_ready()

    async def _wind_down(self, failure: Exception | None) -> None:
        assert self._door is not None
        await self._door.drain(self.drain_seconds)
        await self._calls.end_within(_CALLS_SECONDS)

    def _hurry(self) -> None:
        if self._door is not None:
            self._door.close_now()

    async def _close(self) -> None:
        try:
            if self._node is not None:
                await self._node.stop()
        finally:
            if self._door is not None:
                self._door.close_now()
            if self._admin is not None:
                await self._admin.stop()
            if self._links is not None:
                await self._links.close()


# ---- Settings of the ring, from flags


def own_settings(node: NodeSettings, flags: RingFlags) -> RingNodeSettings:
    """Raises BadSettings."""
    if not flags.name:
        raise BadSettings(
            "A node of a ring has a name, and this one was given none",
            hint="varley ring serve --name a; or `varley ring up` for a whole ring on this machine",
        )
    return RingNodeSettings(
        name=flags.name,
        data_dir=None if flags.engine == "memory" else os.path.abspath(node.data_dir),
        zone=flags.zone,
        capacity=flags.capacity,
        seeds=seeds_of(flags.seeds),
        engine=flags.engine,
        write_buffer_bytes=flags.write_buffer_bytes,
        replica_timeout_seconds=flags.replica_timeout_seconds,
        request_timeout_seconds=flags.request_timeout_seconds,
        linger_seconds=flags.linger_seconds,
        tombstone_grace_seconds=flags.tombstone_grace_seconds,
        background_threshold_seconds=flags.background_threshold_seconds,
    )


def agreed_settings(flags: RingFlags) -> RingSettings:
    """Raises BadSettings."""
    default = BucketSettings(n=flags.n, r=flags.r, w=flags.w, mode=_mode(flags.mode))
    return RingSettings(
        name=flags.ring_name,
        strategy=flags.strategy,
        partitions=flags.partitions,
        tokens=flags.tokens,
        default=default,
        buckets=buckets_of(flags.buckets, default),
    )


def seeds_of(text: str) -> dict[str, tuple[str, int]]:
    """ "a=10.0.0.1:18101,b=10.0.0.2:18101". Raises BadSettings."""
    seeds = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, address = part.partition("=")
        host, _, port = address.rpartition(":")
        if not name or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise BadSettings(
                f"{part!r} is no seed",
                hint="A seed is name=host:port with the node's link port: a=10.0.0.1:18101",
            )
        seeds[name] = (host.strip("[]"), int(port))
    return seeds


def buckets_of(text: str, default: BucketSettings) -> dict[str, BucketSettings]:
    """ "sessions:n=3,r=1,w=1,mode=last-write-wins;carts:w=1"; what is not said is the default's. Raises BadSettings."""
    buckets = {}
    for part in filter(None, (each.strip() for each in text.split(";"))):
        name, _, numbers = part.rpartition(":")
        chosen: dict[str, Any] = {"n": default.n, "r": default.r, "w": default.w, "mode": default.mode}
        for pair in numbers.split(","):
            what, _, value = (piece.strip() for piece in pair.partition("="))
            if what == "mode":
                chosen[what] = _mode(value)
            elif what in ("n", "r", "w") and value.isdecimal():
                chosen[what] = int(value)
            else:
                raise BadSettings(
                    f"{part!r} is no bucket", hint="A bucket is name:n=3,r=2,w=2,mode=siblings; several by semicolons"
                )
        buckets[name] = BucketSettings(**chosen)
    return buckets


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise BadSettings(f"mode is {text!r}", hint=f"It is {' or '.join(mode.value for mode in Mode)}") from None
