"""A pretended world: time that jumps from event to event, a network that misbehaves, disks that forget.

Everything is drawn from one seeded Random, so that a run is its seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from random import Random
from typing import Any

Action = Callable[[], None]


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_us = 1_000_000
        self._events: list[tuple[int, int, Action]] = []
        self._count = 0

    def after(self, delay_us: float, action: Action) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now_us + int(delay_us), self._count, action))

    def run_until(self, time_us: int) -> None:
        while self._events and self._events[0][0] <= time_us:
            self.now_us, _, action = heapq.heappop(self._events)
            action()
        self.now_us = time_us


@dataclass
class Troubles:
    """Of the network, as they are now."""

    loss: float = 0.0
    repeat: float = 0.0
    delay_us_max: int = 5_000


class Network:
    """Carries frozen messages. `cut` holds directed links, so that a link can be cut one way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._receivers: dict[str, Callable[[str, Any], None]] = {}
        self.cut: set[tuple[str, str]] = set()
        self.troubles = Troubles()
        self.sent = 0

    def attach(self, name: str, receive: Callable[[str, Any], None]) -> None:
        self._receivers[name] = receive

    def send(self, sender: str, to: str, message: Any) -> None:
        self.sent += 1
        random, troubles = self._world.random, self.troubles
        if random.random() < troubles.loss:
            return
        for _ in range(1 + (random.random() < troubles.repeat)):
            self._world.after(
                random.uniform(100, troubles.delay_us_max), lambda: self._deliver(sender, to, message)
            )

    def _deliver(self, sender: str, to: str, message: Any) -> None:
        if (sender, to) not in self.cut and to in self._receivers:
            self._receivers[to](sender, message)


class Disk:
    """Rows as its owner sees them, and as they are on disk. A write is seen at once and synced a moment later."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rows: dict[Hashable, Any] = {}
        self.synced: dict[Hashable, Any] = {}
        self._life = 0      # of the process that uses it: what an earlier one began does not come to pass

    def write(self, key: Hashable, value: Any, then: Action) -> None:
        """None deletes. `then` runs when it is synced, and never if the process dies before."""
        _put(self.rows, key, value)
        life = self._life

        def sync() -> None:
            if life == self._life:
                _put(self.synced, key, value)
                then()

        # The same delay for all: what was written first is synced first, as in a log.
        self._world.after(500, sync)

    def crash(self) -> None:
        self._life += 1
        self.rows = dict(self.synced)


def _put(rows: dict[Hashable, Any], key: Hashable, value: Any) -> None:
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value
