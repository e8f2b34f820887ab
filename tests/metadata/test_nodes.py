from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from tests.etcd_server import EtcdServer
from varley.clock import MovableClock, StoppedClock
from varley.errors import Damaged
from varley.metadata.etcd import EtcdStore
from varley.metadata.following import follow
from varley.metadata.memory import MemoryStore
from varley.metadata.nodes import FORMAT_VERSION, NameTaken, NodeInfo, Nodes
from varley.metadata.store import Change, Changed

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def node(name: str = "n1", data_id: str = "d1", **more: object) -> NodeInfo:
    return NodeInfo(
        format_version=FORMAT_VERSION, name=name, zone="a", api=f"http://{name}:8000", link_host=name, link_port=7000,
        data_id=data_id, version="1.0", **more,
    )  # type: ignore[arg-type]  # fmt: skip


def recorded(nodes: Nodes) -> list[str]:
    """What the view tells, as text."""
    told: list[str] = []

    def note(before: NodeInfo | None, after: NodeInfo | None) -> None:
        name = (after or before).name    # type: ignore[union-attr]
        told.append(f"{name} {'up' if before is None else 'down' if after is None else 'changed'}")

    nodes.listeners.append(note)
    return told


async def settled() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def test_a_node_is_up_until_it_leaves_or_its_lease_ends() -> None:
    async def scenario() -> None:
        clock = MovableClock(StoppedClock())
        store = MemoryStore(clock)
        ours, theirs = Nodes(store), Nodes(store)
        told = recorded(theirs)
        following = asyncio.ensure_future(follow(store, [theirs]))
        one = await ours.register(node("n1"), seconds=10)
        await ours.register(node("n2", "d2"), seconds=10)
        await settled()
        assert told == ["n1 up", "n2 up"]
        assert theirs.get("n1") == node("n1")
        assert {each.name for each in theirs} == {"n1", "n2"}
        holding = asyncio.ensure_future(one.hold())
        clock.advance(9)
        await settled()
        await one.say(node("n1", capacity=2.0))
        holding.cancel()
        clock.advance(2)
        await settled()
        assert told == ["n1 up", "n2 up", "n1 changed", "n2 down"]    # n1 was renewed at 9
        clock.advance(9)
        await settled()
        assert told[4:] == ["n1 down"]
        again = await ours.register(node("n1"))
        await again.leave()
        await settled()
        assert told[5:] == ["n1 up", "n1 down"]
        following.cancel()

    asyncio.run(scenario())


def test_a_node_that_renews_in_time_stays() -> None:
    async def scenario() -> None:
        clock = MovableClock(StoppedClock())
        store = MemoryStore(clock)
        nodes = Nodes(store)
        registration = await nodes.register(node(), seconds=10)
        assert registration._lease is not None
        for _ in range(5):
            clock.advance(9)
            assert await registration._lease.renew()
        assert await store.get("nodes/n1") is not None

    asyncio.run(scenario())


def test_a_name_of_a_live_node_is_refused_to_another() -> None:
    async def scenario() -> None:
        clock = MovableClock(StoppedClock())
        store = MemoryStore(clock)
        nodes = Nodes(store)
        await nodes.register(node("n1", "d1"), seconds=10)
        with pytest.raises(NameTaken, match="node named 'n1' already: http://n1:8000") as refusal:
            await Nodes(store).register(node("n1", "d2"))
        assert "--name" in refusal.value.hint
        clock.advance(11)
        await Nodes(store).register(node("n1", "d2"))    # the first one is gone

    asyncio.run(scenario())


def test_a_node_that_was_restarted_takes_its_name_over() -> None:
    async def scenario() -> None:
        clock = MovableClock(StoppedClock())
        store = MemoryStore(clock)
        await Nodes(store).register(node(), seconds=10)
        clock.advance(6)
        await Nodes(store).register(node(capacity=3.0), seconds=10)
        clock.advance(6)    # the lease of its life before ends, and takes nothing with it
        entry = await store.get("nodes/n1")
        assert entry is not None
        assert json.loads(entry.value)["capacity"] == 3.0

    asyncio.run(scenario())


def test_a_lease_that_was_lost_is_taken_anew() -> None:
    async def scenario() -> None:
        clock = MovableClock(StoppedClock())
        store = MemoryStore(clock)
        nodes = Nodes(store)
        registration = await nodes.register(node(), seconds=10)
        holding = asyncio.ensure_future(registration.hold())
        await settled()
        clock.advance(11)
        await settled()
        assert registration.is_held.is_set()
        assert await store.get("nodes/n1") is not None
        # Unless another has the name by then: two of one name would be one member in two places.
        clock.advance(11)
        await Nodes(store).register(node("n1", "d2"))
        with pytest.raises(NameTaken):
            await holding
        assert not registration.is_held.is_set()

    asyncio.run(scenario())


def test_a_node_is_kept_as_it_is_drawn() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        await Nodes(store).register(node())
        [entry] = await store.list("")
        assert entry.value.decode() in FORMATS.replace("\n     ", "")
        assert (entry.key, entry.value) == (
            "nodes/n1",
            b'{"format_version":1,"name":"n1","zone":"a","api":"http://n1:8000","link_host":"n1","link_port":7000,'
            b'"data_id":"d1","version":"1.0"}',
        )

    asyncio.run(scenario())


def test_an_entry_under_another_name_is_damage() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        assert await store.compare_and_set([Change("nodes/n2", 0, msgspec.json.encode(node("n1")))])
        with pytest.raises(Damaged, match="nodes/n2"):
            Nodes(store).see(await store.snapshot(""))

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_node_that_was_cut_off_from_etcd_comes_back(own_etcd: EtcdServer) -> None:
    """It goes on with what it knows, counts its lease as lost, and registers again when etcd is back."""

    async def scenario() -> None:
        quick = {"attempt_seconds": 1.0, "patience_seconds": 3.0, "silence_seconds": 0.5}
        store = await EtcdStore.open(own_etcd.url("a"), **quick)
        other = await EtcdStore.open(own_etcd.url("a"), **quick)
        nodes = Nodes(store)
        registration = await nodes.register(node(), seconds=3)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(registration.hold()), tasks.create_task(follow(store, [nodes]))]
            async with aclosing(other.watch("nodes/")) as watch:
                await anext(watch)
                own_etcd.freeze()
                assert registration._lease is not None
                await registration._lease.lost.wait()
                assert nodes.get("n1") == node(), "whoever is away tells nothing"
                own_etcd.thaw()
                keys = []
                while keys[-2:] != ["gone", "n1"]:
                    told = await anext(watch)
                    assert isinstance(told, Changed)
                    keys += [*(["gone"] if told.deleted else []), *(["n1"] if told.written else [])]
            await registration.is_held.wait()
            for task in background:
                task.cancel()
        await store.close()
        await other.close()

    asyncio.run(scenario())
