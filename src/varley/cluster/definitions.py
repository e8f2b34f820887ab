"""No leader of a partition follows an older definition of its table than any leader before it has followed.

What follows from a write, rows of indexes, records of streams, expiries, is evaluated by the leader, from its node's
view of the metadata; and that comes by a watch, to one node earlier than to another. Story: 1. An index is added. n1,
which leads partition P, knows, fills the index with what P has, and sends it what is written. 2. n1 goes, and n2
leads, whose watch hangs. 3. An item is deleted: n2 knows of no index that has a row of it. 4. n2 hears of the index.
The row stays for ever: filling adds what there is, and does not find what is there no more. A stream that was added
would miss a record, an attribute for expiries an expiry.

So each leader writes down, in the log of the partition and before the first write that is evaluated so, which version
of the definition it follows (table/followed_definition.py). A new leader has everything that was ever chosen, so it
has the newest of these rows. If that is newer than what its node knows, it does not begin: whoever asks it is told
that it does not lead, and waits as in an election. Mostly its watch brings what is missing within milliseconds. If it
does not, it lets another member lead.

The first definition needs no row: a node that has a partition at all knows it. It gets one all the same, since who
begins to lead cannot tell the first definition from another.

Rejected: to ask etcd who begins to lead (groups elect their leaders while etcd is away); to keep back changes of
tables until all nodes know (one that is cut off would keep back everything).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from varley.metadata.catalog import Catalog
from varley.node.member_partition import MemberPartition
from varley.node.partition import Partition
from varley.node.settled import NOBODY
from varley.router.routes import GlobalIndexRoute, Route
from varley.storage.log_format import DERIVED, PUT
from varley.table.followed_definition import DEFINITION_KEY, definition_value, definition_version

logger = logging.getLogger("varley.cluster")

WAIT_SECONDS: Final = 2.0       # for this node's watch, before another is to lead
_AGAIN_SECONDS: Final = 0.05


class Definitions:
    """Of one node. A watcher of its router, and told who leads. Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        *,
        replica: Callable[[int], Partition | None],
        begins: Callable[[int, int], None],
        hand_over: Callable[[int], object],
    ) -> None:
        """`replica(group)`: what this node has applied of a group. `begins(group, ballot)`: it is led here from now on.
        `hand_over(group)`: let another member lead, if one can."""
        self._loop = loop
        self._catalog = catalog
        self._replica = replica
        self._begins = begins
        self._hand_over = hand_over
        self._known: dict[int, int] = {}    # group -> version of the definition that the routes of this node follow
        self._led: dict[int, tuple[MemberPartition, int]] = {}     # whose members lead, and in which ballot

    def is_current(self, group: int) -> bool:
        """Whether this node knows of all that leaders of the group have followed, as far as it has applied what they
        wrote: what is not known then was deleted."""
        replica = self._replica(group)
        return replica is None or definition_version(replica.get(DEFINITION_KEY)) <= self._known.get(group, 0)

    # From the node

    def begins_to_lead(self, partition: MemberPartition, ballot: int) -> None:
        """Its member serves. Called before anything is asked of it."""
        self._led[partition.group] = partition, ballot
        partition.is_barred = True
        self._look(partition, ballot)
        if partition.is_barred:
            logger.info("group %d is not led yet: what leaders have followed is not known here", partition.group)
            self._loop.call_later(WAIT_SECONDS, self._give_up, partition.group, ballot)

    def follows(self, group: int) -> None:
        """Its member serves no longer."""
        self._led.pop(group, None)

    # As a watcher of the router

    def opened(self, route: Route) -> None:
        described = self._catalog.get(route.name)
        assert described is not None
        for partition in route.partitions:
            self._known[partition.group] = described.table_version
            led = self._led.get(partition.group)
            if led is not None:
                self._look(*led)

    def index_closed(self, index: GlobalIndexRoute) -> None:
        """Nothing here is about indexes by themselves."""

    def closed(self, route: Route) -> None:
        for partition in route.partitions:
            self._known.pop(partition.group, None)

    # Both

    def _look(self, partition: MemberPartition, ballot: int) -> None:
        """Bar it, or have it follow what is known."""
        group = partition.group
        # None: it is none of a table, or its table is not known here yet, or is none any more and only its streams are
        # read. In each of these nobody writes to it what would have to be evaluated.
        known = self._known.get(group)
        was_barred, partition.is_barred = partition.is_barred, False
        if known is not None and definition_version(partition.get(DEFINITION_KEY)) > known:
            partition.is_barred = True
        elif not partition.is_leading:
            # It is handing over, so this cannot be written down; if the successor does not come, it has to be.
            partition.is_barred = True
            self._loop.call_later(_AGAIN_SECONDS, self._look_again, group, ballot)
        else:
            if known is not None:
                _note(partition, known)
            if was_barred:
                self._begins(group, ballot)

    def _look_again(self, group: int, ballot: int) -> None:
        led = self._led.get(group)
        if led is not None and led[1] == ballot and led[0].is_barred:
            self._look(*led)

    def _give_up(self, group: int, ballot: int) -> None:
        led = self._led.get(group)
        if led is not None and led[1] == ballot and led[0].is_barred:
            logger.warning("group %d: another node is to lead; the definition of its table does not come here", group)
            self._hand_over(group)
            self._loop.call_later(WAIT_SECONDS, self._give_up, group, ballot)


def _note(partition: MemberPartition, version: int) -> None:
    """Write down what is followed from here on, if that is new."""
    if definition_version(partition.newest(DEFINITION_KEY)) < version:
        timestamp_us = partition.next_timestamp()
        row = (PUT, DEFINITION_KEY, definition_value(version, timestamp_us), DERIVED)
        partition.propose([row], timestamp_us, NOBODY)
