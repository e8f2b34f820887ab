"""MemDS nodes and a network that loses, delays and repeats what it likes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.router.memds import HEDGE, UNKNOWN, AskEntries, Digest, Effects, Group, Memds, Tell, encode

groups = st.builds(
    Group,
    epoch=st.integers(0, 3),
    members=st.lists(st.sampled_from(["n1", "n2", "n3"]), max_size=2).map(tuple),
    ballot=st.integers(0, 3),
    leader=st.sampled_from([None, "n1", "n2"]),
)


class Network:
    """Nodes by name, and what is under way between them."""

    def __init__(self, *names: str, seed: int = 1) -> None:
        self.chance = Random(seed)
        self.gone: dict[str, set[int]] = {name: set() for name in names}
        self.nodes = {name: Memds(Random(f"{seed} {name}"), self.gone[name].__contains__) for name in names}
        self.under_way: list[tuple[str, str, bytes]] = []
        self.changed: dict[str, set[int]] = {name: set() for name in names}
        self.messages = 0
        for name, node in self.nodes.items():
            node.set_peers(set(names) - {name})

    def carry_out(self, name: str, effects: Effects) -> None:
        self.under_way += [(name, to, payload) for to, payload in effects.send]
        self.changed[name] |= effects.changed

    def deliver(self, loses: Callable[[], bool] = lambda: False) -> None:
        while self.under_way:
            sender, to, payload = self.under_way.pop(self.chance.randrange(len(self.under_way)))
            self.messages += 1
            if not loses():
                self.carry_out(to, self.nodes[to].receive(sender, payload))

    def compare(self, times: int, loses: Callable[[], bool] = lambda: False) -> None:
        for _ in range(times):
            for name, node in self.nodes.items():
                self.carry_out(name, node.compare())
            self.deliver(loses)

    @property
    def agree(self) -> bool:
        return len({node.tree.digest for node in self.nodes.values()}) == 1


def news(node: Memds) -> None:
    for number in range(1, 60):
        node.learn(number, Group(5, ("n1", "n2", "n3"), 1 << 16, "n1"))


# Merging


@given(groups, groups, groups)
def test_what_is_known_of_a_group_does_not_depend_on_the_order_of_news(one: Group, two: Group, three: Group) -> None:
    assert one.merged(two) == two.merged(one)
    assert one.merged(two).merged(three) == one.merged(two.merged(three))
    assert one.merged(one) == one
    assert one.merged(two).epoch >= one.epoch
    assert one.merged(two).ballot >= one.ballot


def test_the_halves_of_what_is_known_of_a_group_go_forward_independently() -> None:
    newest_members = Group(9, ("n1", "n2"), 1, "n1")
    newest_leader = Group(5, ("n1", "n3"), 4, "n3")
    assert newest_members.merged(newest_leader) == Group(9, ("n1", "n2"), 4, "n3")


def test_who_leads_no_more_is_not_the_leader_until_another_is_heard_of() -> None:
    node = Memds(Random(1))
    node.announce(1, Group(1, ("n1",), 3, "n1"))
    assert node.announce(1, Group(ballot=3)).changed == {1}
    assert node.announce(1, Group(1, ("n1",), 3, "n1")).changed == set()    # the old news, late
    assert node.find(1).leader is None
    node.announce(1, Group(1, ("n1",), 4, "n2"))
    assert node.find(1).leader == "n2"
    assert node.find(2) == UNKNOWN


# Announcements and look-ups


def test_an_announcement_that_is_news_goes_to_all_and_one_that_is_none_to_nobody() -> None:
    network = Network("n1", "n2", "n3")
    group = Group(1, ("n1",), 1, "n1")
    effects = network.nodes["n1"].announce(4, group)
    assert sorted(to for to, _ in effects.send) == ["n2", "n3"]
    network.carry_out("n1", effects)
    network.deliver()
    assert network.nodes["n2"].find(4) == network.nodes["n3"].find(4) == group
    assert network.changed["n2"] == {4}
    assert network.nodes["n1"].announce(4, group) == Effects()
    assert network.nodes["n1"].learn(5, group).send == []


def test_what_is_announced_goes_out_with_all_that_is_known_of_the_group() -> None:
    """Who has missed the half that is no news any more hears of it now."""
    network = Network("n1", "n2")
    network.nodes["n1"].learn(4, Group(1, ("n1", "n2")))
    network.carry_out("n1", network.nodes["n1"].announce(4, Group(ballot=7, leader="n1")))
    network.deliver()
    assert network.nodes["n2"].find(4) == Group(1, ("n1", "n2"), 7, "n1")


def test_the_first_of_two_answers_counts() -> None:
    network = Network("n1", "n2", "n3")
    news(network.nodes["n2"])    # n3 has not heard of it
    effects = network.nodes["n1"].look_up(1)
    assert sorted(to for to, _ in effects.send) == ["n2", "n3"]
    network.carry_out("n1", effects)
    network.deliver()
    assert network.changed["n1"] == {1}
    assert network.nodes["n1"].find(1).leader == "n1"


def test_members_are_asked_first_and_never_more_than_two() -> None:
    names = [f"n{number}" for number in range(1, 10)]
    network = Network(*names)
    node = network.nodes["n1"]
    assert len(node.look_up(1).send) == HEDGE
    node.learn(1, Group(1, ("n1", "n4", "n8")))
    assert sorted(to for to, _ in node.look_up(1).send) == ["n4", "n8"]
    node.learn(2, Group(1, ("n1", "n4")))
    asked = [to for to, _ in node.look_up(2).send]
    assert "n4" in asked
    assert len(set(asked)) == HEDGE
    node.set_peers([])
    assert node.look_up(1).send == []


# Comparing


@pytest.mark.parametrize("seed", range(10))
def test_nodes_that_heard_different_news_come_to_know_the_same(seed: int) -> None:
    """All announcements are lost on the way to most, and half of what is said afterwards is lost too."""
    network = Network("n1", "n2", "n3", "n4", "n5", seed=seed)
    chance = Random(seed)
    for _ in range(300):
        node = chance.choice(list(network.nodes.values()))
        group = Group(chance.randrange(5), (chance.choice("abc"),), chance.randrange(5), chance.choice(["x", None]))
        node.learn(chance.choice([chance.randrange(1, 60), chance.randrange(1 << 40)]), group)
    assert not network.agree
    network.compare(60, loses=lambda: chance.random() < 0.5)
    network.compare(30)
    assert network.agree
    assert len(network.nodes["n1"].tree) > 60


def test_a_node_that_begins_empty_learns_all_and_then_is_quiet() -> None:
    network = Network("n1", "n2")
    for number in range(1, 3000):
        network.nodes["n1"].learn(number, Group(1, ("n1", "n2"), number, "n1"))
    network.compare(3)
    assert network.agree
    network.messages = 0
    network.compare(10)
    assert network.messages == 20    # a digest of each node each time, and no more


def test_one_missed_announcement_among_many_costs_little() -> None:
    network = Network("n1", "n2")
    for number in range(1, 3000):
        for node in network.nodes.values():
            node.learn(number, Group(1, ("n1", "n2"), number, "n1"))
    network.nodes["n1"].learn(77, Group(1, ("n1",), 1 << 30, "n1"))
    network.messages = 0
    network.compare(1)
    assert network.agree
    assert network.messages < 20


# Deletion


def test_a_group_that_is_gone_does_not_come_back_from_who_has_not_heard_of_it() -> None:
    network = Network("n1", "n2", "n3")
    for node in network.nodes.values():
        news(node)
    for name in ("n1", "n2"):
        network.gone[name].add(7)
        network.nodes[name].forget(7)
    network.compare(20)
    assert [node.find(7) == UNKNOWN for node in network.nodes.values()] == [True, True, False]
    network.gone["n3"].add(7)
    network.nodes["n3"].forget(7)
    assert network.agree


# Other versions


def test_what_a_newer_version_says_is_ignored_and_counted() -> None:
    node = Memds(Random(1))
    assert node.receive("n2", b"\xff\xff") == Effects()
    assert node.receive("n2", encode([99, b"a message of a newer version"])) == Effects()
    told = Tell(((b"another kind of key", encode(Group())), (bytes(8), b"?")))
    assert node.receive("n2", encode(told)) == Effects()
    assert node.ignored == 4
    assert len(node) == 0


def test_entries_are_told_by_key_and_by_prefix() -> None:
    node = Memds(Random(1))
    news(node)
    [(to, payload)] = node.receive("n2", encode(AskEntries((bytes(7) + b"\1",), (bytes(7),)))).send
    other = Memds(Random(2))
    other.receive("n1", payload)
    assert to == "n2"
    assert other.tree == node.tree


def test_a_digest_that_is_the_same_is_not_answered() -> None:
    one, two = Memds(Random(1)), Memds(Random(2))
    news(one)
    assert two.receive("n1", encode(Digest(one.tree.digest))).send != []
    news(two)
    assert two.receive("n1", encode(Digest(one.tree.digest))).send == []
