"""Who waits for slots that are not decided: to be told, to answer a client, for one slot or for several of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from varley.node.replica import Done, Proposal, Waiter

__all__ = ("NOBODY", "Done", "Told", "after_calls", "once_settled", "reply_when_settled", "when_settled")


class Told:
    """A waiter that calls `then(None)` when what it waits for is done, `then(error)` if nobody can know."""

    __slots__ = ("_then",)

    def __init__(self, then: Done) -> None:
        self._then = then

    def reply(self, body: bytes) -> None:
        self._then(None)

    def fail(self, error: BaseException) -> None:
        self._then(error)


NOBODY: Final = Told(lambda error: None)    # for what is done again, or mended by the next start, if it fails


def reply_when_settled(waiter: Waiter, read: Callable[[], bytes]) -> Done:
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


def once_settled(undecided: Proposal | None, then: Done) -> None:
    """Call `then` when `undecided` is settled; at once if there is nothing undecided."""
    if undecided is None:
        then(None)
    else:
        undecided.hold(then)


def when_settled(proposals: Sequence[Proposal], then: Done) -> None:
    """Call `then(None)` when all `proposals` are applied, or `then(error)` when one's outcome is unknown.

    `then` is called once, and not before the last of them is settled.
    """
    release = after_calls(len(proposals), then)
    for proposal in proposals:
        proposal.hold(release)


def after_calls(count: int, then: Done) -> Done:
    """What is to be called `count` times: the last call calls `then`, with the first error that there was."""
    left = count
    failure: BaseException | None = None
    assert left > 0

    def one_more(error: BaseException | None) -> None:
        nonlocal left, failure
        left -= 1
        failure = failure or error
        if left == 0:
            then(failure)

    return one_more
