"""Nodes with real sockets on loopback, in one loop, whose time moves by hand only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import uvloop

from varley.net.frame import VERSION_HIGHEST, VERSION_LOWEST
from varley.net.links import TICK_SECONDS, Links
from varley.net.outcome import Answer, Outcome
from varley.net.tls import LinkTls

T = TypeVar("T")

PATIENCE_SECONDS = 10     # only a failing test waits that long
CHANNEL = 7
ECHO = 7                  # a service that answers with what it was sent
SILENT = 8                # a service that never answers


class World:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.nodes: dict[str, Node] = {}

    async def node(
        self,
        name: str,
        *,
        cluster: str = "music",
        tls: LinkTls | None = None,
        versions: tuple[int, int] = (VERSION_LOWEST, VERSION_HIGHEST),
    ) -> Node:
        links = Links(
            asyncio.get_running_loop(),
            name,
            cluster=cluster,
            tls=tls,
            versions=versions,
            now=lambda: self.seconds,
            chance=Random(name),
        )
        node = self.nodes[name] = Node(links)
        node.port = await links.listen("127.0.0.1", 0)
        return node

    async def pair(self) -> tuple[Node, Node]:
        """n1 and n2, connected."""
        one, two = await self.node("n1"), await self.node("n2")
        one.knows(two)
        await one.until(lambda: one.links.is_up("n2"))
        await two.until(lambda: two.links.is_up("n1"))
        return one, two

    def pass_time(self, seconds: float) -> None:
        """In the steps of a timer: a single leap would look as if the process had stood still."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(self.seconds + TICK_SECONDS, end)
            for node in self.nodes.values():
                node.links.tick()

    async def pass_time_until(self, condition: Callable[[], bool]) -> None:
        """Sockets are given their chance after each step."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self.pass_time(TICK_SECONDS)
                for _ in range(5):
                    await asyncio.sleep(0)


class Node:
    def __init__(self, links: Links) -> None:
        self.links = links
        self.port = 0
        self.inbox: list[tuple[str, bytes]] = []
        self.asked: list[tuple[str, bytes]] = []
        self.unanswered: list[Answer] = []
        self.changes: list[tuple[str, bool]] = []
        self._wakers: list[asyncio.Event] = []
        links.watch(self._has_changed)
        links.serve_messages(CHANNEL, self._take)
        links.serve_requests(ECHO, self._echo)
        links.serve_requests(SILENT, self._be_silent)

    def knows(self, other: Node) -> None:
        self.links.set_address(other.links.name, "127.0.0.1", other.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        """`condition` is looked at whenever something came to this node."""
        event = asyncio.Event()
        self._wakers.append(event)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition():
                    await event.wait()
                    event.clear()
        finally:
            self._wakers.remove(event)

    def ask(self, to: str, payload: bytes, *, service: int = ECHO, timeout: float = 5.0) -> asyncio.Future[Outcome]:
        """The outcome; a second one would raise, and so fail the test."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.links.request(to, service, payload, future.set_result, timeout_seconds=timeout)
        assert not future.done()
        return future

    def wake(self) -> None:
        for event in self._wakers:
            event.set()

    def _take(self, sender: str, payload: bytes) -> None:
        self.inbox.append((sender, payload))
        self.wake()

    def _echo(self, sender: str, payload: bytes, answer: Answer) -> None:
        self.asked.append((sender, payload))
        answer(payload)
        self.wake()

    def _be_silent(self, sender: str, payload: bytes, answer: Answer) -> None:
        self.asked.append((sender, payload))
        self.unanswered.append(answer)
        self.wake()

    def _has_changed(self, peer: str, is_up: bool) -> None:
        self.changes.append((peer, is_up))
        self.wake()


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    try:
        yield made
    finally:
        for node in made.nodes.values():
            await node.links.close()


async def soon(awaitable: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await awaitable


def run(scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with world() as made:
            await scenario(made)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())
