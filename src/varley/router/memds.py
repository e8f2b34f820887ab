"""MemDS: where every partition is and who leads it, in the memory of every node.

Two kinds of entries, in one Perkle tree:

    "r" table low -> range    a partition begins here: its group, its epoch, when it went (0: it is there)
    "g" group     -> group    its members with their epoch, its leader with the ballot in which it leads

Storage nodes are the authority: whoever begins to lead a group, or changes its members, announces it here, and it is
sent to all other nodes. What is known only goes forward. Each half of an entry has a number that never goes back (the
epoch of the members is the slot of the configuration, the ballot of the leader is Paxos's), and the greater one wins,
half by half: news that arrive twice, late or in another order change nothing. All nodes that have heard the same news
know the same.

1. **Announcements may be lost.** So each node shows one other, chosen by chance, the digest of its tree each second.
   If it is another than theirs, the two find by places of their trees where they differ (perkle.py), and tell each
   other. Nothing is remembered between messages; if one is lost, the next second begins anew.

2. **A cache that works makes its source idle, and the day it is empty makes it fall over.** DynamoDB's routers once
   had a cache that hit 99.75 % of the time; each new router then asked for everything at once. So a hit costs the
   source as much as a miss: whoever uses a route it knows asks for it all the same (`refresh`), without waiting. All
   that is asked in one turn of the loop goes in one look-up.

3. **A node that is slow is like one that is down, for who waits.** So each look-up goes to two nodes, and the first
   answer counts. The second is merged as well; it says nothing new.

4. **What was deleted must not come back** from a node that has not heard of it. So the ranges of a deleted table
   stay, as gone, for a day; then all nodes drop them, and none takes them from another. A table's id is never used
   again.

No I/O, no clock: each method takes what happened and gives `Effects`.

Rejected: versions as one pair (epoch, ballot) for the whole entry: a leader who has not yet heard of the newest
members would then hide that it leads. Asking etcd: it is not made for the rate of requests, and routing must outlive
it.

Source: Amazon DynamoDB (ATC 2022), section 6.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from struct import Struct
from typing import Final

import msgspec

from varley.router.perkle import Edge, Entry, Perkle, Place

GONE_SECONDS_MAX: Final = 24 * 3600.0    # how long it is remembered that a range is gone
COMPARE_SECONDS: Final = 1.0             # between two comparisons that this node begins
LOOK_UP_SECONDS_MAX: Final = 1.0         # then a look-up counts as lost
HEDGE: Final = 2                         # nodes that are asked the same

# Below this many entries in a place, telling all of them is cheaper than a further round trip.
_FEW_ENTRIES = 16
_ENTRIES_PER_MESSAGE = 500

_RANGE: Final = b"r"
_GROUP: Final = b"g"
_group_number = Struct(">Q")


class Range(msgspec.Struct, frozen=True, array_like=True):
    """A partition, as its table's map has it."""

    group: int
    epoch: int
    gone_at: float = 0.0    # seconds since 1970; 0: it is there

    def merged(self, other: Range) -> Range:
        return max(self, other, key=lambda each: (each.gone_at, each.epoch, each.group))


class Group(msgspec.Struct, frozen=True, array_like=True):
    """A replica group. The two halves are known, and go forward, independently."""

    epoch: int = 0                     # of `members`: the slot of their configuration; 0: nothing is known
    members: tuple[str, ...] = ()
    ballot: int = 0                    # in which `leader` leads; 0: nobody was ever heard to
    leader: str | None = None          # None with a ballot: it leads no more, and no other was heard of

    def merged(self, other: Group) -> Group:
        newest = max(self, other, key=lambda each: (each.epoch, each.members))
        last = max(self, other, key=lambda each: (each.ballot, each.leader is None, each.leader or ""))
        return Group(newest.epoch, newest.members, last.ballot, last.leader)


@dataclass(frozen=True, slots=True)
class Located:
    """The partition that owns a location, as far as this node knows."""

    low: bytes
    high: bytes | None    # None: to the end of the table
    range: Range
    group: Group          # Group() if nothing was heard of it


# What nodes say to one another. Entries are (key, value) of the tree; a place is (value, edges).


class Tell(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """These are known here."""

    entries: tuple[Entry, ...]


class LookUp(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Which partitions own these locations? (table, location)"""

    number: int
    wanted: tuple[tuple[bytes, bytes], ...]


class Found(msgspec.Struct, frozen=True, array_like=True, tag=3):
    number: int
    entries: tuple[Entry, ...]


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Of all that is known here."""

    digest: bytes


class AskPlaces(msgspec.Struct, frozen=True, array_like=True, tag=5):
    prefixes: tuple[bytes, ...]


class TellPlaces(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """(prefix, value, ((label, entries, digest), …))"""

    places: tuple[tuple[bytes, bytes | None, tuple[tuple[bytes, int, bytes], ...]], ...]


class AskEntries(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """What is at these keys, and below these prefixes?"""

    keys: tuple[bytes, ...]
    prefixes: tuple[bytes, ...]


Message = Tell | LookUp | Found | Digest | AskPlaces | TellPlaces | AskEntries

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode
_decode_range = msgspec.msgpack.Decoder(Range).decode
_decode_group = msgspec.msgpack.Decoder(Group).decode


@dataclass(slots=True)
class Effects:
    """What is to be done. The order does not matter: whatever is lost is made good by a later comparison."""

    send: list[tuple[str, bytes]] = field(default_factory=list)         # (node, payload)
    changed_groups: set[int] = field(default_factory=set)               # whoever has a route to them looks again
    changed_tables: set[bytes] = field(default_factory=set)             # their ranges
    answered: list[int] = field(default_factory=list)                   # look-ups that have their first answer
    unanswered: list[int] = field(default_factory=list)                 # look-ups that were given up

    def __bool__(self) -> bool:
        return bool(
            self.send or self.changed_groups or self.changed_tables or self.answered or self.unanswered
        )


class Memds:
    """What one node knows. See the top of the file."""

    def __init__(self, chance: Random) -> None:
        self.tree = Perkle()
        self._chance = chance
        self._peers: tuple[str, ...] = ()
        self._now = 0.0                              # of the last tick, seconds since 1970
        self._compared_at = 0.0
        self._gone: dict[bytes, float] = {}          # range keys of the tree that are gone -> since when
        self._wanted: set[tuple[bytes, bytes]] = set()    # (table, location) to be asked for when the turn ends
        self._asked: dict[int, float] = {}           # look-ups without an answer -> when they were sent
        self._last_number = 0
        self.ignored = 0                             # entries and messages that this version cannot read

    def set_peers(self, names: Iterable[str]) -> None:
        """All other nodes that can be reached now."""
        self._peers = tuple(sorted(names))

    # ---- what is known

    def find(self, table: bytes, location: bytes) -> Located | None:
        """The owner of a location (hash of the partition key, sort key); None if nothing is known of the table."""
        space = _ranges_of(table)
        entry = self.tree.floor(space + location)
        if entry is None or not entry[0].startswith(space):
            return None
        key, value = entry
        found = _decode_range(value)
        if found.gone_at:
            return None
        above = self.tree.ceiling(key + b"\0")
        high = above[0][len(space) :] if above is not None and above[0].startswith(space) else None
        return Located(key[len(space) :], high, found, self.group(found.group))

    def group(self, group: int) -> Group:
        value = self.tree.get(_group_key(group))
        return Group() if value is None else _decode_group(value)

    def ranges(self, table: bytes) -> Iterator[tuple[bytes, Range]]:
        """(low, range) of a table, in order; without those that are gone."""
        space = _ranges_of(table)
        for key, value in self.tree.prefix(space):
            found = _decode_range(value)
            if not found.gone_at:
                yield key[len(space) :], found

    # ---- what storage nodes, and whoever reads the catalog, say here

    def announce_group(self, group: int, news: Group) -> Effects:
        """A node that leads the group, or has led it, says so. Told to all other nodes if it is news."""
        return self._announce([(_group_key(group), encode(news))])

    def announce_ranges(self, table: bytes, ranges: Sequence[tuple[bytes, Range]]) -> Effects:
        """The map of a table: (low, range). Those that have been announced before may be among them."""
        space = _ranges_of(table)
        return self._announce([(space + low, encode(news)) for low, news in ranges])

    def announce_gone(self, table: bytes) -> Effects:
        """The table was deleted."""
        space = _ranges_of(table)
        assert self._now > 0, "the time is not known before the first tick"
        return self._announce(
            [
                (space + low, encode(msgspec.structs.replace(found, gone_at=self._now)))
                for low, found in self.ranges(table)
            ]
        )

    def _announce(self, entries: Iterable[Entry]) -> Effects:
        effects = Effects()
        news = [entry for entry in entries if self._merge(entry, effects)]
        for peer in self._peers:
            self._tell(peer, news, effects)
        return effects

    # ---- look-ups

    def refresh(self, table: bytes, low: bytes) -> None:
        """A route to the partition that begins here was used. HOT PATH: asked for at the end of the turn."""
        self._wanted.add((table, low))

    def end_turn(self) -> Effects:
        """Ask for all that `refresh` was called with since the last time: one look-up, to two nodes."""
        effects = Effects()
        if self._wanted:
            wanted, self._wanted = tuple(self._wanted), set()
            self._look_up(wanted, effects)
        return effects

    def look_up(self, table: bytes, location: bytes) -> tuple[int, Effects]:
        """Ask at once. The number is among `answered` or `unanswered` later; then `find` says what is known."""
        effects = Effects()
        self._look_up(((table, location),), effects)
        return self._last_number, effects

    def _look_up(self, wanted: tuple[tuple[bytes, bytes], ...], effects: Effects) -> None:
        self._last_number += 1
        if not self._peers:
            effects.unanswered.append(self._last_number)
            return
        self._asked[self._last_number] = self._now
        payload = encode(LookUp(self._last_number, wanted))
        for peer in self._chance.sample(self._peers, min(HEDGE, len(self._peers))):
            effects.send.append((peer, payload))

    # ---- time

    def tick(self, now: float) -> Effects:
        """Some times a second. `now`: seconds since 1970."""
        effects = Effects()
        self._now = now
        for number in [number for number, at in self._asked.items() if now - at >= LOOK_UP_SECONDS_MAX]:
            del self._asked[number]
            effects.unanswered.append(number)
        for key in [key for key, at in self._gone.items() if now - at > GONE_SECONDS_MAX]:
            del self._gone[key]
            self.tree = self.tree.remove(key)
        if self._peers and abs(now - self._compared_at) >= COMPARE_SECONDS:
            self._compared_at = now
            effects.send.append((self._chance.choice(self._peers), encode(Digest(self.tree.digest))))
        return effects

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
            case Found(number, entries):
                self._merge_all(entries, effects)
                if self._asked.pop(number, None) is not None:
                    effects.answered.append(number)
            case LookUp(number, wanted):
                effects.send.append((sender, encode(Found(number, tuple(self._entries_of(wanted))))))
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

    def _entries_of(self, wanted: Iterable[tuple[bytes, bytes]]) -> Iterator[Entry]:
        """What a look-up is answered with: for each location the range that owns it, and the range's group."""
        for table, location in wanted:
            entry = self.tree.floor(_ranges_of(table) + location)
            if entry is None or not entry[0].startswith(_ranges_of(table)):
                continue
            yield entry
            group_key = _group_key(_decode_range(entry[1]).group)
            value = self.tree.get(group_key)
            if value is not None:
                yield group_key, value

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
        for entry in entries:
            self._merge(entry, effects)

    def _merge(self, entry: Entry, effects: Effects) -> bool:
        """Whether it was news."""
        key, value = entry
        try:
            if key.startswith(_RANGE):
                return self._merge_range(key, _decode_range(value), effects)
            if key.startswith(_GROUP):
                return self._merge_group(key, _decode_group(value), effects)
        except msgspec.MsgspecError:
            pass
        self.ignored += 1    # of a newer version
        return False

    def _merge_range(self, key: bytes, news: Range, effects: Effects) -> bool:
        old = self.tree.get(key)
        if news.gone_at and old is None and self._now - news.gone_at > GONE_SECONDS_MAX:
            return False
        merged = news if old is None else _decode_range(old).merged(news)
        if not self._put(key, encode(merged)):
            return False
        if merged.gone_at:
            self._gone[key] = merged.gone_at
        effects.changed_tables.add(_table_of(key))
        return True

    def _merge_group(self, key: bytes, news: Group, effects: Effects) -> bool:
        old = self.tree.get(key)
        merged = news if old is None else _decode_group(old).merged(news)
        if not self._put(key, encode(merged)):
            return False
        (group,) = _group_number.unpack_from(key, len(_GROUP))
        effects.changed_groups.add(group)
        return True

    def _put(self, key: bytes, value: bytes) -> bool:
        tree = self.tree.insert(key, value)
        is_news = tree is not self.tree
        self.tree = tree
        return is_news


def _plain(place: Place) -> tuple[bytes | None, tuple[tuple[bytes, int, bytes], ...]]:
    return place.value, tuple((edge.label, edge.entries, edge.digest) for edge in place.edges)


def _ranges_of(table: bytes) -> bytes:
    """The prefix of a table's ranges. `table`: the id of a table or an index, up to 255 bytes."""
    return _RANGE + bytes([len(table)]) + table


def _table_of(key: bytes) -> bytes:
    return key[2 : 2 + key[1]]


def _group_key(group: int) -> bytes:
    return _GROUP + _group_number.pack(group)
