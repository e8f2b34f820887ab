"""A partition's part in transactions: what it accepts, and what it does when it is told how they ended.

    evaluate    is each item as the transaction wants it, and may it be written now? Nothing is changed
    prepare     accept: a marker for each item, in one slot. From then on no other write touches these items
    commit      the items become what was prepared, with all that follows from them; the markers go: in one slot
    cancel      the markers go
    write       all at once, for a transaction whose items are all in this partition: one slot, and no markers

A transaction is accepted for an item if (ATC 2023, section 3.2)

    1. its condition holds, and what it would leave breaks no limit;
    2. its timestamp is later than that of the item's last write;
    3. no other transaction has been accepted for the item and is not yet over;
    4. if there is no item: its timestamp is later than that of every delete in this partition.

The fourth stands in for a timestamp that an item would keep if it were there. The paper also moves the timestamp of an
item that was only checked; that would write the item again, 400 KB perhaps, for a number. So there is one more time
for all of them together: no transaction up to the latest one that checked an item here is accepted. Both times are kept
in memory; after a restart both are the latest of any entry, which is later than either.

A commit or a cancel of what is over already is no error and does nothing: it is a repeat.

What an item becomes is decided once, when it is prepared. What follows from it (index rows, tallies, stream records) is
worked out at the commit, from the state as it is then: other items of the partition may have changed meanwhile.

Everything here runs to its end without waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from varley.errors import ApiError, ItemCollectionSizeLimitExceeded, TransactionConflict
from varley.item import marker, stored
from varley.item.key_bytes import ITEM_SPACE, MARKER_SPACE, TOKEN_SPACE
from varley.item.marker import Marker, Name, marker_key
from varley.node.replica import Leading, Proposal, Waiter
from varley.storage.log_format import ABSENT, DELETE, DERIVED, PUT, Row

# A row that follows from an item: key, stored value (None: it goes away). Of an index, a stream, an expiry.
DerivedRow = tuple[bytes, bytes | None]
Newest = Callable[[bytes], bytes | None]    # row key -> the stored value that the next write would find there

# Row key, the stored values before and after, what else is new, a timestamp of its own -> the rows that follow.
Follow = Callable[[bytes, bytes | None, bytes | None, Newest, int], Sequence[DerivedRow]]


class Action(Protocol):
    """What a transaction wants with one item."""

    key: bytes          # the item's row
    is_check: bool      # nothing is written; the condition has to hold

    def evaluate(self, old: bytes | None, timestamp_us: int) -> bytes | None:
        """What the stored value becomes (None: no item). Raises ApiError if the transaction cannot be."""
        ...

    def follow(
        self, key: bytes, old: bytes | None, new: bytes | None, newest: Newest, timestamp_us: int
    ) -> Sequence[DerivedRow]:
        """What follows from that. Raises ApiError if the transaction cannot be."""
        ...


class Evaluation:
    """What the actions on one partition come to, as of this moment. Good until something else happens there."""

    __slots__ = ("actions", "is_refused", "last_us", "news", "observed", "refusals", "rows")

    def __init__(self, actions: Sequence[Action], last_us: int) -> None:
        self.actions = actions
        self.last_us = last_us                      # the latest timestamp in `rows`
        self.news: list[bytes | None] = []          # by action: what its item becomes
        self.refusals: list[ApiError | None] = []   # by action: why it cannot be
        self.is_refused = False                     # some action is
        self.rows: dict[bytes, Row] = {}            # what the partition's rows become if all is done at once
        self.observed: list[Proposal] = []          # undecided slots that this rests on


class Version(NamedTuple):
    """What a read of one item found, so that a second read can tell whether anything has happened meanwhile."""

    timestamp_us: int       # of the item's last write; without an item: of the last delete in the partition
    value: bytes | None     # the stored value; None: there is no item
    is_marked: bool         # a transaction is about to write it


class Participant:
    """Of one partition, at its leader. Used from the event loop only."""

    __slots__ = ("_next_us", "_replica", "checked_us", "gone_us", "markers", "met")

    def __init__(self, replica: Leading, next_us: Callable[[int], int]) -> None:
        """`next_us(n)`: the last of n timestamps that were never used here, and are later than all that were."""
        self._replica = replica
        self._next_us = next_us
        # Item key -> what was prepared for it, undecided slots included: what the next write has to respect.
        self.markers: dict[bytes, Marker] = {}
        self.gone_us = self.checked_us = replica.tree.last_timestamp_us
        self.met: Callable[[Marker], None] = _ignore    # told of each marker that is in somebody's way
        replica.on_abandon = self._take_back
        for key, packed in replica.tree.scan(MARKER_SPACE, _after(MARKER_SPACE)):
            self.markers[marker.item_key(key)] = marker.unpack(packed)

    def _take_back(self) -> None:
        """What is undecided is lost: the markers are again as the applied state has them.

        Only those that are about to change are looked up. A full disk brings everybody here who would write, again and
        again, and a scan would pass all markers that went since the last checkpoint.
        """
        for key in self._replica.speculative:
            if key.startswith(MARKER_SPACE):
                packed = self._replica.tree.get(key)
                if packed is None:
                    self.markers.pop(marker.item_key(key), None)
                else:
                    self.markers[marker.item_key(key)] = marker.unpack(packed)

    def conflict(self, key: bytes) -> TransactionConflict:
        """What to tell whoever would write the item at `key`, which has a marker."""
        self.met(self.markers[key])
        return TransactionConflict()

    # Transactions

    def evaluate(self, actions: Sequence[Action], timestamp_us: int) -> Evaluation:
        """What `actions` come to, each on an item of its own, in a transaction of this time."""
        replica = self._replica
        speculative = replica.speculative
        evaluation = Evaluation(actions, timestamp_us + len(actions) - 1)
        rows = evaluation.rows

        def newest(key: bytes) -> bytes | None:
            row = rows.get(key)
            return replica.newest_row(key) if row is None else row[2]

        for number, action in enumerate(actions):
            key = action.key
            observed = speculative.get(key)
            old = replica.tree.get(key) if observed is None else observed.row(key)
            if observed is not None:
                evaluation.observed.append(observed)
            new = None
            refusal = None
            try:
                self._check_order(key, old, timestamp_us)
                new = action.evaluate(old, timestamp_us)
                if not action.is_check and (old is not None or new is not None):
                    derived = action.follow(key, old, new, newest, timestamp_us + number)
                    _add(rows, key, old, new, derived)
            except ApiError as error:
                refusal = error
                evaluation.is_refused = True
                if isinstance(error, ItemCollectionSizeLimitExceeded) and replica.newest is not None:
                    evaluation.observed.append(replica.newest)    # it is about other rows too
            evaluation.news.append(new)
            evaluation.refusals.append(refusal)
        return evaluation

    def _check_order(self, key: bytes, old: bytes | None, timestamp_us: int) -> None:
        self._check_place(key)
        if key in self.markers:
            raise self.conflict(key)
        latest_us = self.checked_us if old is None else max(self.checked_us, stored.timestamp(old))
        if timestamp_us <= latest_us or (old is None and timestamp_us <= self.gone_us):
            raise TransactionConflict()

    def _check_place(self, key: bytes) -> None:
        """Not where another partition has the item now, or will in a moment: whoever asks has an old map."""
        closed_from = self._replica.tree.closed_from
        if closed_from is not None and key[1:] >= closed_from:
            raise TransactionConflict()

    def latest_us(self, keys: Iterable[bytes]) -> int:
        """No transaction that is not later than this is accepted for these items, whatever else there is to say."""
        latest_us = self.checked_us
        for key in keys:
            old = self._replica.newest_row(key)
            latest_us = max(latest_us, self.gone_us if old is None else stored.timestamp(old))
        return latest_us

    def prepare(self, name: Name, evaluation: Evaluation, waiter: Waiter) -> None:
        """Accept what was evaluated in this same call stack. `waiter` hears when that is chosen."""
        assert not evaluation.is_refused
        rows: list[Row] = []
        for action, new in zip(evaluation.actions, evaluation.news, strict=True):
            kind = marker.CHECK if action.is_check else marker.DELETE if new is None else marker.PUT
            prepared = Marker(name, kind, new if kind == marker.PUT else None)
            self.markers[action.key] = prepared
            rows.append((PUT, marker_key(action.key), marker.pack(prepared), DERIVED))
        # The times of this partition move beyond the transaction's, so that later writes are later.
        tree = self._replica.tree
        tree.last_timestamp_us = max(tree.last_timestamp_us, name.timestamp_us)
        self._replica.propose(self._next_us(1), rows, waiter, b"")

    def commit(self, name: Name, follows: Iterable[tuple[bytes, Follow]], waiter: Waiter) -> bool:
        """Do what was prepared for the items with these row keys; `waiter` hears when that is chosen.

        Returns False if there is nothing to do: it was done before. `waiter` hears nothing then.
        """
        markers = self.markers
        prepared = [(key, follow) for key, follow in follows if key in markers and markers[key].name == name]
        if not prepared:
            return False
        replica = self._replica
        rows: dict[bytes, Row] = {}
        last_us = self._next_us(len(prepared))    # each item has a time of its own: streams order by it

        def newest(key: bytes) -> bytes | None:
            row = rows.get(key)
            return replica.newest_row(key) if row is None else row[2]

        for number, (key, follow) in enumerate(prepared, start=1):
            made = markers[key]
            if made.kind == marker.CHECK:
                self.checked_us = max(self.checked_us, name.timestamp_us)
            else:
                old = replica.newest_row(key)
                if old is not None or made.value is not None:
                    derived = follow(key, old, made.value, newest, last_us - len(prepared) + number)
                    _add(rows, key, old, made.value, derived)
                if made.value is None:
                    self.gone_us = last_us
            rows[marker_key(key)] = (DELETE, marker_key(key), None, DERIVED)
        for key, _ in prepared:
            del markers[key]
        replica.propose(last_us, list(rows.values()), waiter, b"")
        return True

    def cancel(self, name: Name, keys: Iterable[bytes], waiter: Waiter) -> bool:
        """Forget what was prepared for these items. As `commit`: False if there is nothing to do."""
        ours = [key for key in keys if key in self.markers and self.markers[key].name == name]
        if not ours:
            return False
        for key in ours:
            del self.markers[key]
        rows: list[Row] = [(DELETE, marker_key(key), None, DERIVED) for key in ours]
        self._replica.propose(self._next_us(1), rows, waiter, b"")
        return True

    def write(self, name: Name, evaluation: Evaluation, token: bytes | None, waiter: Waiter) -> bool:
        """Do all that was evaluated in this same call stack, in one slot; `waiter` hears when it is chosen.

        `token`: the value of a row that tells, whatever else is lost, that the transaction was done. False: there was
        nothing to write, and `waiter` hears nothing.
        """
        assert not evaluation.is_refused
        for action, new in zip(evaluation.actions, evaluation.news, strict=True):
            if action.is_check:
                self.checked_us = max(self.checked_us, name.timestamp_us)
            elif new is None:
                self.gone_us = max(self.gone_us, evaluation.last_us)
        rows = list(evaluation.rows.values())
        if token is not None:
            rows.append((PUT, TOKEN_SPACE + name.id, token, DERIVED))
        tree = self._replica.tree
        assert evaluation.last_us > tree.last_timestamp_us
        tree.last_timestamp_us = evaluation.last_us
        if not rows:
            return False
        self._replica.propose(evaluation.last_us, rows, waiter, b"")
        return True

    def remove(self, keys: Iterable[bytes], waiter: Waiter) -> None:
        """Remove rows of TOKEN_SPACE, those that are there."""
        rows: list[Row] = [
            (DELETE, key, None, DERIVED) for key in keys if self._replica.newest_row(key) is not None
        ]
        assert all(key.startswith(TOKEN_SPACE) for _, key, _, _ in rows)
        if rows:
            self._replica.propose(self._next_us(1), rows, waiter, b"")

    # Reading

    def version(self, key: bytes) -> Version:
        """The applied state of one item, whose last write is decided."""
        end = self._replica.tree.end
        if end is not None and key[1:] >= end.at:
            # Since the partition was split the item is another's, who asks has an old map, and what is here may be old.
            return Version(self.gone_us, None, is_marked=True)
        value = self._replica.tree.get(key)
        made = self.markers.get(key)
        if made is not None:
            self.met(made)
        return Version(
            self.gone_us if value is None else stored.timestamp(value), value,
            made is not None and made.kind != marker.CHECK,
        )  # fmt: skip


def _add(
    rows: dict[bytes, Row], key: bytes, old: bytes | None, new: bytes | None, derived: Sequence[DerivedRow]
) -> None:
    """An item's row and what follows from it. What follows from several items (a tally) is as the last leaves it."""
    assert key.startswith(ITEM_SPACE) and key not in rows
    old_size = ABSENT if old is None else stored.item_size(old)
    rows[key] = (DELETE, key, None, old_size) if new is None else (PUT, key, new, old_size)
    for other, value in derived:
        rows[other] = (DELETE if value is None else PUT, other, value, DERIVED)


def _after(space: bytes) -> bytes:
    return bytes((space[0] + 1,))


def _ignore(made: Marker) -> None:
    pass
