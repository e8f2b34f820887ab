"""All splits that are under way and whose parents this node leads: begun, gone on with, and ordered.

A look, some times a second, compares the orders in the catalog with what is being carried out here; whatever was
missed (another leader, a node that went down, an order that came with a watch) is found by the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final

from varley.errors import ResourceNotFound, ValidationError, WorldError
from varley.indexes.indexes import Indexes
from varley.metadata.catalog import Catalog
from varley.metadata.split import Split
from varley.router.routes import GlobalIndexRoute, Ranges, Route, Router
from varley.splits.splitting import Home, NotNow, Splitting
from varley.streams.streams import Streams
from varley.table.parting import is_location

logger = logging.getLogger("varley.splits")

_LOOK_SECONDS: Final = 0.25


class Splits:
    """From start() to stop(). Used from the event loop only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        router: Router,
        indexes: Indexes,
        streams: Streams,
        home: Home,
        keep: Callable[[Coroutine[Any, Any, None]], None],
        *,
        keep_seconds: float,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`keep` runs a coroutine, and says aloud if it fails. `keep_seconds`: see Splitting."""
        self._keep_seconds = keep_seconds
        self._loop = loop
        self._catalog = catalog
        self._router = router
        self._indexes = indexes
        self._streams = streams
        self._home = home
        self._keep = keep
        self._pause = pause
        self._timer: asyncio.TimerHandle | None = None    # not None exactly while it runs
        self._is_stopped = False
        self._running: dict[int, Splitting] = {}    # by child
        self._known: dict[int, Split] = {}          # by child: those of which the indexes know, where they can

    # Orders

    def groups_of(self, table: str) -> list[int]:
        """All groups of a table that serve; [] if there is no such table."""
        described = self._catalog.get(table)
        return [] if described is None else [each for each in described.groups if each not in described.unmapped]

    async def order(
        self, table: str, index: str | None = None, group: int | None = None, at: bytes | None = None
    ) -> Split:
        """Have a partition split: that of `group`, else the one that has `at`, else the largest. Raises ApiError, the
        client's fault; what the store raises."""
        if at is not None and not is_location(at):
            raise ValidationError("A location is 32 hexadecimal digits: the hash of a partition key")
        async with self._catalog.changes:
            described = self._catalog.get(table)
            if described is None:
                raise ResourceNotFound(f"Requested resource not found: Table: {table} not found")
            owner = described.table.id
            owners: Ranges = self._router.route(table)
            if index is not None:
                found = next((each for each in self._router.route(table).global_indexes if each.name == index), None)
                if found is None:
                    raise ValidationError(f"The table does not have the specified index: {index}")
                owner, owners = found.id, found
            if group is None and at is not None:
                group = described.map_of(owner).find(at).group
            if group is None:
                group = max(owners.partitions, key=lambda each: each.tree.size_bytes).group
            return await self._catalog.order_split(table, owner, group, at)

    def under_way(self) -> Iterator[tuple[Split, str]]:
        """All that are ordered, and what this node does for each."""
        for described in self._catalog:
            for each in described.splits.values():
                running = self._running.get(each.split.child)
                yield each.split, "" if running is None else running.doing

    # Carrying out

    def start(self) -> None:
        """Begin. Not on a disk that takes no writes."""
        self._router.watchers.append(self)
        self.know_all()
        self._look_again()

    def stop(self) -> None:
        """Go on with nothing. Harmless if it was never started."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def know_all(self) -> None:
        """Whoever may lead a parent has to know where what its entries carry goes."""
        wanted = {each.split.child: each.split for described in self._catalog for each in described.splits.values()}
        for child, split in wanted.items():
            at = split.location
            self._known[child] = split
            if at is not None:
                self._indexes.begin_to_carry(self._home.partition(split.parent), self._home.partition(child), at)
        for child in [child for child in self._known if child not in wanted]:
            split = self._known.pop(child)
            self._indexes.end_carrying(self._home.partition(split.parent), child)

    def begins_to_lead(self, group: int) -> None:
        """This node leads `group` from now on: perhaps in the middle of its split."""
        if self._timer is None:
            return
        for described in self._catalog:
            for each in described.splits.values():
                if each.split.parent == group and described.is_in_map(each.split):
                    # Nothing of the upper part is to begin here any more: whoever knows the map waits for the child.
                    self._home.partition(group).tree.closed_from = each.split.location
        self.look()

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look_again)
        self.look()

    def look(self) -> None:
        """Go on with what nobody is at."""
        self.know_all()
        for described in self._catalog:
            for each in described.splits.values():
                split = each.split
                if split.child not in self._running and self._home.leads(split.parent):
                    splitting = Splitting(
                        split, self._catalog, self._indexes, self._streams, self._home,
                        keep_seconds=self._keep_seconds, pause=self._paused,
                    )  # fmt: skip
                    self._running[split.child] = splitting
                    self._keep(self._carry_out(splitting))

    async def _carry_out(self, splitting: Splitting) -> None:
        try:
            await splitting.run()
        except (NotNow, WorldError) as error:
            if not self._is_stopped:
                logger.info("group %d: its split goes on later: %s", splitting.split.parent, error)
        finally:
            del self._running[splitting.split.child]
        self.know_all()

    async def _paused(self, seconds: float) -> None:
        if self._is_stopped:
            raise NotNow("this server stops")
        if seconds < 1.0:
            await self._pause(seconds)
            return
        ends = self._loop.time() + seconds
        while self._loop.time() < ends and not self._is_stopped:
            await self._pause(_LOOK_SECONDS)

    # The router tells

    def opened(self, route: Route) -> None:
        pass

    def index_closed(self, index: GlobalIndexRoute) -> None:
        pass

    def closed(self, route: Route) -> None:
        """What was being split is gone, and no child was a part of it yet (Catalog.delete)."""
        for child in [child for child, split in self._known.items() if split.table == route.name]:
            split = self._known.pop(child)
            self._indexes.end_carrying(self._home.partition(split.parent), child)
            self._keep(self._home.remove(split))
