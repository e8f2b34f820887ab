"""The ports of a server: the front door, and the admin port if one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from varley.admin.metrics import Metrics, Reading
from varley.admin.pages import PageMaker, Pages
from varley.admin.port import AdminPort
from varley.api import operations
from varley.assembly.door_settings import door_settings
from varley.clock import Clock, MovableClock
from varley.counters import Counters
from varley.http.call import Handler
from varley.http.server import FrontDoor
from varley.listening import cannot_listen
from varley.settings import NodeSettings


class Ports:
    """Built, then open() until close(). Used from the event loop only."""

    def __init__(
        self,
        settings: NodeSettings,
        clock: Clock,
        handler: Handler,
        *,
        why_not_ready: Callable[[], str | None],
        counters: Counters,
        readings: Sequence[Callable[[], Iterable[Reading]]],
        rotate_shards: Callable[[str], int],
        more_pages: Mapping[str, Mapping[str, PageMaker]] | None = None,
        shares_port: bool = False,
        warning: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`handler` answers calls of operations; the others are for the admin port's pages (see admin.pages.Pages).

        `counters`: those of the router; `readings`: what other parts tell when metrics are read; `more_pages`: others,
        by path and method; `shares_port`: other processes listen on the front door's port too. Raises BadSettings: the
        certificate cannot be used.
        """
        self._settings = settings
        self._shares_port = shares_port
        self.door = FrontDoor(
            handler,
            is_ready=lambda: why_not_ready() is None,
            operations=[*operations.OPERATIONS, *operations.NOT_OFFERED],
            settings=door_settings(settings),
        )
        self._admin: AdminPort | None = None
        if settings.admin_port is not None:
            pages = Pages(
                Metrics(self.door.traffic, counters, [self._readings, *readings]),
                clock,
                movable_clock=clock if settings.clock_is_movable and isinstance(clock, MovableClock) else None,
                why_not_ready=why_not_ready,
                warning=warning,
                rotate_shards=rotate_shards,
                more=more_pages,
            )
            self._admin = AdminPort(pages, settings.admin_host, settings.admin_port)
        self.port = 0    # of the front door, while it is open
        self.admin_port: int | None = None    # likewise; None if it is not wanted

    async def open(self) -> None:
        """Listen. Raises WorldError: an address cannot be had."""
        host, port = self._settings.host, self._settings.port
        try:
            self.port = await self.door.start(host, port, reuse_port=self._shares_port)
        except OSError as error:
            raise cannot_listen(error, host, port) from error
        if self._admin is not None:
            await self._admin.start()
            self.admin_port = self._admin.port

    async def close(self) -> None:
        """Close both at once; `door.drain` lets requests end before. Harmless if they are not open."""
        self.door.close_now()
        if self._admin is not None:
            await self._admin.stop()

    def _readings(self) -> Iterable[Reading]:
        yield Reading("varley_connections", self.door.connections)
