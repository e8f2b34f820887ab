"""The indexes that are being filled: each node fills them with what the partitions have that it leads.

    to be filled ---> a Backfill (backfill.py) over the partitions that are led here ---> all has arrived
                          ^                                                                    |
                     led here too, or anew                          on one machine, or if the table's first partition
                                                                    is led here: are all others through? ---> ACTIVE

Whoever begins to lead a partition begins anew with all that it leads: how far each was stands in it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec

from varley.errors import ResourceNotFound, WorldError
from varley.indexes.abroad import Abroad
from varley.indexes.backfill import Backfill, begin_to_forget
from varley.indexes.sending import RETRY_SECONDS, Sending
from varley.metadata.catalog import Catalog
from varley.node.partition import Partition
from varley.node.settled import after_calls
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.table import schema
from varley.table.schema import Table

logger = logging.getLogger("varley.indexes")


class Filling:
    """Of one node. Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        router: Router,
        sending: Sending,
        abroad: Abroad | None,
        keep: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`keep` runs a coroutine, and says aloud if it fails. `abroad`: None on a single server."""
        self._loop = loop
        self._catalog = catalog
        self._router = router
        self._sending = sending
        self._abroad = abroad
        self._keep = keep
        self._backfills: dict[str, Backfill] = {}   # by index id
        if abroad is not None:
            abroad.is_filled = self.is_through

    @property
    def is_idle(self) -> bool:
        """Whether no index is being filled."""
        return not self._backfills

    def ratio(self, index_id: str) -> float | None:
        """How much of the table's keyspace is done, 0 to 1; None: the index is not being filled from here."""
        backfill = self._backfills.get(index_id)
        return None if backfill is None else backfill.ratio

    def is_through(self, group: int, index_id: str) -> bool:
        """Whether all that the partition of `group`, which is led here, had has arrived at the index."""
        backfill = self._backfills.get(index_id)
        return backfill is not None and backfill.is_through(group)

    def led(self, partitions: Iterable[Partition]) -> list[Partition]:
        """Those that this node leads."""
        return [each for each in partitions if self._abroad is None or self._abroad.is_led_here(each.group)]

    def begin(self, route: Route) -> None:
        """Fill what is to be filled and is not being filled; of what is filled, forget how far it was: the server may
        have been killed before it did."""
        for index in route.global_indexes:
            if not index.is_backfilling:
                begin_to_forget(index.id, self.led(route.partitions))
            elif index.id not in self._backfills:
                self._backfills[index.id] = backfill = Backfill(
                    self._loop, index, self.led(route.partitions), self._sending.filled,
                    functools.partial(self._filled_here, route, index.id),
                )  # fmt: skip
                backfill.start()

    def begin_again(self, route: Route) -> None:
        """This node leads another of the table's partitions, or one anew."""
        for index in route.global_indexes:
            if index.is_backfilling:
                self.stop_index(index.id)
        self.begin(route)

    def follow(self, route: Route) -> None:
        """The table's definition is another now."""
        for index in route.global_indexes:
            if not index.is_backfilling:    # another node has made it ACTIVE
                self.stop_index(index.id)
        self.begin(route)

    def stop_index(self, index_id: str) -> Backfill | None:
        """Fill it no more; gives what it was filled with, if it was."""
        backfill = self._backfills.pop(index_id, None)
        if backfill is not None:
            backfill.stop()
        return backfill

    def closed(self, index: GlobalIndexRoute) -> None:
        """It is there no more."""
        backfill = self.stop_index(index.id)
        if backfill is not None:
            begin_to_forget(index.id, self.led(backfill.partitions))

    def stop(self) -> None:
        """Read no more. What is under way arrives, or is sent again by whoever fills these next."""
        for backfill in self._backfills.values():
            backfill.stop()

    # ACTIVE

    def _filled_here(self, route: Route, index_id: str) -> None:
        """All that this node leads of a table is read. Whoever leads its first partition makes the index ACTIVE."""
        if self._abroad is None:
            self._keep(self._activate(route.name, index_id))
        elif self._abroad.is_led_here(route.partitions[0].group):
            self._ask_whether_filled(self._abroad, route, index_id, self._backfills[index_id])

    def _ask_whether_filled(self, abroad: Abroad, route: Route, index_id: str, backfill: Backfill) -> None:
        if not self._sending.is_running or self._backfills.get(index_id) is not backfill:
            return
        if not abroad.is_led_here(route.partitions[0].group):
            return    # whoever leads it asks; if this node does again, it fills again
        is_all_filled = True

        def heard(is_filled: bool) -> None:
            nonlocal is_all_filled
            is_all_filled = is_all_filled and is_filled
            done(None)

        def told(error: BaseException | None) -> None:
            if is_all_filled:
                self._keep(self._activate(route.name, index_id))
            else:
                self._loop.call_later(RETRY_SECONDS, self._ask_whether_filled, abroad, route, index_id, backfill)

        done = after_calls(len(route.partitions), told)
        for partition in route.partitions:
            abroad.ask_whether_filled(partition.group, index_id, heard)

    async def _activate(self, table_name: str, index_id: str) -> None:
        """An index is filled: say so, durably, and then forget how far it was."""
        try:
            async with self._catalog.changes:
                if index_id not in self._backfills:    # the index was deleted meanwhile
                    return
                _, after = await self._catalog.change(table_name, functools.partial(_active, index_id))
                # Another than the one that has finished, if somebody has tried in vain to delete the index meanwhile;
                # none, if another node was quicker.
                self.stop_index(index_id)
                await self._router.update(after)    # and how far it was is forgotten: see `begin`
        except ResourceNotFound:
            return    # the table was deleted meanwhile, by another node
        except WorldError as error:
            logger.warning("an index of %s is filled, which cannot be written down yet: %s", table_name, error)
            if index_id in self._backfills and error.retryable and self._sending.is_running:
                self._loop.call_later(1.0, self._activate_later, table_name, index_id)

    def _activate_later(self, table_name: str, index_id: str) -> None:
        self._keep(self._activate(table_name, index_id))


def _active(index_id: str, table: Table) -> Table:
    """`table` with this index, if it has it, as one that is filled."""
    return schema.changed(
        table,
        global_indexes=tuple(
            msgspec.structs.replace(index, status="ACTIVE", is_backfilling=False) if index.id == index_id else index
            for index in table.global_indexes
        ),
    )
