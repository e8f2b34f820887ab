"""The power goes at the syncs of a node whose table has global indexes; from what is left they become right again.

As in test_power_cut.py: real parts on a disk that forgets what was not synced, and has no space now and then; a loop
that turns when it is told to; a checkpoint thread that writes when the loop stands still. At some of the disk's calls a
copy is made of what a power cut would leave; then another node is started from it, delivers what its log carries, fills
what was being filled, and each index is compared with the table. A life ends with one of these power cuts, and the next
goes on from there.

Planted bugs show that this notices.

    POWER_CUT_RUNS=200 pytest tests/crash/test_index_power_cut.py -s        a long run; TEST_SEED="7 12" for one of them
"""

from __future__ import annotations

import copy
import errno
import os
import shutil
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from tests.crash.power_cut_world import Gate, GatedTrees, HeardLoop, WatchedDisk
from tests.crash.shown_seed import shown_seed
from tests.indexes.indexed_node import BY_G, BY_G_KEYS, NAME, IndexedNode, index, table
from tests.storage.forgetful_disk import ForgetfulDisk
from varley.errors import DiskFull
from varley.indexes import backfill
from varley.indexes.sending import Sending
from varley.indexes.source import Source
from varley.metadata.catalog import Described
from varley.metadata.memory import MemoryStore
from varley.node.node import Node
from varley.node.partition import Partition
from varley.node.replica import Replica
from varley.storage import checkpoint
from varley.storage.undelivered import UndeliveredRows

RUNS = int(os.environ.get("POWER_CUT_RUNS", "1"))
SEED = os.environ.get("TEST_SEED") or str(SystemRandom().randrange(2**32))    # and the number of a run, if it has two
LIVES = 8     # short ones: what is wrong with a start shows at the next
STEPS = 30    # of a life
SHARE = 0.1   # of the moments at which the power could go
TURNS_MAX = 3000    # until everything has arrived
LEFT = ("none", "torn", "torn", "all")    # of what was not synced
NAMES = 12    # of items


class Cut:
    """What a power cut leaves: the log's disk, the folder of trees and inventory, metadata."""

    def __init__(self, moment: str, disk: ForgetfulDisk, folder: Path, store: MemoryStore) -> None:
        self.moment = moment
        self.disk = disk
        self.folder = folder
        self.store = store


class Life:
    """A node from its start to a power cut."""

    def __init__(self, folder: Path, cut: Cut, random: Random, share: float) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.share = share      # of the moments at which the power is cut
        self.random = random
        self.store = cut.store
        self.disk = WatchedDisk.of(cut.disk)
        self.loop = HeardLoop()
        self.gate = Gate(self.loop)
        self.taken: list[Cut] = []      # not looked at yet
        self.number = 0
        self.kept: Cut | None = None
        self.moments: Counter[str] = Counter()
        folder.mkdir()
        shutil.copytree(cut.folder, self.data)
        self.disk.watch = self._maybe_cut
        self.node = IndexedNode(
            self.data, self.disk, self.store, loop=self.loop,
            new_engines=lambda path, inventory: GatedTrees(path, inventory, self.gate), overlay_bytes_max=1000,
            log_bytes_max=12_000, delay_seconds=random.choice((0.0, 0.0, 1e9)), before_indexes=self._turn_a_while,
        )  # fmt: skip

    def run(self, steps: int) -> Cut:
        """The cut that the next life begins with."""
        if self.node.catalog.get(NAME) is None:
            self.node.create(table(BY_G, BY_G_KEYS))
        try:
            for _ in range(steps):
                self._step()
                self._look()
        finally:
            self.disk.watch = lambda call: None
            self.gate.open()
            self.node.kill()
        assert self.node.fatal == []
        assert self.kept is not None
        return self.kept

    def _turn_a_while(self, node: Node) -> None:
        """A start that reads something else, while the node runs and the indexes do not."""
        for _ in range(self.random.choice((0, 0, 10))):
            self.loop.turn()
            if self.gate.under_way:
                self.gate.step()
                self._maybe_cut("checkpoint")

    def _step(self) -> None:
        for _ in range(self.random.choice((1, 1, 2, 3, 8))):
            self._act()
        for _ in range(self.random.choice((0, 1, 2, 3, 4))):
            self.loop.turn()
            if self.gate.under_way and self.random.random() < 0.4:
                self.gate.step()
                self._maybe_cut("checkpoint")
            if self.random.random() < 0.2:
                self._act()
        if self.random.random() < 0.3:
            self.loop.advance(self.random.choice((0.1, 0.3)))    # checkpoints are considered, what was refused is sent
        if self.random.random() < 0.5:
            self.disk.heal()
        elif self.random.random() < 0.2:
            call = self.random.choice(("write_synced", "write_synced", "create", "reserve"))
            self.disk.fail(call, errno.ENOSPC, times=self.random.choice((1, 2, 3, 6)), skip=self.random.randrange(3))

    def _act(self) -> None:
        random = self.random
        name = f"k{random.randrange(NAMES)}"
        choice = random.random()
        if choice < 0.2:
            self.node.propose_delete(name)
        elif choice < 0.93:
            attributes = {"g": f"g{random.randrange(4)}"} if random.random() < 0.8 else {}
            self.node.propose_put(name, n=str(random.randrange(100)), filler="f" * random.randrange(60), **attributes)
        elif all(task.done() for task in self.node.tasks):
            self._define()

    def _define(self) -> None:
        """Add or delete an index, in the course of the turns to come."""
        there = {each.name for each in self.node.definition.global_indexes}
        if "late" in there:
            work = self.node.indexes.delete(NAME, "late")
        else:
            work = self.node.indexes.create(
                NAME, index("late", self.random.randrange(10**9), kind="ALL"), partitions=2
            )
        self.node._keep(self._defined(work))

    async def _defined(self, work: Coroutine[Any, Any, tuple[Described, Described]]) -> None:
        with suppress(DiskFull):    # of rows that say how far an index is filled
            await self.node._locked(work)

    def _maybe_cut(self, moment: str) -> None:
        if self.random.random() < self.share:
            self.number += 1
            folder = self.folder / f"cut-{self.number}"
            shutil.copytree(self.data, folder)
            left = self.disk.after_power_cut(self.random, self.random.choice(LEFT))
            self.taken.append(Cut(moment, left, folder, copy.deepcopy(self.store)))

    def _look(self) -> None:
        """At what was left since, while this node's loop stands still."""
        taken, self.taken = self.taken, []
        for cut in taken:
            self._judge(cut)
            self.moments[cut.moment] += 1
            if self.kept is None or self.random.random() < 0.2:
                cut, self.kept = self.kept or cut, cut
            if cut is not self.kept:
                shutil.rmtree(cut.folder)

    def _judge(self, cut: Cut) -> None:
        folder = self.folder / "judged"
        shutil.copytree(cut.folder, folder)
        disk = cut.disk.after_kill()
        for path in cut.disk.paths:
            disk.put(path, cut.disk.contents(path))
        node = IndexedNode(folder, disk, copy.deepcopy(cut.store))
        turns = 0
        while turns < 30 or any(each.is_backfilling for each in node.definition.global_indexes):
            node.loop.turn()
            turns += 1
            assert turns < TURNS_MAX, "an index does not become full"
        node.settle()
        node.assert_indexes_equal_table()
        for partition in node.route.partitions:
            assert next(partition.tree.scan(b"\x40", b"\x41"), None) is None, "a progress row was forgotten"
        node.kill()
        shutil.rmtree(folder)


def run_lives(
    folder: Path, seed: str, *, lives: int = LIVES, steps: int = STEPS, share: float = SHARE
) -> Counter[str]:
    """How many power cuts of each kind were judged."""
    random = Random(seed)
    (folder / "empty" / "trees").mkdir(parents=True)
    cut = Cut("", ForgetfulDisk(), folder / "empty", MemoryStore())
    moments: Counter[str] = Counter()
    for number in range(lives):
        life = Life(folder / f"life-{number}", cut, random, share)
        cut = life.run(steps)
        moments += life.moments
    return moments


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that most checkpoints take several transactions, and filling several slices."""
    monkeypatch.setattr(checkpoint, "TRANSACTION_ROWS", 3)
    monkeypatch.setattr(checkpoint, "URGENT_TIMES", 1)    # the other thread looks at what is urgent when it gets to it
    monkeypatch.setattr(backfill, "SLICE_ITEMS", 2)
    monkeypatch.setattr(backfill, "PROGRESS_SLICES", 2)


@pytest.mark.slow
def test_whenever_the_power_goes_indexes_become_what_items_make_them(tmp_path: Path) -> None:
    moments: Counter[str] = Counter()
    for run in range(RUNS):
        seed = SEED if " " in SEED else f"{SEED} {run}"
        with shown_seed(f'TEST_SEED="{seed}"'):
            moments += run_lives(tmp_path / str(run), seed)
        shutil.rmtree(tmp_path / str(run))
    print(f"{moments.total()} power cuts: {dict(moments)}")
    assert moments["checkpoint"] > RUNS
    assert moments["write_synced"] > 20 * RUNS


# Planted bugs: the judge must notice each, whatever the seed.


def notices(folder: Path, *, lives: int = 2, steps: int = 120, share: float = 0.03) -> bool:
    """Whether the judge finds anything in lives with this bug. What it did stays, so few looks are enough."""
    for run in range(24):
        try:
            run_lives(folder / str(run), f"{SEED} planted {run}", lives=lives, steps=steps, share=share)
        except AssertionError as found:
            print(found)
            return True
    return False


@pytest.mark.slow
def test_the_judge_notices_a_log_that_is_released_before_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "releasable_slot", property(lambda replica: replica.tree.checkpointed_slot))
    assert notices(tmp_path)


@pytest.mark.slow
def test_the_judge_notices_a_log_that_is_released_before_indexes_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was once: until then nobody knew of anything undelivered, which was taken for nothing."""
    as_it_was = property(lambda source: source._sending.propagation.oldest(source._group))
    monkeypatch.setattr(Source, "oldest", as_it_was)
    assert notices(tmp_path, lives=LIVES, steps=STEPS, share=SHARE)


@pytest.mark.slow
def test_the_judge_notices_a_recovery_that_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UndeliveredRows, "rest", lambda rows: [])
    assert notices(tmp_path)


@pytest.mark.slow
def test_the_judge_notices_filling_that_later_changes_overtake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_later(sending: Sending, source: int, slot: int, parts: Any, then: Any) -> None:
        def send() -> None:
            if all(map(sending.propagation.is_target, parts)):    # not deleted meanwhile
                send_at_once(sending, source, slot, parts, then)

        sending._loop.call_soon(sending._loop.call_soon, send)

    send_at_once = Sending.filled
    monkeypatch.setattr(Sending, "filled", send_later)
    assert notices(tmp_path)


@pytest.mark.slow
def test_the_judge_notices_filling_that_does_not_wait_for_undecided_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Partition, "undecided_range", lambda partition: None)
    assert notices(tmp_path)
