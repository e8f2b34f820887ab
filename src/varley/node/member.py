"""A member of a larger group on this node: it drives one paxos.Replica, which says what is to be done and does nothing.

    propose -> pending --end of the turn--> Propose --> records --> log thread --+   persist
                                               |                                 |
                                               +--> send_at_once: peers' disks   |   while ours is written
                                                                                 v
    answers of peers --> Received --> ...........................> waiting --> released: send, apply, serving, reads
                                                                  (in order; each behind its records and all before)

Towards a Partition it looks like node.replica.Replica, while it leads: proposals stand in a speculative layer until
they are applied. What is different is how they can end:

    applied         at its slot, with the ballot it was proposed in as origin: that names it. Answered.
    not proposed    this member led no longer when the turn ended: it surely did not happen (NotLeading)
    dropped         the leadership went while it was on its way: it may happen or not (LeaderReplaced)

The order of effects is the protocol's safety (paxos/effects.py). `_waiting` keeps it: steps leave it from its left end
only, each when the log has said that its records are durable; a step without records that comes behind one with waits
too. What is done in a release may lead to the next step (a waiter that writes again, a message to oneself): that step's
effects wait for the end of the release.

When the disk refuses (full, read-only) nothing is lost: the records are kept, in order, and written when it takes
writes again. Seen from outside this is a member whose disk is very slow, which is something that the group lives with:
a leader loses its lease, as its own grants wait behind its disk; a follower does not answer. Until then messages are
not listened to, so that what waits does not grow. Rejected: stopping the member and reading its records again (the
node has one log for all of its groups, and a full disk is full for all of them).

Measured in memory with rows of 1 KB on 2 busy cores, CPU for each write: a group of one 5 µs; a leader whose two peers
are other processes 15 µs when 64 writes come in a turn of the loop, of which the sockets are the largest part; all
three members in one process 25 µs (64 in a turn) and 40 µs (16).

Everything here runs on the event loop.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from varley.errors import LeaderReplaced, LogFailed, NotLeading, WorldError
from varley.item.key_bytes import OUTGOING_SPACE
from varley.node.replica import ANSWER_LOST, Outgoing, Proposal, Waiter
from varley.paxos.ballot import NO_BALLOT
from varley.paxos.effects import Effects, NotProposed, NotRead, ReadAt
from varley.paxos.events import Change, Event, HandOver, Propose, Read, Received, Reconfigure, Tick, Trim
from varley.paxos.membership import FULL, Configuration, Member
from varley.paxos.messages import VALUE, AnyMessage, Entry
from varley.paxos.records import Record
from varley.paxos.replica import Replica as Core
from varley.storage.log_format import Row, decode_rows, encode_rows, entry_timestamp
from varley.storage.member_log import Before, Orders, State, encode, last_slot, state_of
from varley.storage.tree import Tree

logger = logging.getLogger("varley.node")

UNDECIDED_ENTRIES_MAX: Final = 8192
UNDECIDED_BYTES_MAX: Final = 16 * 1024 * 1024
ENTRY_BYTES_MAX: Final = 160 * 1024 * 1024      # a frame of the links takes it, beside what a promise has to carry

LOG_ENTRIES_MAX: Final = 4096                   # a log member drops what it may when it has more,
LOG_BYTES_MAX: Final = 16 * 1024 * 1024         # or more than that
RETAINED_BYTES_MAX: Final = 16 * 1024 * 1024    # so much is kept for followers that do not have it yet
_SEARCHED_ENTRIES: Final = 2000     # in one step, for what they carry elsewhere: some milliseconds
_STRANGE_US: Final = 60_000_000     # after so long of leading, what is carried to somebody unknown goes to nobody
_OUTGOING: Final = OUTGOING_SPACE[0]

Confirmed = Callable[[BaseException | None], None]


class Host(Protocol):
    """What a member needs of the node it is on."""

    def now_us(self) -> int:
        """The clock of leases: microseconds, never goes back, counts while the machine is suspended."""
        ...

    def append_records(
        self, group: int, order: int, records: Sequence[bytes], part: object, waiter: object
    ) -> None:
        """To the log; `waiter.replica` hears `chosen(waiter)` or `abandon(waiter, error)`."""
        ...

    def flush_soon(self, member: HostedMember) -> None:
        """Call `member.flush()` at the end of this turn of the loop."""
        ...

    def send(self, group: int, sender: Member, to: str, message: AnyMessage) -> None: ...

    def send_at_rest(self, group: int, sender: str, to: Sequence[str], lease_left: int, ballot: int, slot: int) -> None:
        """The Beat of a leader at rest, together with those of others."""
        ...

    def wake(self, member: HostedMember, at_us: int) -> None:
        """Call `member.tick(now)` at about that time; what was asked for before does not count any more."""
        ...

    def has_followed(self) -> None:
        """A member that led does so no longer."""
        ...

    def has_failed(self, member: HostedMember, error: Exception) -> None:
        """A step of it has raised: `end` all members, and the node."""
        ...

    def state_is_noted(self) -> None:
        """Older records of a member may go from the log."""
        ...

    def snapshot_is_needed(self, member: HostedMember, by: str) -> None:
        """The member `by` is to be given this one's state."""
        ...


class Follows(Protocol):
    """What is told when a member begins or ends to lead: its Partition."""

    def leads(self, ballot: int) -> None: ...
    def follows(self) -> None: ...


class Step:
    """The effects of one step that wait for the log."""

    __slots__ = ("effects", "is_durable", "order", "records", "replica", "state_base", "state_order", "written")

    def __init__(self, replica: HostedMember, effects: Effects, order: int, records: list[bytes]) -> None:
        self.replica = replica
        self.effects = effects
        self.state_order = 0            # of the State that it writes; 0: none
        self.state_base = 0             # its base
        self.order = order              # of the first record
        self.records = records          # of the log: what is durable first
        self.written = 0                # of them, so many are durable, and are never written again
        self.is_durable = not records


class _Parts:
    """Waits for the records of a step that are not its last.

    They may go with different frames, and the disk may be full between these. Story: 1. A step has the entries 5 to 9.
    2. The frame with 5 and 6 is durable, the next is refused. 3. If all five were written again, the log would have 5
    behind 6: who reads it finds a hole there, and the member must give itself up as one whose log is lost."""

    __slots__ = ("_step",)

    def __init__(self, step: Step) -> None:
        self._step = step

    @property
    def replica(self) -> _Parts:
        return self

    def chosen(self, waiter: object) -> None:
        self._step.written += 1

    def abandon(self, waiter: object, error: WorldError) -> None:
        pass    # the last one is refused too, and tells


class HostedMember:
    """See above. `tree` is None in a log member, which votes and keeps no state."""

    tree: Tree      # not there in a log member, which has no state

    __slots__ = (
        "_before", "_changes", "_host", "_in_flight", "_inbox", "_is_carrying", "_is_given_up", "_is_noting",
        "_is_over", "_is_releasing", "_is_stalled", "_lease_seen", "_led_since", "_member", "_pending", "_read",
        "_reads", "_searched", "_successor", "_tried", "_undecided", "_waiting", "_when_idle", "answers", "ballot",
        "core", "due_us", "epoch", "group", "has_tree", "is_leading", "life", "name", "newest", "on_abandon",
        "orders", "outgoing", "partition", "proposed_bytes", "scheduled_us", "speculative", "tree", "undecided_bytes",
    )  # fmt: skip

    def __init__(
        self,
        host: Host,
        group: int,
        member: Member,
        core: Core,
        tree: Tree | None,
        orders: Orders,
        before: Before | None = None,
    ) -> None:
        assert (tree is not None) == (member.kind == FULL)
        self.group = group
        self.name = member.name
        self.life = life_of(member.name)
        self.core = core
        self.orders = orders
        self.partition: Follows | None = None   # None in a log member
        self._host = host
        self._member = member
        self._before = before
        self.has_tree = tree is not None
        if tree is not None:
            self.tree = tree
        # Between steps and the log
        self._waiting: deque[Step] = deque()
        self._in_flight = 0             # of those, so many were given to the log, which has not answered yet
        self._is_stalled = False        # the log has refused: what is in _waiting is given to it again, later
        self._is_releasing = False
        self._is_over = False           # a step has raised, here or in another member: nothing is done any more
        self._is_noting = False         # a State is on its way
        self._is_given_up = False       # the node lets go of it: what was under way ends, and it leads no more
        self._when_idle: list[Callable[[], None]] = []
        self._inbox: deque[AnyMessage] = deque()    # to oneself
        self._reads: dict[int, Confirmed] = {}
        self._changes: list[tuple[int, Confirmed]] = []     # (slot of a configuration, who waits for it)
        self._read = 0                  # number of the last one
        self.due_us = 0                 # when the core wants to be woken
        self.scheduled_us = 0           # when the host will, <= due_us; 0: not
        # As in node.replica.Replica, while it leads
        self.ballot = NO_BALLOT         # in which it leads; NO_BALLOT: it does not
        self._led_since = 0
        self.is_leading = False         # and proposals are taken
        self.epoch = 0
        self.speculative: dict[bytes, Proposal] = {}
        self.newest: Proposal | None = None
        self.on_abandon: Callable[[], None] | None = None
        self.outgoing: Outgoing | None = None
        self._is_carrying = False       # what entries carry elsewhere is sent from here
        # While that is so, and nobody takes it: the entries up to here carry nothing. None: all.
        self._searched: int | None = None
        self._tried = 0                 # of a log member: up to here it has tried to drop what others hold
        self.undecided_bytes = 0        # of values proposed and not applied
        # How busy it is; both only ever grow
        self.proposed_bytes = 0         # of values
        self.answers = 0                # computed from the state, and checked before they were told
        self._pending: list[tuple[Proposal, bytes]] = []    # of this turn, with the values they propose
        self._undecided: deque[tuple[Proposal, int]] = deque()  # in the order of slots, with the bytes of their values
        self._successor: str | None = None      # is to lead as soon as nothing is undecided
        self._lease_seen = 0            # the lease in `ballot` surely runs until then

    # What can be seen

    @property
    def member(self) -> Member:
        return self._member

    @property
    def leader_name(self) -> str | None:
        return self.name if self.is_leading else self.core.leader_name

    @property
    def is_full(self) -> bool:
        """Whether so much is undecided that nothing more is to be proposed."""
        return (
            self.undecided_bytes > UNDECIDED_BYTES_MAX
            or len(self._undecided) + len(self._pending) > UNDECIDED_ENTRIES_MAX
        )

    @property
    def has_led_us(self) -> int:
        """For how long it has been leading; 0: it does not."""
        return self._host.now_us() - self._led_since if self.is_leading else 0

    @property
    def is_stalled(self) -> bool:
        return self._is_stalled

    @property
    def is_over(self) -> bool:
        """A step has raised: this node ends, and what the member holds may be wrong."""
        return self._is_over

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits for the log."""
        return not self._waiting and not self._pending

    @property
    def unsaved_bytes(self) -> int:
        """See checkpoints.Held."""
        tree = self.tree
        return max(tree.overlay_bytes, self.core.log.bytes_after(tree.checkpointed_slot))

    @property
    def releasable_slot(self) -> int:
        """For the log, which counts the records of members by their order: see storage/member_log.py."""
        return self.orders.releasable

    def is_held_back(self, order: int) -> bool:
        """See checkpoints.Held; what is a slot there is an order here."""
        kept = self.core.kept
        return order > self.orders.releasable and kept is not None and kept < self.tree.checkpointed_slot

    def would_let_go(self, order: int) -> bool:
        """See checkpoints.Held."""
        return order > self.orders.releasable and self.tree.applied_slot > self.tree.checkpointed_slot

    def let_go_of(self, order: int) -> None:
        """The log is long: do what lets go of this record, but for a checkpoint."""
        if order <= self.orders.releasable:
            return
        if not self.has_tree:
            self.trim(self.core.chosen)
        if self.orders.is_held_by_state or not self.has_tree:
            self.note_state()

    def newest_row(self, key: bytes) -> bytes | None:
        """The row as the next write would find it: through the speculative layer."""
        observed = self.speculative.get(key)
        return self.tree.get(key) if observed is None else observed.row(key)

    def applied_rows(self, after: int) -> Iterator[tuple[int, Sequence[Row]]]:
        """(slot, rows) of what is applied and still in the log, behind slot `after`."""
        log, applied = self.core.log, self.tree.applied_slot
        for slot in range(max(after, log.base) + 1, applied + 1):
            yield slot, _rows(log.entry(slot))

    # What entries carry to other groups
    #
    # Who leads sends it. It tells the others up to which slot all has arrived, with each beat; they keep what is behind
    # that in their logs, and nothing in memory. What it has told is true for ever, so whoever leads next begins there;
    # one that has been told nothing, since it was started, begins with all that its log has.
    #
    # A leader begins with that when it serves; or before, if another member needs its state first. Story: 1. A and B
    # elect A, C is away. 2. B is behind A's log, and A serves only when B has accepted A's first entry. 3. B gets no
    # state that holds what has not arrived (snapshots.py). What A has applied is chosen: so A sends what that carries,
    # serving or not.

    def carry(self, outgoing: Outgoing | None) -> None:
        """From now on `outgoing` takes what chosen entries carry; None: nobody does, and nobody has to."""
        if outgoing is self.outgoing:
            return
        self.outgoing = outgoing
        self._searched = None
        if outgoing is None:
            return
        if self._is_carrying:
            outgoing.begins(self.core.kept or 0, self.applied_rows)
        else:
            outgoing.ends()

    def _begin_to_carry(self) -> None:
        self._is_carrying = True
        self._searched = kept = self.core.kept or 0
        if self.outgoing is not None:
            self.outgoing.begins(kept, self.applied_rows)
        self._say_what_is_kept()

    def _carry_no_more(self) -> None:
        self._is_carrying = False
        if self.outgoing is not None:
            self.outgoing.ends()

    def _say_what_is_kept(self) -> None:
        applied = self.tree.applied_slot
        if self.outgoing is not None:
            self.core.keep_after(self.outgoing.kept_after(applied))
            return
        if self._searched is not None:
            self._searched = self._search(self._searched)
        self.core.keep_after(applied if self._searched is None else self._searched)

    def _search(self, after: int) -> int | None:
        """The last slot behind `after` up to which nothing is carried; None: nothing is, nor will be.

        An index may be known to the leader before, and not here yet; or it was deleted since."""
        if self.has_led_us > _STRANGE_US and self.tree.parting is None:
            return None     # what goes to a child is never nobody's
        for count, (slot, rows) in enumerate(self.applied_rows(after)):
            if count == _SEARCHED_ENTRIES or any(row[1][0] == _OUTGOING for row in rows):
                return slot - 1
        return None if self.tree.parting is None else self.tree.applied_slot

    # Proposing

    def propose(self, timestamp_us: int, rows: Sequence[Row], waiter: Waiter, answer: bytes) -> None:
        """As Replica.propose. HOT PATH."""
        assert self.is_leading, "who proposes has asked whether this member leads"
        if self.tree.carried is not None:
            rows = self.tree.with_carried(rows)
        value = encode_rows(rows, timestamp_us)
        assert len(value) <= ENTRY_BYTES_MAX, "an entry that cannot be sent"    # and it would stay in the log
        proposal = Proposal(self, 0, rows, waiter, answer)
        speculative = self.speculative
        for row in rows:
            speculative[row[1]] = proposal
        self.newest = proposal
        self.undecided_bytes += len(value)
        self.proposed_bytes += len(value)
        pending = self._pending
        if not pending:
            self._host.flush_soon(self)
        pending.append((proposal, value))

    def flush(self) -> None:
        """Propose what this turn of the loop has gathered, in one step."""
        if self._pending:
            try:
                self._flush()
            except Exception as error:
                self._host.has_failed(self, error)
                raise

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        slot = self.core.log.last
        undecided = self._undecided
        for proposal, value in pending:
            proposal.slot = slot = slot + 1
            undecided.append((proposal, len(value)))
        effects = self.core.step(Propose(self.ballot, tuple([value for _, value in pending])), self._host.now_us())
        proposed = effects.proposed
        if isinstance(proposed, NotProposed):
            # They are the newest: take them back before the rest is dropped.
            for _ in pending:
                undecided.pop()
            self._pending = pending
            self._drop()
        else:
            assert proposed is not None and proposed.first_slot == pending[0][0].slot
        self._carry_out(effects)

    # Events

    def tick(self, now_us: int) -> None:
        try:
            if self.ballot and self._beat_at_rest(now_us):
                return
            if self._is_carrying and not self.core.is_elected:
                self._carry_no_more()   # it never came to serve
            if self._is_carrying:
                self._say_what_is_kept()    # the next beat says it
        except Exception as error:
            self._host.has_failed(self, error)
            raise
        self.step(Tick())

    # At rest: see paxos/rest.py. What waits for the disk makes it a step.

    def _beat_at_rest(self, now_us: int) -> bool:
        if self._waiting or self._pending or self._is_stalled:
            return False
        core = self.core
        lease_left = core.beat_at_rest(now_us)
        if lease_left is None:
            return False
        others = core.configuration.others(self.name)
        self._host.send_at_rest(self.group, self.name, others, lease_left, self.ballot, core.log.last)
        self.due_us = core.due
        self._host.wake(self, self.due_us)
        return True

    def grant_at_rest(self, sender: str, ballot: int, slot: int, lease_left: int, now_us: int) -> bool:
        """Whether it is granted, and to be answered in short. False: `receive` it as a Beat."""
        if self._waiting or self._is_stalled:
            return False
        try:
            is_granted = self.core.grant_at_rest(sender, ballot, slot, lease_left, now_us)
        except Exception as error:
            self._host.has_failed(self, error)
            raise
        if is_granted:
            self.due_us = self.core.due     # later than before
        return is_granted

    def granted_at_rest(self, sender: str, ballot: int, sent_at: int) -> bool:
        """Whether it is counted. False: `receive` it as a Granted."""
        return self.core.granted_at_rest(sender, ballot, sent_at)

    def receive(self, sender: str, message: AnyMessage) -> None:
        if not self._is_stalled:
            self.step(Received(sender, message))
            if not self.has_tree:
                self._drop_what_may_go()

    def _drop_what_may_go(self) -> None:
        """Of a log member. Others may not hold it yet: so it is tried again when there is as much again."""
        log, chosen = self.core.log, self.core.chosen
        since = max(log.base, self._tried)
        if chosen - since > LOG_ENTRIES_MAX or log.bytes_between(since, chosen) > LOG_BYTES_MAX:
            self._tried = chosen
            self.trim(chosen)

    def step(self, event: Event) -> Effects:
        assert not self._is_over, "stepped after a step that failed"
        if self._pending:
            self.flush()    # its slots are the next ones, whatever this event leads to
        try:
            effects = self.core.step(event, self._host.now_us())
            self._carry_out(effects)
        except Exception as error:
            self._host.has_failed(self, error)      # why: members.py
            raise
        return effects

    def hand_over(self, to: str) -> str | None:
        """Let the member `to` lead. Nothing is proposed here any more, unless it does not begin to lead for a while.
        Says why it is refused, or None.

        First all is decided that was proposed: who waits for that would be told that nobody knows, if it were the
        successor that decides it."""
        if self._pending:
            self.flush()
        if not self._undecided:
            return self._hand_over_now(to)
        member = self.core.configuration.member(to)
        if not self.is_leading or member is None or not member.may_lead or to == self.name:
            return "it cannot lead" if self.is_leading else "not the leader"
        self._successor = to
        self.is_leading = False
        return None

    def _hand_over_now(self, to: str) -> str | None:
        refusal = self.step(HandOver(to)).refusal
        self.is_leading = refusal is not None and self.ballot != NO_BALLOT
        return refusal

    def hand_over_to_anybody(self) -> bool:
        """Let the member lead that has most of the log; whether there is one."""
        matched = self.core.matched
        others = [one for one in self.core.configuration.members if one.may_lead and one.name != self.name]
        best = max(others, key=lambda one: matched.get(one.name, 0), default=None)
        return best is not None and best.name in matched and self.hand_over(best.name) is None

    def reconfigure(self, change: Change, then: Confirmed | None = None) -> str | None:
        """Propose another configuration; says why it is refused, or None. `then` hears when it is chosen, or that
        nobody knows."""
        refusal = self.step(Reconfigure(change)).refusal
        if refusal is None and then is not None:
            self._changes.append((self.core.log.configuration_slot, then))
        return refusal

    @property
    def configuration(self) -> tuple[int, Configuration]:
        """(since which slot, the newest that is surely chosen)."""
        return self.core.log.configuration_since(self.core.chosen)

    def may_answer(self, ballot: int) -> bool:
        """Whether what was computed from the applied state, under the leadership of `ballot`, may be told now."""
        if ballot != self.ballot or ballot == NO_BALLOT:
            return False
        self.answers += 1
        now = self._host.now_us()
        if now < self._lease_seen:
            return True
        if not self.core.may_answer(ballot, now):
            return False
        self._lease_seen = self.core.lease_until
        return True

    def confirm(self, then: Confirmed) -> None:
        """Call `then(None)` when what is applied is no older than anything that was answered, by anybody, before this
        call; `then(error)` if this member does not lead. May call at once."""
        if self._is_given_up:
            then(NotLeading(self.group, None))
            return
        self._read += 1
        self._reads[self._read] = then
        self.step(Read(self._read, by_lease=False))

    def trim(self, slot: int) -> None:
        """Up to here the state is durable, and nobody needs the entries."""
        if slot > self.core.log.base and not self._is_over:
            self.step(Trim(slot))

    def trim_to_checkpoint(self, kept_slot: int | None) -> None:
        """After a checkpoint: drop the entries that nobody needs any more; after `kept_slot` somebody does."""
        log = self.core.log
        if self._is_carrying and self.core.is_elected:
            self._say_what_is_kept()
        # Not known yet, after a start: then nothing goes.
        needed_after = log.base if self.core.kept is None else self.core.kept
        slot = min(each for each in (self.tree.checkpointed_slot, needed_after, kept_slot) if each is not None)
        if slot <= log.base:
            return
        behind = min(self.core.matched.values(), default=slot)
        if log.base <= behind < slot and log.bytes_between(behind, slot) <= RETAINED_BYTES_MAX:
            slot = behind
        self.trim(slot)

    def note_state(self) -> None:
        """Write down what all records so far come to, so that older ones may go."""
        if not self._is_noting:
            self._is_noting = True
            state = state_of(self._member, self.core.acceptor, self._before)
            self._persist((state,), _NOTHING_TO_DO, state_base=state.base)

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` when the log has answered for all that it was given; may call at once."""
        self._when_idle.append(then)
        if not self._in_flight:
            self._tell_idle()

    def _tell_idle(self) -> None:
        told, self._when_idle = self._when_idle, []
        for then in told:
            then()

    # Effects

    def _carry_out(self, effects: Effects) -> None:
        """In the order of paxos/effects.py."""
        host, group, member = self._host, self.group, self._member
        if effects.dropped is not None and self.ballot == effects.dropped.ballot:
            self._drop()
        for to, message in effects.send_at_once:
            host.send(group, member, to, message)
        for by in effects.snapshots:
            if self.core.is_elected and not self._is_carrying:
                self._begin_to_carry()
            host.snapshot_is_needed(self, by)
        if effects.persist:
            self._lease_seen = 0    # who belongs to the group may be others now, and they may have granted nothing
            self._persist(effects.persist, effects)
        elif effects.send or effects.apply or effects.reads or effects.serving is not None:
            self._waiting.append(Step(self, effects, 0, []))
            self._release()
        if self.ballot and not self.is_leading and not self.core.is_handing_over and self._successor is None:
            self.is_leading = True      # the successor did not come
        self.due_us = effects.timers
        if not 0 < self.scheduled_us <= effects.timers:
            host.wake(self, effects.timers)

    def _persist(
        self, records: Iterable[Record | State], effects: Effects, *, state_base: int | None = None
    ) -> None:
        orders, group = self.orders, self.group
        first = orders.next
        encoded: list[bytes] = []
        for record in records:
            last = last_slot(record)
            if last:
                orders.entries.append((first + len(encoded), last))
            encoded += encode(group, record)
        orders.next = order = first + len(encoded)
        step = Step(self, effects, first, encoded)
        if state_base is not None:
            step.state_order, step.state_base = order - 1, state_base
        self._waiting.append(step)
        if not self._is_stalled:
            self._append(step)

    def _append(self, step: Step) -> None:
        self._in_flight += 1
        left = step.records[step.written :]
        self._host.append_records(self.group, step.order + step.written, left, _Parts(step), step)

    def chosen(self, step: Step) -> None:
        """The log has the records of this step. (What a group of one calls chosen.)"""
        self._in_flight -= 1
        step.is_durable = True
        step.records = []
        if step.state_order:
            self.orders.noted(step.state_order, step.state_base)
            self._is_noting = False
            self._host.state_is_noted()
        if not self._is_over:
            try:
                self._release()
            except Exception as error:
                self._host.has_failed(self, error)
                raise
        if not self._in_flight:
            self._tell_idle()

    def abandon(self, step: Step, error: WorldError) -> None:
        """The log could not take them; see above."""
        self._in_flight -= 1
        self._is_stalled = True
        if isinstance(error, LogFailed):
            self.give_up(error)     # the node ends: there is no later
        if not self._in_flight:
            self._tell_idle()

    def try_again(self) -> None:
        """The log takes writes: give it what it has refused, once it has refused all that was on its way."""
        if self._is_stalled and not self._in_flight and not self._is_over:
            self._is_stalled = False
            for step in list(self._waiting):
                if not step.is_durable:
                    self._append(step)

    def give_up(self, error: BaseException) -> None:
        """This node ends, or this member: tell who waits. What the log has still to answer for may yet make it the
        leader, as far as the core knows, but nobody hears of that: no timers keep it in office any more."""
        self._is_given_up = True
        self._drop(error)
        reads, self._reads = self._reads, {}
        for then in reads.values():
            _tell(then, error)

    def end(self, error: BaseException) -> None:
        """A step has raised, of this member or of another one on this node: nothing is done here any more."""
        self._is_over = True
        self._is_stalled = True
        try:
            self.give_up(error)
        except Exception:       # what it was doing when it failed may be half done
            logger.exception("whoever waited for group %d may not have been told", self.group)

    def _release(self) -> None:
        if self._is_releasing:
            return
        self._is_releasing = True
        waiting, inbox = self._waiting, self._inbox
        try:
            while True:
                while waiting and waiting[0].is_durable and not self._is_over:
                    self._do(waiting.popleft().effects)
                if not inbox or self._is_over:
                    break
                self.step(Received(self.name, inbox.popleft()))
        finally:
            self._is_releasing = False

    def _do(self, effects: Effects) -> None:
        name, inbox = self.name, self._inbox
        for to, message in effects.send:
            if to == name:
                inbox.append(message)
            else:
                self._host.send(self.group, self._member, to, message)
        if effects.apply:
            self._apply(effects.apply)
        if effects.serving is not None:
            self._serve(effects.serving.ballot)
        for read in effects.reads:
            self._answer_read(read)
        if self._successor is not None and not self._undecided:
            successor, self._successor = self._successor, None
            self._hand_over_now(successor)

    def _apply(self, entries: Iterable[tuple[int, Entry]]) -> None:
        tree, undecided = self.tree, self._undecided
        for slot, entry in entries:
            if slot <= tree.applied_slot:
                continue    # a snapshot overtook it
            if undecided and undecided[0][0].slot == slot:
                proposal, value_bytes = undecided.popleft()
                assert entry.origin == self.ballot, "what was dropped is undecided still"
                self.undecided_bytes -= value_bytes
                self._apply_own(slot, proposal)
                continue
            if entry.kind != VALUE:
                tree.apply(slot, ())
                self._has_changed(slot)
                continue
            rows = _rows(entry)
            tree.apply(slot, rows)
            timestamp_us = entry_timestamp(entry.value)
            if timestamp_us > tree.last_timestamp_us:
                tree.last_timestamp_us = timestamp_us
            if self.outgoing is not None:
                self.outgoing.chosen(slot, rows)

    def _has_changed(self, slot: int) -> None:
        """The entry of `slot`, which may be a configuration that was proposed here, is chosen."""
        chosen = [then for at, then in self._changes if at <= slot]
        self._changes = [change for change in self._changes if change[0] > slot]
        for then in chosen:
            _tell(then, None)

    def _apply_own(self, slot: int, proposal: Proposal) -> None:
        rows = proposal.rows
        self.tree.apply(slot, rows)
        speculative = self.speculative
        for row in rows:
            if speculative[row[1]] is proposal:
                del speculative[row[1]]
        if self.newest is proposal:
            self.newest = None
        proposal.tell(None)
        if self.outgoing is not None:
            self.outgoing.chosen(slot, rows)

    def _serve(self, ballot: int) -> None:
        if self._is_given_up or self.core.serving_ballot != ballot:
            return      # it was dropped while this waited
        assert not self._undecided and not self._pending and not self.speculative
        self.ballot = ballot
        self.is_leading = True
        self._led_since = self._host.now_us()
        self._begin_to_carry()
        assert self.partition is not None
        self.partition.leads(ballot)

    def _answer_read(self, read: ReadAt | NotRead) -> None:
        then = self._reads.pop(read.read, None)
        if then is None:
            return
        if isinstance(read, NotRead):
            _tell(then, NotLeading(self.group, _node_of(read.leader or self.core.leader_name)))
            return
        assert read.slot <= self.tree.applied_slot, "a read before what it must see"
        _tell(then, None)

    def _drop(self, error: BaseException | None = None) -> None:
        """It leads no longer. Those of this turn surely did not happen; of the others nobody knows."""
        if self.ballot == NO_BALLOT:
            return
        self.ballot = NO_BALLOT
        self.is_leading = False
        self.tree.open_up()
        self._lease_seen = 0
        self._successor = None
        self.epoch += 1
        if self.on_abandon is not None:
            self.on_abandon()
        self._carry_no_more()
        self.speculative.clear()
        self.newest = None
        self.undecided_bytes = 0
        undecided, self._undecided = self._undecided, deque()
        pending, self._pending = self._pending, []
        unknown = error or LeaderReplaced(self.group)
        not_done = error or NotLeading(self.group, _node_of(self.core.leader_name))
        for proposal, _ in undecided:
            proposal.tell(unknown)
        for proposal, _ in pending:
            proposal.tell(not_done)
        changes, self._changes = self._changes, []
        for _, then in changes:
            _tell(then, unknown)
        # What the core has to say of reads waits for the log, and the log may take nothing for hours.
        reads, self._reads = self._reads, {}
        for then in reads.values():
            _tell(then, not_done)
        assert self.partition is not None
        self.partition.follows()
        self._host.has_followed()


def _tell(then: Confirmed, error: BaseException | None) -> None:
    """What whoever asked does with it is no failure of the step that answers: see ANSWER_LOST."""
    try:
        then(error)
    except Exception:
        logger.exception(ANSWER_LOST)


def _rows(entry: Entry) -> Sequence[Row]:
    return decode_rows(entry.value) if entry.kind == VALUE else ()


def _node_of(name: str | None) -> str | None:
    return None if name is None else node_of(name)


def node_of(member: str) -> str:
    """The node that a member is on: what precedes "#" in its name."""
    return member.partition("#")[0]


def life_of(member: str) -> int:
    """Which life of its node in the group: 1 in the first, whose name is the node's."""
    _, _, life = member.partition("#")
    return int(life) if life else 1


def member_name(node: str, life: int) -> str:
    return node if life == 1 else f"{node}#{life}"


_NOTHING_TO_DO: Final = Effects((), (), (), (), None, (), None, None, None, (), 0)
