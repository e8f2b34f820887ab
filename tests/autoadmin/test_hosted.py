"""What a node says of itself: how busy, how well its disk is."""

from __future__ import annotations

from tests.autoadmin.real_cluster import RealCluster
from varley.autoadmin.driver import Rules
from varley.autoadmin.hosted import NodeHosted, _Disk
from varley.paxos.membership import Member
from varley.storage.log_writer import LogStatistics


class Times:
    frames = 0
    seconds = 0.0

    def __call__(self) -> tuple[int, float]:
        return self.frames, self.seconds


def test_a_disk_that_takes_long_for_each_write_is_trouble_until_it_does_not() -> None:
    times = Times()
    disk = _Disk(times, 0.5)
    times.frames, times.seconds = 10, 1.0
    disk.sample()
    assert disk.trouble == ""
    times.frames, times.seconds = 14, 5.0
    disk.sample()
    assert disk.trouble == "its disk takes 1.0 s for a write"
    times.frames, times.seconds = 100, 5.1
    disk.sample()
    assert disk.trouble == ""


def test_a_disk_that_hangs_is_trouble_though_nothing_is_finished() -> None:
    written = LogStatistics(frames=10, sync_seconds=1.0)
    now = 100.0
    disk = _Disk(lambda: (written.frames, written.seconds(now)), 0.5)
    written.sync_began, now = 100.0, 100.4
    disk.sample()
    assert disk.trouble == ""
    now = 101.4
    disk.sample()
    assert disk.trouble == "its disk takes 1.0 s for a write"
    written.frames, written.sync_seconds, written.sync_began = 11, 3.0, 0.0
    disk.sample()
    assert disk.trouble != "", "its last second was no better"
    now = 102.4
    disk.sample()
    assert disk.trouble == ""


def test_what_is_free_on_a_disk_is_told_and_nobody_waits_for_a_disk_that_hangs() -> None:
    cluster = RealCluster({"a1": "a"})
    try:
        hosted = NodeHosted(cluster.machines["a1"].node, now=cluster.loop.time, free_bytes=lambda: 1000)
        cluster.loop.holds_disk_threads = True
        assert [cluster.loop.run(hosted.report()).free_bytes for _ in range(3)] == [None] * 3
        assert len(cluster.loop.held) == 1, "asked once, while it is not answered"
        cluster.loop.let_disk_threads_go()
        assert cluster.loop.run(hosted.report()).free_bytes == 1000
    finally:
        cluster.loop.holds_disk_threads = False
        cluster.loop.let_disk_threads_go()
        cluster.stop()


def test_a_slow_disk_costs_the_lead_and_the_vote_and_then_the_replica() -> None:
    zones = {name: name[0] for name in ("a1", "b1", "c1", "a2", "b2", "c2")}
    cluster = RealCluster(zones, rules=Rules(balances=False))
    try:
        cluster.found(7, "a1", "b1", "c1")
        cluster.write(7, "row", 1)
        cluster.settle(15)
        slow = cluster.lead(7)
        cluster.machines[slow].hosted._disk.trouble = "its disk takes 2.0 s for a write"
        cluster.settle_until(lambda: cluster.shape(7) != [] and cluster.lead(7) != slow, 20)
        cluster.settle_until(lambda: slow not in [node for node, _, _ in cluster.shape(7)], 120)
        cluster.settle_until(lambda: [votes for _, _, votes in cluster.shape(7)] == [True] * 3, 120)
        cluster.write(7, "row", 2)
    finally:
        cluster.stop()


def test_a_member_is_not_ended_soon_after_it_began_whoever_began_it() -> None:
    """Story: a member whose log was lost is back under another name, which its leader has not heard of yet."""
    cluster = RealCluster({"a1": "a", "b1": "b", "c1": "c", "a2": "a"})
    try:
        cluster.found(7, "a1", "b1", "c1")
        cluster.write(7, "row", 1)
        node = cluster.machines["a2"].node
        cluster.loop.run(node.create_learner(7, Member("a2#2", 9, votes=False, joins=True)))
        cluster.settle(50)
        assert 7 in node.members.by_group
        cluster.settle(40)
        assert 7 not in node.members.by_group, "nobody counts it"
    finally:
        cluster.stop()


def test_load_is_what_was_written_between_two_looks() -> None:
    cluster = RealCluster({"a1": "a", "b1": "b", "c1": "c"})
    try:
        cluster.found(7, "a1", "b1", "c1")
        cluster.write(7, "row", 0)
        hosted: NodeHosted = cluster.machines[cluster.lead(7)].hosted
        for number in range(40):
            cluster.write(7, f"row {number}", number)
        (member,) = cluster.loop.run(hosted.report()).members
        assert 0.5 < member.load < 3, "40 writes in about 20 seconds"
        assert member.bytes > 0 and member.led_seconds > 20 and len(member.peers) == 2
        cluster.settle(120)
        assert cluster.loop.run(hosted.report()).members[0].load < 0.1
    finally:
        cluster.stop()
