"""Who calls an engine's `write`: a thread of its own, one batch at a time, so that the loop never waits for a disk."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from varley.errors import WorldError
from varley.ring_node.engines.engine import Batch, Engine

Done = Callable[[WorldError | None], None]


class Writer(Protocol):
    """The seam between the store and whatever runs its writes: a test's writer forgets what was not synced."""

    def write(self, batch: Batch, done: Done) -> None:
        """Begin. `done` is called once, in a later turn of the loop, before the next call. One batch at a time."""
        ...

    def close(self) -> None:
        """No batch is under way."""
        ...


class Loop(Protocol):
    """What the ring's node asks of an event loop: asyncio's has it."""

    def call_soon(self, callback: Callable[..., object], /, *args: object) -> object: ...

    def call_soon_threadsafe(self, callback: Callable[..., object], /, *args: object) -> object: ...

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> Handle: ...


class Handle(Protocol):
    def cancel(self) -> None: ...


class ThreadWriter:
    def __init__(self, engine: Engine, loop: Loop) -> None:
        self._engine = engine
        self._loop = loop
        self._work: SimpleQueue[tuple[Batch, Done] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="ring writer", daemon=True)
        self._thread.start()

    def write(self, batch: Batch, done: Done) -> None:
        self._work.put((batch, done))

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            batch, done = work
            failure: WorldError | None = None
            try:
                self._engine.write(batch)
            except WorldError as error:
                failure = error
            except Exception as error:      # the thread must not die with a batch in its hands: it says what it met
                failure = WorldError(f"the writer failed: {error!r}", operation="write", hint="Restart the node.")
            self._loop.call_soon_threadsafe(done, failure)


class LoopWriter:
    """For an engine that waits for nothing."""

    def __init__(self, engine: Engine, loop: Loop) -> None:
        self._engine = engine
        self._loop = loop

    def write(self, batch: Batch, done: Done) -> None:
        self._engine.write(batch)
        self._loop.call_soon(done, None)

    def close(self) -> None:
        pass
