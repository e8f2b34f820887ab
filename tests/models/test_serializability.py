"""The judge of histories: what is in order passes, and every kind of disorder is found."""

from __future__ import annotations

import random

import pytest

from .serializability import Transaction, Violation, check


def test_one_after_the_other_is_in_order() -> None:
    history = [
        Transaction("a", {"x": 1, "y": 1}, began=0, ended=1),
        Transaction("b", {"x": 2}, {"y": (1,)}, began=2, ended=3),
        Transaction("c", {}, {"x": (1, 2), "y": (1,)}, began=4, ended=5),
    ]
    check(history, {"x": (1, 2), "y": (1,)})


@pytest.mark.parametrize(
    ("history", "final", "what"),
    [
        (
            [
                Transaction("writer", {"x": 1, "y": 1}, ended=9.0),
                Transaction("reader", {}, {"x": (1,), "y": ()}, ended=9.0),
            ],
            {"x": (1,), "y": (1,)},
            "rw y",
        ),
        (
            [
                Transaction("one", {"x": 1}, {"y": ()}, ended=9.0),
                Transaction("other", {"y": 1}, {"x": ()}, ended=9.0),
            ],
            {"x": (1,), "y": (1,)},
            "rw",
        ),
        (
            [
                Transaction("one", {"x": 1, "y": 1}, ended=9.0),
                Transaction("other", {"x": 2, "y": 2}, ended=9.0),
            ],
            {"x": (1, 2), "y": (2, 1)},
            "ww",
        ),
        (
            [
                Transaction("writer", {"x": 1}, began=0, ended=1.0),
                Transaction("late reader", {}, {"x": ()}, began=2, ended=3.0),
            ],
            {"x": (1,)},
            "rt",
        ),
    ],
    ids=["half of a transaction is seen", "write skew", "two orders", "an acknowledged write is not seen"],
)
def test_disorder_is_found(history: list[Transaction], final: dict[str, tuple[int, ...]], what: str) -> None:
    with pytest.raises(Violation, match=what):
        check(history, final)


@pytest.mark.parametrize(
    ("history", "final", "what"),
    [
        ([Transaction("a", {"x": 1, "y": 1})], {"x": (1,), "y": ()}, "in part"),
        ([Transaction("a", {"x": 1}, is_done=False)], {"x": (1,)}, "refused, and done"),
        ([Transaction("a", {"x": 1}, ended=1.0)], {"x": ()}, "is not there"),
        ([], {"x": (7,)}, "nobody appended"),
        ([Transaction("a", {"x": 1})], {"x": (1, 1)}, "twice"),
        ([Transaction("a", {"x": 1}), Transaction("b", {}, {"x": (2,)})], {"x": (1,)}, "which became"),
    ],
    ids=["in part", "refused", "lost", "out of nothing", "twice", "no prefix"],
)
def test_what_cannot_be_is_found(history: list[Transaction], final: dict[str, tuple[int, ...]], what: str) -> None:
    with pytest.raises(Violation, match=what):
        check(history, final)


def test_what_was_never_answered_may_be_there_or_not() -> None:
    history = [Transaction("a", {"x": 1}), Transaction("b", {"x": 2})]
    check(history, {"x": (2,)})
    check(history, {"x": ()})


def run_of(chance: random.Random) -> tuple[list[Transaction], dict[str, tuple[int, ...]]]:
    """A history that was made one transaction at a time, told in another order and with overlapping times."""
    lists: dict[str, tuple[int, ...]] = dict.fromkeys("wxyz", ())
    history = []
    for number in range(60):
        reads = {name: lists[name] for name in chance.sample("wxyz", chance.randrange(3))}
        appends = dict.fromkeys(chance.sample("wxyz", chance.randrange(3)), number)
        for name in appends:
            lists[name] = (*lists[name], number)
        if reads or appends:
            began, ended = number - chance.random() * 5, number + chance.random() * 5
            history.append(Transaction(f"t{number}", appends, reads, began, ended))
    chance.shuffle(history)
    return history, lists


@pytest.mark.parametrize("seed", range(30))
def test_histories_that_were_in_order_pass_and_one_forged_read_is_found(seed: int) -> None:
    chance = random.Random(seed)
    history, final = run_of(chance)
    check(history, final)
    # Forge: somebody saw the newest of one list, and nothing of another that he read at the same time.
    for number, each in enumerate(history):
        if len(each.reads) == 2 and all(len(values) > 3 for values in each.reads.values()):
            one, other = each.reads
            forged = {one: each.reads[one], other: ()}
            history[number] = Transaction(each.name, each.appends, forged, each.began, each.ended)
            with pytest.raises(Violation):
                check(history, final)
            return
    pytest.fail("no read to forge: another seed")
