"""What a start makes of trees and log, and what it refuses to start from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from varley.errors import Damaged
from varley.item import stored
from varley.storage import checkpoint, recovery
from varley.storage.checkpoint import write_frozen
from varley.storage.lmdb_engine import LmdbEngine
from varley.storage.log_format import ABSENT, DELETE, PUT, Row, encode_rows
from varley.storage.log_reader import LogEntry
from varley.storage.recovery import Position, recover
from varley.storage.tree import Applied, Tree
from varley.storage.tree_folder import TreeFolder

A, B = 1, 2     # groups


def value_of(number: int) -> bytes:
    return stored.pack(b"%d" % number, 10, number)


def put(key: bytes, number: int, *, over: int = ABSENT) -> Row:
    return (PUT, key, value_of(number), over)


def entry(group: int, slot: int, rows: Sequence[Row], *, ballot: int = 1) -> LogEntry:
    return LogEntry(group, ballot, slot, encode_rows(rows, slot), 1, 512 * slot)


def keys_log(group: int, slots: range) -> list[LogEntry]:
    """One new row per slot."""
    return [entry(group, slot, [put(b"\x00%03d" % slot, slot)]) for slot in slots]


def checkpointed(folder: TreeFolder, group: int, slots: int) -> None:
    """A tree with a complete checkpoint after `slots` entries of keys_log."""
    tree = Tree(folder.open(group))
    for slot in range(1, slots + 1):
        tree.apply(slot, [put(b"\x00%03d" % slot, slot)])
    frozen = tree.freeze()
    assert frozen is not None
    write_frozen(frozen, lambda: None)
    tree.finish(frozen)
    tree.close()


def close(trees: dict[int, Tree]) -> None:
    for tree in trees.values():
        tree.close()


@pytest.fixture
def folder(tmp_path: Path) -> TreeFolder:
    return TreeFolder(str(tmp_path / "trees"))


def test_a_new_node_has_nothing(folder: TreeFolder) -> None:
    recovered = recover(folder, [A], [])
    assert recovered.positions == {A: Position(0, 0)}
    assert recovered.trees[A].item_count == 0
    close(recovered.trees)


def test_without_a_checkpoint_everything_is_in_the_log(folder: TreeFolder) -> None:
    log = [
        entry(A, 1, [put(b"\x00a", 1), put(b"\x00b", 2)]),
        entry(B, 1, [put(b"\x00x", 3)]),
        entry(A, 2, [put(b"\x00a", 4, over=10)]),
        entry(A, 3, [(DELETE, b"\x00b", None, 10)]),
    ]
    recovered = recover(folder, [A, B], log)
    assert list(recovered.trees[A].scan(b"", None)) == [(b"\x00a", value_of(4))]
    assert list(recovered.trees[B].scan(b"", None)) == [(b"\x00x", value_of(3))]
    assert (recovered.trees[A].item_count, recovered.trees[A].size_bytes) == (1, 10)
    assert recovered.entries == 4
    close(recovered.trees)


def test_only_entries_after_the_checkpoint_are_applied(folder: TreeFolder) -> None:
    checkpointed(folder, A, 5)
    recovered = recover(folder, [A], [*keys_log(A, range(3, 6)), entry(A, 6, [put(b"\x00n", 6)], ballot=4)])
    assert recovered.entries == 1
    assert recovered.positions[A] == Position(6, 4)
    assert recovered.trees[A].item_count == 6
    close(recovered.trees)


def test_a_log_that_was_released_up_to_the_checkpoint_is_not_missed(folder: TreeFolder) -> None:
    checkpointed(folder, A, 5)
    recovered = recover(folder, [A], [])
    assert recovered.positions[A] == Position(5, 0)
    close(recovered.trees)


def test_a_tree_that_has_had_a_checkpoint_is_missed(folder: TreeFolder) -> None:
    checkpointed(folder, A, 5)
    folder.remember([A, B])
    close(recover(folder, [A], []).trees)
    shutil.rmtree(folder.folder_of(A))
    with pytest.raises(Damaged, match=r"The tree is missing.*group 1"):
        recover(folder, [A], keys_log(A, range(1, 6)))
    close(recover(folder, [], []).trees)    # B and A belong to deleted tables


def test_entries_of_a_deleted_group_are_skipped(folder: TreeFolder) -> None:
    recovered = recover(folder, [A], [*keys_log(B, range(7, 9)), *keys_log(A, range(1, 3))])
    assert list(recovered.trees) == [A]
    close(recovered.trees)


@pytest.mark.parametrize(
    ("slots", "problem"),
    [
        ([7, 8], "The tree has slot 5, the log begins with slot 7"),
        ([6, 8], "Slot 8 follows slot 6"),
        ([4, 6], "Slot 6 follows slot 4"),
        ([6, 6], "Slot 6 follows slot 6"),
        ([3, 4], "The log ends with slot 4, the tree has slot 5"),
    ],
)
def test_a_hole_is_damage(folder: TreeFolder, slots: list[int], problem: str) -> None:
    checkpointed(folder, A, 5)
    with pytest.raises(Damaged, match=problem) as caught:
        recover(folder, [A], [entry(A, slot, []) for slot in slots])
    assert caught.value.group == A
    assert caught.value.path == "0000000000000001.log"
    close(recover(folder, [A], []).trees)   # nothing stayed open


def test_a_ballot_does_not_fall(folder: TreeFolder) -> None:
    with pytest.raises(Damaged, match="Ballot 2 follows ballot 3"):
        recover(folder, [A], [entry(A, 1, [], ballot=3), entry(A, 2, [], ballot=2)])


def test_a_checkpoint_that_was_interrupted_needs_its_log(folder: TreeFolder) -> None:
    checkpointed(folder, A, 5)
    engine = folder.open(A)
    engine.write(iter([(b"\x00new", value_of(6)), (b"\x00001", None)]), None)
    engine.close()
    with pytest.raises(Damaged, match="the log does not have them"):
        recover(folder, [A], [])
    log = [entry(A, 6, [put(b"\x00new", 6)]), entry(A, 7, [(DELETE, b"\x00001", None, 10)])]
    recovered = recover(folder, [A], log)
    tree = recovered.trees[A]
    assert (tree.applied_slot, tree.item_count, tree.size_bytes) == (7, 5, 50)
    assert len(list(tree.scan(b"", None))) == 5
    tree.close()


def test_a_checkpoint_is_interrupted_twice_and_counts_stay_exact(
    folder: TreeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "TRANSACTION_ROWS", 2)

    class PowerCut(Exception):
        pass

    log: list[LogEntry] = []
    for turn in range(3):
        tree = recover(folder, [A], log).trees[A]
        for key in (b"\x00a", b"\x00b", b"\x00c", b"\x00d", b"\x00e"):
            row = put(key, turn, over=ABSENT if tree.get(key) is None else 10)
            if turn == 1 and key == b"\x00c":
                row = (DELETE, key, None, 10)
            log.append(entry(A, len(log) + 1, [row]))
            tree.apply(len(log), [row])
        left = iter(range(turn % 2))

        def pause(left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise PowerCut

        frozen = tree.freeze()
        assert frozen is not None
        with pytest.raises(PowerCut):
            write_frozen(frozen, pause)
        tree.close()
    tree = recover(folder, [A], log).trees[A]
    assert [value for _, value in tree.scan(b"", None)] == [value_of(2)] * 5
    assert (tree.item_count, tree.size_bytes) == (5, 50)
    tree.close()


def test_a_tree_with_too_few_rows_is_damaged(folder: TreeFolder, tmp_path: Path) -> None:
    checkpointed(folder, A, 5)
    engine = folder.open(A)
    engine.write(iter([(b"\x00001", None)]), Applied(5, 5, 50))
    engine.close()
    with pytest.raises(Damaged, match="has 4 rows, 5 were written"):
        recover(folder, [A], [])
    recovered = recover(folder, [A], [], verify_bytes_max=0)
    assert recovered.unverified == [A]
    close(recovered.trees)


def test_a_tree_with_a_damaged_page_is_refused(folder: TreeFolder) -> None:
    checkpointed(folder, A, 5)
    engine = LmdbEngine(folder.folder_of(A), A)
    engine.close()
    data = bytearray(Path(engine.path).read_bytes())
    at = data.rindex(b"\x00003")
    data[at + 1] ^= 0xFF
    Path(engine.path).write_bytes(data)
    with pytest.raises(Damaged):
        recover(folder, [A], [])


def test_progress_names_where_the_reader_is(folder: TreeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "ENTRIES_PER_PROGRESS", 1000)
    seen: list[int] = []
    recovered = recover(folder, [A], keys_log(A, range(1, 2501)), progress=lambda entry: seen.append(entry.slot))
    assert seen == [1000, 2000]
    close(recovered.trees)


def test_entries_of_a_group_that_was_never_given_out_are_not_nobodys(folder: TreeFolder) -> None:
    """Metadata that was lost, or is older than the log, must not make the rows of its tables vanish."""
    with pytest.raises(Damaged, match="groups up to 0"):
        recover(folder, [], keys_log(A, range(1, 3)), groups_given=0)
    assert recover(folder, [], keys_log(A, range(1, 3)), groups_given=A).entries == 0
