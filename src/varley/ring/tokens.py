"""Tokens: which node answers for which part of the ring.

A key's *position* is the MD5 of its bytes, a number of 128 bits; positions form a ring. Two of the paper's three ways
to share it out (section 6.2):

    strategy 1   every node draws random tokens; a node has what lies between its tokens and those before them. A range
                 begins and ends where tokens happen to lie, so each join and leave splits and merges ranges: their rows
                 must be found by scanning, and their hash trees be computed again.
    strategy 3   the ring is cut into Q equal partitions for good; each of S nodes has Q/S of them (by capacity: its
                 share of Q). A partition is a thing that can be moved, archived and compared as it is.

Strategy 2 (random tokens that only place equal partitions) is not here: the paper used it for the way from 1 to 3, and
found it the worst of the three.

In strategy 3 the owners are a function of the history of joins and leaves alone, `rebalance` applied to each change in
order. So nodes that know the same changes agree on every owner, and nothing about tokens need be gossiped or agreed on,
which the paper counts as the strategy's cost. What stands for chance, which partitions are taken, is MD5 of the change
and the partition. Rejected: tokens drawn by the joiner and gossiped. Two nodes that join at once take the same ones.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from varley.ring.chance import Chance

POSITION_BITS = 128


def position_of(key: bytes) -> int:
    return int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest(), "big")


# ---- Strategy 3: equal partitions

Owners = tuple[str, ...]    # of each of the Q partitions, in ring order; empty: the ring has no members


def partition_of(key: bytes, partitions: int) -> int:
    return position_of(key) * partitions >> POSITION_BITS


def quotas(capacities: Mapping[str, float], partitions: int) -> dict[str, int]:
    """How many of the partitions each node shall have: its share of all capacity; they add up to all of them.

    What is left after rounding down goes to the largest remainders, by name where these are equal: the same everywhere.
    """
    assert all(capacity > 0 for capacity in capacities.values())
    whole = sum(capacities.values())
    exact = {node: partitions * capacity / whole for node, capacity in capacities.items()}
    shares = {node: int(share) for node, share in exact.items()}
    by_remainder = sorted(exact, key=lambda node: (shares[node] - exact[node], node))
    for node in by_remainder[: partitions - sum(shares.values())]:
        shares[node] += 1
    return shares


def rebalance(owners: Owners, capacities: Mapping[str, float], partitions: int, salt: str) -> Owners:
    """The owners after a change of members, each with its quota; only what must move does.

    A node that joins steals from all who then have too many; the partitions of one that left are scattered over all who
    then have too few. `salt` names the change: the same on every node, and different for each change.
    """
    assert len(owners) in (0, partitions)
    if not capacities:
        return ()
    wanted = quotas(capacities, partitions)
    after: list[str | None] = [None] * partitions
    have: Counter[str] = Counter()
    in_lot_order = sorted(range(partitions), key=lambda partition: _lot(salt, partition))
    if owners:
        for partition in in_lot_order:
            owner = owners[partition]
            if have[owner] < wanted.get(owner, 0):
                after[partition] = owner
                have[owner] += 1
    free = [partition for partition in in_lot_order if after[partition] is None]
    for partition, node in zip(free, _in_turn(wanted, have), strict=True):
        after[partition] = node
    return tuple(node for node in after if node is not None)


def _in_turn(wanted: Mapping[str, int], have: Mapping[str, int]) -> Iterator[str]:
    """Each node as often as it lacks partitions, one node after the other, so that none gets a run of neighbours."""
    lacking = {node: wanted[node] - have.get(node, 0) for node in sorted(wanted)}
    while any(lacking.values()):
        for node, missing in lacking.items():
            if missing:
                lacking[node] -= 1
                yield node


def _lot(salt: str, partition: int) -> bytes:
    return hashlib.md5(f"{salt}/{partition}".encode(), usedforsecurity=False).digest()


# ---- Strategy 1: random tokens

Tokens = tuple[tuple[int, str], ...]    # (position, node), ascending; every position once


def draw_tokens(node: str, capacity: float, tokens_per_capacity: int, chance: Chance) -> Tokens:
    """What a node draws when it first starts; it keeps them, and whoever hears of the node hears of them."""
    count = max(1, round(capacity * tokens_per_capacity))
    return tuple(sorted((chance.getrandbits(POSITION_BITS), node) for _ in range(count)))


def ring_of(tokens: Sequence[Tokens]) -> Tokens:
    """All nodes' tokens in one ring. Of two at one position, the node first by name has it."""
    first: dict[int, str] = {}
    for position, node in sorted(pair for of_node in tokens for pair in of_node):
        first.setdefault(position, node)
    return tuple(first.items())


def range_of(key: bytes, ring: Tokens) -> int:
    """The index of the token that answers for the key: the first at a larger position; after the last, the first."""
    return bisect_right(ring, position_of(key), key=lambda token: token[0]) % len(ring)


def range_sizes(ring: Tokens) -> list[float]:
    """For each token, which share of the ring lies between the one before and it."""
    whole = 1 << POSITION_BITS
    return [
        ((position - ring[index - 1][0]) % whole or whole) / whole for index, (position, _) in enumerate(ring)
    ]
