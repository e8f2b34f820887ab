"""Real members, real metadata in memory, links that are cut: what keeps a cluster whole, at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.autoadmin.real_cluster import Machine, RealCluster
from tests.node.writes import number_of, row_key
from varley.autoadmin import state
from varley.autoadmin.driver import Rules
from varley.autoadmin.hands import Hands
from varley.autoadmin.health import Trust
from varley.autoadmin.messages import Begin, Change, HandOver, Refused, Retire, decode_answer, encode
from varley.autoadmin.repair import Patience
from varley.autoadmin.view import MoveOrder
from varley.net.channels import ADMIN
from varley.paxos.membership import FULL, LOG, Member

RULES = Rules(patience=Patience(suspect_seconds=5, replace_seconds=30), trust=Trust(lost_seconds=30, trust_seconds=10))
ZONES = {"a1": "a", "b1": "b", "c1": "c", "a2": "a", "b2": "b", "c2": "c"}


@pytest.fixture
def cluster() -> Iterator[RealCluster]:
    cluster = RealCluster(ZONES, rules=RULES)
    yield cluster
    cluster.stop()


def is_whole(cluster: RealCluster, group: int, without: str = "") -> bool:
    shape = cluster.shape(group)
    return (
        len(shape) == 3
        and all(kind == FULL and votes for _, kind, votes in shape)
        and without not in [node for node, _, _ in shape]
    )


def test_a_killed_node_is_stood_in_for_and_replaced_with_all_that_it_had(cluster: RealCluster) -> None:
    cluster.found(7, "a1", "b1", "c1")
    for number in range(30):
        cluster.write(7, f"row {number}", number)
    cluster.settle(12)
    lost = next(name for name in ("a1", "b1", "c1") if name != cluster.lead(7))
    cluster.machines[lost].kill()
    cluster.settle_until(lambda: any(kind == LOG and votes for _, kind, votes in cluster.shape(7)), 15)
    cluster.write(7, "row 0", 100)
    cluster.settle_until(lambda: is_whole(cluster, 7, without=lost))
    cluster.settle(10)
    new = {node for node, _, _ in cluster.shape(7)} - {"a1", "b1", "c1"}
    partition = next(cluster.machines[name].node.members.by_group[7] for name in new)
    cluster.write(7, "row 1", 101)
    cluster.settle(2)
    assert number_of(partition.tree.get(row_key("row 0"))) == 100
    assert number_of(partition.tree.get(row_key("row 1"))) == 101
    assert number_of(partition.tree.get(row_key("row 29"))) == 29
    published = cluster.machines["a2"].members.get(7)
    assert published is not None and published.configuration == cluster.configuration(7)
    # Whoever has a member is in the configuration, once those that were used in between are ended.
    cluster.settle(90)
    hosts = {name for name, one in cluster.machines.items() if one.is_up and 7 in one.node.members.by_group}
    assert hosts == {node for node, _, _ in cluster.shape(7)}


def test_the_node_that_leads_and_keeps_the_cluster_is_killed(cluster: RealCluster) -> None:
    cluster.found(7, "a1", "b1", "c1")
    cluster.write(7, "row", 1)
    cluster.settle(12)
    active = next(name for name, one in cluster.machines.items() if one.election.is_active)
    leader = cluster.lead(7)
    if leader != active:
        assert cluster.machines[leader].node.hand_over(7, active) is None
        cluster.settle_until(lambda: cluster.shape(7) != [] and cluster.lead(7) == active, 5)
    cluster.machines[active].kill()
    cluster.settle_until(lambda: is_whole(cluster, 7, without=active))
    assert sum(one.election.is_active for one in cluster.machines.values() if one.is_up) == 1
    cluster.write(7, "row", 2)


def test_a_node_that_is_cut_off_for_a_while_keeps_its_replica(cluster: RealCluster) -> None:
    cluster.found(7, "a1", "b1", "c1")
    cluster.write(7, "row", 1)
    cluster.settle(12)
    cut = next(name for name in ("a1", "b1", "c1") if name != cluster.lead(7))
    cluster.network.isolate(cut)
    cluster.settle_until(lambda: (cut, FULL, False) in cluster.shape(7), 20)
    cluster.write(7, "row", 2)
    cluster.network.heal()
    cluster.settle_until(lambda: is_whole(cluster, 7))
    assert sorted(node for node, _, _ in cluster.shape(7)) == ["a1", "b1", "c1"]
    assert cluster.machines[cut].node.members.by_group[7].name == cut, "it is the same life"


def test_a_drained_node_is_emptied_and_may_stop(cluster: RealCluster) -> None:
    for group in (7, 8, 9):
        cluster.found(group, "a1", "b1", "c1")
        cluster.write(group, "row", group)
    cluster.settle(12)
    orders = cluster.machines["b2"].orders
    assert cluster.loop.run(orders.drain("a1", now=1.0))
    cluster.settle_until(lambda: all(is_whole(cluster, group, without="a1") for group in (7, 8, 9)))
    cluster.settle_until(lambda: not cluster.machines["a1"].node.members.by_group, 100)
    told = cluster.loop.run(state.read(cluster.store))
    assert told is not None
    (node,) = [each for each in told.nodes if each.name == "a1"]
    assert (node.draining, node.may_stop, node.replicas, node.leads) == (True, True, 0, 0)
    assert told.repairing == told.stuck == told.silent == 0 and told.groups == 3
    for group in (7, 8, 9):
        cluster.write(group, "row", group + 1)


def test_an_active_one_that_fails_gives_way(cluster: RealCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.settle(12)
    active = next(one for one in cluster.machines.values() if one.election.is_active)

    async def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(active.driver, "look", fail)
    cluster.settle(15)
    assert [one.is_up for one in cluster.machines.values() if one.election.is_active] == [True]
    assert not active.election.is_active
    assert any(isinstance(task.exception(), ZeroDivisionError) for task in active.tasks if task.done())


def test_a_move_is_done_once_and_its_order_ends(cluster: RealCluster) -> None:
    cluster.found(7, "a1", "b1", "c1")
    cluster.write(7, "row", 1)
    cluster.settle(12)
    orders = cluster.machines["b2"].orders
    leader = cluster.lead(7)
    assert cluster.loop.run(orders.move(MoveOrder(7, leader, leader[0] + "2"), why="test", now=1.0))
    assert not cluster.loop.run(orders.move(MoveOrder(7, leader, "a2"), why="test", now=2.0)), "one at a time"
    cluster.settle_until(lambda: is_whole(cluster, 7, without=leader))
    cluster.settle(5)
    assert not orders.moves
    assert leader[0] + "2" in [node for node, _, _ in cluster.shape(7)]


def test_balance_moves_replicas_to_empty_nodes_and_spreads_leaders(cluster: RealCluster) -> None:
    groups = range(1, 7)
    for group in groups:
        cluster.found(group, "a1", "b1", "c1")
    cluster.settle(200)
    cluster.settle_until(lambda: not cluster.machines["a1"].orders.moves, 400)
    cluster.settle(150)
    counts = [sum(node == name for group in groups for node, _, _ in cluster.shape(group)) for name in ZONES]
    assert counts == [3] * 6
    leaders = [cluster.lead(group) for group in groups]
    assert max(leaders.count(name) for name in ZONES) <= 2
    assert all(is_whole(cluster, group) for group in groups)


@pytest.mark.parametrize("requests", range(1, 12))
def test_whoever_is_active_stops_between_any_two_requests_and_another_goes_on(
    requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The active one is halted right after its nth request that changes something went out; the answer is lost."""
    _move_with_trouble(requests, lambda cluster, active: active.halt(), monkeypatch)


@pytest.mark.parametrize("requests", range(1, 12))
def test_whoever_is_active_loses_its_lease_between_any_two_requests_and_both_go_on(
    requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never hears of the loss: there are two active ones from then on, until the end."""

    def lose(cluster: RealCluster, active: Machine) -> None:
        lease = active.election._lease
        assert lease is not None
        active.start(lease.end())

        def go_on() -> None:
            assert any(one.election.is_active for one in cluster.machines.values()), "another has found the key gone"
            active.election.is_active = True

        cluster.loop.call_later(5, go_on)

    _move_with_trouble(requests, lose, monkeypatch)


def _move_with_trouble(
    requests: int, trouble: Callable[[RealCluster, Machine], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica is moved; right after the nth request that changes something, the active one gets into trouble."""
    cluster = RealCluster(ZONES, rules=RULES)
    try:
        cluster.found(7, "a1", "b1", "c1")
        cluster.write(7, "row", 1)
        cluster.settle(12)
        active = next(one for one in cluster.machines.values() if one.election.is_active)
        sent = 0
        ask = Hands._ask

        async def counted(self: Hands, node: str, request: object, seconds: float) -> object:
            nonlocal sent
            if self is active.driver._hands and type(request).__name__ != "Look":
                sent += 1
                if sent == requests:
                    cluster.loop.call_later(0.0001, trouble, cluster, active)
            return await ask(self, node, request, seconds)    # type: ignore[arg-type]

        monkeypatch.setattr(Hands, "_ask", counted)
        old = cluster.lead(7)
        source = next(name for name in ("a1", "b1", "c1") if name not in (old, active.name))
        cluster.loop.run(active.orders.move(MoveOrder(7, source, source[0] + "2"), why="test", now=1.0))
        cluster.settle_until(lambda: is_whole(cluster, 7, without=source))
        cluster.write(7, "row", 2)
        cluster.settle(120)
        hosts = {name for name, one in cluster.machines.items() if 7 in one.node.members.by_group}
        assert hosts == {node for node, _, _ in cluster.shape(7)}, "a member is left that nobody counts"
    finally:
        cluster.stop()


def test_what_was_found_in_another_configuration_is_refused(cluster: RealCluster) -> None:
    cluster.found(7, "a1", "b1", "c1")
    cluster.write(7, "row", 1)
    leader = cluster.lead(7)
    hosted = cluster.machines[leader].hosted
    epoch, _ = hosted.configuration(7)
    other = next(name for name in ("a1", "b1", "c1") if name != leader)
    answers: list[bytes] = []
    links = cluster.network.links["a2"]
    asked = [
        (leader, Change(7, epoch + 1, "remove", other)),
        (leader, Change(7, epoch, "melt", other)),
        (leader, HandOver(7, epoch - 1, other)),
        (leader, Retire(7, leader, epoch)),
        (other, HandOver(7, epoch, leader)),
        (other, Retire(7, "somebody", epoch + 9)),
        (other, Begin(7, Member("c1#9", 9, votes=False))),
        ("b2", Begin(8, Member("b2#9", 9))),
    ]
    for node, request in asked:
        links.request(node, ADMIN, encode(request), answers.append, timeout_seconds=5)
    links.request("b2", ADMIN, b"?", answers.append, timeout_seconds=5)
    cluster.settle(2)
    told = [decode_answer(answer) for answer in answers]
    assert len(told) == len(asked) + 1 and all(isinstance(answer, Refused) for answer in told), told
    assert cluster.shape(7) == [("a1", FULL, True), ("b1", FULL, True), ("c1", FULL, True)]
    assert 8 not in cluster.machines["b2"].node.members.by_group
