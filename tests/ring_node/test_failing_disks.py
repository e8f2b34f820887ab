"""Disks that fail at the wrong moment: nothing hangs, nothing is told twice, and the node says what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.ring_node.pretended import ForgetfulDisk, PretendedRing
from tests.ring_node.test_node import data
from tests.ring_node.test_real_links import Ring
from tests.ring_node.test_store import Machine, one
from varley.errors import Damaged, DiskFull, WorldError
from varley.ring_node import rows, store
from varley.ring_node.engines.engine import Batch, Entry, NoRoom
from varley.ring_node.engines.lmdb import LmdbEngine
from varley.ring_node.keys import ring_key
from varley.ring_node.service import Put, Unavailable


def broken(*_: object) -> Any:
    raise WorldError("broken", path="p", operation="read", hint="")


def test_a_put_that_meets_a_disk_that_cannot_be_read_is_answered_once() -> None:
    ring = PretendedRing(3)
    ring["n0"].store.engine.get = broken  # type: ignore[method-assign]
    answers: list[Any] = []
    ring["n0"].put("b", b"k", None, b"v", w=None, then=answers.append)
    ring.run(10)
    assert [type(answer) for answer in answers] == [Unavailable], "surely nothing was done"
    assert ring["n0"].store.failed is not None


def test_a_forwarded_put_that_meets_a_disk_that_cannot_be_read_is_answered_once() -> None:
    ring = PretendedRing(5)
    home = ring.homes(b"k")[0]
    other = next(name for name in ring.processes if name not in ring.homes(b"k"))
    ring[home].store.engine.get = broken  # type: ignore[method-assign]
    answers: list[Any] = []
    ring[other].put("b", b"k", None, b"v", w=None, then=answers.append)
    ring.run(10)
    assert len(answers) == 1


def test_a_tree_that_cannot_grow_is_a_disk_that_has_failed(tmp_path: Path) -> None:
    engine = LmdbEngine(str(tmp_path / "rows"))
    machine = Machine(engine)
    machine.writer.failure = NoRoom("the map is full", path="p", grow=broken)
    machine.stamp()
    machine.run()
    assert machine.store.failed is not None and machine.stamped == []
    engine.close()


def test_a_damaged_clock_is_told_as_damage() -> None:
    ring = PretendedRing(1)
    process = ring.processes["n0"]
    ring.put("n0", b"k", b"v", w=1)
    process.kill()
    entry = process.disk.get(rows.memory_key("clock"))
    assert entry is not None
    process.disk.write({rows.memory_key("clock"): Entry(entry.head[:-1] + b"?", b"")})
    with pytest.raises(Damaged):
        process.start()


def test_a_node_whose_disk_fails_while_it_stops_stops(tmp_path: Path) -> None:
    class Failing(LmdbEngine):
        def write(self, batch: Batch) -> None:
            broken()

    async def run() -> None:
        ring = Ring(tmp_path, "lmdb")
        node = await ring.start("a")
        node.store.engine.__class__ = Failing
        node.store.remember("something", b"", lambda: None)
        async with asyncio.timeout(10):
            await node.stop()
        ring.nodes.clear()
        await ring.stop_all()

    asyncio.run(run())


def test_a_disk_that_is_read_in_vain_is_not_taken_for_empty() -> None:
    """At start: better no node than one that has forgotten what it stamped."""
    disk = ForgetfulDisk()
    disk.get = broken  # type: ignore[method-assign]
    with pytest.raises(WorldError):
        Machine(disk)


def test_gets_go_on_when_the_disks_of_all_homes_are_full() -> None:
    """Each of them has what it has: a full disk can be read."""
    ring = PretendedRing(3)
    ring.put("n0", b"k", b"v")
    ring.run(1)
    for process in ring.processes.values():
        process.node.store._writer.failure = DiskFull("full", path="p", operation="write", hint="")  # type: ignore
        process.node.store.remember("something", b"", lambda: None)
    ring.run(0.1)
    assert all(process.node.store.failed is not None for process in ring.processes.values())
    assert data(ring.get("n1", b"k", r=3)) == [b"v"]
    assert isinstance(ring.put("n1", b"k", b"2"), Unavailable)


def test_a_disk_that_cannot_be_read_stays_failed_when_a_write_that_was_under_way_succeeds() -> None:
    machine = Machine()
    machine.stamp()
    machine.run(0.0001)     # the batch is on its way
    machine.store.engine.get = broken  # type: ignore[method-assign]
    with pytest.raises(WorldError):
        machine.store.row(ring_key("b", b"another"))
    machine.run()
    assert machine.store.failed is not None


def test_one_who_was_waiting_for_the_disk_and_raises_keeps_nobody_else_waiting() -> None:
    machine = Machine()
    machine.store.remember("one", b"", broken)
    machine.stamp()
    for _ in range(2):
        try:
            machine.run()
        except WorldError:
            pass
    assert len(machine.stamped) == 1


def test_a_disk_that_hangs_is_not_made_up_for_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error, no end. What is waiting for it must not grow for good."""
    monkeypatch.setattr(store, "BACKLOG_BYTES_MAX", 10_000)
    machine = Machine()
    machine.writer.write = lambda batch, done: None  # type: ignore[method-assign]
    machine.stamp()
    machine.run()
    assert machine.store.refusal is None
    machine.store.merge(ring_key("b", b"large"), one(bytes(10_000)), None, lambda: None)
    assert "behind" in str(machine.store.refusal)


def test_a_node_whose_disk_hangs_refuses_puts_and_others_stand_in_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BACKLOG_BYTES_MAX", 10_000)
    ring = PretendedRing(5)
    first = ring.homes(b"k")[0]
    ring[first].store._writer.write = lambda batch, done: None  # type: ignore[method-assign]
    ring[first].store.remember("something", bytes(10_000), lambda: None)
    ring.run(0.1)
    assert isinstance(ring.put(first, b"k", b"v"), Unavailable), "surely nothing was done"
    for other in ring.processes.keys() - {first}:
        assert isinstance(ring.put(other, b"k", b"v", w=3), Put), "whoever is no home forwards to one that takes it"


@pytest.mark.slow
def test_background_work_gives_its_slices_back_while_the_disk_is_full() -> None:
    ring = PretendedRing(3)
    for name in ring.processes:
        ring[name].store._writer.failure = DiskFull("full", path="p", operation="write", hint="")  # type: ignore
        assert ring[name].admission.take(ring[name].peers.now_us)
        ring[name]._comparisons._begin(min(ring[name]._comparisons._pairs))
        ring[name].peers.is_alive = lambda _: False  # type: ignore[method-assign]
        ring[name].store.remember("something", b"", lambda: None)
    ring.run(20)
    assert all(process.node.admission.taken == 0 for process in ring.processes.values())
