"""A page that is read for a client: at once if it is short, and else a slice at a time, with others served in between.

Query, Scan and SELECT differ in which rows they read and in what they answer; this is what they share. See node.page.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from varley.errors import ResourceNotFound
from varley.http.call import Call
from varley.node.elsewhere import Need, RowsAway
from varley.node.page import Page, Rows
from varley.node.partition import Partition
from varley.node.replica import Proposal
from varley.node.settled import when_settled
from varley.remote.peers import Peers
from varley.router.routes import GlobalIndexRoute, Route

_SLICE_ROWS: Final = 400    # looked at before others are served: 0.3 ms, or 1 ms with a filter
_FETCHED_ROWS: Final = 1000    # asked of another node at once, if the page may have so many

ItemKey = Callable[[bytes], bytes]    # from the key of a row of a local index to that of its item


class RowsOf(Protocol):
    """The rows of one range of a partition. `item_key`: the items of the rows are wanted too; `limit`: so many rows."""

    def __call__(self, partition: Partition, item_key: ItemKey | None, limit: int | None) -> Rows: ...


def rows_here(partition: Partition, item_key: ItemKey | None, limit: int | None) -> Rows:
    return partition


class _RowsWherever:
    """Of partitions that are here and of those in `away`."""

    def __init__(self, peers: Peers, need: Need, away: Collection[int]) -> None:
        self._peers = peers
        self._need = need
        self.away = away

    def __call__(self, partition: Partition, item_key: ItemKey | None, limit: int | None) -> Rows:
        group = partition.group
        if group not in self.away:
            return partition
        return self._peers.rows(group, self._need, min(limit or _FETCHED_ROWS, _FETCHED_ROWS), item_key)


class PageReading(ABC):
    """What is asked for, and how the answer is made of it. Subclasses say both."""

    __slots__ = ()

    @property
    @abstractmethod
    def owner(self) -> Route | GlobalIndexRoute:
        """What has the rows: a table, or a global index."""

    @property
    @abstractmethod
    def is_strong(self) -> bool:
        """Whether all that was acknowledged before has to be seen."""

    @abstractmethod
    def partitions(self) -> Sequence[Partition]:
        """Where the rows are, each once."""

    @abstractmethod
    def page(self, rows_of: RowsOf) -> Page:
        """The page, of which nothing was read; `rows_of` gives the rows of each range of a partition."""

    @abstractmethod
    def body(self, page: Page) -> bytes:
        """The answer, when the page is complete."""

    def run(self, call: Call) -> bytes | None:
        """The answer, or None if it takes a while (undecided writes, many rows); `call` gets it then."""
        rows_of = rows_here if call.elsewhere is None else self._rows_wherever(call.elsewhere)
        undecided = self._undecided(rows_of) if self.is_strong else ()
        if undecided:
            when_settled(undecided, lambda error: self._begin(call, rows_of, error))
            return None
        page = self.page(rows_of)
        try:
            if page.read(_SLICE_ROWS):
                return self.body(page)
        except RowsAway as away:
            self._fetch(call, page, away)
            return None
        self._read_on_later(call, page)
        return None

    def _undecided(self, rows_of: RowsOf) -> Sequence[Proposal]:
        """What has to be settled before the page is read. Others see to that by themselves."""
        away = rows_of.away if isinstance(rows_of, _RowsWherever) else ()
        return [
            proposal
            for partition in self.partitions()
            if partition.group not in away and (proposal := partition.undecided_range()) is not None
        ]

    def _rows_wherever(self, peers: Peers) -> RowsOf:
        """In a cluster. What is all in one partition is not fetched from there: the request is passed on (Elsewhere),
        so that the filter is where the rows are."""
        need = Need.LEADER if self.is_strong else Need.COPY
        groups = [partition.group for partition in self.partitions()]
        away = {group for group in groups if not peers.is_here(group, need)}
        return _RowsWherever(peers, need, away) if away and len(groups) > 1 else rows_here

    def _fetch(self, call: Call, page: Page, away: RowsAway) -> None:
        def then(error: BaseException | None) -> None:
            if error is None:
                self._read_on(call, page)
            else:
                call.fail(error)

        away.fetch(then)

    def _begin(self, call: Call, rows_of: RowsOf, error: BaseException | None) -> None:
        if error is None:
            self._read_on(call, self.page(rows_of))
        else:
            call.fail(error)

    def _read_on(self, call: Call, page: Page) -> None:
        """Another slice of the page; then the answer, or, after others were served, the next slice."""
        try:
            if self.owner.is_closed:    # the table, or the index, was deleted since the slice before
                raise ResourceNotFound("Requested resource not found")
            body = self.body(page) if page.read(_SLICE_ROWS) else None
        except RowsAway as away:
            self._fetch(call, page, away)
            return
        except Exception as failure:    # it has no caller: the client is its caller
            call.fail(failure)
            return
        if body is None:
            self._read_on_later(call, page)
        else:
            call.reply(body)

    def _read_on_later(self, call: Call, page: Page) -> None:
        asyncio.get_running_loop().call_soon(self._read_on, call, page)
