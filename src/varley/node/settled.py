"""Answers that wait for undecided slots: one, or several for a strong read of more than one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from varley.node.replica import Proposal, Waiter


class Told:
    """A waiter that calls `then(None)` when what it waits for is done, `then(error)` if nobody can know."""

    __slots__ = ("_then",)

    def __init__(self, then: Callable[[BaseException | None], None]) -> None:
        self._then = then

    def reply(self, body: bytes) -> None:
        self._then(None)

    def fail(self, error: BaseException) -> None:
        self._then(error)


def reply_when_settled(waiter: Waiter, read: Callable[[], bytes]) -> Callable[[BaseException | None], None]:
    """What to call when an undecided slot is settled, to answer `waiter` with what `read` gives then."""

    def release(error: BaseException | None) -> None:
        if error is not None:
            waiter.fail(error)
            return
        try:
            answer = read()
        except Exception as failure:    # nobody else would tell the client
            waiter.fail(failure)
        else:
            waiter.reply(answer)

    return release


def when_settled(proposals: Sequence[Proposal], then: Callable[[BaseException | None], None]) -> None:
    """Call `then(None)` when all `proposals` are applied, or `then(error)` when one's outcome is unknown.

    `then` is called once, and not before the last of them is settled.
    """
    left = len(proposals)
    failure: BaseException | None = None
    assert left > 0

    def release(error: BaseException | None) -> None:
        nonlocal left, failure
        left -= 1
        failure = failure or error
        if left == 0:
            then(failure)

    for proposal in proposals:
        proposal.hold(release)
