"""Who is in the ring and who stores what, at one node: gossip, its history on disk, and the placement that follows.

A *range* is what a hash tree covers and a transfer moves: the keys of one partition that belong to buckets of one N.
Its number is partition << 8 | N: with another N, other nodes are homes of the same partition.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from varley.clock import Clock
from varley.ring import gossip
from varley.ring.chance import Chance
from varley.ring.gossip import Gossip
from varley.ring.membership import History, Member
from varley.ring.placement import Placement
from varley.ring.preference_list import PreferenceList
from varley.ring.token_placement import TokenPlacement
from varley.ring.tokens import POSITION_BITS
from varley.ring_node import wire
from varley.ring_node.keys import bucket_of
from varley.ring_node.peers import Links, Peers
from varley.ring_node.rows import BadRow
from varley.ring_node.settings import RingNodeSettings, RingSettings
from varley.ring_node.store import Store

logger = logging.getLogger("varley.ring")

_MEMORY = "history"
_N_BITS = 8


class Members:
    """`placed(before)` is called when the placement has changed."""

    def __init__(self, own: RingNodeSettings, ring: RingSettings, chance: Chance, clock: Clock) -> None:
        self.placement: Placement | TokenPlacement = _place(ring, History())
        self.placed: Callable[[Placement | TokenPlacement], None] = lambda _: None
        self._own = own
        self._ring = ring
        self._chance = chance
        self._clock = clock
        self._gossip = Gossip(own.name, own.seeds, History())
        self._told_addresses: dict[str, str] = {}    # name -> address, as gossip or the history has told it
        self._counts = sorted({bucket.n for bucket in (ring.default, *ring.buckets.values())})

    def open(self, history: bytes | None) -> None:
        """With what the node remembers, before anything else is asked of it. Raises BadRow."""
        if history is not None:
            self._gossip = Gossip(self._own.name, self._own.seeds, decode_history(history))
            self.placement = _place(self._ring, self._gossip.history)

    def start(self, store: Store, peers: Peers, links: Links) -> None:
        self._store = store
        self._peers = peers
        self._links = links
        self._set_addresses()
        # A seed's address that an operator gives now is newer than the one that is remembered: when all nodes were
        # moved, it is how they find one another.
        for name, (host, port) in self._own.seeds.items():
            links.set_address(name, host, port)

    @property
    def history(self) -> History:
        return self._gossip.history

    # ---- Who stores what

    def range_of(self, ring_key: bytes) -> int:
        return self.placement.partition_of(ring_key) << _N_BITS | self._ring.bucket(bucket_of(ring_key)).n

    def preference(self, ring_key: bytes) -> PreferenceList:
        return self.placement.preference(self.placement.partition_of(ring_key))

    def homes(self, range_id: int) -> PreferenceList:
        """Of all keys in the range. Empty if there is no such range (now)."""
        partition, n = range_id >> _N_BITS, range_id & ((1 << _N_BITS) - 1)
        if n not in self._counts or (isinstance(self.placement, Placement) and partition not in self.placement.ids):
            return ()
        return self.placement.homes(partition, n)

    def homes_of(self, ring_key: bytes) -> PreferenceList:
        return self.homes(self.range_of(ring_key))

    def homes_under(self, placement: Placement | TokenPlacement, ring_key: bytes) -> PreferenceList:
        """Who would be, or was, home of a key."""
        return placement.homes(placement.partition_of(ring_key), self._ring.bucket(bucket_of(ring_key)).n)

    def members_since(self, epoch_seconds: float) -> set[str]:
        """All who are members, and all who have left since then."""
        left = {change.node for change in self.history.changes if change.time_us >= epoch_seconds * 1e6}
        return left | self.placement.members.keys()

    def is_home(self, range_id: int) -> bool:
        return self._own.name in self.homes(range_id)

    def ranges(self) -> Iterator[int]:
        """All there are."""
        return (partition << _N_BITS | n for partition in self.placement.ids for n in self._counts)

    def spans(self, range_id: int) -> tuple[tuple[int, int], ...]:
        """Where its keys lie, among others with another N."""
        return self.placement.spans(range_id >> _N_BITS)

    def gains(self, before: Placement | TokenPlacement) -> Iterator[tuple[int, frozenset[str]]]:
        """Of each range that this node was home of: who is home now and was not."""
        for range_id in self.ranges():
            homes = self.homes(range_id)
            n = range_id & ((1 << _N_BITS) - 1)
            gained: set[str] = set()
            for partition in self._overlapping(before, range_id):
                had = before.homes(partition, n)
                if self._own.name in had:
                    gained.update(set(homes) - set(had))
            if gained:
                yield range_id, frozenset(gained)

    def _overlapping(self, before: Placement | TokenPlacement, range_id: int) -> Iterable[int]:
        if isinstance(before, Placement):
            return (range_id >> _N_BITS,)
        return {partition for low, high in self.spans(range_id) for partition in before.overlapping(low, high)}

    def shares(self) -> tuple[dict[str, float], dict[str, int]]:
        """Of the ring, by node: for how much of it the node is first; of how many partitions it is one of N homes."""
        shares: dict[str, float] = {}
        homes: dict[str, int] = {}
        for partition in self.placement.ids:
            names = self.placement.homes(partition, self._ring.default.n)
            size = sum(high - low for low, high in self.placement.spans(partition)) / (1 << POSITION_BITS)
            for name in names[:1]:
                shares[name] = shares.get(name, 0.0) + size
            for name in names:
                homes[name] = homes.get(name, 0) + 1
        return shares, homes

    def left(self) -> dict[str, Member]:
        """Who was a member and is none: as they were."""
        return {
            change.node: change.member for change in self.placement.history.changes
            if change.node not in self.placement.members
        }  # fmt: skip

    # ---- Gossip

    def tick(self) -> None:
        self._do(self._gossip.tick(self._chance))

    def received(self, sender: str, message: gossip.Message) -> None:
        self._do(self._gossip.receive(sender, message))

    def join(self, name: str, member: Member, then: Callable[[], None]) -> None:
        history = self.history.join(name, member, self._now_us)
        logger.info("node %s joins the ring: zone %r, capacity %g, at %s", name, member.zone, member.capacity,
                    member.address)  # fmt: skip
        self._do(self._gossip.changed(history), then)

    def leave(self, name: str, then: Callable[[], None]) -> None:
        """Raises KeyError if it is no member."""
        history = self.history.leave(name, self._now_us)
        logger.info("node %s leaves the ring", name)
        self._do(self._gossip.changed(history), then)

    @property
    def _now_us(self) -> int:
        return self._store.stamp_time_us(int(self._clock.time() * 1e6))

    def _do(self, effects: gossip.Effects, then: Callable[[], None] | None = None) -> None:
        if effects.persist is None:
            # It tells of all that it has heard, also of what is on its way to the disk only; who asked then asks again.
            if self._gossip.history == self.placement.history:
                self._tell(effects)
        else:
            self._store.remember(_MEMORY, encode_history(effects.persist), partial(self._persisted, effects, then))

    def _persisted(self, effects: gossip.Effects, then: Callable[[], None] | None) -> None:
        assert effects.persist is not None
        self._place(effects.persist)
        self._tell(effects)
        if then is not None:
            then()

    def _tell(self, effects: gossip.Effects) -> None:
        for to, message in effects.send:
            self._peers.send(to, wire.of_core(message))

    def _place(self, history: History) -> None:
        if set(history.changes) <= set(self.placement.history.changes):
            return
        before, self.placement = self.placement, _place(self._ring, history)
        old, new = before.members, self.placement.members
        for name in sorted(new.keys() - old.keys()):
            logger.info("node %s is a member now", name)
        for name in sorted(old.keys() - new.keys()):
            logger.info("node %s is no member any more", name)
        self._set_addresses()
        self.placed(before)

    def _set_addresses(self) -> None:
        """Of members that are new, or have told another one than last time."""
        for name, member in self.placement.members.items():
            if name != self._own.name and self._told_addresses.get(name) != member.address:
                self._told_addresses[name] = member.address
                host, _, port = member.address.rpartition(":")
                self._links.set_address(name, host, int(port))


def _place(ring: RingSettings, history: History) -> Placement | TokenPlacement:
    return Placement(history, ring.partitions) if ring.strategy == 3 else TokenPlacement(history, ring.tokens)


_Changes = list[wire.RawChange]


def encode_history(history: History) -> bytes:
    """JSON: [[time µs, node, "join" or "leave", [address, zone, capacity, endpoint]], …], ascending."""
    return msgspec.json.encode([wire.raw_of(change) for change in history.changes])


def decode_history(raw: bytes) -> History:
    try:
        return History(tuple(sorted(wire.change_of(change) for change in msgspec.json.decode(raw, type=_Changes))))
    except msgspec.DecodeError as error:
        raise BadRow(f"the history of the ring's membership does not read as one: {error}") from error


