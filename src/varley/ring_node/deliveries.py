"""Sets of versions on their way to another node: what hints, transfers and comparisons have in common.

A set is read when it is sent, whole, and never before it is durable here (store.py). The node that gets it merges it.
"""

from __future__ import annotations

from collections.abc import Callable

from varley.ring.siblings import NONE, Siblings
from varley.ring_node import wire
from varley.ring_node.peers import Peers
from varley.ring_node.store import Store

BACKGROUND_TIMEOUT_SECONDS = 2.0    # nobody waits for it, and another node is of no help


class Deliveries:
    def __init__(self, own: str, store: Store, peers: Peers) -> None:
        self._own = own
        self._store = store
        self._peers = peers

    def row(self, to: str, ring_key: bytes, acknowledged: Callable[[int], None], failed: Callable[[], None]) -> None:
        """What is in the row now. `acknowledged` is told its bytes; 0 if there is no row any more."""
        self._store.when_durable(
            ring_key, lambda: self._send(to, ring_key, self._store.row(ring_key), acknowledged, failed)
        )

    def hint(
        self, to: str, home: str, ring_key: bytes, acknowledged: Callable[[int], None], failed: Callable[[], None]
    ) -> None:
        self._store.when_durable(
            ring_key, lambda: self._send(to, ring_key, self._store.hint(home, ring_key), acknowledged, failed)
        )

    def _send(
        self, to: str, ring_key: bytes, siblings: Siblings, acknowledged: Callable[[int], None],
        failed: Callable[[], None],
    ) -> None:  # fmt: skip
        """What is handed over is deleted here afterwards, so it has to be on the other's disk: `is_durable`."""
        if siblings is NONE:
            acknowledged(0)
            return
        raw = siblings.encode()
        if to == self._own:
            self._store.merge(ring_key, siblings, None, lambda: acknowledged(len(raw)), is_durable=True)
        else:
            self._peers.ask(
                to, wire.Store(ring_key, raw, None, True),
                lambda _: acknowledged(len(raw)), lambda _: failed(), timeout_seconds=BACKGROUND_TIMEOUT_SECONDS,
            )  # fmt: skip
