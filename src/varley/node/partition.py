"""One partition of a table, at its leader: it evaluates writes, serves reads, and proposes outcomes.

A *write* is a value: given the row as it is, it says what the row becomes and what the client is told, or why the
client is refused. It is evaluated here, once, and only its outcome is logged (so replicas apply without evaluating,
and old logs never depend on new expression code). Evaluation reads the newest state, that is through the
speculative layer; an answer about a speculative row, a refusal too, is held until that row's slot is chosen.

    put, update, delete    evaluate against the newest row ---> propose the outcome ---> answer when chosen
    refused                answer at once, or when the row that refused it is chosen
    strong read            answer at once from the applied state; if the row (for a range: any row) has an
                           undecided write, wait for that slot first, then read
    eventual read          answer at once from the applied state, which may be a moment behind
    transactions           participant.py; a write to an item that a transaction has prepared is refused

Why a strong read waits and reads afterwards, and does not read the speculative row and wait: both are right, the
reader sees a state no older than all writes acknowledged before it; but this way reads never touch undecided rows.

Everything here runs to its end without waiting, so what was true at its top is true at its bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from varley.counters import TableCounters
from varley.errors import ApiError, ItemCollectionSizeLimitExceeded, ProvisionedThroughputExceeded, Throttling
from varley.item.marker import Marker
from varley.item.stored import item_size
from varley.item.units import write_units
from varley.node.participant import DerivedRow, Participant
from varley.node.replica import Done, Leading, Outgoing, Proposal, Waiter
from varley.node.settled import reply_when_settled
from varley.storage.log_format import ABSENT, DELETE, DERIVED, PUT, Row

# The stored row that the row becomes (None: none), the answer, and the rows that change with it.
Outcome = tuple[bytes | None, bytes, Sequence[DerivedRow]]


class Write(Protocol):
    """What a client wants done to one row."""

    key: bytes    # the row
    counts: TableCounters    # where its units are counted

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        """From the stored row (None: there is none) to what becomes of it.

        Pure: may be run again, and gives the same. Raises ApiError if the client is refused.
        """
        ...


class Pressure:
    """Whether this node has more in memory than it can move to disk. One for all partitions of a node."""

    __slots__ = ("is_high",)

    def __init__(self) -> None:
        self.is_high = False


class Partition:
    """The leader of one group. Used from the event loop only."""

    __slots__ = (
        "_markers", "_now_us", "_pressure", "_replica", "_speculative", "_tree", "get", "group", "participant", "scan",
        "tree",
    )  # fmt: skip

    # Changes whenever somebody else may have written to the partition since. Alone in its group, nobody else can.
    reign: ClassVar[int] = 0

    def __init__(self, replica: Leading, now_us: Callable[[], int], pressure: Pressure) -> None:
        self._replica = replica
        self._tree = replica.tree
        self._speculative = replica.speculative
        self._now_us = now_us
        self._pressure = pressure
        self.participant = Participant(replica, self.next_timestamp)
        self._markers = self.participant.markers
        self.group = replica.group
        self.tree = replica.tree
        self.get = replica.tree.get    # the applied state of one row: (key) -> stored value | None
        self.scan = replica.tree.scan  # that of a range of rows

    # Who leads. A group of one leads itself; see member_partition.py for the others.

    @property
    def is_leading(self) -> bool:
        """Whether writes and strong reads are for this node to answer."""
        return True

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as this one knows; None: this one, which is all there is."""
        return None

    @property
    def has_state(self) -> bool:
        """Whether what is here is of the partition at some time. Not so of a replica that is being built: it has
        nothing, and that is not how the partition ever was for who has written to it."""
        return True

    @property
    def ballot(self) -> int:
        """Under which leadership answers are computed; for `may_answer`."""
        return self._replica.ballot

    def may_answer(self, ballot: int) -> bool:
        """Asked when a strong answer was computed, under the leadership of `ballot`, and before it is given: whether no
        other node can have led meanwhile. If not, `confirm`, then compute it again."""
        return True

    def confirm(self, then: Done) -> None:
        """Call `then(None)` once the applied state is no older than any answer that was given before this call, or
        `then(error)`. May call at once."""
        then(None)

    def write(self, write: Write, waiter: Waiter) -> bytes | None:
        """Evaluate and propose `write`.

        Returns the answer if it is final already, else None: `waiter` gets it later. Raises ApiError if the
        client is refused and the refusal is final already.
        """
        if self._pressure.is_high:
            raise self.overload()
        key = write.key
        tree = self._tree
        if tree.closed_from is not None and key[1:] >= tree.closed_from:
            raise self.moved()
        if self._markers and key in self._markers:
            raise self.participant.conflict(key)
        observed = self._speculative.get(key)
        old = self._tree.get(key) if observed is None else observed.row(key)
        # As next_timestamp, written out: HOT PATH.
        timestamp_us = self._now_us()
        if timestamp_us <= tree.last_timestamp_us:
            timestamp_us = tree.last_timestamp_us + 1
        tree.last_timestamp_us = timestamp_us
        try:
            new, answer, derived = write.evaluate(old, timestamp_us)
        except (Throttling, ProvisionedThroughputExceeded):
            raise    # costs nothing, and has nothing to do with the row
        except ApiError as refusal:
            write.counts.consumed_write_units += write_units(0 if old is None else item_size(old), 0)
            if isinstance(refusal, ItemCollectionSizeLimitExceeded):
                observed = self._replica.newest    # it is about other rows too
            if observed is None:
                raise
            _fail_when_chosen(observed, waiter, refusal)
            return None
        old_size = 0 if old is None else item_size(old)
        if new is not None:
            write.counts.consumed_write_units += write_units(old_size, item_size(new))
            row: Row = (PUT, key, new, ABSENT if old is None else old_size)
        else:
            write.counts.consumed_write_units += write_units(old_size, 0)
            self.participant.gone_us = timestamp_us
            if old is not None:
                row = (DELETE, key, None, old_size)
            else:    # nothing was there and nothing shall be: no entry, but the absence may be undecided yet
                if observed is None:
                    return answer
                observed.hold(reply_when_settled(waiter, lambda: answer))
                return None
        if not derived:
            self._replica.propose(timestamp_us, (row,), waiter, answer)
        else:
            followers = [(DELETE if value is None else PUT, key, value, DERIVED) for key, value in derived]
            self._replica.propose(timestamp_us, (row, *followers), waiter, answer)
        return None

    def next_timestamp(self, count: int = 1, *, after_us: int = 0) -> int:
        """The time of the entry that is proposed next: later than any before it in this group, and than `after_us`.

        `count`: the entry takes so many times, each of one item; this is the last of them.
        """
        tree = self._tree
        tree.last_timestamp_us = max(self._now_us(), tree.last_timestamp_us + 1, after_us + 1) + count - 1
        return tree.last_timestamp_us

    def propose(self, rows: Sequence[Row], timestamp_us: int, waiter: Waiter) -> None:
        """Propose what no client asked for. `timestamp_us` is from `next_timestamp`; `waiter` gets an empty answer."""
        self._replica.propose(timestamp_us, rows, waiter, b"")

    @property
    def is_under_pressure(self) -> bool:
        """Whether this node has so much in memory that it takes no more writes for the moment."""
        return self._pressure.is_high

    def carry_outgoing(self, outgoing: Outgoing | None) -> None:
        """From now on `outgoing` takes what chosen entries carry to other groups; None: nobody does."""
        self._replica.outgoing = outgoing

    def tell_of_markers(self, met: Callable[[Marker], None]) -> None:
        """From now on `met` is told of each marker of a transaction that is in somebody's way."""
        self.participant.met = met

    def overload(self) -> Throttling:
        """What to tell whoever would write while this node is under pressure."""
        return Throttling("Writes arrive faster than they can be moved to disk. Try again in a moment.")

    def moved(self) -> Exception:
        """What to raise where something is to be written that is another partition's now, or will be in a moment."""
        return Throttling("The partition is being split. Try again in a moment.")

    def check_reading(self, high: bytes | None) -> None:
        """Raise Elsewhere if what is below `high` is not all here. On one machine routes are always right."""

    def begins_with_all(self) -> None:
        """It came of a split, and has all: what was deleted or checked before was so at any time up to now."""
        participant = self.participant
        participant.gone_us = participant.checked_us = self._tree.last_timestamp_us

    def newest(self, key: bytes) -> bytes | None:
        """The row as the next write would find it; not to be shown to anybody."""
        observed = self._speculative.get(key)
        return self._tree.get(key) if observed is None else observed.row(key)

    def undecided(self, key: bytes) -> Proposal | None:
        """What a strong read of this row has to wait for; nearly always None."""
        return self._speculative.get(key)

    def undecided_range(self) -> Proposal | None:
        """What a strong read of many rows has to wait for: the newest proposal, whatever its row."""
        return self._replica.newest


def _fail_when_chosen(observed: Proposal, waiter: Waiter, refusal: ApiError) -> None:
    observed.hold(lambda error: waiter.fail(refusal if error is None else error))
