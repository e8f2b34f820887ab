from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from varley.ring import hash_tree
from varley.ring.hash_tree import Agree, HashTree, Rows, bucket_of

keys = st.integers(0, 400).map(lambda number: str(number).encode())
rows = st.dictionaries(keys, st.integers(0, 3).map(lambda number: bytes([number]) * 16), max_size=60)


class Side:
    """A replica whose rows are digests, and of which the larger is the newer."""

    def __init__(self, of: dict[bytes, bytes]) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.tree = HashTree()
        for key, digest in of.items():
            self.set(key, digest)

    def set(self, key: bytes, digest: bytes | None) -> None:
        self.tree.update(key, self.rows.pop(key, None), digest)
        if digest is not None:
            self.rows[key] = digest

    def in_buckets(self, buckets: frozenset[int]) -> dict[bytes, bytes]:
        return {key: digest for key, digest in self.rows.items() if bucket_of(key) in buckets}


def exchange(one: Side, other: Side) -> tuple[int, int]:
    """(messages, rows sent) until nothing is left to say."""
    wire = deque([(one, other, hash_tree.begin(0, one.tree))])
    messages = sent = 0
    while wire:
        sender, receiver, message = wire.popleft()
        messages += 1
        answer = hash_tree.answer(receiver.tree, receiver.in_buckets, message)
        if answer.message is not None:
            wire.append((receiver, sender, answer.message))
        for key in answer.versions:
            sent += 1
            sender.set(key, max(receiver.rows[key], sender.rows.get(key, b"")))
    return messages, sent


@given(rows, rows)
@settings(deadline=None)
def test_an_exchange_makes_both_sides_the_same(of_one: dict[bytes, bytes], of_other: dict[bytes, bytes]) -> None:
    one, other = Side(of_one), Side(of_other)
    exchange(one, other)
    newest = {key: max(of_one.get(key, b""), of_other.get(key, b"")) for key in of_one | of_other}
    assert one.rows == other.rows == newest
    assert one.tree.root == other.tree.root


@given(st.lists(st.tuples(keys, st.none() | st.integers(0, 3).map(lambda number: bytes([number]) * 16)), max_size=80))
@settings(deadline=None)
def test_a_tree_depends_on_its_rows_and_not_on_how_they_came_about(
    changes: list[tuple[bytes, bytes | None]],
) -> None:
    side = Side({})
    for key, digest in changes:
        side.set(key, digest)
    assert side.tree.broken_rules(side.rows) == []
    assert side.tree.root == Side(side.rows).tree.root


def test_two_that_agree_exchange_one_message_each_way() -> None:
    of = {str(number).encode(): b"x" * 16 for number in range(300)}
    assert exchange(Side(of), Side(of)) == (2, 0)


def test_one_row_among_many_costs_one_row() -> None:
    of = {str(number).encode(): b"x" * 16 for number in range(3000)}
    assert exchange(Side(of), Side(of | {b"17": b"y" * 16}))[1] <= 2


def test_repeated_and_late_messages_do_no_harm() -> None:
    one, other = Side({b"1": b"x" * 16}), Side({b"1": b"y" * 16})
    late = Rows(0, frozenset([bucket_of(b"1")]), dict(other.rows), wants_answer=True)
    exchange(one, other)
    answer = hash_tree.answer(one.tree, one.in_buckets, late)
    assert answer.versions == ()
    assert hash_tree.answer(one.tree, one.in_buckets, Agree(0, other.tree.root)) == hash_tree.Answer()


def test_the_empty_tree_is_the_tree_of_what_was_deleted() -> None:
    side = Side({b"1": b"x" * 16})
    side.set(b"1", None)
    assert side.tree.root == HashTree().root


def test_a_tree_that_is_not_of_its_rows_is_told() -> None:
    assert HashTree().broken_rules({b"1": b"x" * 16}) != []
