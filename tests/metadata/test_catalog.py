from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.indexes.indexed_node import BY_G, BY_G_KEYS, table
from tests.table.tables import on_demand_table, provisioned_table
from varley.errors import Damaged, ResourceInUse, ResourceNotFound, ValidationError, WorldError
from varley.metadata.catalog import Catalog
from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.split import Split
from varley.metadata.store import ABSENT, Change, Store
from varley.table.schema import Table, changed
from varley.table.stream_record import new_stream


async def loaded(store: Store) -> Catalog:
    catalog = Catalog(store)
    await catalog.load()
    return catalog


async def create(catalog: Catalog, table: Table, partitions: int = 1) -> list[int]:
    """The groups of the new table."""
    async with catalog.changes:
        described = await catalog.create(table, partitions=partitions)
    return [each.group for each in described.partitions]


async def delete(catalog: Catalog, name: str) -> None:
    async with catalog.changes:
        await catalog.delete(name)


async def protect(catalog: Catalog, name: str) -> None:
    async with catalog.changes:
        await catalog.change(name, lambda table: changed(table, deletion_protection=True))


def test_tables_are_there_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        await create(catalog, on_demand_table("Music"), partitions=3)
        await create(catalog, on_demand_table("Films"))
        await create(catalog, on_demand_table("Books"))
        await protect(catalog, "Music")
        await delete(catalog, "Books")
        before = list(catalog)
        await store.close()
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        assert catalog.names() == ["Films", "Music"]
        music = catalog.get("Music")
        assert music is not None
        assert music.table == changed(on_demand_table("Music"), deletion_protection=True)
        assert [each.group for each in music.partitions] == [1, 2, 3]
        assert sorted(map(repr, (each.table for each in catalog))) == sorted(
            map(repr, (each.table for each in before))
        )
        await protect(catalog, "Films")    # the versions are those of the store
        await store.close()

    asyncio.run(scenario())


def test_groups_are_never_given_out_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        assert await create(catalog, on_demand_table("a"), partitions=4) == [1, 2, 3, 4]
        await delete(catalog, "a")
        assert await create(catalog, on_demand_table("a"), partitions=2) == [5, 6]
        await store.close()
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        await delete(catalog, "a")
        assert await create(catalog, on_demand_table("b")) == [7]
        await store.close()

    asyncio.run(scenario())


def test_a_name_is_taken_once() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        await create(catalog, on_demand_table("a"))
        with pytest.raises(ResourceInUse, match="Table already exists: a"):
            await create(catalog, provisioned_table(name="a"))
        assert len(catalog) == 1

    asyncio.run(scenario())


def test_of_two_servers_one_creates_a_table_and_both_get_groups_of_their_own() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        one, other = await loaded(store), await loaded(store)
        assert await create(one, on_demand_table("a")) == [1]
        assert await create(other, on_demand_table("b")) == [2]
        with pytest.raises(ResourceInUse, match="Table already exists: a"):
            await create(other, on_demand_table("a"))

    asyncio.run(scenario())


def test_a_change_that_loses_is_made_of_what_there_is() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        one = await loaded(store)
        await create(one, on_demand_table("a"))
        other = await loaded(store)
        await protect(one, "a")
        async with other.changes:
            before, after = await other.change("a", lambda table: changed(table, tags={"k": "v"}))
        assert (before.table.deletion_protection, before.table.tags) == (True, {})
        assert (after.table.deletion_protection, after.table.tags) == (True, {"k": "v"})
        [found] = await loaded(store)
        assert found.table == after.table

    asyncio.run(scenario())


def test_a_change_may_refuse_what_it_was_not_meant_for() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        one = await loaded(store)
        await create(one, on_demand_table("a"))
        other = await loaded(store)
        await protect(one, "a")

        def only_unprotected(table: Table) -> Table:
            if table.deletion_protection:
                raise ResourceInUse("it is another by now")
            return changed(table, tags={"k": "v"})

        async with other.changes:
            with pytest.raises(ResourceInUse, match="another by now"):
                await other.change("a", only_unprotected)
        [found] = await loaded(store)
        assert found.table.tags == {}

    asyncio.run(scenario())


def test_a_table_that_another_server_changed_is_not_deleted() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        one = await loaded(store)
        await create(one, on_demand_table("a"))
        other = await loaded(store)
        await protect(one, "a")
        with pytest.raises(ResourceInUse):
            await delete(other, "a")
        seen = other.get("a")
        assert seen is not None and seen.table.deletion_protection, "who has lost knows why"
        assert (await loaded(store)).names() == ["a"]

    asyncio.run(scenario())


def test_what_is_not_there_cannot_be_changed() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        for attempt in (protect(catalog, "a"), delete(catalog, "a")):
            with pytest.raises(ResourceNotFound, match="Requested resource not found: Table: a not found"):
                await attempt

    asyncio.run(scenario())


def test_a_change_that_changes_nothing_writes_nothing() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        catalog = await loaded(store)
        await create(catalog, on_demand_table("a"))
        version = (await store.list("table/"))[0].version
        async with catalog.changes:
            before, after = await catalog.change("a", lambda table: changed(table))
        assert before == after
        assert (await store.list("table/"))[0].version == version

    asyncio.run(scenario())


def test_changes_are_made_under_the_lock() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        with pytest.raises(AssertionError):
            await catalog.create(on_demand_table("a"), partitions=1)

    asyncio.run(scenario())


def test_names_are_listed_in_the_order_of_their_bytes() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        for name in ("b.x", "a-x", "B_x", "a.x", "0xx"):
            await create(catalog, on_demand_table(name))
        assert catalog.names() == ["0xx", "B_x", "a-x", "a.x", "b.x"]

    asyncio.run(scenario())


async def with_entry(key: str, change: Any) -> MemoryStore:
    """A store with one table, and one of its entries changed: a function of its members, or None to remove it."""
    store = MemoryStore()
    await create(await loaded(store), on_demand_table("Music"))
    [entry] = await store.list(key)
    value = None if change is None else json.dumps(change(json.loads(entry.value))).encode()
    assert await store.compare_and_set([Change(entry.key, entry.version, value)])
    return store


@pytest.mark.parametrize(
    ("key", "change"),
    [
        pytest.param("partitions/", None, id="no partitions"),
        pytest.param("table/", None, id="partitions of no table"),
        pytest.param("table/", lambda members: {**members, "name": "Films"}, id="another table's definition"),
        pytest.param("table/", lambda _members: {"format_version": 1}, id="no definition"),
        pytest.param("partitions/", lambda members: {**members, "partitions": []}, id="no ranges"),
    ],
)
def test_parts_that_do_not_fit_together_are_damage(key: str, change: Any) -> None:
    async def scenario() -> None:
        store = await with_entry(key, change)
        with pytest.raises(Damaged):
            await loaded(store)

    asyncio.run(scenario())


def test_what_a_newer_varley_wrote_is_not_damage() -> None:
    async def scenario() -> None:
        store = await with_entry("table/", lambda members: {**members, "replicas": {}})
        with pytest.raises(WorldError, match="newer Varley") as refusal:
            await loaded(store)
        assert not isinstance(refusal.value, Damaged)

    asyncio.run(scenario())


def test_damage_to_the_counter_of_groups_stops_new_tables() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        assert await store.compare_and_set([Change("groups", ABSENT, b"rubbish")])
        with pytest.raises(Damaged):
            await create(await loaded(store), on_demand_table("a"))

    asyncio.run(scenario())


# Global indexes


def test_an_index_has_a_map_of_its_own_as_long_as_it_is_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        async with catalog.changes:
            made = await catalog.create(table(BY_G), partitions=2, index_partitions={BY_G.id: 3})
        assert [each.group for each in made.partitions] == [1, 2]
        assert [each.group for each in made.index_partitions[BY_G.id]] == [3, 4, 5]
        assert made.groups == [1, 2, 3, 4, 5]
        both = table(BY_G, BY_G_KEYS)
        async with catalog.changes:
            _, after = await catalog.change(made.table.name, lambda _: both, index_partitions={BY_G_KEYS.id: 1})
        assert after.groups == [1, 2, 3, 4, 5, 6]
        async with catalog.changes:
            before, after = await catalog.change(made.table.name, lambda _: table(BY_G_KEYS))
        assert before.groups == [1, 2, 3, 4, 5, 6]
        assert after.groups == [1, 2, 6]
        await store.close()
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        [found] = catalog
        assert (found.table, found.groups, found.index_versions) == (after.table, after.groups, after.index_versions)
        await delete(catalog, found.table.name)
        assert await store.list("partitions/") == []
        assert await create(catalog, on_demand_table("Films")) == [7], "a group was given out twice"
        await store.close()

    asyncio.run(scenario())


def test_an_index_without_a_map_is_damage() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        catalog = await loaded(store)
        async with catalog.changes:
            await catalog.create(table(BY_G), partitions=1, index_partitions={BY_G.id: 1})
        [entry] = [each for each in await store.list("partitions/") if each.key.endswith(BY_G.id)]
        await store.compare_and_set([Change(entry.key, entry.version, None)])
        with pytest.raises(Damaged, match=f"there is no partitions/{BY_G.id}"):
            await loaded(store)

    asyncio.run(scenario())


def test_an_index_is_added_to_what_somebody_else_has_made_of_the_table() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        ours, theirs = await loaded(store), await loaded(store)
        await create(ours, table())
        await theirs.load()
        await protect(theirs, table().name)

        def with_index(newest: Table) -> Table:
            return changed(table(BY_G), deletion_protection=newest.deletion_protection)

        async with ours.changes:
            _, after = await ours.change(table().name, with_index, index_partitions={BY_G.id: 1})
        assert after.table.deletion_protection
        assert after.groups == [1, 2]
        assert [entry.value for entry in await store.list("groups")] == [b'{"format_version":1,"last":2}']

    asyncio.run(scenario())


# Splits

MIDDLE = bytes.fromhex("80" + 15 * "00")


async def order(catalog: Catalog, name: str, parent: int, at: bytes | None = MIDDLE) -> Split:
    async with catalog.changes:
        described = catalog.get(name)
        assert described is not None
        return await catalog.order_split(name, described.table.id, parent, at)


def test_a_split_is_ordered_mapped_and_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        catalog = await loaded(store)
        [group] = await create(catalog, on_demand_table("Music"))
        split = await order(catalog, "Music", group)
        assert (split.parent, split.child, split.location) == (group, group + 1, MIDDLE)
        music = catalog.get("Music")
        assert music is not None
        assert [each.group for each in music.partitions] == [group]
        assert music.groups == [group, group + 1] and music.unmapped == [group + 1]
        assert catalog.parent_of(group + 1) == group
        await store.close()
        store = await LocalStore.open(str(tmp_path))    # it is ordered still
        catalog = await loaded(store)
        async with catalog.changes:
            mapped = await catalog.map_split(split)
        assert mapped is not None and mapped == catalog.get("Music")
        assert [(each.low, each.group, each.parent) for each in mapped.partitions] == [
            (b"", group, None), (MIDDLE, group + 1, group),
        ]  # fmt: skip
        assert mapped.is_in_map(split) and mapped.unmapped == []
        assert mapped.before_splits(lambda child: True).partitions.partitions[0].high is None
        async with catalog.changes:
            assert await catalog.map_split(split) == mapped    # nothing is done a second time
            await catalog.end_split(split)
            await catalog.end_split(split)
        music = catalog.get("Music")
        assert music is not None and not music.splits
        assert catalog.parent_of(group + 1) == group    # for good: its partition says so
        await store.close()

    asyncio.run(scenario())


def test_a_split_whose_place_was_left_open_gets_one() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        [group] = await create(catalog, on_demand_table("Music"))
        split = await order(catalog, "Music", group, None)
        assert split.location is None
        music = catalog.get("Music")
        assert music is not None
        ordered = music.splits[music.table.id]
        async with catalog.changes:
            assert await catalog.settle_split(ordered, MIDDLE)
            assert not await catalog.settle_split(ordered, MIDDLE)    # somebody was quicker
        music = catalog.get("Music")
        assert music is not None and music.splits[music.table.id].split.location == MIDDLE

    asyncio.run(scenario())


def test_a_split_that_cannot_be_is_refused() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        [low, high] = await create(catalog, on_demand_table("Music"), partitions=2)
        for parent, at in [(low, MIDDLE), (high, MIDDLE), (77, MIDDLE)]:
            with pytest.raises(ValidationError):
                await order(catalog, "Music", parent, at)
        await order(catalog, "Music", low, bytes.fromhex("40" + 15 * "00"))
        with pytest.raises(ResourceInUse):
            await order(catalog, "Music", high, bytes.fromhex("c0" + 15 * "00"))

    asyncio.run(scenario())


def test_what_is_being_split_keeps_its_indexes_and_streams() -> None:
    async def scenario() -> None:
        catalog = await loaded(MemoryStore())
        [group] = await create(catalog, on_demand_table("Music"))
        await order(catalog, "Music", group)
        await protect(catalog, "Music")    # what else it is can change
        async with catalog.changes:
            with pytest.raises(ResourceInUse):
                await catalog.change(
                    "Music", lambda table: changed(table, streams=(new_stream(1_700_000_000_000, "KEYS_ONLY"),))
                )

    asyncio.run(scenario())


def test_a_table_goes_with_its_split_unless_that_is_decided() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        catalog = await loaded(store)
        [one] = await create(catalog, on_demand_table("Music"))
        [other] = await create(catalog, on_demand_table("Films"))
        await order(catalog, "Music", one)
        await delete(catalog, "Music")
        split = await order(catalog, "Films", other)
        async with catalog.changes:
            await catalog.map_split(split)
        with pytest.raises(ResourceInUse):
            await delete(catalog, "Films")
        async with catalog.changes:
            await catalog.end_split(split)
        await delete(catalog, "Films")
        assert [entry.key for entry in await store.list("")] == ["groups"]
        assert (await loaded(store)).names() == []

    asyncio.run(scenario())


def test_who_has_an_old_view_maps_nothing_twice() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        one, other = await loaded(store), await loaded(store)
        [group] = await create(one, on_demand_table("Music"))
        split = await order(one, "Music", group)
        async with other.changes:
            await other.refresh()
            assert await other.map_split(split) is not None
            await other.end_split(split)
        async with one.changes:
            assert await one.map_split(split) is None    # it is over
        music = one.get("Music")
        assert music is not None and len(music.partitions) == 2

    asyncio.run(scenario())
