"""Groups at rest over a wire: what is sent, and that nothing of it is lost on whom it concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.fake_links import FakeLinks
from tests.node.member_cluster import GROUP, MemberCluster
from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Write, number_of, row_key
from varley.net.channels import BEATS, GRANTS, PAXOS
from varley.node.members import Members, NoLinks
from varley.paxos.membership import Member

GROUPS = range(100, 120)
MILLION = 1_000_000


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """channel -> messages"""
    counts: Counter[int] = Counter()
    send = FakeLinks.send

    def counted(links: FakeLinks, to: str, channel: int, payload: bytes) -> None:
        counts[channel] += 1
        send(links, to, channel, payload)

    monkeypatch.setattr(FakeLinks, "send", counted)
    return counts


def resting(tmp_path: Path) -> MemberCluster:
    cluster = MemberCluster(tmp_path, 31)
    for group in GROUPS:
        for machine in cluster.machines.values():
            member = Member(machine.name, int(machine.name[1:]))
            cluster.run(machine.node.create_member(group, member, cluster.configuration))
    cluster.write(Write("a", 1))
    cluster.loop.run_for(8)
    return cluster


def leaders(cluster: MemberCluster) -> dict[int, str]:
    return {
        group: machine.name
        for machine in cluster.machines.values()
        if machine.is_up
        for group, member in machine.node.members.by_group.items()
        if member.is_leading
    }


def test_what_groups_at_rest_say_is_said_together(tmp_path: Path, sent: Counter[int]) -> None:
    cluster = resting(tmp_path)
    led = leaders(cluster)
    assert len(led) == len(GROUPS) + 1
    sent.clear()
    cluster.loop.run_for(10)
    assert leaders(cluster) == led and sent[PAXOS] == 0
    # Two a second for each pair of a leader's node and another, if all are due together; and as many answers.
    assert sent[GRANTS] == sent[BEATS] < 10 * 2 * len(led)
    cluster.stop()


def test_a_write_wakes_its_group_alone(tmp_path: Path, sent: Counter[int]) -> None:
    cluster = resting(tmp_path)
    sent.clear()
    waiter = cluster.write(Write("a", 2))
    cluster.loop.run_for(0.1)
    assert waiter.answer == b"2"
    cluster.loop.run_for(5)
    assert 0 < sent[PAXOS] < 40
    for machine in cluster.machines.values():
        assert machine.partition is not None
        assert number_of(machine.partition.get(row_key("a"))) == 2
    cluster.stop()


def test_nobody_is_silent_while_at_rest(tmp_path: Path) -> None:
    cluster = resting(tmp_path)
    for machine in cluster.machines.values():
        assert machine.node.silent_members(1) == {}
        assert all(machine.node.member_status(group).is_healthy for group in GROUPS)
    cluster.stop()


def test_others_lead_all_that_a_node_led_at_rest(tmp_path: Path) -> None:
    cluster = resting(tmp_path)
    dead = cluster.wait_for_leader()
    dead.kill()
    cluster.loop.run_for(4)
    led = leaders(cluster)
    assert len(led) == len(GROUPS) + 1 and dead.name not in led.values()
    waiter = cluster.write(Write("a", 3))
    cluster.loop.run_for(5)
    assert waiter.answer == b"3"
    # The groups rest again, without it; and it gets what it lacks when it is back.
    cluster.restart(dead)
    cluster.loop.run_for(3)
    assert dead.partition is not None and number_of(dead.partition.get(row_key("a"))) == 3
    cluster.stop()


def test_a_node_that_is_cut_off_holds_no_lease(tmp_path: Path) -> None:
    cluster = resting(tmp_path)
    alone = cluster.wait_for_leader()
    assert alone.partition is not None
    ballot = alone.partition.ballot
    assert alone.partition.may_answer(ballot)
    cluster.network.isolate(alone.name)
    cluster.loop.run_for(1.6)
    assert not alone.partition.may_answer(ballot) and not alone.partition.is_leading
    cluster.stop()


@pytest.mark.parametrize("channel", [BEATS, GRANTS])
@pytest.mark.parametrize("size", [0, 7, 9, 8 + 27, 8 + 28 + 32])
def test_what_is_no_message_is_thrown_away(channel: int, size: int, tmp_path: Path) -> None:
    cluster = MemberCluster(tmp_path, 32)
    machine = cluster.wait_for_leader()
    for sender in ("n1", "n9"):
        cluster.network.links[machine.name].handlers[channel](sender, bytes(size))
    cluster.loop.run_for(1)
    assert not machine.fatal and cluster.wait_for_leader() is machine
    cluster.stop()


def test_the_documentation_shows_these_bytes() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    sent: list[bytes] = []
    handlers: dict[int, Callable[[str, bytes], None]] = {}

    class Wire(NoLinks):
        def send(self, to: str, channel: int, payload: bytes) -> None:
            sent.append(payload)

        def serve_messages(self, channel: int, handler: Callable[[str, bytes], None]) -> None:
            handlers[channel] = handler

    class Granting:
        life = 1
        granted: tuple[object, ...]

        def grant_at_rest(self, *beat: object) -> bool:
            self.granted = beat
            return True

    members = Members(
        SteppedLoop(), Wire(), now_us=lambda: 2 * MILLION, append_records=lambda *_: None, flush_log_soon=lambda: None,
        on_snapshot_needed=lambda *_: None, on_state_noted=lambda: None, on_failure=lambda _: None,
    )  # fmt: skip
    members.send_at_rest(GROUP, "n1", ("n2",), 1_200_000, 65537, 42)
    members._send_beats(1_500_000)
    members.by_group[GROUP] = granting = Granting()  # type: ignore[assignment]
    members.heard_us[GROUP] = {}
    handlers[BEATS]("n1", sent[0])
    assert granting.granted == ("n1", 65537, 42, 1_200_000, 2 * MILLION)
    for payload in sent:
        assert f"    {payload.hex(' ')}\n" in documentation
    assert len(sent) == 2
