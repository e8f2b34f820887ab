"""A group of real cores in a fake world. One seed decides everything: run it again and it happens again.

The world is as bad as the protocol allows: messages are lost, late, repeated and out of order; links fail in one
direction; a crash takes what was not synced, or keeps a part of it; members come and go; clocks run at wrong rates
within the bound; members are stopped between any two of their steps, also between computing a read and checking the
lease. Clients do nothing now and then, so that groups come to rest (paxos/rest.py). A disk makes records durable one by
one, in their order, a little later; effects wait for that as effects.py says.

Time is in microseconds of a clock that nobody in the group can see.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.simulation.paxos_judges import Judges, Stuck
from varley.paxos.acceptor import Acceptor
from varley.paxos.effects import Effects, NotProposed, Proposed, ReadAt
from varley.paxos.events import (
    AddLearner,
    Event,
    HandOver,
    Propose,
    Read,
    Received,
    Reconfigure,
    Remove,
    SnapshotInstalled,
    Tick,
    Trim,
)
from varley.paxos.lease import Timing
from varley.paxos.membership import FULL, LOG, Configuration, Member
from varley.paxos.messages import VALUE, AnyMessage, Beat, Granted, decode, encode
from varley.paxos.records import Record
from varley.paxos.replica import Replica, first_records
from varley.paxos.rest import beat_at_rest, granted_at_rest

MS = 1000
SECOND = 1000 * MS
HEALED_US = 10 * SECOND     # so long after everything is healed, a group works again


# Elections in half a second: so a run sees many. Windows of a few entries: so they are full now and then.
FAST = Timing(
    lease_us=400 * MS, beat_us=80 * MS, rest_us=120 * MS, together_us=20 * MS, election_us=430 * MS, spread_us=150 * MS,
    answer_us=80 * MS, resend_us=60 * MS,
    hand_over_us=300 * MS, window_entries=8, chunk_entries=6,
)  # fmt: skip


@dataclass
class Weather:
    """How bad it is."""

    loss: float = 0.02
    repeats: float = 0.02
    delay_us: int = 5 * MS
    late: float = 0.02              # so many messages take a hundred times as long
    sync_us: int = 4 * MS
    drift_permille: int = 10        # of the clocks
    lulls: float = 0.03             # after so many requests there is none for up to a second
    fault_every_us: int = 500 * MS
    checkpoint_every_us: int = 700 * MS


@dataclass
class Bugs:
    """What may be wrong with the world or the driver, to see whether the judges notice."""

    sends_before_sync: bool = False
    forgets_grants: bool = False
    answers_unchecked: bool = False


@dataclass
class State:
    """What a full member keeps: every value, in order. `slot` is how far."""

    slot: int = 0
    origin: int = 0
    configuration: Configuration = field(default_factory=Configuration)
    values: tuple[bytes, ...] = ()


class Node:
    def __init__(self, cluster: Cluster, member: Member, records: list[Record], *, lost: str | None = None) -> None:
        self.cluster = cluster
        self.member = member
        self.name = member.name
        drift = cluster.weather.drift_permille
        self.rate_permille = 1000 + cluster.random.choice((-drift, 0, drift))
        self.offset = cluster.random.randrange(SECOND)
        self.lost = lost
        # On disk
        self.records = list(records)
        self.durable = State(slot=Acceptor(records).log.base)
        # In memory
        self.is_up = False
        self.life = 0
        self.paused_until = 0
        self.replica: Replica
        self.state = State()
        self.waiting: deque[tuple[list[Record], Effects]] = deque()     # not durable yet, in order
        self.is_syncing = False
        self.under_sync = 0                                 # so many of `waiting` go with the sync under way
        self.proposed: dict[int, bytes] = {}                # slot -> value, of this leadership
        self.reads: dict[int, int] = {}                     # read -> slot known to clients when it began
        self.ready: list[tuple[ReadAt, int]] = []           # reads that wait for their slot
        self.wake_at = 0
        self.looked_at = 0                                  # its clock in the last step

    def clock(self) -> int:
        return self.offset + self.cluster.now * self.rate_permille // 1000

    def start(self, *, is_first_life: bool) -> None:
        cluster = self.cluster
        self.is_up, self.life = True, self.life + 1
        self.waiting.clear()
        self.is_syncing = False
        self.proposed.clear()
        self.reads.clear()
        self.ready.clear()
        self.wake_at = 0
        self.state = State(self.durable.slot, self.durable.origin, self.durable.configuration, self.durable.values)
        log = Acceptor(self.records).log
        is_ahead = self.state.slot > log.last       # a snapshot was installed, and the log does not say so yet
        self.replica = Replica(
            self.member, self.records, applied=log.base if is_ahead else max(self.state.slot, log.base),
            chance=cluster.random, now=self.clock(), timing=cluster.timing,
            is_first_life=is_first_life or cluster.bugs.forgets_grants, lost=self.lost, known=sorted(cluster.nodes),
        )  # fmt: skip
        cluster.judges.restarted(self.name, self.replica)
        if is_ahead:
            self.step(SnapshotInstalled(self.state.slot, self.state.origin, self.state.configuration))
        self.step(Tick())

    def crash(self) -> None:
        """What was not synced is gone, or the first so many records of it are there."""
        unsynced = [record for records, _ in self.waiting for record in records]
        self.records += unsynced[: self.cluster.random.randint(0, len(unsynced))]
        self.is_up = False

    def step(self, event: Event, now: int | None = None) -> Effects:
        self.looked_at = self.clock() if now is None else now
        self.cluster.steps += 1
        effects = self.replica.step(event, self.looked_at)
        cluster = self.cluster
        if effects.dropped is not None:
            self.proposed.clear()
        for to, message in effects.send_at_once:
            cluster.send(self.name, to, message)
        if cluster.bugs.sends_before_sync:
            for to, message in effects.send:
                cluster.send(self.name, to, message)
        for to in effects.snapshots:
            cluster.send_snapshot(self, to)
        self.waiting.append((list(effects.persist), effects))
        self._show()
        self._sync()
        self._wake(effects.timers)
        return effects

    def _show(self) -> None:
        self.cluster.judges.look(self.name, self.replica)
        self.cluster.look_at_leases()

    def _wake(self, at_local: int) -> None:
        at = (at_local - self.offset) * 1000 // self.rate_permille + 1
        at = max(at, self.cluster.now + 1)
        if self.wake_at > self.cluster.now and self.wake_at <= at:
            return
        self.wake_at = at
        self.cluster.at(at - self.cluster.now, self, self._tick)

    def _tick(self) -> None:
        if self.cluster.now < self.wake_at:
            return
        if self.replica.serving_ballot:
            self.replica.keep_after(self.state.slot)
        if not self._beat_at_rest():
            self.step(Tick())

    def _beat_at_rest(self) -> bool:
        if self.waiting:
            return False
        replica, now = self.replica, self.clock()
        self.looked_at = now
        lease_left = replica.beat_at_rest(now)
        if lease_left is None:
            return False
        beat = beat_at_rest(replica.serving_ballot, replica.log.last, now, lease_left)
        for other in replica.configuration.others(self.name):
            self.cluster.send(self.name, other, beat, in_short=True)
        self._show()
        self._wake(replica.due)
        return True

    def receive_in_short(self, sender: str, message: AnyMessage) -> bool:
        """Whether the member at rest takes it without a step."""
        replica, now = self.replica, self.clock()
        self.looked_at = now
        if isinstance(message, Granted):
            return replica.granted_at_rest(sender, message.ballot, message.sent_at)
        assert isinstance(message, Beat)
        beat = (message.ballot, message.chosen, message.lease_left)
        if self.waiting or not replica.grant_at_rest(sender, *beat, now):
            return False
        self.cluster.at_rest += 1
        answer = granted_at_rest(message.ballot, message.chosen, message.sent_at)
        self.cluster.send(self.name, sender, answer, in_short=True)
        self._show()
        self._wake(replica.due)
        return True

    def _sync(self) -> None:
        """One sync at a time takes all that waits; what needs none goes at once, if nothing is before it."""
        while self.waiting and not self.is_syncing:
            if not self.waiting[0][0]:
                self._release(self.waiting.popleft()[1])
                continue
            self.is_syncing = True
            self.under_sync = len(self.waiting)
            self.cluster.at(self.cluster.random.randint(1, self.cluster.weather.sync_us), self, self._synced)

    def _synced(self) -> None:
        self.is_syncing = False
        batch = [self.waiting.popleft() for _ in range(self.under_sync)]
        for records, _ in batch:
            self.records += records
        for _, effects in batch:
            self._release(effects)
        self._sync()

    def _release(self, effects: Effects) -> None:
        cluster = self.cluster
        if not cluster.bugs.sends_before_sync:
            for to, message in effects.send:
                cluster.send(self.name, to, message)
        for slot, entry in effects.apply:
            if slot <= self.state.slot:
                continue    # a snapshot overtook it
            assert slot == self.state.slot + 1, "a slot was left out"
            values = (*self.state.values, entry.value) if entry.kind == VALUE else self.state.values
            self.state = State(slot, entry.origin, self.state.configuration, values)
            if slot in self.proposed:
                value = self.proposed.pop(slot)
                if value == entry.value:    # if not, the leadership was dropped, and this is about to be known
                    cluster.judges.wrote(slot, value)
        for read in effects.reads:
            began = self.reads.pop(read.read, None)
            if isinstance(read, ReadAt) and began is not None:
                self.ready.append((read, began))
        waiting, self.ready = self.ready, []
        for read_at, began in waiting:
            if read_at.slot > self.state.slot:
                self.ready.append((read_at, began))
            else:
                self._compute(read_at, began)

    def _compute(self, read: ReadAt, began: int) -> None:
        observed, cluster = self.state.slot, self.cluster
        stopped_for = cluster.random.randint(0, 3 * SECOND) if cluster.random.random() < 0.05 else 0

        def answer() -> None:
            is_checked = not read.is_leased or self.replica.may_answer(read.ballot, self.clock())
            if is_checked or cluster.bugs.answers_unchecked:
                cluster.judges.read(began, observed)

        cluster.at(stopped_for, self, answer)

    # What clients and operators do

    def write(self) -> None:
        self.cluster.written += 1
        value = b"%d" % self.cluster.written
        effects = self.step(Propose(self.replica.serving_ballot, (value,)))
        if isinstance(effects.proposed, Proposed):
            self.proposed[effects.proposed.first_slot] = value
        else:
            assert isinstance(effects.proposed, NotProposed)

    def read(self, now: int | None = None, *, by_lease: bool) -> None:
        self.cluster.written += 1
        self.reads[self.cluster.written] = self.cluster.judges.completed_slot
        self.step(Read(self.cluster.written, by_lease), now)

    def checkpoint(self) -> None:
        log = self.replica.log
        if self.member.kind == FULL:
            slot = self.state.slot
            if not log.base < slot <= self.replica.chosen:
                return
            self.durable = State(slot, self.state.origin, log.configuration_at(slot), self.state.values)
        else:
            slot = self.replica.chosen
        self.step(Trim(max(log.base, slot - self.cluster.random.choice((0, 3, 50)))))


Trouble = Callable[["Cluster"], None]


class Cluster:
    def __init__(
        self,
        seed: int,
        *,
        full: int = 3,
        logs: int = 0,
        weather: Weather | None = None,
        bugs: Bugs | None = None,
        timing: Timing | None = None,
        troubles: Sequence[Trouble] | None = None,
    ) -> None:
        """`troubles`: some of them happen, chance says which; None: of all."""
        self.seed = seed
        self.random = Random(seed)
        self.weather = weather or Weather()
        self.bugs = bugs or Bugs()
        self.timing = timing or FAST
        self.judges = Judges()
        self.now = 0
        self.written = 0
        self.steps = 0      # of all members
        self.faults = 0     # troubles that were tried: some find nobody to befall
        self.at_rest = 0    # Beats that members at rest have granted without a step
        self._events: list[tuple[int, int, Node | None, int, Callable[[], None]]] = []
        self._count = 0
        self.blocked: set[tuple[str, str]] = set()      # (from, to)
        self.is_calm = False
        # Not all at once: what two troubles do together, a third often undoes.
        those = TROUBLES if troubles is None else troubles
        some = self.random.sample(those, self.random.randint(min(2, len(those)), len(those)))
        self.kinds_of_trouble: list[Trouble] = [*some, heal_links]
        kinds = [FULL] * full + [LOG] * logs
        members = [Member(f"n{number}", number, kind) for number, kind in enumerate(kinds, 1)]
        self.numbers = self.size = len(members)
        self.nodes: dict[str, Node] = {}
        for member in members:
            self.nodes[member.name] = Node(self, member, first_records(Configuration(tuple(members))))
        for node in self.nodes.values():
            node.start(is_first_life=True)

    # The world

    def at(self, delay: int, node: Node | None, action: Callable[[], None]) -> None:
        """Do that later, if the node still lives the same life."""
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, node, node.life if node else 0, action))

    def send(self, sender: str, to: str, message: AnyMessage, *, in_short: bool = False) -> None:
        if to == sender:
            node = self.nodes[sender]
            self.at(0, node, lambda: self._deliver(sender, to, encode(message)))
            return
        weather, random = self.weather, self.random
        if (sender, to) in self.blocked or to not in self.nodes:
            return
        if not self.is_calm and random.random() < weather.loss:
            return
        data = encode(message)
        copies = 2 if not self.is_calm and random.random() < weather.repeats else 1
        for _ in range(copies):
            delay = random.randint(1, weather.delay_us)
            if not self.is_calm and random.random() < weather.late:
                delay *= 100
            self.at(delay, None, lambda: self._deliver(sender, to, data, in_short))

    def _deliver(self, sender: str, to: str, data: bytes, in_short: bool = False) -> None:
        node = self.nodes.get(to)
        if node is None or not node.is_up or (sender, to) in self.blocked:
            return
        if node.paused_until > self.now:
            self.at(node.paused_until - self.now, node, lambda: self._deliver(sender, to, data, in_short))
            return
        message = decode(data)
        if not (in_short and node.receive_in_short(sender, message)):
            node.step(Received(sender, message))

    def send_snapshot(self, provider: Node, to: str) -> None:
        state, log = provider.state, provider.replica.log
        if state.slot < max(1, log.base):
            return
        snapshot = State(state.slot, state.origin, log.configuration_at(state.slot), state.values)

        def arrive() -> None:
            node = self.nodes.get(to)
            if node is None or not node.is_up or (provider.name, to) in self.blocked or node.member.kind == LOG:
                return
            if snapshot.slot > node.replica.chosen:
                node.durable = node.state = snapshot
                node.step(SnapshotInstalled(snapshot.slot, snapshot.origin, snapshot.configuration))

        self.at(self.random.randint(10 * MS, 100 * MS), None, arrive)

    def look_at_leases(self) -> None:
        holders = [
            node.name
            for node in self.nodes.values()
            if node.is_up
            and hasattr(node, "replica")
            and node.replica.serving_ballot
            and node.replica.may_answer(node.replica.serving_ballot, node.clock())
        ]
        self.judges.leases(holders)

    def run(self, for_us: int) -> None:
        until = self.now + for_us
        while self._events and self._events[0][0] <= until:
            at, _, node, life, action = heapq.heappop(self._events)
            self.now = at
            if node is None:
                action()
            elif node.is_up and node.life == life:
                if node.paused_until > at:
                    self.at(node.paused_until - at, node, action)
                else:
                    action()
        self.now = until

    # Load and troubles

    def up(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_up and node.paused_until <= self.now]

    def leaders(self) -> list[Node]:
        return [node for node in self.up() if node.replica.serving_ballot]

    def load(self, every_us: int = 15 * MS) -> None:
        for node in self.leaders():
            if self.random.random() < 0.6:
                node.write()
            else:
                node.read(by_lease=self.random.random() < 0.7)
        pause_us = self.random.randint(1, 2 * every_us)
        if not self.is_calm and self.random.random() < self.weather.lulls:
            pause_us = self.random.randint(1, SECOND)
        self.at(pause_us, None, lambda: self.load(every_us))

    def checkpoints(self) -> None:
        for node in self.up():
            if self.random.random() < 0.5:
                node.checkpoint()
        self.at(self.random.randint(1, 2 * self.weather.checkpoint_every_us), None, self.checkpoints)

    def troubles(self) -> None:
        if not self.is_calm:
            self.faults += 1
            self.random.choice(self.kinds_of_trouble)(self)
            self.at(self.random.randint(1, 2 * self.weather.fault_every_us), None, self.troubles)

    def cut(self, one: str, other: str, *, both: bool = True) -> None:
        self.blocked.add((one, other))
        if both:
            self.blocked.add((other, one))

    def heal(self) -> None:
        self.blocked.clear()
        for node in self.nodes.values():
            node.paused_until = 0
            if not node.is_up:
                node.start(is_first_life=False)

    def live(self, for_us: int) -> None:
        """Bad weather, with load."""
        self.load()
        self.checkpoints()
        self.troubles()
        self.run(for_us)

    def calm_down(self) -> None:
        """Heal everything, and see that the group works again and has lost nothing."""
        self.is_calm = True
        self.heal()
        writes, reads = self.judges.writes, self.judges.reads
        until = self.now + HEALED_US
        while self.judges.writes < writes + 5 or self.judges.reads < reads + 5 or not self.leaders():
            if self.now >= until:
                raise Stuck("everything is healed, and nothing is written or read")
            self.run(SECOND // 2)
        inside = self.leaders()[0].replica.configuration.names
        self.judges.at_end(
            {
                node.name: (node.state.slot, node.state.values)
                for node in self.nodes.values()
                if node.member.kind == FULL and node.name in inside
            }
        )


# Troubles: each picks its victims by chance.


def _pick(cluster: Cluster) -> Node:
    return cluster.random.choice(list(cluster.nodes.values()))


def crash(cluster: Cluster) -> None:
    node = _pick(cluster)
    if node.is_up:
        node.crash()
        cluster.at(cluster.random.randint(1, 3 * SECOND), None, lambda: restart(cluster, node))


def crash_leader(cluster: Cluster) -> None:
    for node in cluster.leaders():
        node.crash()
        cluster.at(cluster.random.randint(1, 3 * SECOND), None, partial(restart, cluster, node))


def crash_all(cluster: Cluster) -> None:
    for node in cluster.up():
        node.crash()
        cluster.at(cluster.random.randint(1, 300 * MS), None, partial(restart, cluster, node))


def crash_followers(cluster: Cluster) -> None:
    """All but the leader, who cannot tell: it is cut off, and goes on for as long as its lease does."""
    for leader in cluster.leaders()[:1]:
        for node in cluster.up():
            if node is not leader:
                cluster.cut(node.name, leader.name)
                node.crash()
                soon = cluster.random.randint(1, 100 * MS)
                cluster.at(soon, None, partial(restart, cluster, node))


def restart(cluster: Cluster, node: Node) -> None:
    if not node.is_up and cluster.nodes.get(node.name) is node:
        node.start(is_first_life=False)


def pause(cluster: Cluster) -> None:
    """It is stopped after it looked at the clock, and before it takes what has arrived: a read that a client began
    while it was stopped."""
    node = _pick(cluster)
    if node.is_up and node.paused_until <= cluster.now:
        node.paused_until = cluster.now + cluster.random.randint(1, 3 * SECOND)
        looked_at = node.clock()

        def wake() -> None:
            if node.looked_at <= looked_at:     # nothing else woke it
                node.read(looked_at, by_lease=True)

        cluster.at(node.paused_until - cluster.now, node, wake)


def one_way(cluster: Cluster) -> None:
    one, other = _pick(cluster), _pick(cluster)
    if one is not other:
        cluster.cut(one.name, other.name, both=False)


def isolate(cluster: Cluster) -> None:
    node = _pick(cluster)
    for name in cluster.nodes:
        if name != node.name:
            cluster.cut(name, node.name)


def hub(cluster: Cluster) -> None:
    """Only one member is connected to a majority."""
    centre = _pick(cluster).name
    for one in cluster.nodes:
        for other in cluster.nodes:
            if one != other and centre not in (one, other):
                cluster.cut(one, other)


def chain(cluster: Cluster) -> None:
    """Each member sees its neighbours only."""
    names = list(cluster.nodes)
    cluster.random.shuffle(names)
    for at, one in enumerate(names):
        for other in names[at + 2 :]:
            cluster.cut(one, other)


def heal_links(cluster: Cluster) -> None:
    cluster.blocked.clear()


def hand_over(cluster: Cluster) -> None:
    for node in cluster.leaders():
        node.step(HandOver(_pick(cluster).name))


def lose_log(cluster: Cluster) -> None:
    """A member's disk is gone. It comes back under another name. Only when no other second life is under way, and all
    others are members with a vote: more than that loses data, whatever the protocol."""
    leaders = cluster.leaders()
    if len(leaders) == 1 and leaders[0].replica.configuration.voters == set(cluster.nodes):
        others = [node for node in cluster.nodes.values() if node is not leaders[0]]
        if len(others) > 1 and cluster.numbers < NUMBERS_MAX:
            lose(cluster, cluster.random.choice(others))


def lose(cluster: Cluster, lost: Node) -> Node:
    remove_node(cluster, lost)
    reborn = Node(cluster, new_member(cluster, lost.member.kind), [], lost=lost.name)
    cluster.nodes[reborn.name] = reborn
    reborn.start(is_first_life=True)
    return reborn


def remove_node(cluster: Cluster, node: Node) -> None:
    node.is_up = False
    node.life += 1
    del cluster.nodes[node.name]


def new_member(cluster: Cluster, kind: str) -> Member:
    cluster.numbers += 1
    return Member(f"n{cluster.numbers}", cluster.numbers, kind, votes=False, joins=True)


def add_member(cluster: Cluster) -> None:
    """A learner, which gets a vote once it has caught up. Of a group that has grown by two, nobody more."""
    leaders = cluster.leaders()
    if len(leaders) != 1 or len(cluster.nodes) > cluster.size + 1 or cluster.numbers >= NUMBERS_MAX:
        return
    member = new_member(cluster, cluster.random.choice((FULL, FULL, LOG)))
    if leaders[0].step(Reconfigure(AddLearner(member))).refusal is None:
        cluster.nodes[member.name] = Node(cluster, member, [])
        cluster.nodes[member.name].start(is_first_life=True)


def remove_member(cluster: Cluster) -> None:
    """Of a group that has grown. Who was removed lives on for a while, and must not disturb the others."""
    leaders = cluster.leaders()
    if len(leaders) != 1:
        return
    leader = leaders[0]
    voters = leader.replica.configuration.voters
    removed = cluster.random.choice([node for node in cluster.nodes.values() if node is not leader] or [leader])
    if removed is leader or len(voters - {removed.name}) < cluster.size:
        return
    if leader.step(Reconfigure(Remove(removed.name))).refusal is None:
        slot = leader.replica.log.configuration_slot
        cluster.at(2 * SECOND, None, lambda: bury(cluster, removed, slot))


def bury(cluster: Cluster, removed: Node, slot: int) -> None:
    """Its removal was chosen in `slot`, or it is still a member."""
    leaders = cluster.leaders()
    if len(leaders) == 1 and cluster.nodes.get(removed.name) is removed:
        replica = leaders[0].replica
        if replica.chosen >= slot and replica.configuration.member(removed.name) is None:
            remove_node(cluster, removed)


NUMBERS_MAX = 60    # of members in all lives of a group

FAULTS: tuple[Trouble, ...] = (
    crash, crash, crash_leader, crash_leader, crash_all, crash_followers, pause, pause, one_way, one_way, isolate, hub,
    chain, heal_links, heal_links, heal_links, heal_links, hand_over, hand_over, lose_log,
)  # fmt: skip
TROUBLES: tuple[Trouble, ...] = (*FAULTS, add_member, add_member, remove_member, remove_member)
