"""Making, opening, locking and refusing the data folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from varley.errors import BadSettings, Damaged, DataFolderLocked, ReadOnly
from varley.storage.data_folder import DataFolder

OPEN_AND_WAIT = """
import os, sys
from varley.storage.data_folder import DataFolder
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
folder = DataFolder.open(sys.argv[1])
print("open", folder.is_read_only, flush=True)
sys.stdin.read()
"""


def test_a_folder_is_made_with_its_parents_and_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where"
    with DataFolder.open(str(path)) as folder:
        assert sorted(os.listdir(path)) == ["identity.json", "lock", "log", "metadata", "trees"]
        assert (folder.log, folder.trees, folder.metadata) == tuple(
            str(path / name) for name in ("log", "trees", "metadata")
        )
        assert not folder.is_read_only
        first_id = folder.id
    with DataFolder.open(str(path)) as folder:
        assert folder.id == first_id
    with DataFolder.open(str(tmp_path / "other")) as folder:
        assert folder.id != first_id


def test_an_empty_folder_that_exists_is_taken(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path)) as folder:
        assert json.loads((tmp_path / "identity.json").read_text()) == {"format": 1, "id": folder.id}


@pytest.mark.parametrize("made", [["lock"], ["lock", "log"], ["lock", "log", "trees", "metadata"]])
def test_making_a_folder_goes_on_where_a_crash_ended_it(tmp_path: Path, made: list[str]) -> None:
    for name in made:
        (tmp_path / name).touch() if name == "lock" else (tmp_path / name).mkdir()
    (tmp_path / "identity.json.new").write_text('{"for')
    with DataFolder.open(str(tmp_path)):
        assert (tmp_path / "identity.json").exists()
        assert (tmp_path / "metadata").is_dir()


def test_a_second_server_is_refused_and_told_who_has_the_folder(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path)), pytest.raises(DataFolderLocked) as raised:
        DataFolder.open(str(tmp_path))
    assert str(os.getpid()) in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert "--data-dir" in raised.value.hint
    DataFolder.open(str(tmp_path)).close()


def test_a_server_that_was_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"open False\n"
    with pytest.raises(DataFolderLocked, match=f"process {other.pid},"):
        DataFolder.open(str(tmp_path))
    other.kill()
    other.communicate()
    DataFolder.open(str(tmp_path)).close()


def test_a_folder_of_another_format_is_refused_by_number(tmp_path: Path) -> None:
    DataFolder.open(str(tmp_path)).close()
    (tmp_path / "identity.json").write_text('{"format": 7, "id": "x"}')
    with pytest.raises(BadSettings, match="format 7, and this version of Varley knows 1"):
        DataFolder.open(str(tmp_path))
    # It was refused before anything was held on to.
    (tmp_path / "identity.json").write_text('{"format": 1, "id": "x"}')
    DataFolder.open(str(tmp_path)).close()


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', "\0\0\0"])
def test_an_identity_that_cannot_be_read_is_damage(tmp_path: Path, text: str) -> None:
    DataFolder.open(str(tmp_path)).close()
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(Damaged, match=r"identity\.json"):
        DataFolder.open(str(tmp_path))


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    with pytest.raises(BadSettings, match="not empty, and not a data folder"):
        DataFolder.open(str(tmp_path))
    assert os.listdir(tmp_path) == ["photographs"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSettings, match="is a file, not a folder"):
        DataFolder.open(str(tmp_path / "file"))


# What cannot be written: as somebody else, since the superuser can write everywhere

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def open_as_nobody(path: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_WAIT, str(path), str(NOBODY)],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout, done.stderr


@needs_root
def test_a_folder_that_cannot_be_written_is_opened_for_reading(readable_by_all: Path) -> None:
    path = readable_by_all / "data"
    DataFolder.open(str(path)).close()
    assert open_as_nobody(path) == ("open True\n", "")
    (path / "lock").unlink()    # a copy without its lock file
    assert open_as_nobody(path) == ("open True\n", "")


@needs_root
def test_a_folder_for_reading_is_refused_while_a_server_writes(readable_by_all: Path) -> None:
    path = readable_by_all / "data"
    with DataFolder.open(str(path)):
        assert "DataFolderLocked" in open_as_nobody(path)[1]


@needs_root
def test_a_folder_that_can_neither_be_written_nor_has_anything_to_read_is_refused(readable_by_all: Path) -> None:
    for path in (readable_by_all, readable_by_all / "new"):
        assert ReadOnly.__name__ in open_as_nobody(path)[1]
