"""Cores and a fake wire, no chance: every test says what arrives when. Disks are quick: what a step persists is durable
before the next thing happens, unless a test takes the effects itself."""

from __future__ import annotations

from collections.abc import Iterable

from varley.paxos.effects import Effects
from varley.paxos.events import Event, Propose, Received, Tick
from varley.paxos.lease import Timing
from varley.paxos.membership import FULL, Configuration, Member
from varley.paxos.messages import AnyMessage, Entry, decode, encode
from varley.paxos.records import Record
from varley.paxos.replica import Replica, first_records

TIMING = Timing()


class NoChance:
    def random(self) -> float:
        return 0.0


def members(*names: str, kind: str = FULL) -> tuple[Member, ...]:
    return tuple(Member(name, ord(name) - ord("A") + 1, kind) for name in names)


class Group:
    def __init__(self, *member: Member, timing: Timing = TIMING) -> None:
        self.timing = timing
        self.configuration = Configuration(member)
        self.now = 0
        self.replicas: dict[str, Replica] = {}
        self.records: dict[str, list[Record]] = {}
        self.members = {one.name: one for one in member}
        self.wire: list[tuple[str, str, AnyMessage]] = []       # (from, to, what), in order
        self.effects: dict[str, list[Effects]] = {}
        self.applied: dict[str, list[tuple[int, Entry]]] = {}
        for one in member:
            self.join(one, first_records(self.configuration))

    def join(self, member: Member, records: Iterable[Record] = (), *, is_first_life: bool = True) -> Replica:
        self.members[member.name] = member
        self.records[member.name] = list(records)
        self.effects[member.name] = []
        self.applied[member.name] = []
        base = next((record.slot for record in self.records[member.name] if hasattr(record, "slot")), 0)
        self.replicas[member.name] = Replica(
            member, self.records[member.name], applied=base, chance=NoChance(), now=self.now, timing=self.timing,
            is_first_life=is_first_life,
        )  # fmt: skip
        return self.replicas[member.name]

    def restart(self, name: str) -> Replica:
        return self.join(self.members[name], self.records[name], is_first_life=False)

    def step(self, name: str, event: Event) -> Effects:
        effects = self.replicas[name].step(event, self.now)
        self.records[name] += effects.persist
        self.effects[name].append(effects)
        self.applied[name] += effects.apply
        for to, message in (*effects.send_at_once, *effects.send):
            self.wire.append((name, to, decode(encode(message))))
        return effects

    def receive(self, to: str, sender: str, message: AnyMessage) -> Effects:
        return self.step(to, Received(sender, message))

    def deliver(self, *, without: Iterable[str] = (), only: type | tuple[type, ...] = object) -> None:
        """Deliver what is on the wire, and what comes of it, until nothing is. What is from or to `without`, or of
        another type, is lost."""
        lost = set(without)
        while self.wire:
            sender, to, message = self.wire.pop(0)
            if sender not in lost and to not in lost and to in self.replicas and isinstance(message, only):
                self.receive(to, sender, message)

    def wait(self, microseconds: int, *, without: Iterable[str] = ()) -> None:
        """Time passes in small steps; everybody ticks, in order of names."""
        lost = set(without)
        until = self.now + microseconds
        while self.now < until:
            self.now = min(until, self.now + 50_000)
            for name in sorted(self.replicas):
                if name not in lost:
                    self.step(name, Tick())
            self.deliver(without=lost)

    def elect(self, name: str = "A", *, without: Iterable[str] = ()) -> Replica:
        """Make it lead and serve: only its time passes."""
        self.now += self.timing.election_us + self.timing.spread_us
        self.step(name, Tick())
        self.deliver(without=without)
        assert self.replicas[name].serving_ballot, "not elected"
        return self.replicas[name]

    def propose(self, name: str, *values: bytes) -> Effects:
        return self.step(name, Propose(self.replicas[name].serving_ballot, values))
