"""The applied state of one replica: an overlay over a frozen overlay over an engine.

    apply --> overlay        rows applied since the last checkpoint began     memory    newest
              frozen         rows that a checkpoint is writing right now      memory
              engine         rows of the last checkpoint                      LMDB      oldest

A write touches memory only: its log entry is on disk already, and that is what makes it durable. From time to time
`freeze` turns the overlay into the frozen one and begins a new overlay; a Checkpointer writes the frozen rows into
the engine on its own thread; `finish` drops them from memory. After a crash the engine is as the last complete
checkpoint left it (perhaps with some rows of an incomplete one, see checkpoint.py), and recovery applies the log
again from `applied_slot`.

A row is found in the first layer that knows its key; a tombstone hides what lies below. Reading a range merges the
layers lazily.

Rejected: writing each entry into LMDB as it is applied (a transaction per group commit copies the path from leaf to
root for each row, 4 KB and more to store 100 bytes), and LMDB without sync (it writes the same pages, and what a
crash leaves is known only if the file system keeps the order of writes).

Everything here runs on the event loop, except that the Checkpointer reads `Frozen` and writes the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from varley.item.key_bytes import OUTGOING_SPACE, SPLIT_SPACE
from varley.item.stored import item_size
from varley.storage.log_format import ABSENT, DERIVED, PUT, Row
from varley.storage.overlay import Overlay
from varley.table.parting import (
    END_KEY,
    ORIGIN_KEY,
    PARTING_KEY,
    End,
    Origin,
    Parting,
    carried_key,
    end_of,
    goes,
    origin_of,
    parting_of,
)

Entry = tuple[bytes, bytes]     # row key, stored value
_OUTGOING: Final = OUTGOING_SPACE[0]
_SPLIT: Final = SPLIT_SPACE[0]


class Applied(NamedTuple):
    """What a tree holds: all slots up to `slot`, and what that comes to."""

    slot: int           # 0: nothing was ever applied; the first entry of a group has slot 1
    item_count: int     # rows that are items; those that follow from items are not counted
    size_bytes: int     # DynamoDB bytes of the items, as their headers give them
    timestamp_us: int = 0    # no entry up to `slot` has a later time; microseconds since the epoch


NOTHING: Final = Applied(0, 0, 0)


class EngineSnapshot(Protocol):
    """The rows of a complete checkpoint, as they stay whatever is written meanwhile. Of the loop thread."""

    applied: Applied

    def rows(self, after: bytes, bytes_max: int) -> list[Entry]:
        """The first rows with keys above `after`, about so many bytes of them; [] at the end.

        Raises Damaged; SnapshotGone if the engine had to let go of it."""
        ...

    def close(self) -> None: ...


class SnapshotGone(Exception):
    """The rows of a snapshot can no longer be read; another one can be made."""


class Engine(Protocol):
    """Rows as the last checkpoint left them. `get`, `scan`, `reserve`, `renew` and `close` belong to the loop
    thread, `write` to the checkpoint thread; reads see what was there at the last `renew` or later, and the
    frozen overlay hides every row that may have changed since."""

    applied: Applied                # of the last complete checkpoint
    has_partial_checkpoint: bool    # there may be rows of later slots: a checkpoint is under way, or was interrupted

    def get(self, key: bytes) -> bytes | None:
        """The stored value at `key`. Raises Damaged."""
        ...

    def scan(self, low: bytes, high: bytes | None, reverse: bool) -> Iterator[Entry]:
        """The rows of [low, high) in order. Raises Damaged."""
        ...

    def reserve(self, rows: int, size: int) -> None:
        """Make sure that a checkpoint of `rows` rows and `size` bytes will fit. Before `write`, not during it."""
        ...

    def write(self, rows: Iterator[tuple[bytes, bytes | None]], applied: Applied | None) -> None:
        """Write `rows` (None: delete) in one durable transaction; `applied` is given with the last of a checkpoint.

        Raises DiskFull, ReadOnly or another WorldError; then nothing of this transaction happened.
        """
        ...

    def renew(self) -> None:
        """Let reads see what was written."""
        ...

    def snapshot(self) -> EngineSnapshot:
        """The rows of the last complete checkpoint; none may be under way, or interrupted."""
        ...

    def close(self) -> None: ...


class Frozen:
    """An overlay that a checkpoint writes: no row of it changes any more."""

    __slots__ = ("applied", "engine", "overlay")

    def __init__(self, overlay: Overlay, applied: Applied, engine: Engine) -> None:
        self.overlay = overlay
        self.applied = applied  # what the engine will hold once all rows are written
        self.engine = engine


_MISSING: Final = object()      # dict.get's answer for a key that a layer does not know (None is a tombstone)


class Tree:
    """The applied state of one replica. Used from the event loop only."""

    __slots__ = (
        "_engine", "_engine_get", "_frozen", "_frozen_rows", "_overlay", "_put", "_rows",
        "applied_slot", "carried", "closed_from", "end", "item_count", "last_timestamp_us", "on_split", "origin",
        "parting", "size_bytes",
    )  # fmt: skip

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._engine_get = engine.get
        # Of the last complete checkpoint, then of every entry applied since: never behind the engine's. The time is
        # also moved by the leader of the group, before it proposes: no slot to come has an earlier one.
        self.applied_slot, self.item_count, self.size_bytes, self.last_timestamp_us = engine.applied
        self._frozen: Frozen | None = None
        self._frozen_rows: dict[bytes, bytes | None] = {}   # the frozen overlay's rows; {} without one
        self._begin_overlay()
        # What its rows say of a split (table/parting.py), and who is told when that has changed.
        self.parting: Parting | None
        self.end: End | None
        self.origin: Origin | None
        self.on_split: Callable[[], None] | None = None
        # What an entry has to have beside its rows if one of them goes to a child; None: none does. See `with_carried`.
        self.carried: Row | None
        # Nothing is written at or above this location; None: everywhere. Its end, or, while it is led here, where it is
        # about to end.
        self.closed_from: bytes | None
        self._look_at_split()

    def _look_at_split(self) -> None:
        self.parting = parting_of(self.get(PARTING_KEY))
        self.end = end_of(self.get(END_KEY))
        self.origin = origin_of(self.get(ORIGIN_KEY))
        self.open_up()
        parting = self.parting
        is_carrying = parting is not None and (self.end is None or self.end.child != parting.child)
        self.carried = (PUT, carried_key(parting.child), b"", DERIVED) if parting is not None and is_carrying else None
        if self.on_split is not None:
            self.on_split()

    @property
    def is_about_to_end(self) -> bool:
        """Whether its child has a copy of all, and it has not ended yet. All members of a group say the same."""
        return self.carried is not None and self.parting is not None and self.parting.is_copied

    def open_up(self) -> None:
        """What was about to end is not: take writes up to its end."""
        self.closed_from = None if self.end is None else self.end.at

    def with_carried(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows of an entry that is proposed while `carried` is not None."""
        assert self.carried is not None and self.parting is not None
        at = self.parting.at
        return (*rows, self.carried) if any(goes(row[1], at) for row in rows) else rows

    def _begin_overlay(self) -> None:
        self._overlay = Overlay()
        self._rows = self._overlay.rows
        self._put = self._overlay.put

    def get(self, key: bytes) -> bytes | None:
        """The stored value at `key`, None if there is no row. Raises Damaged."""
        value = self._rows.get(key, _MISSING)
        if value is _MISSING:
            value = self._frozen_rows.get(key, _MISSING)
            if value is _MISSING:
                return self._engine_get(key)
        return value  # type: ignore[return-value]  # _MISSING was handled above

    def apply(self, slot: int, rows: Sequence[Row]) -> None:
        """Apply the entry of `slot`, which follows applied_slot. A row: (op, key, value | None, old_size).

        Rows whose old_size is DERIVED follow from items: kept, and not counted.
        """
        assert slot == self.applied_slot + 1, "entries are applied in order, each once"
        put = self._put
        is_split_told = False
        for _, key, value, old_size in rows:
            if old_size == DERIVED:
                if key[0] != _OUTGOING:
                    put(key, value)
                    is_split_told |= key[0] == _SPLIT
                continue
            put(key, value)
            if old_size == ABSENT:
                if value is not None:
                    self.item_count += 1
                    self.size_bytes += item_size(value)
            elif value is not None:
                self.size_bytes += item_size(value) - old_size
            else:
                self.item_count -= 1
                self.size_bytes -= old_size
        self.applied_slot = slot
        if is_split_told:
            self._look_at_split()

    def scan(self, low: bytes, high: bytes | None, *, reverse: bool = False) -> Iterator[Entry]:
        """The rows of [low, high) in key order, or backwards; `high` None: to the end. Raises Damaged.

        Lazy. Take what you want of it before the tree changes (apply, freeze, finish), then make a new one.
        """
        entries = self._engine.scan(low, high, reverse)
        if self._frozen is not None:
            entries = merge(self._frozen.overlay.range(low, high, reverse), entries, reverse)
        if self._rows:
            entries = merge(self._overlay.range(low, high, reverse), entries, reverse)
        return entries

    @property
    def overlay_bytes(self) -> int:
        """About how much memory the rows take that are in no checkpoint yet, frozen ones too."""
        return self._overlay.bytes + (0 if self._frozen is None else self._frozen.overlay.bytes)

    @property
    def checkpointed_slot(self) -> int:
        """The log entries up to this slot are not needed to recover this tree."""
        return self._engine.applied.slot

    @property
    def has_partial_checkpoint(self) -> bool:
        """Whether the engine may have rows of slots after checkpointed_slot, which the log must have too."""
        return self._engine.has_partial_checkpoint

    @property
    def is_frozen(self) -> bool:
        """Whether a checkpoint is under way, or was given up: another cannot begin."""
        return self._frozen is not None

    def freeze(self) -> Frozen | None:
        """Begin a checkpoint: what the Checkpointer has to write. None: the engine has everything already."""
        assert self._frozen is None, "one checkpoint at a time"
        applied = Applied(self.applied_slot, self.item_count, self.size_bytes, self.last_timestamp_us)
        if applied.slot == self._engine.applied.slot:
            return None
        self._engine.reserve(len(self._rows), self._overlay.bytes)
        self._frozen = Frozen(self._overlay, applied, self._engine)
        self._frozen_rows = self._rows
        self._begin_overlay()
        return self._frozen

    def finish(self, frozen: Frozen) -> None:
        """The rows of `frozen` are durable in the engine: read them there.

        `frozen` itself, which may hold 100,000 rows, is freed when its last holder lets go: that should be the
        checkpoint thread and not the loop. Checkpointer.finish sees to that.
        """
        assert frozen is self._frozen, "only the checkpoint under way can end"
        self._engine.renew()
        assert self._engine.applied == frozen.applied
        self._frozen = None
        self._frozen_rows = {}

    def snapshot(self) -> EngineSnapshot | None:
        """The rows of the last checkpoint; None if one is under way, or was interrupted: after the next, then."""
        if self._frozen is not None or self._engine.has_partial_checkpoint:
            return None
        return self._engine.snapshot()

    def replace(self, open_engine: Callable[[], Engine]) -> None:
        """Be another state altogether, a later one. No checkpoint may be under way."""
        self._engine.close()
        self._engine = engine = open_engine()
        assert engine.applied.slot > self.applied_slot, "a state was replaced by an older one"
        self._engine_get = engine.get
        last_timestamp_us = self.last_timestamp_us
        self.applied_slot, self.item_count, self.size_bytes, self.last_timestamp_us = engine.applied
        self.last_timestamp_us = max(self.last_timestamp_us, last_timestamp_us)
        self._frozen = None
        self._frozen_rows = {}
        self._begin_overlay()
        self._look_at_split()

    def close(self) -> None:
        """Let go of the engine. No checkpoint may be under way."""
        self._engine.close()


def first_rows(rows: Iterator[Entry], bytes_max: int) -> list[Entry]:
    """The first of `rows`, until they have so many bytes."""
    taken: list[Entry] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += len(row[0]) + len(row[1])
        if size >= bytes_max:
            break
    return taken


def merge(upper: Iterator[tuple[bytes, bytes | None]], lower: Iterator[Entry], reverse: bool) -> Iterator[Entry]:
    """Both layers in order. Where both have a key, the upper one's row; its tombstones hide."""
    below = next(lower, None)
    for key, value in upper:
        while below is not None and (below[0] > key if reverse else below[0] < key):
            yield below
            below = next(lower, None)
        if below is not None and below[0] == key:
            below = next(lower, None)
        if value is not None:
            yield key, value
    if below is not None:
        yield below
        yield from lower
