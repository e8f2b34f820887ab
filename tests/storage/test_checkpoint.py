"""The checkpoint thread: what it writes, in which pieces, and that it can be interrupted anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from varley.errors import DiskFull, WorldError
from varley.item import stored
from varley.storage import checkpoint
from varley.storage.checkpoint import Checkpointer, Pace, write_frozen
from varley.storage.lmdb_engine import LmdbEngine
from varley.storage.log_format import ABSENT, PUT
from varley.storage.tree import Applied, Frozen, Tree

GROUP = 3
Rows = dict[bytes, bytes]
NO_PAUSE = Pace(lambda seconds: None)


def some_rows(count: int, size: int = 40, prefix: bytes = b"") -> Rows:
    chance = random.Random(count)
    return {
        b"\x00" + (prefix or chance.randbytes(16)) + chance.randbytes(4): stored.pack(b"j" * size, size, number)
        for number in range(count)
    }


def tree_with(folder: Path, rows: Rows) -> Tree:
    tree = Tree(LmdbEngine(str(folder), GROUP))
    for slot, (key, value) in enumerate(rows.items(), 1):
        tree.apply(slot, [(PUT, key, value, ABSENT)])
    return tree


def frozen_of(tree: Tree) -> Frozen:
    frozen = tree.freeze()
    assert frozen is not None
    return frozen


class RecordingEngine(LmdbEngine):
    """Also keeps what each transaction was given."""

    transactions: list[tuple[list[bytes], Applied | None]]

    def write(self, rows: Iterator[tuple[bytes, bytes | None]], applied: Applied | None) -> None:
        written: list[bytes] = []

        def noting() -> Iterator[tuple[bytes, bytes | None]]:
            for row in rows:
                written.append(row[0])
                yield row

        super().write(noting(), applied)
        self.transactions.append((written, applied))


@pytest.mark.parametrize("prefix", [b"", b"h" * 16], ids=["many-partition-keys", "one-partition-key"])
def test_rows_are_written_in_key_order_and_the_slot_with_the_last(tmp_path: Path, prefix: bytes) -> None:
    rows = some_rows(1200, prefix=prefix)
    engine = RecordingEngine(str(tmp_path), GROUP)
    engine.transactions = []
    tree = Tree(engine)
    tree.apply(1, [(PUT, key, value, ABSENT) for key, value in rows.items()])
    frozen = frozen_of(tree)
    write_frozen(frozen, NO_PAUSE)
    assert [key for keys, _ in engine.transactions for key in keys] == sorted(rows)
    assert all(len(keys) <= checkpoint.TRANSACTION_ROWS for keys, _ in engine.transactions)
    *before, last = [applied for _, applied in engine.transactions]
    assert last == Applied(1, 1200, 1200 * 40)
    assert len(before) >= 2
    assert not any(before)
    tree.finish(frozen)
    tree.close()


def test_large_rows_make_small_transactions(tmp_path: Path) -> None:
    engine = RecordingEngine(str(tmp_path), GROUP)
    engine.transactions = []
    tree = Tree(engine)
    tree.apply(1, [(PUT, key, value, ABSENT) for key, value in some_rows(8, size=100_000).items()])
    write_frozen(frozen_of(tree), NO_PAUSE)
    assert [len(keys) for keys, _ in engine.transactions] == [3, 3, 2]
    tree.close()


def test_an_entry_without_rows_moves_the_slot(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, some_rows(2))
    tree.apply(3, [])
    frozen = frozen_of(tree)
    write_frozen(frozen, NO_PAUSE)
    tree.finish(frozen)
    tree.apply(4, [])
    frozen = frozen_of(tree)
    assert frozen.overlay.rows == {}
    write_frozen(frozen, NO_PAUSE)
    tree.finish(frozen)
    assert tree.checkpointed_slot == 4
    assert tree.freeze() is None
    tree.close()


@pytest.mark.parametrize("durable", [1, 2, 3])
def test_a_power_cut_in_a_checkpoint_leaves_the_old_slot(
    tmp_path: Path, durable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `durable` transactions of four the process is gone."""
    monkeypatch.setattr(checkpoint, "TRANSACTION_ROWS", 25)
    rows = some_rows(100)
    tree = tree_with(tmp_path, rows)
    left = iter(range(durable - 1))

    class PowerCut(Exception):
        pass

    def pause() -> None:
        if next(left, None) is None:
            raise PowerCut

    monkeypatch.setattr(checkpoint, "_LOOKED_UP_PER_SLICE", 1000)   # so the only pauses are between transactions
    with pytest.raises(PowerCut):
        write_frozen(frozen_of(tree), pause)
    tree.close()
    engine = LmdbEngine(str(tmp_path), GROUP)
    assert engine.applied == Applied(0, 0, 0)
    assert engine.has_partial_checkpoint
    assert len(list(engine.scan(b"", None, False))) == 25 * durable
    engine.close()


def test_the_thread_writes_and_reports_and_frees(tmp_path: Path) -> None:
    rows = some_rows(3000)
    tree = tree_with(tmp_path, rows)
    done: SimpleQueue[tuple[Tree, Frozen]] = SimpleQueue()
    waits: list[float] = []
    checkpointer = Checkpointer(
        lambda *job: done.put(job), lambda error, *job: pytest.fail(str(error)), wait=waits.append
    )
    checkpointer.submit(tree, frozen_of(tree))
    finished, frozen = done.get(timeout=30)
    assert finished is tree
    checkpointer.finish(tree, frozen)
    checkpointer.close()
    assert frozen.overlay.rows == {}
    assert list(tree.scan(b"", None)) == sorted(rows.items())
    assert min(waits) >= checkpoint.PAUSE_SECONDS_HURRIED
    assert max(waits) <= checkpoint.PAUSE_SECONDS_MAX
    tree.close()


def test_a_checkpoint_that_failed_is_tried_again(tmp_path: Path) -> None:
    class FullOnce(LmdbEngine):
        is_full = True

        def write(self, rows: Iterator[tuple[bytes, bytes | None]], applied: Applied | None) -> None:
            if self.is_full:
                self.is_full = False
                raise DiskFull("no space", path=self.path, operation="write")
            super().write(rows, applied)

    rows = some_rows(10)
    tree = Tree(FullOnce(str(tmp_path), GROUP))
    tree.apply(1, [(PUT, key, value, ABSENT) for key, value in rows.items()])
    reports: SimpleQueue[WorldError | None] = SimpleQueue()
    checkpointer = Checkpointer(
        lambda *job: reports.put(None), lambda error, *job: reports.put(error), wait=lambda seconds: None
    )
    frozen = frozen_of(tree)
    checkpointer.submit(tree, frozen)
    error = reports.get(timeout=30)
    assert error is not None
    assert error.retryable
    checkpointer.submit(tree, frozen)
    assert reports.get(timeout=30) is None
    checkpointer.finish(tree, frozen)
    checkpointer.close()
    assert list(tree.scan(b"", None)) == sorted(rows.items())
    tree.close()


def pauses_after(pace: Pace, slices: list[float], now: list[float]) -> list[float]:
    """How long `pace` sleeps after slices of work that take so long."""
    before = len(now)
    for slice_seconds in slices:
        now.append(now[-1] + slice_seconds)
        pace()
    ends = now[before:]
    return [after - start for start, after in zip(ends[0::2], ends[1::2], strict=True)]


def pace_on(now: list[float]) -> Pace:
    """A pace whose clock shows the last of `now`, and whose sleeps add to it."""
    return Pace(lambda seconds: now.append(now[-1] + seconds), lambda: now[-1])


def test_a_pause_lasts_as_long_as_the_slice_before_it() -> None:
    now = [0.0]
    pauses = pauses_after(pace_on(now), [0.0001, 0.004, 3.0], now)
    assert pauses == pytest.approx([checkpoint.PAUSE_SECONDS_MIN, 0.004, checkpoint.PAUSE_SECONDS_MAX])


def test_pauses_shrink_with_urgency_but_never_to_nothing() -> None:
    now = [0.0]
    pace = pace_on(now)
    urgencies = iter([-1.0, 0.25, 0.75, 1.0, 40.0])
    pace.urgency = lambda: next(urgencies)
    shortest = checkpoint.PAUSE_SECONDS_HURRIED
    assert pauses_after(pace, [0.004] * 5, now) == pytest.approx([0.004, 0.003, 0.001, shortest, shortest])
    pace.is_hurried = True
    assert pauses_after(pace, [0.004], now) == pytest.approx([shortest])


def test_transactions_are_larger_while_there_is_no_time_to_pause(tmp_path: Path) -> None:
    engine = RecordingEngine(str(tmp_path), GROUP)
    engine.transactions = []
    tree = Tree(engine)
    rows = 20 * checkpoint.TRANSACTION_ROWS
    tree.apply(1, [(PUT, key, value, ABSENT) for key, value in some_rows(rows).items()])
    pace = pace_on([0.0])
    urgencies = iter([0.0, 0.9, 1.0])
    pace.urgency = lambda: next(urgencies, 0.0)
    write_frozen(frozen_of(tree), NO_PAUSE, pace.is_urgent)
    times = [len(keys) / checkpoint.TRANSACTION_ROWS for keys, _ in engine.transactions]
    assert times[:4] == [1, 1, checkpoint.URGENT_TIMES, 1]
    pace.is_hurried = True
    assert pace.is_urgent()
    tree.close()


def test_a_checkpoint_is_urgent_when_the_new_overlay_outgrows_it(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, some_rows(400))
    frozen = frozen_of(tree)
    waits: list[float] = []
    done: SimpleQueue[None] = SimpleQueue()

    def write_three_times_as_much(seconds: float) -> None:
        """Once, in the first pause: as when a client writes faster than the checkpoint does."""
        if not waits:
            for slot, (key, value) in enumerate(some_rows(1200).items(), tree.applied_slot + 1):
                tree.apply(slot, [(PUT, key, value, ABSENT)])
        waits.append(seconds)

    checkpointer = Checkpointer(
        lambda *job: done.put(None), lambda error, *job: pytest.fail(str(error)), wait=write_three_times_as_much
    )
    checkpointer.submit(tree, frozen)
    done.get(timeout=30)
    checkpointer.close()
    assert waits[0] >= checkpoint.PAUSE_SECONDS_MIN
    assert set(waits[1:]) == {checkpoint.PAUSE_SECONDS_HURRIED}
    tree.close()


def test_the_radix_sort_is_a_sort() -> None:
    chance = random.Random(4)
    for length in (1, 3, 20):
        keys: set[bytes] = {chance.randbytes(chance.randrange(1, length + 1)) for _ in range(5000)}
        keys |= {b"\x00\x00\x00\x00" + key for key in keys}
        assert list(checkpoint._in_order(keys, NO_PAUSE)) == sorted(keys)
