"""What both stores promise, tried on both against a dict."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varley.metadata.local import LocalStore
from varley.metadata.memory import MemoryStore
from varley.metadata.store import ABSENT, Change, Entry, Store

KINDS = ("local", "memory")
keys = st.sampled_from(["a", "a/1", "a/2", "b", "ä", "table/x"])


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Store]:
    with TemporaryDirectory() as folder:
        store: Store = MemoryStore() if kind == "memory" else await LocalStore.open(f"{folder}/metadata")
        try:
            yield store
        finally:
            await store.close()


@st.composite
def change_sets(draw: st.DrawFn) -> list[tuple[str, bool, bytes | None]]:
    """(key, whether the expected version is right, value)"""
    chosen = draw(st.lists(keys, unique=True, min_size=1, max_size=3))
    return [(key, draw(st.integers(0, 5)) > 0, draw(st.none() | st.binary(max_size=30))) for key in chosen]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(sets=st.lists(change_sets(), max_size=8))
def test_it_does_what_a_dict_would_do(kind: str, sets: list[list[tuple[str, bool, bytes | None]]]) -> None:
    async def scenario() -> None:
        model: dict[str, Entry] = {}
        async with opened(kind) as store:
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_comes_back_has_another_version(kind: str) -> None:
    async def scenario() -> None:
        async with opened(kind) as store:
            first = await store.compare_and_set([Change("a", ABSENT, b"1")])
            assert first is not None
            assert await store.compare_and_set([Change("a", first, None)])
            second = await store.compare_and_set([Change("a", ABSENT, b"1")])
            assert second is not None
            assert second > first
            assert await store.compare_and_set([Change("a", first, b"2")]) is None

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_that_increment_none_is_lost(kind: str) -> None:
    async def increment(store: Store) -> None:
        while True:
            entry = await store.get("n")
            version, number = (ABSENT, 0) if entry is None else (entry.version, int(entry.value))
            if await store.compare_and_set([Change("n", version, str(number + 1).encode())]):
                return

    async def scenario() -> None:
        async with opened(kind) as store:
            await asyncio.gather(*(increment(store) for _ in range(10)))
            entry = await store.get("n")
            assert entry is not None
            assert entry.value == b"10"

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
