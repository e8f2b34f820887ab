"""Giving a member the whole state, when the log does not reach back to where it is.

    leader: "you are behind my log"  ---- Offer ---->  has nothing newer, and no other on its way
                                     <--- Begin -----
    the state of its last checkpoint ---- Begun ---->  slot, origin, configuration, size
                                     <--- More ------  after this key
    the next rows                    ---- Rows ----->  into an engine of its own, each piece durable
                                          ...          ... the last: in place of the old tree, then the core is told

The giver reads the rows of one checkpoint, in a read transaction of its engine that is not touched by later ones, so
all of them are of one slot and giving costs the loop a few hundred rows at a time. If a checkpoint is under way, or
the last lies before the log's base, the answer is no, and the next checkpoint is held ready for the next time. While
it gives, and for a while after, its log keeps what comes after that slot, or the receiver would need the next snapshot
at once. The receiver asks for each piece, so it decides how fast it goes, and a piece that was lost is asked for
again.

What entries carry to other groups (changes of global indexes) is in the log only. So nobody gives a state that holds
what has not arrived: the receiver may lead next, and would not know of it.

A crash of the receiver leaves its old state, or the new one (tree_folder.py); the incoming rows are thrown away at the
next attempt. A crash of the giver ends it; the leader, who sees that the member is still behind, offers again.

All of it are requests (service SNAPSHOT of Links). Everything here runs on the event loop; what blocks, on a disk
thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol, assert_never

import msgspec

from varley.errors import WorldError
from varley.net.channels import SNAPSHOT
from varley.node.member import HostedMember, life_of, member_name, node_of
from varley.paxos.events import SnapshotInstalled
from varley.paxos.membership import FULL, Configuration
from varley.storage.tree import Applied, Engine, EngineSnapshot, SnapshotGone
from varley.storage.tree_folder import SnapshotNote

logger = logging.getLogger("varley.node")

PIECE_BYTES: Final = 512 * 1024         # of rows in one answer: 1 ms of the loop
ANSWER_SECONDS: Final = 3.0
ATTEMPTS: Final = 5                     # at one piece
FORGET_SECONDS: Final = 30.0            # after the last piece was asked for, or given
AT_ONCE_MAX: Final = 3                  # that one group gives


class Offer(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The member `to`, of your node, is behind the log of my member, whose life on my node this is."""

    group: int
    to: str
    life: int


class Begin(msgspec.Struct, frozen=True, tag=True, array_like=True):
    group: int
    life: int       # of the member that is asked


class More(msgspec.Struct, frozen=True, tag=True, array_like=True):
    group: int
    number: int     # from Begun
    after: bytes    # key of the last row that came


class Begun(msgspec.Struct, frozen=True, tag=True, array_like=True):
    number: int
    applied: tuple[int, int, int, int]      # storage.tree.Applied
    origin: int
    configuration: Configuration


class Rows(msgspec.Struct, frozen=True, tag=True, array_like=True):
    rows: list[tuple[bytes, bytes]]         # [] at the end


class Gone(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """I cannot give it, or no longer."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_QUESTION: Final[msgspec.msgpack.Decoder[Offer | Begin | More]] = msgspec.msgpack.Decoder(Offer | Begin | More)
_ANSWER: Final[msgspec.msgpack.Decoder[Begun | Rows | Gone]] = msgspec.msgpack.Decoder(Begun | Rows | Gone)

Answer = Callable[[bytes], None]


class RequestLinks(Protocol):
    """What is needed of varley.net's Links."""

    def serve_requests(self, service: int, handler: Callable[[str, bytes, Answer], None]) -> None: ...

    def request(
        self, to: str, service: int, payload: bytes, then: Callable[[Any], None], *, timeout_seconds: float
    ) -> None: ...


class Incoming(Protocol):
    """Where a tree that comes goes: storage.tree_folder.TreeFolder or NoFolder. All but `install_incoming` block."""

    def open_incoming(self, group: int) -> Engine: ...
    def note_snapshot(self, group: int, note: SnapshotNote) -> None: ...
    def install_incoming(self, group: int, incoming: Engine) -> Engine: ...
    def settle_incoming(self, group: int) -> None: ...


class Giving:
    """One snapshot that is being given."""

    __slots__ = ("is_over", "last_used", "member", "slot", "snapshot", "taker")

    def __init__(self, member: HostedMember, snapshot: EngineSnapshot, now: float) -> None:
        self.is_over = False    # all of it was given
        self.taker = ""     # the node that takes it; "": it is ready, for whoever begins next
        self.member = member
        self.snapshot = snapshot
        self.slot = snapshot.applied.slot
        self.last_used = now


class Snapshots:
    """Those that the members of this node give and take."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        links: RequestLinks,
        by_group: dict[int, HostedMember],
        engines: Incoming,
        *,
        checkpoint: Callable[[int], None],
        pause_checkpoints: Callable[[int, Callable[[], None]], None],
        resume_checkpoints: Callable[[int], None],
        on_fatal: Callable[[WorldError], None],
    ) -> None:
        """`checkpoint(group)` begins one, unless one is under way; `has_checkpoint` is called when one is there.
        `pause_checkpoints(group, then)` calls `then` when none is under way, and none begins before
        `resume_checkpoints`."""
        self._loop = loop
        self._links = links
        self._by_group = by_group
        self._engines = engines
        self._checkpoint = checkpoint
        self._pause_checkpoints = pause_checkpoints
        self._resume_checkpoints = resume_checkpoints
        self._on_fatal = on_fatal
        self._giving: dict[int, Giving] = {}
        self._number = 0
        self._wanted: set[int] = set()          # groups whose next checkpoint is to be held ready
        self._ready: dict[int, int] = {}        # group -> number of what is, for whoever begins next
        self._taking: dict[int, _Taking] = {}
        links.serve_requests(SNAPSHOT, self._serve)

    # Giving

    def offer(self, member: HostedMember, to: str) -> None:
        offer = Offer(member.group, to, life_of(member.name))
        self._ask(node_of(to), offer, lambda answer: None)

    def has_checkpoint(self, group: int) -> None:
        """A checkpoint is finished."""
        member = self._by_group.get(group)
        if group in self._wanted and member is not None:
            self._wanted.discard(group)
            number = self._open(member)
            if number is not None:
                self._ready[group] = number

    def kept_slot(self, group: int) -> int | None:
        """The log keeps what comes after this slot, because somebody is being given the state up to there."""
        return min((each.slot for each in self._giving.values() if each.member.group == group), default=None)

    def taken_bytes(self, group: int) -> int:
        """Of the state that this group's member here is being given: so much has come. 0: it is being given none."""
        taking = self._taking.get(group)
        return 0 if taking is None else taking.bytes

    def leave(self, group: int) -> None:
        """The group is hosted no more."""
        for number, giving in list(self._giving.items()):
            if giving.member.group == group:
                self._end_giving(number)
        self._wanted.discard(group)
        taking = self._taking.pop(group, None)
        if taking is not None:
            taking.end()

    def stop(self) -> None:
        for group in list(self._by_group):
            self.leave(group)

    def _serve(self, sender: str, payload: bytes, answer: Answer) -> None:
        try:
            question = _QUESTION.decode(payload)
        except msgspec.DecodeError:
            answer(_ENCODER.encode(Gone()))
            return
        match question:
            case Offer():
                self._consider(sender, question)
                answer(b"")
            case Begin(group, life):
                member = self._by_group.get(group)
                if member is None or not member.has_tree or life_of(member.name) != life or member.is_over:
                    answer(_ENCODER.encode(Gone()))
                else:
                    answer(_ENCODER.encode(self._begin(member, sender)))
            case More(_, number, after):
                answer(_ENCODER.encode(self._more(number, after)))
            case _:
                assert_never(question)

    def _begin(self, member: HostedMember, taker: str) -> Begun | Gone:
        for before, giving in list(self._giving.items()):
            if giving.member is member and giving.taker == taker:
                self._end_giving(before)    # it has begun again
        ready = self._ready.pop(member.group, None)
        number = self._open(member) if ready is None else ready
        if number is None:
            self._wanted.add(member.group)
            if not self._has_arrived(member, member.tree.checkpointed_slot):
                return Gone()   # another checkpoint would not help
            self._checkpoint(member.group)
            return Gone()
        giving, log = self._giving[number], member.core.log
        giving.taker = taker
        origin = log.origin(giving.slot)
        assert origin is not None, "the log keeps what is being given"
        return Begun(number, giving.snapshot.applied, origin, log.configuration_at(giving.slot))

    def _open(self, member: HostedMember) -> int | None:
        """A snapshot of what there is now, if it is of use; its number."""
        given = sum(giving.member is member and not giving.is_over for giving in self._giving.values())
        tree = member.tree
        is_of_use = tree.checkpointed_slot >= max(member.core.log.base, 1)
        is_of_use = is_of_use and self._has_arrived(member, tree.checkpointed_slot)
        snapshot = tree.snapshot() if is_of_use and given < AT_ONCE_MAX else None
        if snapshot is None:
            return None
        self._number += 1
        self._giving[self._number] = Giving(member, snapshot, self._loop.time())
        self._loop.call_later(FORGET_SECONDS, self._forget_if_idle, self._number)
        return self._number

    def _has_arrived(self, member: HostedMember, slot: int) -> bool:
        """Whether what the entries up to `slot` carry elsewhere has arrived there, as far as is known. The receiver
        will not have them, and could not carry on with it if it were the next to lead."""
        kept = member.core.kept
        return kept is not None and slot <= kept

    def _more(self, number: int, after: bytes) -> Rows | Gone:
        giving = self._giving.get(number)
        if giving is None:
            return Gone()
        if giving.is_over:
            return Rows([])     # the answer that said so was lost
        giving.last_used = self._loop.time()
        try:
            rows = giving.snapshot.rows(after, PIECE_BYTES)
            if not rows:
                giving.is_over = True
                giving.snapshot.close()     # and the log is kept for a while
            return Rows(rows)
        except SnapshotGone:
            self._end_giving(number)
        except WorldError as error:
            logger.error("a snapshot cannot be given: %s", error)
            self._end_giving(number)
        return Gone()

    def _forget_if_idle(self, number: int) -> None:
        giving = self._giving.get(number)
        if giving is None:
            return
        left = giving.last_used + FORGET_SECONDS - self._loop.time()
        if left <= 0:
            self._end_giving(number)
        else:
            self._loop.call_later(left, self._forget_if_idle, number)

    def _end_giving(self, number: int) -> None:
        giving = self._giving.pop(number)
        giving.snapshot.close()
        if self._ready.get(giving.member.group) == number:
            del self._ready[giving.member.group]

    # Taking

    def _consider(self, sender: str, offer: Offer) -> None:
        member = self._by_group.get(offer.group)
        if member is None or member.name != offer.to or member.member.kind != FULL or offer.group in self._taking:
            return
        logger.info("group %d: taking the state of %s", offer.group, member_name(sender, offer.life))
        taking = self._taking[offer.group] = _Taking(self, member, sender, offer.life)
        taking.begin()

    def _ask(self, node: str, question: Offer | Begin | More, then: Callable[[Any], None]) -> None:
        self._links.request(node, SNAPSHOT, _ENCODER.encode(question), then, timeout_seconds=ANSWER_SECONDS)


class _Taking:
    """One snapshot that is being taken."""

    def __init__(self, snapshots: Snapshots, member: HostedMember, node: str, life: int) -> None:
        self._snapshots = snapshots
        self._member = member
        self._node = node
        self._life = life
        self._attempts = 0
        self._begun: Begun
        self._incoming: Engine | None = None
        self._after = b""
        self.bytes = 0              # of rows that came
        self._is_ended = False
        self._is_on_disk_thread = False     # which has _incoming, then

    def begin(self) -> None:
        self._ask(Begin(self._member.group, self._life), self._has_begun)

    def end(self) -> None:
        """It is there, or given up: if the member is still behind, the leader offers again."""
        if not self._is_ended:
            self._is_ended = True
            self._snapshots._taking.pop(self._member.group, None)
            if not self._is_on_disk_thread:
                self._close()

    def _close(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None

    def _ask(self, question: Begin | More, then: Callable[[Begun | Rows | Gone], None]) -> None:
        def answered(payload: Any) -> None:
            if self._is_ended:
                return
            if isinstance(payload, bytes):
                self._attempts = 0
                try:
                    answer = _ANSWER.decode(payload)
                except msgspec.DecodeError as error:
                    logger.warning("what %s gives is not understood: %s", self._node, error)
                    self.end()
                else:
                    then(answer)
                return
            self._attempts += 1
            if self._attempts < ATTEMPTS:
                self._ask(question, then)
            else:
                self.end()

        self._snapshots._ask(self._node, question, answered)

    def _has_begun(self, answer: Begun | Rows | Gone) -> None:
        if not isinstance(answer, Begun) or answer.applied[0] <= self._member.core.chosen:
            self.end()
            return
        self._begun = answer

        def opened(engine: Engine) -> None:
            self._incoming = engine
            self._next()

        self._block(opened, self._snapshots._engines.open_incoming, self._member.group)

    def _next(self) -> None:
        self._ask(More(self._member.group, self._begun.number, self._after), self._take)

    def _take(self, answer: Begun | Rows | Gone) -> None:
        if not isinstance(answer, Rows):
            self.end()
            return
        engine = self._incoming
        assert engine is not None
        if not answer.rows:
            self._block(lambda _: self._pause(), self._finish, engine)
            return
        self._after = answer.rows[-1][0]
        size = sum(len(key) + len(value) for key, value in answer.rows)
        self.bytes += size
        try:
            engine.reserve(len(answer.rows), size)
        except WorldError as error:
            self._fail(error)
            return
        self._block(lambda _: self._next(), engine.write, iter(answer.rows), None)

    def _finish(self, engine: Engine) -> None:
        """On a disk thread."""
        begun = self._begun
        engine.write(iter(()), Applied(*begun.applied))
        note = SnapshotNote(begun.applied[0], begun.origin, begun.configuration)
        self._snapshots._engines.note_snapshot(self._member.group, note)

    def _pause(self) -> None:
        self._snapshots._pause_checkpoints(self._member.group, self._install)

    def _install(self) -> None:
        """No checkpoint is under way. Between here and the next line of the log, a crash leaves the new state, and a
        log that does not reach it: recovery finds what is missing in the note."""
        member, engine, slot = self._member, self._incoming, self._begun.applied[0]
        engines, group = self._snapshots._engines, self._member.group
        if self._is_ended or engine is None or slot <= max(member.core.chosen, member.tree.applied_slot):
            self._snapshots._resume_checkpoints(group)
            self.end()
            return
        self._incoming = None
        try:
            member.tree.replace(lambda: engines.install_incoming(group, engine))
        except (WorldError, OSError) as error:
            self._snapshots._on_fatal(
                error if isinstance(error, WorldError) else WorldError(f"A tree cannot be taken in: {error}")
            )
            return
        self._block(lambda _: self._tell_core(), engines.settle_incoming, group)

    def _tell_core(self) -> None:
        member, begun = self._member, self._begun
        slot = begun.applied[0]
        if slot > member.core.chosen:
            member.step(SnapshotInstalled(slot, begun.origin, begun.configuration))
            member.note_state()
        self._snapshots._resume_checkpoints(member.group)
        logger.info("group %d: has the state up to slot %d", member.group, slot)
        self.end()

    def _block(self, then: Callable[[Any], None], work: Callable[..., Any], *arguments: Any) -> None:
        """Do it on a disk thread, then go on here."""

        def done(future: asyncio.Future[Any]) -> None:
            self._is_on_disk_thread = False
            error = future.exception()
            if self._is_ended:
                self._close()
            elif isinstance(error, WorldError):
                self._fail(error)
            elif error is not None:
                self._snapshots._resume_checkpoints(self._member.group)
                self.end()      # or the group would take no other, ever
                raise error
            else:
                then(future.result())

        self._is_on_disk_thread = True
        self._snapshots._loop.run_in_executor(None, work, *arguments).add_done_callback(done)

    def _fail(self, error: WorldError) -> None:
        logger.warning("group %d: the state of %s cannot be taken: %s", self._member.group, self._node, error)
        self._snapshots._resume_checkpoints(self._member.group)
        self.end()
