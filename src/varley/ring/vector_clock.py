"""A vector clock: of which writes of a key somebody knows.

A write is an *event*: the counter that one actor gave it. An actor numbers what it stamps 1, 2, 3, … so "all up to 3 of
Sx, and the first of Sy" is written [(Sx,3),(Sy,1)], and one clock descends from another when it knows at least as much
of every actor. Every entry carries the time of the actor's last event too, for one purpose: when there are more than
ENTRIES_MAX, the oldest go (section 4.4 of the paper), so that a clock stays small when many coordinators take turns.

What truncation costs: a version whose author had seen X no longer says so, and X may come back beside it as a sibling.
It never costs a write, because an event that was dropped is never numbered again: see below.

An *actor* is not simply a node. Counters only tell the truth if the one who counts remembers what it counted, and a
node forgets: it hands on what it held for another and deletes it, it leaves and comes back, its memory dies with it.
Story, if the node's name were the actor:

    1. D, standing in for A, holds a version (D,1). A comes back; D hands it over and deletes it.
    2. D coordinates another put, knows nothing of the key, and stamps (D,1) again.
    3. A takes it for the event that it knows, and throws the new value away: an acknowledged write is lost.

Numbering by time would not help: a reader of (D,20) claims to have seen (D,10), which somebody else may hold as a
sibling. Nor is it enough that D's own entry is in front of it, for an old copy may have brought that back. So an actor
belongs to one *place* that versions are stamped into (a node's own rows, `D`, or its hints for A, `D/A`), and to the
time for which nothing was deleted there: `D/A~5f3c…`. What came before goes on under another name. Riak has come to
the same, "actor epochs", after years of node names.

Source: DeCandia et al., "Dynamo", SOSP 2007, sections 4.4 and figure 3. Lamport, "Time, clocks", 1978.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

ENTRIES_MAX: Final = 10     # section 4.4: "say 10"
SEEN_ENTRIES_MAX: Final = ENTRIES_MAX - 1       # one place is for the event of the version itself
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


def place_of(node: str, hint_for: str | None) -> str:
    """Where a node stamps: its own rows, or what it holds for another. Names of nodes have neither / nor ~."""
    return node if hint_for is None else f"{node}/{hint_for}"


def actor_of(
    place: str, held: Sequence[VectorClock], context: VectorClock, now_us: int, remembers_since_us: int = 0
) -> str:
    """Under which name the next version is stamped, at a place that holds versions with these clocks.

    The one used last, if all that it stamped is remembered. It is not where the actor is older than
    `remembers_since_us` (the latest deletion of this key at any of the node's places, and the start of the process if
    it may not know what somebody has seen: after a crash, or with an empty folder); where the actor is of the future
    (it was begun by a clock that was set back since, together with a memory that was lost); where the client has seen
    more of the actor than is held; and where a clock that may have been truncated lacks it.

    `now_us` is greater each time, for the same node, so that a name is new when it is made: what was stamped under an
    older one may be held by nobody here (last write wins drops it). A node's own clock must not go back over what it
    forgets.
    """
    known = VectorClock().merge(*held)
    mine = [entry for entry in known if entry.actor.partition(_EPOCH_MARK)[0] == place]
    own = [entry for entry in mine if remembers_since_us <= _epoch_us(entry.actor) <= now_us]
    if own:
        last = max(own, key=lambda entry: _epoch_us(entry.actor))
        # If a later event than `last` was truncated away, whatever descends from it has SEEN_ENTRIES_MAX newer entries,
        # and lacks the actor altogether: `last` is older than what was dropped, so it was dropped too, or is again.
        is_dropped = any(len(clock) >= SEEN_ENTRIES_MAX and last.actor not in clock.counters for clock in held)
        if not is_dropped and not context.knows(last.actor, last.counter + 1):
            return last.actor
    return f"{place}{_EPOCH_MARK}{max([now_us, *(_epoch_us(entry.actor) + 1 for entry in mine)]):x}"


def is_actor(text: str) -> bool:
    """Whether it may be the name of one: its epoch, if it has one, is a number."""
    _, mark, epoch = text.partition(_EPOCH_MARK)
    return not mark or (0 < len(epoch) <= 16 and set(epoch) <= set("0123456789abcdef"))


def _epoch_us(actor: str) -> int:
    return int(actor.partition(_EPOCH_MARK)[2] or "0", 16)
