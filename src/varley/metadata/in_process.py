"""Watches and leases of a store that one process has to itself: what MemoryStore and LocalStore share.

The store tells, in the order of its versions, what each compare_and_set has done, and every watch has a queue of its
own. A lease is a time on the injected clock. The store looks at the clock before whatever it does, so nobody ever sees
a key whose lease is over; for those who watch, a timer of each lease, and a clock that was moved, have it look too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from varley.clock import Clock, MovableClock
from varley.errors import LeaseEnded
from varley.metadata.store import Change, Changed, Listed, Told

RENEWALS = 3    # in the length of a lease: two may be lost


class Watchers:
    """Those who watch one store. Used from the event loop only."""

    def __init__(self) -> None:
        self._prefixes: dict[asyncio.Queue[Told], str] = {}
        self._beginning: set[asyncio.Queue[Told]] = set()    # those that have not been told what is there

    def add(self, prefix: str) -> asyncio.Queue[Told]:
        """The queue of a new watch. It is told nothing before `begin`."""
        queue: asyncio.Queue[Told] = asyncio.Queue()
        self._prefixes[queue] = prefix
        self._beginning.add(queue)
        return queue

    def begin(self, queue: asyncio.Queue[Told], listed: Listed) -> None:
        if queue in self._prefixes:    # else it was stopped before it began
            self._beginning.remove(queue)
            queue.put_nowait(listed)

    def remove(self, queue: asyncio.Queue[Told]) -> None:
        del self._prefixes[queue]
        self._beginning.discard(queue)

    def tell(self, changed: Changed) -> None:
        for queue, prefix in self._prefixes.items():
            written = [entry for entry in changed.written if entry.key.startswith(prefix)]
            deleted = [key for key in changed.deleted if key.startswith(prefix)]
            if (written or deleted) and queue not in self._beginning:
                queue.put_nowait(Changed(changed.version, written, deleted))


class InProcessLease:
    """See store.Lease. `look` has the store delete the keys of leases that are over."""

    def __init__(
        self, seconds: float, clock: Clock, look: Callable[[], None], wait_for_look: Callable[[], Awaitable[None]]
    ) -> None:
        assert seconds > 0
        self.seconds = seconds
        self.lost = asyncio.Event()
        self.is_over = False    # set by the store, on its own thread, in the moment in which the keys go
        self._clock = clock
        self._ends_at = clock.monotonic() + seconds
        self._look = look
        self._wait_for_look = wait_for_look
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._look_again)
        if isinstance(clock, MovableClock):
            clock.watch(look)

    @property
    def is_due(self) -> bool:
        return self._clock.monotonic() >= self._ends_at

    async def renew(self) -> bool:
        await self._wait_for_look()
        if self.is_over:
            return False
        self._ends_at = self._clock.monotonic() + self.seconds
        return True

    async def keep(self) -> None:
        while await self.renew():
            try:
                async with asyncio.timeout(self.seconds / RENEWALS):
                    await self.lost.wait()
            except TimeoutError:
                pass

    async def end(self) -> None:
        self._ends_at = self._clock.monotonic()
        await self._wait_for_look()

    def has_ended(self) -> None:
        """On the event loop: the store has deleted what was under it."""
        self.lost.set()
        self._timer.cancel()
        if isinstance(self._clock, MovableClock):
            self._clock.unwatch(self._look)

    def _look_again(self) -> None:
        self._look()
        if not self.is_due:
            self._timer = self._loop.call_later(self._ends_at - self._clock.monotonic(), self._look_again)


def refuse_ended_leases(changes: Sequence[Change]) -> None:
    """Raises LeaseEnded."""
    for change in changes:
        if change.lease is not None:
            assert isinstance(change.lease, InProcessLease)
            if change.lease.is_over:
                raise LeaseEnded("The lease has ended", path=change.key, operation="write", hint="Take a new one")
