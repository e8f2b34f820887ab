"""What looks one after the other tell that none of them tells alone."""

from __future__ import annotations

from varley.autoadmin.health import Trust
from varley.autoadmin.messages import MemberReport, NodeReport, Peer
from varley.autoadmin.repair import Patience
from varley.autoadmin.sight import Sight
from varley.autoadmin.view import GroupView
from varley.paxos.membership import FULL, Configuration, Member

MB = 1024 * 1024
BUILT = "n4#9"
MEMBERS = Configuration((Member("n1", 1), Member("n2", 2), Member(BUILT, 9, votes=False)))


def look(sight: Sight, now: float, *, lag: int | None, taken: int = 0, writes: float = 0.0) -> GroupView:
    peers = (Peer("n2", 0.1, 0), Peer(BUILT, 0.1, lag))
    leader = MemberReport(
        7, "n1", FULL, is_young=False, ballot=3, led_seconds=now, epoch=5, configuration=MEMBERS, bytes=MB,
        load=writes, peers=peers, writes=writes,
    )  # fmt: skip
    built = MemberReport(7, BUILT, FULL, is_young=False, taken=taken)
    reports = [NodeReport("n1", "", (leader,)), NodeReport("n4", "", (built,))]
    return sight.view(sight.leading(reports, {7: 3})[7], 3, now)


def test_a_copy_that_gets_bytes_is_waited_for_and_its_node_not_avoided() -> None:
    sight = Sight(Patience(), Trust())
    for now in range(0, 1000, 10):
        view = look(sight, now, lag=None, taken=now * MB)
        assert not view.stalled and not view.avoid


def test_a_copy_that_gets_nothing_has_stalled_and_its_node_is_avoided_for_a_while() -> None:
    sight = Sight(Patience(), Trust())
    for now in range(0, 140, 10):
        view = look(sight, now, lag=5000)
    assert view.stalled == {BUILT} and view.avoid == {"n4"}
    assert look(sight, 140, lag=100).stalled == set(), "it has caught up all the same"
    assert look(sight, 800, lag=0).avoid == set()


def test_what_a_group_usually_writes_follows_slowly() -> None:
    sight = Sight(Patience(), Trust())
    look(sight, 0, lag=0, writes=10.0)
    burst = look(sight, 30, lag=0, writes=1010.0)
    assert 40 < burst.usual_writes < 60 and burst.load == 1010.0
    for now in range(60, 3600, 30):
        view = look(sight, now, lag=0, writes=1010.0)
    assert view.usual_writes > 1000
