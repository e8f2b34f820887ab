"""The catalogs of several processes on one store: each follows what the others do, and none overwrites it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.indexes.indexed_node import BY_G, table
from tests.table.tables import on_demand_table
from varley.errors import Damaged, OutcomeUnknown, ResourceInUse, ResourceNotFound
from varley.metadata.catalog import Catalog, Described
from varley.metadata.following import follow
from varley.metadata.group_members import GroupMembers
from varley.metadata.memory import MemoryStore
from varley.metadata.store import ABSENT, Change, Store, Told
from varley.paxos.membership import Configuration, Member
from varley.table.schema import Table, changed
from varley.table.table_name import LEDGER_NAME


def founders(groups: Any) -> dict[int, Configuration]:
    return {group: Configuration((Member("n1", 1), Member("n2", 2), Member("n3", 3))) for group in groups}


class Process:
    """One that uses the store. What the watch tells it is in `on_the_way` until `hear`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.members = GroupMembers(store, founders)
        self.catalog = Catalog(store, self.members)
        self.catalog.listener = self
        self.on_the_way: list[Told] = []
        self.acted_on: dict[str, Described] = {}    # by name: what its router, say, would have
        self.held: dict[str, Described] = {}    # by id
        self.told: list[tuple[str | None, str | None]] = []

    # As the listener

    def changed(self, before: Described | None, after: Described | None) -> None:
        name = (after or before).table.name    # type: ignore[union-attr]
        assert self.acted_on.get(name) == before, "what it is told follows on what it has"
        if before is not None and after is not None:
            assert before.table.id == after.table.id
        for group in () if after is None else after.groups:
            assert self.members.get(group) is not None, "the members of a table's groups are there when it is told"
        self.told.append((before and before.table.id, after and after.table.id))
        self.act(name, before, after)

    def kept(self, deleted: Described) -> None:
        assert deleted.table.id not in self.held
        self.held[deleted.table.id] = deleted

    def forgotten(self, deleted: Described) -> None:
        del self.held[deleted.table.id]

    def act(self, name: str, before: Described | None, after: Described | None) -> None:
        self.acted_on.pop(name, None)
        if after is not None:
            self.acted_on[name] = after

    # As the process

    def hear(self, number: int = 1) -> None:
        for _ in range(min(number, len(self.on_the_way))):
            told = self.on_the_way.pop(0)
            self.members.see(told)
            self.catalog.see(told)

    async def create(self, new: Table, **how: Any) -> None:
        async with self.catalog.changes:
            after = await self.catalog.create(new, partitions=2, **how)
            self.act(new.name, None, after)

    async def change(self, name: str, new: Callable[[Table], Table]) -> None:
        async with self.catalog.changes:
            _, after = await self.catalog.change(name, new)
            self.act(name, None, after)

    async def delete(self, name: str, *, is_kept: bool = False) -> None:
        async with self.catalog.changes:
            described = self.catalog.get(name)
            before = await self.catalog.delete(name, keep=described.table if is_kept and described else None)
            self.act(name, before, None)
            if is_kept:
                self.held[before.table.id] = self.catalog.deleted[before.table.id]

    async def forget(self) -> None:
        async with self.catalog.changes:
            for deleted in list(self.catalog.deleted.values()):
                await self.catalog.forget(deleted)
                self.held.pop(deleted.table.id, None)


@asynccontextmanager
async def processes(number: int) -> AsyncIterator[list[Process]]:
    store = MemoryStore()
    made = [Process(store) for _ in range(number)]

    async def collect(process: Process) -> None:
        async with aclosing(store.watch("")) as watch:
            async for told in watch:
                process.on_the_way.append(told)

    async with asyncio.TaskGroup() as tasks:
        collecting = [tasks.create_task(collect(process)) for process in made]
        await settled()
        yield made
        for task in collecting:
            task.cancel()


async def settled() -> None:
    """Return when what was told is on its way: a queue and a task are two turns of the loop."""
    for _ in range(4):
        await asyncio.sleep(0)


def shown(described: Described | None) -> tuple[Any, ...] | None:
    return described and (described.table, described.groups, described.table_version, dict(described.index_versions))


def test_what_one_has_done_others_are_told_in_order() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(table(BY_G), index_partitions={BY_G.id: 1})
            await one.change(table().name, lambda newest: changed(newest, deletion_protection=True))
            await one.change(table().name, lambda _: table())
            await one.delete(table().name)
            await settled()
            id = table().id
            assert other.told == []
            for expected in ([], [(None, id)], [(id, id)], [(id, id)], [(id, None)]):
                other.told.clear()
                other.hear()
                assert other.told == expected
            one.hear(9)
            assert one.told == [], "nobody is told of what it has done itself"
            assert len(one.members) == len(other.members) == 0

    asyncio.run(scenario())


def test_what_others_change_waits_for_whoever_changes_tables_here() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(on_demand_table("a"))
            await settled()
            other.hear(9)
            async with other.catalog.changes:
                seen = other.catalog.get("a")
                await one.delete("a")
                await settled()
                other.hear(9)
                assert other.catalog.get("a") is seen
                assert other.told == [(None, seen.table.id)]    # type: ignore[union-attr]
            assert other.catalog.get("a") is None
            assert len(other.told) == 2

    asyncio.run(scenario())


def test_a_name_that_was_given_to_another_table_is_two_changes() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(on_demand_table("a"))
            await settled()
            other.hear(9)
            await one.delete("a")
            await one.create(changed(on_demand_table("a"), id="another"))
            await settled()
            other.on_the_way = [await one.store.snapshot("")]    # its watch was lost meanwhile
            other.told.clear()
            other.hear()
            assert other.told == [(on_demand_table("a").id, None), (None, "another")]

    asyncio.run(scenario())


def test_a_table_may_be_made_under_a_name_whose_past_was_not_heard_of() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(changed(on_demand_table("a"), id="old"))
            await one.delete("a")
            await other.create(changed(on_demand_table("a"), id="new"))
            await settled()
            for _ in range(4):
                other.hear()
                made = other.catalog.get("a")
                assert made is not None and made.table.id == "new"
            assert other.told == []

    asyncio.run(scenario())


def test_founding_members_come_and_go_with_their_table() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(table(BY_G), index_partitions={BY_G.id: 1})
            assert [entry.key for entry in await one.store.list("members/")] == ["members/1", "members/2", "members/3"]
            assert {entry.version for entry in await one.store.list("")} == {1}, "all of it is one compare_and_set"
            await one.change(table().name, lambda _: table())
            assert [entry.key for entry in await one.store.list("members/")] == ["members/1", "members/2"]
            await settled()
            other.hear(9)
            await other.members.publish(1, Configuration((Member("n1", 1), Member("n4", 4))), 9)
            await one.delete(table().name, is_kept=True)    # although it has not heard of that
            assert [entry.key for entry in await one.store.list("members/")] == ["members/1", "members/2"]
            await one.forget()
            assert await one.store.list("members/") == []
            assert [entry.key for entry in await one.store.list("")] == ["groups"]

    asyncio.run(scenario())


def test_a_deletion_is_not_refused_because_members_have_moved() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(on_demand_table("a"))
            await settled()
            other.hear(9)
            assert await other.members.publish(1, Configuration((Member("n1", 1), Member("n4", 4))), 9)
            await one.delete("a")
            assert [entry.key for entry in await one.store.list("")] == ["groups"]

    asyncio.run(scenario())


def test_who_must_not_decide_from_an_old_view_reads_the_store_anew() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            await one.create(on_demand_table("a"))
            assert other.catalog.get("a") is None
            async with other.catalog.changes:
                await other.catalog.refresh()
                assert shown(other.catalog.get("a")) == shown(one.catalog.get("a"))
            assert other.told == [(None, on_demand_table("a").id)]
            await settled()
            other.hear(9)
            assert len(other.told) == 1, "what was read is not told again"

    asyncio.run(scenario())


def test_of_two_that_need_a_ledger_both_get_the_one_there_is() -> None:
    async def scenario() -> None:
        async with processes(2) as (one, other):
            for process in (one, other):
                async with process.catalog.changes:
                    ledger = await process.catalog.create_ledger(on_demand_table(LEDGER_NAME))
                    assert ledger.groups == [1]
            assert one.catalog.names() == other.catalog.names() == []
            assert shown(one.catalog.ledger) == shown(other.catalog.ledger)

    asyncio.run(scenario())


def test_a_change_whose_outcome_was_unknown_is_told_like_anothers() -> None:
    class Unsure(MemoryStore):
        async def compare_and_set(self, changes: Any) -> int | None:
            await super().compare_and_set(changes)
            raise OutcomeUnknown("nobody knows")

    async def scenario() -> None:
        process = Process(Unsure())
        with pytest.raises(OutcomeUnknown):
            await process.create(on_demand_table("a"))
        assert process.catalog.get("a") is None
        process.on_the_way = [await process.store.snapshot("")]
        process.hear()
        assert process.told == [(None, on_demand_table("a").id)]

    asyncio.run(scenario())


def test_whoever_follows_stops_at_what_cannot_be() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        catalog = Catalog(store)
        following = asyncio.ensure_future(follow(store, [catalog]))
        await settled()
        assert await store.compare_and_set([Change("table/a", ABSENT, b"rubbish")])
        with pytest.raises(Damaged, match="table/a"):
            await following
        # Also if somebody held `changes` at that moment, and whoever it was is not to blame.
        catalog = Catalog(store)
        async with catalog.changes:
            catalog.see(await store.snapshot(""))
        with pytest.raises(Damaged, match="table/a"):
            catalog.see(await store.snapshot(""))

    asyncio.run(scenario())


NAMES = ("a", "b")
who = st.integers(0, 2)
actions = st.one_of(
    st.tuples(st.just("create"), who, st.sampled_from(NAMES)),
    st.tuples(st.just("change"), who, st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), who, st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("forget"), who),
    st.tuples(st.just("hear"), who, st.integers(1, 5)),
    st.tuples(st.just("lose the watch"), who),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(actions, max_size=25))
def test_all_views_become_what_the_store_has(actions: list[tuple[Any, ...]]) -> None:
    async def scenario() -> None:
        async with processes(3) as all_processes:
            for number, (action, at, *rest) in enumerate(actions):
                process = all_processes[at]
                try:
                    match action, rest:
                        case "create", [name]:
                            await process.create(changed(on_demand_table(name), id=f"id-{number}"))
                        case "change", [name]:
                            await process.change(name, lambda newest, n=number: changed(newest, tags={"n": str(n)}))    # type: ignore[misc]
                        case "delete", [name, is_kept]:
                            await process.delete(name, is_kept=is_kept)
                        case "forget", []:
                            await process.forget()
                        case "hear", [count]:
                            process.hear(count)
                        case "lose the watch", []:
                            process.on_the_way = [await process.store.snapshot("")]
                except (ResourceInUse, ResourceNotFound):
                    pass
                await settled()
            fresh = Catalog(all_processes[0].store)
            await fresh.load()
            for process in all_processes:
                process.hear(1000)
                for view in (process.catalog, fresh):
                    assert {each.table.name: shown(each) for each in view} == {
                        name: shown(each) for name, each in process.acted_on.items()
                    }
                    assert {id: shown(each) for id, each in view.deleted.items()} == {
                        id: shown(each) for id, each in process.held.items()
                    }
                groups = {group for each in fresh.described() for group in each.groups}
                assert set(process.members) == groups

    asyncio.run(scenario())
