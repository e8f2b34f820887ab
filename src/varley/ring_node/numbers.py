"""Numbers that only grow, for /metrics: what this node has done since it started."""

from __future__ import annotations

from varley.ring_node.service import Counters

NAMES = (
    "gets", "gets_refused",                                 # coordinated here
    "puts", "puts_refused", "puts_unknown", "puts_forwarded",
    "repairs",                                              # sets sent after a get
    "fetches_united",                                       # answered together with other nodes, while homes change
    "hints_stored", "hints_delivered", "strays_delivered",  # a stray: a row that became another node's
    "comparisons", "comparisons_differing", "comparison_bytes", "rows_exchanged", "row_bytes_exchanged",
    "transfers_begun", "transfers_finished", "rows_transferred", "row_bytes_transferred",
    "tombstones_collected",
)  # fmt: skip


class Numbers:
    def __init__(self) -> None:
        self._values = dict.fromkeys(NAMES, 0)

    def add(self, name: str, count: int = 1) -> None:
        self._values[name] += count

    def snapshot(self) -> Counters:
        return Counters(dict(self._values))
