"""Splits on a node of a cluster: the parent is led here, the child wherever.

Who asks for what is the child's finds that its map is old, or a group that nobody leads yet, and waits as in an
election (remote/journey.py). So nothing is held here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from varley.indexes.abroad import Abroad
from varley.indexes.propagation import IndexRow
from varley.metadata.catalog import Described
from varley.metadata.split import Split
from varley.node.partition import Partition
from varley.node.settled import Done
from varley.remote.hosted import Hosted
from varley.remote.places import Places
from varley.table.parting import Origin


class ClusterHome:
    """See splits.splitting.Home."""

    is_alone = False

    def __init__(
        self, hosted: Hosted, places: Places, abroad: Callable[[], Abroad], mapped: Callable[[Described, Split], None]
    ) -> None:
        self._hosted = hosted
        self._places = places
        self._abroad = abroad
        self.mapped = mapped

    def leads(self, group: int) -> bool:
        return self._hosted.leads(group)

    def partition(self, group: int) -> Partition:
        return self._places.partition(group)

    def holding(self) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    def is_served(self, split: Split) -> bool:
        """Known for certain only where a replica of it is; who tells it once more does no harm."""
        found = self._hosted.partitions.get(split.child)
        return found is not None and found[0].tree.origin is not None

    def open_child(self, split: Split, origin: Origin, rows: Sequence[IndexRow], done: Done) -> None:
        self._abroad().open_child(split.child, origin, rows, done)

    def serves(self, described: Described, split: Split) -> None:
        """Its leader has told all nodes that it leads."""

    async def remove(self, split: Split) -> None:
        """Its members go with the metadata that named them."""
