"""Taking a batch of deliveries into a partition of a global index: what happens at its leader.

    deliver(partition, batch, done)      done(None): durable.  done(error): nobody knows, send it again

This is the narrow place between the partitions of a table and those of its indexes. Nothing but what is passed here
crosses it, so that the two may be on different nodes.

All deliveries of a batch take one slot, and so does what the partition remembers of their sources: which slot of each
it has (table/outgoing.py). What it has already is passed over:

    a change        if it has this slot of the source, or a later one
    filling         if it has a later one; as of the same slot, filling twice gives the same rows

An index row is an item of its partition, so each row says what it replaces, and the counts of the partition are those
of the index.

A partition that comes of a split gets the rows of its parent in the same way, items and what follows from them, until
it is told that it has all (`open_child`). From then on it is its own, and passes over whatever its parent still sends.
Of the rows of local indexes that it gets it keeps the tally by itself. It begins with the first one that it is sent, in
which nothing is counted, and which comes before any of these rows; one that is sent again, late, changes nothing.

A partition that has been split, or is about to be, takes nothing that goes to its child: who sends has an old map. And
when its child has a copy of it, it takes nothing at all until it has ended, which is some milliseconds. Who sends may
know the new map by then, have put aside for the child what is the child's, and send what comes behind; what is
remembered of such a source goes to the child, which would pass over what was put aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from varley.errors import Throttling
from varley.indexes.propagation import Delivery, IndexRow
from varley.item.key_bytes import DERIVED_SPACES, ITEM_SPACE, LOCAL_INDEX_SPACES, TALLY_SPACE
from varley.item.stored import item_size
from varley.node.partition import Partition
from varley.node.settled import Done, Told, once_settled
from varley.storage.log_format import ABSENT, DELETE, DERIVED, PUT, Row
from varley.table.index_tally import tally_after
from varley.table.outgoing import source_key, source_slot, source_value
from varley.table.parting import ORIGIN_KEY, Origin, origin_value


class Arriving(NamedTuple):
    """A delivery as another node has sent it. See propagation.Delivery."""

    source: int
    slot: int
    is_filling: bool
    rows: list[tuple[bytes, bytes | None]]


def deliver(partition: Partition, batch: Sequence[Delivery | Arriving], done: Done) -> None:
    """Take `batch`, deliveries of each source in the order of their slots. `done` is called once, perhaps at once."""
    sources: dict[int, int] = {}    # source -> the last slot that the partition has of it, or will have
    advanced: set[int] = set()      # sources of which there is more
    values: dict[bytes, bytes | None] = {}
    newest = partition.newest
    origin = partition.tree.origin
    for delivery in batch:
        source, slot = delivery.source, delivery.slot
        if origin is not None and source == origin.parent:
            continue
        has = sources.get(source)
        if has is None:
            has = sources[source] = source_slot(newest(source_key(source)))
        if delivery.is_filling:
            if has > slot:
                continue
        else:
            if has >= slot:
                continue
            sources[source] = slot
            advanced.add(source)
        values.update(delivery.rows)
    closed_from = partition.tree.closed_from
    is_for_child = closed_from is not None and any(key[:1] == ITEM_SPACE and key[1:] >= closed_from for key in values)
    if is_for_child or partition.tree.is_about_to_end:
        done(Throttling("A part of the partition is another's now, or will be in a moment."))
        return
    rows: list[Row] = []
    tallied: list[tuple[bytes, bytes | None, bytes | None]] = []
    for key, value in values.items():
        old = newest(key)
        if old == value:    # as it is: filled with what a change has brought, or gone before it came
            continue
        if key == TALLY_SPACE and old is not None:    # it has begun already
            continue
        if key[:1] in LOCAL_INDEX_SPACES:
            tallied.append((key, old, value))
        counted = DERIVED if key[0] in DERIVED_SPACES else ABSENT if old is None else item_size(old)
        rows.append((DELETE if value is None else PUT, key, value, counted))
    if not rows and not advanced:
        once_settled(partition.undecided_range(), done)    # it has everything, but perhaps in undecided slots
        return
    timestamp_us = partition.next_timestamp()
    for source in advanced:
        rows.append((PUT, source_key(source), source_value(sources[source], timestamp_us), DERIVED))
    if tallied:
        tally = newest(TALLY_SPACE)
        assert tally is not None, "it has come before the first of them"
        rows.append((PUT, TALLY_SPACE, tally_after(tally, tallied, timestamp_us), DERIVED))
    partition.propose(rows, timestamp_us, Told(done))


def open_child(partition: Partition, origin: Origin, rows: Sequence[IndexRow], done: Done) -> None:
    """The partition, which came of a split, has all: it serves from now on. `rows`: what else it has to have. `done` as
    in `deliver`; harmless if it serves already."""
    if partition.newest(ORIGIN_KEY) is not None:
        once_settled(partition.undecided_range(), done)
        return
    # All that it decides by itself is behind all that its parent has decided about the same items.
    timestamp_us = partition.next_timestamp(after_us=origin.time_us)
    value = origin_value(origin, timestamp_us)
    entry: list[Row] = [(PUT, key, row, DERIVED) for key, row in rows]
    partition.propose([*entry, (PUT, ORIGIN_KEY, value, DERIVED)], timestamp_us, Told(done))
