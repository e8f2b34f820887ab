"""Promises and accepts: what this member has bound itself to.

Its state is what its records say (records.py), and `write` is the only thing that changes it: the change in memory and
the change after a restart are one function, `replay`.

What is after the chosen slot counts as accepted in one ballot, the highest in which this member has accepted anything.
Entries are outcomes that were evaluated over the entries before them, so an entry is worth nothing without those:

    1. A leads in ballot 1; it and nobody else accepts 5=x and 6=y; y was computed from x.
    2. C leads in ballot 2 with B: 5=z, accepted by C. C dies.
    3. A leads in ballot 3 with B and C's word from before. By each slot's highest ballot it would propose 5=z, 6=y:
       but y was computed from x, which never happened.

So a new leader takes over the *whole* log of whoever has the highest (accepted ballot, last slot), and nothing else
(election.py); and a member that accepts in a ballot for the first time takes that log over whole, in one record.
After that, slot n + 1 is accepted only behind slot n. Hence what is chosen is a prefix, without holes, and whoever has
accepted a slot in ballot b has all before it as the leader of b had it.

*Level* with the leader of ballot b is a member whose log is the beginning of that leader's. Accepting makes it so, and
what it learns from others may end it. Story: 1. P has accepted up to 60 in ballot 1. 2. It hears nothing, asks around,
and fetches up to 100 from Q; slots from 58 on were chosen in ballot 2. 3. The leader of ballot 1, cut off until now,
sends slot 61. If P answered "accepted up to 100, in ballot 1", that leader would count its own 61, which nobody else
has. So P is level with nobody until it has adopted again, and what it adopts must meet its log in the last chosen slot:
same slot and same origin, same log up to there. Nothing is lost by that: after learning, all that P has is chosen.

What it learnt so is the one thing chosen that must not be forgotten. Story: 1. P has accepted 1 and 2 in ballot 3, and
learns 3 from Q; it is level with nobody. 2. It restarts, and knows of nothing that is chosen. 3. A late Accept of
ballot 3 brings slot 1; it fits, is adopted, and drops 2, which P had accepted in that very ballot, and on the strength
of which a log member has dropped it. `learnt` refuses that. (Found by model checking: spec/ReplicaGroup.tla.)

Source: [VR] (a view's log is taken whole), [PMS] for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from varley.paxos.ballot import NO_BALLOT, Ballot
from varley.paxos.effects import Outbox
from varley.paxos.log import Log
from varley.paxos.membership import Configuration
from varley.paxos.messages import Accept, Entry
from varley.paxos.records import Adopted, Appended, Based, Learnt, Promised, Record


class Acceptor:
    __slots__ = ("accepted_ballot", "is_level", "learnt", "log", "promised")

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.promised: Ballot = NO_BALLOT           # accepted_ballot <= promised
        self.accepted_ballot: Ballot = NO_BALLOT    # of everything in the log that is not known to be chosen
        self.is_level = False                       # with the leader of accepted_ballot: see above
        self.learnt = 0                             # up to here it was written down that the log is chosen; <= log.last
        self.log = Log()
        for record in records:
            self.replay(record)

    def replay(self, record: Record) -> None:
        match record:
            case Promised(ballot):
                assert ballot > self.promised, "a promise was taken back"
                self.promised = ballot
            case Adopted(ballot, after, entries):
                assert ballot > self.accepted_ballot or (ballot == self.accepted_ballot and not self.is_level)
                self.promised = max(ballot, self.promised)
                self.accepted_ballot, self.is_level = ballot, True
                self.log.cut(after)
                self.log.append(entries)
            case Appended(first, entries):
                assert self.is_level, "appended to what its leader does not have"
                assert first == self.log.last + 1, "a hole in the log"
                self.log.append(entries)
            case Learnt(first, entries):
                self.learnt = max(self.learnt, first - 1 + len(entries))
                self._replay_learnt(first, entries)
            case Based(slot, origin, configuration):
                self.is_level &= self.log.origin(slot) == origin
                self.log.rebase(slot, origin, configuration)

    @property
    def level(self) -> Ballot:
        """The ballot whose leader this member is level with; NO_BALLOT: with nobody."""
        return self.accepted_ballot if self.is_level else NO_BALLOT

    def _replay_learnt(self, first: int, entries: Sequence[Entry]) -> None:
        for slot, entry in enumerate(entries, first):
            if self.log.origin(slot) != entry.origin:
                # Nothing behind an entry that was not chosen can have been chosen.
                self.log.cut(slot - 1)
                self.log.append(entries[slot - first :])
                self.is_level = False
                return

    def write(self, record: Record, out: Outbox) -> None:
        self.replay(record)
        out.persist.append(record)

    def promise(self, ballot: Ballot, out: Outbox) -> None:
        """Nothing below `ballot` any more. The caller has seen to leases."""
        assert ballot >= self.promised
        if ballot > self.promised:
            self.write(Promised(ballot), out)

    def accept(self, accept: Accept, chosen: int, out: Outbox) -> bool:
        """Accept what the leader of a ballot sends; `chosen`: what this member knows. False: it does not fit."""
        assert accept.ballot >= self.promised
        first, entries, last = accept.first, accept.entries, accept.first - 1 + len(accept.entries)
        if accept.ballot == self.level:
            if first > self.log.last + 1:
                return False
            new = entries[self.log.last + 1 - first :]
            if new:
                self.write(Appended(self.log.last + 1, new), out)
            return True
        # Whole, or not at all: what is adopted begins where chosen ends, and reaches to where the leader began.
        if not first - 1 <= chosen <= last or last < accept.adopted_last:
            return False
        if self.log.origin(chosen) != (accept.before if chosen == first - 1 else entries[chosen - first].origin):
            return False    # it lacks what was chosen: a leader of the past
        self.adopt(accept.ballot, first, entries, chosen, out)
        return True

    def adopt(self, ballot: Ballot, first: int, entries: Sequence[Entry], chosen: int, out: Outbox) -> None:
        assert first <= chosen + 1 <= first + len(entries), "what is chosen is part of what is adopted"
        self.write(Adopted(ballot, chosen, tuple(entries[chosen + 1 - first :])), out)

    def learn(self, first: int, entries: Sequence[Entry], out: Outbox) -> None:
        """These are chosen, and join what this member has. Writes nothing if it has them all."""
        assert self.log.base < first <= self.log.last + 1
        if any(self.log.origin(slot) != entry.origin for slot, entry in enumerate(entries, first)):
            self.write(Learnt(first, tuple(entries)), out)

    def note_chosen(self, slot: int, out: Outbox) -> None:
        """All up to `slot` is chosen, and is here already."""
        assert self.learnt < slot <= self.log.last
        self.write(Learnt(slot + 1, ()), out)

    def rebase(self, slot: int, origin: int, configuration: Configuration, out: Outbox) -> None:
        self.write(Based(slot, origin, configuration), out)
