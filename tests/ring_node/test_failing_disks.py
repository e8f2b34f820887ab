"""Disks that fail at the wrong moment: nothing hangs, nothing is told twice, and the node says what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.ring_node.pretended import ForgetfulDisk, PretendedRing
from tests.ring_node.test_real_links import Ring
from tests.ring_node.test_store import Machine
from varley.errors import Damaged, WorldError
from varley.ring_node import rows
from varley.ring_node.engines.engine import Batch, Entry
from varley.ring_node.engines.lmdb import LmdbEngine, NoRoom
from varley.ring_node.service import Unavailable


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
    machine.writer.failure = NoRoom("the map is full", path="p", operation="write", hint="")
    engine.grow = broken  # type: ignore[method-assign]
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
