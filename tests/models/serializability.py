"""Whether a history of transactions could have come about one transaction at a time.

Every transaction reads and appends to lists, each value is appended once. So a list tells its own history: who appended
before whom, and what a reader had not seen yet. From that follow the edges of a graph, "must have been before":

    ww    A appended to a list, and B right behind it                       A -> B
    wr    B read a list that ends with what A appended                      A -> B
    rw    A read a list without what B appended right behind its end        A -> B
    rt    A had been answered when B was begun                              A -> B      (strict serializability)

An order of all transactions exists if and only if the graph has no cycle. A cycle is the proof that there is none, and
names the transactions that cannot be put in order.

Lists that contradict each other (neither a prefix of the other), values that nobody appended, and values that are there
of transactions that surely were not done, are told before any edge is drawn.

Source: Adya, "Weak consistency", 1999 (the edges); Kingsbury and Alvaro, "Elle", VLDB 2020 (lists that tell their own
order). This is a small part of that: one kind of value, and cycles of any kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Value = int


@dataclass(frozen=True)
class Transaction:
    """What one client did. Times are of one clock that all clients share."""

    name: str
    appends: Mapping[str, Value] = field(default_factory=dict)      # list -> what was appended
    reads: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)    # list -> what was in it
    began: float = 0.0
    ended: float | None = None      # None: never answered; it may have been done, at any time after it began
    is_done: bool = True            # False: refused, so it surely was not


class Violation(AssertionError):
    pass


def check(history: Sequence[Transaction], final: Mapping[str, tuple[Value, ...]]) -> None:
    """`final`: the lists after everything. Raises Violation if there is no order."""
    by_value = {}
    for transaction in history:
        for name, value in transaction.appends.items():
            assert (name, value) not in by_value, "the test appends a value twice"
            by_value[name, value] = transaction
    happened = _happened(history, final, by_value)
    edges: dict[str, dict[str, str]] = defaultdict(dict)

    def add(before: Transaction, after: Transaction, kind: str) -> None:
        if before.name != after.name:
            edges[before.name].setdefault(after.name, kind)

    for name, values in final.items():
        for one, next_one in pairwise(values):
            add(by_value[name, one], by_value[name, next_one], f"ww {name}")
    for transaction in happened:
        for name, seen in transaction.reads.items():
            if seen:
                add(by_value[name, seen[-1]], transaction, f"wr {name}")
            if len(seen) < len(final[name]):
                add(transaction, by_value[name, final[name][len(seen)]], f"rw {name}")
    for before, after in _in_real_time(happened):
        add(before, after, "rt")
    cycle = _cycle(edges)
    if cycle is not None:
        raise Violation(" ".join(f"{name} -{edges[name][after]}->" for name, after in cycle) + f" {cycle[0][0]}")


def _happened(
    history: Sequence[Transaction],
    final: Mapping[str, tuple[Value, ...]],
    by_value: Mapping[tuple[str, Value], Transaction],
) -> list[Transaction]:
    """The transactions that were done, by what can be seen of them."""
    there = {(name, value) for name, values in final.items() for value in values}
    for name, value in there:
        if (name, value) not in by_value:
            raise Violation(f"{name} has {value}, which nobody appended")
    for name, values in final.items():
        if len(set(values)) < len(values):
            raise Violation(f"{name} has something twice: {values}")
    happened = []
    for transaction in history:
        found = [(name, value) in there for name, value in transaction.appends.items()]
        if any(found) and not all(found):
            raise Violation(f"{transaction.name} was done in part")
        if any(found) and not transaction.is_done:
            raise Violation(f"{transaction.name} was refused, and done")
        if found and not any(found) and transaction.is_done and transaction.ended is not None:
            raise Violation(f"{transaction.name} was acknowledged, and is not there")
        for name, seen in transaction.reads.items():
            if final[name][: len(seen)] != seen:
                raise Violation(f"{transaction.name} read {seen} in {name}, which became {final[name]}")
        if transaction.is_done and (any(found) or (not found and transaction.ended is not None)):
            happened.append(transaction)
    return happened


def _in_real_time(happened: Iterable[Transaction]) -> Iterable[tuple[Transaction, Transaction]]:
    """Enough pairs (before, after) that all others follow from them."""
    latest: list[Transaction] = []    # answered already, and none of them was answered before another was begun
    answered = sorted((each for each in happened if each.ended is not None), key=lambda each: each.ended or 0.0)
    begun = sorted(happened, key=lambda each: each.began)
    at = 0
    for transaction in begun:
        while at < len(answered) and (answered[at].ended or 0.0) < transaction.began:
            new = answered[at]
            latest = [each for each in latest if (each.ended or 0.0) >= new.began] + [new]
            at += 1
        for before in latest:
            yield before, transaction


def _cycle(edges: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]] | None:
    """[(name, the next one), …] back to the first; None: there is none. Without recursion: histories are long."""
    state: dict[str, int] = {}      # 1: on the path, 2: no cycle is reached from it
    for start in list(edges):
        if start in state:
            continue
        path = [start]
        state[start] = 1
        open_edges = [iter(edges.get(start, ()))]
        while path:
            for after in open_edges[-1]:
                if state.get(after) == 1:
                    names = path[path.index(after) :]
                    return list(zip(names, [*names[1:], after], strict=True))
                if after not in state:
                    path.append(after)
                    state[after] = 1
                    open_edges.append(iter(edges.get(after, ())))
                    break
            else:
                state[path.pop()] = 2
                open_edges.pop()
    return None
