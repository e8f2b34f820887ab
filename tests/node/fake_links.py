"""The links between the nodes of one process: messages that are lost, late and cut off, on a loop that is stepped."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.node.stepped_loop import SteppedLoop


class Network:
    """`cut` holds directed pairs of names. Times in seconds."""

    def __init__(self, loop: SteppedLoop, seed: int) -> None:
        self.loop = loop
        self.random = Random(seed)
        self.loss = 0.0
        self.late = 0.0             # so many take a hundred times as long
        self.delay = 0.002
        self.cut: set[tuple[str, str]] = set()
        self.links: dict[str, FakeLinks] = {}
        self.sent = 0
        self.largest = 0            # bytes of a message

    def join(self, name: str) -> FakeLinks:
        """A node begins to live, or lives again: what was on its way to the one before is gone."""
        self.links[name] = FakeLinks(self, name)
        return self.links[name]

    def leave(self, name: str) -> None:
        self.links.pop(name).is_closed = True

    def isolate(self, name: str) -> None:
        for other in self.links:
            if other != name:
                self.cut |= {(name, other), (other, name)}

    def heal(self) -> None:
        self.cut.clear()
        self.loss = self.late = 0.0

    def carry(self, sender: str, to: str, deliver: Callable[[FakeLinks], None]) -> bool:
        """Whether it was sent; it may be lost all the same."""
        self.sent += 1
        if to not in self.links or (sender, to) in self.cut:
            return False
        if self.random.random() < self.loss:
            return True
        receiver = self.links[to]
        delay = self.random.random() * self.delay * (100 if self.random.random() < self.late else 1)

        def arrive() -> None:
            if not receiver.is_closed and (sender, to) not in self.cut:
                deliver(receiver)

        self.loop.call_later(delay, arrive)
        return True


class FakeLinks:
    """See varley.net's Links."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.is_closed = False
        self.handlers: dict[int, Callable[[str, bytes], None]] = {}
        self.services: dict[int, Callable[[str, bytes, Callable[[bytes], None]], None]] = {}

    def is_up(self, name: str) -> bool:
        return name in self.network.links and (self.name, name) not in self.network.cut

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None:
        self.handlers[channel] = handler

    def send(self, to: str, channel: int, payload: bytes) -> None:
        if not self.is_closed:
            self.network.largest = max(self.network.largest, len(payload))
            self.network.carry(self.name, to, lambda receiver: receiver.handlers[channel](self.name, payload))

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None:
        self.services[service] = handler

    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Any], None], *, timeout_seconds: float
    ) -> None:
        loop, network = self.network.loop, self.network
        is_over = False

        def finish(outcome: Any) -> None:
            nonlocal is_over
            if not is_over and not self.is_closed:
                is_over = True
                then(outcome)

        def serve(receiver: FakeLinks) -> None:
            def answer(answered: bytes) -> None:
                if not receiver.is_closed:
                    network.carry(to, self.name, lambda _: finish(answered))

            receiver.services[service](self.name, payload, answer)

        if not network.carry(self.name, to, serve):
            loop.call_soon(finish, NotSent())
        loop.call_later(timeout_seconds, finish, NoAnswer())


class NotSent:
    pass


class NoAnswer:
    pass
