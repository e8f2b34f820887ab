"""The ledger: what has been decided about each transaction, kept in a partition like any other.

It is a table of its own that no client can name, so its records are logged, checkpointed and recovered as items are.
A record is written by a conditional write, evaluated where all writes to the ledger are: whoever asks second learns
what the first has decided. Records that nobody needs any more go in small slices (`purge`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from varley.item import stored
from varley.item.key_bytes import PURGE_SPACE
from varley.node.partition import Partition
from varley.node.replica import Waiter
from varley.node.settled import Told, once_settled
from varley.storage.log_format import ABSENT, DELETE, DERIVED, PUT, Row
from varley.transactions import record
from varley.transactions.coordinator import State
from varley.transactions.record import Record

_PURGED_AT_ONCE: Final = 200    # records in one slot: about a millisecond
_AGAIN_SECONDS: Final = 60      # when to look again at one that should be over and is not
_EMPTY: Final = stored.pack(b"{}", 0, 0)


# Called with the state that the ledger holds of a transaction, durably; or with why nobody can know.
Then = Callable[[State | BaseException], None]


class Purged(NamedTuple):
    """What a slice of purging has come to."""

    records: list[Record]       # that went
    unfinished: list[Record]    # that should be over long since


class Ledger:
    """Used from the event loop only."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        # By id, of the transactions that are being committed: the record's bytes, and what they say. So that it need
        # not be decoded when it is over; whether these are still the bytes of the row is looked at.
        self._decided: dict[bytes, tuple[bytes, Record]] = {}
        # No row of PURGE_SPACE is below this, but those that are being removed. What was removed since the last
        # checkpoint is still passed over, one by one, by who begins before it.
        self._purge_from = PURGE_SPACE
        self._is_purging = False    # a slice is not chosen yet: the next would pass by the rows that it puts

    def forget_what_was_seen(self) -> None:
        """Others have written to the partition since this was used last."""
        self._decided.clear()
        self._purge_from = PURGE_SPACE
        self._is_purging = False

    def find(self, transaction: bytes) -> Record | None:
        """The newest record of this id, decided or not."""
        return self._unpacked(transaction, self.partition.newest(record.record_key(transaction)))

    def ask(self, wanted: Record, then: Then) -> None:
        """Record `wanted` if it may follow what is there; `then` hears what is held afterwards, once that is decided.

        Not refused while the node is under pressure: what was begun has to end.
        """
        partition = self.partition
        transaction = wanted.name.id
        key = record.record_key(transaction)
        old = partition.newest(key)
        found = self._unpacked(transaction, old)
        held = record.holds_after(found, wanted)
        # Another transaction with the same token is there only if ours was over, and not done, before.
        state = held.state if held is not None and held.name == wanted.name else State.CANCELLED

        def settled(error: BaseException | None) -> None:
            then(state if error is None else error)

        if held is not wanted:
            once_settled(partition.undecided(key), settled)
            return
        timestamp_us = partition.next_timestamp()
        value = record.pack(wanted, timestamp_us)
        rows: list[Row] = [(PUT, key, value, ABSENT if old is None else stored.item_size(old))]
        # Over before it is due by its timestamp: that is ahead of a clock that was set back.
        if found is None or found.name != wanted.name or wanted.due < found.due:
            rows.append(self._to_purge(wanted.due, transaction))
        if wanted.state.is_over:
            self._decided.pop(transaction, None)
        else:
            self._decided[transaction] = (value, wanted)
        partition.propose(rows, timestamp_us, Told(settled))

    def _unpacked(self, transaction: bytes, value: bytes | None) -> Record | None:
        if value is None:
            return None
        known = self._decided.get(transaction)
        return known[1] if known is not None and known[0] is value else record.unpack(value)

    def purge(self, now: float, again: Callable[[], None]) -> Purged:
        """Look at records that are due (`now`: epoch seconds), some of them, and remove those that can go.

        `again` is called when that is chosen, if more may be due.
        """
        partition = self.partition
        end = record.purge_key(int(now) + 1, b"")
        low = min(self._purge_from, end)    # the clock may have been set back
        purged = Purged([], [])
        due_rows = [] if self._is_purging else list(islice(partition.tree.scan(low, end), _PURGED_AT_ONCE))
        if not due_rows:
            return purged
        self._purge_from = due_rows[-1][0] + b"\0"
        rows: list[Row] = []
        for purge_row, _ in due_rows:
            if partition.newest(purge_row) is None:
                continue    # an earlier slice removes it, and is not chosen yet
            rows.append((DELETE, purge_row, None, DERIVED))
            due, transaction = record.parse_purge_key(purge_row)
            key = record.record_key(transaction)
            value = partition.newest(key)
            if value is None:
                continue
            found = record.unpack(value)
            if not found.state.is_over:
                purged.unfinished.append(found)
                rows.append(self._to_purge(int(now) + _AGAIN_SECONDS, transaction))
            elif found.due > due:    # it was over later than its beginning let expect, or the token was used again
                rows.append(self._to_purge(found.due, transaction))
            else:
                rows.append((DELETE, key, None, stored.item_size(value)))
                purged.records.append(found)

        def told(error: BaseException | None) -> None:
            self._is_purging = False
            if error is not None:
                self._purge_from = PURGE_SPACE
            elif len(due_rows) == _PURGED_AT_ONCE:
                again()

        if rows:
            self._is_purging = True
            unique = {row[1]: row for row in rows}    # two looks at one record may come to the same row
            partition.propose(list(unique.values()), partition.next_timestamp(), Told(told))
        return purged

    def _to_purge(self, due: int, transaction: bytes) -> Row:
        """The row that says when a record is to be looked at; it is proposed next."""
        key = record.purge_key(due, transaction)
        self._purge_from = min(self._purge_from, key)
        return PUT, key, _EMPTY, DERIVED

    def clear(self, waiter: Waiter) -> bool:
        """Remove some records, of which nothing may be undecided. False: there is none, and `waiter` hears nothing."""
        rows: list[Row] = [
            (DELETE, key, None, DERIVED if key.startswith(PURGE_SPACE) else stored.item_size(value))
            for key, value in islice(self.partition.tree.scan(b"", None), 10_000)
        ]
        if not rows:
            return False
        self.partition.propose(rows, self.partition.next_timestamp(), waiter)
        return True
