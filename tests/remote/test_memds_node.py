"""MemDS of several nodes, on a wire that can be cut: news that come in any order, who waits for them, what it costs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from random import Random

from varley.remote.memds_node import MemdsNode
from varley.router.memds import COMPARE_SECONDS, Group

OLD = Group(1, ("n1", "n2", "n3"), 3, "n1")
NEW = Group(4, ("n1", "n2", "n4"), 5, "n2")


class Wire:
    """Between nodes; what is sent arrives at once, unless it is cut."""

    def __init__(self, *names: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = self.loop.time()
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        self.cut: set[str] = set()
        self.messages: list[tuple[str, str, int]] = []      # sender, receiver, bytes
        self.gone: set[int] = set()
        self.nodes = {name: self._node(name) for name in names}
        for name, node in self.nodes.items():
            for other in names:
                if other != name:
                    node.is_connected(other, True)
        self.settle()

    def _node(self, name: str) -> MemdsNode:
        def send(to: str, channel: int, payload: bytes) -> None:
            self.messages.append((name, to, len(payload)))
            if not {name, to} & self.cut:
                self.loop.call_soon(lambda: self.nodes[to].heard(name, payload))

        return MemdsNode(self.loop, name, send, Random(name), self.gone.__contains__)

    def settle(self) -> None:
        """Until nothing is on its way: what is answered takes a turn each time, and no comparison ten."""
        for _ in range(30):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def pass_seconds(self, seconds: int) -> None:
        """With a comparison of each node in each."""
        for _ in range(seconds):
            self.now += COMPARE_SECONDS
            self.settle()


def of_one(find: Callable[[int], Group], group: int = 7) -> tuple[str | None, tuple[str, ...]]:
    return find(group).leader, find(group).members


def test_the_highest_ballot_stays_whatever_the_order_of_news() -> None:
    founding = Group(1, ("n1",))
    for order in itertools.permutations((founding, OLD, NEW, OLD)):
        node = Wire("n1").nodes["n1"]
        for news in order:
            node.learn(7, news)
        assert node.find(7) == NEW


def test_who_waits_is_told_once_of_the_next_leader() -> None:
    node = Wire("n1").nodes["n1"]
    told: list[str] = []
    node.when_learnt(7, lambda: told.append("first"))
    node.learn(8, OLD)
    node.learn(7, Group(1, ("n1",)))
    assert told == []
    node.learn(7, OLD)
    node.learn(7, NEW)
    assert told == ["first"]


def test_who_waits_no_more_is_not_told() -> None:
    node = Wire("n1").nodes["n1"]
    told: list[str] = []

    def tell() -> None:
        told.append("told")

    node.when_learnt(7, tell)
    node.forget_waiting(7, tell)
    node.forget_waiting(7, tell)
    node.learn(7, OLD)
    assert told == []


def test_all_nodes_hear_who_leads_and_who_leads_no_more() -> None:
    wire = Wire("n1", "n2", "n3")
    wire.nodes["n2"].leads(7, 5, 4, ["n1", "n2", "n4"])
    wire.settle()
    assert [node.find(7) for node in wire.nodes.values()] == [NEW] * 3
    wire.nodes["n1"].leads_no_more(7)       # it was not n1 who did
    wire.settle()
    assert wire.nodes["n3"].find(7) == NEW
    wire.nodes["n2"].leads_no_more(7)
    wire.settle()
    assert [node.find(7).leader for node in wire.nodes.values()] == [None] * 3
    wire.nodes["n3"].learn(7, NEW)          # an old answer, late
    assert wire.nodes["n3"].find(7).leader is None


def test_who_was_cut_off_knows_all_when_it_is_connected_again() -> None:
    wire = Wire("n1", "n2", "n3")
    wire.cut.add("n3")
    for group in range(1, 200):
        wire.nodes["n1"].leads(group, 5, 1, ["n1", "n2", "n3"])
    wire.settle()
    assert len(wire.nodes["n3"]) == 0
    wire.cut.clear()
    wire.nodes["n1"].is_connected("n3", True)
    wire.nodes["n3"].is_connected("n1", True)
    wire.settle()
    assert wire.nodes["n3"].led_by("n1") == list(range(1, 200))


def test_what_was_lost_is_made_good_by_a_comparison() -> None:
    wire = Wire("n1", "n2", "n3")
    for node in wire.nodes.values():
        node.start()
    wire.cut.add("n3")
    wire.nodes["n1"].leads(7, 3, 1, ["n1", "n2", "n3"])
    wire.settle()
    wire.cut.clear()
    wire.pass_seconds(3)
    assert wire.nodes["n3"].find(7) == OLD


def test_a_refresh_costs_the_same_however_much_is_known_and_whatever_is_asked() -> None:
    """Constant work."""
    costs = set()
    for groups, look_ups in ((10, 0), (10, 1000), (100, 0), (1000, 0), (1000, 1000)):
        wire = Wire("n1", "n2", "n3")
        for node in wire.nodes.values():
            node.start()
            for group in range(1, groups + 1):
                node.learn(group, OLD)
        wire.messages.clear()
        for second in range(5):
            for number in range(look_ups):
                wire.nodes["n1"].find(1 + (second + number) % groups)
            wire.pass_seconds(1)
        costs.add((len(wire.messages), sum(size for _, _, size in wire.messages)))
    [(messages, size)] = costs
    assert messages == 5 * 3 * 2            # two of each node each second
    assert size / messages < 24


def test_a_look_up_goes_to_two_and_members_first() -> None:
    wire = Wire("n1", "n2", "n3", "n4", "n5")
    wire.nodes["n1"].learn(7, Group(1, ("n1", "n4", "n5")))
    wire.nodes["n4"].learn(7, Group(1, ("n1", "n4", "n5"), 9, "n5"))
    wire.cut.add("n5")                      # one of the two does not answer
    wire.messages.clear()
    told: list[str] = []
    wire.nodes["n1"].when_learnt(7, lambda: told.append("told"))
    wire.nodes["n1"].look_up(7)
    assert sorted(to for _, to, _ in wire.messages) == ["n4", "n5"]
    wire.settle()
    assert told == ["told"]
    assert of_one(wire.nodes["n1"].find) == ("n5", ("n1", "n4", "n5"))


def test_many_who_wait_for_one_leader_ask_once_in_a_moment() -> None:
    wire = Wire("n1", "n2", "n3")
    node = wire.nodes["n1"]
    wire.messages.clear()
    for _ in range(1000):
        node.look_up(7)
    assert len(wire.messages) == 2
    wire.now += 0.05
    node.look_up(7)
    assert len(wire.messages) == 4
    node.learn(7, OLD)          # whoever asks now asks about something else
    node.look_up(7)
    assert len(wire.messages) == 6


def test_a_group_that_is_gone_does_not_come_back_from_who_has_not_heard_of_it() -> None:
    wire = Wire("n1", "n2")
    for node in wire.nodes.values():
        node.learn(7, OLD)
        node.start()
    wire.gone.add(7)
    wire.nodes["n1"].forget(7)
    wire.pass_seconds(3)
    assert wire.nodes["n1"].find(7) == Group()
    assert wire.nodes["n2"].find(7) == OLD, "it has not been told to forget it"
