"""The life of a server: it opens, serves, winds down and closes, whatever it is made of.

    start ---> opening ---> serving ---> winding down ---> closed        stop(), begin_to_stop(), SIGTERM, SIGINT
                  |            |              ^
                  |            +--------------+                          fail(): what it needs has failed
                  +--> closed: start() raises

Three kinds of servers have this life (server.py, cluster_server.py, ring_server.py); each says how its parts open and
close. What is easily got wrong stands here once:

    It is told to stop while it opens: it opens, and then winds down. Half of its parts could not wind down.
    Its disk fails while it opens: start() raises that.
    It is told to stop twice: whoever says so does not want to wait for clients.
    Winding down fails: what is open is closed all the same, so that a program that embeds it does not keep a locked
    folder; the first of the errors is the one that wait_stopped() raises.

Until it serves, signals do what they do to any program: SIGTERM ends it, and what it had begun is put right by the next
start, as after a crash.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import logging
import signal
from typing import Final

from varley.assembly.tasks import Tasks
from varley.settings import NodeSettings

logger = logging.getLogger("varley.server")

_FAILED_DRAIN_SECONDS: Final = 0.5      # how long requests may go on in a server that cannot


class Life(abc.ABC):
    """From `start` to `wait_stopped`, on one event loop."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._stopped: asyncio.Future[None]
        self._ending = Tasks("stop")            # one at most
        self._is_started = False
        self._is_stopping = False
        self._failure: Exception | None = None  # what ended it

    # What each kind of server says

    @abc.abstractmethod
    async def _open(self) -> None:
        """Return when requests are served. Raises WorldError."""

    @abc.abstractmethod
    async def _wind_down(self, failure: Exception | None) -> None:
        """Let what is under way end, and make all durable; after a `failure`, what can still be done of that."""

    @abc.abstractmethod
    async def _close(self) -> None:
        """Close what is open, whatever that is."""

    @abc.abstractmethod
    def _hurry(self) -> None:
        """Wait for clients no longer."""

    # For those who run it

    async def start(self) -> None:
        """Return when requests are served. Raises WorldError when that cannot be; then all is closed."""
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        try:
            await self._open()
            if self._failure is not None:
                raise self._failure
        except BaseException:
            await self._close()
            raise
        self._is_started = True
        if self._is_stopping:
            self._ending.start(self._end())
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self.begin_to_stop)
            except (ValueError, RuntimeError):
                pass    # not the main thread: whoever embeds the server has the signals

    async def wait_stopped(self) -> None:
        """Return when it has stopped. Raises what stopped it (a WorldError, or an error of ours), if something did."""
        await asyncio.shield(self._stopped)

    async def stop(self) -> None:
        """Let running requests end, make everything durable, close. May be called again."""
        self.begin_to_stop()
        await self.wait_stopped()

    def begin_to_stop(self) -> None:
        if self._is_stopping:
            self._hurry()
        else:
            self._stop_soon()

    @property
    def is_stopping(self) -> bool:
        """Or has stopped."""
        return self._is_stopping

    def end_with_parent(self) -> None:
        """Whoever has started it as a child stops, or has gone: begin to stop, without hurry if that is begun."""
        if not self._is_stopping:
            self._stop_soon()

    def fail(self, error: Exception) -> None:
        """Something that this server cannot go on without has failed."""
        if not self._is_stopping:
            self._failure = error
            self._stop_soon()

    @property
    def drain_seconds(self) -> float:
        """How long requests may still run."""
        return self._settings.drain_seconds if self._failure is None else _FAILED_DRAIN_SECONDS

    def _stop_soon(self) -> None:
        self._is_stopping = True
        if self._is_started:
            self._ending.start(self._end())

    async def _end(self) -> None:
        failure = self._failure
        for step in (functools.partial(self._wind_down, failure), self._close):
            try:
                await step()
            except Exception as error:
                if failure is None:
                    failure = error
                else:
                    logger.error("stopping: %s", error, exc_info=error)
        if failure is None:
            self._stopped.set_result(None)
        else:
            self._stopped.set_exception(failure)
