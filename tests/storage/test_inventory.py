"""What a folder remembers of itself: durable, whole, and never more than is there."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
from google_crc32c import value as crc32c

from varley.errors import Damaged, DiskFull, WorldError
from varley.storage.disk import RealDisk
from varley.storage.inventory import INVENTORY_FILE, Inventory


def test_a_folder_without_the_file_remembers_nothing(tmp_path: Path) -> None:
    inventory = Inventory.read(str(tmp_path))
    assert (inventory.newest_segment, inventory.trees) == (0, frozenset())
    assert list(tmp_path.iterdir()) == []


def test_what_was_added_is_remembered(tmp_path: Path) -> None:
    inventory = Inventory.read(str(tmp_path))
    inventory.add(trees=[7, 2])
    inventory.add(newest_segment=12)
    inventory.add(trees=[1, 7], newest_segment=3)
    again = Inventory.read(str(tmp_path))
    assert (again.newest_segment, again.trees) == (12, {1, 2, 7})
    assert [path.name for path in tmp_path.iterdir()] == [INVENTORY_FILE]


def test_the_file_is_as_documented(tmp_path: Path) -> None:
    Inventory(str(tmp_path)).add(trees=[7, 1, 2], newest_segment=12)
    example = '{"format": 1, "newest_segment": 12, "trees": [1, 2, 7]}\n22ba4185\n'
    assert (tmp_path / INVENTORY_FILE).read_text() == example
    documentation = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    assert "".join(f"    {line}\n" for line in example.splitlines()) in documentation


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    inventory = Inventory(str(tmp_path))
    inventory.add(trees=[1], newest_segment=2)
    (tmp_path / INVENTORY_FILE).unlink()
    inventory.add(trees=[1], newest_segment=2)
    inventory.add()
    assert not (tmp_path / INVENTORY_FILE).exists()


def test_deleted_groups_are_forgotten_with_the_next_change(tmp_path: Path) -> None:
    inventory = Inventory(str(tmp_path))
    inventory.add(trees=[1, 2, 3])
    inventory.keep_only([2, 9])
    inventory.add(trees=[4])
    assert Inventory.read(str(tmp_path)).trees == {2, 4}


@pytest.mark.parametrize("call", ["write_synced", "sync_folder"])
def test_what_cannot_be_written_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    inventory = Inventory(str(tmp_path))
    inventory.add(trees=[1])

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RealDisk, call, refuse)
        with pytest.raises(DiskFull):
            inventory.add(trees=[2])
    assert inventory.trees == Inventory.read(str(tmp_path)).trees == {1}
    inventory.add(trees=[2])
    assert Inventory.read(str(tmp_path)).trees == {1, 2}


def test_after_a_crash_there_is_the_old_file_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the new file is written when the power goes."""
    Inventory(str(tmp_path)).add(trees=[1])

    def write_half(disk: RealDisk, file: int, offset: int, parts: Sequence[bytes]) -> None:
        whole(disk, file, offset, [b"".join(parts)[:20]])
        raise KeyboardInterrupt

    whole = RealDisk.write_synced
    with monkeypatch.context() as patch:
        patch.setattr(RealDisk, "write_synced", write_half)
        with pytest.raises(KeyboardInterrupt):
            Inventory.read(str(tmp_path)).add(trees=[2])
    inventory = Inventory.read(str(tmp_path))
    assert inventory.trees == {1}
    inventory.add(trees=[3])
    assert Inventory.read(str(tmp_path)).trees == {1, 3}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data.replace(b"[1", b"[2"),
        lambda data: b"",
        lambda data: data + b"x",
    ],
)
def test_other_bytes_are_damage(tmp_path: Path, change: object) -> None:
    Inventory(str(tmp_path)).add(trees=[1])
    file = tmp_path / INVENTORY_FILE
    assert callable(change)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(Damaged, match="delete this file"):
        Inventory.read(str(tmp_path))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / INVENTORY_FILE).write_bytes(b'{"format": 2}\n%08x\n' % crc32c(b'{"format": 2}'))
    with pytest.raises(WorldError, match="format 2"):
        Inventory.read(str(tmp_path))


def test_a_log_that_is_given_up_ends_earlier_from_then_on(tmp_path: Path) -> None:
    inventory = Inventory.read(str(tmp_path))
    inventory.add(trees=[7], newest_segment=12)
    inventory.log_was_lost(12)
    assert Inventory.read(str(tmp_path)).newest_segment == 12
    inventory.log_was_lost(3)
    again = Inventory.read(str(tmp_path))
    assert (again.newest_segment, again.trees) == (3, {7})
    inventory.log_was_lost(9)
    assert Inventory.read(str(tmp_path)).newest_segment == 3, "that is not what it is for"
