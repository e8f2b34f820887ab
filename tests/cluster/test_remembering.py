"""What is remembered of the metadata, when it is in the file, and what a node begins with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from varley.cluster.remembering import Remembering, first_listed
from varley.errors import Unreachable
from varley.metadata.etcd import EtcdStore
from varley.metadata.store import Changed, Entry, Listed
from varley.storage.data_folder import DataFolder
from varley.storage.remembered import Remembered, encode, read, write

NOBODY = "etcd://127.0.0.1:1/tests"    # no server has that port


class World:
    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.tasks: list[asyncio.Task[None]] = []
        self.has_begun = asyncio.Event()
        self.remembering = Remembering(asyncio.get_running_loop(), folder, self._keep, lambda: 42)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        self.has_begun.set()

    def there(self) -> Remembered:
        found = read(self.folder)
        assert found is not None
        return found


def run(tmp_path: Path, story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        with DataFolder.open(str(tmp_path / "data")) as folder:
            world = World(folder)
            await story(world)
            world.remembering.stop()

    asyncio.run(tell())


def test_what_was_told_is_in_the_file_and_only_what_is_needed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        entries = [Entry("table/a", b"1", 3), Entry("bulk/1", b"2", 4), Entry("members/7", b"3", 5)]
        world.remembering.see(Listed(entries, 6))
        world.remembering.see(Changed(8, [Entry("nodes/n1", b"4", 8)], ["table/a"]))
        await world.remembering.save()
        there = world.there()
        assert {each[0] for each in there.entries} == {"members/7", "nodes/n1"}
        assert (there.etcd, there.version) == (42, 8)

    run(tmp_path, story)


def test_a_change_is_written_by_itself_and_many_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for version in range(1, 100):
            world.remembering.see(Changed(version, [Entry("table/a", b"%d" % version, version)], []))
        await world.has_begun.wait()
        await asyncio.gather(*world.tasks)
        assert len(world.tasks) == 1
        assert world.there().version == 99

    run(tmp_path, story)


def test_a_group_that_is_about_to_begin_here_is_in_the_file_first(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await asyncio.gather(*(world.remembering.hosts(group) for group in range(1, 50)))
        assert sorted(world.there().hosted) == list(range(1, 50))
        world.remembering.hosts_no_more(7)
        await world.remembering.hosts(50)
        assert 7 not in world.there().hosted
        assert 50 in world.there().hosted

    run(tmp_path, story)


def test_without_etcd_a_node_begins_with_what_it_remembers(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        write(world.folder, encode(Remembered(42, 41, (3,), [("groups", b"{}", 40)])))
        store = EtcdStore.at(NOBODY, patience_seconds=0.0)
        listed, remembered = await first_listed(asyncio.get_running_loop(), store, world.folder)
        assert listed == Listed((Entry("groups", b"{}", 40),), 41)
        assert remembered is not None and list(remembered.hosted) == [3]
        assert store.etcd == 42
        assert isinstance(store.trouble, Unreachable)
        await store.close()

    run(tmp_path, story)


def test_without_etcd_and_a_memory_it_does_not_begin(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        loop = asyncio.get_running_loop()
        store = EtcdStore.at(NOBODY, patience_seconds=0.0)
        for folder in (world.folder, None):
            with pytest.raises(Unreachable):
                await first_listed(loop, store, folder)
        write(world.folder, b"no memory")
        with pytest.raises(Unreachable):    # not Damaged: with etcd there would be no harm
            await first_listed(loop, store, world.folder)
        await store.close()

    run(tmp_path, story)
