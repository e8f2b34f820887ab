"""Is a history of one object linearizable? The search of Wing and Gong, with Lowe's memory of what was seen before.

A history is linearizable if each operation can be given a moment between its call and its return such that, done one by
one in the order of these moments, each gives the answer that it gave. Operations on different objects are judged apart:
a history is linearizable if that of each object is (Herlihy and Wing, 1990, theorem 1).

    what is to be placed next is an operation that was called before any other that is left has returned
    dead end: take the last one back, and try the next        seen before: the same operations done, the same state

An operation whose outcome nobody knows returns never: it may take effect at any time after its call, or not at all. So
it is tried like the others, after them, and the search is over when all that did return have their place.

The search is exponential in how many operations run at once, those that never return included. Histories of real
clients are found right in a time that is about proportional to their length.

Sources: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for linearizability" (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

State = TypeVar("State", bound=Hashable)

# The object: its state, what is done, and the answer that was given (None: nobody knows what was answered) to the state
# afterwards; NotSo if this answer cannot be given in this state.
Apply = Callable[[State, Any, Any], State]


class NotSo(Exception):
    """The object would have answered something else."""


class Operation(NamedTuple):
    called: float
    returned: float | None      # None: nobody knows whether it happened
    what: Any
    answer: Any                 # None if nobody knows


class Verdict(NamedTuple):
    is_linearizable: bool
    placed: list[Operation]     # the longest order that was found; all that returned, if it is linearizable


class _Mark:
    """A call, or a return, in a doubly linked list in the order of time."""

    __slots__ = ("after", "before", "match", "number", "operation")

    def __init__(self, operation: Operation, number: int) -> None:
        self.operation = operation
        self.number = number
        self.match: _Mark | None = None     # of a call: its return; None: it is a return
        self.before: _Mark | None = None
        self.after: _Mark | None = None


def judge(operations: Sequence[Operation], initial: State, apply: Apply[State]) -> Verdict:
    head = _marks(operations)
    needed = sum(operation.returned is not None for operation in operations)
    seen: set[tuple[int, State]] = set()
    # Calls that have their place, with the state before each, and what else could be in that place.
    path: list[tuple[_Mark, State, Iterator[_Mark]]] = []
    longest: list[Operation] = []
    done, returned, state = 0, 0, initial       # `done`: a bit for each operation that has its place
    candidates = _next(head)
    while returned < needed:
        for call in candidates:
            following = _applied(apply, state, call.operation)
            if following is _NOT_SO or (call.operation.returned is None and following == state):
                continue    # (what is not known and changes nothing need not have happened)
            bit = 1 << call.number
            if (done | bit, following) not in seen:
                break
        else:           # dead end: what was placed last is in the wrong place
            if not path:
                return Verdict(False, longest)
            call, state, candidates = path.pop()
            done &= ~(1 << call.number)
            returned -= call.operation.returned is not None
            _put_back(call)
            continue
        seen.add((done | bit, following))
        path.append((call, state, candidates))
        done, state = done | bit, following
        returned += call.operation.returned is not None
        if len(path) > len(longest):
            longest = [placed.operation for placed, _, _ in path]
        _lift(call)
        candidates = _next(head)
    return Verdict(True, [placed.operation for placed, _, _ in path])


def _next(head: _Mark) -> Iterator[_Mark]:
    """The calls before the first return: any of them may be next. Those that never return last: few of them are
    needed to explain what others saw, and each is tried everywhere."""
    calls = []
    mark = head.after
    while mark is not None and mark.match is not None:
        calls.append(mark)
        mark = mark.after
    calls.sort(key=lambda call: call.operation.returned is None)
    return iter(calls)


_NOT_SO: Any = object()


def _applied(apply: Apply[State], state: State, operation: Operation) -> Any:
    try:
        return apply(state, operation.what, operation.answer)
    except NotSo:
        return _NOT_SO


def _marks(operations: Sequence[Operation]) -> _Mark:
    """The head of the list: before all marks."""
    timed: list[tuple[float, int, int, _Mark]] = []
    never = float("inf")
    for number, operation in enumerate(operations):
        assert operation.returned is None or operation.called <= operation.returned
        call, answer = _Mark(operation, number), _Mark(operation, number)
        call.match = answer
        timed.append((operation.called, 0, number, call))       # at the same time, calls come first: all overlap
        timed.append((never if operation.returned is None else operation.returned, 1, number, answer))
    head = last = _Mark(Operation(0, 0, None, None), -1)
    for _, _, _, mark in sorted(timed, key=lambda each: each[:3]):
        if mark.match is None and mark.operation.returned is None:
            continue    # never: nothing is behind it
        mark.before, last.after = last, mark
        last = mark
    return head


def _lift(call: _Mark) -> None:
    for mark in (call, call.match):
        assert mark is not None
        if mark.before is not None:
            mark.before.after = mark.after
            if mark.after is not None:
                mark.after.before = mark.before


def _put_back(call: _Mark) -> None:
    for mark in (call.match, call):
        assert mark is not None
        if mark.before is not None:
            mark.before.after = mark
            if mark.after is not None:
                mark.after.before = mark


# An item, as clients of DynamoDB use it: its state is a number, None if there is no item.


def item(state: int | None, what: tuple[Any, ...], answer: Any) -> int | None:
    """What can be done, and what is answered:

        ("read",)                   the number, or "absent"
        ("put", n)                  "ok"
        ("put if", expected, n)     "ok", or "refused"; expected None: if there is none
        ("delete",)                 "ok"
        ("add", n)                  the number afterwards (an item that is not there counts from 0)

    An answer of None is not known, and fits always.
    """
    match what:
        case ("read",):
            given: Any = "absent" if state is None else state
            after = state
        case ("put", number):
            given, after = "ok", number
        case ("put if", expected, number):
            given, after = ("ok", number) if state == expected else ("refused", state)
        case ("delete",):
            given, after = "ok", None
        case ("add", number):
            after = (state or 0) + number
            given = after
        case _:
            raise AssertionError(f"nobody can do {what}")
    if answer is not None and answer != given:
        raise NotSo
    return after
