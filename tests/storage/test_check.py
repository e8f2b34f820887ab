"""`check` finds what is wrong with a data folder, and nothing in a sound one."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import lmdb
import msgspec
import pytest
from log_driver import LogDriver

from varley.errors import Damaged
from varley.item import stored
from varley.item.key_bytes import row_key
from varley.item.size import item_size
from varley.storage.check import Finding, check
from varley.storage.checkpoint import write_frozen
from varley.storage.data_folder import DataFolder
from varley.storage.disk import RealDisk
from varley.storage.inventory import Inventory
from varley.storage.lmdb_engine import META_KEY
from varley.storage.log_format import ABSENT, PUT, Row, encode_rows
from varley.storage.log_reader import LogReader
from varley.storage.recovery import recover
from varley.storage.tree import Tree
from varley.storage.tree_folder import TreeFolder

GROUP = 9
TREE = f"trees/{GROUP:016x}/data.mdb"


def row_of(number: int, sort: str = "s") -> Row:
    """A new row of a table with the keys pk and sk."""
    item = {"pk": {"S": f"p{number}"}, "sk": {"S": sort}, "n": {"N": str(number)}}
    return row_with(item, row_key("S", f"p{number}", "S", sort))


def row_with(item: dict[str, dict[str, str]], key: bytes) -> Row:
    return (PUT, key, stored.pack(msgspec.json.encode(item), item_size(item), 1), ABSENT)


def wrong_key(key: bytes, item: dict[str, dict[str, str]]) -> str | None:
    return None if key == row_key("S", item["pk"]["S"], "S", item["sk"]["S"]) else "not the key of the item"


class Folder:
    """A data folder with one group: entries 1 to 30 in a checkpoint, 21 to 40 in the log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with DataFolder.open(str(path)) as folder:
            self.trees = TreeFolder(folder.trees, Inventory.read(folder.path))
            self.log_path = folder.log
        self.rows = [row_of(number, "long" * 250 if number % 3 == 0 else "s") for number in range(1, 41)]
        tree = Tree(self.trees.open(GROUP))
        for slot, row in enumerate(self.rows[:30], 1):
            tree.apply(slot, [row])
        frozen = tree.freeze()
        assert frozen is not None
        write_frozen(frozen, lambda: None)
        tree.finish(frozen)
        tree.close()
        self.append(*((slot, row) for slot, row in enumerate(self.rows, 1) if slot > 20))

    def append(self, *slots: tuple[int, Row]) -> None:
        driver = LogDriver(RealDisk(), folder=self.log_path, segment_bytes=16 * 1024)
        for slot, row in slots:
            driver.write((GROUP, 1, slot, encode_rows([row], slot)))
        driver.writer.close()

    def check(self) -> list[Finding]:
        return check(str(self.path), groups=[GROUP], schemas={GROUP: wrong_key})

    def problems(self) -> str:
        return "\n".join(map(str, self.check()))

    def change_tree(self, key: bytes, value: bytes | None) -> None:
        """Behind Varley's back."""
        with lmdb.open(self.trees.folder_of(GROUP)) as env, env.begin(write=True) as txn:
            if value is None:
                assert txn.delete(key)
            else:
                txn.put(key, value)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def test_a_sound_folder_has_no_findings(folder: Folder) -> None:
    assert folder.check() == []


def test_what_the_folder_remembers_and_does_not_have_is_found(folder: Folder) -> None:
    folder.trees.remember([GROUP, GROUP + 1])
    folder.trees.inventory.add(newest_segment=1)
    assert folder.check() == []
    shutil.rmtree(folder.trees.folder_of(GROUP))
    assert "the tree is missing" in folder.problems()
    shutil.rmtree(folder.log_path)
    Path(folder.log_path).mkdir()
    assert "the log is empty, and segment 1 was begun" in folder.problems()
    (folder.path / "inventory.json").write_text("[]\n")
    assert "This is not the list of trees" in folder.problems()


def test_a_folder_that_was_just_made_has_no_findings(tmp_path: Path) -> None:
    DataFolder.open(str(tmp_path / "data")).close()
    assert check(str(tmp_path / "data")) == []


def test_a_folder_of_something_else_is_no_data_folder(tmp_path: Path) -> None:
    assert {finding.path for finding in check(str(tmp_path))} == {"identity.json", "log", "trees"}


def test_progress_names_the_files(folder: Folder) -> None:
    seen: list[str] = []
    check(str(folder.path), seen.append)
    assert TREE in seen
    assert any(path.startswith("log/") for path in seen)


@pytest.mark.parametrize("path", ["notes.txt", "log/notes.txt", "trees/notes", "trees/0000000000000009/notes.txt"])
def test_a_stray_file_is_found(folder: Folder, path: str) -> None:
    (folder.path / path).write_text("")
    (finding,) = folder.check()
    assert finding.path == path


def test_the_tree_of_a_group_that_does_not_exist_is_found(folder: Folder) -> None:
    Tree(folder.trees.open(4)).close()
    os.mkdir(folder.trees.folder_of(4))
    (finding,) = folder.check()
    assert (finding.path, finding.group) == ("trees/0000000000000004", 4)


def test_a_missing_segment_is_found(folder: Folder) -> None:
    folder.append((41, row_of(41)))     # opening the log anew begins another segment
    segments = sorted(os.listdir(folder.log_path))
    assert len(segments) >= 3
    os.remove(os.path.join(folder.log_path, segments[1]))
    assert "is missing" in folder.problems()


def test_a_hole_in_the_log_is_found(folder: Folder) -> None:
    folder.append((42, row_of(42)))
    assert "Slot 42 follows slot 40" in folder.problems()


def test_a_missing_tree_is_found(folder: Folder) -> None:
    folder.trees.remove(GROUP)
    assert "The tree has slot 0, the log begins with slot 21" in folder.problems()


def test_a_log_that_ends_before_the_tree_is_found(folder: Folder) -> None:
    for name in os.listdir(folder.log_path):
        os.remove(os.path.join(folder.log_path, name))
    folder.append(*((slot, row_of(slot)) for slot in range(21, 26)))
    assert "The log ends with slot 25, the tree has slot 30" in folder.problems()


def test_a_row_with_a_wrong_checksum_is_found(folder: Folder) -> None:
    key = folder.rows[0][1]
    folder.change_tree(key, b"something else")
    problems = folder.problems()
    assert "the row's checksum is wrong" in problems
    assert key.hex() in problems


def test_a_lost_row_is_found_by_the_counts(folder: Folder) -> None:
    folder.change_tree(folder.rows[0][1], None)
    assert "the tree has 29 rows" in folder.problems()


def test_a_lost_pointer_is_found(folder: Folder) -> None:
    folder.change_tree(folder.rows[2][1][:511], None)
    assert "no pointer leads to this row" in folder.problems()


def test_a_tree_without_its_own_row_is_found(folder: Folder) -> None:
    folder.change_tree(META_KEY, None)
    assert "own row is missing" in folder.problems()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (row_with({"pk": {"S": "p"}, "sk": {"S": "s"}}, b"\x77" + bytes(16) + b"s"), "unknown space 77"),
        (row_with({"pk": {"S": "p"}, "sk": {"S": "s"}}, b"\x00short"), "a row key of 6 bytes"),
        (row_with({"pk": {"S": "p"}, "sk": {"S": "s"}}, bytes(17) + b"s"), "not the key of the item"),
        (row_with({"pk": {"S": "p"}, "sk": {"S": "s"}, "n": {"N": "01"}}, row_key("S", "p", "S", "s")), "canonical"),
        ((PUT, row_key("S", "p"), stored.pack(b'{"pk":{"Z":"p"}}', 3, 1), ABSENT), "the stored item is none"),
        ((PUT, row_key("S", "p"), stored.pack(b"{", 1, 1), ABSENT), "the stored item is none"),
        ((PUT, row_key("S", "p"), stored.pack(b'{"pk":{"S":"p"}}', 7, 1), ABSENT), "has 3 bytes, its header says 7"),
        ((PUT, row_key("S", "p"), b"no header", ABSENT), "the stored value's checksum is wrong"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_row_that_is_none_is_found(folder: Folder, row: Row, problem: str) -> None:
    folder.append((41, row))
    assert problem in folder.problems()
    recovered = recover(folder.trees, [GROUP], LogReader(RealDisk(), folder.log_path))
    tree = recovered.trees[GROUP]
    try:
        frozen = tree.freeze()
        assert frozen is not None
        write_frozen(frozen, lambda: None)
        tree.finish(frozen)
    finally:
        tree.close()
    assert sum(problem in str(finding) for finding in folder.check()) == 2      # in the log, and in the tree


@pytest.mark.slow
def test_a_flipped_byte_anywhere_is_found_or_harmless(folder: Folder) -> None:
    """In every file, sampled. Harmless: recovery gives exactly the rows that were written."""
    expected = sorted((key, value) for _, key, value, _ in folder.rows)
    chance = random.Random(5)
    files = [folder.path / TREE, *sorted(Path(folder.log_path).iterdir())]
    found = 0
    for _ in range(120):
        path = chance.choice(files)
        data = path.read_bytes()
        at = chance.randrange(len(data))
        path.write_bytes(data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :])
        if folder.check():
            found += 1
        else:
            recovered = recover(folder.trees, [GROUP], LogReader(RealDisk(), folder.log_path))
            assert list(recovered.trees[GROUP].scan(b"", None)) == expected
            recovered.trees[GROUP].close()
        path.write_bytes(data)
    assert found > 20


@pytest.mark.slow
def test_recovery_serves_nothing_wrong_from_flipped_bytes(folder: Folder) -> None:
    expected = sorted((key, value) for _, key, value, _ in folder.rows)
    chance = random.Random(6)
    files = [folder.path / TREE, *sorted(Path(folder.log_path).iterdir())]
    refused = 0
    for _ in range(120):
        path = chance.choice(files)
        data = path.read_bytes()
        at = chance.randrange(len(data))
        path.write_bytes(data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :])
        try:
            tree = recover(folder.trees, [GROUP], LogReader(RealDisk(), folder.log_path)).trees[GROUP]
        except Damaged:
            refused += 1
        else:
            assert list(tree.scan(b"", None)) == expected
            tree.close()
        path.write_bytes(data)
    assert refused > 20
