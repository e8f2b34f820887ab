"""What becomes of a request: an answer (bytes), or one of two ways of having none.

The difference is the one that a client pays for. After `NotSent` a write may be tried again, elsewhere too. After
`NoAnswer` nobody knows whether it was done, and trying again may do it twice: whoever asked has to find out, or say
so ("unknown", never "no").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotSent:
    """It was surely not acted on: it never left this process, or the peer refused it. `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It may have been acted on: it went out, and then the time was up or the connection was lost."""

    why: str


Outcome = bytes | NotSent | NoAnswer
Then = Callable[[Outcome], None]

# Called once with the payload of the answer, inside the handler or at any later time.
Answer = Callable[[bytes], None]
