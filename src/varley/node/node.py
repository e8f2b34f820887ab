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
again. Until one succeeds the node is not ready (`refusal`); and since whoever looks at that may send it no more
writes, it tries by itself, once a second. When a sync fails, nobody can say what the disk holds: the node stops (see
storage.log_writer).

When a replica is written into its tree is in checkpoints.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Protocol

from varley.clock import Clock
from varley.errors import LogFailed, WorldError
from varley.node.checkpoints import Checkpoints
from varley.node.partition import Partition, Pressure
from varley.node.replica import Proposal, Replica
from varley.storage.log_format import Row, encode_rows
from varley.storage.tree import Engine, Tree

logger = logging.getLogger("varley.node")

_PROBE_SECONDS = 1.0    # between two attempts to write to a disk that has refused


class Log(Protocol):
    """What a node needs of its log: storage.log_writer.LogWriter or storage.memory_log.MemoryLog."""

    @property
    def bytes_in_log(self) -> int: ...

    def oldest_slots(self) -> Mapping[int, int] | None: ...
    def append(self, group: int, ballot: int, slot: int, entry: bytes, waiter: Any) -> None: ...
    def append_row(
        self, group: int, ballot: int, slot: int, timestamp_us: int, row: Row, waiter: Any
    ) -> None: ...
    def probe(self) -> None: ...
    def flush(self) -> None: ...
    def release(self, checkpointed: Mapping[int, int], live_groups: Container[int]) -> Any: ...
    def close(self, checkpointed: Mapping[int, int] | None = None, live_groups: Container[int] = ()) -> None: ...


class Engines(Protocol):
    """Where the trees of this node are kept: in a data folder or in memory."""

    def open(self, group: int) -> Engine:
        """The engine of a group, which need not exist yet."""
        ...

    def remove(self, group: int) -> None:
        """Remove what the engine of a group kept; it is closed. Blocks: called on a disk thread."""
        ...

    def remember(self, groups: Iterable[int]) -> None:
        """Remember, durably, that these engines hold something. Blocks: called on a disk thread. Raises WorldError."""
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
        self._on_fatal = on_fatal
        self._log: Log
        self._append_row: Callable[[int, int, int, int, Row, Proposal], None]
        self._is_flush_scheduled = False
        self._pressure = Pressure()
        self._replicas: dict[int, Replica] = {}
        self._checkpoints = Checkpoints(
            loop,
            self._replicas,
            self._pressure,
            overlay_bytes_max=overlay_bytes_max,
            log_bytes_max=log_bytes_max,
            release_log=self._release_log,
            on_fatal=on_fatal,
        )
        self._releasing: asyncio.Future[Any] | None = None    # old log segments, on a disk thread
        self._is_release_due = False    # a checkpoint finished meanwhile
        self._is_read_only = False
        self._is_stopping = False
        self._probe_timer: asyncio.TimerHandle | None = None    # set while `refusal` may pass
        self.refusal: WorldError | None = None    # why the last write was refused by the disk; None if it was not
        self.refused_writes: Counter[str] = Counter()    # by the name of the error

    def start(self, log: Log, *, is_read_only: bool = False) -> None:
        """Take over the log, after recovery; `log` calls log_is_durable and log_has_failed.

        `is_read_only`: the disk takes no writes, so there are no checkpoints; `log` is one that refuses.
        """
        self._log = log
        self._append_row = log.append_row
        self._is_read_only = is_read_only
        self._checkpoints.start(log, is_read_only=is_read_only)

    @property
    def checkpoints(self) -> int:
        """How many were finished since the start."""
        return self._checkpoints.finished

    @property
    def checkpoint_seconds(self) -> float:
        """How long all of them took, pauses included."""
        return self._checkpoints.seconds

    @property
    def overlay_bytes(self) -> int:
        """About how much memory the rows take that are in no checkpoint yet."""
        return sum(replica.tree.overlay_bytes for replica in self._replicas.values())

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
        await self._checkpoints.leave(group)
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
        if self.refusal is not None:
            logger.warning("writes are taken again")
            self.refusal = None
        for proposal in proposals:
            proposal.replica.chosen(proposal)

    def _abandon(self, error: WorldError, proposals: list[Proposal]) -> None:
        if self.refusal is None:
            logger.error("writes are refused: %s", error)
        self.refusal = error
        self.refused_writes[type(error).__name__] += len(proposals)
        for proposal in proposals:
            proposal.replica.abandon(proposal, error)
        if isinstance(error, LogFailed):
            self._on_fatal(error)
        elif self._probe_timer is None and not (self._is_read_only or self._is_stopping):
            self._probe_timer = self._loop.call_later(_PROBE_SECONDS, self._probe)

    def _probe(self) -> None:
        self._probe_timer = None
        if self.refusal is not None:
            self._log.probe()

    def _release_log(self) -> None:
        # One at a time: two would delete the same segment, and each count it off the log's list of segments, so that
        # one more than was deleted is forgotten. It would never be deleted, and the log would begin with a gap.
        if self._releasing is not None:
            self._is_release_due = True
            return
        # The live groups are looked up as they are then, not as they are now: a table that is made while segments are
        # being deleted has entries in the newer ones, and a copy of today's groups would call them nobody's.
        self._is_release_due = False
        self._releasing = self._loop.run_in_executor(None, self._release_segments, self._releasable())
        self._releasing.add_done_callback(self._log_is_released)

    def _release_segments(self, releasable: dict[int, int]) -> None:
        """On a disk thread."""
        self._remember_trees(releasable)
        self._log.release(releasable, self._replicas)

    def _remember_trees(self, releasable: dict[int, int]) -> None:
        """On a disk thread, before the log is shortened: nobody else could tell that these trees were there."""
        self._engines.remember(group for group, slot in releasable.items() if slot > 0)

    def _releasable(self) -> dict[int, int]:
        """group -> the log entries up to this slot are of no more use to it."""
        return {group: replica.releasable_slot for group, replica in self._replicas.items()}

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
        await self._checkpoints.finish_all()
        await self._let_go(self._releasable())

    async def halt(self) -> None:
        """Let go of everything as it is: after a failure that ends this node. The next start recovers from the log."""
        self._begin_to_stop()
        await self._let_go(None)

    def _begin_to_stop(self) -> None:
        self._is_stopping = True
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        self._checkpoints.begin_to_stop()

    async def _let_go(self, releasable: dict[int, int] | None) -> None:
        await self._checkpoints.close()
        if self._releasing is not None:
            await asyncio.wait([self._releasing])
        await self._loop.run_in_executor(None, self._close_log, releasable)
        for replica in self._replicas.values():
            replica.tree.close()

    def _close_log(self, releasable: dict[int, int] | None) -> None:
        """On a disk thread."""
        if releasable is not None:
            try:
                self._remember_trees(releasable)
            except WorldError as error:
                logger.warning("the log stays as it is: %s", error)
                releasable = None
        self._log.close(releasable, self._replicas)
