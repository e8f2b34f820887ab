"""A real RingNode where the simulator expects its model: the same runs, troubles and judges, on the code that ships.

What the model tells the simulator of itself, this one is tapped for: the set that a put was stamped into, and the set a
get has found. A delete travels as the value b"T<number>", which becomes a tombstone where it is stamped, so that it is
known whose tombstone it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.ring_node.pretended import ForgetfulDisk, Process
from tests.simulation.ring_node import ClientGet, ClientPut, Settings
from tests.simulation.world import Network, World
from varley.ring.get_quorum import Outcome
from varley.ring.hash_tree import HashTree
from varley.ring.membership import History, Member
from varley.ring.put_quorum import Written
from varley.ring.siblings import Siblings, Stamp
from varley.ring_node import requests, rows
from varley.ring_node.engines.engine import Engine
from varley.ring_node.keys import key_of, ring_key
from varley.ring_node.members import encode_history
from varley.ring_node.service import Put
from varley.ring_node.settings import BucketSettings, RingSettings

BUCKET = "b"
TOMBSTONE = b"T"


class Tap:
    """A `then` of a get which is told what the quorum has found, too."""

    def __init__(self, reply: Callable[[Outcome], None]) -> None:
        self.found: Outcome | None = None
        self._reply = reply

    def __call__(self, _: object) -> None:
        if self.found is not None:
            self._reply(self.found)


class TappedGet(requests._GetDrive):
    def _answer(self, outcome: Outcome) -> Any:
        if isinstance(self._then, Tap):
            self._then.found = outcome
        return super()._answer(outcome)


class _History:
    """As the simulator gives a node its first history: the disk of the model."""

    def __init__(self, engine: Engine) -> None:
        self.rows: dict[Any, Any] = {}
        self.synced: dict[Any, Any] = {}
        self._engine = engine

    def give(self) -> None:
        history = self.synced.pop(("history",), None)
        if history is not None:
            # The model's members have their names as addresses.
            there = tuple(
                change._replace(member=Member(f"{change.node}:1", *change.member[1:3], f"http://{change.node}"))
                for change in history.changes
            )
            key = rows.memory_key("history")
            self._engine.write({key: rows.encode_memory(key, encode_history(History(there)))})


class _Placed:
    """The model's keys have no bucket."""

    def __init__(self, placement: Any, n: int) -> None:
        self._placement = placement
        self.n = n

    def partition_of(self, key: bytes) -> int:
        found: int = self._placement.partition_of(ring_key(BUCKET, key))
        return found

    def homes(self, partition: int, n: int) -> tuple[str, ...]:
        found: tuple[str, ...] = self._placement.homes(partition, n)
        return found


class _Tree:
    def __init__(self, tree: HashTree) -> None:
        self._tree = tree

    def broken_rules(self, digests: Mapping[bytes, bytes]) -> list[str]:
        return self._tree.broken_rules({ring_key(BUCKET, key): digest for key, digest in digests.items()})


class DrivenNode:
    strategy = 3
    buffer_bytes = 0

    def __init__(self, name: str, world: World, network: Network, settings: Settings, seeds: Iterable[str]) -> None:
        self.name = name
        self._n = settings.n
        ring = RingSettings(
            partitions=settings.partitions, tokens=4, strategy=self.strategy,
            default=BucketSettings(n=settings.n, r=settings.r, w=settings.w, mode=settings.mode),
        )  # fmt: skip
        self.process = Process(
            name, world, network, ring, skew_us=int(world.random.uniform(-400_000, 400_000)), disk=ForgetfulDisk(),
            seeds={seed: (seed, 1) for seed in seeds}, write_buffer_bytes=self.buffer_bytes,
            replica_timeout_seconds=0.05, request_timeout_seconds=0.3, linger_seconds=0.03,
        )  # fmt: skip
        self.disk = _History(self.process.disk)
        self._stamped: dict[bytes, Callable[[Siblings], None]] = _STAMPED.setdefault(id(world), {})

    # ---- Life

    @property
    def is_up(self) -> bool:
        return self.process.is_up

    def start(self) -> None:
        self.disk.give()
        self.process.start()
        store = self.process.node.store
        stamp = store.stamp

        def tapped(
            name: bytes, of_put: Stamp, hint_for: str | None, then: Callable[[Siblings], None], *, is_durable: bool
        ) -> None:
            number = of_put.value
            assert number is not None
            if number.startswith(TOMBSTONE):
                of_put = replace(of_put, value=None)

            def stamped(siblings: Siblings) -> None:
                # Now it is durable. Before that it is shown to nobody, and its number may be given again after a crash.
                self._stamped[number](siblings)
                then(siblings)

            stamp(name, of_put, hint_for, stamped, is_durable=is_durable)

        store.stamp = tapped  # type: ignore[method-assign]

    def crash(self) -> None:
        self.process.kill()

    # ---- Clients

    def client_put(self, put: ClientPut) -> None:
        if not self.is_up:
            return
        number = _next_number()
        value = b"%d" % number if put.value is not None else TOMBSTONE + b"%d" % number
        self._stamped[value] = put.stamped

        def then(answer: object) -> None:
            if isinstance(answer, Put):
                put.reply(Written(Siblings()))

        context = put.context.encode().encode() if len(put.context.clock) else None
        self.process.node.put(BUCKET, put.key, context, value, w=None, then=then)

    def client_get(self, get: ClientGet) -> None:
        if self.is_up:
            self.process.node.get(BUCKET, get.key, r=None, then=Tap(get.reply))

    # ---- Membership

    def change(self, history: History) -> None:
        (change,) = set(history.changes) - set(self.history.changes)
        members = self.process.node.members
        if change.kind == "leave":
            members.leave(change.node, _nothing)
        else:
            member = Member(f"{change.node}:1", *change.member[1:3], f"http://{change.node}")
            members.join(change.node, member, _nothing)

    @property
    def history(self) -> History:
        return self.process.node.members.history

    @property
    def placement(self) -> _Placed:
        return _Placed(self.process.node.members.placement, self._n)

    # ---- For the judges

    def rows(self) -> Iterator[tuple[bytes, Siblings]]:
        store = self.process.node.store
        return ((key_of(head.ring_key), store.row(head.ring_key)) for head in list(store.heads(0, 1 << 128)))

    def hints(self) -> Iterator[tuple[str, bytes, Siblings]]:
        store = self.process.node.store
        return (
            (home, key_of(head.ring_key), store.hint(home, head.ring_key))
            for home in list(store.hint_counts) for head in list(store.hint_heads(home))
        )  # fmt: skip

    @property
    def trees(self) -> dict[int, _Tree]:
        return {range_id >> 8: _Tree(tree) for range_id, tree in self.process.node.store.trees.items()}


_STAMPED: dict[int, dict[bytes, Callable[[Siblings], None]]] = {}
_numbers = iter(range(1, 1 << 62))


def _next_number() -> int:
    return next(_numbers)


def _nothing() -> None:
    pass


