"""MemDS nodes and a network that loses, delays and repeats what it likes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.router.memds import (
    COMPARE_SECONDS,
    GONE_SECONDS_MAX,
    LOOK_UP_SECONDS_MAX,
    AskEntries,
    Digest,
    Effects,
    Found,
    Group,
    LookUp,
    Memds,
    Range,
    Tell,
    encode,
)

START = 1_700_000_000.0
HASH = b"\x77" * 16

groups = st.builds(
    Group,
    epoch=st.integers(0, 3),
    members=st.lists(st.sampled_from(["n1", "n2", "n3"]), max_size=2).map(tuple),
    ballot=st.integers(0, 3),
    leader=st.sampled_from([None, "n1", "n2"]),
)
ranges = st.builds(
    Range, group=st.integers(1, 3), epoch=st.integers(1, 3), gone_at=st.sampled_from([0.0, START, START + 1])
)


class Network:
    """Nodes by name, what is under way between them, and a clock."""

    def __init__(self, *names: str, seed: int = 1) -> None:
        self.chance = Random(seed)
        self.now = START
        self.nodes = {name: Memds(Random(f"{seed} {name}")) for name in names}
        self.under_way: list[tuple[str, str, bytes]] = []
        self.changed: dict[str, Effects] = {name: Effects() for name in names}
        self.messages = 0
        for name, node in self.nodes.items():
            node.set_peers(set(names) - {name})
            node.tick(self.now)

    def carry_out(self, name: str, effects: Effects) -> None:
        self.under_way += [(name, to, payload) for to, payload in effects.send]
        seen = self.changed[name]
        seen.changed_groups |= effects.changed_groups
        seen.changed_tables |= effects.changed_tables
        seen.answered += effects.answered
        seen.unanswered += effects.unanswered

    def deliver(self, loses: Callable[[], bool] = lambda: False) -> None:
        while self.under_way:
            sender, to, payload = self.under_way.pop(self.chance.randrange(len(self.under_way)))
            self.messages += 1
            if not loses():
                self.carry_out(to, self.nodes[to].receive(sender, payload))

    def pass_time(self, seconds: float, loses: Callable[[], bool] = lambda: False) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + COMPARE_SECONDS, end)
            for name, node in self.nodes.items():
                self.carry_out(name, node.tick(self.now))
            self.deliver(loses)

    @property
    def agree(self) -> bool:
        return len({node.tree.digest for node in self.nodes.values()}) == 1


def messages_in(effects: Effects, kind: type) -> list[str]:
    """To whom messages of this kind go."""
    tag = next(tag for tag, each in enumerate((Tell, LookUp, Found, Digest), 1) if each is kind)
    return [to for to, payload in effects.send if payload[1] == tag]


def news(node: Memds) -> None:
    """A table of two partitions."""
    node.announce_ranges(b"songs", [(b"", Range(1, 1)), (b"\x80", Range(2, 1))])
    node.announce_group(1, Group(5, ("n1", "n2", "n3"), 1 << 16, "n1"))


# Merging


@given(groups, groups, groups)
def test_what_is_known_of_a_group_does_not_depend_on_the_order_of_news(one: Group, two: Group, three: Group) -> None:
    assert one.merged(two) == two.merged(one)
    assert one.merged(two).merged(three) == one.merged(two.merged(three))
    assert one.merged(one) == one
    assert one.merged(two).epoch >= one.epoch
    assert one.merged(two).ballot >= one.ballot


@given(ranges, ranges, ranges)
def test_what_is_known_of_a_range_does_not_depend_on_the_order_of_news(one: Range, two: Range, three: Range) -> None:
    assert one.merged(two) == two.merged(one)
    assert one.merged(two).merged(three) == one.merged(two.merged(three))
    assert one.merged(one) == one
    assert not one.gone_at or one.merged(two).gone_at


def test_the_halves_of_what_is_known_of_a_group_go_forward_independently() -> None:
    newest_members = Group(9, ("n1", "n2"), 1, "n1")
    newest_leader = Group(5, ("n1", "n3"), 4, "n3")
    assert newest_members.merged(newest_leader) == Group(9, ("n1", "n2"), 4, "n3")


def test_who_leads_no_more_is_not_the_leader_until_another_is_heard_of() -> None:
    node = Memds(Random(1))
    node.announce_group(1, Group(1, ("n1",), 3, "n1"))
    assert node.announce_group(1, Group(1, ("n1",), 3, None)).changed_groups == {1}
    assert node.announce_group(1, Group(1, ("n1",), 3, "n1")).changed_groups == set()    # the old news, late
    assert node.group(1).leader is None
    node.announce_group(1, Group(1, ("n1",), 4, "n2"))
    assert node.group(1).leader == "n2"


# Look-ups


def test_the_owner_of_a_location() -> None:
    node = Memds(Random(1))
    news(node)
    located = node.find(b"songs", HASH)
    assert located is not None
    assert (located.low, located.high, located.range.group, located.group.leader) == (b"", b"\x80", 1, "n1")
    last = node.find(b"songs", b"\xff")
    assert last is not None
    assert (last.low, last.high, last.range.group, last.group) == (b"\x80", None, 2, Group())
    assert node.find(b"song", HASH) is None       # no prefix of a name is another name
    assert node.find(b"songs2", HASH) is None
    assert list(node.ranges(b"songs")) == [(b"", Range(1, 1)), (b"\x80", Range(2, 1))]


def test_a_table_that_is_split_has_its_new_ranges() -> None:
    node = Memds(Random(1))
    news(node)
    effects = node.announce_ranges(b"songs", [(b"", Range(1, 2)), (b"\x40", Range(3, 1)), (b"\x80", Range(2, 1))])
    assert effects.changed_tables == {b"songs"}
    located = node.find(b"songs", HASH)
    assert located is not None
    assert (located.low, located.range.group) == (b"\x40", 3)


def test_an_announcement_that_is_news_goes_to_all_and_one_that_is_none_to_nobody() -> None:
    network = Network("n1", "n2", "n3")
    group = Group(1, ("n1",), 1, "n1")
    effects = network.nodes["n1"].announce_group(4, group)
    assert sorted(to for to, _ in effects.send) == ["n2", "n3"]
    network.carry_out("n1", effects)
    network.deliver()
    assert network.nodes["n2"].group(4) == network.nodes["n3"].group(4) == group
    assert network.changed["n2"].changed_groups == {4}
    assert not network.nodes["n1"].announce_group(4, group)


def test_a_route_is_asked_for_each_turn_in_which_it_was_used_and_once() -> None:
    """Constant work: what is known costs those who are asked as much as what is not."""
    network = Network("n1", "n2", "n3", "n4")
    node = network.nodes["n1"]
    news(node)
    for _ in range(3):    # turns
        for _ in range(1000):
            node.refresh(b"songs", b"")
            node.refresh(b"songs", b"\x80")
        effects = node.end_turn()
        asked = messages_in(effects, LookUp)
        assert len(asked) == len(set(asked)) == 2
        assert len(effects.send) == 2
    assert not node.end_turn()


def test_the_first_of_two_answers_counts() -> None:
    network = Network("n1", "n2", "n3")
    news(network.nodes["n2"])    # n3 has not heard of it
    number, effects = network.nodes["n1"].look_up(b"songs", HASH)
    assert sorted(messages_in(effects, LookUp)) == ["n2", "n3"]
    network.carry_out("n1", effects)
    network.deliver()
    assert network.changed["n1"].answered == [number]
    located = network.nodes["n1"].find(b"songs", HASH)
    assert located is not None
    assert located.group.leader == "n1"
    assert network.changed["n1"].changed_groups == {1}


def test_a_look_up_that_nobody_answers_is_given_up() -> None:
    network = Network("n1", "n2")
    node = network.nodes["n1"]
    number, _ = node.look_up(b"songs", HASH)
    assert node.tick(START + LOOK_UP_SECONDS_MAX * 0.9).unanswered == []
    assert node.tick(START + LOOK_UP_SECONDS_MAX).unanswered == [number]
    assert node.receive("n2", encode(Found(number, ()))).answered == []    # too late
    node.set_peers([])
    assert node.look_up(b"songs", HASH)[1].unanswered == [number + 1]


# Comparing


@pytest.mark.parametrize("seed", range(10))
def test_nodes_that_heard_different_news_come_to_know_the_same(seed: int) -> None:
    """All announcements are lost on the way to most, and half of what is said afterwards is lost too."""
    network = Network("n1", "n2", "n3", "n4", "n5", seed=seed)
    chance = Random(seed)
    for _ in range(300):
        node = chance.choice(list(network.nodes.values()))
        if chance.random() < 0.7:
            group = Group(chance.randrange(5), (chance.choice("abc"),), chance.randrange(5), chance.choice(["x", None]))
            node.announce_group(chance.randrange(1, 60), group)
        else:
            table = b"table %d" % chance.randrange(5)
            node.announce_ranges(table, [(b"", Range(1, 1)), (chance.randbytes(2), Range(chance.randrange(9), 2))])
    assert not network.agree
    network.pass_time(60, loses=lambda: chance.random() < 0.5)
    network.pass_time(30)
    assert network.agree
    assert len(network.nodes["n1"].tree) > 60


def test_a_node_that_begins_empty_learns_all_and_then_is_quiet() -> None:
    network = Network("n1", "n2")
    chance = Random(5)
    for number in range(1, 3000):
        network.nodes["n1"].announce_ranges(b"t%d" % (number % 100), [(chance.randbytes(16), Range(number, 1))])
    network.pass_time(3 * COMPARE_SECONDS)
    assert network.agree
    network.messages = 0
    network.pass_time(10 * COMPARE_SECONDS)
    assert network.messages == 20    # a digest of each node each time, and no more


def test_one_missed_announcement_among_many_costs_little() -> None:
    network = Network("n1", "n2")
    chance = Random(5)
    for number in range(1, 3000):
        ranges = [(chance.randbytes(16), Range(number, 1))]
        for node in network.nodes.values():
            node.announce_ranges(b"t%d" % (number % 100), ranges)
    network.nodes["n1"].announce_group(77, Group(1, ("n1",), 1, "n1"))
    network.messages = 0
    network.pass_time(COMPARE_SECONDS)
    assert network.agree
    assert network.messages < 20


# Deletion


def test_a_deleted_table_does_not_come_back_from_who_has_not_heard_of_it() -> None:
    network = Network("n1", "n2", "n3")
    for node in network.nodes.values():
        news(node)
    network.nodes["n1"].announce_gone(b"songs")    # and nobody is told
    network.pass_time(20)
    assert network.agree
    assert [node.find(b"songs", HASH) for node in network.nodes.values()] == [None] * 3
    assert list(network.nodes["n3"].ranges(b"songs")) == []


def test_what_is_gone_is_forgotten_after_a_day_and_not_taken_from_others() -> None:
    network = Network("n1", "n2")
    for node in network.nodes.values():
        node.announce_ranges(b"songs", [(b"", Range(1, 1))])
    network.carry_out("n1", network.nodes["n1"].announce_gone(b"songs"))
    network.deliver()
    late = START + GONE_SECONDS_MAX + 1
    network.nodes["n1"].tick(late)
    assert len(network.nodes["n1"].tree) == 0
    assert len(network.nodes["n2"].tree) == 1    # its clock is behind
    network.nodes["n1"].receive("n2", encode(Tell(tuple(network.nodes["n2"].tree))))
    assert len(network.nodes["n1"].tree) == 0


# Other versions


def test_what_a_newer_version_says_is_ignored_and_counted() -> None:
    node = Memds(Random(1))
    assert not node.receive("n2", b"\xff\xff")
    assert not node.receive("n2", encode([99, b"a message of a newer version"]))
    assert not node.receive("n2", encode(Tell(((b"z new kind", b""), (b"g" + bytes(8), b"?")))))
    assert node.ignored == 4
    assert len(node.tree) == 0


def test_entries_are_told_by_key_and_by_prefix() -> None:
    node = Memds(Random(1))
    news(node)
    [(to, payload)] = node.receive("n2", encode(AskEntries((b"g" + bytes(7) + b"\1",), (b"r",)))).send
    other = Memds(Random(2))
    other.receive("n1", payload)
    assert to == "n2"
    assert other.tree == node.tree
