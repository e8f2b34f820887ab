"""One definition of a table whose items expire, or did: its rows are put right, and its partitions are swept.

See sweeper.py.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from varley.errors import ApiError, WorldError
from varley.expiry.amendment import Amendment
from varley.expiry.sweep import BREATH_SECONDS, TICK_SECONDS_MAX, Sweep, Sweeping
from varley.metadata.catalog import Described
from varley.node.elsewhere import Elsewhere
from varley.router.routes import Route
from varley.table.expiry import NEVER, Expiries

logger = logging.getLogger("varley.expiry")

_SWEEPS_MAX: Final = 4    # at once: when the clock is moved, all of a thousand partitions may be due


class SweptTable:
    """One definition of one table."""

    def __init__(
        self, by: Sweeping, described: Described, route: Route, settled: asyncio.Future[None]
    ) -> None:
        self.name = described.table.name
        self.route = route
        self._by = by
        self.is_over = False    # there is a newer definition, or no table any more
        self._settled = settled
        self._expiries = expiries = _expiries_of(route)    # None: items do not expire any more
        self._sweeps = [] if expiries is None else [Sweep(self, by, each, expiries) for each in route.partitions]
        # By the number of their partitions, as _sweeps are. One after the other: there may be a thousand. Those of
        # partitions that are led elsewhere stay, in case that changes.
        self._amendments = dict(enumerate(Amendment(described.table, partition) for partition in route.partitions))
        self._amend()

    def begins_to_lead(self, group: int) -> None:
        for number, partition in enumerate(self.route.partitions):
            if partition.group == group:
                for sweep in self._sweeps[number : number + 1]:
                    sweep.hint_at = 0
                if number in self._amendments:
                    self._amend()

    def reroute(self, route: Route) -> None:
        """The route is another one now: of the same partitions, but what its followers know is lost."""
        self.route = route
        self._expiries = _expiries_of(route)
        self.look_everywhere()

    def replace(self) -> None:
        self.is_over = True
        self._settle()

    def _settle(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _amend(self) -> None:
        """A slice of putting the rows right."""
        if self.is_over:
            self._settle()
            return
        try:
            while (number := self._next_amendment()) is not None and self._amendments[number].slice(self._amended):
                del self._amendments[number]
                if self._sweeps:
                    self._sweeps[number].hint_at = 0    # no write has told of the rows that were added
        except (ApiError, WorldError, Elsewhere) as error:
            self._amended(error)
            return
        if number is None:
            self._settle()
            self._by.later(0, self._by.tick)

    def _next_amendment(self) -> int | None:
        """Of a partition that this node leads; None: it has nothing to do."""
        partitions = self.route.partitions
        led = (number for number in reversed(self._amendments) if self._by.leads(partitions[number].group))
        return next(led, None)

    def _amended(self, error: BaseException | None) -> None:
        if error is not None:
            logger.warning("the expiries of table %s are put right later: %s", self.name, error)
        self._by.later(BREATH_SECONDS if error is None else TICK_SECONDS_MAX, self._amend)

    def look_everywhere(self) -> None:
        for sweep in self._sweeps:
            sweep.hint_at = 0

    def look(self, now: float) -> float:
        """Sweep what is due, and say when the next is: epoch seconds."""
        if self._expiries is None:
            return NEVER
        soonest, self._expiries.soonest = self._expiries.soonest, NEVER
        earliest: float = NEVER
        for sweep in self._sweeps:
            if soonest < sweep.hint_at:
                sweep.hint_at = soonest
            if sweep.is_busy:
                continue
            if not self._by.leads(sweep.group):
                sweep.hint_at = 0    # when it is led here, who knows what others have written
                continue
            look_at = min(sweep.found_at, sweep.hint_at)
            if look_at >= now:
                earliest = min(earliest, look_at)
            elif self._by.under_way < _SWEEPS_MAX:
                sweep.begin()
        return earliest


def _expiries_of(route: Route) -> Expiries | None:
    followers = () if route.consequences is None else route.consequences.followers
    return next((each for each in followers if isinstance(each, Expiries)), None)
