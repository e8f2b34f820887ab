"""An entry of rows that follow from items as they are now, while no item changes."""

from __future__ import annotations

from collections.abc import Sequence

from varley.node.participant import DerivedRow
from varley.node.partition import Partition
from varley.node.replica import Waiter
from varley.storage.log_format import DELETE, DERIVED, PUT


def propose_derived(partition: Partition, derived: Sequence[DerivedRow], waiter: Waiter) -> None:
    """Propose these rows, at least one, all of them in one slot; `waiter` is told when they are chosen.

    Raises Throttling if the node has too much in memory; nothing was proposed.
    """
    assert derived
    if partition.is_under_pressure:
        raise partition.overload()
    rows = [(DELETE if value is None else PUT, key, value, DERIVED) for key, value in derived]
    partition.propose(rows, partition.next_timestamp(), waiter)
