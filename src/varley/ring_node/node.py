"""One node of a ring: its parts, its timers, and what becomes of each message. `service.RingService` is its front.

    requests       gets and puts, at this node or for another
    store          rows, hints, trees
    members        gossip and placement
    handoff        hints and rows that moved         ┐
    moving         what gets are told while homes change
    transfers      ranges for those who joined       │ in the background: each piece takes a slice of `admission`,
    comparisons    trees against the other homes     │ which shrinks when gets become slow
    tombstones     deletes that nobody needs         ┘

Everything runs on the event loop but the writes of an engine. Life: make, `start`, `stop`; or kill -9 at any time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial

from varley.clock import Clock, SystemClock
from varley.errors import BadSettings, Damaged, WorldError
from varley.ring import gossip, hash_tree, transfer
from varley.ring.admission import PERIOD_US, BackgroundAdmission
from varley.ring.chance import Chance
from varley.ring.membership import Member
from varley.ring.placement import Placement
from varley.ring.token_placement import TokenPlacement
from varley.ring_node import rows, service, wire
from varley.ring_node.background import Parts, WhileServing
from varley.ring_node.comparisons import Comparisons
from varley.ring_node.deliveries import Deliveries
from varley.ring_node.engines.engine import Engine
from varley.ring_node.folder import RingFolder, open_engine
from varley.ring_node.handoff import Handoff
from varley.ring_node.keys import ring_key
from varley.ring_node.members import Members
from varley.ring_node.moving import Moving
from varley.ring_node.numbers import Numbers
from varley.ring_node.peers import Links, Peers, Reply
from varley.ring_node.requests import Requests
from varley.ring_node.service import (
    Counters,
    MemberStatus,
    PlacementView,
    RingError,
    RingStatus,
    ThenGot,
    ThenPut,
)  # fmt: skip
from varley.ring_node.settings import RingNodeSettings, RingSettings
from varley.ring_node.store import Store
from varley.ring_node.tombstones import Tombstones
from varley.ring_node.transfers import Transfers
from varley.ring_node.writer import Handle, Loop, LoopWriter, ThreadWriter, Writer

logger = logging.getLogger("varley.ring")

GOSSIP_SECONDS = 1.0        # section 4.8.1
COMPARE_SECONDS = 0.1
HANDOFF_SECONDS = 1.0
OFFER_SECONDS = 0.25
PROBE_SECONDS = 0.25
TOMBSTONE_SECONDS = 1.0
MOVING_SECONDS = 1.0
JOIN_SECONDS = 5.0          # how long a node that joins waits for a seed

_LOOK_SECONDS = 0.1         # a node that stops looks so often whether its disk has failed

_NOT_STARTED = "this node is not serving: it is starting or stopping"


def writer_of(engine: Engine, loop: Loop) -> Writer:
    return ThreadWriter(engine, loop) if engine.is_durable else LoopWriter(engine, loop)


class RingNode:
    """See service.RingService.

    `links`: of this process; this node serves RING and RING_CALL on them. `address`: host:port where they listen, as
    peers reach it; `endpoint`: where clients do ("http://host:port"), "" if nowhere.
    """

    def __init__(
        self,
        own: RingNodeSettings,
        ring: RingSettings,
        *,
        loop: Loop,
        links: Links,
        address: str,
        endpoint: str = "",
        clock: Clock | None = None,
        chance: Chance | None = None,
        writer_of: Callable[[Engine, Loop], Writer] = writer_of,
    ) -> None:
        self.name = own.name
        self._own = own
        self._ring = ring
        self._loop = loop
        self._links = links
        self._address = address
        self._endpoint = endpoint
        self._clock = clock or SystemClock()
        self._chance: Chance = chance or random.Random()
        self._writer_of = writer_of
        self._is_serving = False
        self._timers: dict[str, Handle] = {}
        self._folder: RingFolder | None = None
        self._learnt: Callable[[], object] = _nothing   # called when the placement has changed

    # ---- Life

    async def start(self) -> None:
        """Open the folder, recover, and serve. Raises DataFolderLocked, BadSettings, Damaged, DiskFull, ReadOnly."""
        engine, self._folder = open_engine(self._own, self._ring)
        try:
            self.open(engine)
        except BaseException:
            engine.close()
            if self._folder is not None:
                self._folder.close()
            raise

    def open(self, engine: Engine) -> None:
        own, ring, loop, clock, chance = self._own, self._ring, self._loop, self._clock, self._chance
        numbers = self._numbers = Numbers()
        admission = self.admission = BackgroundAdmission(int(own.background_threshold_seconds * 1e6))
        members = self.members = Members(own, ring, chance, clock)
        try:
            members.open(rows.remembered(engine, "history"))
            store = self.store = Store(
                engine, self._writer_of(engine, loop), loop, ring, own.name, members.range_of,
                int(clock.time() * 1e6), own.write_buffer_bytes,
            )  # fmt: skip
        except rows.BadRow as error:
            raise Damaged(
                f"what the node remembers of itself is damaged: {error}", path=str(own.data_dir),
                hint="Move the folder away: the other replicas bring the node's rows.",
            ) from error  # fmt: skip
        peers = self.peers = Peers(
            self._links, loop, clock, ring,
            replica_timeout_seconds=own.replica_timeout_seconds,
            request_timeout_seconds=own.request_timeout_seconds,
            heard=lambda _: self._soon(self._handoff.tick),
        )  # fmt: skip
        deliveries = Deliveries(own.name, store, peers)
        while_serving = WhileServing(loop, self._go_on)
        parts = Parts(own.name, store, members, peers, deliveries, admission, numbers, clock, chance, while_serving)
        self._handoff = Handoff(parts)
        self._transfers = Transfers(parts)
        self._comparisons = Comparisons(parts, go_on=partial(self._try, self._compare))
        self._tombstones = Tombstones(parts, own.tombstone_grace_seconds)
        self._moving = Moving(own.name, members, peers, clock, self._handoff.has_strays)
        self._requests = Requests(own, ring, loop, clock, store, members, peers, self._moving, numbers, self._was_read)
        members.placed = self._placed
        members.start(store, peers, self._links)
        self._comparisons.place_anew()
        self._is_serving = True
        peers.serve(self._requested, self._received)
        self._tell_own_address()
        self._every("gossip", GOSSIP_SECONDS, members.tick)
        self._every("admission", PERIOD_US / 1e6, lambda: admission.think(peers.now_us))
        self._every("comparisons", COMPARE_SECONDS, self._compare)
        self._every("handoff", HANDOFF_SECONDS, self._handoff.tick)
        self._every("transfers", OFFER_SECONDS, self._transfers.tick)
        self._every("probes", PROBE_SECONDS, peers.probe)
        self._every("tombstones", TOMBSTONE_SECONDS, self._tombstones.tick)
        self._every("moving", MOVING_SECONDS, self._moving.tick)
        logger.info("node %s serves: %d rows, %d hints, engine %s", self.name, store.row_count,
                    store.hint_counts.total(), engine.kind)  # fmt: skip

    async def stop(self) -> None:
        """What was acknowledged is on disk afterwards, also with a write buffer, unless the disk fails.

        The links are whoever's made them.
        """
        if not self._is_serving:
            return
        self._is_serving = False
        for timer in self._timers.values():
            timer.cancel()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.store.flush(partial(written.set_result, None))
        while not written.done() and self.store.failed is None:
            await asyncio.wait([written], timeout=_LOOK_SECONDS)
        self.close()
        logger.info("node %s has stopped", self.name)

    def close(self) -> None:
        self._is_serving = False
        self.store.close()
        if self._folder is not None:
            self._folder.close()

    def _every(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        def again() -> None:
            if self._is_serving:
                self._timers[name] = self._loop.call_later(seconds, again)
                self._try(action)

        # Not all nodes that were started together are to do the same at the same time.
        first = seconds * self._chance.getrandbits(10) / 1024
        self._timers[name] = self._loop.call_later(first, again)

    def _soon(self, action: Callable[[], None]) -> None:
        self._loop.call_soon(self._try, action)

    def _try(self, action: Callable[[], object]) -> None:
        """Nothing new is begun in the background while the disk fails."""
        if self.store.failed is None:
            self._go_on(action)

    def _go_on(self, action: Callable[[], object]) -> None:
        """What was begun ends with the node, or where its disk does: the store has said so, and `status` does. While
        the disk fails it still may: slices are given back by it."""
        if self._is_serving:
            try:
                action()
            except WorldError:
                assert self.store.failed is not None

    # ---- service.RingService

    def get(self, bucket: str, key: bytes, *, r: int | None, then: ThenGot) -> None:
        if self._is_serving:
            self._requests.get(bucket, key, r, then)
        else:
            self._loop.call_soon(then, service.Unavailable(_NOT_STARTED))

    def put(
        self, bucket: str, key: bytes, context: bytes | None, value: bytes | None, *, w: int | None, then: ThenPut
    ) -> None:
        if self._is_serving:
            self._requests.put(bucket, key, context, value, w, then)
        else:
            self._loop.call_soon(then, service.Unavailable(_NOT_STARTED))

    def fetch(self, bucket: str, key: bytes, then: Callable[[bytes | RingError], None]) -> None:
        unavailable = service.Unavailable(_NOT_STARTED)
        if not self._is_serving:
            self._loop.call_soon(then, unavailable)
            return
        self._requests.fetch(
            ring_key(bucket, key), lambda siblings: then(siblings.encode()),
            partial(then, service.Unavailable("this node's disk has failed")),
        )  # fmt: skip

    def is_ready(self) -> bool:
        return self._is_serving and self.store.failed is None and self.name in self.members.placement.members

    def counters(self) -> Counters:
        return self._numbers.snapshot()

    def status(self) -> RingStatus:
        store, placement = self.store, self.members.placement
        failed = None if store.failed is None else str(store.failed)
        return RingStatus(
            name=self.name, ring=self._ring.name, version=placement.history.digest.hex(), settings=self._ring.text,
            is_member=self.name in placement.members, members=self._member_statuses(),
            partitions=len(placement.ids), engine=store.engine.kind, rows=store.row_count,
            tombstones=len(store.tombstones), hints=store.hint_counts.total(), strays=self._handoff.strays,
            transfers=self._transfers.count, buffer_bytes=store.buffer_bytes if store.is_buffered else 0,
            refused=dict(self.peers.refused), damaged=tuple(store.damaged),
            compared_seconds=self._comparisons.compared_seconds, failed=failed,
        )  # fmt: skip

    def _member_statuses(self) -> tuple[MemberStatus, ...]:
        members = self.members
        shares, homes = members.shares()
        hints = self.store.hint_counts
        found = []
        for name, member in members.placement.members.items():
            is_up = name == self.name or self.peers.is_alive(name)
            found.append(MemberStatus(
                name, member.zone, member.address, member.endpoint, member.capacity, "up" if is_up else "down",
                shares.get(name, 0.0), homes.get(name, 0), hints[name],
            ))  # fmt: skip
        for name, member in sorted(members.left().items()):
            found.append(MemberStatus(
                name, member.zone, member.address, member.endpoint, member.capacity, "left", 0.0, 0, hints[name]
            ))  # fmt: skip
        return tuple(found)

    def placement(self) -> PlacementView:
        placement = self.members.placement
        positions = placement.ids if isinstance(placement, TokenPlacement) else None
        return PlacementView(
            version=placement.history.digest.hex(), strategy=self._ring.strategy, owners=placement.owners,
            positions=positions, zones={name: member.zone for name, member in placement.members.items()},
            endpoints={name: member.endpoint for name, member in placement.members.items() if member.endpoint},
            settings=self._ring.text,
        )  # fmt: skip

    async def join(self, *, zone: str | None = None, capacity: float | None = None) -> None:
        if self._own.seeds.keys() - {self.name} and self.name not in self.members.placement.members:
            await self._find_seed()
        if not self._is_serving:
            raise WorldError(_NOT_STARTED, operation="join")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.join_now(zone, capacity, lambda: done.set_result(None))
        await done

    def join_now(self, zone: str | None, capacity: float | None, then: Callable[[], None]) -> None:
        was = self.members.placement.members.get(self.name)
        zone_now = zone if zone is not None else was.zone if was is not None else self._own.zone
        capacity_now = capacity or (was.capacity if was is not None else self._own.capacity)
        self.members.join(self.name, Member(self._address, zone_now, capacity_now, self._endpoint), then)

    async def leave(self, name: str) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.members.leave(name, lambda: done.set_result(None))
        await done

    async def _find_seed(self) -> None:
        """One that answers, and what it knows of the ring."""
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def answered(name: str, _: wire.Answer) -> None:
            if not found.done():
                found.set_result(name)

        def ask(name: str) -> None:
            if found.done():
                return
            if not self._is_serving:
                found.set_exception(WorldError(_NOT_STARTED, operation="join"))
                return
            if name in self.peers.refused:
                found.set_exception(BadSettings(
                    f"node {name} has other settings: it has {self.peers.refused[name]}, this node {self._ring.text}",
                    hint="All nodes of a ring must be started with the same name, buckets and partitions.",
                ))  # fmt: skip
                return
            self.peers.ask(name, wire.Probe(), partial(answered, name), partial(again, name), timeout_seconds=1.0)

        def again(name: str, _: bool) -> None:
            self._loop.call_later(0.1, ask, name)

        for name in self._own.seeds.keys() - {self.name}:
            ask(name)
        try:
            seed = await asyncio.wait_for(found, JOIN_SECONDS)
        except TimeoutError:
            raise WorldError(
                f"no seed answers: {', '.join(f'{name} at {h}:{p}' for name, (h, p) in self._own.seeds.items())}",
                operation="join", hint="Start a seed first, and see that its port can be reached from here.",
            ) from None  # fmt: skip
        await self._learn_from(seed)

    async def _learn_from(self, seed: str) -> None:
        """Its history, so that this node does not take itself for the only one: a ring that is founded has none."""
        learnt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._learnt = lambda: None if learnt.done() else learnt.set_result(None)
        self.peers.send(seed, wire.Greeting(self.members.history.digest))
        try:
            await asyncio.wait_for(learnt, 2 * GOSSIP_SECONDS)
        except TimeoutError:
            pass    # it has none, or gossip brings it
        finally:
            self._learnt = _nothing

    # ---- Events

    def _requested(self, sender: str, request: wire.Request, reply: Reply) -> None:
        if not self._is_serving:
            reply(wire.Refused(_NOT_STARTED))
            return
        try:
            self._answer(sender, request, reply)
        except WorldError as error:
            reply(wire.Refused(str(error)))
        except wire.BadMessage as error:
            logger.error("node %s sent a request that cannot be: %s", sender, error)
            reply(wire.Refused("the request does not read as one"))

    def _answer(self, sender: str, request: wire.Request, reply: Reply) -> None:
        match request:
            case wire.Store():
                self._transfers.heard(sender, request.ring_key)
                self._requests.store(request, reply)
            case wire.Fetch():
                self._requests.fetch(
                    request.ring_key, lambda siblings: reply(wire.Held(siblings.encode())),
                    lambda: reply(wire.Refused("the rows cannot be read")), is_alone=request.is_alone,
                )  # fmt: skip
            case wire.ForwardedPut():
                self._requests.forwarded(request, reply)
            case wire.Probe():
                reply(wire.Done())
            case wire.Forgettable():
                self._tombstones.asked(request, reply)
            case wire.Forget():
                self._tombstones.forget(request.ring_key, request.digest)
                reply(wire.Done())
            case wire.Settled():
                self._moving.asked(request, reply)

    def _received(self, sender: str, message: wire.OneWay) -> None:
        if not self._is_serving:
            return
        try:
            core = wire.to_core(message)
        except wire.BadMessage as error:
            logger.error("node %s sent a message that cannot be: %s", sender, error)
            return
        self._try(partial(self._act_on, sender, core))

    def _act_on(self, sender: str, message: wire.CoreMessage) -> None:
        match message:
            case gossip.Greeting() | gossip.News():
                self.members.received(sender, message)
            case hash_tree.Compare() | hash_tree.Agree() | hash_tree.Rows():
                self._comparisons.received(sender, message)
            case transfer.Offer() | transfer.Accept() | transfer.Refuse() | transfer.Finished():
                self._transfers.received(sender, message)

    def _placed(self, before: Placement | TokenPlacement) -> None:
        if isinstance(before, TokenPlacement):
            self.store.place_anew(self.members.range_of)
        for range_id, gained in self.members.gains(before):
            self._transfers.offer(range_id, gained)
        self._transfers.place_anew()
        self._comparisons.place_anew()
        self._moving.place_anew()
        self._learnt()
        self._soon(self._handoff.tick)

    def _compare(self) -> None:
        """With the slices that nobody else wants: comparisons are never through, and would have them all."""
        if not self._is_serving:
            return
        if self._handoff.is_waiting:
            self._handoff.tick()
        if not self._handoff.is_waiting and not self._transfers.is_waiting:
            self._comparisons.tick()

    def _was_read(self, seconds: float) -> None:
        self.admission.foreground(int(seconds * 1e6), self.peers.now_us)

    def _tell_own_address(self) -> None:
        """A member that was started elsewhere than last time."""
        was = self.members.placement.members.get(self.name)
        if was is not None and (was.address, was.endpoint) != (self._address, self._endpoint):
            self.join_now(None, None, _nothing)


def _nothing() -> None:
    pass
