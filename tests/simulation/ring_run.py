"""One run of a whole ring: clients that read, change and delete, while everything that can happen happens.

Then everything is healed, and after a while the judges look at what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation import ring_judges as judges
from tests.simulation.ring_node import ClientGet, ClientPut, RingNode, Settings
from tests.simulation.world import Network, Troubles, World
from varley.ring.get_quorum import Found
from varley.ring.membership import History, Member
from varley.ring.put_quorum import Written
from varley.ring.siblings import Context

ZONES = ("east", "west")


@dataclass
class Report:
    lost: list[str]
    not_converged: list[str]
    undelivered_hints: list[str]
    untrue_trees: list[str]
    acknowledged: int
    hints_seen: int             # at most at one time: a run without any shows nothing about hints
    happened: list[str] = field(repr=False)

    @property
    def wrong(self) -> list[str]:
        return self.lost + self.not_converged + self.undelivered_hints + self.untrue_trees


class RingRun:
    def __init__(
        self,
        seed: int,
        settings: Settings,
        node_type: type[RingNode] = RingNode,
        nodes: int = 5,
        keys: int = 12,
        seconds: float = 8,
        healing_seconds: float = 25,
    ) -> None:
        self._world = World(seed)
        self._random = self._world.random
        self._network = Network(self._world)
        self._settings = settings
        self._keys = [f"key {index}".encode() for index in range(keys)]
        self._until_us = self._world.now_us + int(seconds * 1e6)
        self._healing_us = int(healing_seconds * 1e6)
        self._truth = judges.Truth()
        self._writes = 0
        self._hints_seen = 0
        self._happened: list[str] = []
        names = [f"n{index}" for index in range(nodes + 2)]
        self._nodes = {name: node_type(name, self._world, self._network, settings, names[:2]) for name in names}
        history = History()
        for index, name in enumerate(names[:nodes]):
            history = history.join(name, self._member(index), index)
        for name, node in self._nodes.items():
            # The first members know each other; the two spare nodes know the seeds only.
            if name in history.members():
                node.disk.rows["history",] = node.disk.synced["history",] = history
            node.start()

    def run(self) -> Report:
        self._work()
        self._trouble()
        self._world.run_until(self._until_us)
        self._heal()
        self._world.run_until(self._until_us + self._healing_us)
        nodes, n = list(self._nodes.values()), self._settings.n
        return Report(
            judges.lost_writes(self._truth, nodes, self._keys, n),
            judges.not_converged(nodes, self._keys, n),
            judges.undelivered_hints(nodes),
            judges.untrue_trees(nodes),
            sum(map(len, self._truth.acknowledged.values())),
            self._hints_seen,
            self._happened,
        )

    # ---- Clients

    def _work(self) -> None:
        if self._world.now_us >= self._until_us:
            return
        up = [node for node in self._nodes.values() if node.is_up]
        key = self._random.choice(self._keys)
        if up:
            entry, other = self._random.choice(up), self._random.choice(up)
            if self._random.random() < 0.25:
                self._put(entry, key, Context(), ())
            else:
                entry.client_get(ClientGet(key, lambda outcome: self._got(outcome, other, key)))
        self._hints_seen = max(self._hints_seen, sum(1 for node in up for _ in node.hints()))
        self._world.after(self._random.expovariate(1 / 15_000), self._work)

    def _got(self, outcome: object, entry: RingNode, key: bytes) -> None:
        if isinstance(outcome, Found):
            shown = self._truth.numbers(key, outcome.siblings)
            # Contexts are text to clients, so they go through it here too.
            self._world.after(
                self._random.uniform(0, 40_000), lambda: self._put(entry, key, outcome.context, tuple(shown))
            )

    def _put(self, entry: RingNode, key: bytes, context: Context, shown: tuple[int, ...]) -> None:
        self._writes += 1
        write = self._writes
        self._truth.begun(write, shown)

        def reply(outcome: object) -> None:
            if isinstance(outcome, Written):
                self._truth.acknowledged.setdefault(key, set()).add(write)

        value = None if self._random.random() < 0.1 else str(write).encode()
        entry.client_put(
            ClientPut(key, value, context, lambda held: self._truth.stamped(write, key, held), reply)
        )

    # ---- Troubles

    def _trouble(self) -> None:
        if self._world.now_us >= self._until_us:
            return
        random = self._random
        trouble = random.choice(
            [self._crash, self._crash, self._restart, self._restart, self._cut, self._cut, self._mend, self._weather,
             self._join_or_leave]
        )  # fmt: skip
        trouble()
        self._world.after(random.expovariate(1 / 250_000), self._trouble)

    def _say(self, what: str) -> None:
        self._happened.append(f"{self._world.now_us / 1e6:7.3f} s  {what}")

    def _crash(self) -> None:
        up = [node for node in self._nodes.values() if node.is_up]
        if len(up) > len(self._nodes) // 2:
            node = self._random.choice(up)
            node.crash()
            self._say(f"{node.name} crashes")

    def _restart(self) -> None:
        down = [node for node in self._nodes.values() if not node.is_up]
        if down:
            node = self._random.choice(down)
            node.start()
            self._say(f"{node.name} starts")

    def _cut(self) -> None:
        """One side cannot reach the other; at times only one way."""
        names = sorted(self._nodes)
        side = set(self._random.sample(names, self._random.randint(1, len(names) // 2)))
        one_way = self._random.random() < 0.3
        self._network.cut = {
            (a, b) for a in names for b in names if (a in side) != (b in side) and not (one_way and a in side)
        }
        self._say(f"{sorted(side)} cut off, {'one way' if one_way else 'both ways'}")

    def _mend(self) -> None:
        self._network.cut = set()
        self._say("the network is whole")

    def _weather(self) -> None:
        choice = self._random.choice
        self._network.troubles = Troubles(choice([0, 0.02, 0.2]), choice([0, 0.1]), choice([5_000, 60_000]))
        self._say(f"{self._network.troubles}")

    def _join_or_leave(self) -> None:
        up = [node for node in self._nodes.values() if node.is_up]
        if not up:
            return
        teller = self._random.choice(up)
        members = teller.history.members()
        name = self._random.choice(sorted(self._nodes))
        if name not in members:
            teller.change(teller.history.join(name, self._member(int(name[1:])), self._world.now_us))
            self._say(f"{teller.name} is told that {name} joins")
        elif len(members) > self._settings.n + 1:
            teller.change(teller.history.leave(name, self._world.now_us))
            self._say(f"{teller.name} is told that {name} leaves")

    def _member(self, index: int) -> Member:
        return Member(f"n{index}", ZONES[index % 2], 1.0 + index % 2)

    def _heal(self) -> None:
        self._network.cut = set()
        self._network.troubles = Troubles()
        for node in self._nodes.values():
            if not node.is_up:
                node.start()
        self._say("healed")
