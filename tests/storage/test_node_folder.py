"""Whose a data folder is: refused to others, and what it remembers of its first use."""

from __future__ import annotations

from pathlib import Path

import pytest

from varley.errors import BadSettings, Damaged
from varley.storage.data_folder import DataFolder
from varley.storage.node_folder import claim, refuse_nodes_folder


def test_the_first_use_is_remembered(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path / "data")) as folder:
        assert claim(folder, "music", "n1", 41) == 41
        assert claim(folder, "music", "n1", 99) == 41


def test_its_file_is_as_it_is_drawn(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path / "data")) as folder:
        claim(folder, "varley", "n1", 41)
        text = (tmp_path / "data" / "metadata" / "cluster.json").read_text()
    assert text == '{"format": 1, "cluster": "varley", "node": "n1", "groups_given": 41}\n'
    assert text in "".join(f"{line.strip()}\n" for line in Path("docs/formats.md").read_text().splitlines())


@pytest.mark.parametrize(("cluster", "node"), [("music", "n2"), ("films", "n1")])
def test_another_node_and_another_cluster_are_refused(tmp_path: Path, cluster: str, node: str) -> None:
    with DataFolder.open(str(tmp_path / "data")) as folder:
        claim(folder, "music", "n1", 0)
        with pytest.raises(BadSettings, match="belongs to the node 'n1' of the cluster 'music'"):
            claim(folder, cluster, node, 0)


def test_a_single_server_and_a_node_do_not_share_a_folder(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path / "nodes")) as folder:
        refuse_nodes_folder(folder)    # it is nobody's yet
        claim(folder, "music", "n1", 0)
        with pytest.raises(BadSettings, match="belongs to the node 'n1'"):
            refuse_nodes_folder(folder)
    with DataFolder.open(str(tmp_path / "servers")) as folder:
        (tmp_path / "servers" / "metadata" / "data.mdb").touch()
        with pytest.raises(BadSettings, match="single server"):
            claim(folder, "music", "n1", 0)


@pytest.mark.parametrize(("text", "error"), [("", Damaged), ("{}", Damaged), ('{"format": 2}', BadSettings)])
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, error: type[Exception]) -> None:
    with DataFolder.open(str(tmp_path / "data")) as folder:
        (tmp_path / "data" / "metadata" / "cluster.json").write_text(text)
        with pytest.raises(error):
            claim(folder, "music", "n1", 0)
