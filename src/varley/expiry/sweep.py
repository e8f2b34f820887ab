"""One partition of a table whose items expire: when to look at it, and the sweep under way. See sweeper.py."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from varley.errors import ApiError, ConditionalCheckFailed, WorldError
from varley.expiry.derived_entry import propose_derived
from varley.expiry.expiry_delete import ExpiryDelete
from varley.node.elsewhere import Elsewhere
from varley.node.participant import DerivedRow
from varley.node.partition import Partition
from varley.node.settled import once_settled
from varley.router.routes import Route
from varley.table.expiry import END_OF_ROWS, NEVER, TOO_OLD_SECONDS, Expiries, row_bound, seconds_of

logger = logging.getLogger("varley.expiry")

TICK_SECONDS_MAX: Final = 1.0
BREATH_SECONDS: Final = 0.001   # between slices, for everybody else
_ROWS_PER_SLICE: Final = 64     # about a millisecond


class Swept(Protocol):
    """One definition of a table: what a sweep needs of it."""

    name: str
    route: Route
    is_over: bool    # there is a newer definition, or no table any more


class Sweeping(Protocol):
    """All sweeps of one server."""

    leads: Callable[[int], bool]
    under_way: int

    def now(self) -> float: ...
    def later(self, seconds: float, work: Callable[[], None]) -> None: ...
    def tick(self) -> None: ...
    def has_expired(self, table: str) -> None: ...


class Sweep:
    """It waits for the slots of its own deletions. Used from the event loop only."""

    def __init__(self, of: Swept, by: Sweeping, partition: Partition, expiries: Expiries) -> None:
        self._of = of
        self._by = by
        self._partition = partition
        self._attribute = expiries.attribute
        self.found_at = 0    # no row that was applied when it was last looked at has an earlier time; 0: not looked yet
        self.hint_at = NEVER    # nor has any that was made since then an earlier one than this
        self.is_busy = False
        self._has_failed = False    # a deletion of this slice
        # Where the next slice begins. Behind all that this sweep and those before it have deleted: until the next
        # checkpoint that stands in the tree as rows that are gone, and who reads over a million of them for each slice
        # stops everybody.
        self._behind = b""

    @property
    def group(self) -> int:
        return self._partition.group

    # Of deletions

    def reply(self, body: bytes) -> None:
        if body:    # not of rows that were wrong
            self._by.has_expired(self._of.name)

    def fail(self, error: BaseException) -> None:
        if not isinstance(error, ConditionalCheckFailed):
            self._has_failed = True

    # Of a sweep

    def begin(self) -> None:
        self.is_busy = True
        self._behind = row_bound(min(self.found_at, self.hint_at))
        self.hint_at = NEVER
        self._by.under_way += 1
        self._when_settled(self._slice)

    def _end(self) -> None:
        self.is_busy = False
        self._by.under_way -= 1
        self._by.later(0, self._by.tick)    # others may have waited for this

    def _leave(self) -> None:
        """Another node leads the partition, and sweeps it. If this one does again, it looks at everything."""
        self.hint_at = 0
        self._end()

    def _slice(self) -> None:
        if self._of.is_over:
            self._end()
            return
        if not self._by.leads(self.group):
            self._leave()
            return
        self._has_failed = False
        try:
            rows = self._rows(self._behind, row_bound(math.ceil(self._by.now())))
            due = [key for key, _ in islice(rows, _ROWS_PER_SLICE)]
            self._delete(due)
        except (ApiError, WorldError, Elsewhere) as error:
            self._try_later(error)
            return
        if due:
            self._when_settled(lambda: self._next(due[-1]))
        else:
            self._behind = min(self._behind, row_bound(self.hint_at))
            self.hint_at = NEVER
            self._when_settled(self._finish)

    def _rows(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Those from `low` to below `high`, oldest first, whose items are not too old to be deleted."""
        low = max(low, row_bound(math.floor(self._by.now()) - TOO_OLD_SECONDS))
        return self._partition.tree.scan(low, max(low, high))

    def _delete(self, due: list[bytes]) -> None:
        """Raises Damaged, or Throttling, after some deletions perhaps."""
        partition = self._partition
        wrong: list[DerivedRow] = []
        for key in due:
            if partition.newest(key) is None:
                continue    # a write has moved it, and is not chosen yet
            delete = ExpiryDelete(key, self._attribute, self._of.route, partition)
            try:
                partition.write(delete, self)
            except ApiError as refusal:
                self.fail(refusal)
            if delete.is_row_wrong:
                wrong.append((key, None))
        if wrong:
            propose_derived(partition, wrong, self)

    def _when_settled(self, then: Callable[[], None]) -> None:
        """Go on when all is decided that is proposed now."""

        def release(error: BaseException | None) -> None:
            self._has_failed = self._has_failed or error is not None
            then()

        try:
            newest = self._partition.undecided_range()
        except Elsewhere:
            self._leave()
            return
        once_settled(newest, release)

    def _next(self, last: bytes) -> None:
        if not self._has_failed:    # else this slice again
            self._behind = last + b"\0"
        self._by.later(TICK_SECONDS_MAX if self._has_failed else BREATH_SECONDS, self._slice)

    def _finish(self) -> None:
        """All that was due is gone, and what was proposed when the hint was set aside is applied."""
        if self._of.is_over:
            self._end()
            return
        if not self._by.leads(self.group):    # what was proposed may not have been chosen
            self._leave()
            return
        try:
            first = next(self._rows(self._behind, END_OF_ROWS), None)
        except WorldError as error:
            self._try_later(error)
            return
        self.found_at = NEVER if first is None else seconds_of(first[0])
        self._end()

    def _try_later(self, error: ApiError | WorldError | Elsewhere) -> None:
        logger.warning("items of table %s expire later: %s", self._of.name, error)
        self._by.later(TICK_SECONDS_MAX, self._slice)
