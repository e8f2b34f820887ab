"""The power goes at every sync of a whole node, and the node is recovered from what is left.

Parts are real (node, replicas, partitions, log writer, trees in LMDB, checkpoints, recovery); the world is not: the log
is on a disk that forgets what was not synced (tests/storage/forgetful_disk.py), the loop turns when it is told to, and
the checkpoint thread writes a transaction when the loop stands still. So a seed is a run.

At each call that the log makes to the disk, before it is durable, and after each transaction of a checkpoint, the judge
takes what a power cut would leave: of the log nothing, some sectors or all of what was not synced, of the trees the
last transaction. It recovers a node from that and compares with a list of writes in their order:

  - of each group there is a beginning of that list, every row of it and no other, and counts that fit;
  - all that anybody was told is in it: an acknowledged write, the row that refused a write, a row that was read.

A life ends with one of these power cuts, and the next goes on from there. Planted bugs, each of which has been
somebody's real one, show that the judge notices.

    POWER_CUT_RUNS=200 pytest tests/crash/test_power_cut.py -s        a long run; TEST_SEED=7 for a certain one
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random, SystemRandom
from threading import RLock
from typing import Any

import pytest

from tests.crash.power_cut_world import Gate, GatedTrees, HeardLoop, WatchedDisk
from tests.node.writes import Write, number_of, row_key, size_of
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.clock import StoppedClock
from varley.errors import ConditionalCheckFailed, Damaged, WorldError
from varley.node import node as node_module
from varley.node import partition as partition_module
from varley.node.node import Node
from varley.node.partition import Partition
from varley.node.replica import Replica
from varley.storage import checkpoint
from varley.storage.inventory import INVENTORY_FILE, Inventory
from varley.storage.lmdb_engine import LmdbEngine
from varley.storage.log_reader import LogReader
from varley.storage.log_writer import LogWriter
from varley.storage.recovery import recover
from varley.storage.tree_folder import TreeFolder

RUNS = int(os.environ.get("POWER_CUT_RUNS", "3"))
SEED = int(os.environ.get("TEST_SEED", "0")) or SystemRandom().randrange(2**32)
LIVES = 3
STEPS = 40    # of a life
GROUPS = (1, 2, 3)
NAMES = 9     # rows of a group, at most
LOG = "log"
LEFT = ("none", "torn", "torn", "all")    # of what was not synced

Number = int | None


class History:
    """What one group was asked to do, in order, and how much of it somebody was told."""

    def __init__(self, outcomes: list[tuple[str, Number]]) -> None:
        self.outcomes = outcomes    # of slot 1, 2, …
        self.told = 0               # whoever was told anything was told of slots up to this one

    def last_slot(self, name: str, up_to: int | None = None) -> int:
        """The newest slot, of those up to `up_to`, that wrote this row; 0: none did."""
        slots = len(self.outcomes) if up_to is None else up_to
        return next((slot for slot in range(slots, 0, -1) if self.outcomes[slot - 1][0] == name), 0)

    def number(self, slot: int) -> Number:
        return self.outcomes[slot - 1][1] if slot else None

    def rows(self, slots: int) -> dict[bytes, int]:
        numbers = dict(self.outcomes[:slots])
        return {row_key(name): number for name, number in numbers.items() if number is not None}


class Life:
    """A node from its start to a power cut."""

    def __init__(
        self, folder: Path, disk: WatchedDisk, histories: dict[int, History], random: Random,
        new_log: Callable[..., LogWriter] = LogWriter,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.disk = disk
        self.histories = histories
        self.random = random
        self.surprises: list[str] = []
        self.moments: Counter[str] = Counter()    # power cuts that were judged
        self.cut: tuple[ForgetfulDisk, Path, dict[int, int]] | None = None    # what one left: log, folder, slots
        self._judging = RLock()    # guards `moments`, `cut` and the folders of cuts
        self.loop = HeardLoop()
        self.gate = Gate(self.loop)
        inventory = Inventory.read(str(folder))
        trees = GatedTrees(str(folder / "trees"), inventory, self.gate)
        self.node = Node(
            self.loop, StoppedClock(), overlay_bytes_max=2500, log_bytes_max=12_000, engines=trees, on_fatal=self._fatal
        )
        reader = LogReader(disk, LOG, newest_segment=inventory.newest_segment)
        recovered = recover(trees, GROUPS, reader)
        salts = count(random.randrange(2**60))
        self.log = new_log(
            disk, LOG, reader.end, segment_bytes=4096, new_salt=lambda: next(salts),
            on_durable=self.node.log_is_durable, on_failure=self.node.log_has_failed, background=False,
            on_first_segment=lambda segment: inventory.add(newest_segment=segment),
        )  # fmt: skip
        self.partitions = {group: self.node.open_group(group, recovered.trees[group]) for group in GROUPS}
        self.node.start(self.log)
        disk.watch = self.judge

    def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self._step()
                assert not self.surprises, self.surprises
        finally:
            self.disk.watch = lambda call: None
            self.gate.open()
            self.loop.run(self.node.halt())
            self.loop.close()

    def _step(self) -> None:
        for _ in range(self.random.choice((1, 1, 2, 3, 8))):
            self._act()
        for _ in range(self.random.choice((0, 1, 2, 3, 4))):
            self.loop.turn()
            if self.gate.under_way and self.random.random() < 0.4:
                self.gate.step()
                self.judge("checkpoint")
            if self.random.random() < 0.2:
                self._act()
        if self.random.random() < 0.3:
            self.loop.advance(0.1)    # checkpoints are considered

    # What clients do

    def _act(self) -> None:
        group = self.random.choice(GROUPS)
        name = f"{group}.{self.random.randrange(NAMES)}"
        choice = self.random.random()
        if choice < 0.2:
            self._read(group, name, is_strong=self.random.random() < 0.7)
        elif choice < 0.5:
            self._write(group, name, self.random.randrange(1000))
        elif choice < 0.6:
            self._write(group, name, 1, add=True)
        elif choice < 0.75:
            self._write(group, name, None)
        elif choice < 0.9:
            held = self._held(group, name)
            self._write(group, name, self.random.randrange(1000), if_number=self.random.choice((held, held, 1, None)))
        else:
            for _ in range(5):    # a batch: each by itself
                self._act()

    def _held(self, group: int, name: str) -> Number:
        history = self.histories[group]
        return history.number(history.last_slot(name))

    def _write(
        self, group: int, name: str, number: Number, *, add: bool = False, if_number: Any = "whatever"
    ) -> None:
        history = self.histories[group]
        slot = history.last_slot(name)
        held = history.number(slot)
        write = Write(name, number, add=add, if_number=if_number)
        if if_number not in ("whatever", held):
            expected: str = f"refused {held}"
        elif number is None:
            expected = "deleted"
            if held is not None:
                history.outcomes.append((name, None))
                slot = len(history.outcomes)
        else:
            becomes = number + (held or 0) if add else number
            expected = str(becomes)
            history.outcomes.append((name, becomes))
            slot = len(history.outcomes)
        promise = _Promise(self, group, slot, expected)
        try:
            answer = self.partitions[group].write(write, promise)
        except ConditionalCheckFailed as refusal:
            promise.fail(refusal)
        else:
            if answer is not None:
                promise.reply(answer)
        if write.evaluated != [held]:
            self.surprises.append(f"a write to {name} found {write.evaluated}, not {held}")

    def _read(self, group: int, name: str, *, is_strong: bool) -> None:
        history, partition = self.histories[group], self.partitions[group]
        told_before = history.told

        def read(error: BaseException | None) -> None:
            slot = history.last_slot(name, partition.tree.applied_slot)
            found = number_of(partition.get(row_key(name)))
            if error is not None or found != history.number(slot):
                self.surprises.append(f"{name} reads {found} at slot {slot}, {error}")
            if is_strong and history.last_slot(name, told_before) > slot:
                self.surprises.append(f"a strong read of {name} is as of slot {slot}")
            history.told = max(history.told, slot)

        undecided = partition.undecided(row_key(name)) if is_strong else None
        if undecided is None:
            read(None)
        else:
            undecided.hold(read)

    def _fatal(self, error: WorldError) -> None:
        self.surprises.append(f"fatal: {error}")

    # The judge

    def judge(self, moment: str) -> None:
        """What if the power went now? What is wrong goes to `surprises`: the log would handle what is raised here.

        A checkpoint's thread removes segments while the loop goes on: one moment is judged after the other.
        """
        with self._judging:
            if not self.surprises:
                self._judge(moment)

    def _judge(self, moment: str) -> None:
        left = self.random.choice(LEFT)
        disk = self.disk.after_power_cut(self.random, left)
        folder = self.folder / f"cut-{sum(self.moments.values())}"
        self._copy_trees(folder / "trees")
        if (self.folder / INVENTORY_FILE).exists():
            shutil.copy(self.folder / INVENTORY_FILE, folder)
        self.moments[moment] += 1
        try:
            slots = recovered_slots(disk, folder, self.histories)
        except (AssertionError, Damaged) as error:
            self.surprises.append(f"at a {moment}, {left} left: {error}")
            return
        if self.cut is None or self.random.random() < 0.1:
            if self.cut is not None:
                shutil.rmtree(self.cut[1])
            self.cut = disk, folder, slots
        else:
            shutil.rmtree(folder)


    def _copy_trees(self, to: Path) -> None:
        """As they are now. A checkpoint that goes past the gate may add and remove files meanwhile."""
        while True:
            try:
                shutil.copytree(self.folder / "trees", to)
                return
            except (shutil.Error, FileNotFoundError):
                shutil.rmtree(to, ignore_errors=True)


class _Promise:
    """Waits for one write, and knows what it must be told."""

    def __init__(self, life: Life, group: int, slot: int, expected: str) -> None:
        self._life = life
        self._history = life.histories[group]
        self._slot = slot
        self._expected: str | None = expected

    def reply(self, body: bytes) -> None:
        self._hear(body.decode())

    def fail(self, error: BaseException) -> None:
        self._hear(f"refused {error.item}" if isinstance(error, ConditionalCheckFailed) else repr(error))

    def _hear(self, answer: str) -> None:
        if answer != self._expected:
            self._life.surprises.append(f"slot {self._slot} was answered {answer}, not {self._expected}")
        self._expected = None    # once
        self._history.told = max(self._history.told, self._slot)


def recovered_slots(disk: ForgetfulDisk, folder: Path, histories: dict[int, History]) -> dict[int, int]:
    """Recover a node, and judge: the slots that it has, by group."""
    inventory = Inventory.read(str(folder))
    log = LogReader(disk, LOG, newest_segment=inventory.newest_segment)
    recovered = recover(TreeFolder(str(folder / "trees"), inventory), GROUPS, log)
    try:
        slots = {}
        for group, tree in recovered.trees.items():
            history, slot = histories[group], tree.applied_slot
            assert slot >= history.told, f"group {group}: slot {history.told} is gone, {slot} is the last"
            assert slot <= len(history.outcomes), f"group {group}: slot {slot} was never written"
            expected = history.rows(slot)
            found = {key: number_of(value) for key, value in tree.scan(b"", None)}
            assert found == expected, f"group {group}, slot {slot}: rows are not those that were written"
            assert tree.item_count == len(expected)
            assert tree.size_bytes == sum(map(size_of, expected.values()))
            assert recovered.positions[group].slot == slot
            slots[group] = slot
        return slots
    finally:
        for tree in recovered.trees.values():
            tree.close()


def run_lives(
    folder: Path, seed: str, *, lives: int = LIVES, steps: int = STEPS, disk_class: type[WatchedDisk] = WatchedDisk,
    new_log: Callable[..., LogWriter] = LogWriter,
) -> Counter[str]:  # fmt: skip
    """How many power cuts of each kind were judged."""
    random = Random(seed)
    disk = disk_class()
    histories = {group: History([]) for group in GROUPS}
    moments: Counter[str] = Counter()
    (folder / "life-0" / "trees").mkdir(parents=True)
    for number in range(lives):
        life = Life(folder / f"life-{number}", disk, histories, random, new_log)
        life.run(steps)
        moments += life.moments
        assert life.cut is not None
        left, cut_folder, slots = life.cut
        disk = disk_class.of(left)
        histories = {group: History(histories[group].outcomes[:slot]) for group, slot in slots.items()}
        shutil.copytree(cut_folder, folder / f"life-{number + 1}")
        shutil.rmtree(folder / f"life-{number}")
    return moments


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that most checkpoints take several."""
    monkeypatch.setattr(checkpoint, "TRANSACTION_ROWS", 3)
    monkeypatch.setattr(checkpoint, "URGENT_TIMES", 1)    # the other thread looks at what is urgent when it gets to it


@pytest.mark.slow
def test_whenever_the_power_goes_all_that_anybody_was_told_is_there(tmp_path: Path) -> None:
    print(f"TEST_SEED={SEED} POWER_CUT_RUNS={RUNS}")
    moments: Counter[str] = Counter()
    for run in range(RUNS):
        moments += run_lives(tmp_path / str(run), f"{SEED} {run}")
    print(f"{moments.total()} power cuts: {dict(moments)}")
    assert moments["checkpoint"] > 5 * RUNS
    assert moments["write_synced"] > 50 * RUNS
    assert moments["remove"] > RUNS, "no segment was released"


# Planted bugs: the judge must notice each, whatever the seed.


class AcknowledgesBeforeSync(LogWriter):
    """Tells who waits as soon as the entry is in the buffer."""

    def __init__(self, *arguments: Any, on_durable: Callable[[list[Any]], None], **options: Any) -> None:
        super().__init__(*arguments, on_durable=lambda waiters: None, **options)
        self._promise = on_durable

    def append_row(self, group: int, ballot: int, slot: int, timestamp_us: int, row: Any, waiter: Any) -> None:
        super().append_row(group, ballot, slot, timestamp_us, row, waiter)
        self._promise([waiter])


class SkipsTheSync(WatchedDisk):
    """A log whose writes reach the system's cache, and no further."""

    def _sync_after_write(self, file: Any, offset: int, length: int) -> None:
        pass


class RepliesBeforeChosen(Replica):
    def propose(self, timestamp_us: int, rows: Any, waiter: Any, answer: bytes) -> None:
        waiter.reply(answer)
        super().propose(timestamp_us, rows, _Nobody(), answer)


class _Nobody:
    def reply(self, body: bytes) -> None: ...
    def fail(self, error: BaseException) -> None: ...


class ShowsUndecidedRows(Partition):
    """A strong read that does not wait, but reads what was proposed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.get = self.newest

    def undecided(self, key: bytes) -> None:
        return None


def _write_applied_first(frozen: Any, pause: Any, *rest: Any) -> None:
    LmdbEngine.write(frozen.engine, iter(()), frozen.applied)    # past the gate
    checkpoint_as_it_is(frozen, pause, *rest)


checkpoint_as_it_is = checkpoint.write_frozen


def _refuse_at_once(observed: Any, waiter: Any, refusal: Any) -> None:
    waiter.fail(refusal)


def notices(folder: Path, **planted: Any) -> bool:
    """Whether the judge finds anything in a life with this bug. Nearly always the first one shows it."""
    for run in range(20):
        try:
            run_lives(folder / str(run), f"{SEED} planted {run}", lives=1, steps=80, **planted)
        except AssertionError as found:
            print(found)
            return True
    return False


@pytest.mark.slow
def test_the_judge_notices_a_log_that_acknowledges_before_it_syncs(tmp_path: Path) -> None:
    assert notices(tmp_path, new_log=AcknowledgesBeforeSync)


@pytest.mark.slow
def test_the_judge_notices_a_log_that_does_not_sync(tmp_path: Path) -> None:
    assert notices(tmp_path, disk_class=SkipsTheSync)


@pytest.mark.slow
def test_the_judge_notices_a_checkpoint_that_writes_its_slot_before_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "write_frozen", _write_applied_first)
    assert notices(tmp_path)


@pytest.mark.slow
def test_the_judge_notices_a_reply_before_the_slot_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "Replica", RepliesBeforeChosen)
    assert notices(tmp_path)


@pytest.mark.slow
def test_the_judge_notices_a_refusal_by_a_row_that_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_module, "_fail_when_chosen", _refuse_at_once)
    assert notices(tmp_path)


@pytest.mark.slow
def test_the_judge_notices_a_read_of_a_row_that_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "Partition", ShowsUndecidedRows)
    assert notices(tmp_path)
