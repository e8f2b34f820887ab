"""Whose a folder of several processes is: it is refused with another number, to other servers, and half way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from varley.cli.processes_folder import claimed, encoded
from varley.errors import BadSettings, Damaged, DataFolderLocked
from varley.storage.data_folder import PROCESSES_FILE, DataFolder

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def claim(folder: Path, *, processes: int = 2, name: str = "n1", cluster: str | None = None) -> None:
    with claimed(str(folder), name=name, processes=processes, cluster=cluster):
        pass


def test_the_same_server_comes_back(tmp_path: Path) -> None:
    claim(tmp_path / "new" / "folder")
    claim(tmp_path / "new" / "folder")
    there = json.loads((tmp_path / "new" / "folder" / PROCESSES_FILE).read_text())
    assert there == {"format": 1, "name": "n1", "processes": 2, "cluster": None}


def test_the_number_of_processes_stays(tmp_path: Path) -> None:
    claim(tmp_path)
    with pytest.raises(BadSettings, match="a server of 2 processes") as raised:
        claim(tmp_path, processes=3)
    assert "--processes 2" in raised.value.hint
    claim(tmp_path)


def test_it_belongs_to_one_server_of_one_cluster(tmp_path: Path) -> None:
    claim(tmp_path, cluster="music")
    for name, cluster in (("n2", "music"), ("n1", "films"), ("n1", None)):
        with pytest.raises(BadSettings, match="belongs to 'n1' of the cluster 'music'"):
            claim(tmp_path, name=name, cluster=cluster)


def test_a_server_of_one_process_does_not_take_it(tmp_path: Path) -> None:
    claim(tmp_path)
    with pytest.raises(BadSettings, match="several processes") as raised:
        DataFolder.open(str(tmp_path))
    assert "--processes" in raised.value.hint


def test_the_folder_of_one_process_is_not_taken(tmp_path: Path) -> None:
    DataFolder.open(str(tmp_path)).close()
    with pytest.raises(BadSettings, match="one process") as raised:
        claim(tmp_path)
    assert "without --processes" in raised.value.hint


def test_what_is_no_folder_of_ours_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir")
    with pytest.raises(BadSettings, match="not empty"):
        claim(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with claimed(str(tmp_path), name="n1", processes=2, cluster=None), pytest.raises(DataFolderLocked):
        claim(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / PROCESSES_FILE).write_text("[]")
    with pytest.raises(Damaged, match="how many processes"):
        claim(tmp_path)
    (tmp_path / PROCESSES_FILE).write_text('{"format": 2}')
    with pytest.raises(BadSettings, match="format 2"):
        claim(tmp_path)


def test_it_is_kept_as_it_is_drawn() -> None:
    assert encoded("n1", 2, None) in FORMATS
