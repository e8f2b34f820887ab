"""MemDS: who belongs to every replica group and who leads it, in the memory of every node.

    number of the group (8 bytes) -> its members with their epoch, its leader with the ballot in which it leads

in one Perkle tree. Storage nodes are the authority: whoever begins to lead a group, leads it no more, or changes its
members, announces it here, and it is sent to all other nodes. What is known only goes forward. Each half of an entry
has a number that never goes back (the epoch of the members is the slot of the configuration, the ballot of the leader
is Paxos's), and the greater one wins, half by half: news that arrive twice, late or in another order change nothing,
and an older answer never replaces a newer one. All nodes that have heard the same news know the same.

1. **Announcements may be lost.** So each second each node shows two others, chosen by chance, the digest of its tree.
   If it is another than theirs, they find by places of their trees where they differ (perkle.py), and tell each other.
   Nothing is remembered between messages; if one is lost, the next second begins anew.

2. **A cache that works makes its source idle, and the day it is empty makes it fall over.** DynamoDB's routers once
   had a cache that hit 99.75 % of the time; each new router then asked for everything at once. Here every node has all,
   and the refresh is that second's comparison: its cost depends on neither the requests, nor what they find here, nor
   how many groups there are. (DynamoDB's routers have a part, so they refresh what was used, hit or not.)

3. **A node that is slow is like one that is down, for who waits.** So two are shown the digest, and two are asked when
   somebody needs to know now (`look_up`), members of the group first; the first answer counts. The second is merged as
   well; it says nothing new.

4. **What was deleted must not come back** from a node that has not heard of it. The ids of groups are given out once,
   and the metadata knows which have been and which are left: what it says is gone (`is_gone`) is taken from nobody.

No I/O, no clock: each method takes what happened and gives `Effects`.

Which group owns which part of a table is not here: that is in the table's map, which all nodes follow in the metadata
(metadata/catalog.py), and whose floor is the route's bisection (routes.py). Decision 0112 has why.

Rejected: versions as one pair (epoch, ballot) for the whole entry: a leader who has not yet heard of the newest
members would then hide that it leads. Taking it from whoever was asked in vain that the node known to lead leads no
more: it may have been asked before it was elected, and all would believe it until the next election; only the node
itself says that. Asking etcd: it is not made for the rate of requests, and routing must outlive it.

Source: Amazon DynamoDB (ATC 2022), section 6.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from struct import Struct
from typing import Final

import msgspec

from varley.router.perkle import Edge, Entry, Perkle, Place

COMPARE_SECONDS: Final = 1.0             # between two calls of `compare`
HEDGE: Final = 2                         # nodes that are shown, or asked, the same

# Below this many entries in a place, telling all of them is cheaper than a further round trip.
_FEW_ENTRIES = 16
_ENTRIES_PER_MESSAGE = 500

_key = Struct(">Q")    # big-endian: the order of keys is that of numbers, and neighbours share most of their path


class Group(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a replica group. The two halves go forward independently. Members are nodes, by name."""

    epoch: int = 0                     # of `members`: the slot of their configuration; 0: nothing is known
    members: tuple[str, ...] = ()
    ballot: int = 0                    # in which `leader` leads; 0: nobody was ever heard to
    leader: str | None = None          # None with a ballot: it has said that it leads no more

    def merged(self, other: Group) -> Group:
        newest = max(self, other, key=lambda each: (each.epoch, each.members))
        last = max(self, other, key=lambda each: (each.ballot, each.leader is None, each.leader or ""))
        return Group(newest.epoch, newest.members, last.ballot, last.leader)


UNKNOWN: Final = Group()


# What nodes say to one another. Entries are (key, value) of the tree; a place is (value, edges).


class Tell(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """These are known here."""

    entries: tuple[Entry, ...]


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Of all that is known here."""

    digest: bytes


class AskPlaces(msgspec.Struct, frozen=True, array_like=True, tag=3):
    prefixes: tuple[bytes, ...]


class TellPlaces(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """(prefix, value, ((label, entries, digest), …))"""

    places: tuple[tuple[bytes, bytes | None, tuple[tuple[bytes, int, bytes], ...]], ...]


class AskEntries(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What is at these keys, and below these prefixes?"""

    keys: tuple[bytes, ...]
    prefixes: tuple[bytes, ...]


Message = Tell | Digest | AskPlaces | TellPlaces | AskEntries

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode
_decode_group = msgspec.msgpack.Decoder(Group).decode


@dataclass(slots=True)
class Effects:
    """What is to be done. The order does not matter: whatever is lost is made good by a later comparison."""

    send: list[tuple[str, bytes]] = field(default_factory=list)    # (node, payload)
    changed: set[int] = field(default_factory=set)                 # groups of which something else is known now


class Memds:
    """What one node knows. See the top of the file."""

    def __init__(self, chance: Random, is_gone: Callable[[int], bool] = lambda group: False) -> None:
        """`is_gone`: whether there surely was a group of this number, and is none any more."""
        self.tree = Perkle()
        self._chance = chance
        self._is_gone = is_gone
        self._peers: tuple[str, ...] = ()
        self.ignored = 0                         # entries and messages that this version cannot read

    def set_peers(self, names: Iterable[str]) -> None:
        """All other nodes that can be reached now."""
        self._peers = tuple(sorted(names))

    # ---- what is known

    def find(self, group: int) -> Group:
        """UNKNOWN if nothing was heard of it. Asked for each request that is passed on."""
        value = self.tree.get(_key.pack(group))
        return UNKNOWN if value is None else _decode_group(value)

    def __iter__(self) -> Iterator[tuple[int, Group]]:
        """All, by number."""
        for key, value in self.tree:
            yield _key.unpack(key)[0], _decode_group(value)

    def __len__(self) -> int:
        return len(self.tree)

    # ---- what storage nodes, and whoever reads the metadata, say here

    def announce(self, group: int, news: Group) -> Effects:
        """Of a group that this node leads, or has led. Told to all other nodes if it is news."""
        effects = self.learn(group, news)
        if effects.changed:
            for peer in self._peers:
                self._tell(peer, [(_key.pack(group), self._value(group))], effects)
        return effects

    def learn(self, group: int, news: Group) -> Effects:
        """What others hear as well, or have said themselves: told to nobody."""
        effects = Effects()
        self._merge(_key.pack(group), news, effects)
        return effects

    def forget(self, group: int) -> None:
        """It is gone: `is_gone` says so from now on."""
        self.tree = self.tree.remove(_key.pack(group))

    # ---- refreshing

    def look_up(self, group: int) -> Effects:
        """Ask two nodes what they know of this group: if it is news, it will be among the `changed`."""
        members = set(self.find(group).members)
        order = sorted(self._chance.sample(self._peers, len(self._peers)), key=lambda peer: peer not in members)
        question = encode(AskEntries((_key.pack(group),), ()))
        return Effects([(peer, question) for peer in order[:HEDGE]])

    def compare(self) -> Effects:
        """Each COMPARE_SECONDS."""
        return self.compare_with(self._chance.sample(self._peers, min(HEDGE, len(self._peers))))

    def compare_with(self, peers: Iterable[str]) -> Effects:
        shown = encode(Digest(self.tree.digest))
        return Effects([(peer, shown) for peer in peers])

    # ---- messages

    def receive(self, sender: str, payload: bytes) -> Effects:
        effects = Effects()
        try:
            message = _decode(payload)
        except msgspec.MsgspecError:    # of a newer version
            self.ignored += 1
            return effects
        match message:
            case Tell(entries):
                self._merge_all(entries, effects)
            case Digest(digest):
                if digest != self.tree.digest:
                    effects.send.append((sender, encode(self._places([b""]))))
            case AskPlaces(prefixes):
                effects.send.append((sender, encode(self._places(prefixes))))
            case TellPlaces(places):
                self._compare(sender, places, effects)
            case AskEntries(keys, prefixes):
                tell = [(key, value) for key in keys if (value := self.tree.get(key)) is not None]
                tell += [entry for prefix in prefixes for entry in self.tree.prefix(prefix)]
                self._tell(sender, tell, effects)
        return effects

    def _places(self, prefixes: Iterable[bytes]) -> TellPlaces:
        return TellPlaces(tuple((prefix, *_plain(self.tree.place(prefix))) for prefix in prefixes))

    def _compare(
        self,
        peer: str,
        places: Iterable[tuple[bytes, bytes | None, tuple[tuple[bytes, int, bytes], ...]]],
        effects: Effects,
    ) -> None:
        """The peer's places, against the same places here: tell what it lacks, ask for what is lacking, look deeper."""
        keys: list[bytes] = []
        fetch: list[bytes] = []
        deeper: list[bytes] = []
        tell: list[Entry] = []
        for prefix, value, edges in places:
            theirs = Place(value, tuple(Edge(*edge) for edge in edges))
            findings = self.tree.compare(prefix, theirs)
            if findings.value_differs:
                keys.append(prefix)
                mine = self.tree.get(prefix)
                if mine is not None:
                    tell.append((prefix, mine))
            for only in findings.only_mine:
                tell.extend(self.tree.prefix(only))
            fetch += findings.only_theirs
            few = {edge.label[:1] for edge in theirs.edges if edge.entries <= _FEW_ENTRIES}
            for place in findings.deeper:
                if place[len(prefix) : len(prefix) + 1] in few:
                    tell.extend(self.tree.prefix(place))
                    fetch.append(place)
                else:
                    deeper.append(place)
        self._tell(peer, tell, effects)
        if keys or fetch:
            effects.send.append((peer, encode(AskEntries(tuple(keys), tuple(fetch)))))
        if deeper:
            effects.send.append((peer, encode(AskPlaces(tuple(deeper)))))

    def _tell(self, peer: str, entries: Sequence[Entry], effects: Effects) -> None:
        for at in range(0, len(entries), _ENTRIES_PER_MESSAGE):
            effects.send.append((peer, encode(Tell(tuple(entries[at : at + _ENTRIES_PER_MESSAGE])))))

    # ---- merging

    def _merge_all(self, entries: Iterable[Entry], effects: Effects) -> None:
        for key, value in entries:
            try:
                news = _decode_group(value)
            except msgspec.MsgspecError:    # of a newer version
                self.ignored += 1
                continue
            if len(key) == _key.size:
                self._merge(key, news, effects)
            else:
                self.ignored += 1

    def _merge(self, key: bytes, news: Group, effects: Effects) -> None:
        (group,) = _key.unpack(key)
        old = self.tree.get(key)
        if old is None and self._is_gone(group):
            return
        tree = self.tree.insert(key, encode(news if old is None else _decode_group(old).merged(news)))
        if tree is not self.tree:
            self.tree = tree
            effects.changed.add(group)

    def _value(self, group: int) -> bytes:
        value = self.tree.get(_key.pack(group))
        assert value is not None
        return value


def _plain(place: Place) -> tuple[bytes | None, tuple[tuple[bytes, int, bytes], ...]]:
    return place.value, tuple((edge.label, edge.entries, edge.digest) for edge in place.edges)
