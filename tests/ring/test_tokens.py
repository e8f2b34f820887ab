from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from varley.ring.balance import figure_8
from varley.ring.tokens import draw_tokens, partition_of, position_of, quotas, range_of, range_sizes, rebalance, ring_of

Q = 64
names = st.sampled_from([f"n{index}" for index in range(8)])
nodes = st.dictionaries(names, st.sampled_from([0.5, 1.0, 2.0]), min_size=1)


@given(nodes)
def test_quotas_are_shares_of_capacity_and_add_up(capacities: dict[str, float]) -> None:
    shares = quotas(capacities, Q)
    assert sum(shares.values()) == Q
    whole = sum(capacities.values())
    assert all(abs(shares[node] - Q * capacity / whole) < 1 for node, capacity in capacities.items())


@given(st.lists(nodes, min_size=1, max_size=6))
@settings(deadline=None)
def test_after_each_change_all_have_their_quota_and_only_what_must_has_moved(changes: list[dict[str, float]]) -> None:
    owners: tuple[str, ...] = ()
    for number, capacities in enumerate(changes):
        before, owners = owners, rebalance(owners, capacities, Q, salt=str(number))
        wanted = quotas(capacities, Q)
        assert {node: owners.count(node) for node in wanted} == wanted
        must_move = sum(max(0, before.count(node) - wanted.get(node, 0)) for node in set(before))
        assert sum(old != new for old, new in zip(before, owners, strict=False)) == must_move


def test_what_a_leaver_had_is_scattered_over_all() -> None:
    capacities = {f"n{index}": 1.0 for index in range(5)}
    owners = rebalance((), capacities, 320, salt="0")
    del capacities["n0"]
    after = rebalance(owners, capacities, 320, salt="1")
    heirs = {new for old, new in zip(owners, after, strict=True) if old == "n0"}
    assert heirs == set(capacities)


def test_partitions_are_equal_cuts_of_the_ring() -> None:
    for index in range(200):
        key = str(index).encode()
        assert partition_of(key, Q) == position_of(key) // ((1 << 128) // Q)


def test_a_key_belongs_to_the_first_token_at_a_larger_position() -> None:
    ring = ring_of([draw_tokens(name, 1, 8, Random(3)) for name in "ab"])
    for index in range(200):
        key = str(index).encode()
        larger = [at for at, (position, _) in enumerate(ring) if position > position_of(key)]
        assert range_of(key, ring) == (larger[0] if larger else 0)


def test_ranges_are_the_whole_ring() -> None:
    assert abs(sum(range_sizes(ring_of([draw_tokens("a", 2, 8, Random(1))]))) - 1) < 1e-9
    assert range_sizes(((5, "a"),)) == [1.0]


def test_strategy_3_is_better_balanced_than_1_at_each_size_of_metadata() -> None:
    """Figure 8, 30 nodes and N = 3: the third is near 1 and the first far from it."""
    for balance in figure_8([8, 32], Random(8)):
        assert balance.strategy_3 > 0.8
        assert balance.strategy_1 < balance.strategy_3
