"""How evenly strategies 1 and 3 spread the ring over nodes: what figure 8 of the paper shows, by simulation.

*Load-balancing efficiency* is the mean load of a node over the highest load of any (section 6.2): 1 is perfect. Keys
are taken to be equally popular, and a node's load is the share of the ring for which it is among the N homes.

The paper compares the strategies at equal size of the metadata that each node keeps, which is a token's or partition's
entry each: so T tokens a node with S nodes are set against Q = S T partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from varley.ring.chance import Chance
from varley.ring.preference_list import walk
from varley.ring.tokens import draw_tokens, range_sizes, rebalance, ring_of


class Balance(NamedTuple):
    tokens_per_node: int
    strategy_1: float
    strategy_3: float


def figure_8(
    tokens_per_node: Iterable[int], chance: Chance, nodes: int = 30, replicas: int = 3, rounds: int = 1
) -> list[Balance]:
    """Efficiencies for each size of metadata; each the mean of `rounds` rings. 30 nodes and N = 3 as in the paper."""
    found = []
    for tokens in tokens_per_node:
        first = [strategy_1_efficiency(nodes, tokens, replicas, chance) for _ in range(rounds)]
        third = [strategy_3_efficiency(nodes, nodes * tokens, replicas, chance) for _ in range(rounds)]
        found.append(Balance(tokens, sum(first) / rounds, sum(third) / rounds))
    return found


def strategy_1_efficiency(nodes: int, tokens_per_node: int, replicas: int, chance: Chance) -> float:
    ring = ring_of([draw_tokens(name, 1, tokens_per_node, chance) for name in _names(nodes)])
    return _efficiency([node for _, node in ring], range_sizes(ring), nodes, replicas)


def strategy_3_efficiency(nodes: int, partitions: int, replicas: int, chance: Chance) -> float:
    """Nodes join one by one, as they would."""
    owners: tuple[str, ...] = ()
    members: dict[str, float] = {}
    for name in _names(nodes):
        members[name] = 1
        owners = rebalance(owners, members, partitions, salt=f"{chance.getrandbits(64)}")
    return _efficiency(owners, [1 / partitions] * partitions, nodes, replicas)


def _efficiency(ring: Sequence[str], sizes: Sequence[float], nodes: int, replicas: int) -> float:
    load = dict.fromkeys(_names(nodes), 0.0)
    for start, size in enumerate(sizes):
        for node in _homes(ring, start, replicas):
            load[node] += size
    return sum(load.values()) / nodes / max(load.values())


def _homes(ring: Sequence[str], start: int, replicas: int) -> Sequence[str]:
    """The first distinct nodes from here, all in one zone: `walk` without going all the way round."""
    ahead = [ring[(start + step) % len(ring)] for step in range(min(len(ring), replicas * 8))]
    if len(set(ahead)) < replicas:
        return walk(ring, start, dict.fromkeys(ring, ""))[:replicas]
    return list(dict.fromkeys(ahead))[:replicas]


def _names(nodes: int) -> list[str]:
    return [f"n{index:02}" for index in range(nodes)]
