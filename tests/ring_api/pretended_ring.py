"""A ring without disks, sockets or time: nodes in one process, each a `RingService`, driving the real cores.

A node that is `down` answers nobody. What is sent arrives at once. Hints are not delivered: that is for tests of nodes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from varley.ring import get_quorum, put_quorum
from varley.ring.get_quorum import GetQuorum
from varley.ring.membership import History, Member
from varley.ring.placement import Placement
from varley.ring.preference_list import coordinator
from varley.ring.put_quorum import PutQuorum
from varley.ring.siblings import NONE, BadContext, Context, Mode, Siblings, Stamp, decode_context, reconcile
from varley.ring_node import service
from varley.ring_node.keys import ring_key
from varley.ring_node.service import (
    Counters,
    Got,
    MemberStatus,
    NotEnough,
    PlacementView,
    Put,
    RingError,
    RingStatus,
    Unknown,
    Value,
)

PARTITIONS = 32


class PretendedRing:
    def __init__(self, names: str = "abc", *, n: int = 3, r: int = 2, w: int = 2) -> None:
        self.n, self.r, self.w = n, r, w
        self.modes: dict[str, Mode] = {}            # bucket -> mode; siblings if it is not here
        self.now_us = 1_700_000_000_000_000
        self.down: set[str] = set()
        self.silent: set[str] = set()               # nodes that take a put of a peer and never say so
        self.rows: dict[str, dict[bytes, Siblings]] = {name: {} for name in names}
        self.endpoints: dict[str, str] = {}
        self.repairs: list[str] = []                # nodes that got what they lacked
        history = History()
        for name in names:
            history = history.join(name, Member(f"{name}:7000", "", 1.0), self._tick())
        self.placement = Placement(history, PARTITIONS)
        self.nodes = {name: PretendedNode(self, name) for name in names}

    def add(self, name: str) -> PretendedNode:
        self.rows.setdefault(name, {})
        history = self.placement.history.join(name, Member(f"{name}:7000", "", 1.0), self._tick())
        self.placement = Placement(history, PARTITIONS)
        return self.nodes.setdefault(name, PretendedNode(self, name))

    def remove(self, name: str) -> None:
        """Raises KeyError."""
        self.placement = Placement(self.placement.history.leave(name, self._tick()), PARTITIONS)

    def homes(self, bucket: str, key: bytes) -> tuple[str, ...]:
        return self.placement.homes(self.placement.partition_of(ring_key(bucket, key)), self.n)

    def mode(self, bucket: str) -> Mode:
        return self.modes.get(bucket, Mode.SIBLINGS)

    def is_up(self, name: str) -> bool:
        return name not in self.down

    def _tick(self) -> int:
        self.now_us += 1_000_000
        return self.now_us


class PretendedNode:
    def __init__(self, ring: PretendedRing, name: str) -> None:
        self.ring = ring
        self.name = name
        self.gets = 0
        self.puts = 0
        self.fetches = 0
        self.next_error: RingError | None = None        # the answer to the next request, whatever it is
        self.joined: list[tuple[str | None, float | None]] = []

    def get(self, bucket: str, key: bytes, *, r: int | None, then: Callable[[Got | RingError], None]) -> None:
        self.gets += 1
        if self._refuses(then):
            return
        ring, name = self.ring, ring_key(bucket, key)
        wanted = ring.r if r is None else r
        if wanted > ring.n:
            _later(then, service.BadRequest(f"r is at most {ring.n}"))
            return
        preference = ring.placement.preference(ring.placement.partition_of(name))
        quorum = GetQuorum(self.name, preference, ring.n, wanted, ring.is_up, ring.mode(bucket))

        def do(effects: get_quorum.Effects) -> None:
            match effects.outcome:
                case get_quorum.Found() as found:
                    _later(then, _got(found))
                case get_quorum.NotEnough(answered):
                    _later(then, NotEnough("too few nodes answered", len(answered), wanted))
            for repair in effects.repair:
                ring.repairs.append(repair.node)
                ring.rows[repair.node][name] = repair.siblings
            for node in effects.fetch:
                do(quorum.fetched(node, ring.rows[node].get(name, NONE)))

        do(quorum.begin())

    def put(
        self,
        bucket: str,
        key: bytes,
        context: bytes | None,
        value: bytes | None,
        *,
        w: int | None,
        then: Callable[[Put | RingError], None],
    ) -> None:
        self.puts += 1
        if self._refuses(then):
            return
        ring, name = self.ring, ring_key(bucket, key)
        wanted = ring.w if w is None else w
        try:
            seen = Context() if context is None else decode_context(context.decode())
        except (BadContext, UnicodeDecodeError):
            _later(then, service.BadContext("the context is not one that was handed out"))
            return
        preference = ring.placement.preference(ring.placement.partition_of(name))
        by = coordinator(preference, ring.n, self.name, ring.is_up, seen.coordinator)
        stamp = Stamp(by, seen.clock, value, ring._tick(), ring.mode(bucket))
        quorum = PutQuorum(stamp, preference, ring.n, wanted, ring.is_up)

        def do(effects: put_quorum.Effects) -> None:
            match effects.outcome:
                case put_quorum.Written() as written:
                    clock = written.context
                    text = None if clock is None else Context(clock, by).encode().encode()
                    _later(then, Put(text, by))
                case put_quorum.Refused(reached):
                    _later(then, NotEnough("too few nodes can be reached", reached, wanted))
                case put_quorum.Unknown(stored):
                    _later(then, Unknown("too few nodes have answered", len(stored), wanted))
            if effects.stamp is not None:
                siblings = effects.stamp[0].apply(ring.rows[by].get(name, NONE), effects.stamp[1].hint_for)
                ring.rows[by][name] = siblings
                do(quorum.stamped(siblings))
            for node, _ in effects.store:
                assert quorum.siblings is not None
                rows = ring.rows[node]
                rows[name] = reconcile([rows.get(name, NONE), quorum.siblings], ring.mode(bucket))
                if node not in ring.silent:
                    do(quorum.stored(node))

        do(quorum.begin())
        do(quorum.deadline())

    def fetch(self, bucket: str, key: bytes, then: Callable[[bytes | RingError], None]) -> None:
        self.fetches += 1
        if not self._refuses(then):
            _later(then, self.ring.rows[self.name].get(ring_key(bucket, key), NONE).encode())

    def status(self) -> RingStatus:
        ring = self.ring
        members = tuple(
            MemberStatus(
                name, member.zone, member.address, ring.endpoints.get(name, ""), member.capacity,
                "up" if ring.is_up(name) else "down", ring.placement.owners.count(name) / PARTITIONS,
                sum(name in ring.placement.homes(partition, ring.n) for partition in range(PARTITIONS)), 0,
            )
            for name, member in ring.placement.members.items()
        )  # fmt: skip
        return RingStatus(
            name=self.name, ring="ring", version=self.placement().version, settings=self.placement().settings,
            is_member=self.name in ring.placement.members, members=members, partitions=PARTITIONS, engine="memory",
            rows=len(ring.rows[self.name]), tombstones=0, hints=0, strays=0, transfers=0, buffer_bytes=0,
            compared_seconds=1.5,
        )  # fmt: skip

    def placement(self) -> PlacementView:
        ring = self.ring
        members = ring.placement.members
        return PlacementView(
            version=ring.placement.history.digest.hex(),
            strategy=3,
            owners=ring.placement.owners,
            positions=None,
            zones={name: member.zone for name, member in members.items()},
            endpoints={name: ring.endpoints[name] for name in members if name in ring.endpoints},
            settings=json.dumps(
                {
                    "name": "ring",
                    "strategy": 3,
                    "partitions": PARTITIONS,
                    "default": self._bucket(Mode.SIBLINGS),
                    "buckets": {bucket: self._bucket(mode) for bucket, mode in ring.modes.items()},
                }
            ),
        )

    def counters(self) -> Counters:
        return Counters({"gets": self.gets, "puts": self.puts})

    def is_ready(self) -> bool:
        return self.ring.is_up(self.name)

    async def join(self, *, zone: str | None = None, capacity: float | None = None) -> None:
        self.joined.append((zone, capacity))

    async def leave(self, name: str) -> None:
        self.ring.remove(name)

    def _bucket(self, mode: Mode) -> dict[str, Any]:
        return {"n": self.ring.n, "r": self.ring.r, "w": self.ring.w, "mode": mode.value}

    def _refuses(self, then: Callable[[Any], None]) -> bool:
        error, self.next_error = self.next_error, None
        if error is None and not self.ring.is_up(self.name):
            error = service.Unavailable("this node is stopping")
        if error is not None:
            _later(then, error)
        return error is not None


def _got(found: get_quorum.Found) -> Got:
    values = tuple(Value(value, time_us / 1e6) for value, time_us in found.siblings.shown)
    context = found.context.encode().encode() if len(found.siblings) else None
    return Got(values, context, tuple(filter(None, [found.context.coordinator])))


def _later(then: Callable[[Any], None], answer: object) -> None:
    asyncio.get_running_loop().call_soon(then, answer)
