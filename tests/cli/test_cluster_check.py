"""`varley check` on folders of a cluster's nodes: each is known for what it is, wherever it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from varley.cli import main
from varley.storage.data_folder import DataFolder
from varley.storage.node_folder import claim


def make_node(folder: Path, name: str) -> None:
    with DataFolder.open(str(folder)) as opened:
        claim(opened, "music", name, 0)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_nodes_are_found(tmp_path: Path, depth: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own folder; those of `varley serve --processes` or `varley cluster up`; both at once."""
    folder = tmp_path / "data"
    for name in ("n1.1", "n1.2") if depth else ("n1.1",):
        make_node(folder.joinpath(*("n1", name)[2 - depth :]), name)
    assert main(["check", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "node n1.1 of the cluster music" in shown and "Sound" in shown
    assert ("n1.2" in shown) == (depth > 0)


def test_what_is_broken_in_one_of_them_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("n1", "n2"):
        make_node(tmp_path / name, name)
    (tmp_path / "n2" / "trees" / "letter.txt").write_text("Dear Sir")
    assert main(["check", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["nodes"] == ["n1", "n2"]
    assert [finding["path"] for finding in found["findings"]] == ["n2/trees/letter.txt"]
