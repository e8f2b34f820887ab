"""The judge, judged: on histories that are known, and on random ones against a search that tries every order."""

from __future__ import annotations

from itertools import permutations
from random import Random
from time import perf_counter

import pytest

from tests.models.linearizability import NotSo, Operation, item, judge


def history(*rows: tuple[float, float | None, tuple[object, ...], object]) -> list[Operation]:
    return [Operation(*row) for row in rows]


GOOD = {
    "nothing": history(),
    "one after the other": history((0, 1, ("put", 1), "ok"), (2, 3, ("read",), 1)),
    "a read during a write sees the old": history((0, 9, ("put", 1), "ok"), (1, 2, ("read",), "absent")),
    "a read during a write sees the new": history((0, 9, ("put", 1), "ok"), (1, 2, ("read",), 1)),
    "two reads during a write, the old one first": history(
        (0, 9, ("put", 1), "ok"), (1, 2, ("read",), "absent"), (3, 4, ("read",), 1)
    ),
    "a lost answer took effect": history((0, None, ("put", 1), None), (5, 6, ("read",), 1)),
    "a lost answer took no effect": history((0, None, ("put", 1), None), (5, 6, ("read",), "absent")),
    "a lost answer took effect late": history(
        (0, None, ("put", 1), None), (5, 6, ("read",), "absent"), (7, 8, ("read",), 1)
    ),
    "two refused and one not": history(
        (0, 9, ("put if", None, 1), "ok"), (0, 9, ("put if", None, 2), "refused"), (0, 9, ("put if", 5, 3), "refused")
    ),
    "at the same moment": history((0, 1, ("put", 1), "ok"), (1, 2, ("read",), "absent")),
    "a lost addition, seen in a sum": history(
        (0, 1, ("add", 1), 1), (2, None, ("add", 10), None), (3, 4, ("add", 100), 111), (5, 6, ("delete",), "ok")
    ),
}

BAD = {
    "a stale read": history((0, 1, ("put", 1), "ok"), (2, 3, ("put", 2), "ok"), (4, 5, ("read",), 1)),
    "a lost write": history((0, 1, ("put", 1), "ok"), (2, 3, ("read",), "absent")),
    "a value that nobody wrote": history((0, 1, ("put", 1), "ok"), (2, 3, ("read",), 7)),
    "the new and then the old": history(
        (0, 9, ("put", 1), "ok"), (1, 2, ("read",), 1), (3, 4, ("read",), "absent")
    ),
    "two winners": history((0, 9, ("put if", None, 1), "ok"), (0, 9, ("put if", None, 2), "ok")),
    "refused though it held": history((0, 1, ("put", 1), "ok"), (2, 3, ("put if", 1, 2), "refused")),
    "a lost answer that took effect twice": history(
        (0, None, ("add", 10), None), (1, 2, ("read",), 10), (3, 4, ("read",), 20)
    ),
    "a lost answer that was taken back": history(
        (0, None, ("put", 1), None), (1, 2, ("read",), 1), (3, 4, ("read",), "absent")
    ),
    "an effect before its call": history((5, None, ("put", 1), None), (1, 2, ("read",), 1)),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    verdict = judge(GOOD[name], None, item)
    assert verdict.is_linearizable
    assert {each for each in GOOD[name] if each.returned is not None} <= set(verdict.placed)


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    assert not judge(BAD[name], None, item).is_linearizable


def every_order(operations: list[Operation]) -> bool:
    """The definition, as it stands."""
    must = [each for each in operations if each.returned is not None]
    may = [each for each in operations if each.returned is None]
    for taken in range(2 ** len(may)):
        chosen = must + [each for at, each in enumerate(may) if taken >> at & 1]
        for order in permutations(chosen):
            if _is_right(order):
                return True
    return False


def _is_right(order: tuple[Operation, ...]) -> bool:
    for at, one in enumerate(order):
        if any(later.returned is not None and later.returned < one.called for later in order[at + 1 :]):
            return False
    state = None
    for one in order:
        try:
            state = item(state, one.what, one.answer)
        except NotSo:
            return False
    return True


def random_history(random: Random, operations: int, clients: int, *, lies: float, lost: float) -> list[Operation]:
    """Of an object that takes effect at a random moment of each call; some answers are lost, and some are lies."""
    made: list[Operation] = []
    free = [0.0] * clients
    calls = []
    for _ in range(operations):
        client = random.randrange(clients)
        called = free[client] + random.random()
        moment = called + random.random()
        free[client] = moment + random.random()
        calls.append((moment, called, free[client]))
    state: int | None = None
    for _, called, returned in sorted(calls):
        what = random.choice(
            [("read",), ("read",), ("put", random.randrange(3)), ("put if", random.choice((None, 0, 1)), 2),
             ("delete",), ("add", 1)]
        )  # fmt: skip
        is_lost = random.random() < lost
        if is_lost and random.random() < 0.5:
            made.append(Operation(called, None, what, None))
            continue
        answers = ["ok", "refused", "absent", *range(operations + 3)]
        for answer in answers:
            try:
                after = item(state, what, answer)
            except NotSo:
                continue
            break
        state = after
        if not is_lost and random.random() < lies:
            answer = random.choice(answers[:9])
        made.append(Operation(called, None, what, None) if is_lost else Operation(called, returned, what, answer))
    return made


def test_random_histories_are_judged_as_by_trying_every_order() -> None:
    random = Random(1)
    verdicts = []
    for _ in range(400):
        made = random_history(random, random.randint(1, 6), 3, lies=0.15, lost=0.15)
        verdict = judge(made, None, item).is_linearizable
        assert verdict == every_order(made), made
        verdicts.append(verdict)
    assert 40 < sum(verdicts) < 360, "hardly any of one kind"


def test_an_honest_object_is_always_found_right_and_thousands_of_operations_take_seconds() -> None:
    for seed in range(20):
        assert judge(random_history(Random(seed), 300, 5, lies=0, lost=0.02), None, item).is_linearizable
    began = perf_counter()
    made = random_history(Random(3), 3000, 8, lies=0, lost=0.01)
    assert judge(made, None, item).is_linearizable
    assert perf_counter() - began < 30


def test_one_lie_among_many_is_found() -> None:
    random = Random(5)
    for seed in range(10):
        made = random_history(Random(seed), 200, 4, lies=0, lost=0.01)
        reads = [at for at, each in enumerate(made) if each.what == ("read",) and each.answer is not None]
        at = random.choice(reads)
        made[at] = made[at]._replace(answer=77)
        assert not judge(made, None, item).is_linearizable
