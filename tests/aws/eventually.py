"""Reading what is true only a moment later: a global index is behind its table, by an unknown and small time.

There is nothing to wait for but the answer itself, so it is asked for again until it is right, or the time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SECONDS_MAX = 60.0


def eventually(ask: Callable[[], T], is_right: Callable[[T], bool] = bool, *, seconds: float = _SECONDS_MAX) -> T:
    """The first right answer; when the time is up the last one, for the test to say what is wrong with it."""
    end = time.monotonic() + seconds
    answer = ask()
    while not is_right(answer) and time.monotonic() < end:
        answer = ask()
    return answer
