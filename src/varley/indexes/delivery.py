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
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from varley.indexes.propagation import Delivery
from varley.item.stored import item_size
from varley.node.partition import Partition
from varley.node.settled import Done, Told, once_settled
from varley.storage.log_format import ABSENT, DELETE, DERIVED, PUT, Row
from varley.table.outgoing import source_key, source_slot, source_value


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
    for delivery in batch:
        source, slot = delivery.source, delivery.slot
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
    rows: list[Row] = []
    for key, value in values.items():
        old = newest(key)
        if old == value:    # as it is: filled with what a change has brought, or gone before it came
            continue
        rows.append((DELETE if value is None else PUT, key, value, ABSENT if old is None else item_size(old)))
    if not rows and not advanced:
        once_settled(partition.undecided_range(), done)    # it has everything, but perhaps in undecided slots
        return
    timestamp_us = partition.next_timestamp()
    for source in advanced:
        rows.append((PUT, source_key(source), source_value(sources[source], timestamp_us), DERIVED))
    partition.propose(rows, timestamp_us, Told(done))
