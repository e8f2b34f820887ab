"""An event loop that moves only when it is told to, and whose time is a number.

The node asks its loop for callbacks, timers, futures and disk threads. Here callbacks run in `turn`, timers when
`advance` passes their time, and work for disk threads runs at once: so a test decides what happens between what, and
nothing sleeps.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_WAIT_SECONDS_MAX = 60    # for another thread, the one that writes checkpoints


class SteppedLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._selector = self    # what BaseEventLoop asks for events: there are none
        self._now = 0.0
        self._own_thread = threading.get_ident()
        self._is_called = threading.Event()    # by another thread, since `run` looked
        self.errors: list[BaseException] = []    # what callbacks raised, in order
        self.holds_disk_threads = False    # what is given to a disk thread waits in `held`
        self.held: list[Callable[[], None]] = []
        self.set_exception_handler(self._remember)

    def turn(self) -> None:
        """Run every callback that is due now, not those that these make due. Raises what one of them raised."""
        self.call_soon(self.stop)
        self.run_forever()
        if self.errors:
            raise self.errors.pop(0)

    def turns(self, number: int = 5) -> None:
        """Some turns: enough for what is proposed to be flushed, chosen and answered."""
        for _ in range(number):
            self.turn()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self.turn()

    def jump(self, seconds: float) -> None:
        """So much time has passed, and nothing was done meanwhile."""
        self._now += seconds

    def run_for(self, seconds: float) -> None:
        """Let so much time pass, from timer to timer, each at its time."""
        until = self._now + seconds
        while True:
            while self._ready:
                self.turn()
            if not self._scheduled or self._scheduled[0].when() > until:
                break
            self._now = max(self._now, self._scheduled[0].when())
            self.turn()
        self._now = until

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Turn until `work` is done, and wait for other threads meanwhile."""
        task = self.create_task(work)
        while True:
            self._is_called.clear()
            while not task.done() and self._ready:
                self.turn()
            if task.done():
                return task.result()
            assert self._is_called.wait(_WAIT_SECONDS_MAX), "nobody else does anything"

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:
                self.call_soon(done.set_exception, error)
            else:
                self.call_soon(done.set_result, result)    # behind what func has called

        if self.holds_disk_threads:
            self.held.append(work)
        else:
            work()
        return done

    def let_disk_threads_go(self) -> None:
        while self.held:
            self.held.pop(0)()
        self.turns()

    def wait_for_call(self) -> None:
        """Turn until another thread has called, and that is done."""
        assert self._is_called.wait(_WAIT_SECONDS_MAX), "nobody calls"
        self.turns()
        self._is_called.clear()

    def _remember(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or AssertionError(context["message"]))

    # For BaseEventLoop

    def select(self, timeout: float | None) -> list[Any]:
        return []

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        if threading.get_ident() != self._own_thread:
            self._is_called.set()
