"""The tree against a dict: every mix of writes, reads, checkpoints, crashes and restarts, on both engines."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from varley.item import stored
from varley.storage import checkpoint
from varley.storage.checkpoint import write_frozen
from varley.storage.log_format import ABSENT, DELETE, PUT, Row, encode_rows
from varley.storage.log_reader import LogEntry
from varley.storage.memory_engine import MemoryEngine
from varley.storage.recovery import recover
from varley.storage.tree import Frozen, Tree
from varley.storage.tree_folder import TreeFolder

GROUP = 7


class PowerCut(Exception):
    pass


# Keys around the lengths where they are cut (511, then 493 further on), sharing what comes before.
LENGTHS = [0, 1, 2, 16, 493, 508, 509, 510, 511, 512, 1001, 1002, 1003, 1004, 1005, 1040]
BYTES = st.sampled_from([b"\x00", b"a", b"b", b"\xfe", b"\xff"])


@st.composite
def keys(draw: st.DrawFn) -> bytes:
    length = draw(st.sampled_from(LENGTHS))
    filling = draw(st.sampled_from([b"a", b"\xff"]))
    tail = b"".join(draw(st.lists(BYTES, max_size=3)))
    return (b"\x00" + filling * length + tail)[:1041]


VALUES = st.builds(
    lambda size, filling: stored.pack(filling * size, size, 1),
    st.sampled_from([0, 1, 50, 5000]),
    st.sampled_from([b"x", b"y"]),
)
KEPT_KEYS: st.SearchStrategy[int] = st.integers(min_value=0, max_value=10**6)


class TreeMachine(RuleBasedStateMachine):
    """`model` is what the tree must be; `log` is what the log holds: every entry ever applied."""

    is_durable: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[bytes, bytes] = {}
        self.log: list[LogEntry] = []
        self.frozen: Frozen | None = None
        self.path = tempfile.mkdtemp()
        self.folder = TreeFolder(self.path)
        self.tree = Tree(self.folder.open(GROUP) if self.is_durable else MemoryEngine())

    def teardown(self) -> None:
        self.tree.close()
        shutil.rmtree(self.path)

    def key_like(self, number: int, key: bytes) -> bytes:
        """Mostly one that is there, else `key`."""
        return sorted(self.model)[number % len(self.model)] if self.model and number % 4 else key

    @rule(number=KEPT_KEYS, key=keys(), value=VALUES)
    def put(self, number: int, key: bytes, value: bytes) -> None:
        self.apply([self.row(self.key_like(number, key), value)])

    @rule(number=KEPT_KEYS, key=keys())
    def delete(self, number: int, key: bytes) -> None:
        self.apply([self.row(self.key_like(number, key), None)])

    @rule(entries=st.lists(st.tuples(keys(), st.none() | VALUES), max_size=8, unique_by=lambda entry: entry[0]))
    def apply_many(self, entries: list[tuple[bytes, bytes | None]]) -> None:
        self.apply([self.row(key, value) for key, value in entries])

    def row(self, key: bytes, value: bytes | None) -> Row:
        old = self.model.get(key)
        return (DELETE if value is None else PUT, key, value, ABSENT if old is None else stored.item_size(old))

    def apply(self, rows: list[Row]) -> None:
        slot = self.tree.applied_slot + 1
        self.log.append(LogEntry(GROUP, 1, slot, encode_rows(rows, slot), 1, 512))
        self.tree.apply(slot, rows)
        for _, key, value, _ in rows:
            if value is None:
                self.model.pop(key, None)
            else:
                self.model[key] = value

    @rule(number=KEPT_KEYS, key=keys())
    def get(self, number: int, key: bytes) -> None:
        for asked in (key, self.key_like(number, key)):
            assert self.tree.get(asked) == self.model.get(asked)

    @rule(low=st.just(b"") | keys(), high=st.none() | keys(), reverse=st.booleans())
    def scan(self, low: bytes, high: bytes | None, reverse: bool) -> None:
        expected = sorted(
            (row for row in self.model.items() if low <= row[0] and (high is None or row[0] < high)),
            reverse=reverse,
        )
        assert list(self.tree.scan(low, high, reverse=reverse)) == expected

    @precondition(lambda self: self.frozen is None)
    @rule()
    def freeze(self) -> None:
        self.frozen = self.tree.freeze()

    @precondition(lambda self: self.frozen is not None)
    @rule()
    def write_and_finish(self) -> None:
        assert self.frozen is not None
        write_frozen(self.frozen, lambda: None)
        self.tree.finish(self.frozen)
        while self.frozen.overlay.free(3):
            pass
        self.frozen = None

    @precondition(lambda self: self.frozen is not None)
    @rule(pauses=st.integers(min_value=0, max_value=20))
    def write_some(self, pauses: int) -> None:
        """The checkpoint fails on its way (the transactions before that stay), and will be tried again."""
        assert self.frozen is not None
        left = iter(range(pauses))

        def pause() -> None:
            if next(left, None) is None:
                raise PowerCut

        try:
            write_frozen(self.frozen, pause)
        except PowerCut:
            pass

    @precondition(lambda self: self.is_durable)
    @rule()
    def restart(self) -> None:
        """The process ends here, with or without a checkpoint on its way; recovery has the log."""
        checkpointed = self.tree.checkpointed_slot
        self.tree.close()
        self.frozen = None
        # The log may have dropped what a complete checkpoint covers.
        recovered = recover(self.folder, [GROUP], self.log[checkpointed // 2 :])
        self.tree = recovered.trees[GROUP]
        assert recovered.positions[GROUP].slot == len(self.log)

    @invariant()
    def counts_are_exact(self) -> None:
        assert self.tree.applied_slot == len(self.log)
        assert self.tree.item_count == len(self.model)
        assert self.tree.size_bytes == sum(map(stored.item_size, self.model.values()))


class DurableTreeMachine(TreeMachine):
    is_durable = True


class MemoryTreeMachine(TreeMachine):
    is_durable = False


@pytest.fixture(autouse=True)
def _small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few rows are several transactions, and every row a place to be interrupted at."""
    monkeypatch.setattr(checkpoint, "TRANSACTION_ROWS", 3)
    monkeypatch.setattr(checkpoint, "SLICE_ROWS", 1)
    monkeypatch.setattr(checkpoint, "_SORTED_AT_ONCE", 4)


@pytest.mark.slow
def test_a_tree_on_disk_is_a_dict_that_survives_crashes() -> None:
    run_state_machine_as_test(
        DurableTreeMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )


@pytest.mark.slow
def test_a_tree_in_memory_is_a_dict() -> None:
    run_state_machine_as_test(
        MemoryTreeMachine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
    )


# A few cases that can be read


def test_a_key_above_the_long_ones_ends_the_scan_where_it_should(tmp_path: Path) -> None:
    """A row that is a prefix of a long key comes before it, its successor after; in both directions."""
    short = b"\x00" + b"k" * 509
    keys = [short, short + b"k", short + b"kk", short + b"k" * 500, short + b"l", b"\x00l"]
    tree = Tree(TreeFolder(str(tmp_path)).open(GROUP))
    value = stored.pack(b"{}", 0, 1)
    tree.apply(1, [(PUT, key, value, ABSENT) for key in reversed(keys)])
    frozen = tree.freeze()
    assert frozen is not None
    write_frozen(frozen, lambda: None)
    tree.finish(frozen)
    for low in range(len(keys)):
        for high in range(low, len(keys)):
            expected = keys[low:high]
            assert [key for key, _ in tree.scan(keys[low], keys[high])] == expected
            assert [key for key, _ in tree.scan(keys[low], keys[high], reverse=True)] == expected[::-1]
    tree.close()


def test_entries_are_applied_in_order() -> None:
    tree = Tree(MemoryEngine())
    tree.apply(1, [])
    for slot in (1, 3):
        with pytest.raises(AssertionError):
            tree.apply(slot, [])


def test_a_closed_tree_does_not_say_that_it_is_empty(tmp_path: Path) -> None:
    tree = Tree(TreeFolder(str(tmp_path)).open(GROUP))
    tree.close()
    with pytest.raises(AssertionError):
        tree.get(b"\x00key")
    with pytest.raises(AssertionError):
        list(tree.scan(b"", None))
