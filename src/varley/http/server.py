"""Listening: the front door opens, sweeps its connections once a second, and closes without dropping anybody.

    door = FrontDoor(handler, operations=OPERATIONS, is_ready=node.is_ready)
    port = await door.start("127.0.0.1", 8000)
    ...                                             # SIGTERM
    await door.drain(10.0)

Draining: no new connection is accepted; idle ones are closed; a request that waits for its answer gets it, with
`Connection: close`; so does one that has begun to arrive, if it is there within a second (found late by up to
one more): else it is cut off, since a client that went away in the middle of one would make every stop last to
the deadline. What is not done at the deadline is cut off too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from varley.clock import Clock, SystemClock
from varley.http.call import Handler
from varley.http.protocol import Connection
from varley.http.reception import FrontDoorSettings, Reception, ResourceNames, no_resources
from varley.http.routes import Route
from varley.http.traffic import Traffic
from varley.http.wording import DYNAMODB, Wording

_SWEEP_SECONDS = 1.0
_BACKLOG = 1024                     # connections that the kernel completes before we accept them


class FrontDoor:
    """An endpoint of HTTP: DynamoDB's, unless told otherwise. All methods on the event loop's thread.

    `handler`: see call.Handler. `operations`: the names that it knows ("GetItem", …); other targets are
    answered UnknownOperationException here. `routes`: more paths (one that ends with a slash takes all below
    it), beside `/`, `/health` and `/ready`. `is_ready` decides what `/ready` says. `clock` is the machine's,
    and should be even where the rest of a server has a clock that can be moved: connections live in the time
    of their clients.

    `resources` and `wording` are for another API than DynamoDB's: what `resources` names comes to the handler as
    a `visit.Visit`, and `operations` has those names.

    `settings.connections_max` is an upper bound: no more connections are served than leave 256 of the open files
    that the system allows for storage (`reception.connections_allowed`).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        operations: Iterable[str],
        settings: FrontDoorSettings | None = None,
        routes: Mapping[str, Route] | None = None,
        is_ready: Callable[[], bool] = lambda: True,
        clock: Clock | None = None,
        resources: ResourceNames = no_resources,
        wording: Wording = DYNAMODB,
    ) -> None:
        self._settings = settings or FrontDoorSettings()
        self._reception = Reception(
            handler, operations, self._settings, routes or {}, is_ready, clock or SystemClock(), resources, wording
        )
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen, and return the port. May be called again for another address.

        A host name stands for all its addresses; for port 0 (any that is free) give one address, since each
        would get its own. Raises OSError if the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        tls = self._settings.tls
        server = await loop.create_server(
            lambda: Connection(self._reception),
            host,
            port,
            backlog=_BACKLOG,
            reuse_port=reuse_port or None,
            ssl=tls,
            ssl_handshake_timeout=self._settings.head_seconds if tls else None,
        )
        self._servers.append(server)
        if self._sweep is None:
            self._sweep = loop.call_later(_SWEEP_SECONDS, self._tick_again)
        return int(server.sockets[0].getsockname()[1])

    async def drain(self, deadline_seconds: float) -> bool:
        """Stop gracefully (see the top of the file). Returns whether all calls were answered in time."""
        reception = self._reception
        for server in self._servers:
            server.close()
        empty = asyncio.Event()
        reception.on_empty = empty.set
        reception.begin_to_drain()
        if not reception.guests:
            empty.set()
        try:
            async with asyncio.timeout(deadline_seconds):
                await empty.wait()
        except TimeoutError:
            return False
        finally:
            self.close_now()
        return True

    def close_now(self) -> None:
        """Stop at once: every connection is cut off, whatever was under way."""
        self._reception.is_draining = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for server in self._servers:
            server.close()
        self._servers.clear()
        for guest in list(self._reception.guests):
            guest.cut_off()

    def tick(self) -> None:
        """What happens once a second: timeouts, the date. Tests that move the clock call it themselves."""
        self._reception.tick()

    @property
    def traffic(self) -> Traffic:
        """Counters, for the admin port."""
        return self._reception.traffic

    @property
    def connections(self) -> int:
        """How many are open now, refused and lingering ones included."""
        return len(self._reception.guests)

    def _tick_again(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._tick_again)
        self.tick()
