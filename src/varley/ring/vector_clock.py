"""A vector clock: of which writes of a key somebody knows.

A write is an *event*: the counter that one actor gave it. An actor numbers what it stamps 1, 2, 3, … so "all up to 3 of
Sx, and the first of Sy" is written [(Sx,3),(Sy,1)], and one clock descends from another when it knows at least as much
of every actor. Every entry carries the time of the actor's last event too, for one purpose: when there are more than
ENTRIES_MAX, the oldest go (section 4.4 of the paper), so that a clock stays small when many coordinators take turns.

What truncation costs: a version whose author had seen X no longer says so, and X may come back beside it as a sibling.
It never costs a write, because an event that was dropped is never numbered again: see `actor` below.

An *actor* is not simply a node. Counters only tell the truth if the one who counts remembers what it counted, and a
node forgets: it hands on what it held for another and deletes it, it leaves and comes back, its memory buffer dies
with it. Story, if the node's name were the actor:  1. D holds a version (D,1) for A, who is down; A comes back; D
hands it over and deletes it.  2. D coordinates another put, knows nothing of the key, and stamps (D,1) again.  3. A
sees an event that it knows, and throws the new value away: an acknowledged write is lost. (Numbering by time does not
help: (D,20) claims to have seen (D,10), which somebody else holds as a sibling.) So a node goes on counting only
where its own last entry is in front of it, and begins as a new actor otherwise, named for itself and the time:
`a~5f3…`. Riak came to the same ("actor epochs", 2015) after years of node names.

Source: DeCandia et al., "Dynamo", SOSP 2007, sections 4.4 and figure 3. Lamport, "Time, clocks", 1978.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

ENTRIES_MAX: Final = 10     # section 4.4: "say 10"
_EPOCH_MARK: Final = "~"


class Entry(NamedTuple):
    """Events of one actor, up to and with `counter`; the last of them happened at `time_us`."""

    actor: str
    counter: int
    time_us: int


@dataclass(frozen=True)
class VectorClock:
    """Immutable. Equality looks at counters only: times say nothing about what is known."""

    entries: tuple[Entry, ...] = ()     # ascending by actor, each once, counter >= 1

    def __post_init__(self) -> None:
        actors = [entry.actor for entry in self.entries]
        assert actors == sorted(set(actors)), "entries are sorted, and an actor has one"
        assert all(entry.counter >= 1 for entry in self.entries)

    @cached_property
    def counters(self) -> Mapping[str, int]:
        return {entry.actor: entry.counter for entry in self.entries}

    def __eq__(self, other: object) -> bool:
        return self.counters == other.counters if isinstance(other, VectorClock) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self.counters.items()))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def knows(self, actor: str, counter: int) -> bool:
        """Whether this event happened before, or is, what the clock stands for."""
        return self.counters.get(actor, 0) >= counter

    def descends(self, other: VectorClock) -> bool:
        """Every counter of the other is at most ours: it is an ancestor, and can be forgotten. Reflexive."""
        return all(self.knows(entry.actor, entry.counter) for entry in other)

    def is_concurrent(self, other: VectorClock) -> bool:
        """Neither descends from the other: only the client can say what becomes of the two."""
        return not self.descends(other) and not other.descends(self)

    def merge(self, *others: VectorClock) -> VectorClock:
        """The least clock that descends from all of them."""
        newest: dict[str, Entry] = {}
        for clock in (self, *others):
            for entry in clock:
                known = newest.get(entry.actor)
                if known is None or known[1:] < entry[1:]:
                    newest[entry.actor] = entry
        return of_entries(newest.values())

    def with_event(self, event: Entry) -> VectorClock:
        return self.merge(VectorClock((event,)))

    def increment(self, actor: str, time_us: int) -> VectorClock:
        return self.with_event(Entry(actor, self.counters.get(actor, 0) + 1, time_us))

    def truncate(self, entries_max: int = ENTRIES_MAX) -> VectorClock:
        """Without the entries that are oldest by time, if there are too many."""
        if len(self) <= entries_max:
            return self
        newest = sorted(self.entries, key=lambda entry: (entry.time_us, entry.actor), reverse=True)
        return of_entries(newest[:entries_max])

    @property
    def time_us(self) -> int:
        """Of the newest event; 0 if there is none."""
        return max((entry.time_us for entry in self), default=0)

    def __str__(self) -> str:
        """As the paper writes it: [(Sx,2),(Sy,1)]."""
        return "[" + ",".join(f"({entry.actor},{entry.counter})" for entry in self) + "]"


def of_entries(entries: Iterable[Entry]) -> VectorClock:
    return VectorClock(tuple(sorted(entries)))


def actor_of(
    node: str, held: Sequence[VectorClock], context: VectorClock, now_us: int, remembers_since_us: int = 0
) -> str:
    """Under which name `node` stamps the next version of a key of which it holds versions with these clocks.

    The one it used last, if that actor's last event is in front of it. It is not where the client has seen more of
    the actor than we hold (our store has forgotten something); where a clock that may have been truncated lacks it;
    or where it began before `remembers_since_us`, the start of a process whose memory was lost since (0: all that was
    acknowledged was synced).
    """
    known = VectorClock().merge(*held)
    own = [entry for entry in known if node_of(entry.actor) == node and _epoch_us(entry.actor) >= remembers_since_us]
    if own:
        last = max(own, key=lambda entry: _epoch_us(entry.actor))
        is_dropped = any(len(clock) >= ENTRIES_MAX and last.actor not in clock.counters for clock in held)
        if not is_dropped and not context.knows(last.actor, last.counter + 1):
            return last.actor
    return f"{node}{_EPOCH_MARK}{max(now_us, known.time_us + 1, context.time_us + 1):x}"


def node_of(actor: str) -> str:
    return actor.partition(_EPOCH_MARK)[0]


def _epoch_us(actor: str) -> int:
    return int(actor.partition(_EPOCH_MARK)[2] or "0", 16)
