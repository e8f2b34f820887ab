"""One member of a replica group: it numbers entries, has them logged, and applies what is chosen.

Here the group has one member, so an entry is chosen as soon as this node's own log has it on disk; the path is
the one that a larger group takes (propose, persist, chosen, apply), with nobody to send to.

    propose ----> log thread: append, fdatasync ----> chosen ----> applied to the tree ----> waiter released
    (slot n)      (shared by all groups of a node)    (in order)

Between `propose` and `chosen` the outcome of a write is not decided: it stands in the *speculative layer*, which
later writes to the same row must see (they are evaluated against the newest state), and which no read may show.
Whoever observed a speculative row is answered only when that row's slot is chosen, because until then the answer
may turn out to be about something that never happened. Losing the log drops the layer.

Source: Amazon DynamoDB (ATC 2022), section 3: the leader acknowledges a write once a quorum has persisted its log
record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from varley.storage.log_format import Row
from varley.storage.tree import Tree

logger = logging.getLogger("varley.node")


class Waiter(Protocol):
    """Whoever waits for a slot: a request of a client, or one part of a batch. Neither call should raise."""

    def reply(self, body: bytes) -> None: ...

    def fail(self, error: BaseException) -> None: ...


# What a wait ends with, called once. None: what was waited for is done, durably. Else why nobody can know.
Done = Callable[[BaseException | None], None]


class Outgoing(Protocol):
    """Whoever takes what the entries of a group carry to other groups: see indexes/propagation.py."""

    def chosen(self, slot: int, rows: Sequence[Row]) -> None:
        """The entry of `slot` is applied: take what it carries."""
        ...

    @property
    def oldest(self) -> int | None:
        """The first slot that carries what may not have arrived: the log is needed from there on. None: there is none.

        After a start that is slot 1 until it is known what recovery found.
        """
        ...

    # Of a member of a larger group. A group of one leads from the beginning, and is not told.

    def begins(self, kept: int, applied_rows: Callable[[int], Iterator[tuple[int, Sequence[Row]]]]) -> None:
        """This member leads: what entries behind the slot `kept` carry may not have arrived. `applied_rows(after)`
        gives those that are applied and in the log, with their slots."""
        ...

    def ends(self) -> None:
        """It does not lead, or no longer."""
        ...

    def kept_after(self, applied: int) -> int:
        """While it leads and has applied so much: all that the entries up to this slot carry has arrived."""
        ...


# To the log: group, ballot, slot, time in microseconds since the epoch, rows, and who is to hear of it.
Append = Callable[[int, int, int, int, Sequence[Row], "Proposal"], None]


class Proposer(Protocol):
    """A Replica, or a HostedMember that leads."""

    epoch: int


class Proposal:
    """A slot whose outcome is not decided yet, and who waits for it."""

    __slots__ = ("answer", "epoch", "held", "replica", "rows", "slot", "waiter")

    def __init__(self, replica: Proposer, slot: int, rows: Sequence[Row], waiter: Waiter, answer: bytes) -> None:
        self.replica: Any = replica
        self.epoch = replica.epoch
        self.slot = slot
        self.rows = rows    # what the slot's entry leaves behind
        self.waiter = waiter
        self.answer = answer
        self.held: list[Done] | None = None    # others who observed this slot, in order of arrival

    def row(self, key: bytes) -> bytes | None:
        """The stored value that this slot leaves at `key`, one of its rows; None: no row."""
        for _, own_key, value, _ in self.rows:
            if own_key == key:
                return value
        raise AssertionError("the slot has no such row")

    def hold(self, release: Done) -> None:
        """Call `release(None)` once this slot is applied, `release(error)` if nobody can know whether it is."""
        if self.held is None:
            self.held = []
        self.held.append(release)


    def tell(self, error: BaseException | None) -> None:
        """Tell whoever waits: it is applied; or why it is not, or that nobody knows."""
        try:
            if error is None:
                self.waiter.reply(self.answer)
            else:
                self.waiter.fail(error)
        except Exception:
            logger.exception(ANSWER_LOST)
        if self.held is not None:
            _release(self.held, error)


class Leading(Protocol):
    """What a Partition needs of the replica that it leads: a Replica, or a HostedMember."""

    group: int
    ballot: int
    speculative: dict[bytes, Proposal]
    newest: Proposal | None
    on_abandon: Callable[[], None] | None
    outgoing: Outgoing | None

    @property
    def tree(self) -> Tree: ...

    def propose(self, timestamp_us: int, rows: Sequence[Row], waiter: Waiter, answer: bytes) -> None: ...

    def newest_row(self, key: bytes) -> bytes | None: ...


class Replica:
    """The log position and the state of one group on this node. Used from the event loop only."""

    __slots__ = (
        "_append", "ballot", "epoch", "group", "newest", "on_abandon", "outgoing", "proposed_slot", "speculative",
        "tree",
    )  # fmt: skip

    def __init__(
        self, group: int, tree: Tree, append: Append, *, ballot: int
    ) -> None:
        self.group = group
        self.tree = tree
        self.ballot = ballot
        self._append = append
        self.epoch = 0    # how often the speculative layer was dropped; a proposal of another epoch is not in it
        self.proposed_slot = tree.applied_slot    # tree.applied_slot <= proposed_slot
        self.speculative: dict[bytes, Proposal] = {}    # key -> newest proposal for it; slots > applied_slot
        self.newest: Proposal | None = None    # the proposal of proposed_slot, while it is not chosen
        self.on_abandon: Callable[[], None] | None = None    # called before the speculative layer is dropped
        self.outgoing: Outgoing | None = None    # None: its entries carry nothing to other groups

    def propose(self, timestamp_us: int, rows: Sequence[Row], waiter: Waiter, answer: bytes) -> None:
        """Give `rows` the next slot, all of them together: they will all be there, or none.

        `timestamp_us`: when they were evaluated, in microseconds since the epoch; not before that of the slot before.
        `waiter` gets `answer` when the slot is chosen, `fail` if nobody can know.
        """
        if self.tree.carried is not None:
            rows = self.tree.with_carried(rows)
        slot = self.proposed_slot = self.proposed_slot + 1
        proposal = Proposal(self, slot, rows, waiter, answer)
        speculative = self.speculative
        for row in rows:
            speculative[row[1]] = proposal
        self.newest = proposal
        self._append(self.group, self.ballot, slot, timestamp_us, rows, proposal)

    def newest_row(self, key: bytes) -> bytes | None:
        """The row as the next write would find it: through the speculative layer."""
        observed = self.speculative.get(key)
        return self.tree.get(key) if observed is None else observed.row(key)

    def chosen(self, proposal: Proposal) -> None:
        """The log has it: apply it and release who waits. Proposals come in the order of their slots."""
        assert proposal.epoch == self.epoch, "an abandoned proposal was chosen"
        rows = proposal.rows
        self.tree.apply(proposal.slot, rows)
        speculative = self.speculative
        for row in rows:
            if speculative[row[1]] is proposal:
                del speculative[row[1]]
        if self.newest is proposal:
            self.newest = None
        try:
            proposal.waiter.reply(proposal.answer)
        except Exception:
            logger.exception(ANSWER_LOST)
        if proposal.held is not None:
            _release(proposal.held, None)
        if self.outgoing is not None:
            self.outgoing.chosen(proposal.slot, rows)

    @property
    def unsaved_bytes(self) -> int:
        """See checkpoints.Held."""
        return self.tree.overlay_bytes

    @property
    def releasable_slot(self) -> int:
        """The log entries up to this slot are needed neither to recover the tree nor to carry anything elsewhere."""
        slot = self.tree.checkpointed_slot
        oldest = None if self.outgoing is None else self.outgoing.oldest
        return slot if oldest is None else min(slot, oldest - 1)

    def is_held_back(self, slot: int) -> bool:
        """See checkpoints.Held."""
        oldest = None if self.outgoing is None else self.outgoing.oldest
        return oldest is not None and oldest <= slot

    def would_let_go(self, slot: int) -> bool:
        """See checkpoints.Held."""
        return self.tree.checkpointed_slot < slot

    def abandon(self, proposal: Proposal, error: BaseException) -> None:
        """The log could not take it: drop the speculative layer, tell who waits that the outcome is unknown.

        Everything behind it was evaluated on the strength of it, so all of that goes too; the log refuses those
        proposals by itself (see LogWriter.append), and they come here one by one, in their order. The next
        proposal takes the first of the lost slots again.
        """
        if proposal.epoch == self.epoch:
            self.epoch += 1
            if self.on_abandon is not None:
                self.on_abandon()
            self.speculative.clear()
            self.newest = None
            self.proposed_slot = self.tree.applied_slot
        try:
            proposal.waiter.fail(error)
        except Exception:
            logger.exception(ANSWER_LOST)
        _release(proposal.held or (), error)


# Whoever waits is told in the same call stack that applies the entries of a frame. If one of them raises, which is a
# bug of theirs, the slots behind it must be applied all the same: a slot that is skipped once can never be applied,
# nor any after it, and every write to this group would wait for ever.
ANSWER_LOST = "an answer could not be given"


def _release(held: Iterable[Done], error: BaseException | None) -> None:
    for release in held:
        try:
            release(error)
        except Exception:
            logger.exception(ANSWER_LOST)
