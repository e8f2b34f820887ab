"""In what order changes go from the partitions of a table to those of its global indexes: the protocol, without I/O.

A *source* is a partition of a table, a *target* one of an index. A chosen slot of a source may carry rows for several
targets; what it has for one target is a *delivery*. All that is promised hangs on two orders:

    source 7, slots     1   2   3   4   5              carries      slot 1 -> A       slot 4 -> A and B
                        |           |   |                           slot 5 -> B
    channel to A        [7.1] [9.3] [7.4] ...          in the order in which the slots were chosen, all sources mixed
    channel to B        [7.4] [7.5] ...

  - To each target one *batch* is under way, the first deliveries of its channel. It is taken into one slot of the
    target, or nobody knows whether it was. If nobody knows, the same deliveries are sent again, before any other. So a
    target gets the deliveries of a source in the order of their slots, some of them perhaps twice.
  - The target remembers, in the same slot, the last slot of each source that it has (table/outgoing.py), and passes
    over what it has already. So each delivery is applied exactly once, in order.

While one batch is under way the next one collects: the slower a target is, the more share one of its slots. A target
that is stalled holds back nothing but its own channel. So an item whose row moves to another partition of the index may
be seen in both of them for a moment, or in none: no order is promised between two targets.

A source's log is needed from its first slot that has a delivery without acknowledgement (`oldest`): after a crash, that
and what follows is read from the log and sent again.

*Filling.* Items that were there before an index was come into the same channels, as deliveries that carry the slot as
of which they were read. All deliveries of slots up to it are before them in the channel, all of later slots behind: so
a target applies them unless it has a later slot of that source, which means that it had them before. Nothing in the
log stands for them, so they hold back no log; who fills asks to be told when they have arrived.

Rejected: sending each delivery by itself, several at a time (a target would have to put them in order, and a slot for
each costs ten times as much), and one channel for each pair of source and target (with many sources a target would get
as many small batches).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from varley.table.global_index_follower import Backlog

# What one batch may hold. It becomes one entry of the log, and is applied in one step: 2 ms.
BATCH_ROWS_MAX: Final = 400
BATCH_BYTES_MAX: Final = 256 * 1024

_ROW_OVERHEAD_BYTES: Final = 150    # what Python takes for a row beside the bytes of key and value, about

# Rows of an index: key, stored value (None: the row goes away).
IndexRow = tuple[bytes, bytes | None]


class Part(NamedTuple):
    """What one slot carries to one target."""

    rows: list[IndexRow]
    backlog: Backlog    # of the index
    due: float = 0.0    # not to be sent before this moment of the monotonic clock


class Ledger:
    """What one slot of a source, or one step of filling an index, waits for."""

    __slots__ = ("left", "slot", "then")

    def __init__(self, slot: int, left: int, then: Callable[[], None] | None) -> None:
        self.slot = slot
        self.left = left    # deliveries that are not acknowledged
        self.then = then    # to be called when all are


class Delivery:
    """What one slot of a source carries to one target."""

    __slots__ = ("backlog", "bytes", "due", "is_filling", "ledger", "rows", "source")

    def __init__(self, source: int, ledger: Ledger, part: Part, *, is_filling: bool) -> None:
        self.source = source
        self.ledger = ledger
        self.rows, self.backlog, self.due = part
        self.bytes = _bytes_of(self.rows)
        self.is_filling = is_filling

    @property
    def slot(self) -> int:
        return self.ledger.slot


def _bytes_of(rows: Iterable[IndexRow]) -> int:
    return sum(len(key) + len(value or b"") + _ROW_OVERHEAD_BYTES for key, value in rows)


class _Channel:
    """To one target."""

    __slots__ = ("queue", "under_way")

    def __init__(self) -> None:
        self.queue: deque[Delivery] = deque()
        self.under_way = 0    # so many at the head of `queue` are the batch that is under way


class Propagation:
    """All channels of one node. Groups are named by their numbers."""

    def __init__(self) -> None:
        self._channels: dict[int, _Channel] = {}
        # By source, in the order of slots: those of which some delivery is not acknowledged; the first always is.
        self._open_slots: dict[int, deque[Ledger]] = {}

    # Who takes part

    def add_target(self, target: int) -> None:
        if target not in self._channels:
            self._channels[target] = _Channel()

    def remove_target(self, target: int) -> None:
        """It is there no more: what was on the way to it is done with, and who filled it is not told."""
        channel = self._channels.pop(target)
        for delivery in channel.queue:
            delivery.ledger.then = None
            self._settle(delivery)

    def split_target(self, target: int, child: int, at: bytes) -> None:
        """What is on its way to `target`, and about rows from the location `at` on, is sent to `child`, which is known.

        What is under way stays so: if `target` has taken all of it, so has the child from it, and it passes over what
        it gets a second time.
        """
        queue = self._channels[child].queue
        for delivery in self._channels[target].queue:
            moved = [row for row in delivery.rows if row[0][1:] >= at]
            if moved:
                part = Part(moved, delivery.backlog, delivery.due)
                delivery.rows = [row for row in delivery.rows if row[0][1:] < at]
                delivery.ledger.left += 1
                size = delivery.bytes
                delivery.bytes = _bytes_of(delivery.rows)
                other = Delivery(delivery.source, delivery.ledger, part, is_filling=delivery.is_filling)
                assert delivery.bytes + other.bytes == size, "the backlog is as it was"
                queue.append(other)

    def add_source(self, source: int) -> None:
        self._open_slots.setdefault(source, deque())

    def remove_source(self, source: int) -> None:
        """It is there no more, nor are the targets that it sent to."""
        del self._open_slots[source]

    # Events

    def changed(self, source: int, slot: int, parts: Mapping[int, Part]) -> None:
        """`slot` of `source` was chosen, and carries these parts, by target. Slots come in their order, each once."""
        assert parts
        open_slots = self._open_slots[source]
        assert not open_slots or open_slots[-1].slot < slot, "slots are chosen in order"
        ledger = Ledger(slot, len(parts), None)
        open_slots.append(ledger)
        self._enqueue(source, ledger, parts, is_filling=False)

    def filled(self, source: int, slot: int, parts: Mapping[int, Part], then: Callable[[], None]) -> None:
        """Rows of items that `source` has as of `slot`, the last one chosen. `then` is called when all have arrived."""
        assert parts
        self._enqueue(source, Ledger(slot, len(parts), then), parts, is_filling=True)

    def next_batch(self, target: int, now: float) -> list[Delivery]:
        """What to send to `target` now; then it is under way. [] if something is, or nothing is due.

        More than BATCH_ROWS_MAX and BATCH_BYTES_MAX only if one delivery is.
        """
        channel = self._channels[target]
        if channel.under_way:
            return []
        batch: list[Delivery] = []
        rows = size = 0
        for delivery in channel.queue:
            rows += len(delivery.rows)
            size += delivery.bytes
            if delivery.due > now or (batch and (rows > BATCH_ROWS_MAX or size > BATCH_BYTES_MAX)):
                break
            batch.append(delivery)
        channel.under_way = len(batch)
        return batch

    def acknowledged(self, target: int) -> list[Callable[[], None]]:
        """The batch under way has arrived, durably. Gives what is to be called of who waits for it."""
        channel = self._channels[target]
        assert channel.under_way
        calls = []
        for _ in range(channel.under_way):
            then = self._settle(channel.queue.popleft())
            if then is not None:
                calls.append(then)
        channel.under_way = 0
        return calls

    def unknown(self, target: int) -> None:
        """Nobody knows whether the batch under way has arrived: it is sent again."""
        channel = self._channels[target]
        assert channel.under_way
        channel.under_way = 0

    # What can be asked

    def is_target(self, target: int) -> bool:
        return target in self._channels

    def oldest(self, source: int) -> int | None:
        """The first slot of `source` that has a delivery without acknowledgement."""
        open_slots = self._open_slots[source]
        return open_slots[0].slot if open_slots else None

    def is_empty(self, target: int) -> bool:
        """Whether there is nothing for `target`, neither under way nor waiting."""
        return not self._channels[target].queue

    def due(self, target: int) -> float | None:
        """When the next batch to `target` may be sent; None: there is none, or one is under way."""
        channel = self._channels[target]
        return channel.queue[0].due if channel.queue and not channel.under_way else None

    def targets(self) -> Iterable[int]:
        return self._channels

    # The two lists that a delivery stands in

    def _enqueue(self, source: int, ledger: Ledger, parts: Mapping[int, Part], *, is_filling: bool) -> None:
        for target, part in parts.items():
            delivery = Delivery(source, ledger, part, is_filling=is_filling)
            part.backlog.add(len(part.rows), delivery.bytes)
            self._channels[target].queue.append(delivery)

    def _settle(self, delivery: Delivery) -> Callable[[], None] | None:
        """A delivery is done with. Gives what is to be called, if it was the last that somebody waited for."""
        delivery.backlog.add(-len(delivery.rows), -delivery.bytes)
        ledger = delivery.ledger
        ledger.left -= 1
        if ledger.left:
            return None
        if not delivery.is_filling:
            open_slots = self._open_slots.get(delivery.source)
            while open_slots and open_slots[0].left == 0:
                open_slots.popleft()
        return ledger.then
