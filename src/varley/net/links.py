"""What a node uses to talk to others: `Links`.

    links = Links(loop, "n1", cluster="music")
    port = await links.listen("0.0.0.0", 0)
    links.set_address("n2", "10.0.0.2", 7000)
    links.serve_messages(PAXOS, step)
    links.send("n2", PAXOS, payload)
    links.request("n2", FORWARD, payload, then, timeout_seconds=5)

One-way messages may be lost, are never repeated, and arrive in the order in which they were sent on one connection. A
request has one outcome, of three: the answer, `NotSent` (surely not acted on), `NoAnswer` (nobody knows). Neither
waits: both return at once, whatever the peer is doing, so a node that hangs cannot make others hang.

Parts:

    frame.py        bytes <-> hello, frames, parts
    connection.py   one TCP connection
    link.py         one peer: which connection, what waits, what is certain
    own_link.py     the same for this node itself
    timeouts.py     requests under way
    tls.py          certificates on both sides

A connection is kept to each peer whose address is known, also when there is nothing to say: `is_up` is then the
answer to whether it lives, and the first request does not wait for TLS. A peer that dials this node needs no address
here.

Time is the loop's, not the clock that an operator may move: a day's leap would otherwise end all connections at once.
A process that was stopped itself for a while (a debugger, a suspended laptop) cannot say that its peers were silent:
the time that it missed is not counted.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any, Final

from varley.net.connection import Connection
from varley.net.counters import LinkCounters
from varley.net.frame import (
    NAME_BYTES_MAX,
    VERSION_HIGHEST,
    VERSION_LOWEST,
    Hello,
    Verdict,
    WireError,
    version_of,
)
from varley.net.link import DIAL_SECONDS_MAX, Dial, Link
from varley.net.outcome import Answer, Then
from varley.net.own_link import OwnLink
from varley.net.timeouts import BUCKET_SECONDS, Timeouts
from varley.net.tls import LinkTls, names_in

logger = logging.getLogger("varley.net")

TICK_SECONDS: Final = BUCKET_SECONDS
_MISSED_SECONDS: Final = 0.5     # a tick that is so late means that this process stood still
_CLOSE_SECONDS: Final = 1.0      # for what was written to go out

_BACKLOG = 1024


class Links:
    """See the top of the file. Everything here is called on the event loop's thread.

    `versions`, `now` and `chance` are for tests: versions of frames that this node speaks (lowest, highest); seconds
    that never go back; a source of chance.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        *,
        cluster: str,
        tls: LinkTls | None = None,
        versions: tuple[int, int] = (VERSION_LOWEST, VERSION_HIGHEST),
        now: Callable[[], float] | None = None,
        chance: Random | None = None,
    ) -> None:
        """`name`: of this node. `cluster`: connections of other clusters are refused.

        Raises BadSettings if the files of `tls` cannot be used, ValueError for a name of no or too many bytes.
        """
        for text in (name, cluster):
            if not 0 < len(text.encode()) <= NAME_BYTES_MAX:
                raise ValueError(f"a name has 1 to {NAME_BYTES_MAX} bytes, not {len(text.encode())}")
        self.name = name
        self.timeouts = Timeouts()
        self.message_handlers: dict[int, Callable[[str, bytes], None]] = {}
        self.request_handlers: dict[int, Callable[[str, bytes, Answer], None]] = {}
        self._loop = loop
        self._cluster = cluster
        self._versions = versions
        self._now = loop.time if now is None else now
        self._chance = Random() if chance is None else chance
        self._accepting_tls: ssl.SSLContext | None = None
        self._dialling_tls: ssl.SSLContext | None = None
        if tls is not None:
            self._accepting_tls, self._dialling_tls = tls.contexts()
        self._own = OwnLink(self)
        self._links: dict[str, Link] = {}
        self._links_of: dict[Connection, Link] = {}    # only of connections whose peer is known
        self._connections: set[Connection] = set()     # all that are not lost
        self._cuts: dict[str, tuple[bool, bool]] = {}  # peer -> (outgoing, incoming) is dropped
        self._watchers: list[Callable[[str, bool], None]] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_tick = self._now()
        self._tick_timer = loop.call_later(TICK_SECONDS, self._tick_again)
        self._is_closed = False
        self._on_empty: asyncio.Future[None] | None = None

    # ---- who is where

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; the port (another one if it was 0). May be called again for other addresses.

        Raises OSError if the address cannot be had.
        """
        server = await self._loop.create_server(
            lambda: Connection(self),
            host,
            port,
            backlog=_BACKLOG,
            ssl=self._accepting_tls,
            ssl_handshake_timeout=DIAL_SECONDS_MAX if self._accepting_tls else None,
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def set_address(self, name: str, host: str, port: int) -> None:
        """Where a peer is; it is connected from now on, and again whenever it is lost. The own name: nothing."""
        if name == self.name:
            return
        self._link(name).go_to((host, port))

    def forget(self, name: str) -> None:
        """The peer has left: its connection ends, and what waits for it was not sent. It may dial this node again."""
        link = self._links.pop(name, None)
        if link is not None:
            link.forget(f"{name} was forgotten")

    def is_up(self, name: str) -> bool:
        """Whether there is a connection on which the peer was heard within the last two seconds or so."""
        if name == self.name:
            return True
        link = self._links.get(name)
        return link is not None and link.connection is not None

    def up(self) -> list[str]:
        """The other nodes of which `is_up` says so."""
        return [name for name, link in self._links.items() if link.connection is not None]

    def watch(self, has_changed: Callable[[str, bool], None]) -> None:
        """Call (name, is_up) whenever the answer of `is_up` changes, for any peer."""
        self._watchers.append(has_changed)

    # ---- what is said

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None:
        """`handler` gets (sender, payload). What arrives on a channel without handler is ignored."""
        assert channel not in self.message_handlers
        self.message_handlers[channel] = handler

    def send(self, to: str, channel: int, payload: bytes) -> None:
        """One way. May be lost, and is if the peer is not connected; never repeated; in order on one connection."""
        if to == self.name:
            self._own.send(channel, payload)
        else:
            self._link(to).send(channel, payload)

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Answer], None]) -> None:
        """`handler` gets (sender, payload, answer) and calls answer(payload) once, now or later.

        If it raises, who asked gets NoAnswer. A request for a service without handler is refused: NotSent.
        """
        assert service not in self.request_handlers
        self.request_handlers[service] = handler

    def request(self, to: str, service: int, payload: bytes, then: Then, *, timeout_seconds: float) -> None:
        """`then` is called once with the answer, NotSent or NoAnswer, never inside this call.

        The time begins now; the timeout is noticed up to 0.1 s late.
        """
        if to == self.name:
            self._own.request(service, payload, then, timeout_seconds)
        else:
            self._link(to).request(service, payload, then, timeout_seconds)

    # ---- trouble on purpose

    def cut(self, name: str, *, outgoing: bool = True, incoming: bool = True) -> None:
        """Lose everything that goes to the peer and comes from it, as a broken network does: nobody is told.

        Connections seem to be there until silence shows that they are not; then none can be made. Replaces an earlier
        cut of the same peer.
        """
        self._cuts[name] = (outgoing, incoming)
        link = self._link(name)
        link.drops_outgoing, link.drops_incoming = outgoing, incoming

    def mend(self, name: str) -> None:
        """The end of `cut`."""
        self._cuts.pop(name, None)
        link = self._links.get(name)
        if link is not None:
            link.drops_outgoing = link.drops_incoming = False

    # ---- for operators

    def counters(self) -> Iterator[tuple[str, LinkCounters]]:
        """(peer, what was sent and received), in the order of the names."""
        return ((name, self._links[name].counters) for name in sorted(self._links))

    def outgoing_bytes(self, name: str) -> int:
        """That wait for this peer to take them."""
        link = self._links.get(name)
        return 0 if link is None else link.outgoing_bytes

    async def close(self) -> None:
        """End all connections; what was sent before goes out if the peer takes it within a second. May be repeated."""
        self._is_closed = True
        self._tick_timer.cancel()
        for server in self._servers:
            server.close()
        self._servers.clear()
        for name in list(self._links):
            self.forget(name)
        for request in self.timeouts.due(float("inf")):    # of this node to itself
            if not request.is_over:
                self._own.time_out(request)
        for connection in list(self._connections):
            connection.end("this node is closing")
        await self._empty()

    async def _empty(self) -> None:
        if not self._connections:
            return
        self._on_empty = self._loop.create_future()
        patience = self._loop.call_later(_CLOSE_SECONDS, self._cut_all_off)
        await self._on_empty
        patience.cancel()

    def _cut_all_off(self) -> None:
        for connection in list(self._connections):
            connection.cut_off()

    # ---- for links

    def now(self) -> float:
        return self._now()

    def jitter(self) -> float:
        return 0.5 + 0.5 * self._chance.random()

    def soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call)

    def dial(self, link: Link) -> Dial:
        assert link.address is not None
        connection = Connection(self, link.peer)
        return Dial(connection, self._keep(self._dial(connection, *link.address)), self._now())

    def say_hello(self, connection: Connection, receiver: str, verdict: Verdict, why: str = "") -> None:
        connection.say(Hello(*self._versions, self._cluster, self.name, receiver, verdict, why))

    def has_changed(self, peer: str, is_up: bool) -> None:
        for watcher in list(self._watchers):
            watcher(peer, is_up)

    async def _dial(self, connection: Connection, host: str, port: int) -> None:
        await self._loop.create_connection(lambda: connection, host, port, ssl=self._dialling_tls)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _link(self, name: str) -> Link:
        link = self._links.get(name)
        if link is None:
            assert name != self.name
            link = self._links[name] = Link(self, name)
            link.drops_outgoing, link.drops_incoming = self._cuts.get(name, (False, False))
        return link

    # ---- for connections

    def connection_made(self, connection: Connection) -> None:
        if connection.peer is not None:    # dialled here
            link = self._links.get(connection.peer)
            if link is None or not link.was_dialled(connection):
                # Not one of `_connections`: its task is cancelled, and then uvloop never says that it is lost.
                connection.end("no longer wanted", at_once=True)
                return
            self._links_of[connection] = link
        self._connections.add(connection)
        if self._is_closed:
            connection.end("this node is closing", at_once=True)

    def hello_came(self, connection: Connection, hello: Hello) -> None:
        connection.version = version_of(*self._versions, hello) or 0
        problem = self._problem_with(connection, hello)
        link = self._links_of.get(connection)
        if link is not None:
            link.was_answered(connection, hello, problem)
        elif problem is None and hello.sender in self._cuts:
            pass    # it will give up; if it does not, see `tick`
        elif problem is None:
            connection.peer = hello.sender
            link = self._links_of[connection] = self._link(hello.sender)
            link.was_asked(connection)
        else:
            who = f"{hello.sender} of cluster {hello.cluster} at {connection.address}"
            logger.warning("a connection from %s is refused: %s", who, problem)
            self.say_hello(connection, hello.sender, Verdict.REFUSED, problem)
            connection.end(problem)

    def _problem_with(self, connection: Connection, hello: Hello) -> str | None:
        """Why no more should be said to the sender of this hello; None if it is as it should be."""
        if hello.cluster != self._cluster:
            return f"{self.name} belongs to cluster {self._cluster}, not {hello.cluster}"
        if hello.receiver != self.name:
            return f"this is {self.name}, not {hello.receiver}"
        if hello.sender == self.name:
            return f"there is another node of the name {self.name}"
        if connection.peer is not None and hello.sender != connection.peer:
            return f"at this address is {hello.sender}, not {connection.peer}"
        if self._accepting_tls is not None and hello.sender not in names_in(connection.certificate):
            return f"the certificate is not for {hello.sender}"
        if not connection.version:
            lowest, highest = self._versions
            theirs = f"{hello.sender} {hello.lowest} to {hello.highest}"
            return f"{self.name} speaks versions {lowest} to {highest}, {theirs}"
        return None

    def frame_came(self, connection: Connection, kind: int, body: bytes) -> None:
        link = self._links_of.get(connection)
        if link is None:
            raise WireError("a frame before it was welcome")
        link.frame_came(connection, kind, body)

    def may_write(self, connection: Connection) -> None:
        link = self._links_of.get(connection)
        if link is not None:
            link.may_write(connection)

    def connection_lost(self, connection: Connection, why: str) -> None:
        self._connections.discard(connection)
        link = self._links_of.pop(connection, None)
        if link is not None:
            link.was_lost(connection, why)
        elif connection.peer is None and not self._is_closed:
            logger.info("a connection from nobody known ended: %s", why)
        if self._on_empty is not None and not self._connections and not self._on_empty.done():
            self._on_empty.set_result(None)

    # ---- time

    def tick(self) -> None:
        """What happens 20 times a second. Tests that move the time call it themselves."""
        now = self._now()
        missed = now - self._last_tick - TICK_SECONDS
        self._last_tick = now
        if missed > _MISSED_SECONDS:
            self._forgive(missed)
        for request in self.timeouts.due(now):
            if not request.is_over:    # what one is told may end another
                (self._own if request.peer == self.name else self._links[request.peer]).time_out(request)
        for link in list(self._links.values()):
            link.tick(now)
        for connection in list(self._connections):
            if connection.is_over:
                if now - connection.heard_at >= _CLOSE_SECONDS:
                    connection.cut_off()
            elif connection not in self._links_of and now - connection.made_at >= DIAL_SECONDS_MAX:
                connection.end("it has not said who it is", at_once=True)

    def _forgive(self, seconds: float) -> None:
        for connection in self._connections:
            connection.heard_at += seconds

    def _tick_again(self) -> None:
        self._tick_timer = self._loop.call_later(TICK_SECONDS, self._tick_again)
        self.tick()
