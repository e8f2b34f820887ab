"""What all connections of one front door share: the handler, the settings, the counters, the coarse time."""

from __future__ import annotations

import logging
import resource
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
from varley.http.wording import DYNAMODB, Wording

logger = logging.getLogger("varley.http")


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontDoorSettings:
    """What one node may choose about its front door. Times are seconds, found late by up to one second."""

    # One more is answered 503 and closed, which SDKs retry; at twice as many it is cut off unheard. Both numbers
    # are less where the system allows few open files: see `connections_allowed`.
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
    # While the server stops, how long a request may still take to arrive; then it is cut off. It was not
    # executed, and clients try again elsewhere.
    drain_seconds: float = 1.0
    # Smaller answers are not worth compressing.
    gzip_bytes_min: int = 1024
    # Origins of web pages that may call: ("*",) is all, () none. See cors.py for what to consider.
    cors_origins: tuple[str, ...] = ("*",)
    tls: ssl.SSLContext | None = None


# File descriptors that are not for connections: storage has a few for each partition and for the log. Without
# them every write would fail, and a server that only takes connections is of no use.
_FILES_KEPT = 256
_CONNECTIONS_ALWAYS = 16            # where even those are not allowed
_FILES_FOR_REFUSALS = 32            # of those kept: connections that are told why, beyond those served


def connections_allowed(settings: FrontDoorSettings) -> tuple[int, int]:
    """How many connections are served, and how many are open at most, those that are being refused included.

    `settings.connections_max` are served, but no more than the process may have open files (the soft limit of
    RLIMIT_NOFILE, as it is now) less 256 that are kept for storage; 16 in any case. Twice as many are open at
    most, but beyond what the files allow only 32 more.
    """
    open_files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if open_files_max == resource.RLIM_INFINITY:
        return settings.connections_max, 2 * settings.connections_max
    room = max(open_files_max - _FILES_KEPT, _CONNECTIONS_ALWAYS)
    served = min(settings.connections_max, room)
    return served, min(2 * served, room + _FILES_FOR_REFUSALS)


class Guest(Protocol):
    """The side of a connection that the reception needs."""

    def drain(self) -> None: ...
    def cut_off(self) -> None: ...
    def check_time(self, now: float) -> None: ...


Place = Literal["served", "refused", "cut off"]

# (method, path as sent) -> the operation that a request for this resource is; None: it is no resource of this door.
ResourceNames = Callable[[bytes, str], str | None]


def no_resources(method: bytes, path: str) -> str | None:
    return None


class Reception:
    """See the top of the file. Fields, not methods, where a connection looks once per request."""

    handler: Handler
    targets: dict[bytes, str]       # X-Amz-Target -> operation
    resources: ResourceNames
    wording: Wording
    settings: FrontDoorSettings
    routes: Routes
    origins: Origins
    answers: AnswerWriter
    traffic: Traffic
    connections_max: int            # that are served; see `connections_allowed`
    connections_open_max: int
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
        resources: ResourceNames = no_resources,
        wording: Wording = DYNAMODB,
    ) -> None:
        self.handler = handler
        self.targets = targets(operations)
        self.resources = resources
        self.wording = wording
        self.settings = settings
        self.routes = Routes(health_routes(lambda: is_ready() and not self.is_draining) | dict(routes))
        self.origins = Origins(settings.cors_origins, wording.exposed)
        self.answers = AnswerWriter(clock.time)
        self.traffic = Traffic(self.targets.values())
        self.guests: set[Guest] = set()
        self.connections_max, self.connections_open_max = connections_allowed(settings)
        if self.connections_max < settings.connections_max:
            logger.warning(
                "%d connections can be served, not %d: the system allows too few open files (ulimit -n)",
                self.connections_max,
                settings.connections_max,
            )
        self.on_empty: Callable[[], None] | None = None
        self.is_draining = False
        self._clock = clock
        self.now = clock.monotonic()
        self._logged_at: dict[str, float] = {}

    def enter(self, guest: Guest) -> Place:
        """A new connection. What becomes of it depends on how many there are."""
        self.guests.add(guest)
        if self.is_draining or len(self.guests) > self.connections_open_max:
            self.traffic.refusals["connection cut off"] += 1
            return "cut off"
        if len(self.guests) > self.connections_max:
            self.traffic.refusals["connection refused"] += 1
            return "refused"
        return "served"

    def leave(self, guest: Guest) -> None:
        self.guests.discard(guest)
        if not self.guests and self.on_empty is not None:
            self.on_empty()

    def begin_to_drain(self) -> None:
        """No new connection; each that is there answers what it has begun, and ends."""
        self.is_draining = True
        self.now = self._clock.monotonic()      # a request that is arriving has its time from now on
        for guest in list(self.guests):
            guest.drain()

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
