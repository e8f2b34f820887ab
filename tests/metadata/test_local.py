"""What is particular to metadata on a disk: damage, room, and what the loop does meanwhile."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest
from google_crc32c import value as crc32c

from varley.errors import Damaged, LogFailed, ReadOnly, WorldError
from varley.metadata.local import LocalStore
from varley.metadata.store import ABSENT, Change


async def written(folder: Path, **values: bytes) -> None:
    store = await LocalStore.open(str(folder))
    assert await store.compare_and_set([Change(key, ABSENT, value) for key, value in values.items()])
    await store.close()


def overwrite(folder: Path, old: bytes, new: bytes) -> None:
    """Replace bytes of the file behind everybody's back, on every page that has them."""
    assert len(old) == len(new)
    file = folder / "data.mdb"
    raw = file.read_bytes()
    assert old in raw
    file.write_bytes(raw.replace(old, new))


@contextmanager
def files_stay_below(size: int) -> Iterator[None]:
    """For the whole process: writes beyond `size` bytes of a file fail, for another reason than a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_value_is_kept_as_it_is_drawn(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, **{"table/Music": b"{}"}))
    with lmdb.open(str(tmp_path)) as environment, environment.begin() as transaction:
        raw = transaction.get(b"table/Music")
    version = (1).to_bytes(8, "little")
    crc = crc32c(b"table/Music" + version + b"{}").to_bytes(4, "little")
    assert raw == b"\x01\0\0\0" + crc + version + b"{}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"the value", b"thf value", id="in the value"),
        pytest.param(b"table/Music", b"table/Nusic", id="in the key"),
    ],
)
def test_a_flipped_bit_is_found(tmp_path: Path, old: bytes, new: bytes) -> None:
    async def scenario() -> None:
        await written(tmp_path, **{"table/Music": b"the value", "other": b"is whole"})
        overwrite(tmp_path, old, new)
        store = await LocalStore.open(str(tmp_path))
        with pytest.raises(Damaged) as damage:
            await store.list("table/")
        assert damage.value.path == str(tmp_path / "data.mdb")
        entry = await store.get("other")
        assert entry is not None
        assert entry.value == b"is whole"
        await store.close()

    asyncio.run(scenario())


def test_damage_is_not_written_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        await written(tmp_path, a=b"the value")
        overwrite(tmp_path, b"the value", b"thf value")
        store = await LocalStore.open(str(tmp_path))
        with pytest.raises(Damaged):
            await store.compare_and_set([Change("a", 1, b"new")])
        await store.close()

    asyncio.run(scenario())


def test_a_damaged_structure_is_found_before_lmdb_sees_it(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, a=b"1"))
    file = tmp_path / "data.mdb"
    raw = bytearray(file.read_bytes())
    page = os.sysconf("SC_PAGE_SIZE")
    raw[2 * page : 2 * page + 16] = b"\xff" * 16    # the header of the first page after the two roots
    file.write_bytes(raw)
    with pytest.raises(Damaged):
        asyncio.run(LocalStore.open(str(tmp_path)))


def test_what_is_no_lmdb_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(Damaged):
        asyncio.run(LocalStore.open(str(tmp_path)))


def test_a_newer_format_is_refused_as_such(tmp_path: Path) -> None:
    async def scenario() -> None:
        await written(tmp_path, a=b"1")
        with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
            raw = transaction.get(b"a")
            transaction.put(b"a", b"\x02" + raw[1:])
        store = await LocalStore.open(str(tmp_path))
        with pytest.raises(WorldError, match="format version 2"):
            await store.get("a")
        await store.close()

    asyncio.run(scenario())


@pytest.mark.slow
def test_the_map_grows_with_what_is_in_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        megabyte = bytes(1024 * 1024)
        for first in range(0, 80, 20):
            changes = [Change(f"k{number}", ABSENT, megabyte) for number in range(first, first + 20)]
            assert await store.compare_and_set(changes)
        await store.close()
        store = await LocalStore.open(str(tmp_path))
        assert len(await store.list("k")) == 80
        await store.close()

    asyncio.run(scenario())


def test_the_disk_is_another_threads_business(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await LocalStore.open(str(tmp_path))
        names = {thread.name for thread in threading.enumerate()}
        assert sum(name.startswith("varley-metadata") for name in names) == 1
        await store.close()

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_written_is_said_to_be_that(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(WorldError):
            asyncio.run(LocalStore.open(str(tmp_path / "file" / "metadata")))
        return
    tmp_path.chmod(0o500)
    with pytest.raises(ReadOnly):
        asyncio.run(LocalStore.open(str(tmp_path / "metadata")))


def test_after_a_failed_write_nothing_more_is_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        await written(tmp_path, a=b"1")
        store = await LocalStore.open(str(tmp_path))
        with files_stay_below((tmp_path / "data.mdb").stat().st_size), pytest.raises(LogFailed):
            await store.compare_and_set([Change("a", 1, bytes(1024 * 1024))])
        with pytest.raises(LogFailed):
            await store.compare_and_set([Change("a", 1, b"2")])
        entry = await store.get("a")
        assert entry is not None
        assert entry.value == b"1"
        await store.close()
        store = await LocalStore.open(str(tmp_path))
        assert await store.compare_and_set([Change("a", 1, b"2")])
        await store.close()

    asyncio.run(scenario())
