"""Sets of versions on their way to another node: what hints, transfers and comparisons have in common.

A set is read when it is sent, whole, and as it is on disk (store.py). The node that gets it merges it.
"""

from __future__ import annotations

from collections.abc import Callable

from varley.ring.siblings import NONE, Siblings
from varley.ring_node import wire
from varley.ring_node.peers import Peers
from varley.ring_node.store import Store

BACKGROUND_TIMEOUT_SECONDS = 2.0    # nobody waits for it, and another node is of no help

Acknowledged = Callable[[Siblings], None]   # what the other has now, on its disk; NONE: there was nothing to send


class Deliveries:
    def __init__(self, own: str, store: Store, peers: Peers) -> None:
        self._own = own
        self._store = store
        self._peers = peers

    def row(self, to: str, ring_key: bytes, acknowledged: Acknowledged, failed: Callable[[], None]) -> None:
        self._send(to, ring_key, self._store.shown_row(ring_key), acknowledged, failed)

    def hint(
        self, to: str, home: str, ring_key: bytes, acknowledged: Acknowledged, failed: Callable[[], None]
    ) -> None:
        self._send(to, ring_key, self._store.shown_hint(home, ring_key), acknowledged, failed)

    def _send(
        self, to: str, ring_key: bytes, siblings: Siblings, acknowledged: Acknowledged, failed: Callable[[], None]
    ) -> None:
        """What is handed over is deleted here afterwards, so it has to be on the other's disk: `is_durable`."""
        if siblings is NONE:
            acknowledged(NONE)
        elif to == self._own:
            self._store.merge(ring_key, siblings, None, lambda: acknowledged(siblings), is_durable=True)
        else:
            self._peers.ask(
                to, wire.Store(ring_key, siblings.encode(), None, True),
                lambda _: acknowledged(siblings), lambda _: failed(), timeout_seconds=BACKGROUND_TIMEOUT_SECONDS,
            )  # fmt: skip
