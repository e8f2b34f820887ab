"""What all background work of a node has at hand: handoff, transfers, comparisons, collection of tombstones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from varley.clock import Clock
from varley.ring.admission import BackgroundAdmission
from varley.ring.chance import Chance
from varley.ring_node.deliveries import Deliveries
from varley.ring_node.members import Members
from varley.ring_node.numbers import Numbers
from varley.ring_node.peers import Peers
from varley.ring_node.rows import Head
from varley.ring_node.store import Store
from varley.ring_node.writer import Handle, Loop


@dataclass(frozen=True)
class Parts:
    """Of one node."""

    own: str
    store: Store
    members: Members
    peers: Peers
    deliveries: Deliveries
    admission: BackgroundAdmission
    numbers: Numbers
    clock: Clock
    chance: Chance
    loop: WhileServing


class WhileServing:
    """The loop of background work: what it was to do ends with the node. `do` calls it, if it is still to be done."""

    def __init__(self, loop: Loop, do: Callable[[Callable[[], object]], object]) -> None:
        self._loop = loop
        self._do = do

    def call_soon(self, callback: Callable[..., object], /, *args: object) -> None:
        self._loop.call_soon(self._do, partial(callback, *args))

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> Handle:
        return self._loop.call_later(delay, self._do, partial(callback, *args))


class Background:
    def __init__(self, parts: Parts) -> None:
        self._own = parts.own
        self._store = parts.store
        self._members = parts.members
        self._peers = parts.peers
        self._deliveries = parts.deliveries
        self._admission = parts.admission
        self._numbers = parts.numbers
        self._clock = parts.clock
        self._chance = parts.chance
        self._loop = parts.loop

    def _reaches(self, node: str) -> bool:
        return node == self._own or self._peers.is_alive(node)

    def _rows_of_range(self, range_id: int) -> Iterator[Head]:
        """To be used up in the same turn of the loop, as `Store.heads`."""
        for low, high in self._members.spans(range_id):
            for head in self._store.heads(low, high):
                if self._members.range_of(head.ring_key) == range_id:
                    yield head
