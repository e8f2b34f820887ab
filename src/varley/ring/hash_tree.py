"""A hash tree over the rows of one partition, and the exchange by which two nodes find where theirs differ.

    level 0             root
    level 1         16 nodes            each: BLAKE2b of its children's hashes
    level 2         256 buckets         each: the sum, modulo 2^128, of BLAKE2b(key, digest) over the rows in it

A row's bucket comes from its key's hash, not from its position: all keys of a partition have the same first bits of
that. A bucket is a sum so that one changed row is one subtraction and one addition, whatever else lies there; nodes
above it are hashed again, at most LEVELS of them. So the tree is always up to date and never computed from the rows,
but at start. (A sum can be forged by who chooses digests; peers of one ring trust each other, section 2. XOR would be
no better, and hides a row that was counted twice.) Only what is not empty is kept.

One tree per partition that the node is home of: with strategy 3 partitions never change, so neither do trees (section
6.2).

The exchange has no state: each message can be answered from tree and rows alone, so it may be lost, late or repeated.

    A -> B  Compare(level 0, A's root)
    B -> A  Compare(level 1, B's children of the nodes that differ)         or Agree(root): nothing differs
    A -> B  Compare(level 2, A's children of those that differ)
    B -> A  Rows(buckets that differ, B's digests of their keys, wants_answer)
    A -> B  Rows(the same buckets, A's digests, no answer)                  + Versions: what A has other than B
    B -> A                                                                    Versions: what B has other than A

Each side sends whole sets and merges what it gets, so afterwards both hold the same.

Source: section 4.7. Merkle, "A digital signature based on a conventional encryption function", 1987.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

FAN_OUT = 16
LEVELS = 2              # below the root
BUCKETS = 256           # FAN_OUT to the power of LEVELS
assert BUCKETS == FAN_OUT**LEVELS
_SUMS = 1 << 128
_EMPTY = bytes(16)

Digests = Mapping[bytes, bytes]                         # key -> Siblings.digest
RowsOf = Callable[[frozenset[int]], Digests]            # what the store has in these buckets


def bucket_of(key: bytes) -> int:
    return int.from_bytes(_hash(b"bucket", key)[:4], "big") % BUCKETS


class HashTree:
    def __init__(self) -> None:
        self._sums: dict[int, int] = {}     # bucket -> its sum, never 0
        # For each level, node -> hash, never _EMPTY. Each is the hash of what is below it, but above _stale buckets.
        self._nodes: list[dict[int, bytes]] = [{} for _ in range(LEVELS + 1)]
        self._stale: set[int] = set()       # changed, and not yet climbed from: that is done when somebody asks

    @classmethod
    def of(cls, rows: Iterable[tuple[bytes, bytes]]) -> Self:
        """The tree of these rows, (key, digest): for the start."""
        tree = cls()
        sums: dict[int, int] = {}
        for key, digest in rows:
            bucket = bucket_of(key)
            sums[bucket] = sums.get(bucket, 0) + _row_hash(key, digest)
        for bucket, total in sums.items():
            if total % _SUMS:
                tree._sums[bucket] = total % _SUMS
                tree._set(LEVELS, bucket, (total % _SUMS).to_bytes(16, "big"))
        tree._stale.update(tree._sums)
        return tree

    def update(self, key: bytes, before: bytes | None, after: bytes | None) -> None:
        """The row of `key` had the digest `before` and has `after`; None: it is not there. In step with the store.

        Costs a hash or two: the nodes above the bucket are hashed when they are asked for, which writes are not.
        """
        bucket = bucket_of(key)
        added = sum(sign * _row_hash(key, digest) for sign, digest in ((-1, before), (1, after)) if digest is not None)
        total = (self._sums.pop(bucket, 0) + added) % _SUMS
        if total:
            self._sums[bucket] = total
        self._set(LEVELS, bucket, total.to_bytes(16, "big"))
        self._stale.add(bucket)

    def hash_at(self, level: int, index: int) -> bytes:
        if self._stale and level < LEVELS:
            self._settle()
        return self._nodes[level].get(index, _EMPTY)

    @property
    def root(self) -> bytes:
        return self.hash_at(0, 0)

    def broken_rules(self, rows: Digests) -> list[str]:
        """Every place where the tree is not the tree of these rows: for checks and tests."""
        right = HashTree.of(rows.items())
        for tree in (self, right):
            tree._settle()
        return [
            f"level {level}, node {index}: the tree has another hash than its rows"
            for level in range(LEVELS + 1)
            for index in sorted(self._nodes[level].keys() | right._nodes[level].keys())
            if self.hash_at(level, index) != right.hash_at(level, index)
        ]

    def _settle(self) -> None:
        stale, self._stale = self._stale, set()
        for bucket in {bucket // FAN_OUT * FAN_OUT for bucket in stale}:
            self._climb(bucket)

    def _climb(self, bucket: int) -> None:
        index = bucket
        for level in reversed(range(LEVELS)):
            index //= FAN_OUT
            below = [self.hash_at(level + 1, child) for child in _children(index)]
            self._set(level, index, _hash(b"node", *below) if any(map(any, below)) else _EMPTY)

    def _set(self, level: int, index: int, value: bytes) -> None:
        if value == _EMPTY:
            self._nodes[level].pop(index, None)
        else:
            self._nodes[level][index] = value


@dataclass(frozen=True)
class Compare:
    """The sender's hashes of these nodes of one level: who receives it says what is different below."""

    partition: int
    level: int
    hashes: Mapping[int, bytes]


@dataclass(frozen=True)
class Agree:
    """All that was compared is the same. `root`: the sender's, now."""

    partition: int
    root: bytes


@dataclass(frozen=True)
class Rows:
    """The sender's digests of all keys that it has in these buckets."""

    partition: int
    buckets: frozenset[int]
    digests: Digests
    wants_answer: bool


Message = Compare | Agree | Rows


class Answer(NamedTuple):
    """Nothing of it waits for anything else of it."""

    message: Message | None = None
    versions: tuple[bytes, ...] = ()    # keys whose whole sets are to be sent to the other


def begin(partition: int, tree: HashTree) -> Compare:
    return Compare(partition, 0, {0: tree.root})


def answer(tree: HashTree, rows_of: RowsOf, message: Message) -> Answer:
    """`rows_of` reads the store: it is called where buckets differ, and then once."""
    match message:
        case Compare():
            return Answer(message=_compare(tree, rows_of, message))
        case Rows():
            own = rows_of(message.buckets)
            differing = sorted(key for key, digest in own.items() if message.digests.get(key) != digest)
            back = Rows(message.partition, message.buckets, own, wants_answer=False) if message.wants_answer else None
            return Answer(back, tuple(differing))
        case Agree():
            return Answer()


def _compare(tree: HashTree, rows_of: RowsOf, theirs: Compare) -> Message:
    differing = [index for index, value in theirs.hashes.items() if tree.hash_at(theirs.level, index) != value]
    if not differing:
        return Agree(theirs.partition, tree.root)
    if theirs.level == LEVELS:
        buckets = frozenset(differing)
        return Rows(theirs.partition, buckets, rows_of(buckets), wants_answer=True)
    level = theirs.level + 1
    children = [child for index in differing for child in _children(index)]
    return Compare(theirs.partition, level, {child: tree.hash_at(level, child) for child in children})


def _children(index: int) -> range:
    return range(index * FAN_OUT, (index + 1) * FAN_OUT)


def _row_hash(key: bytes, digest: bytes) -> int:
    return int.from_bytes(_hash(b"row", key, digest), "big")


def _hash(kind: bytes, *parts: bytes) -> bytes:
    """BLAKE2b, 16 bytes. Each part with its length, so that no two lists of parts are hashed alike."""
    hashed = hashlib.blake2b(digest_size=16, person=kind)
    for part in parts:
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return hashed.digest()
