"""Nodes of a pretended ring behind real front doors, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvloop

from tests.ring_api.pretended_ring import PretendedNode, PretendedRing
from varley.http.reception import FrontDoorSettings
from varley.http.server import FrontDoor
from varley.ring_api.answer import WORDING
from varley.ring_api.handler import RingHandler
from varley.ring_api.resources import OPERATIONS, operation_of

SECONDS = 10    # only a failing test waits that long
T = TypeVar("T")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]     # lower-case names
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["type"])


class Street:
    """Doors of one ring: `ask` one of them, `shut` it, change the ring on the loop's thread with `run`."""

    def __init__(self, ring: PretendedRing) -> None:
        self.ring = ring
        self.doors: dict[str, FrontDoor] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def endpoints(self) -> list[str]:
        return [self.ring.endpoints[name] for name in sorted(self.doors)]

    def open(self, node: PretendedNode, port: int = 0, **settings: Any) -> None:
        async def work() -> None:
            door = FrontDoor(
                RingHandler(node, self._spawn),
                operations=OPERATIONS,
                resources=operation_of,
                wording=WORDING,
                is_ready=node.is_ready,
                settings=FrontDoorSettings(**settings),
            )
            bound = await door.start("127.0.0.1", port)
            self.doors[node.name] = door
            self.ring.endpoints[node.name] = f"http://127.0.0.1:{bound}"

        self.wait(work())

    def shut(self, name: str) -> None:
        self.run(self.doors.pop(name).close_now)

    def run(self, function: Callable[[], T]) -> T:
        async def work() -> T:
            return function()

        return self.wait(work())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)

    def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, *, node: str = "a", **headers: str
    ) -> Answer:
        """`headers`: an underscore is a hyphen. A body that is a dict goes as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(urlsplit(self.ring.endpoints[node]).netloc, timeout=SECONDS)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        finally:
            connection.close()

    def close(self) -> None:
        for name in list(self.doors):
            self.shut(name)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(SECONDS)
        self.loop.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextmanager
def street(ring: PretendedRing) -> Iterator[Street]:
    made = Street(ring)
    try:
        for node in ring.nodes.values():
            made.open(node)
        yield made
    finally:
        made.close()
