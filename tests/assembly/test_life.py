"""The life of a server, with parts that do what the test says: what happens in which order, and what is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from varley.assembly.life import Life
from varley.errors import DiskFull, WorldError
from varley.settings import NodeSettings

DISK = DiskFull("no space", path="/data", operation="write")


class Parts(Life):
    """Writes down what it is asked for; `trouble` is raised by the step of that name, `during` runs within it."""

    def __init__(self) -> None:
        super().__init__(NodeSettings())
        self.steps: list[str] = []
        self.trouble: dict[str, Exception] = {}
        self.during: dict[str, Callable[[], None]] = {}
        self.seen: Exception | None = None

    async def _step(self, name: str) -> None:
        self.steps.append(name)
        await asyncio.sleep(0)
        if name in self.during:
            self.during[name]()
        if name in self.trouble:
            raise self.trouble[name]

    async def _open(self) -> None:
        await self._step("open")

    async def _wind_down(self, failure: Exception | None) -> None:
        self.seen = failure
        await self._step("wind down")

    async def _close(self) -> None:
        await self._step("close")

    def _hurry(self) -> None:
        self.steps.append("hurry")


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def test_it_opens_winds_down_and_closes() -> None:
    async def life() -> None:
        parts = Parts()
        await parts.start()
        assert parts.steps == ["open"]
        await parts.stop()
        assert parts.steps == ["open", "wind down", "close"]
        assert parts.seen is None

    run(life())


def test_what_cannot_open_is_closed() -> None:
    async def life() -> None:
        parts = Parts()
        parts.trouble["open"] = WorldError("the port is in use")
        with pytest.raises(WorldError, match="in use"):
            await parts.start()
        assert parts.steps == ["open", "close"]

    run(life())


def test_told_to_stop_while_it_opens_it_winds_down_when_it_is_open() -> None:
    async def life() -> None:
        parts = Parts()
        parts.during["open"] = parts.begin_to_stop
        await parts.start()
        await parts.wait_stopped()
        assert parts.steps == ["open", "wind down", "close"]

    run(life())


def test_a_failure_while_it_opens_is_raised_by_start() -> None:
    async def life() -> None:
        parts = Parts()
        parts.during["open"] = lambda: parts.fail(DISK)
        with pytest.raises(DiskFull):
            await parts.start()
        assert parts.steps == ["open", "close"]

    run(life())


def test_a_failure_ends_it_and_is_raised_to_whoever_waits() -> None:
    async def life() -> None:
        parts = Parts()
        await parts.start()
        parts.fail(DISK)
        parts.fail(WorldError("what followed from that"))
        with pytest.raises(DiskFull):
            await parts.wait_stopped()
        assert parts.steps == ["open", "wind down", "close"]
        assert parts.seen is DISK
        assert parts.drain_seconds < NodeSettings().drain_seconds

    run(life())


def test_told_twice_it_hurries() -> None:
    async def life() -> None:
        parts = Parts()
        await parts.start()
        parts.begin_to_stop()
        parts.begin_to_stop()
        await parts.wait_stopped()
        assert parts.steps == ["open", "hurry", "wind down", "close"]

    run(life())


def test_a_parent_that_goes_does_not_make_it_hurry() -> None:
    async def life() -> None:
        parts = Parts()
        await parts.start()
        parts.end_with_parent()
        parts.end_with_parent()
        await parts.wait_stopped()
        assert parts.steps == ["open", "wind down", "close"]

    run(life())


@pytest.mark.parametrize("first", [None, DISK], ids=["it was told to", "the disk failed"])
def test_all_is_closed_even_if_it_cannot_wind_down(first: Exception | None) -> None:
    async def life() -> None:
        parts = Parts()
        parts.trouble["wind down"] = WorldError("a checkpoint cannot be written")
        parts.trouble["close"] = AssertionError("and that is wrong")
        await parts.start()
        if first is None:
            parts.begin_to_stop()
        else:
            parts.fail(first)
        with pytest.raises(WorldError, match="no space" if first else "a checkpoint"):
            await parts.wait_stopped()
        assert parts.steps == ["open", "wind down", "close"]

    run(life())


def test_a_signal_lets_it_stop() -> None:
    async def life() -> None:
        parts = Parts()
        await parts.start()
        os.kill(os.getpid(), signal.SIGTERM)
        await parts.wait_stopped()
        assert parts.steps == ["open", "wind down", "close"]

    run(life())
