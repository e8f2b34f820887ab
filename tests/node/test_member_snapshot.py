"""A state that goes from one member to another: whatever is cut short leaves the old state or the new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.node.carrying import Carrying
from tests.node.member_cluster import GROUP, Machine, MemberCluster
from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Write
from varley.errors import DiskFull
from varley.net.channels import SNAPSHOT
from varley.node import snapshots
from varley.node.members import Members, NoLinks
from varley.paxos.events import AddLearner
from varley.paxos.membership import Configuration, Member
from varley.paxos.messages import Fetch
from varley.storage.memory_engine import MemoryEngine
from varley.storage.tree import Applied, SnapshotGone, Tree
from varley.storage.tree_folder import SnapshotNote, TreeFolder, decode_note

STEPS = ("open_incoming", "write", "note_snapshot", "install_incoming", "settle_incoming", "tell core", "after")


class Killed(Exception):
    """Here the process ends."""


def rows_of(machine: Machine) -> list[tuple[bytes, bytes]]:
    assert machine.partition is not None
    return list(machine.partition.tree.scan(b"", None))


def cluster_with_a_learner(tmp_path: Path, seed: int) -> tuple[MemberCluster, Machine]:
    cluster = MemberCluster(tmp_path, seed)
    for number in range(60):
        cluster.write(Write(f"row {number}", number))
        cluster.loop.run_for(0.02)
    for machine in cluster.machines.values():
        machine.checkpoint()
    for number in range(20):
        cluster.write(Write(f"row {number}", number + 100))
        cluster.loop.run_for(0.02)
    learner = cluster.machine("n4")
    learner.start()
    return cluster, learner


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_a_member_that_gets_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_before: bool
) -> None:
    monkeypatch.setattr(snapshots, "PIECE_BYTES", 500)
    cluster, learner = cluster_with_a_learner(tmp_path, 21)
    reached: list[str] = []

    def dies_at(owner: Any, name: str) -> None:
        work: Callable[..., Any] = getattr(owner, name)

        def dying(*arguments: Any) -> Any:
            if is_before:
                reached.append(name)
                raise Killed
            work(*arguments)
            reached.append(name)
            raise Killed

        monkeypatch.setattr(owner, name, dying)

    member = Member("n4", 4, votes=False, joins=True)
    learner.join(member)
    engines = learner.engines
    if step == "write":
        opened = engines.open_incoming

        def open_incoming(group: int) -> Any:
            engine = opened(group)
            written = type(engine).write

            def write(self: Any, rows: Any, applied: Any) -> None:
                if not is_before:
                    written(self, rows, applied)
                reached.append("write")
                raise Killed

            monkeypatch.setattr(type(engine), "write", write)
            return engine

        monkeypatch.setattr(engines, "open_incoming", open_incoming)
    elif step == "tell core":
        dies_at(snapshots._Taking, "_tell_core")
    elif step != "after":
        dies_at(engines, step)
    leader = cluster.wait_for_leader()
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    for _ in range(200):
        try:
            cluster.loop.run_for(0.01)
        except Killed:
            break
        for machine in cluster.machines.values():
            machine.wait_for_checkpoint()
    assert reached or step == "after"
    learner.kill(power_cut=True)
    monkeypatch.undo()
    cluster.restart(learner)
    assert learner.recovered[GROUP].why_lost is None
    cluster.settle(8)
    leader = cluster.wait_for_leader()
    assert rows_of(learner) == rows_of(leader)
    assert "n4" in leader.core.configuration.voters
    cluster.stop()


def test_a_state_that_came_and_a_log_that_does_not_say_so_are_brought_together(tmp_path: Path) -> None:
    """As if the power had gone between the rename and the next line of the log."""
    cluster, learner = cluster_with_a_learner(tmp_path, 22)
    member = Member("n4", 4, votes=False)
    learner.join(member)
    leader = cluster.wait_for_leader()
    disk = learner.disk.after_power_cut(cluster.random, "all")
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    cluster.settle(3)
    assert learner.partition is not None
    slot = learner.partition.tree.checkpointed_slot
    assert slot > 0
    learner.kill()
    learner.disk = disk     # with its first State only
    cluster.restart(learner)
    recovered = learner.recovered[GROUP]
    assert recovered.ahead is not None
    assert recovered.ahead.slot == slot
    assert learner.core.chosen >= slot
    cluster.write(Write("row 0", 5))
    cluster.settle(3)
    assert rows_of(learner) == rows_of(cluster.wait_for_leader())
    cluster.stop()


def test_rows_are_given_as_of_one_slot_whatever_is_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PIECE_BYTES", 200)
    cluster, learner = cluster_with_a_learner(tmp_path, 23)
    member = Member("n4", 4, votes=False, joins=True)
    learner.join(member)
    leader = cluster.wait_for_leader()
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    for number in range(200):
        cluster.write(Write(f"row {number % 60}", number))
        cluster.loop.run_for(0.01)
        if number % 20 == 0:
            leader.checkpoint()
    cluster.settle(8)
    assert rows_of(learner) == rows_of(cluster.wait_for_leader())
    assert "n4" in leader.core.configuration.voters
    cluster.stop()


def test_no_state_is_given_while_what_its_entries_carry_has_not_arrived(tmp_path: Path) -> None:
    cluster, learner = cluster_with_a_learner(tmp_path, 24)
    leader = cluster.wait_for_leader()
    assert leader.partition is not None
    carrying = Carrying(20)
    leader.partition.carry_outgoing(carrying)
    cluster.loop.run_for(1)
    member = Member("n4", 4, votes=False, joins=True)
    learner.join(member)
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    cluster.settle(5)
    assert learner.core.chosen == 0
    carrying.arrived = None
    cluster.settle(3)
    assert rows_of(learner) == rows_of(leader)
    assert "n4" in leader.core.configuration.voters
    cluster.stop()


@pytest.mark.parametrize("kind", ["lmdb", "memory"])
def test_a_snapshot_of_an_engine_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    engine: Any = MemoryEngine() if kind == "memory" else TreeFolder(str(tmp_path)).open(7)
    rows = [(b"\x00%03d" % number, b"value %d" % number) for number in range(50)]
    engine.write(iter(rows), Applied(3, 50, 500, 1))
    engine.renew()
    tree = Tree(engine)
    snapshot = tree.snapshot()
    assert snapshot is not None
    engine.write(iter([(b"\x00000", None), (b"\x00049", b"other")]), Applied(4, 49, 490, 2))
    engine.renew()
    read: list[tuple[bytes, bytes]] = []
    while piece := snapshot.rows(read[-1][0] if read else b"", 100):
        assert len(piece) < 20
        read += piece
    assert read == rows
    assert snapshot.applied == Applied(3, 50, 500, 1)
    snapshot.close()
    tree.close()


def test_a_snapshot_ends_when_lmdb_moves_its_map(tmp_path: Path) -> None:
    engine = TreeFolder(str(tmp_path)).open(7)
    engine.write(iter([(b"\x00a", b"1")]), Applied(1, 1, 1, 1))
    engine.renew()
    snapshot = engine.snapshot()
    engine.reserve(10, 1 << 31)
    with pytest.raises(SnapshotGone):
        snapshot.rows(b"", 100)
    assert engine.get(b"\x00a") == b"1"
    engine.close()


def test_the_documentation_shows_these_bytes() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    line, crc, _ = SnapshotNote(42, 65537, Configuration((Member("n1", 1),))).encoded().decode().split("\n")
    assert f"    {line}\n    {crc}\n" in documentation
    sent: list[bytes] = []

    class Wire(NoLinks):
        def send(self, to: str, channel: int, payload: bytes) -> None:
            sent.append(payload)

    members = Members(
        SteppedLoop(), Wire(), now_us=lambda: 0, append_records=lambda *_: None, flush_log_soon=lambda: None,
        on_snapshot_needed=lambda *_: None, on_state_noted=lambda: None, on_failure=lambda _: None,
    )  # fmt: skip
    members.send(7, Member("n1#2", 4), "n2", Fetch(41))
    assert sent[0].hex(" ") in documentation


def test_a_note_that_is_not_as_it_was_written_is_none() -> None:
    note = SnapshotNote(42, 65537, Configuration((Member("n1", 1),)))
    assert decode_note(note.encoded()) == note
    assert decode_note(note.encoded().replace(b"42", b"43")) is None
    assert decode_note(b"") is None


def test_an_answer_that_is_not_understood_ends_the_taking_and_the_next_begins(tmp_path: Path) -> None:
    cluster, learner = cluster_with_a_learner(tmp_path, 44)
    member = Member("n4", 4, votes=False, joins=True)
    learner.join(member)
    garbled: list[str] = []
    for machine in cluster.machines.values():
        links = cluster.network.links[machine.name]
        serve = links.services[SNAPSHOT]

        def served(
            sender: str, payload: bytes, answer: Callable[[bytes], None],
            serve: Callable[[str, bytes, Callable[[bytes], None]], None] = serve,
        ) -> None:  # fmt: skip
            if b"More" in payload and not garbled:
                garbled.append(sender)
                answer(b"garbage")
            else:
                serve(sender, payload, answer)

        links.services[SNAPSHOT] = served
    leader = cluster.wait_for_leader()
    assert leader.node.reconfigure(GROUP, AddLearner(member)) is None
    cluster.loop.run_for(1)
    assert garbled == ["n4"]
    cluster.settle(20)
    assert rows_of(learner) == rows_of(leader)
    cluster.stop()


def refuse_checkpoints(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tree's disk is full, until the patch is undone; one checkpoint has been refused."""
    assert machine.partition is not None
    engine = type(machine.partition.tree._engine)

    def full(*_: object) -> None:
        raise DiskFull("no space", path=str(machine.folder), operation="write")

    monkeypatch.setattr(engine, "write", full)
    machine.node.checkpoint(GROUP)
    machine.cluster.loop.wait_for_call()
    assert machine.partition.tree.is_frozen


def test_a_refused_checkpoint_goes_on_after_a_state_that_was_not_needed_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member is behind, its disk is full, a state comes; by then it has caught up by itself."""
    cluster = MemberCluster(tmp_path, 41)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    machine = cluster.wait_for_leader()
    checkpoints = machine.node._checkpoints
    refuse_checkpoints(machine, monkeypatch)
    told: list[bool] = []
    checkpoints.pause(GROUP, lambda: told.append(True))
    assert told
    monkeypatch.undo()
    cluster.loop.run_for(3)
    assert machine.partition is not None and machine.partition.tree.is_frozen, "none while it is paused"
    checkpoints.resume(GROUP)
    machine.wait_for_checkpoint()
    cluster.write(Write("a", 2))
    cluster.loop.run_for(1)
    machine.checkpoint()
    assert machine.partition.tree.checkpointed_slot == machine.partition.tree.applied_slot
    cluster.stop()


def test_a_node_stops_while_a_refused_checkpoint_is_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = MemberCluster(tmp_path, 42)
    cluster.write(Write("a", 1))
    cluster.loop.run_for(1)
    machine = next(each for each in cluster.machines.values() if each is not cluster.leader())
    refuse_checkpoints(machine, monkeypatch)
    machine.node._checkpoints.pause(GROUP, lambda: None)
    monkeypatch.undo()
    stopped = cluster.stop_node(machine)
    cluster.loop.run_for(1)
    machine.wait_for_checkpoint()
    cluster.loop.run_for(1)
    stopped.result()
    assert machine.partition is not None
    assert machine.partition.tree.checkpointed_slot == machine.partition.tree.applied_slot
    machine.is_up = False
    cluster.stop()


def test_a_leader_that_does_not_serve_yet_gives_no_state_that_holds_what_has_not_arrived(tmp_path: Path) -> None:
    """1. One is away; the two others go on, drop what it lacks from their logs, and make checkpoints that hold what has
    not arrived. 2. One of the two goes, the one that was away comes back. 3. The one that is left cannot serve before
    that one has its state, and does not give it before it has sent what it carries."""
    cluster = MemberCluster(tmp_path, 25)
    cluster.write(Write("row 0", 0))
    cluster.loop.run_for(1)
    away = next(each for each in cluster.machines.values() if each is not cluster.wait_for_leader())
    away.kill()
    behind = 0
    for arrived in (None, 0):
        leader = cluster.wait_for_leader()
        assert leader.partition is not None
        for number in range(10):
            cluster.write(Write(f"row {number}", number))
            cluster.loop.run_for(0.05)
        behind = behind or leader.partition.tree.applied_slot
        leader.partition.carry_outgoing(Carrying(behind if arrived == 0 else None))
        cluster.settle(1)
        for machine in cluster.machines.values():
            if machine.is_up:
                machine.checkpoint()
    heir = next(each for each in cluster.machines.values() if each.is_up and each is not leader)
    assert heir.partition is not None
    assert heir.core.kept == heir.core.log.base == behind < heir.partition.tree.checkpointed_slot
    carrying = Carrying(behind)
    heir.partition.carry_outgoing(carrying)
    leader.kill()
    cluster.restart(away)
    before = away.core.chosen
    cluster.settle(8)
    assert away.core.chosen == before < behind and not heir.partition.is_leading
    assert carrying.begun[-1][0] == behind and len(carrying.begun[-1][1]) == 10, "it sends what it carries"
    carrying.arrived = None
    cluster.settle(8)
    assert cluster.leader() is not None
    assert rows_of(away) == rows_of(heir)
    cluster.stop()
