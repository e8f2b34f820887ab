"""What all stores promise, tried on each of them: against a dict, and against what a watch has told."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.conftest import Opener
from varley.errors import LeaseEnded
from varley.metadata.local import LocalStore
from varley.metadata.store import ABSENT, Change, Changed, Entry, Listed, Store, Told

keys = st.sampled_from(["a", "a/1", "a/2", "b", "ä", "table/x"])
LEASE_SECONDS = 2.0    # the shortest that etcd gives


@st.composite
def change_sets(draw: st.DrawFn) -> list[tuple[str, bool, bytes | None]]:
    """(key, whether the expected version is right, value)"""
    chosen = draw(st.lists(keys, unique=True, min_size=1, max_size=3))
    return [(key, draw(st.integers(0, 5)) > 0, draw(st.none() | st.binary(max_size=30))) for key in chosen]


@settings(max_examples=25, deadline=None)
@given(sets=st.lists(change_sets(), max_size=8))
def test_it_does_what_a_dict_would_do(opened: Opener, sets: list[list[tuple[str, bool, bytes | None]]]) -> None:
    async def scenario() -> None:
        model: dict[str, Entry] = {}
        async with opened() as store:
            for wanted in sets:
                changes = []
                for key, right, value in wanted:
                    version = model[key].version if key in model else ABSENT
                    changes.append(Change(key, version if right else version + 1, value))
                revision = await store.compare_and_set(changes)
                assert (revision is not None) == all(right for _key, right, _value in wanted)
                if revision is not None:
                    assert all(revision > entry.version for entry in model.values())
                    for change in changes:
                        model.pop(change.key, None)
                        if change.value is not None:
                            model[change.key] = Entry(change.key, change.value, revision)
                for key, _right, _value in wanted:
                    assert await store.get(key) == model.get(key)
            for prefix in ("", "a", "a/", "b", "zz"):
                found = [entry for key, entry in model.items() if key.startswith(prefix)]
                assert list(await store.list(prefix)) == sorted(found, key=lambda entry: entry.key.encode())

    asyncio.run(scenario())


def test_a_key_that_comes_back_has_another_version(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store:
            first = await store.compare_and_set([Change("a", ABSENT, b"1")])
            assert first is not None
            assert await store.compare_and_set([Change("a", first, None)])
            second = await store.compare_and_set([Change("a", ABSENT, b"1")])
            assert second is not None
            assert second > first
            assert await store.compare_and_set([Change("a", first, b"2")]) is None

    asyncio.run(scenario())


def test_of_many_that_increment_none_is_lost(opened: Opener) -> None:
    async def increment(store: Store) -> None:
        while True:
            entry = await store.get("n")
            version, number = (ABSENT, 0) if entry is None else (entry.version, int(entry.value))
            if await store.compare_and_set([Change("n", version, str(number + 1).encode())]):
                return

    async def scenario() -> None:
        async with opened() as store:
            await asyncio.gather(*(increment(store) for _ in range(10)))
            entry = await store.get("n")
            assert entry is not None
            assert entry.value == b"10"

    asyncio.run(scenario())


# Watches


def taken_in(view: dict[str, Entry], told: Told) -> None:
    """What whoever watches does."""
    if isinstance(told, Listed):
        view.clear()
        view.update({entry.key: entry for entry in told.entries})
        return
    assert all(entry.version == told.version for entry in told.written)
    view.update({entry.key: entry for entry in told.written})
    for key in told.deleted:
        del view[key]


@settings(max_examples=25, deadline=None)
@given(
    before=st.lists(change_sets(), max_size=3),
    sets=st.lists(change_sets(), max_size=6),
    prefix=st.sampled_from(["", "a", "a/", "zz"]),
)
def test_whoever_watches_has_what_there_is(
    opened: Opener,
    before: list[list[tuple[str, bool, bytes | None]]],
    sets: list[list[tuple[str, bool, bytes | None]]],
    prefix: str,
) -> None:
    async def make(store: Store, wanted: list[tuple[str, bool, bytes | None]]) -> int:
        there = {entry.key: entry.version for entry in await store.list("")}
        version = await store.compare_and_set([Change(key, there.get(key, ABSENT), value) for key, _, value in wanted])
        assert version is not None
        return version

    async def scenario() -> None:
        async with opened() as store, aclosing(store.watch(prefix)) as watch:
            for wanted in before:
                await make(store, wanted)
            told = await anext(watch)
            assert isinstance(told, Listed)
            assert told.entries == await store.list(prefix)
            view: dict[str, Entry] = {}
            taken_in(view, told)
            for wanted in sets:
                old = {entry.key: entry for entry in await store.list(prefix)}
                version = await make(store, wanted)
                new = {entry.key: entry for entry in await store.list(prefix)}
                if old != new:
                    told = await anext(watch)
                    assert isinstance(told, Changed)
                    assert told.version == version
                    taken_in(view, told)
                assert view == new

    asyncio.run(scenario())


def test_a_watch_that_begins_amid_changes_misses_none(opened: Opener) -> None:
    async def increment(store: Store) -> None:
        while True:
            entry = await store.get("n")
            version, number = (ABSENT, 0) if entry is None else (entry.version, int(entry.value))
            if await store.compare_and_set([Change("n", version, str(number + 1).encode())]):
                return

    async def watched(store: Store) -> list[int]:
        numbers: list[int] = []
        async with aclosing(store.watch("n")) as watch:
            async for told in watch:
                entries = told.entries if isinstance(told, Listed) else told.written
                numbers += [int(entry.value) for entry in entries]
                if numbers[-1:] == [12]:
                    break
        return numbers

    async def scenario() -> None:
        async with opened() as store:
            async with asyncio.TaskGroup() as tasks:
                watching = []
                for _ in range(4):
                    watching.append(tasks.create_task(watched(store)))
                    for _ in range(3):
                        tasks.create_task(increment(store))
            for numbers in [each.result() for each in watching]:
                assert numbers == list(range(numbers[0], 13))

    asyncio.run(scenario())


def test_what_one_change_has_done_is_told_at_once(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store, aclosing(store.watch("t/")) as watch:
            await anext(watch)
            first = await store.compare_and_set(
                [Change("t/a", ABSENT, b"1"), Change("u", ABSENT, b""), Change("t/b", ABSENT, b"2")]
            )
            assert first is not None
            assert await anext(watch) == Changed(first, [Entry("t/a", b"1", first), Entry("t/b", b"2", first)], [])
            assert await store.compare_and_set([Change("u", first, None)])    # is not told
            second = await store.compare_and_set([Change("t/a", first, None), Change("t/b", first, b"3")])
            assert second is not None
            assert await anext(watch) == Changed(second, [Entry("t/b", b"3", second)], ["t/a"])

    asyncio.run(scenario())


def test_a_watch_can_be_stopped_at_any_time(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store:
            for steps in range(3):
                async with aclosing(store.watch("")) as watch:
                    waiting = asyncio.ensure_future(anext(watch))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    waiting.cancel()
                    with suppress(asyncio.CancelledError):
                        await waiting
            assert await store.compare_and_set([Change("a", ABSENT, b"1")])

    asyncio.run(scenario())


# Leases


def test_keys_go_when_their_lease_is_ended(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store, aclosing(store.watch("")) as watch:
            await anext(watch)
            lease = await store.lease(60)
            assert await store.compare_and_set(
                [Change("a", ABSENT, b"1", lease), Change("b", ABSENT, b"2", lease), Change("c", ABSENT, b"3")]
            )
            await anext(watch)
            await lease.end()
            told = await anext(watch)
            assert isinstance(told, Changed)
            assert sorted(told.deleted) == ["a", "b"]
            assert [entry.key for entry in await store.list("")] == ["c"]
            await lease.lost.wait()
            assert not await lease.renew()
            with pytest.raises(LeaseEnded):
                await store.compare_and_set([Change("a", ABSENT, b"1", lease), Change("d", ABSENT, b"4")])
            assert [entry.key for entry in await store.list("")] == ["c"]

    asyncio.run(scenario())


@pytest.mark.slow
def test_keys_go_when_their_lease_was_not_renewed(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store, aclosing(store.watch("")) as watch:
            await anext(watch)
            lease = await store.lease(LEASE_SECONDS)
            assert await store.compare_and_set([Change("a", ABSENT, b"1", lease)])
            await anext(watch)
            opened.pass_time(lease.seconds * 0.9)
            assert await lease.renew()
            opened.pass_time(lease.seconds * 0.9)
            assert await store.get("a") is not None
            opened.pass_time(lease.seconds * 0.2)
            told = await anext(watch)
            assert isinstance(told, Changed)
            assert told.deleted == ["a"]
            assert not await lease.renew()
            assert lease.lost.is_set()
            assert await store.get("a") is None

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_lease_that_is_kept_outlives_another(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store, aclosing(store.watch("")) as watch:
            await anext(watch)
            kept, other = await store.lease(LEASE_SECONDS), await store.lease(LEASE_SECONDS)
            assert await store.compare_and_set([Change("kept", ABSENT, b"", kept), Change("other", ABSENT, b"", other)])
            await anext(watch)
            opened.pass_time(LEASE_SECONDS / 2)
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(kept.keep())
                await asyncio.sleep(0)
                assert await kept.renew()    # when this is done, so is what keep has begun before it
                opened.pass_time(LEASE_SECONDS / 2)
                told = await anext(watch)
                assert isinstance(told, Changed)
                assert told.deleted == ["other"]
                assert not kept.lost.is_set()
                task.cancel()
            assert [entry.key for entry in await store.list("")] == ["kept"]

    asyncio.run(scenario())


def test_a_key_that_is_written_again_leaves_the_lease(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store:
            one, other = await store.lease(60), await store.lease(60)
            version = await store.compare_and_set([Change("a", ABSENT, b"1", one), Change("b", ABSENT, b"1", one)])
            assert version is not None
            assert await store.compare_and_set([Change("a", version, b"2"), Change("b", version, b"2", other)])
            await one.end()
            assert [entry.value for entry in await store.list("")] == [b"2", b"2"]
            await other.end()
            assert [entry.key for entry in await store.list("")] == ["a"]

    asyncio.run(scenario())


def test_a_key_moves_under_a_lease_and_back(opened: Opener) -> None:
    async def scenario() -> None:
        async with opened() as store:
            lease = await store.lease(60)
            versions = [ABSENT]
            for each in (None, lease, None, lease):
                version = await store.compare_and_set([Change("a", versions[-1], b"1", each)])
                assert version is not None and version > versions[-1]
                entry = await store.get("a")
                assert entry == Entry("a", b"1", version)
                assert await store.list("") == [entry]
                versions.append(version)
            assert await store.compare_and_set([Change("a", versions[-1], None)])
            assert await store.list("") == []
            await lease.end()

    asyncio.run(scenario())


def test_what_was_under_a_lease_is_not_there_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        lease = await store.lease(60)
        version = await store.compare_and_set([Change("a", ABSENT, b"1"), Change("b", ABSENT, b"2", lease)])
        assert version is not None
        assert await store.compare_and_set([Change("a", version, b"3", lease)])
        await store.close()
        store = await LocalStore.open(str(tmp_path))
        assert await store.list("") == []
        await store.close()

    asyncio.run(scenario())


def test_the_local_store_remembers(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path / "metadata"))
        first = await store.compare_and_set([Change("a", ABSENT, b"1"), Change("b", ABSENT, b"2")])
        await store.close()
        assert first is not None
        store = await LocalStore.open(str(tmp_path / "metadata"))
        assert await store.list("") == [Entry("a", b"1", first), Entry("b", b"2", first)]
        second = await store.compare_and_set([Change("a", first, b"3")])
        assert second is not None
        assert second > first
        await store.close()

    asyncio.run(scenario())
