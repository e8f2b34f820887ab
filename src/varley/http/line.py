"""Answers leave a connection in the order of its requests, whatever the order in which they come.

    requests    1   2   3   4           2 and 3 have their answers, 1 has not; 4 was a refusal, answered at once
    waiting    [1,  2,  3,  b"4"]       when 1 is answered, all four leave in one write
"""

from __future__ import annotations

from collections import deque

from varley.http.call import Call


class Line:
    """What is to be written: `out` now, and `waiting` behind a call that has no answer yet."""

    __slots__ = ("behind_bytes", "out", "waiting")

    waiting: deque[Call | bytes]    # calls without an answer, and answers behind them; except inside `settle` it
                                    # never begins with an answer
    behind_bytes: int               # size of the answers in it
    out: list[bytes]                # to be written when the bytes received are used up

    def __init__(self) -> None:
        self.waiting = deque()
        self.behind_bytes = 0
        self.out = []

    def stand_behind(self, answer: bytes) -> None:
        """An answer that is there at once, when others are not."""
        assert self.waiting, "nothing is before it: it may leave"
        self.waiting.append(answer)
        self.behind_bytes += len(answer)

    def settle(self, call: Call, answer: bytes) -> bool:
        """A call in the line has its answer. Whether it, and perhaps some behind it, may leave now."""
        waiting = self.waiting
        if waiting[0] is not call:
            self.behind_bytes += len(answer)
            return False
        waiting.popleft()
        self.out.append(answer)
        while waiting:
            first = waiting[0]
            next_answer = first if isinstance(first, bytes) else first.answer
            if next_answer is None:
                break
            self.out.append(next_answer)
            self.behind_bytes -= len(next_answer)
            waiting.popleft()
        return True

    def clear(self) -> None:
        """The client has gone."""
        self.waiting.clear()
        self.out.clear()
