"""The one source of time.

Leases, time to live, stream retention, token buckets, idempotency windows and backups all depend on time, and
none of them can be tested by waiting. So nobody calls `time.time()`: whoever needs time is handed a `Clock`.
A test hands out one that stands still until it is moved; the admin port moves the clock of a development
server, so that "expires in thirty days" can be seen today.

Two kinds of time, never mixed:

    time()        seconds since 1970, what clients see and what is stored. May jump in both directions.
    monotonic()   seconds since an arbitrary start, what leases and timeouts are measured with. Never goes
                  back, whatever happens to the other: an expired lease that came to life again would give a
                  group two leaders.

Rejected: replacing the `time` module in tests (it reaches code that must not be reached, the event loop's
own timers first of all), and a clock with timers (the loop has timers; a part that waits for a clock time
looks at the clock whenever its timer fires). A clock that was moved by hand says so, however, to those who asked:
nobody who has just moved it a month on wants to wait a second for a timer.
"""

from __future__ import annotations

import time as machine_time
from collections.abc import Callable
from typing import Protocol

EPOCH_SECONDS_MAX = 253_402_300_800.0    # the year 10000: what dates can say, and what stored timestamps can hold


class Clock(Protocol):
    """What a part that needs time asks for."""

    def time(self) -> float:
        """Seconds since the epoch (1970-01-01 UTC)."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never less than what an earlier call gave."""


class SystemClock:
    """The machine's own clocks. A call costs no more than calling the `time` module."""

    # staticmethod, not a method of ours that calls them: every write asks for the time.
    time = staticmethod(machine_time.time)
    monotonic = staticmethod(machine_time.monotonic)


def time_us(clock: Clock) -> int:
    """Microseconds since the epoch, as timestamps of items have them."""
    return int(clock.time() * 1_000_000)


def boot_time_us() -> int:
    """Microseconds since the machine was started, those while it was suspended too: what leases are measured with.

    Not moved with a MovableClock: a lease is about what two machines do meanwhile, not about what clients are shown.
    """
    return machine_time.clock_gettime_ns(machine_time.CLOCK_BOOTTIME) // 1000


class StoppedClock:
    """A clock that stands still: the base of a `MovableClock` in tests whose time moves by hand only."""

    def __init__(self, epoch_seconds: float = 1_700_000_000.0) -> None:
        self._epoch_seconds = epoch_seconds

    def time(self) -> float:
        return self._epoch_seconds

    def monotonic(self) -> float:
        return 0.0


class MovableClock:
    """Another clock, plus what it was moved by. Not for use by several threads that move it at once."""

    def __init__(self, base: Clock | None = None) -> None:
        self._base: Clock = SystemClock() if base is None else base
        self._offset = 0.0
        self._monotonic_offset = 0.0    # the sum of all moves forward: only ever grows
        self._watchers: list[Callable[[], None]] = []

    @property
    def offset(self) -> float:
        """Seconds by which `time()` is ahead of the base clock; negative if it was set back."""
        return self._offset

    def time(self) -> float:
        return self._base.time() + self._offset

    def monotonic(self) -> float:
        return self._base.monotonic() + self._monotonic_offset

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        Raises ValueError (the caller's fault) when `seconds` is negative or not a finite number.
        """
        if not seconds >= 0 or not self.time() + seconds < EPOCH_SECONDS_MAX:
            raise ValueError(f"a clock advances by 0 seconds or more, and not beyond the year 9999; not by {seconds}")
        self._offset += seconds
        self._monotonic_offset += seconds
        self._tell()

    def set(self, epoch_seconds: float) -> None:
        """Make `time()` give this now, later or earlier than it was. `monotonic()` moves only if it is later.

        Raises ValueError (the caller's fault) for a time before 1970 or a number that is not finite.
        """
        if not 0 <= epoch_seconds < EPOCH_SECONDS_MAX:
            raise ValueError(f"a clock is set to a time from 1970 to 9999, not to {epoch_seconds}")
        self.be_ahead(self._offset + epoch_seconds - self.time())

    def be_ahead(self, seconds: float) -> None:
        """Make `offset` this, which was the offset of a clock that was moved."""
        self._monotonic_offset += max(seconds - self._offset, 0.0)
        self._offset = seconds
        self._tell()

    def watch(self, moved: Callable[[], None]) -> None:
        """Call `moved` after each move, on the thread that moves the clock."""
        self._watchers.append(moved)

    def unwatch(self, moved: Callable[[], None]) -> None:
        self._watchers.remove(moved)

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher()
