"""Writing what was applied into the engine, on a thread of its own, without the event loop noticing.

Why several transactions are safe
=================================

A checkpoint is written in small durable transactions, in key order; the new `Applied` (slot and counts) goes only
into the last. Suppose that the power goes after some of them. The tree then holds Applied A, and rows of which some
are as of A and some as of a later slot F. Recovery reads A and applies the log entries A+1, A+2, ... again.

- *The rows come out right.* An entry holds outcomes, not requests: "this key has this value now". Every row that
  differs from its state at A was written by an entry in (A, F], so it is written again, and the last entry that
  wrote it decides, whatever the engine held in between. The log still has those entries: it may drop an entry only
  when a complete checkpoint covers it, and it holds all up to F, because only logged entries are applied.
- *The counts come out right.* `item_count` and `size_bytes` are never counted from the engine's rows. Those of A are
  exact; each entry carries, for each row, the size of what it replaced *at its slot* (or that there was nothing), so
  it adds the same difference at every replay, whatever the engine holds. The sum of A and the differences of
  (A, end] is exact at the end.

Being interrupted at any row, any number of times, is the same story with another A.

Pace
====

This thread shares the interpreter's lock with an event loop that may serve 40,000 requests a second. What hurts the
loop is not how much is written but for how long the lock is held, and how often it changes hands. So the work is cut
into slices of a few dozen rows, some 0.1 ms, and after each slice the thread sleeps for at least as long as the
slice took, so that it backs off when the loop is busy (then a slice takes longer, since it includes waiting for the
lock). LMDB's own work, above all the sync at the end of a transaction, holds no lock.

The disk is shared too: the log's sync of a write that somebody waits for stands in line behind the commit of a
transaction, that is behind a page for each of its rows, since they lie all over the tree. So transactions are small,
and the pause after one is as long as its commit took: the log finds the disk free at least half of the time, and
otherwise waits for one commit. On the 2-core machine, alone but for other programs' use of the disk, the median commit
took 13.9 ms with 512 rows, 3.9 with 128, 2.4 with 64 and 1.5 with 32; the whole checkpoint 1.3 times as long with 128
as with 512, 1.9 times with 32. When there is no time for pauses there is none for small transactions either.

Python's own long calls are avoided as well: sorting 200,000 keys in one call, or freeing them in one `del`, stops
every thread for 20 to 100 ms.

Measured with a loop that does 25 us of Python work and polls, over and over, while 200,000 rows of 400 bytes replace
as many in the engine (2 cores, ext4; each column the median over windows of 0.3 s, with and without in turns):

                                              iterations/s    p50   p99   p99.9    rows/s
    no checkpoint                                   34,000     24    40      72
    checkpoint, a core for each thread              29,000     25    46     122     9,000
    checkpoint, a third process on the 2 cores      29,500     25    93     390     9,000

The last line is not the lock: the system puts the loop on the core where this thread is inside a commit, and lets it
wait. A lower priority for this thread was rejected: whoever holds the lock at low priority makes the loop wait too.
When nobody else wants the lock it writes 280,000 rows a second hurried, and 17,000 paced.

Rejected: a helper process that reads the closed log segments and writes them into the trees. It would share no lock
at all, at the price of parsing the log twice, a second process to start, watch and stop, and a protocol between
them. It stays the candidate if one core must take more writes than this thread can checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Final

from sortedcontainers import SortedList

from varley.errors import WorldError
from varley.storage.tree import Frozen, Tree

TRANSACTION_ROWS: Final = 128           # with rows spread over a large tree: 128 pages of 4 KB to write and sync
TRANSACTION_BYTES: Final = 256 * 1024
URGENT_TIMES: Final = 4                 # so many times as much goes into a transaction when there is no time to pause
SLICE_ROWS: Final = 32                  # between two pauses, and
SLICE_BYTES: Final = 64 * 1024          # (a checksum and two copies of 64 KB take 30 us)
PAUSE_SECONDS_MIN: Final = 0.001
PAUSE_SECONDS_MAX: Final = 0.050
PAUSE_RATIO: Final = 1.0                # a pause lasts so many times as long as the slice before it
PAUSE_SECONDS_HURRIED: Final = 0.00005  # never 0: see above
URGENT_FROM: Final = 2.0                # times the frozen overlay: the new one has grown as large, and the next is due

_BUCKETED_PER_SLICE: Final = 512        # 0.15 us each
_SORTED_AT_ONCE: Final = 256            # 0.1 ms
_LOOKED_UP_PER_SLICE: Final = 64        # 1 us each: the row's bytes are in no cache
_DEPTH_MAX: Final = 4                   # the space and three bytes of hash

Pause = Callable[[], None]


class Checkpointer:
    """The checkpoint thread of a node: it writes one Frozen after another.

    `on_done(tree, frozen)` is called on the checkpoint thread when all of `frozen` is durable; have the loop call
    `finish(tree, frozen)` then. `on_failure(error, tree, frozen)` likewise when it could not be written: nothing is
    lost, reads go on, and the same `frozen` may be submitted again (DiskFull and ReadOnly may pass; after another
    WorldError only a restart helps). `wait(seconds)` is how the thread sleeps.
    """

    def __init__(
        self,
        on_done: Callable[[Tree, Frozen], None],
        on_failure: Callable[[WorldError, Tree, Frozen], None],
        *,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._on_done = on_done
        self._on_failure = on_failure
        self.seconds = 0.0    # spent in checkpoints that were finished, pauses included
        self._pace = Pace(wait)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="varley-checkpoint", daemon=True)
        self._thread.start()

    def submit(self, tree: Tree, frozen: Frozen) -> None:
        """Write `frozen`, which `tree.freeze` gave, after all that was submitted before."""
        self._jobs.put(lambda: self._checkpoint(tree, frozen))

    def finish(self, tree: Tree, frozen: Frozen) -> None:
        """On the loop, after on_done: `tree.finish(frozen)`; its rows are then freed here, piece by piece."""
        tree.finish(frozen)
        self._jobs.put(lambda: self._free(frozen))

    def hurry(self, is_hurried: bool) -> None:
        """Without pauses from now on, because memory runs out or the server stops; False: paced again."""
        self._pace.is_hurried = is_hurried

    def close(self) -> None:
        """End after all that was submitted, without pauses."""
        self.hurry(True)
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _checkpoint(self, tree: Tree, frozen: Frozen) -> None:
        started = time.perf_counter()
        frozen_bytes = max(frozen.overlay.bytes, 1)
        # Both overlays count in tree.overlay_bytes. The tree belongs to the loop, which adds to this number meanwhile;
        # any of its values will do.
        self._pace.urgency = lambda: tree.overlay_bytes / frozen_bytes - URGENT_FROM
        try:
            write_frozen(frozen, self._pace, self._pace.is_urgent)
        except WorldError as error:
            self._on_failure(error, tree, frozen)
        except Exception as error:
            # A bug. If this thread died of it, no checkpoint would ever end, and memory and log would only grow.
            failure = WorldError(f"A checkpoint failed: {error!r}", operation="write",
                                 hint="Restart the server: it recovers the tree from the log.")  # fmt: skip
            failure.__cause__ = error
            self._on_failure(failure, tree, frozen)
        else:
            self.seconds += time.perf_counter() - started
            self._on_done(tree, frozen)

    def _free(self, frozen: Frozen) -> None:
        self._pace.urgency = _no_urgency
        while frozen.overlay.free(8 * SLICE_ROWS):
            self._pace()


class Pace:
    """Called between two slices of work: sleeps for as long as the last slice took, within bounds, or for less.

    `urgency` gives how much less: up to 0.0 nothing, from 1.0 on nearly all.
    """

    __slots__ = ("_clock", "_resumed", "_wait", "is_hurried", "urgency")

    def __init__(self, wait: Callable[[float], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._wait = wait
        self._clock = clock
        self._resumed = clock()
        self.is_hurried = False
        self.urgency: Callable[[], float] = _no_urgency

    def __call__(self) -> None:
        pause = PAUSE_SECONDS_HURRIED
        if not self.is_hurried:
            took = self._clock() - self._resumed
            usual = min(max(took * PAUSE_RATIO, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX)
            pause = max(usual * (1.0 - max(self.urgency(), 0.0)), PAUSE_SECONDS_HURRIED)
        self._wait(pause)
        self._resumed = self._clock()

    def is_urgent(self) -> bool:
        """Whether pauses are as short as they get."""
        return self.is_hurried or self.urgency() >= 1.0


def _no_urgency() -> float:
    return 0.0


def write_frozen(frozen: Frozen, pause: Pause, is_urgent: Callable[[], bool] = lambda: False) -> None:
    """Write all of `frozen` into its engine, durably. Blocks; calls `pause` after each slice of work.

    While `is_urgent`, with larger transactions: faster, and the log's syncs wait longer behind each.

    Raises DiskFull, ReadOnly or another WorldError. Some transactions may have been written by then: see the top
    of this file.
    """
    rows, write = frozen.overlay.rows, frozen.engine.write
    keys = _in_order(rows, pause)
    key: bytes | None = next(keys, None)
    while True:
        batch: list[tuple[bytes, bytes | None]] = []
        size = 0
        times = URGENT_TIMES if is_urgent() else 1
        while key is not None and len(batch) < times * TRANSACTION_ROWS and size < times * TRANSACTION_BYTES:
            value = rows[key]
            batch.append((key, value))
            size += len(key) + (0 if value is None else len(value))
            key = next(keys, None)
            if len(batch) % _LOOKED_UP_PER_SLICE == 0:
                pause()
        write(_in_slices(batch, pause), frozen.applied if key is None else None)
        if key is None:
            return
        pause()


def _in_order(keys: Iterable[bytes], pause: Pause, depth: int = 2) -> Iterator[bytes]:
    """All `keys`, of which the first depth - 1 bytes agree or differ, in order: a radix sort that can be paused.

    Row keys begin with a hash (after one byte of space), so two or three levels of buckets leave a few keys in
    each. Many keys with one hash, a large item collection, are left to a sorted list, which is slower.
    """
    buckets: dict[bytes, list[bytes]] = {}
    for number, key in enumerate(keys, 1):
        buckets.setdefault(key[:depth], []).append(key)
        if number % _BUCKETED_PER_SLICE == 0:
            pause()
    for prefix in sorted(buckets):
        bucket = buckets.pop(prefix)
        if len(bucket) <= _SORTED_AT_ONCE:
            bucket.sort()
            yield from bucket
        elif depth < _DEPTH_MAX:
            yield from _in_order(bucket, pause, depth + 1)
        else:
            yield from _in_sorted_list(bucket, pause)


def _in_sorted_list(keys: list[bytes], pause: Pause) -> Iterator[bytes]:
    ordered: SortedList[bytes] = SortedList()
    for number, key in enumerate(keys, 1):
        ordered.add(key)
        if number % SLICE_ROWS == 0:
            pause()
    yield from ordered


def _in_slices(
    batch: list[tuple[bytes, bytes | None]], pause: Pause
) -> Iterator[tuple[bytes, bytes | None]]:
    rows = size = 0
    for row in batch:
        yield row
        rows += 1
        size += len(row[1] or b"")
        if rows >= SLICE_ROWS or size >= SLICE_BYTES:
            pause()
            rows = size = 0
