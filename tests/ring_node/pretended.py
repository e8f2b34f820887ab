"""What a real RingNode runs on in tests: a loop, links, a clock and a disk of the pretended world of tests/simulation.

Nothing waits: `World.run_until` jumps from event to event. Messages are bytes, as between processes; requests are
carried by two of them, each of which may be lost, late or repeated on its way (an answer is told once, as Links does).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.simulation.world import Network, World
from varley.errors import WorldError
from varley.net.outcome import NoAnswer
from varley.ring_node.engines.engine import Batch, Engine
from varley.ring_node.engines.memory import MemoryEngine
from varley.ring_node.keys import ring_key
from varley.ring_node.node import RingNode
from varley.ring_node.settings import BucketSettings, RingNodeSettings, RingSettings
from varley.ring_node.writer import Done, Loop

SYNC_US = 500


class PretendedTimer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class PretendedLoop:
    """Of one process: what it was to do dies with it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_dead = False

    def call_soon(self, callback: Callable[..., object], /, *args: object) -> PretendedTimer:
        return self.call_later(0, callback, *args)

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> PretendedTimer:
        timer = PretendedTimer()

        def call() -> None:
            if not timer.is_cancelled and not self.is_dead:
                callback(*args)

        self._world.after(delay * 1e6, call)
        return timer


class PretendedClock:
    def __init__(self, world: World, skew_us: int = 0) -> None:
        self._world = world
        self._skew_us = skew_us

    def time(self) -> float:
        return 1_700_000_000 + (self._world.now_us + self._skew_us) / 1e6

    def monotonic(self) -> float:
        return self._world.now_us / 1e6


class PretendedLinks:
    """varley.net's Links, as one process sees them, on a Network of the simulation."""

    def __init__(self, name: str, loop: PretendedLoop, network: Network) -> None:
        self._name = name
        self._loop = loop
        self._network = network
        self._channels: dict[int, Callable[[str, bytes], None]] = {}
        self._services: dict[int, Callable[[str, bytes, Callable[[bytes], None]], None]] = {}
        self._waiting: dict[int, Callable[[Any], None]] = {}
        self._count = 0
        network.attach(name, self._receive)

    def set_address(self, name: str, host: str, port: int) -> None:
        pass

    def forget(self, name: str) -> None:
        pass

    def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None:
        self._channels[channel] = handler

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Callable[[bytes], None]], None]) -> None:
        self._services[service] = handler

    def send(self, to: str, channel: int, payload: bytes) -> None:
        self._network.send(self._name, to, ("message", channel, payload))

    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Any], None], *, timeout_seconds: float
    ) -> None:
        self._count += 1
        number = self._count
        self._waiting[number] = then
        self._loop.call_later(timeout_seconds, self._answered, number, NoAnswer("time is up"))
        self._network.send(self._name, to, ("request", service, number, payload))

    def _answered(self, number: int, outcome: object) -> None:
        then = self._waiting.pop(number, None)
        if then is not None:
            then(outcome)

    def _receive(self, sender: str, message: tuple[Any, ...]) -> None:
        if self._loop.is_dead:
            return
        match message:
            case ("message", channel, payload):
                if channel in self._channels:
                    self._channels[channel](sender, payload)
            case ("request", wanted, number, payload):
                if wanted in self._services:
                    self._services[wanted](sender, payload, partial(self._answer, sender, number))
            case ("answer", number, payload):
                self._answered(number, payload)

    def _answer(self, to: str, number: int, payload: bytes) -> None:
        self._network.send(self._name, to, ("answer", number, payload))


class ForgetfulDisk:
    """A durable engine whose power can be cut: a batch is there when it was synced, and all of it."""

    kind = "forgetful"
    is_durable = True

    def __init__(self) -> None:
        self.synced = MemoryEngine()

    def get(self, key: bytes) -> Any:
        return self.synced.get(key)

    def scan(self, low: bytes, high: bytes) -> Any:
        return self.synced.scan(low, high)

    def write(self, batch: Batch) -> None:
        self.synced.write(batch)

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass


class PretendedWriter:
    """A sync takes SYNC_US, and does not come to pass if the process dies before. `failure` lets it fail."""

    failure: WorldError | None = None

    def __init__(self, engine: Engine, loop: Loop) -> None:
        self._engine = engine
        self._loop = loop

    def write(self, batch: Batch, done: Done) -> None:
        def sync() -> None:
            if self.failure is None:
                self._engine.write(batch)
            done(self.failure)

        self._loop.call_later(SYNC_US / 1e6, sync)

    def close(self) -> None:
        pass


class Process:
    """One node, which can be killed and started again on the same disk."""

    def __init__(
        self, name: str, world: World, network: Network, ring: RingSettings, *, skew_us: int = 0,
        disk: Engine | None = None, **own: Any,
    ) -> None:  # fmt: skip
        self.name = name
        self.world = world
        self.network = network
        self.ring = ring
        self.own = RingNodeSettings(name=name, data_dir=None, engine="memory", **own)
        self.disk: Engine = disk or ForgetfulDisk()
        self.skew_us = skew_us
        self.is_up = False

    def start(self) -> None:
        assert not self.is_up
        self.is_up = True
        self.loop = PretendedLoop(self.world)
        links = PretendedLinks(self.name, self.loop, self.network)
        self.node = RingNode(
            self.own, self.ring, loop=self.loop, links=links, address=f"{self.name}:1", endpoint=f"http://{self.name}",
            clock=PretendedClock(self.world, self.skew_us), chance=self.world.random, writer_of=PretendedWriter,
        )  # fmt: skip
        self.node.open(self.disk)

    def kill(self) -> None:
        """Power and all: what was not synced is gone."""
        self.is_up = False
        self.loop.is_dead = True
        if not self.disk.is_durable:
            self.disk = MemoryEngine()


class PretendedRing:
    """Some processes, all members, and the world they live in."""

    def __init__(self, count: int, seed: int = 1, ring: RingSettings | None = None, **own: Any) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.ring = ring or RingSettings(partitions=16)
        seeds = {"n0": ("n0", 1)}
        self.processes = {
            f"n{index}": Process(f"n{index}", self.world, self.network, self.ring, seeds=seeds, **own)
            for index in range(count)
        }
        for process in self.processes.values():
            process.start()
            process.node.join_now(None, None, _nothing)
            self.run(0.1)
        self.run(6)

    def __getitem__(self, name: str) -> RingNode:
        return self.processes[name].node

    def run(self, seconds: float) -> None:
        self.world.run_until(self.world.now_us + int(seconds * 1e6))

    def wait(self, is_so: Callable[[], bool], seconds: float = 60) -> None:
        """Until it is so; AssertionError if it is not after that time (of the world)."""
        until = self.world.now_us + int(seconds * 1e6)
        while not is_so():
            assert self.world.now_us < until, "it did not come about"
            self.run(0.05)

    def put(
        self, at: str, key: bytes, value: bytes | None, context: bytes | None = None, bucket: str = "b",
        w: int | None = None,
    ) -> Any:  # fmt: skip
        answers: list[Any] = []
        self[at].put(bucket, key, context, value, w=w, then=answers.append)
        assert answers == [], "never inside the call"
        self.wait(lambda: bool(answers), 10)
        return answers[0]

    def get(self, at: str, key: bytes, bucket: str = "b", r: int | None = None) -> Any:
        answers: list[Any] = []
        self[at].get(bucket, key, r=r, then=answers.append)
        assert answers == [], "never inside the call"
        self.wait(lambda: bool(answers), 10)
        return answers[0]

    def homes(self, key: bytes, bucket: str = "b") -> tuple[str, ...]:
        return next(p for p in self.processes.values() if p.is_up).node.members.homes_of(ring_key(bucket, key))


def settings(**bucket: Any) -> RingSettings:
    return RingSettings(partitions=16, default=BucketSettings(**bucket))


def _nothing() -> None:
    pass
