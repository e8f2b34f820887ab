"""Figure 8 of the Dynamo paper: how evenly strategies 1 and 3 spread a ring over 30 nodes.

    python -m benchmarks.figure_8                   a table and a plot, a few seconds
    python -m benchmarks.figure_8 --rounds 20       smoother

It is a simulation, so it does not matter what else the machine does. Efficiency is the mean load of a node over the
highest of any: 1 is perfect, 0.5 means that some node has twice its share. Strategies are compared at equal size of the
metadata that a node keeps: T tokens a node against Q = 30 T partitions.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from varley.ring.balance import Balance, figure_8

NODES = 30      # as in the paper, as is N = 3
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_HEIGHT = 16    # rows of the plot
_WIDTH = 6      # columns for each size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rings for each figure (5)")
    parser.add_argument("--seed", type=int, default=2007, help="the same seed gives the same figures (2007)")
    options = parser.parse_args()
    balances = figure_8(TOKENS, random.Random(options.seed), nodes=NODES, rounds=options.rounds)
    console = Console(highlight=False)
    console.print(table(balances))
    console.print(plot(balances))


def table(balances: Sequence[Balance]) -> Table:
    shown = Table("entries a node keeps", "partitions Q", "strategy 1", "strategy 3", box=None)
    for column in shown.columns:
        column.justify = "right"
    for each in balances:
        entries, partitions = f"{each.tokens_per_node * NODES:,}", f"{each.tokens_per_node * NODES:,}"
        shown.add_row(entries, partitions, f"{each.strategy_1:.3f}", f"{each.strategy_3:.3f}")
    return shown


def plot(balances: Sequence[Balance]) -> str:
    """Efficiency upwards from 0 to 1, tokens for each node to the right, doubling."""
    rows = [[" "] * (_WIDTH * len(balances)) for _ in range(_HEIGHT + 1)]
    for index, each in enumerate(balances):
        for mark, value in (("1", each.strategy_1), ("3", each.strategy_3)):
            rows[_HEIGHT - round(value * _HEIGHT)][index * _WIDTH + _WIDTH // 2] = mark
    lines = [f"{1 - row / _HEIGHT:5.2f} |" + "".join(cells).rstrip() for row, cells in enumerate(rows)]
    lines.append("      +" + "-" * _WIDTH * len(balances))
    lines.append("       " + "".join(f"{each.tokens_per_node:^{_WIDTH}}" for each in balances) + " tokens a node")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
