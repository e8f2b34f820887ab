"""Gets while homes change: who has become a home of a key, or is none any more, answers with what the others have too.

A change of membership is in force at each node from when that has heard of it, rows or not (ring/transfer.py). So for
as long as gossip and transfers take, a get may meet homes that have nothing yet, or that have given everything away.
With one home changed of three, R = 2 asks one that has it; with two it may not. Story, without this file: A, B and C
have x. D and E join, and take the places of B and C. A get asks D and E, which answer first: there is no x.

Therefore, for each change that is not *settled*, a node that it has made a home asks those whose place it took before
it answers; and one that it has taken the place of asks those who have it now, for somebody may still write there or
still ask here (`preference_list.exchanged` has the reason why that is enough). They are asked for what they have
themselves, so that nobody asks in a circle. Former homes follow from the history, by leaving out its last changes:
also for a node that has just joined or was started again.

A change is settled when all members, and who left by it, have said twice in a row that they know it and that nothing
is left with them that belongs elsewhere. They are asked each second, as long as all of them can be reached. After
SETTLE_SECONDS it is taken for settled: somebody is down, who will not be waited for for good.

What remains: a node asked by one that has heard of a change, when it has not, answers with what it has. `gossip` tells
everybody at once for that reason; and nodes that cannot be reached are not waited for, which is the sloppy quorum.

Rejected: asking the old homes and the new ones at the coordinator, as Raft's joint consensus does. It has to know of
the change, so one that has heard of it later still misses what was written; and clients that coordinate gets would
have to be taught it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from varley.clock import Clock
from varley.ring.membership import Change
from varley.ring.placement import Placement
from varley.ring.preference_list import exchanged
from varley.ring.token_placement import TokenPlacement
from varley.ring_node import wire
from varley.ring_node.members import Members
from varley.ring_node.peers import Peers, Reply

SETTLE_SECONDS: Final = 3600.0
FORMER_MAX: Final = 8           # placements that are gone back to
_ROUNDS: Final = 2              # a row may be on its way while the first is asked
_ASK_SECONDS: Final = 1.0


class Moving:
    """`has_strays`: whether this node has rows that belong elsewhere."""

    def __init__(
        self, own: str, members: Members, peers: Peers, clock: Clock, has_strays: Callable[[], bool]
    ) -> None:
        self._own = own
        self._members = members
        self._peers = peers
        self._clock = clock
        self._has_strays = has_strays
        recent_us = (clock.time() - SETTLE_SECONDS) * 1e6
        self._settled: set[Change] = {each for each in members.history.changes if each.time_us < recent_us}
        self._former: list[Placement | TokenPlacement] = []     # before each of the changes that are not settled
        self._until = 0.0               # monotonic; then they are
        self._rounds = 0                # in a row in which all have said that nothing is left
        self.place_anew()

    @property
    def is_settled(self) -> bool:
        return not self._former

    def place_anew(self) -> None:
        """The history has grown, or is read for the first time."""
        placement = self._members.placement
        changes = placement.history.changes
        # One that is heard of late may lie before others that were settled without it.
        first = next((index for index, change in enumerate(changes) if change not in self._settled), len(changes))
        self._former = [placement.before(change) for change in changes[first:][-FORMER_MAX:]]
        self._lacking: set[str] = set()     # those that have not answered in this round
        self._until = self._clock.monotonic() + SETTLE_SECONDS
        self._rounds = 0

    def others(self, ring_key: bytes) -> frozenset[str]:
        """Whom to ask, too, before this node says what it has of the key."""
        if not self._former:
            return frozenset()
        now = self._members.homes_of(ring_key)
        found: set[str] = set()
        for former in self._former:
            before = self._members.homes_under(former, ring_key)
            found |= exchanged(self._own, before, now)
        return frozenset(node for node in found if self._peers.is_alive(node))

    # ---- Settling

    def tick(self) -> None:
        if not self._former:
            return
        nodes = set(self._members.placement.members).union(*(former.members for former in self._former)) - {self._own}
        if not nodes or self._clock.monotonic() >= self._until:
            self._settle()
        elif self._has_strays() or not all(map(self._peers.is_alive, nodes)):
            self._rounds = 0
        else:
            self._ask(nodes)

    def asked(self, request: wire.Settled, reply: Reply) -> None:
        if request.digest != self._members.placement.history.digest:
            reply(wire.Refused("this node knows another history"))
        elif self._has_strays():
            reply(wire.Refused("this node has rows of others"))
        else:
            reply(wire.Done())

    def _ask(self, nodes: set[str]) -> None:
        lacking = self._lacking = set(nodes)    # a new one each time: late answers mean nothing
        request, failed = wire.Settled(self._members.history.digest), partial(self._not_yet, lacking)
        for node in sorted(nodes):
            told = partial(self._is_settled_at, node, lacking)
            self._peers.ask(node, request, told, failed, timeout_seconds=_ASK_SECONDS)

    def _is_settled_at(self, node: str, lacking: set[str], _: object) -> None:
        if self._lacking is not lacking:
            return
        lacking.discard(node)
        if not lacking:
            self._rounds += 1
            if self._rounds >= _ROUNDS:
                self._settle()

    def _not_yet(self, lacking: set[str], _: bool) -> None:
        if self._lacking is lacking:
            self._rounds = 0

    def _settle(self) -> None:
        self._settled.update(self._members.placement.history.changes)
        self._former.clear()
