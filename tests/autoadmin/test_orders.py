"""What is ordered, who is active, what is reported: the keys in the metadata."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from varley.autoadmin import state
from varley.autoadmin.election import ACTIVE_KEY, Election
from varley.autoadmin.messages import Begin, encode
from varley.autoadmin.messages import Change as ChangeMembers
from varley.autoadmin.orders import Orders
from varley.autoadmin.state import GroupState, NodeState, State
from varley.autoadmin.view import MoveOrder
from varley.clock import MovableClock, StoppedClock
from varley.errors import Damaged, WorldError
from varley.metadata.in_process import InProcessLease
from varley.metadata.memory import MemoryStore
from varley.metadata.store import ABSENT, Change
from varley.paxos.membership import LOG, Member

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text().replace("\n     ", "")
ORDER = MoveOrder(7, "n1", "n4")


def test_orders_are_kept_as_the_document_says() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        orders = Orders(store)
        assert await orders.drain("n1", now=1_700_000_000.0)
        assert await orders.move(ORDER, why="operator", now=1_700_000_000.0)
        drain, move = await store.list("")
        assert (drain.key, move.key) == ("drains/n1", "moves/7")
        assert drain.value.decode() in FORMATS and move.value.decode() in FORMATS

    asyncio.run(scenario())


def test_a_second_order_is_refused_and_a_first_one_is_taken_back() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        orders, others = Orders(store), Orders(store)
        assert await orders.drain("n1", now=1.0) and not await others.drain("n1", now=2.0)
        assert await orders.move(ORDER, why="operator", now=1.0)
        assert not await others.move(MoveOrder(7, "n2", "n5"), why="balance", now=2.0)
        await others.load()
        assert set(others.draining) == {"n1"} and others.moves[7].move.order == ORDER
        assert await others.keep("n1") and not await orders.keep("n1")

    asyncio.run(scenario())


def test_who_is_late_does_not_end_an_order_that_was_given_anew() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        late, quick = Orders(store), Orders(store)
        assert await late.move(ORDER, why="operator", now=1.0)
        seen = late.moves[7]
        await quick.load()
        assert await quick.end(quick.moves[7])
        assert await quick.move(ORDER, why="operator", now=2.0)
        assert not await late.end(seen)
        assert [entry.key for entry in await store.list("")] == ["moves/7"]

    asyncio.run(scenario())


def test_others_orders_are_seen_by_the_watch() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        orders, other = Orders(store), Orders(store)
        watch = store.watch("")
        orders.see(await anext(watch))
        await other.drain("n2", now=1.0)
        orders.see(await anext(watch))
        assert set(orders.draining) == {"n2"}
        await other.keep("n2")
        orders.see(await anext(watch))
        assert not orders.draining
        await watch.aclose()

    asyncio.run(scenario())


def test_an_order_under_another_key_is_damage() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        of_another = b'{"format_version":1,"group":7,"source":"a","target":"b","why":"","begun_at":1}'
        await store.compare_and_set([Change("moves/8", ABSENT, of_another)])
        with pytest.raises(Damaged):
            await Orders(store).load()

    asyncio.run(scenario())


def test_one_is_active_and_another_when_its_lease_ends() -> None:
    async def scenario() -> None:
        clock = MovableClock(StoppedClock())
        store = MemoryStore(clock)
        again: dict[str, asyncio.Event] = {"n1": asyncio.Event(), "n2": asyncio.Event()}

        def election(name: str) -> Election:
            async def pause(seconds: float) -> None:
                again[name].clear()
                await again[name].wait()

            return Election(store, name, pause=pause)

        elections = {name: election(name) for name in again}
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(each.run()) for name, each in elections.items()}
            await turns()
            assert [name for name, each in elections.items() if each.is_active] == ["n1"]
            entry = await store.get(ACTIVE_KEY)
            assert entry is not None
            assert entry.value.decode().replace("n1", "n2") in FORMATS
            tasks["n1"].cancel()
            await turns()
            assert await store.get(ACTIVE_KEY) is None, "who stops says so"
            again["n2"].set()
            await turns()
            assert elections["n2"].is_active
            clock.advance(60)
            await turns()
            assert not elections["n2"].is_active, "a lease that is lost is not used on"
            again["n2"].set()
            await turns()
            assert elections["n2"].is_active
            tasks["n2"].cancel()

    asyncio.run(scenario())


class Refusing(MemoryStore):
    """Its first lease ends in an error: as that of an etcd that has no quorum, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = asyncio.Event()

    async def lease(self, seconds: float) -> InProcessLease:
        lease = await super().lease(seconds)
        if not self.refuse.is_set():
            lease.keep = self._refused    # type: ignore[method-assign]
        return lease

    async def _refused(self) -> None:
        await self.refuse.wait()
        raise WorldError("etcdserver: no leader")


def test_whoever_was_active_once_can_be_it_again_whatever_became_of_its_lease() -> None:
    async def scenario() -> None:
        store = Refusing()
        paused: list[float] = []

        async def pause(seconds: float) -> None:
            paused.append(seconds)

        election = Election(store, "n1", pause=pause)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(election.run())
            await turns()
            assert election.is_active
            store.refuse.set()
            await turns()
            assert paused == [2.5] and election.is_active
            task.cancel()

    asyncio.run(scenario())


def test_a_node_that_was_restarted_takes_over_from_itself() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        elections = [Election(store, "n1"), Election(store, "n1")]
        async with asyncio.TaskGroup() as group:
            tasks = []
            for each in elections:
                tasks.append(group.create_task(each.run()))
                await turns()
            assert elections[1].is_active
            for task in tasks:
                task.cancel()

    asyncio.run(scenario())


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_report_is_kept_as_the_document_says() -> None:
    told = State(
        format_version=1, node="n2", at=1_700_000_000.0, groups=12, repairing=1,
        nodes=(NodeState(name="n1", zone="a", condition="away", replicas=3),),
        shown=(GroupState(group=7, members="n1 n2* n3 (n4#4[log])", doing="n1 not heard"),),
    )  # fmt: skip

    async def scenario() -> None:
        store = MemoryStore()
        assert await state.read(store) is None
        assert await state.write(store, told)
        assert await state.write(store, told), "it is replaced, whoever wrote it"
        (entry,) = await store.list("")
        assert entry.key == state.STATE_KEY and entry.value.decode() in FORMATS
        assert await state.read(store) == told

    asyncio.run(scenario())


def test_requests_are_as_the_document_says() -> None:
    begin = Begin(7, Member("n4#9", 9, LOG, votes=False, joins=True))
    remove = ChangeMembers(7, 41, "remove", "n3")
    assert encode(begin).hex(" ") in FORMATS and encode(remove).hex(" ") in FORMATS
