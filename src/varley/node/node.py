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

When a replica is written into its tree is in checkpoints.py. Groups with members on other nodes are in member.py and
members.py: each begins a life here (`create_member`, `create_learner`) or goes on with one (`open_member`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from random import Random, SystemRandom
from typing import Any, Protocol

from varley.clock import Clock, boot_time_us
from varley.errors import LeaderReplaced, LogFailed, NotLeading, WorldError
from varley.node.checkpoints import Checkpoints
from varley.node.member import HostedMember
from varley.node.member_partition import MemberPartition
from varley.node.member_status import MemberStatus, status_of
from varley.node.members import Links, Members, NoLinks
from varley.node.partition import Partition, Pressure
from varley.node.replica import Proposal, Replica
from varley.node.settled import once_settled
from varley.node.snapshots import RequestLinks, Snapshots
from varley.paxos.events import Change, SnapshotInstalled
from varley.paxos.lease import Timing
from varley.paxos.membership import FULL, Configuration, Member
from varley.paxos.records import Record
from varley.paxos.replica import FIRST_SLOT, Chance, first_records
from varley.paxos.replica import Replica as Core
from varley.storage.log_format import Row, encode_rows
from varley.storage.member_log import Before, Orders, RecoveredMember, State, encode, first_state
from varley.storage.tree import Engine, Tree
from varley.storage.tree_folder import SnapshotNote

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
    def append_records(
        self, group: int, order: int, records: Sequence[bytes], part: Any, waiter: Any
    ) -> None: ...
    def forget(self, group: int) -> None: ...
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

    # For what comes from other nodes: see storage.tree_folder.TreeFolder.

    def open_incoming(self, group: int) -> Engine: ...
    def note_snapshot(self, group: int, note: SnapshotNote) -> None: ...
    def install_incoming(self, group: int, incoming: Engine) -> Engine: ...
    def settle_incoming(self, group: int) -> None: ...


def _ignore_leading(partition: MemberPartition, ballot: int) -> None:
    pass


def _ignore_following(partition: MemberPartition) -> None:
    pass


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
        on_fatal: Callable[[Exception], None],
        name: str = "",
        links: NodeLinks | None = None,
        lease_clock_us: Callable[[], int] = boot_time_us,
        chance: Chance | None = None,
        timing: Timing | None = None,
        on_leading: Callable[[MemberPartition, int], None] = _ignore_leading,
        on_following: Callable[[MemberPartition], None] = _ignore_following,
    ) -> None:
        """`on_fatal` gets what this node cannot go on after: a WorldError, or what a step of a member raised
        (members.py).

        What is behind `on_fatal` is for groups with members on other nodes: the name of this one, the links to
        those, a clock for leases, when elections are held, and who is told that a partition is led here, and no
        longer."""
        self._loop = loop
        self._clock = clock
        self.name = name
        self._links = links or NoLinks()
        # Seeded once: asking the kernel costs as much as the rest of answering a Beat.
        self._chance = chance or Random(SystemRandom().getrandbits(128))
        self._timing = timing or Timing()
        self._on_leading = on_leading
        self._on_following = on_following
        self.members = Members(
            loop,
            self._links,
            now_us=lease_clock_us,
            append_records=self._append_records,
            flush_log_soon=self._flush_soon,
            on_snapshot_needed=lambda member, by: self._snapshots.offer(member, by),
            on_state_noted=self._release_log,
            on_failure=self._member_has_failed,
        )
        self._lives = 0     # that were begun by this process
        self._engines = engines
        self._on_fatal = on_fatal
        self._log: Log
        self._append_row: Callable[[int, int, int, int, Row, Proposal], None]
        self._is_flush_scheduled = False
        self._pressure = Pressure()
        self._replicas: dict[int, Replica | HostedMember] = {}    # those that have a tree
        self._hosted = _Hosted(self._replicas, self.members.by_group)
        self._checkpoints = Checkpoints(
            loop,
            self._replicas,
            self._pressure,
            overlay_bytes_max=overlay_bytes_max,
            log_bytes_max=log_bytes_max,
            on_finished=self._checkpoint_is_finished,
            on_log_long=self._let_go_of,
            on_fatal=on_fatal,
        )
        self._snapshots = Snapshots(
            loop,
            self._links,
            self.members.by_group,
            engines,
            checkpoint=self.checkpoint,
            pause_checkpoints=self._checkpoints.pause,
            resume_checkpoints=self._checkpoints.resume,
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
        if group in self.members.by_group:
            await self._remove_member(group)
            return
        replica = self._replicas[group]
        await self._decided(replica)
        await self._checkpoints.leave(group)
        del self._replicas[group]
        replica.tree.close()
        await self._loop.run_in_executor(None, self._engines.remove, group)

    # Groups with members on other nodes

    def open_member(self, recovered: RecoveredMember, tree: Tree | None) -> MemberPartition | None:
        """Go on with a life, as recovery left it; `tree` None: of a log member, which has no partition."""
        assert recovered.why_lost is None and recovered.member is not None
        ahead = recovered.ahead
        applied = recovered.base if tree is None or ahead is not None else tree.applied_slot
        partition = self._host(
            recovered.group, recovered.member, recovered.records, applied, tree, recovered.orders, recovered.before
        )
        if ahead is not None:
            # The node went down between taking a state in and writing that down.
            hosted = self.members.by_group[recovered.group]
            if ahead.slot > hosted.core.chosen:
                hosted.step(SnapshotInstalled(ahead.slot, ahead.origin, ahead.configuration))
        return partition

    async def create_member(self, group: int, member: Member, configuration: Configuration) -> MemberPartition | None:
        """Begin as one of the first members of a new group. Raises WorldError if that cannot be written down."""
        return await self._begin_life(group, member, first_records(configuration))

    async def create_learner(
        self, group: int, member: Member, *, lost: str | None = None, known: Sequence[str] = ()
    ) -> MemberPartition | None:
        """Begin as a member that has nothing; the leader adds it to the configuration (AddLearner), or replaces `lost`
        by it: the name that it had before its log was lost. `known`: members to tell that to.

        Raises WorldError if that cannot be written down."""
        return await self._begin_life(group, member, (), None if lost is None else Before(lost, tuple(known)))

    def has(self, group: int) -> bool:
        """Whether something of this group is here, or is about to be, or not gone yet."""
        return group in self._hosted

    def hand_over(self, group: int, to: str) -> str | None:
        """Let the member `to` lead the group, which is led here. Says why it is refused, or None: it is under way."""
        return self.members.by_group[group].hand_over(to)

    def reconfigure(
        self, group: int, change: Change, then: Callable[[BaseException | None], None] | None = None
    ) -> str | None:
        """Change who belongs to the group, which is led here. Says why it is refused, or None: it is under way, and
        `then` is called when it is chosen, with LeaderReplaced if it is not known whether it is."""
        return self.members.by_group[group].reconfigure(change, then)

    def member_status(self, group: int) -> MemberStatus:
        """How the member of this group is that this node hosts."""
        members = self.members
        return status_of(members.by_group[group], members.heard_us[group], members.now_us())

    def taken_bytes(self, group: int) -> int:
        """See Snapshots.taken_bytes."""
        return self._snapshots.taken_bytes(group)

    def silent_members(self, seconds: float) -> dict[int, list[str]]:
        """Of the groups that are led here, the members of which nothing was heard for so long: for who replaces them.

        Groups that are led for less long are left out: their members may have spoken to another leader."""
        return {
            group: silent
            for group, member in self.members.by_group.items()
            if member.has_led_us > seconds * 1_000_000
            and (silent := self.member_status(group).silent_for(seconds))
        }

    async def _begin_life(
        self, group: int, member: Member, records: Sequence[Record], before: Before | None = None
    ) -> MemberPartition | None:
        assert group not in self._hosted
        self._hosted.beginning.add(group)
        try:
            await self._loop.run_in_executor(None, self._engines.remove, group)    # of an earlier life
            self._lives += 1
            orders = Orders(next=self._lives << 48)     # above all that the log counts of earlier lives
            await self._write_first_state(group, orders, first_state(member, records, before))
            tree = Tree(self._engines.open(group)) if member.kind == FULL else None
            if tree is not None and records:
                tree.apply(FIRST_SLOT, ())
            applied = FIRST_SLOT if records else 0
            return self._host(group, member, records, applied, tree, orders, before, is_first_life=True)
        finally:
            self._hosted.beginning.remove(group)

    async def _write_first_state(self, group: int, orders: Orders, state: State) -> None:
        written = _Written(self._loop.create_future())
        self._log.forget(group)
        self._log.append_records(group, orders.next, encode(group, state), written, written)
        self._flush_soon()
        await written.done
        orders.noted(orders.next, state.base)
        orders.next += 1

    def _host(
        self,
        group: int,
        member: Member,
        records: Sequence[Record],
        applied: int,
        tree: Tree | None,
        orders: Orders,
        before: Before | None,
        *,
        is_first_life: bool = False,
    ) -> MemberPartition | None:
        core = Core(
            member, records, applied=applied, chance=self._chance, now=self.members.now_us(), timing=self._timing,
            is_first_life=is_first_life, lost=None if before is None else before.lost,
            known=() if before is None else before.known,
        )  # fmt: skip
        hosted = HostedMember(self.members, group, member, core, tree, orders, before)
        partition = None
        if tree is not None:
            self._replicas[group] = hosted
            partition = MemberPartition(
                hosted, self._now_us, self._pressure, on_leading=self._on_leading, on_following=self._on_following
            )
        self.members.add(hosted)
        return partition

    async def _remove_member(self, group: int) -> None:
        self._snapshots.leave(group)
        hosted = self.members.remove(group)
        hosted.give_up(NotLeading(group, None))
        await self._idle(hosted)
        if group in self._replicas:
            await self._checkpoints.leave(group)
            del self._replicas[group]
            hosted.tree.close()
            await self._loop.run_in_executor(None, self._engines.remove, group)

    async def _idle(self, member: HostedMember) -> None:
        """Wait until the log has answered for all that it was given."""
        self._log.flush()
        idle = self._loop.create_future()
        member.when_idle(lambda: idle.set_result(None))
        await idle


    def _now_us(self) -> int:
        return int(self._clock.time() * 1_000_000)

    def _member_has_failed(self, error: Exception) -> None:
        self._snapshots.stop()
        self._on_fatal(error)

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

    def _append_records(
        self, group: int, order: int, records: Sequence[bytes], part: object, waiter: object
    ) -> None:
        self._log.append_records(group, order, records, part, waiter)

    def _flush_soon(self) -> None:
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self.members.flush()
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
            self.members.try_again()
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

    def _checkpoint_is_finished(self, group: int) -> None:
        member = self.members.by_group.get(group)
        if member is not None:
            self._snapshots.has_checkpoint(group)
            member.trim_to_checkpoint(self._snapshots.kept_slot(group))
            member.note_state()     # and then the log is released
        else:
            self._release_log()

    def checkpoint(self, group: int) -> None:
        """Write what this group has into its tree now."""
        self._checkpoints.begin(group)

    def _let_go_of(self, oldest: Mapping[int, int]) -> None:
        """The log is long, and this is what goes first: have members write down again what keeps it, and is not in any
        tree."""
        for group, order in oldest.items():
            member = self.members.by_group.get(group)
            if member is not None:
                member.let_go_of(order)

    def _release_log(self) -> None:
        # One at a time: two would delete the same segment, and each count it off the log's list of segments, so that
        # one more than was deleted is forgotten. It would never be deleted, and the log would begin with a gap.
        if self._is_stopping:
            return
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
        self._log.release(releasable, self._hosted)

    def _remember_trees(self, releasable: dict[int, int]) -> None:
        """On a disk thread, before the log is shortened: nobody else could tell that these trees were there."""
        members = self.members.by_group
        self._engines.remember(group for group, slot in releasable.items() if slot > 0 and group not in members)

    def _releasable(self) -> dict[int, int]:
        """group -> the log entries up to this slot are of no more use to it."""
        releasable = {group: replica.releasable_slot for group, replica in self._replicas.items()}
        for group, member in self.members.by_group.items():
            releasable[group] = member.releasable_slot
        return releasable

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

    async def _decided(self, replica: Replica | HostedMember) -> None:
        """Wait until nothing that was proposed so far is undecided."""
        decided = self._loop.create_future()
        once_settled(replica.newest, lambda error: decided.set_result(None))
        await decided

    # Stopping

    async def stop(self) -> None:
        """Make everything durable in the trees, so that the next start has nothing to replay; then let go.

        What the disk refuses stays in the log, for the next start to replay.
        """
        await self.stop_leading()
        self._begin_to_stop()
        for member in list(self.members.by_group.values()):
            member.give_up(LeaderReplaced(member.group))
            await self._idle(member)
        self._log.flush()
        for replica in self._replicas.values():
            await self._decided(replica)
        await self._checkpoints.finish_all()
        for member in list(self.members.by_group.values()):
            member.note_state()
            await self._idle(member)
        await self._let_go(self._releasable())

    async def halt(self) -> None:
        """Let go of everything as it is: after a failure that ends this node. The next start recovers from the log."""
        self._begin_to_stop()
        await self._let_go(None)

    async def stop_leading(self) -> None:
        """Hand over what is led here; who cannot be handed over in time waits for the lease to end, elsewhere."""
        leading = [member for member in self.members.by_group.values() if member.is_leading]
        left = sum(member.hand_over_to_anybody() for member in leading)
        if left:
            followed = self._loop.create_future()
            late = self._loop.call_later(self._timing.hand_over_us / 1_000_000, _settle, followed)
            self.members.when_none_leads(lambda: _settle(followed))
            await followed
            late.cancel()

    def _begin_to_stop(self) -> None:
        self.members.stop()
        self._snapshots.stop()
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
        self._log.close(releasable, self._hosted)


class NodeLinks(Links, RequestLinks, Protocol):
    """What a node needs of varley.net's Links."""


class _Hosted:
    """The groups that are here, or about to be. Asked by a disk thread too."""

    def __init__(self, *groups: Container[int]) -> None:
        self._groups = groups
        self.beginning: set[int] = set()

    def __contains__(self, group: object) -> bool:
        return group in self.beginning or any(group in groups for groups in self._groups)


class _Written:
    """Waits in the log, for a future."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.replica = self
        self.done = done

    def chosen(self, waiter: object) -> None:
        _settle(self.done)

    def abandon(self, waiter: object, error: WorldError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
