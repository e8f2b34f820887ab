"""What is judged when the traffic has ended and the cluster is whole again.

    items       the history of each, with what the table holds in the end as its last reads, is linearizable
    eventual    what an eventually consistent read has shown was the item's value once
    replicas    an eventually consistent scan through each node, which reads the replica that is there, shows the same
    index       it holds exactly what its table gives it
    money       all accounts together hold what they were opened with, at each reading of all of them; each holds what
                the journal says; each acknowledged transfer is in the journal
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final, NamedTuple

from tests.campaigns.traffic import ACCOUNTS, ACCOUNTS_EACH, OPENED_WITH, Key, Record
from tests.models.linearizability import Operation, item, judge

_JUDGED_WITHIN_SECONDS: Final = 60      # one item; the search is exponential where it finds nothing

Items = Mapping[str, Mapping[str, Any]]     # by key


class Judged(NamedTuple):
    problems: list[str]         # what is wrong
    undecided: list[str]        # what took too long to judge
    counts: dict[str, int]      # how much was judged


def judge_items(record: Record, held: Mapping[str, Items]) -> Judged:
    """`held`: what each table holds in the end, by table."""
    ended = time.monotonic()
    histories: dict[Key, list[Operation]] = {}
    for key, operations in record.histories.items():
        found = held[key[0]].get(key[1])
        told = "absent" if found is None else int(found["n"]["N"])
        histories[key] = [*operations, Operation(ended, ended, ("read",), told)]
    problems, undecided = [], []
    with ProcessPoolExecutor(2) as pool:
        for (key, operations), verdict in zip(
            histories.items(), pool.map(_judged, histories.values(), chunksize=8), strict=True
        ):
            if verdict is None:
                undecided.append(f"{key}: {len(operations)} operations")
            elif not verdict[0]:
                problems.append(f"{key} is not linearizable:\n{_shown(operations, verdict[1])}")
    # Every item that nobody wrote about is from nowhere.
    for table in {table for table, _ in histories}:
        known = {key for of, key in histories if of == table}
        problems += [f"{table} holds {key}, which nobody has written" for key in held[table] if key not in known]
    return Judged(problems, undecided, {"items": len(histories), "operations": sum(map(len, histories.values()))})


def _judged(operations: list[Operation]) -> tuple[bool, list[Operation]] | None:
    """Whether it is linearizable, and the longest order that was found; None if that takes too long."""

    def too_long(number: int, frame: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(_JUDGED_WITHIN_SECONDS)
    try:
        # First without what nobody has seen: it need not have happened, and most of it has not. If there is an order
        # without it, there is one.
        shown = {operation.answer for operation in operations}
        shown |= {operation.what[1] for operation in operations if operation.what[0] == "put if"}
        likely = [
            operation for operation in operations
            if operation.returned is not None or operation.what[0] in ("add", "delete") or operation.what[-1] in shown
        ]
        verdict = judge(likely, None, item)
        if not verdict.is_linearizable:
            verdict = judge(operations, None, item)
    except TimeoutError:
        return None
    finally:
        signal.alarm(0)
    return verdict


def _shown(operations: list[Operation], placed: list[Operation]) -> str:
    """Around the first operation that has no place."""
    left = [operation for operation in operations if operation.returned is not None and operation not in placed]
    first = min(left, key=lambda operation: operation.returned or 0)
    near = [
        operation for operation in sorted(operations)
        if abs(operation.called - first.called) < 20 or operation in left[:3]
    ]
    lines = []
    for operation in near[:80]:
        mark = "" if operation in placed else "stuck"
        returned = "unknown" if operation.returned is None else f"{operation.returned:.4f}"
        lines.append(f"  {mark:6}{operation.called:12.4f} {returned:>12} {operation.what} -> {operation.answer}")
    return "\n".join(lines)


def judge_eventual(record: Record) -> Judged:
    """An item to which something of unknown outcome was added can have values that nobody was told: those are not
    judged."""
    values: dict[Key, dict[Any, float]] = {}
    problems, judged = [], 0
    for key, returned, told in record.eventual:
        operations = record.histories.get(key, [])
        if any(operation.what[0] == "add" and operation.returned is None for operation in operations):
            continue
        judged += 1
        if key not in values:
            values[key] = _values(operations)
        if told != "absent" and values[key].get(told, float("inf")) > returned:
            problems.append(f"an eventual read of {key} has shown {told}, which it was not by then")
    return Judged(problems, [], {"eventual reads": judged})


def _values(operations: Iterable[Operation]) -> dict[Any, float]:
    """Number -> when it was first asked for."""
    found: dict[Any, float] = {}
    for operation in operations:
        match operation.what:
            case ("put", number) | ("put if", _, number):
                found[number] = min(operation.called, found.get(number, operation.called))
            case ("add", _):
                found[operation.answer] = min(operation.called, found.get(operation.answer, operation.called))
    return found


def judge_money(record: Record, held: Mapping[str, Items]) -> Judged:
    problems = []
    opened = OPENED_WITH * ACCOUNTS_EACH * len(ACCOUNTS)
    for called, _, total in record.sums:
        if total != opened:
            problems.append(f"the accounts held {total} and not {opened}, in a transaction called at {called:.3f}")
    balances = {(table, str(number)): OPENED_WITH for table in ACCOUNTS for number in range(ACCOUNTS_EACH)}
    for noted in held["journal"].values():
        for table in ACCOUNTS:
            number, change = noted[table]["S"].split()
            balances[table, number] += int(change)
    for (table, number), balance in balances.items():
        found = int(held[table][number]["n"]["N"])
        if found != balance:
            problems.append(f"{table} {number} holds {found}, and by the journal {balance}")
    lost = record.transfers - held["journal"].keys()
    if lost:
        problems.append(f"{len(lost)} acknowledged transfers are lost: {sorted(lost)[:5]}")
    return Judged(problems, [], {"sums": len(record.sums), "transfers": len(record.transfers)})


def differences(one: Items, other: Items) -> Iterator[str]:
    """Keys, with what is different."""
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield f"{key}: {one.get(key)} and {other.get(key)}"
