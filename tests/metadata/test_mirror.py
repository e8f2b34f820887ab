"""A mirror that runs ahead of its watch, against the store itself: however late the watch is, and whatever it tells."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from varley.metadata.memory import MemoryStore
from varley.metadata.mirror import Mirror
from varley.metadata.store import ABSENT, Change, Changed, Entry, Listed, Told

KEYS = ("a/1", "a/2", "b/1", "c/1")    # the last is none of the mirror's

steps = st.one_of(
    st.tuples(st.just("write"), st.sets(st.sampled_from(KEYS), min_size=1), st.booleans(), st.booleans()),
    st.sampled_from([("hear",), ("snapshot",), ("anew",)]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=30))
def test_it_never_goes_back_and_ends_where_the_store_is(steps: list[tuple[Any, ...]]) -> None:
    async def scenario() -> None:
        store, mirror = MemoryStore(), Mirror("a/", "b/")
        on_the_way: list[Told] = [Listed([], 0)]    # what the watch has to tell
        newest = dict.fromkeys(KEYS, 0)    # version of each key when the mirror had it last

        def check(old: dict[str, Entry | None], before: Any) -> None:
            now = mirror.entries
            assert before == {key: old.get(key) for key in old.keys() | now.keys() if old.get(key) != now.get(key)}
            for key, entry in now.items():
                assert entry.version >= newest[key], "it has gone back"
                newest[key] = entry.version

        for step in steps:
            old = dict(mirror.entries)
            match step:
                case ("write", keys, deletes, ours):
                    there = {entry.key: entry.version for entry in await store.list("")}
                    changes = [Change(key, there.get(key, ABSENT), None if deletes else b"") for key in sorted(keys)]
                    version = await store.compare_and_set(changes)
                    assert version is not None
                    written = [entry for entry in await store.list("") if entry.version == version]
                    on_the_way.append(Changed(version, written, sorted(keys & there.keys()) if deletes else []))
                    if ours:
                        check(old, mirror.made(changes, version))
                        for key in keys - {"c/1"}:
                            assert mirror.entries.get(key) == await store.get(key)
                case ("hear",) if on_the_way:
                    check(old, mirror.see(on_the_way.pop(0)))
                case ("snapshot",):
                    check(old, mirror.see(await store.snapshot("")))
                    assert mirror.entries == await of_the_mirror(store)
                case ("anew",):    # the watch was lost, and lists everything
                    on_the_way[:] = [await store.snapshot("")]
        for told in on_the_way:
            check(dict(mirror.entries), mirror.see(told))
        assert mirror.entries == await of_the_mirror(store)

    asyncio.run(scenario())


async def of_the_mirror(store: MemoryStore) -> dict[str, Entry]:
    return {entry.key: entry for entry in await store.list("") if not entry.key.startswith("c/")}


def test_what_is_ours_is_not_undone_by_an_older_list() -> None:
    mirror = Mirror("a/")
    mirror.see(Listed([], 5))
    mirror.made([Change("a/1", ABSENT, b"ours")], 7)
    assert mirror.see(Listed([Entry("a/2", b"", 6)], 6)) == {"a/2": None}
    assert set(mirror.entries) == {"a/1", "a/2"}
    assert mirror.see(Listed([], 8)) == {"a/1": Entry("a/1", b"ours", 7), "a/2": Entry("a/2", b"", 6)}
