"""What is left of transactions: those that nobody is at are finished, and records that nobody needs are removed.

Everything that has a marker, or a record that is not over, and is not live, was left by a crash or by a disk that was
full. It is finished at the start, when it is in somebody's way, and every second while that fails: some at a time,
since a crash may leave thousands, and not while the disk refuses writes, which the node finds out by itself. How old it
is does not matter, as it does in the paper, where nobody can know whether a coordinator is still at work.

In a cluster the node that leads the ledger knows what is live, and all others know nothing. They tell it of markers
that are older than `OLD_SECONDS`, and it finishes what it does not know. A coordinator that led the ledger before may
still believe that it is at work; it can decide nothing any more, since the ledger is what decides.

Source: ATC 2023, section 3.5, the recovery manager.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from varley.clock import Clock, time_us
from varley.item.key_bytes import TOKEN_SPACE
from varley.item.marker import ID_BYTES, Marker, Name
from varley.node.partition import Partition
from varley.node.settled import NOBODY, Done
from varley.router.routes import Router
from varley.transactions.abroad import Abroad
from varley.transactions.coordinator import State
from varley.transactions.drive import Drive, Part
from varley.transactions.ledger import Ledger
from varley.transactions.live import Live
from varley.transactions.partitions import by_partition
from varley.transactions.record import Record

logger = logging.getLogger("varley.transactions")

_TICK_SECONDS: Final = 1.0      # how often old records and unfinished transactions are looked at
_FINISHED_AT_ONCE: Final = 32   # in one turn of the loop: some milliseconds
OLD_SECONDS: Final = 3.0        # then the ledger's leader is told of a marker; one that is at it passes over that

Marked = Mapping[Name, Sequence[tuple[str, bytes]]]    # table and row key of all items with a marker, by transaction


class Recovery:
    """From start() to halt(). Used from the event loop only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, router: Router, ledger: Ledger, live: Live,
        abroad: Abroad | None,
    ) -> None:  # fmt: skip
        """`abroad`: how partitions are reached that other nodes lead; None: there are none."""
        self._abroad = abroad
        if abroad is not None:
            abroad.on_left = self._told_of_left
        self._ledger_ballot = 0     # in which this node leads the ledger, as far as `_tick` has seen
        self._loop = loop
        self._clock = clock
        self._now_us = functools.partial(time_us, clock)
        self._router = router
        self._ledger = ledger
        self._live = live
        self._left: set[Name] = set()    # to be finished at the next tick
        self._next: list[Name] = []      # to be finished in the next turns of the loop
        self._timer: asyncio.TimerHandle | None = None    # not None exactly while it runs

    def start(self) -> None:
        """Begin with what the last run left. The log is open."""
        if self._abroad is None:
            self._left.update(self._marked())
        self._tick()

    def halt(self) -> None:
        """Begin nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._left.update(self._next)
        self._next = []
        self._live.expect(0)

    def met(self, marker: Marker) -> None:
        """A marker is in somebody's way. Nearly always its transaction is under way."""
        if self._timer is None:    # not on a folder that is read-only: whatever was tried there would be refused
            return
        if self._abroad is not None and not self._is_old(marker.name):
            return
        if marker.name.id not in self._live and marker.name not in self._left:
            self._left.add(marker.name)
            self._loop.call_soon(self._finish_left)

    def leave(self, name: Name) -> None:
        """To be finished later."""
        self._left.add(name)

    def _finish_left(self) -> None:
        if not self._left or self._next or self._router.refusal is not None:
            return
        self._next, self._left = list(self._left), set()
        # One look for all slices: finishing one changes the markers of no other, and one that is finished by somebody
        # else meanwhile is found to be over.
        self._finish_next(self._marked())

    def _finish_next(self, marked: Marked) -> None:
        """A slice."""
        names, self._next = self._next[:_FINISHED_AT_ONCE], self._next[_FINISHED_AT_ONCE:]
        for name in names:
            if self._leads_ledger():
                self._finish(name, marked, _nobody_asked)
            elif name in marked:
                assert self._abroad is not None
                self._abroad.tell_left(self._ledger.partition.group, name, marked[name])
        if self._next:
            self._loop.call_soon(self._finish_next, marked)
        self._live.expect(len(self._next))

    def _is_old(self, name: Name) -> bool:
        return name.timestamp_us + OLD_SECONDS * 1_000_000 < self._clock.time() * 1_000_000

    def _leads_ledger(self) -> bool:
        return self._abroad is None or self._abroad.is_led_here(self._ledger.partition.group)

    def _told_of_left(self, name: Name, items: Sequence[tuple[str, bytes]]) -> None:
        """This node leads the ledger, and another has old markers of a transaction."""
        if name.id not in self._live:
            self._finish(name, {name: items}, _nobody_asked)

    def _is_away(self, partition: Partition) -> bool:
        return self._abroad is not None and not self._abroad.is_led_here(partition.group)

    def _marked(self) -> dict[Name, list[tuple[str, bytes]]]:
        """Table and row key of all items that have a marker here, by transaction."""
        marked: dict[Name, list[tuple[str, bytes]]] = {}
        for route in self._router.routes():
            for partition in route.partitions:
                if self._is_away(partition):
                    continue
                for key, marker in partition.participant.markers.items():
                    marked.setdefault(marker.name, []).append((route.name, key))
        return marked

    def finish(self, name: Name, done: Done) -> None:
        """Finish one that the ledger has as decided, and that is not live; `done` hears when that is so."""
        self._finish(name, self._marked(), done)

    def _finish(self, name: Name, marked: Marked, done: Done) -> None:
        """Commit it or cancel it, as was decided; cancel it if nothing was."""
        if name.id in self._live:    # or it is another one with the same token
            self._left.add(name)
            return
        found = self._ledger.find(name.id)
        if found is not None and found.name != name:
            found = None
        items = list(dict.fromkeys((*(() if found is None else found.rows), *marked.get(name, ()))))
        if not items and (found is None or found.state.is_over):
            return    # the disk refused all of it: nothing was prepared, and nothing can come late on one node
        state = None if found is None else found.state
        logger.info("finishing a transaction that is %s", "unknown" if state is None else state.value)
        self._live.begin(name.id, None if found is None else found.request)

        def then(outcome: State | BaseException) -> None:
            self._live.end(name.id)
            done(outcome if isinstance(outcome, BaseException) else None)

        begun = found or Record(name, State.CANCELLED, bytes(ID_BYTES), tuple(items))
        Drive(self._ledger, begun, self._parts(items), self._now_us, then, self.leave, self._abroad).resume(state)

    def _parts(self, items: Sequence[tuple[str, bytes]]) -> dict[Partition, Part]:
        """`items`: table and row key. Of tables that are there: with a deleted one its markers went."""
        known = [(self._router.route(table), key) for table, key in items if table in self._router]
        return {
            partition: Part(known[own[0]][0], [known[number][1] for number in own], None)
            for partition, own in by_partition(known).items()
        }

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)
        if self._abroad is not None:
            self._left.update(name for name in self._marked() if name.id not in self._live and self._is_old(name))
            self._look_at_ledger(self._abroad)
        if self._router.refusal is None:
            self._finish_left()
            if self._leads_ledger():
                self._purge()

    def _look_at_ledger(self, abroad: Abroad) -> None:
        """If this node leads the ledger since a moment ago: others have written to it meanwhile."""
        group = self._ledger.partition.group
        if abroad.is_led_here(group) and abroad.ballot(group) != self._ledger_ballot:
            self._ledger_ballot = abroad.ballot(group)
            self._ledger.forget_what_was_seen()

    def _purge(self) -> None:
        purged = self._ledger.purge(self._clock.time(), self._purge_again)
        self._left.update(each.name for each in purged.unfinished if each.name.id not in self._live)
        tokens: dict[Partition, list[bytes]] = {}
        for each in purged.records:
            table, key = each.rows[0] if each.rows else ("", b"")
            if table in self._router:
                partition = self._router.route(table).partition_of(key)
                tokens.setdefault(partition, []).append(TOKEN_SPACE + each.name.id)
        for partition, keys in tokens.items():
            if self._abroad is not None and self._is_away(partition):
                self._abroad.remove(partition.group, keys)
            else:
                partition.participant.remove(keys, NOBODY)

    def _purge_again(self) -> None:
        if self._timer is not None:
            self._loop.call_soon(self._purge)


def _nobody_asked(error: BaseException | None) -> None:
    """What failed is tried again."""
