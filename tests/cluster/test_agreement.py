"""A change of tables is answered when all nodes that can be reached know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from varley.cluster.agreement import Agreement
from varley.metadata.catalog import Catalog
from varley.metadata.memory import MemoryStore
from varley.metadata.store import Listed
from varley.net.outcome import NoAnswer, Outcome


class Wire:
    """Between two nodes, "a" and "b", of which "a" asks."""

    def __init__(self) -> None:
        self.handler: Callable[[str, bytes, Callable[[bytes], None]], None]
        self.is_there = True
        self.is_mute = False
        self.asked = 0

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None:
        self.handler = handler

    def is_up(self, name: str) -> bool:
        return self.is_there

    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Outcome], None], *, timeout_seconds: float
    ) -> None:
        self.asked += 1
        loop = asyncio.get_running_loop()
        if self.is_mute:
            loop.call_soon(then, NoAnswer("mute"))
        else:
            loop.call_soon(self.handler, "a", payload, then)


async def ends(work: asyncio.Task[None]) -> bool:
    """Whether it ends without anything that is still to come."""
    for _ in range(10):
        await asyncio.sleep(0)
    return work.done()


def story(tell: Callable[[Wire, Catalog, Agreement], Awaitable[None]]) -> None:
    async def run() -> None:
        wire, catalog = Wire(), Catalog(MemoryStore())
        agreement = Agreement(asyncio.get_running_loop(), wire, catalog, lambda: ["b"])  # type: ignore[arg-type]
        await tell(wire, catalog, agreement)

    asyncio.run(run())


def test_whoever_asks_waits_until_the_other_has_seen_it() -> None:
    async def tell(wire: Wire, catalog: Catalog, agreement: Agreement) -> None:
        catalog.see(Listed((), 40))
        waiting = asyncio.ensure_future(agreement.wait_seen(41))
        assert not await ends(waiting)
        catalog.see(Listed((), 41))
        assert await ends(waiting)

    story(tell)


def test_what_was_seen_before_is_answered_at_once() -> None:
    async def tell(wire: Wire, catalog: Catalog, agreement: Agreement) -> None:
        catalog.see(Listed((), 50))
        assert await ends(asyncio.ensure_future(agreement.wait_seen(41)))

    story(tell)


def test_a_node_that_holds_changes_back_has_not_seen_them() -> None:
    async def tell(wire: Wire, catalog: Catalog, agreement: Agreement) -> None:
        waiting = asyncio.ensure_future(agreement.wait_seen(41))
        async with catalog.changes:
            catalog.see(Listed((), 41))
            assert not await ends(waiting)
        assert await ends(waiting)

    story(tell)


def test_a_node_that_is_away_or_does_not_answer_is_not_waited_for() -> None:
    async def tell(wire: Wire, catalog: Catalog, agreement: Agreement) -> None:
        wire.is_there = False
        assert await ends(asyncio.ensure_future(agreement.wait_seen(41)))
        assert wire.asked == 0
        wire.is_there, wire.is_mute = True, True
        assert await ends(asyncio.ensure_future(agreement.wait_seen(41)))
        assert wire.asked == 1

    story(tell)
