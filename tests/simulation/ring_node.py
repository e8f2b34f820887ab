"""One node of a ring in the pretended world: a driver of `varley.ring`, as small as it can be.

It does what the cores say and decides nothing itself. Rows of the disk: ("row", key) -> Siblings,
("hint", home, key) -> Siblings, ("history",) -> History.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulation.world import Disk, Network, World
from varley.ring import get_quorum, gossip, hash_tree, hints, put_quorum, transfer
from varley.ring.failure_detection import FailureDetector
from varley.ring.get_quorum import GetQuorum
from varley.ring.gossip import Gossip
from varley.ring.hash_tree import HashTree
from varley.ring.hints import Hint, HintDelivery
from varley.ring.membership import History
from varley.ring.placement import Placement
from varley.ring.preference_list import Target, coordinator
from varley.ring.put_quorum import PutQuorum
from varley.ring.siblings import NONE, Context, Mode, Siblings, Stamp, reconcile
from varley.ring.vector_clock import VectorClock

REPLICA_TIMEOUT_US = 50_000
REQUEST_TIMEOUT_US = 300_000
LINGER_US = 30_000


@dataclass(frozen=True)
class Settings:
    n: int = 3
    r: int = 2
    w: int = 2
    partitions: int = 16
    mode: Mode = Mode.SIBLINGS


@dataclass(frozen=True)
class Store:
    id: int
    key: bytes
    siblings: Siblings
    hint_for: str | None


@dataclass(frozen=True)
class Fetch:
    id: int
    key: bytes


@dataclass(frozen=True)
class Probe:
    id: int


@dataclass(frozen=True)
class Answer:
    id: int
    siblings: Siblings = NONE


@dataclass(frozen=True)
class ClientPut:
    """`reply` and `stamped` are the simulator's way to hear of it; a real message has a number instead."""

    key: bytes
    value: bytes | None
    context: Context
    stamped: Callable[[Siblings], None]
    reply: Callable[[put_quorum.Outcome], None]
    is_forwarded: bool = False


@dataclass(frozen=True)
class ClientGet:
    key: bytes
    reply: Callable[[get_quorum.Outcome], None]


class RingNode:
    tree_type = HashTree

    def __init__(self, name: str, world: World, network: Network, settings: Settings, seeds: Iterable[str]) -> None:
        self.name = name
        self.disk = Disk(world)
        self.is_up = False
        self._world = world
        self._network = network
        self._settings = settings
        self._skew_us = int(world.random.uniform(-400_000, 400_000))    # of this machine's clock
        self._seeds = tuple(seeds)
        self._life = 0
        network.attach(name, self._receive)

    # ---- Life and death

    def start(self) -> None:
        assert not self.is_up
        self.is_up = True
        self._life += 1
        self._started_us = self._now_us
        self._deleted_us: dict[bytes, int] = {}
        self._detector = FailureDetector()
        self._gossip = Gossip(self.name, self._seeds, self.disk.rows.get(("history",), History()))
        self.placement = Placement(self._gossip.history, self._settings.partitions)
        self._waiting: dict[int, tuple[str, Callable[[Siblings], None]]] = {}
        self._count = self._life * 1_000_000
        self._deliveries: dict[str, HintDelivery] = {}
        self._incoming = transfer.Incoming(silence_us_max=500_000)
        self._offers: set[tuple[int, str]] = set()
        self._outgoing: dict[tuple[int, str], transfer.Outgoing] = {}
        self.trees = {partition: self.tree_type() for partition in range(self._settings.partitions)}
        for key, siblings in self.rows():
            self.trees[self.placement.partition_of(key)].update(key, None, siblings.digest)
        self._every(1_000_000, self._tick_gossip)
        self._every(100_000, self._compare)
        self._every(300_000, self._tick_hints)
        self._every(200_000, self._tick_offers)
        self._every(250_000, self._probe)

    def crash(self) -> None:
        self.is_up = False
        self._life += 1
        self.disk.crash()

    def _every(self, period_us: int, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self._after(period_us, again)

        self._after(self._world.random.uniform(0, period_us), again)

    def _after(self, delay_us: float, action: Callable[[], object]) -> None:
        life = self._life
        self._world.after(delay_us, lambda: action() if life == self._life else None)

    @property
    def _now_us(self) -> int:
        return self._world.now_us + self._skew_us

    # ---- The store

    def rows(self) -> Iterator[tuple[bytes, Siblings]]:
        return ((key[1], value) for key, value in list(self.disk.rows.items()) if key[0] == "row")  # type: ignore

    def hints(self) -> Iterator[tuple[str, bytes, Siblings]]:
        return ((key[1], key[2], value) for key, value in list(self.disk.rows.items()) if key[0] == "hint")  # type: ignore

    def _held(self, key: bytes) -> Siblings:
        sets = [self.disk.rows.get(("row", key), NONE)]
        sets += [siblings for _, other, siblings in self.hints() if other == key]
        return self.merge(sets)

    def merge(self, sets: Iterable[Siblings]) -> Siblings:
        return reconcile(sets, self._settings.mode)

    def _write_row(self, key: bytes, siblings: Siblings | None, then: Callable[[], None]) -> None:
        before = self.disk.rows.get(("row", key))
        tree = self.trees[self.placement.partition_of(key)]
        tree.update(key, before and before.digest, siblings and siblings.digest)
        self.disk.write(("row", key), siblings, then)

    def _store(self, key: bytes, siblings: Siblings, hint_for: str | None, then: Callable[[], None]) -> None:
        if hint_for is None or hint_for == self.name:
            self._write_row(key, self.merge([self.disk.rows.get(("row", key), NONE), siblings]), then)
        else:
            name = ("hint", hint_for, key)
            self.disk.write(name, self.merge([self.disk.rows.get(name, NONE), siblings]), then)

    # ---- Messages

    def _receive(self, sender: str, message: Any) -> None:
        if not self.is_up:
            return
        if self._detector.answered(sender):
            self._tick_hints()
        match message:
            case Answer():
                waiting = self._waiting.get(message.id)
                if waiting is not None:
                    waiting[1](message.siblings)
            case Probe():
                self._send(sender, Answer(message.id))
            case Store():
                self._incoming.heard(sender, self.placement.partition_of(message.key), self._world.now_us)
                then = lambda: self._send(sender, Answer(message.id))  # noqa: E731
                self._store(message.key, message.siblings, message.hint_for, then)
            case Fetch():
                self._send(sender, Answer(message.id, self._held(message.key)))
            case ClientPut():
                self.client_put(message)
            case gossip.Greeting() | gossip.News():
                self._do_gossip(self._gossip.receive(sender, message))
            case hash_tree.Compare() | hash_tree.Rows() | hash_tree.Agree():
                self._answer_comparison(sender, message)
            case transfer.Offer():
                is_home = self.name in self.placement.homes(message.partition, self._settings.n)
                self._send(sender, self._incoming.offered(sender, message, is_home, self._world.now_us))
            case transfer.Accept():
                self._begin_transfer(message.partition, sender)
            case transfer.Refuse():
                if message.reason is transfer.Reason.HAVE:
                    self._offers.discard((message.partition, sender))
            case transfer.Finished():
                self._incoming.finished(sender, message)

    def _send(self, to: str, message: Any) -> None:
        self._network.send(self.name, to, message)

    def _ask(
        self, to: str, make: Callable[[int], Any], answered: Callable[[Siblings], None], failed: Callable[[], None]
    ) -> None:
        """Answers that come after `failed` are told as well."""
        self._count += 1
        number = self._count
        heard = []

        def answer(siblings: Siblings) -> None:
            heard.append(True)
            answered(siblings)

        def timeout() -> None:
            if not heard:
                self._detector.unanswered(to, self._world.now_us)
                failed()

        self._waiting[number] = (to, answer)
        self._send(to, make(number))
        self._after(REPLICA_TIMEOUT_US, timeout)
        self._after(4 * REQUEST_TIMEOUT_US, lambda: self._waiting.pop(number, None))

    def _ask_store(
        self,
        to: str,
        key: bytes,
        siblings: Siblings,
        hint_for: str | None,
        answered: Callable[[], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._ask(to, lambda number: Store(number, key, siblings, hint_for), lambda _: answered(), failed)

    # ---- Requests

    def client_put(self, put: ClientPut) -> None:
        if not self.is_up:
            return
        settings = self._settings
        preference = self.placement.preference(self.placement.partition_of(put.key))
        if not preference:
            return
        by = coordinator(preference, settings.n, self.name, self._detector.is_alive, put.context.coordinator)
        if by != self.name and not put.is_forwarded:
            self._send(by, ClientPut(put.key, put.value, put.context, put.stamped, put.reply, is_forwarded=True))
            return
        now_us = self._now_us
        # Rows are shown to peers before they are synced, so what an earlier life has stamped may be known elsewhere.
        since_us = self._deleted_us.get(put.key, self._started_us)
        stamp = Stamp(self.name, put.context.clock, put.value, now_us, settings.mode, since_us)
        quorum = PutQuorum(stamp, preference, settings.n, settings.w, self._detector.is_alive)

        def do(effects: put_quorum.Effects) -> None:
            if effects.stamp is not None:
                self._stamp(put, *effects.stamp, lambda siblings: do(quorum.stamped(siblings)))
            for node, hint_for in effects.store:
                assert quorum.siblings is not None
                stored = lambda node=node: do(quorum.stored(node))  # noqa: E731
                failed = lambda node=node: do(quorum.failed(node))  # noqa: E731
                self._ask_store(node, put.key, quorum.siblings, hint_for, stored, failed)
            if effects.outcome is not None:
                put.reply(effects.outcome)

        do(quorum.begin())
        self._after(REQUEST_TIMEOUT_US, lambda: do(quorum.deadline()))

    def _stamp(self, put: ClientPut, stamp: Stamp, target: Target, then: Callable[[Siblings], None]) -> None:
        siblings = stamp.apply(self._held(put.key), target.hint_for)
        put.stamped(siblings)
        if target.hint_for is None:
            self._write_row(put.key, siblings, lambda: then(siblings))
        else:
            self.disk.write(("hint", target.hint_for, put.key), siblings, lambda: then(siblings))

    def client_get(self, get: ClientGet) -> None:
        if not self.is_up:
            return
        settings = self._settings
        preference = self.placement.preference(self.placement.partition_of(get.key))
        if not preference:
            return
        quorum = GetQuorum(self.name, preference, settings.n, settings.r, self._detector.is_alive, settings.mode)

        def do(effects: get_quorum.Effects) -> None:
            for node in effects.fetch:
                fetched = lambda siblings, node=node: do(quorum.fetched(node, siblings))  # noqa: E731
                failed = lambda node=node: do(quorum.failed(node))  # noqa: E731
                if node == self.name:
                    self._after(0, lambda fetched=fetched: fetched(self._held(get.key)))
                else:
                    self._ask(node, lambda number: Fetch(number, get.key), fetched, failed)
            if effects.outcome is not None:
                get.reply(effects.outcome)
                self._after(LINGER_US, lambda: do(quorum.linger_is_over()))
            for node, siblings in effects.repair:
                if node == self.name:
                    self._store(get.key, siblings, None, lambda: None)
                else:
                    self._ask_store(node, get.key, siblings, None, lambda: None)

        do(quorum.begin())
        self._after(REQUEST_TIMEOUT_US, lambda: do(quorum.deadline()))

    # ---- Membership

    def change(self, history: History) -> None:
        self._do_gossip(self._gossip.changed(history))

    @property
    def history(self) -> History:
        return self._gossip.history

    def _tick_gossip(self) -> None:
        self._do_gossip(self._gossip.tick(self._world.random))

    def _do_gossip(self, effects: gossip.Effects) -> None:
        def send() -> None:
            for to, message in effects.send:
                self._send(to, message)

        if effects.persist is None:
            send()
        else:
            history = effects.persist

            def placed() -> None:
                self._place(history)
                send()

            self.disk.write(("history",), history, placed)

    def _place(self, history: History) -> None:
        if set(history.changes) <= set(self.placement.history.changes):
            return
        old, self.placement = self.placement, Placement(history, self._settings.partitions)
        for partition in range(self._settings.partitions):
            before, after = (placement.homes(partition, self._settings.n) for placement in (old, self.placement))
            if self.name in before:
                self._offers |= {(partition, node) for node in set(after) - set(before)}
            if self.name not in after:
                self._incoming.no_longer_home(partition)

    # ---- Transfers

    def _tick_offers(self) -> None:
        for partition, node in sorted(self._offers):
            if node not in self.placement.homes(partition, self._settings.n):
                self._offers.discard((partition, node))
            elif (partition, node) not in self._outgoing:
                self._send(node, transfer.Offer(partition))
        for (partition, node), outgoing in list(self._outgoing.items()):
            self._do_transfer(partition, node, outgoing, outgoing.unanswered())

    def _begin_transfer(self, partition: int, to: str) -> None:
        if (partition, to) in self._offers and (partition, to) not in self._outgoing:
            keys = [key for key, _ in self.rows() if self.placement.partition_of(key) == partition]
            outgoing = self._outgoing[partition, to] = transfer.Outgoing(partition, keys, window=2)
            self._do_transfer(partition, to, outgoing, outgoing.accepted())

    def _do_transfer(self, partition: int, to: str, outgoing: transfer.Outgoing, effects: transfer.Effects) -> None:
        for key in effects.rows:
            answered = lambda key=key: self._do_transfer(partition, to, outgoing, outgoing.acknowledged(key))  # noqa: E731
            siblings = self.disk.rows.get(("row", key))
            if siblings is None:
                self._after(0, answered)    # it was handed over in the meantime
            else:
                self._ask_store(to, key, siblings, None, answered)
        if effects.finished:
            self._send(to, effects.finished)
            self._outgoing.pop((partition, to), None)
            self._offers.discard((partition, to))

    # ---- What runs behind

    def _compare(self) -> None:
        n, random = self._settings.n, self._world.random
        mine = [partition for partition in self.trees if self.name in self.placement.homes(partition, n)]
        if not mine:
            return
        partition = random.choice(mine)
        others = [node for node in self.placement.homes(partition, n) if node != self.name]
        if others:
            self._send(random.choice(others), hash_tree.begin(partition, self.trees[partition]))

    def _answer_comparison(self, sender: str, message: hash_tree.Message) -> None:
        partition = message.partition

        def rows_of(buckets: frozenset[int]) -> dict[bytes, bytes]:
            return {
                key: siblings.digest
                for key, siblings in self.rows()
                if self.placement.partition_of(key) == partition and hash_tree.bucket_of(key) in buckets
            }

        answer = hash_tree.answer(self.trees[partition], rows_of, message)
        if answer.message is not None:
            self._send(sender, answer.message)
        for key in answer.versions:
            self._ask_store(sender, key, self.disk.rows["row", key], None, lambda: None)

    def _tick_hints(self) -> None:
        """Hints for homes that can be reached, and rows that are no longer ours, under the name ""."""
        found: dict[str, list[tuple[Hint, tuple[str, ...]]]] = {}
        n = self._settings.n
        for home, key, siblings in self.hints():
            to = hints.receivers(home, self.placement.homes(self.placement.partition_of(key), n))
            found.setdefault(home, []).append((Hint(home, key, siblings.digest), to))
        for key, siblings in self.rows():
            to = self.placement.homes(self.placement.partition_of(key), n)
            if to and self.name not in to:
                found.setdefault("", []).append((Hint("", key, siblings.digest), to))
        for home, some in found.items():
            if home not in self._deliveries or self._deliveries[home].is_over:
                reached = [(hint, to) for hint, to in some if all(map(self._reaches, to))]
                delivery = self._deliveries[home] = HintDelivery(reached, window=4)
                self._after(1_000_000, lambda home=home: self._deliveries.pop(home, None))
                self._do_hints(delivery, delivery.begin())

    def _reaches(self, node: str) -> bool:
        return node == self.name or self._detector.is_alive(node)

    def _do_hints(self, delivery: HintDelivery, effects: hints.Effects) -> None:
        for node, hint in effects.deliver:
            answered = lambda node=node, hint=hint: self._do_hints(delivery, delivery.delivered(node, hint))  # noqa: E731
            siblings = self.disk.rows.get(_row_of(hint))
            if siblings is None:
                self._after(0, answered)
            elif node == self.name:
                self._store(hint.key, siblings, None, answered)
            else:
                failed = lambda: self._do_hints(delivery, delivery.failed())  # noqa: E731
                self._ask_store(node, hint.key, siblings, None, answered, failed)
        for hint in effects.delete:
            self._delete(hint)

    def _delete(self, hint: Hint) -> None:
        siblings = self.disk.rows.get(_row_of(hint))
        if siblings is None or siblings.digest != hint.digest:
            return
        self._deleted_us[hint.key] = self._now_us + 1
        if hint.home:
            self.disk.write(_row_of(hint), None, lambda: None)
        elif self.name not in self.placement.homes(self.placement.partition_of(hint.key), self._settings.n):
            self._write_row(hint.key, None, lambda: None)

    def _probe(self) -> None:
        for node in self._detector.due(self._world.now_us):
            self._ask(node, Probe, lambda _: None, lambda: None)


def _row_of(hint: Hint) -> tuple[str, ...] | tuple[str, bytes] | tuple[str, str, bytes]:
    return ("hint", hint.home, hint.key) if hint.home else ("row", hint.key)


def no_context() -> Context:
    return Context(VectorClock())
