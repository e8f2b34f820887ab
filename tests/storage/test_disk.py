"""The real disk, and that the disk of the tests answers as it does."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from forgetful_disk import ForgetfulDisk

from varley.errors import DiskFull, Exhausted, ReadOnly, WorldError
from varley.storage.disk import Disk, RealDisk, kind_of
from varley.storage.lmdb_engine import code_of

DISKS: list[Callable[[], Disk]] = [RealDisk, ForgetfulDisk]


@pytest.fixture(params=DISKS, ids=["real", "forgetful"])
def disk(request: pytest.FixtureRequest) -> Disk:
    made: Disk = request.param()
    return made


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "file")


def test_space_that_was_not_written_reads_as_zeros(disk: Disk, path: str) -> None:
    file = disk.create(path)
    disk.reserve(file, 10_000)
    disk.write_synced(file, 512, [b"one", b"", b"two"])
    assert disk.size(file) == 10_000
    assert disk.read(file, 0, 20_000) == bytes(512) + b"onetwo" + bytes(10_000 - 518)
    disk.close(file)


def test_a_read_past_the_end_is_short(disk: Disk, path: str) -> None:
    file = disk.create(path)
    disk.write_synced(file, 0, [b"abc"])
    assert disk.read(file, 1, 10) == b"bc"
    assert disk.read(file, 3, 10) == b""
    disk.close(file)


def test_what_was_under_a_name_is_gone_once_it_is_created_again(disk: Disk, path: str) -> None:
    for text in (b"longer", b"short"):
        file = disk.create(path)
        disk.write_synced(file, 0, [text])
        disk.sync(file)
        disk.close(file)
    file = disk.open(path)
    disk.settle(file)
    assert disk.read(file, 0, 100) == b"short"
    disk.close(file)


def test_files_are_listed_cut_and_removed(disk: Disk, path: str) -> None:
    folder = path.rpartition("/")[0]
    file = disk.create(path)
    disk.write_synced(file, 0, [b"abcdef"])
    disk.close(file)
    disk.sync_folder(folder)
    assert disk.list(folder) == ["file"]
    disk.truncate(path, 2)
    file = disk.open(path)
    assert disk.read(file, 0, 100) == b"ab"
    disk.close(file)
    disk.remove(path)
    assert disk.list(folder) == []
    with pytest.raises(OSError) as raised:
        disk.open(path)
    assert raised.value.errno == errno.ENOENT


def test_a_large_write_in_many_parts_arrives_whole(disk: Disk, path: str) -> None:
    parts = [bytes([number]) * 5000 for number in range(200)]
    file = disk.create(path)
    disk.write_synced(file, 7, parts)
    assert disk.read(file, 7, 2_000_000) == b"".join(parts)
    disk.close(file)


def test_a_system_that_cannot_write_and_sync_in_one_call_is_served_with_two(path: str) -> None:
    disk = RealDisk()
    disk._can_write_synced = False
    file = disk.create(path)
    disk.write_synced(file, 100, [b"one", b"two"])
    assert disk.read(file, 0, 200) == bytes(100) + b"onetwo"
    disk.close(file)


def test_a_write_to_a_file_that_is_closed_fails(path: str) -> None:
    disk = RealDisk()
    file = disk.create(path)
    os.close(file)
    with pytest.raises(OSError):
        disk.write_synced(file, 0, [b"x"])


def test_a_write_of_which_only_a_part_arrived_is_no_success(path: str) -> None:
    """The system writes what fits under a limit, and says so; only the next call says what is wrong."""
    disk = RealDisk()
    file = disk.create(path)
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, old_limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            disk.write_synced(file, 0, [b"x" * 1000, b"y" * 500])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
    assert raised.value.errno == errno.EFBIG
    assert disk.size(file) == 1024
    disk.close(file)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_by_its_number() -> None:
    disk = RealDisk()
    file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError) as raised:
        disk.write_synced(file, 0, [b"x"])
    assert raised.value.errno == errno.ENOSPC
    os.close(file)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, ReadOnly),
        (errno.EACCES, ReadOnly),
        (errno.EMFILE, Exhausted),
        (errno.ENFILE, Exhausted),
        (errno.EIO, WorldError),
        (None, WorldError),
    ],
)
def test_what_the_system_says_has_one_meaning_for_all(code: int | None, kind: type[WorldError]) -> None:
    assert kind_of(code) is kind


def test_lmdb_tells_an_errno_in_words() -> None:
    for code in (errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EIO):
        assert code_of(lmdb.Error(f"/a/path: {os.strerror(code)}")) == code_of(OSError(code, "")) == code
    assert code_of(lmdb.Error("MDB_CORRUPTED")) is None


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path, new = str(tmp_path / "file"), str(tmp_path / "file.new")
    RealDisk().replace(path, new, b"one")
    RealDisk().replace(path, new, b"other")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"other")]
