"""Failure detection: whom this node can reach, as far as it has seen for itself.

A takes B for failed if B does not answer A, even if B answers C (section 4.8.3). That is all a request needs: it goes
to the next node of the list. So nobody agrees on anything, nobody is told, and there are no heartbeats: with traffic,
every message is a probe; without traffic, nobody needs to know. A node taken for failed is asked again from time to
time, by the probes that `due` names, because no request will go there to find out.

Rejected: the paper's first design, gossip about who is up. Joins and leaves are explicit, so nothing depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES_MAX = 2            # in a row: one lost packet is not a failed node
RETRY_US = 1_000_000        # how long it is left alone between probes


@dataclass
class _Peer:
    failures: int = 0       # in a row, since it last answered
    next_probe_us: int = 0


class FailureDetector:
    def __init__(self, failures_max: int = FAILURES_MAX, retry_us: int = RETRY_US) -> None:
        self._failures_max = failures_max
        self._retry_us = retry_us
        self._peers: dict[str, _Peer] = {}      # those that have failed to answer since they last did

    def is_alive(self, node: str) -> bool:
        peer = self._peers.get(node)
        return peer is None or peer.failures < self._failures_max

    def answered(self, node: str) -> bool:
        """Anything was heard from it. True if it was taken for failed until now: its hints can be delivered."""
        was_alive = self.is_alive(node)
        self._peers.pop(node, None)
        return not was_alive

    def unanswered(self, node: str, now_us: int) -> bool:
        """It did not answer in time, or cannot be connected to. True if it is taken for failed from now on."""
        was_alive = self.is_alive(node)
        peer = self._peers.setdefault(node, _Peer())
        peer.failures += 1
        peer.next_probe_us = now_us + self._retry_us
        return was_alive and not self.is_alive(node)

    def due(self, now_us: int) -> tuple[str, ...]:
        """Those to be probed now; each is left alone for RETRY_US after that."""
        nodes = tuple(
            sorted(
                node
                for node, peer in self._peers.items()
                if peer.failures >= self._failures_max and peer.next_probe_us <= now_us
            )
        )
        for node in nodes:
            self._peers[node].next_probe_us = now_us + self._retry_us
        return nodes
