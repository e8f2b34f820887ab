"""Writes to single rows, and those who wait for them: what a node is given in tests in place of requests."""

from __future__ import annotations

import json

from varley.counters import TableCounters
from varley.errors import ConditionalCheckFailed
from varley.item import stored
from varley.item.key_bytes import ITEM_SPACE
from varley.node.partition import Outcome

HASH_BYTES = 16


def row_key(name: str) -> bytes:
    return ITEM_SPACE + name.encode().rjust(HASH_BYTES, b".")


def number_of(value: bytes | None) -> int | None:
    """The number that a stored row holds; None: there is no row. The row must be whole."""
    if value is None:
        return None
    assert stored.verify(value), "the row is not whole"
    item = json.loads(value[stored.HEADER_BYTES :])
    number = int(item["n"]["N"])
    assert item["filler"]["S"] == filler(number)
    assert stored.item_size(value) == size_of(number)
    return number


def filler(number: int) -> str:
    return f"{number}-" * (1 + number % 40)


def size_of(number: int) -> int:
    """Not DynamoDB's rule, only one that gives different numbers different sizes."""
    return 100 + number % 1000


class Write:
    """Sets a row to a number. `number` None: deletes it. `if_number`: refused unless the row holds that."""

    def __init__(self, name: str, number: int | None, *, if_number: int | str | None = "whatever", add: bool = False):
        self.key = row_key(name)
        self.number = number
        self.if_number = if_number
        self.add = add    # to what the row holds
        self.counts = TableCounters()
        self.evaluated: list[int | None] = []    # what the row held, at each evaluation

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        held = number_of(old)
        self.evaluated.append(held)
        if self.if_number not in ("whatever", held):
            raise ConditionalCheckFailed(held)
        number = self.number
        if number is None:
            return None, b"deleted", ()
        if self.add:
            number += held or 0
        text = json.dumps({"n": {"N": str(number)}, "filler": {"S": filler(number)}}).encode()
        return stored.pack(text, size_of(number), timestamp_us), b"%d" % number, ()


class Waiter:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.answers: list[bytes | BaseException] = []

    def reply(self, body: bytes) -> None:
        self.answers.append(body)

    def fail(self, error: BaseException) -> None:
        self.answers.append(error)

    @property
    def answer(self) -> bytes | BaseException | None:
        """None: nothing yet."""
        assert len(self.answers) <= 1, "answered twice"
        return self.answers[0] if self.answers else None
