"""Waiting until several undecided slots are decided: for strong reads of more than one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from varley.node.replica import Proposal


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
