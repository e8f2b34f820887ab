"""A storage node: the replicas that live on this machine, the log that they share, and their checkpoints.

    event loop                              log thread                    checkpoint thread
    ----------                              ----------                    -----------------
    propose: append to the log's buffer
    end of the iteration: flush  -------->  write one frame, fdatasync
    apply, release waiters       <--------  on_durable
    freeze an overlay            --------------------------------------->  write it into the tree, paced
    read through the tree        <---------------------------------------  on_done
    old segments may go          -------->  (disk thread) remove files

All requests that arrive in one iteration of the loop share a frame, and all that arrive while a frame is being
synced share the next: that is the group commit. Nothing here waits; the loop never touches the disk.

When the log refuses (disk full, folder read-only) nothing that was proposed since is chosen: the replicas drop
what they speculated on, each waiter is told that the outcome is unknown, reads go on, and later writes are tried
again. When a sync fails, nobody can say what the disk holds: the node stops (see storage.log_writer).

A checkpoint that the disk refuses is tried again, every second: until then its rows stay in memory, and the log has
them. Where nobody can wait for the disk to get space, it is given up: when the node stops, and when the group is
removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from varley.clock import Clock
from varley.errors import LogFailed, WorldError
from varley.node.partition import Partition, Pressure
from varley.node.replica import Proposal, Replica
from varley.storage.checkpoint import Checkpointer
from varley.storage.log_format import Row, encode_rows
from varley.storage.tree import Engine, Frozen, Tree

logger = logging.getLogger("varley.node")

_CONSIDER_SECONDS = 0.1    # how often checkpoints are considered
_RETRY_SECONDS = 1.0       # after a checkpoint that the disk refused
_HURRY_FACTOR = 4          # from so many times the usual overlay on, checkpoints make no pauses
_REFUSE_FACTOR = 16        # from so many times on, writes are refused until checkpoints have caught up


class Log(Protocol):
    """What a node needs of its log: storage.log_writer.LogWriter or storage.memory_log.MemoryLog."""

    @property
    def bytes_in_log(self) -> int: ...

    def append(self, group: int, ballot: int, slot: int, entry: bytes, waiter: Any) -> None: ...
    def append_row(
        self, group: int, ballot: int, slot: int, timestamp_us: int, row: Row, waiter: Any
    ) -> None: ...
    def flush(self) -> None: ...
    def release(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> Any: ...
    def close(self) -> None: ...


class Engines(Protocol):
    """Where the trees of this node are kept: in a data folder or in memory."""

    def open(self, group: int) -> Engine:
        """The engine of a group, which need not exist yet."""
        ...

    def remove(self, group: int) -> None:
        """Remove what the engine of a group kept; it is closed. Blocks: called on a disk thread."""
        ...


class Node:
    """Used from the event loop only, except for `log_is_durable` and `log_has_failed`, which the log thread calls."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        *,
        overlay_bytes_max: int,
        log_bytes_max: int,
        engines: Engines,
        on_fatal: Callable[[WorldError], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._engines = engines
        self._overlay_bytes_max = overlay_bytes_max
        self._log_bytes_max = log_bytes_max
        self._on_fatal = on_fatal
        self._log: Log
        self._append_row: Callable[[int, int, int, int, Row, Proposal], None]
        self._is_flush_scheduled = False
        self._pressure = Pressure()
        self._replicas: dict[int, Replica] = {}
        self._checkpointer: Checkpointer | None = None
        self._frozen: dict[int, Frozen] = {}    # group -> the checkpoint under way, or to be tried again
        self._retries: dict[int, asyncio.TimerHandle] = {}    # group, in _frozen -> when it is tried again
        self._leaving: set[int] = set()    # groups that are being removed
        self._checkpoint_waiters: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._releasing: asyncio.Future[Any] | None = None    # old log segments, on a disk thread
        self._is_release_due = False    # a checkpoint finished meanwhile
        self._is_read_only = False
        self._is_stopping = False
        self.checkpoints = 0    # finished since the start
        self.refusal: WorldError | None = None    # why the last write was refused by the disk; None if it was not

    def start(self, log: Log, *, is_read_only: bool = False) -> None:
        """Take over the log, after recovery; `log` calls log_is_durable and log_has_failed.

        `is_read_only`: the disk takes no writes, so there are no checkpoints; `log` is one that refuses.
        """
        self._log = log
        self._append_row = log.append_row
        self._is_read_only = is_read_only
        self._checkpointer = Checkpointer(self._checkpoint_is_durable, self._checkpoint_has_failed)
        if not is_read_only:
            self._consider_checkpoints()

    # Groups

    def open_group(self, group: int, tree: Tree, *, ballot: int = 1) -> Partition:
        """Host the replica whose state is `tree`, as recovery left it, and lead it."""
        assert group not in self._replicas
        replica = Replica(group, tree, self._append, ballot=ballot)
        self._replicas[group] = replica
        return Partition(replica, self._now_us, self._pressure)

    def create_group(self, group: int) -> Partition:
        """Host a new replica, which has nothing."""
        return self.open_group(group, Tree(self._engines.open(group)))

    async def remove_group(self, group: int) -> None:
        """Host it no more, and remove what it held. Returns when that is done."""
        replica = self._replicas[group]
        await self._decided(replica)
        self._leaving.add(group)
        if group in self._retries:
            self._end_checkpoint(group)
        while group in self._frozen:
            await self._next_checkpoint()
        self._leaving.remove(group)
        del self._replicas[group]
        replica.tree.close()
        await self._loop.run_in_executor(None, self._engines.remove, group)

    def _now_us(self) -> int:
        return int(self._clock.time() * 1_000_000)

    # The log

    def _append(
        self, group: int, ballot: int, slot: int, timestamp_us: int, rows: Sequence[Row], proposal: Proposal
    ) -> None:
        if len(rows) == 1:
            self._append_row(group, ballot, slot, timestamp_us, rows[0], proposal)
        else:
            self._log.append(group, ballot, slot, encode_rows(rows, timestamp_us), proposal)
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        self._log.flush()

    def log_is_durable(self, proposals: list[Proposal]) -> None:
        """On the log thread (or, in memory, on the loop inside `flush`)."""
        self._loop.call_soon_threadsafe(self._chosen, proposals)

    def log_has_failed(self, error: WorldError, proposals: list[Proposal]) -> None:
        """On the log thread: none of `proposals` is durable, or nobody knows."""
        self._loop.call_soon_threadsafe(self._abandon, error, proposals)

    def _chosen(self, proposals: list[Proposal]) -> None:
        self.refusal = None
        for proposal in proposals:
            proposal.replica.chosen(proposal)

    def _abandon(self, error: WorldError, proposals: list[Proposal]) -> None:
        if self.refusal is None:
            logger.error("writes are refused: %s", error)
        self.refusal = error
        for proposal in proposals:
            proposal.replica.abandon(proposal, error)
        if isinstance(error, LogFailed):
            self._on_fatal(error)

    # Checkpoints

    def _consider_checkpoints(self) -> None:
        self._timer = self._loop.call_later(_CONSIDER_SECONDS, self._consider_checkpoints)
        is_log_long = self._log.bytes_in_log > self._log_bytes_max
        sizes = {replica: replica.tree.overlay_bytes for replica in self._replicas.values()}
        total = sum(sizes.values())
        # Many small overlays are as much memory as one that is large.
        is_much = total > _HURRY_FACTOR * self._overlay_bytes_max
        overlay_bytes_max = total // (2 * len(sizes)) if is_much else self._overlay_bytes_max
        for replica, overlay_bytes in sizes.items():
            if overlay_bytes > overlay_bytes_max or (is_log_long and overlay_bytes):
                self._begin_checkpoint(replica)
        assert self._checkpointer is not None
        self._checkpointer.hurry(is_much)
        self._pressure.is_high = total > _REFUSE_FACTOR * self._overlay_bytes_max

    def _begin_checkpoint(self, replica: Replica) -> None:
        if self._is_read_only or replica.group in self._frozen:
            return
        try:
            frozen = replica.tree.freeze()
        except WorldError as error:
            self._on_fatal(error)
            return
        if frozen is not None:
            self._frozen[replica.group] = frozen
            assert self._checkpointer is not None
            self._checkpointer.submit(replica.tree, frozen)

    def _checkpoint_is_durable(self, tree: Tree, frozen: Frozen) -> None:
        self._loop.call_soon_threadsafe(self._finish_checkpoint, tree, frozen)

    def _checkpoint_has_failed(self, error: WorldError, tree: Tree, frozen: Frozen) -> None:
        self._loop.call_soon_threadsafe(self._retry_checkpoint, error, tree, frozen)

    def _finish_checkpoint(self, tree: Tree, frozen: Frozen) -> None:
        assert self._checkpointer is not None
        self._checkpointer.finish(tree, frozen)
        self.checkpoints += 1
        self._end_checkpoint(self._group_of(frozen))
        self._release_log()

    def _retry_checkpoint(self, error: WorldError, tree: Tree, frozen: Frozen) -> None:
        group = self._group_of(frozen)
        if error.retryable and not self._is_stopping and group not in self._leaving:
            logger.warning("a checkpoint is tried again: %s", error)
            self._retries[group] = self._loop.call_later(_RETRY_SECONDS, self._submit_again, group)
            return
        logger.warning("a checkpoint is given up, the log has its rows: %s", error)
        self._end_checkpoint(group)
        if not error.retryable:
            self._on_fatal(error)

    def _submit_again(self, group: int) -> None:
        self._retries.pop(group).cancel()
        assert self._checkpointer is not None
        self._checkpointer.submit(self._replicas[group].tree, self._frozen[group])

    def _end_checkpoint(self, group: int) -> None:
        """It is finished, or given up."""
        del self._frozen[group]
        if group in self._retries:
            self._retries.pop(group).cancel()
        waiters, self._checkpoint_waiters = self._checkpoint_waiters, []
        for waiter in waiters:
            waiter.set_result(None)

    def _group_of(self, frozen: Frozen) -> int:
        return next(group for group, under_way in self._frozen.items() if under_way is frozen)

    def _release_log(self) -> None:
        # One at a time: two would delete the same segment, and each count it off the log's list of segments, so that
        # one more than was deleted is forgotten. It would never be deleted, and the log would begin with a gap.
        if self._releasing is not None:
            self._is_release_due = True
            return
        # The live groups are looked up as they are then, not as they are now: a table that is made while segments are
        # being deleted has entries in the newer ones, and a copy of today's groups would call them nobody's.
        releasable = {group: replica.releasable_slot for group, replica in self._replicas.items()}
        self._is_release_due = False
        self._releasing = self._loop.run_in_executor(None, self._log.release, releasable, self._replicas)
        self._releasing.add_done_callback(self._log_is_released)

    def _log_is_released(self, released: asyncio.Future[Any]) -> None:
        self._releasing = None
        error = released.exception()
        if isinstance(error, WorldError):
            logger.warning("old log segments stay until the next checkpoint: %s", error)
            if not error.retryable:
                self._on_fatal(error)
        elif error is not None:
            raise error
        elif self._is_release_due and not self._is_stopping:
            self._release_log()

    async def _next_checkpoint(self) -> None:
        """Wait until one is finished."""
        done = self._loop.create_future()
        self._checkpoint_waiters.append(done)
        await done

    async def _decided(self, replica: Replica) -> None:
        """Wait until nothing that was proposed so far is undecided."""
        if replica.newest is not None:
            done = self._loop.create_future()
            replica.newest.hold(lambda error: done.set_result(None))
            await done

    # Stopping

    async def stop(self) -> None:
        """Make everything durable in the trees, so that the next start has nothing to replay; then let go.

        What the disk refuses stays in the log, for the next start to replay.
        """
        self._begin_to_stop()
        self._log.flush()
        for replica in self._replicas.values():
            await self._decided(replica)
        for group in list(self._retries):
            self._submit_again(group)
        for replica in self._replicas.values():
            self._begin_checkpoint(replica)
        while self._frozen:
            await self._next_checkpoint()
        if self._releasing is not None:
            await asyncio.wait([self._releasing])
        if not self._is_read_only:
            self._release_log()    # or the next start would read all of it, and find nothing to apply
        await self._let_go()

    async def halt(self) -> None:
        """Let go of everything as it is: after a failure that ends this node. The next start recovers from the log."""
        self._begin_to_stop()
        for group in list(self._retries):
            self._end_checkpoint(group)
        await self._let_go()

    def _begin_to_stop(self) -> None:
        assert self._checkpointer is not None, "not started, or stopped already"
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._checkpointer.hurry(True)

    async def _let_go(self) -> None:
        assert self._checkpointer is not None
        await self._loop.run_in_executor(None, self._checkpointer.close)
        if self._releasing is not None:
            await asyncio.wait([self._releasing])
        self._checkpointer = None
        await self._loop.run_in_executor(None, self._log.close)
        for replica in self._replicas.values():
            replica.tree.close()
