"""What an operator tells one node and all nodes do: the clock of development, shards of streams, a fresh start.

    POST /clock    {"advance_seconds": 3600} or {"set": 1700000000}    all nodes, or none of them
    POST /shards   {"table": "Music"}    each node ends the shards of the partitions that it leads
    POST /reset    {}                    drops every table; in development only, as moving the clock is

    service EVERYWHERE    ["clock", offset]    -> ""           the clock is so many seconds ahead of the machine's
                          ["offset"]           -> an offset    by how much it was moved; nil: it cannot be
                          ["shards", table]    -> a number     so many shards have ended here
                          ["forget"]           -> ""           transactions are forgotten, where the ledger is led

A clock is told where to be, not how far to go: to be told twice makes no difference. A node that starts takes over by
how much the first node that it meets was moved. Leases do not depend on this clock (clock.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec

from varley.admin.pages import Page, PageMaker, Request, Rotation, json_page, move_clock, problem_page
from varley.clock import Clock, MovableClock
from varley.errors import ApiError, Throttling, WorldError
from varley.metadata.nodes import Nodes
from varley.net.channels import EVERYWHERE
from varley.net.links import Links
from varley.net.outcome import Answer, NoAnswer, NotSent

_ANSWER_SECONDS: Final = 5.0

_encode = msgspec.msgpack.encode
_decode: Callable[[bytes], Any] = msgspec.msgpack.decode


class Everywhere:
    """Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        links: Links,
        nodes: Nodes,
        clock: Clock,
        *,
        is_development: bool,
        rotate: Callable[[str], int],
        drop_tables: Callable[[], Awaitable[None]],
        forget: Callable[[], Awaitable[None]],
        keep: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`rotate`: ends the shards of a table's stream that are led here, and says how many; raises Throttling.
        `drop_tables`: all of the cluster, raises ApiError and WorldError; `forget`: transactions, if this node leads
        their ledger. `keep` runs a coroutine, and says aloud if it fails."""
        self._loop = loop
        self._links = links
        self._nodes = nodes
        self._clock = clock
        self._movable = clock if is_development and isinstance(clock, MovableClock) else None
        self._is_moved = False      # by hand, or as others were
        self._rotate = rotate
        self._drop_tables = drop_tables
        self._forget = forget
        self._keep = keep

    def serve(self) -> None:
        self._links.serve_requests(EVERYWHERE, self._asked)
        self._links.watch(self._is_connected)
        for node in self._links.up():
            self._is_connected(node, True)

    def pages(self) -> Mapping[str, Mapping[str, PageMaker]]:
        return {
            "/clock": {"GET": lambda request: self._now(), "POST": self._move},
            "/shards": {"POST": self._end_shards},
            "/reset": {"POST": self._reset},
        }

    # Pages

    def _now(self) -> Page:
        offset = 0.0 if self._movable is None else self._movable.offset
        movable = self._movable is not None
        return json_page(200, {"now": self._clock.time(), "offset_seconds": offset, "movable": movable})

    async def _move(self, request: Request) -> Page:
        if self._movable is None:
            return problem_page(403, "The clocks of this cluster cannot be moved; start it with --development-clock")
        if "origin" in request.headers:
            return problem_page(403, "A web page may not move the clock")
        trial = MovableClock(self._movable)
        try:
            move_clock(trial, msgspec.json.decode(request.body))
        except (msgspec.DecodeError, ValueError) as error:
            return problem_page(400, f'{error}. Send {{"advance_seconds": 3600}} or {{"set": 1700000000}}')
        answers = await self._ask_others(("offset",))
        stubborn = sorted(name for name, answer in answers.items() if answer is None)
        if stubborn:
            names = ", ".join(stubborn)
            return problem_page(409, f"The clock of {names} cannot be moved now; so none was")
        offset = self._movable.offset + trial.offset
        self._be_ahead(offset)
        late = sorted(name for name, answer in (await self._ask_others(("clock", offset))).items() if answer is None)
        if late:
            return problem_page(503, f"{', '.join(late)} has not answered, and may have another time. Send it again")
        return self._now()

    async def _end_shards(self, request: Request) -> Page:
        if "origin" in request.headers:
            return problem_page(403, "A web page may not end shards")
        try:
            table = msgspec.json.decode(request.body, type=Rotation).table
        except msgspec.DecodeError as error:
            return problem_page(400, f'{error}. Send {{"table": "Music"}}')
        try:
            ending = self._rotate(table)
        except Throttling as error:
            return problem_page(503, str(error))
        answers = await self._ask_others(("shards", table))
        silent = sorted(name for name, answer in answers.items() if answer is None)
        if silent:
            return problem_page(503, f"{', '.join(silent)} has not answered: not all shards have ended. Send it again")
        ending += sum(answers.values())
        if not ending:
            return problem_page(404, f"The table {table} has no stream that is enabled")
        return json_page(200, {"ending": ending})

    async def _reset(self, request: Request) -> Page:
        if self._movable is None:
            return problem_page(403, "All tables are dropped in development only; start it with --development-clock")
        if "origin" in request.headers:
            return problem_page(403, "A web page may not drop tables")
        try:
            await self._drop_tables()
            await self._forget()
        except (ApiError, WorldError) as error:
            return problem_page(503, str(error))
        await self._ask_others(("forget",))
        return json_page(200, {})

    # Others

    async def _ask_others(self, question: tuple[Any, ...]) -> dict[str, Any]:
        """What all other nodes answer that are up, by name; None: one does not, or cannot."""
        names = [info.name for info in self._nodes if info.name != self._links.name]
        payload = _encode(question)
        answers = await asyncio.gather(*(self._ask(name, payload) for name in names))
        return dict(zip(names, answers, strict=True))

    async def _ask(self, name: str, payload: bytes) -> Any:
        heard: asyncio.Future[bytes | NotSent | NoAnswer] = self._loop.create_future()
        self._links.request(name, EVERYWHERE, payload, heard.set_result, timeout_seconds=_ANSWER_SECONDS)
        answer = await heard
        return _decode(answer) if isinstance(answer, bytes) else None

    def _asked(self, sender: str, payload: bytes, answer: Answer) -> None:
        match _decode(payload):
            case ["offset"]:
                answer(_encode(None if self._movable is None else self._movable.offset))
            case ["clock", offset] if self._movable is not None:
                self._be_ahead(offset)
                answer(_encode(""))
            case ["shards", table]:
                try:
                    answer(_encode(self._rotate(table)))
                except Throttling:
                    answer(_encode(None))
            case ["forget"]:
                self._keep(self._forget_and_tell(answer))
            case _:
                answer(_encode(None))

    async def _forget_and_tell(self, answer: Answer) -> None:
        try:
            await self._forget()
        finally:
            answer(_encode(""))

    # The clock

    def _be_ahead(self, seconds: float) -> None:
        assert self._movable is not None
        self._is_moved = True
        self._movable.be_ahead(seconds)

    def _is_connected(self, node: str, is_up: bool) -> None:
        if is_up and self._movable is not None and not self._is_moved:
            self._keep(self._be_as(node))

    async def _be_as(self, node: str) -> None:
        offset = await self._ask(node, _encode(("offset",)))
        if offset and not self._is_moved:
            self._be_ahead(offset)
