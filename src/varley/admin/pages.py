"""The pages of the admin port: a request in, a page out. No sockets here; port.py has them.

    GET  /health     200 whenever the process answers
    GET  /ready      200 when requests are served, with what is amiss all the same; 503 with the reason until then and
                     while draining
    GET  /metrics    Prometheus' text format
    GET  /clock      {"now": 1700000000.5, "offset_seconds": 0.0, "movable": true}
    POST /clock      {"advance_seconds": 3600} or {"set": 1700000000}: answers like GET; 403 unless movable
    POST /shards     {"table": "Music"}: ends the open shards of the table's stream and begins new ones, as happens
                     every few hours anyway, to try out consumers; answers {"ending": 4}. 404 if it has no stream

A web page that a developer has open may send a POST to any port of the machine, and a browser lets it do so
blindly. Moving the clock expires items, so a request that carries an Origin, as every browser's does, is
refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from varley.admin.metrics import CONTENT_TYPE, Metrics
from varley.clock import Clock, MovableClock
from varley.errors import Throttling

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """`headers`: names in lower case. `path`: without the query string."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    content_type: str
    body: bytes


# What answers a request of one path and method, at once or later.
PageMaker = Callable[[Request], "Page | Awaitable[Page]"]


class Pages:
    """What the admin port answers.

    `movable_clock` is None when the clock may not be moved. `why_not_ready` gives the reason in a few words,
    or None when requests are served; `warning` what is amiss all the same. `rotate_shards` begins to end the shards of
    a table's stream, and says how many. `more`: pages of other parts, by path and method.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Clock,
        *,
        movable_clock: MovableClock | None,
        why_not_ready: Callable[[], str | None],
        warning: Callable[[], str | None] = lambda: None,
        rotate_shards: Callable[[str], int] = lambda table: 0,
        more: Mapping[str, Mapping[str, PageMaker]] | None = None,
    ) -> None:
        assert movable_clock is None or movable_clock is clock, "it is one clock, or the moves are not seen"
        self._metrics = metrics
        self._clock = clock
        self._movable_clock = movable_clock
        self._why_not_ready = why_not_ready
        self._warning = warning
        self._rotate_shards = rotate_shards
        self._pages: dict[str, Mapping[str, PageMaker]] = {
            "/": {"GET": self._index},
            "/health": {"GET": lambda request: _text(200, "healthy")},
            "/ready": {"GET": self._ready},
            "/metrics": {"GET": lambda request: Page(200, CONTENT_TYPE, self._metrics.page())},
            "/clock": {"GET": lambda request: self._now(), "POST": self._move},
            "/shards": {"POST": self._rotate},
            **(more or {}),
        }

    def answer(self, request: Request) -> Page | Awaitable[Page]:
        methods = self._pages.get(request.path)
        if methods is None:
            return _text(404, f"There is no page {request.path}. There are {', '.join(self._pages)}")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            return _text(405, f"{request.path} takes {' and '.join(methods)}")
        return methods[method](request)

    def _index(self, request: Request) -> Page:
        return _text(200, "\n".join(path for path in self._pages if path != "/"))

    def _ready(self, request: Request) -> Page:
        reason, warning = self._why_not_ready(), self._warning()
        if reason is not None:
            return _text(503, reason)
        return _text(200, "ready" if warning is None else f"ready, but {warning}")

    def _now(self) -> Page:
        offset = self._movable_clock.offset if self._movable_clock is not None else 0.0
        return json_page(
            200,
            {"now": self._clock.time(), "offset_seconds": offset, "movable": self._movable_clock is not None},
        )

    def _move(self, request: Request) -> Page:
        if self._movable_clock is None:
            return problem_page(
                403, "The clock of this server cannot be moved; start it with --development-clock"
            )
        if "origin" in request.headers:
            return problem_page(403, "A web page may not move the clock")
        try:
            wanted = msgspec.json.decode(request.body)
            move_clock(self._movable_clock, wanted)
        except (msgspec.DecodeError, ValueError) as error:
            return problem_page(400, f'{error}. Send {{"advance_seconds": 3600}} or {{"set": 1700000000}}')
        return self._now()


    def _rotate(self, request: Request) -> Page:
        if "origin" in request.headers:
            return problem_page(403, "A web page may not end shards")
        try:
            wanted = msgspec.json.decode(request.body, type=Rotation)
        except msgspec.DecodeError as error:
            return problem_page(400, f'{error}. Send {{"table": "Music"}}')
        try:
            ending = self._rotate_shards(wanted.table)
        except Throttling as error:
            return problem_page(503, str(error))
        if not ending:
            return problem_page(404, f"The table {wanted.table} has no stream that is enabled")
        return json_page(200, {"ending": ending})


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /shards."""

    table: str


def move_clock(clock: MovableClock, wanted: Any) -> None:
    """As the body of POST /clock says. Raises ValueError, the client's fault, if that is not one of the two moves."""
    if not isinstance(wanted, dict) or len(wanted) != 1:
        raise ValueError("The body is not an object with one member")
    [(move, seconds)] = wanted.items()
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise ValueError(f"{move} is not a number")
    if move == "advance_seconds":
        clock.advance(seconds)
    elif move == "set":
        clock.set(seconds)
    else:
        raise ValueError(f"There is no move {move!r}")


def _text(status: int, text: str) -> Page:
    return Page(status, _TEXT, text.encode() + b"\n")


def json_page(status: int, members: Any) -> Page:
    """`members`: what msgspec can write as JSON."""
    return Page(status, _JSON, msgspec.json.encode(members) + b"\n")


def problem_page(status: int, message: str) -> Page:
    """`message`: for whoever asked."""
    return json_page(status, {"message": message})
