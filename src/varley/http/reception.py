"""What all connections of one front door share: the handler, the settings, the counters, the coarse time."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from varley.clock import Clock
from varley.errors import WorldError
from varley.http.call import Handler
from varley.http.cors import Origins
from varley.http.response import AnswerWriter
from varley.http.routes import Route, Routes, health_routes
from varley.http.traffic import Traffic
from varley.http.wire import targets

logger = logging.getLogger("varley.http")


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontDoorSettings:
    """What one node may choose about its front door. Times are seconds, found late by up to one second."""

    # One more is answered 503 and closed, which SDKs retry; at twice as many it is cut off unheard.
    connections_max: int = 10_000
    # Calls of one connection that may wait for their answers; then it is not read until half are done.
    pipelined_max: int = 128
    # From a request's first bytes until its head is complete.
    head_seconds: float = 10.0
    # Likewise for the whole request, but each 16 KB that arrived add a second: slow lines may send 16 MB, and
    # nobody may hold a connection with a byte a minute.
    body_seconds: float = 30.0
    body_bytes_per_second_min: int = 16 * 1024
    # Between requests, and before the first.
    idle_seconds: float = 180.0
    # How long a client may take no byte of the answers that wait for it.
    write_seconds: float = 60.0
    # After a refused request, how long we still read (and throw away) so that the client sees the refusal:
    # closing on unread bytes makes TCP send a reset, which may destroy the answer on its way.
    linger_seconds: float = 3.0
    # Smaller answers are not worth compressing.
    gzip_bytes_min: int = 1024
    # Origins of web pages that may call: ("*",) is all, () none. See cors.py for what to consider.
    cors_origins: tuple[str, ...] = ("*",)
    tls: ssl.SSLContext | None = None


class Guest(Protocol):
    """The side of a connection that the reception needs."""

    def drain(self) -> None: ...
    def cut_off(self) -> None: ...
    def check_time(self, now: float) -> None: ...


Place = Literal["served", "refused", "cut off"]


class Reception:
    """See the top of the file. Fields, not methods, where a connection looks once per request."""

    handler: Handler
    targets: dict[bytes, str]       # X-Amz-Target -> operation
    settings: FrontDoorSettings
    routes: Routes
    origins: Origins
    answers: AnswerWriter
    traffic: Traffic
    now: float                      # the clock at the last tick: good enough for timeouts, and costs nothing
    is_draining: bool

    def __init__(
        self,
        handler: Handler,
        operations: Iterable[str],
        settings: FrontDoorSettings,
        routes: Mapping[str, Route],
        is_ready: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self.handler = handler
        self.targets = targets(operations)
        self.settings = settings
        self.routes = Routes(health_routes(lambda: is_ready() and not self.is_draining) | dict(routes))
        self.origins = Origins(settings.cors_origins)
        self.answers = AnswerWriter(clock.time)
        self.traffic = Traffic(self.targets.values())
        self.guests: set[Guest] = set()
        self.on_empty: Callable[[], None] | None = None
        self.is_draining = False
        self._clock = clock
        self.now = clock.monotonic()
        self._logged_at: dict[str, float] = {}

    def enter(self, guest: Guest) -> Place:
        """A new connection. What becomes of it depends on how many there are."""
        self.guests.add(guest)
        if self.is_draining or len(self.guests) > 2 * self.settings.connections_max:
            self.traffic.refusals["connection cut off"] += 1
            return "cut off"
        if len(self.guests) > self.settings.connections_max:
            self.traffic.refusals["connection refused"] += 1
            return "refused"
        return "served"

    def leave(self, guest: Guest) -> None:
        self.guests.discard(guest)
        if not self.guests and self.on_empty is not None:
            self.on_empty()

    def tick(self) -> None:
        """Once a second: the date in the answers, and every connection's time. 0.2 µs a connection."""
        self.now = self._clock.monotonic()
        self.answers.renew()
        for guest in list(self.guests):
            guest.check_time(self.now)

    def log_failure(self, error: BaseException, what: str) -> None:
        """Ours with traceback. The world's once a second and kind: a full disk fails every write."""
        if not isinstance(error, WorldError):
            logger.error("%s", what, exc_info=error)
            return
        kind = type(error).__name__
        if self._logged_at.get(kind) != self.now:
            self._logged_at[kind] = self.now
            logger.error("%s: %s: %s", what, kind, error)
