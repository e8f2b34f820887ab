"""What becomes of tasks that fail, that do not end, and that are kept running."""

from __future__ import annotations

import asyncio
import logging

import pytest

from varley.assembly import tasks
from varley.assembly.tasks import Tasks, of_tasks


async def wrong() -> None:
    raise AssertionError("this cannot be")


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_an_error_of_ours_is_counted_and_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        some = Tasks("groups")
        some.start(wrong())
        some.start(asyncio.sleep(0))
        await some.wait_ended()
        await asyncio.sleep(0)    # those who tell that a task has ended
        assert [tuple(each) for each in of_tasks(some)] == [("varley_background_failures_total", 1, ("groups",))]

    asyncio.run(work())
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "this cannot be" in caplog.text


def test_what_does_not_end_in_time_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        some = Tasks("calls")
        ended = []

        async def quick() -> None:
            await asyncio.sleep(0)
            ended.append("quick")

        some.start(quick())
        some.start(for_ever())
        await some.end_within(0.05)
        assert ended == ["quick"]
        await some.wait_ended()     # returns: nothing runs any more
        assert some.failures == 0

    asyncio.run(asyncio.wait_for(work(), 10))
    assert "calls: 1 did not end" in caplog.text


def test_what_is_kept_running_begins_again_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0)

    async def work() -> None:
        some = Tasks("followers")
        begun = []

        async def third_time() -> None:
            begun.append(len(begun))
            if len(begun) < 3:
                raise KeyError("not yet")

        some.keep_running(third_time)
        await some.wait_ended()
        assert begun == [0, 1, 2]
        assert some.failures == 2

    asyncio.run(asyncio.wait_for(work(), 10))


def test_what_is_kept_running_ends_when_all_are_cancelled() -> None:
    async def work() -> None:
        some = Tasks("followers")
        some.keep_running(for_ever)
        await asyncio.sleep(0)
        await some.cancel()
        assert some.failures == 0

    asyncio.run(asyncio.wait_for(work(), 10))
