"""The checkpoints of a node: which replica is due for one, and what becomes of it.

    considered, ten times a second --> frozen --> written on the checkpoint thread --> finished: the log may be shorter
                                                       |        ^
                                                  the disk      | a second later
                                                  refuses ------+
                                                       |
                                                       +--> given up: the log has its rows

A replica is due when its overlay is large, or, of a group with other members, the entries in memory that a checkpoint
would let go (of a row that is written again and again the overlay has one version, and they have all); or when the log
is long and its oldest segment could go if the replica had a checkpoint. That segment may be held by something else, an
index that has not taken all that it was sent: then no checkpoint would make the log shorter, and none is begun for its
sake, however long it is. Many small overlays are as much memory as a large one: when they come to several times the
usual size, smaller ones are due too, and the checkpoint thread makes no pauses; when they come to several times that,
writes are refused until it has caught up (`Pressure`).

A checkpoint that the disk refuses is tried again, every second: until then its rows stay in memory, and the log has
them. Where nobody can wait for the disk to get space, it is given up: when the node stops, and when the group is
removed.

Everything here runs on the event loop; storage.checkpoint has the thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from varley.errors import WorldError
from varley.node.partition import Pressure
from varley.storage.checkpoint import Checkpointer
from varley.storage.tree import Frozen, Tree

logger = logging.getLogger("varley.node")

_CONSIDER_SECONDS = 0.1             # how often checkpoints are considered …
_CONSIDER_SECONDS_EACH = 0.00025    # … and so much later for each replica: thousands cost little by being looked at
_RETRY_SECONDS = 1.0       # after a checkpoint that the disk refused
_HURRY_FACTOR = 4          # from so many times the usual overlay on, checkpoints make no pauses
_REFUSE_FACTOR = 16        # from so many times on, writes are refused until checkpoints have caught up


class Held(Protocol):
    """A replica that has a tree."""

    group: int

    @property
    def tree(self) -> Tree: ...

    @property
    def unsaved_bytes(self) -> int:
        """About how much memory the next checkpoint, and the one under way, will free."""
        ...

    def is_held_back(self, slot: int) -> bool:
        """Whether the log cannot let go of this slot, whatever the tree has, since what it carries has not arrived."""
        ...

    def would_let_go(self, slot: int) -> bool:
        """Whether a checkpoint would let the log go of this slot, as far as this replica is concerned."""
        ...


class _Log(Protocol):
    @property
    def bytes_in_log(self) -> int: ...

    def oldest_slots(self) -> Mapping[int, int] | None:
        """Of what goes first: the highest slot of each group. None: nothing could go."""
        ...


class Checkpoints:
    """From `start` to `close`. `replicas`: those of the node, by group, as they come and go.

    `on_finished` is called with the group after each one: entries in the log may be of no more use. `on_log_long` is
    called again and again while the log is long, with what goes first (`_Log.oldest_slots`). `on_fatal` gets the error
    that the node cannot go on after.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        replicas: Mapping[int, Held],
        pressure: Pressure,
        *,
        overlay_bytes_max: int,
        log_bytes_max: int,
        on_finished: Callable[[int], None],
        on_log_long: Callable[[Mapping[int, int]], None],
        on_fatal: Callable[[WorldError], None],
    ) -> None:
        self._loop = loop
        self._replicas = replicas
        self._pressure = pressure
        self._overlay_bytes_max = overlay_bytes_max
        self._log_bytes_max = log_bytes_max
        self._on_finished = on_finished
        self._on_log_long = on_log_long
        self._on_fatal = on_fatal
        self._log: _Log
        self._checkpointer: Checkpointer | None = None    # None before `start` and after `close`
        self._frozen: dict[int, Frozen] = {}    # group -> the checkpoint under way, or to be tried again
        self._retries: dict[int, asyncio.TimerHandle] = {}    # group, in _frozen -> when it is tried again
        self._leaving: set[int] = set()    # groups that are being removed
        self._paused: set[int] = set()
        self._suspended: set[int] = set()   # of these, those whose checkpoint, in _frozen, is tried again at `resume`
        self._when_quiet: dict[int, Callable[[], None]] = {}    # of paused groups, in _frozen
        self._waiters: list[asyncio.Future[None]] = []    # for the next one that ends
        self._timer: asyncio.TimerHandle | None = None
        self._is_read_only = False
        self._is_stopping = False
        self.finished = 0    # since the start

    def start(self, log: _Log, *, is_read_only: bool) -> None:
        """`is_read_only`: the disk takes no writes, so there are no checkpoints."""
        self._log = log
        self._is_read_only = is_read_only
        self._checkpointer = Checkpointer(self._is_durable, self._has_failed)
        if not is_read_only:
            self._consider()

    @property
    def seconds(self) -> float:
        """How long all that were finished took, pauses included."""
        return 0.0 if self._checkpointer is None else self._checkpointer.seconds

    async def leave(self, group: int) -> None:
        """The group is about to be removed: return when no checkpoint of it is under way."""
        self._leaving.add(group)
        self._paused.discard(group)
        if group in self._retries or group in self._suspended:
            self._end(group)
        while group in self._frozen:
            await self._next()
        self._leaving.remove(group)

    def begin(self, group: int) -> None:
        """Write what this group has now, unless that is under way."""
        replica = self._replicas[group]
        if not replica.tree.is_frozen:
            self._begin(replica)

    def pause(self, group: int, then: Callable[[], None]) -> None:
        """Call `then` when none of this group is under way; none begins before `resume`."""
        self._paused.add(group)
        if group in self._retries:
            self._retries.pop(group).cancel()
            self._suspended.add(group)
        if group in self._frozen and group not in self._suspended:
            self._when_quiet[group] = then
        else:
            then()

    def resume(self, group: int) -> None:
        """The tree may be another by now; or the same, with what a refused checkpoint has still to write."""
        self._paused.discard(group)
        if group in self._suspended:
            self._suspended.remove(group)
            tree = self._replicas[group].tree
            if tree.is_frozen:
                assert self._checkpointer is not None
                self._checkpointer.submit(tree, self._frozen[group])
            else:
                self._end(group)

    def begin_to_stop(self) -> None:
        """None is considered any more, and those under way make no pauses."""
        assert self._checkpointer is not None, "not started, or stopped already"
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._checkpointer.hurry(True)

    async def finish_all(self) -> None:
        """After `begin_to_stop`: write what every replica has; what the disk refuses stays in the log."""
        for group in list(self._retries):
            self._submit_again(group)
        for group in list(self._suspended):
            self.resume(group)
        for _ in range(2):    # one that is under way already does not have what was written since it began
            for replica in self._replicas.values():
                if not replica.tree.is_frozen:
                    self._begin(replica)
            while self._frozen:
                await self._next()

    async def close(self) -> None:
        """After `begin_to_stop`: end the thread, when it has written what was begun."""
        assert self._checkpointer is not None
        for group in [*self._retries, *self._suspended]:
            self._end(group)
        await self._loop.run_in_executor(None, self._checkpointer.close)
        self._checkpointer = None

    def _consider(self) -> None:
        pause = _CONSIDER_SECONDS + _CONSIDER_SECONDS_EACH * len(self._replicas)
        self._timer = self._loop.call_later(pause, self._consider)
        holders = self._holders() if self._log.bytes_in_log > self._log_bytes_max else ()
        # Most of thousands have nothing.
        sizes = {replica: size for replica in self._replicas.values() if (size := replica.unsaved_bytes)}
        total = sum(sizes.values())
        is_much = total > _HURRY_FACTOR * self._overlay_bytes_max
        overlay_bytes_max = total // (2 * len(self._replicas)) if is_much else self._overlay_bytes_max
        for replica in dict.fromkeys((*holders, *(each for each, size in sizes.items() if size > overlay_bytes_max))):
            self._begin(replica)
        assert self._checkpointer is not None
        self._checkpointer.hurry(is_much)
        self._pressure.is_high = total > _REFUSE_FACTOR * self._overlay_bytes_max

    def _holders(self) -> Collection[Held]:
        """Whose checkpoints would let the oldest segment of the log go."""
        oldest = self._log.oldest_slots()
        if oldest is None:
            return ()
        self._on_log_long(oldest)
        slots = {self._replicas[group]: slot for group, slot in oldest.items() if group in self._replicas}
        if any(replica.is_held_back(slot) for replica, slot in slots.items()):
            return ()
        holders = [replica for replica, slot in slots.items() if replica.would_let_go(slot)]
        if not holders:    # what held it has arrived meanwhile: the end of any checkpoint lets it go
            holders = [replica for replica in self._replicas.values() if replica.tree.overlay_bytes]
        return holders

    def _begin(self, replica: Held) -> None:
        if self._is_read_only or replica.group in self._frozen or replica.group in self._paused:
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

    def _is_durable(self, tree: Tree, frozen: Frozen) -> None:
        """On the checkpoint thread."""
        self._loop.call_soon_threadsafe(self._finish, tree, frozen)

    def _has_failed(self, error: WorldError, tree: Tree, frozen: Frozen) -> None:
        """On the checkpoint thread."""
        self._loop.call_soon_threadsafe(self._retry, error, frozen)

    def _finish(self, tree: Tree, frozen: Frozen) -> None:
        assert self._checkpointer is not None
        self._checkpointer.finish(tree, frozen)
        self.finished += 1
        group = self._group_of(frozen)
        self._end(group)
        self._on_finished(group)

    def _retry(self, error: WorldError, frozen: Frozen) -> None:
        group = self._group_of(frozen)
        if error.retryable and not self._is_stopping and group not in self._leaving:
            logger.warning("a checkpoint is tried again: %s", error)
            self._retries[group] = self._loop.call_later(_RETRY_SECONDS, self._submit_again, group)
            return
        logger.warning("a checkpoint is given up, the log has its rows: %s", error)
        self._end(group)
        if not error.retryable:
            self._on_fatal(error)

    def _submit_again(self, group: int) -> None:
        self._retries.pop(group).cancel()
        assert self._checkpointer is not None
        self._checkpointer.submit(self._replicas[group].tree, self._frozen[group])

    def _end(self, group: int) -> None:
        """It is finished, or given up."""
        del self._frozen[group]
        self._suspended.discard(group)
        if group in self._retries:
            self._retries.pop(group).cancel()
        quiet = self._when_quiet.pop(group, None)
        if quiet is not None:
            self._loop.call_soon(quiet)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(None)

    async def _next(self) -> None:
        """Wait until one has ended."""
        done = self._loop.create_future()
        self._waiters.append(done)
        await done

    def _group_of(self, frozen: Frozen) -> int:
        return next(group for group, under_way in self._frozen.items() if under_way is frozen)
