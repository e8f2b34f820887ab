"""Proposing, counting, and bringing the others up to date: what a member does while it leads, in one ballot.

It begins by taking over a log and adding an entry of its own (NOTHING). Once that entry is chosen, all before it is
too, and it *serves*: proposes values, answers reads, changes the configuration. Entries are sent as they come, without
waiting for those before (pipelining), up to a window for each member; what comes while a window is full goes in one
message when it opens (batching).

A slot is chosen when a majority of the voters, by the newest configuration of the log, have accepted it *in this
ballot*; the leader counts itself when its own disk has it, like any other. What was accepted in earlier ballots says
nothing here: it was sent again.

What a member needs depends on where it is:

    its log is the beginning of this one (level)        Accept, from where it ends
    it knows what is chosen up to c >= our base         Accept from c + 1, which it adopts; if far behind, Learn first
    c < base, and its log goes on beyond base           Accept from base + 1, which fits if it has that entry
    c < base                                            a snapshot; a log member: Begin, then as above

Reads. By lease: at once, at the chosen slot, if the lease holds, and still holds after the read was computed, since a
process may be stopped for a minute between two lines. Otherwise ([RT] 6.4): note the chosen slot, then have a majority
answer a Beat that was sent afterwards; whatever was acknowledged before the read began is chosen at or below that slot.
Reads that come during a round wait for the next one and share it.

Stepping down. A leader whose lease has ended does so by itself (check-quorum), and says it to whoever hears: it may
still be heard by some who would call it healthy. This and asking first (election.py) need each other: either alone
leaves a group without a leader in some partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from varley.paxos.acceptor import Acceptor
from varley.paxos.ballot import Ballot
from varley.paxos.effects import NotRead, Outbox, ReadAt
from varley.paxos.learner import Learner
from varley.paxos.lease import Lease, Timing
from varley.paxos.membership import LOG, Configuration, Member, follows
from varley.paxos.messages import (
    CONFIGURATION,
    NOTHING,
    VALUE,
    Accept,
    Accepted,
    AnyMessage,
    Beat,
    Begin,
    Behind,
    Entry,
    Granted,
    Learn,
)
from varley.paxos.quorum import is_quorum, reached_by, reached_by_quorum
from varley.paxos.records import Appended

_UNKNOWN = -1
_TRY_ENTRIES: Final = 64            # so much of a window is sent again, until something of it arrives,
_TRY_BYTES: Final = 64 * 1024       # and of its values


class Peer:
    """Another member, as far as the leader knows."""

    __slots__ = ("asked_at", "chosen", "is_level", "is_tried", "last", "offered", "progress_at", "sent")

    def __init__(self) -> None:
        self.chosen = _UNKNOWN      # what it knows to be chosen; of no use once it is level
        self.last = _UNKNOWN        # where its log ends; the same
        self.offered = _UNKNOWN     # the base behind which it was sent entries that it may have what precedes
        self.is_level = False
        self.sent = 0               # it was sent all up to here, as soon as it is level
        self.progress_at = 0        # when it last got on, or was sent something after it had everything
        self.is_tried = False       # it has not got on since something was sent again: little is under way
        self.asked_at: int | None = None    # when it was last sent something that should make it level


class Leader:
    __slots__ = (
        "_acceptor",
        "_beaten_at",
        "_learner",
        "_name",
        "_peers",
        "_quorum_until",
        "_reads",
        "_timing",
        "adopted_last",
        "ballot",
        "beat_at",
        "began_at",
        "first_own",
        "heard",
        "kept",
        "lease",
        "matched",
        "sequence",
        "successor",
        "successor_until",
    )  # fmt: skip

    def __init__(
        self, name: str, ballot: Ballot, acceptor: Acceptor, learner: Learner, timing: Timing, now: int, kept: int
    ) -> None:
        assert acceptor.level == ballot, "it leads what it has not adopted"
        self._name = name
        self._acceptor = acceptor
        self._learner = learner
        self._timing = timing
        self._peers: dict[str, Peer] = {}
        self._reads: list[tuple[int, int, int]] = []    # (Beat that must be answered, read, slot), ascending
        self.ballot = ballot
        self.began_at = now
        self._quorum_until = now + timing.lease_us      # as it was when the step began: `due` may be early, not late
        self.adopted_last = acceptor.log.last
        self.first_own = self.adopted_last + 1      # slot of the first entry of this ballot
        self.matched: dict[str, int] = {}           # member -> last slot that it has accepted in this ballot
        self.kept = kept                            # what its Beats say
        self.heard: dict[str, int] = {}             # member -> highest Beat that it has answered
        self.lease = Lease(name, timing)
        self.sequence = 0                           # of the last Beat
        self.beat_at = now
        self._beaten_at = now
        self.successor: str | None = None           # leadership is being handed over to it: nothing is proposed
        self.successor_until = 0

    # What there is

    @property
    def configuration(self) -> Configuration:
        return self._acceptor.log.configuration

    @property
    def is_serving(self) -> bool:
        return self._learner.chosen >= self.first_own

    @property
    def lease_until(self) -> int:
        return self.lease.until(self.configuration.voters)

    @property
    def held(self) -> int:
        """Up to here, more than half of the full members, and two at least, have the log."""
        full = self.configuration.full_voters
        return max(0, min(self._learner.chosen, reached_by(self.matched, full, max(2, len(full) // 2 + 1))))

    # Proposing

    def begin(self, peers_chosen: Mapping[str, int], now: int, out: Outbox) -> None:
        """`peers_chosen`: what members that promised know to be chosen."""
        for name, chosen in peers_chosen.items():
            if name != self._name:
                self._peers[name] = Peer()
                self._peers[name].chosen = chosen
        self._append([Entry(self.ballot, NOTHING, b"")], now, out)
        self.beat(now, out)

    def propose(self, values: Sequence[bytes], now: int, out: Outbox) -> int:
        """The slot of the first one."""
        assert self.is_serving and self.successor is None
        first = self._acceptor.log.last + 1
        self._append([Entry(self.ballot, VALUE, value) for value in values], now, out)
        return first

    def change(self, configuration: Configuration, now: int, out: Outbox) -> None:
        assert follows(configuration, self.configuration), "more than one voter at once"
        self._append([Entry(self.ballot, CONFIGURATION, configuration.encoded())], now, out)

    def why_no_change(self) -> str | None:
        """Why the configuration cannot be changed now; None: it can."""
        if not self.is_serving:
            # An entry of the own ballot first. Story, members A to D: 1. A adds E, in its own log only, and dies.
            # 2. B, elected by A's old peers, removes D, and dies. 3. A is back, leads with D and E, for whom B's
            # change does not exist: A and B count by configurations that differ in two. B's own first entry, chosen
            # before it may change anything, makes the log of A lose.
            return "no entry of this leader is chosen yet"
        if self._acceptor.log.configuration_slot > self._learner.chosen:
            return "the change before is not chosen yet"
        return None

    def is_caught_up(self, name: str) -> bool:
        matched = self.matched.get(name, _UNKNOWN)
        return matched >= 0 and self._acceptor.log.last - matched <= self._timing.window_entries

    def _append(self, entries: Sequence[Entry], now: int, out: Outbox) -> None:
        log = self._acceptor.log
        self._acceptor.write(Appended(log.last + 1, tuple(entries)), out)
        out.send.append((self._name, Accepted(self.ballot, log.last)))
        self.feed_all(now, out)

    # Counting

    def accepted(self, sender: str, last: int, now: int, out: Outbox) -> None:
        assert last <= self._acceptor.log.last, "accepted, and never proposed"
        if last > self.matched.get(sender, _UNKNOWN):
            self.matched[sender] = last
            if sender != self._name:
                peer = self._peer(sender)
                peer.progress_at, peer.is_tried = now, False
            before = self._learner.chosen
            self._count()
            if before < self._learner.chosen == self._acceptor.log.last:
                self._tell(now, out)
        if sender != self._name:
            peer = self._peer(sender)
            if not peer.is_level:
                peer.is_level, peer.sent, peer.progress_at = True, last, now
            self._feed(sender, peer, now, out)

    def _tell(self, now: int, out: Outbox) -> None:
        """All is chosen, and nothing follows that would tell the others: who reads there would see the past until the
        next beat. So that comes now, if the last was not just before."""
        tell_at = self._beaten_at + self._timing.tell_us
        if tell_at <= now:
            self.beat(now, out)
        else:
            self.beat_at = min(self.beat_at, tell_at)

    def _count(self) -> None:
        """Find out what is chosen: by the newest configuration, also for slots before it. Its majorities meet those of
        the one before, and voters of that one may have gone for good since."""
        self._learner.learn(reached_by_quorum(self.matched, self.configuration.voters))

    def granted(self, sender: str, granted: Granted, now: int, out: Outbox) -> None:
        self.lease.granted(sender, granted.sent_at)
        self.heard[sender] = max(granted.sequence, self.heard.get(sender, 0))
        self._release_reads(now, out)
        if sender != self._name:
            self._locate(sender, granted.level, granted.chosen, granted.last, now, out)

    def behind(self, sender: str, behind: Behind, now: int, out: Outbox) -> None:
        self._locate(sender, behind.level, behind.chosen, behind.last, now, out)

    def _locate(self, sender: str, level: Ballot, chosen: int, last: int, now: int, out: Outbox) -> None:
        if level == self.ballot:
            self.accepted(sender, last, now, out)
            return
        peer = self._peer(sender)
        if peer.is_level or chosen > peer.chosen:
            peer.asked_at = None    # it got on, or lost its place: no reason to wait
        peer.is_level, peer.chosen, peer.last = False, chosen, last
        self._feed(sender, peer, now, out)

    # Bringing others up to date

    def feed_all(self, now: int, out: Outbox) -> None:
        for member in self.configuration.members:
            if member.name != self._name:
                self._feed(member.name, self._peer(member.name), now, out)

    def _peer(self, name: str) -> Peer:
        return self._peers.setdefault(name, Peer())

    def _feed(self, name: str, peer: Peer, now: int, out: Outbox) -> None:
        log, timing = self._acceptor.log, self._timing
        if not peer.is_level or self.matched[name] < log.base:
            self._make_level(name, peer, now, out)
            return
        matched = self.matched[name]
        if matched == log.last:
            peer.sent = matched     # it has everything: the usual case in a group where nothing happens
            return
        window_entries, window_bytes = timing.window_entries, timing.window_bytes
        if peer.sent > matched and now - peer.progress_at >= timing.resend_us:
            peer.sent = matched     # something was lost; or it is slow, or dead: then a window would be for nothing
            peer.is_tried = True
        if peer.is_tried:
            window_entries, window_bytes = min(_TRY_ENTRIES, window_entries), min(_TRY_BYTES, window_bytes)
        peer.sent = max(peer.sent, matched)
        in_flight = log.bytes_between(matched, peer.sent)
        bytes_max = window_bytes - in_flight if in_flight else max(window_bytes, 1)
        entries = log.after(peer.sent, max(0, window_entries - (peer.sent - matched)), bytes_max)
        if entries:
            if peer.sent == matched:
                peer.progress_at = now
            out.send_at_once.append((name, self._accept(peer.sent + 1, entries)))
            peer.sent += len(entries)

    def _make_level(self, name: str, peer: Peer, now: int, out: Outbox) -> None:
        member = self.configuration.member(name)
        if member is None or (peer.asked_at is not None and now - peer.asked_at < self._timing.resend_us):
            return
        log = self._acceptor.log
        known = max(peer.chosen, self.matched.get(name, _UNKNOWN)) if peer.is_level else peer.chosen
        if known == _UNKNOWN:
            return      # its answer to a Beat will tell
        if known > log.last:
            return      # a higher ballot has chosen what this leader lacks: it does not lead for much longer
        peer.asked_at = now
        if known < log.base:
            if peer.last >= log.base > peer.offered:
                peer.offered = log.base     # started again, it may have more than it knows to be chosen
                out.send_at_once.append((name, self._catch_up(log.base)))
            elif member.kind == LOG:
                begin = Begin(self.ballot, log.base, log.base_origin, log.configuration_at(log.base))
                out.send_at_once.append((name, begin))
            else:
                out.snapshots.append(name)
            return
        out.send_at_once.append((name, self._catch_up(known)))

    def _catch_up(self, known: int) -> AnyMessage:
        log, chosen = self._acceptor.log, self._learner.chosen
        timing = self._timing
        if chosen - known > timing.chunk_entries or log.bytes_between(known, chosen) > timing.chunk_bytes:
            before = log.origin(known)
            assert before is not None
            entries = log.after(known, timing.chunk_entries, timing.chunk_bytes)
            return Learn(self.ballot, known + 1, before, entries, chosen)
        # What was taken over goes whole, or it is not accepted.
        whole = log.after(known, self.adopted_last - known) if self.adopted_last > known else ()
        entries = log.after(known, timing.window_entries, timing.window_bytes)
        return self._accept(known + 1, max(entries, whole, key=len))

    def _accept(self, first: int, entries: tuple[Entry, ...]) -> Accept:
        before = self._acceptor.log.origin(first - 1)
        assert before is not None
        return Accept(self.ballot, first, before, entries, self.adopted_last, self._learner.chosen, self.held)

    # Lease and reads

    def beat(self, now: int, out: Outbox) -> None:
        self.sequence += 1
        self._beaten_at = now
        self.beat_at = now + self._timing.beat_us
        left = max(0, self.lease_until - now)
        beat = Beat(self.ballot, self.sequence, now, left, self._learner.chosen, self.held, self.kept)
        for member in self.configuration.members:
            # The own one too, behind what the own disk has still to write: see lease.py.
            (out.send if member.name == self._name else out.send_at_once).append((member.name, beat))

    def beat_at_rest(self, now: int, lease_until: int) -> None:
        """It was sent; see rest.py."""
        self._quorum_until = lease_until
        together_us = self._timing.together_us
        self._beaten_at = now
        self.beat_at = (now + self._timing.rest_us) // together_us * together_us

    def is_at_rest(self, now: int) -> bool:
        """Whether a Beat says nothing but that it leads: see rest.py."""
        last = self._acceptor.log.last
        return (
            self.is_serving
            and self._learner.chosen == last == self.kept == self.held
            and self.successor is None
            and not self._reads
            and all(self._rests(member, last, now) for member in self.configuration.members)
        )

    def _rests(self, member: Member, last: int, now: int) -> bool:
        """Whether this member has everything and is what it is to be. Nor does one matter that is silent: when it
        speaks, it says where it is, in a step."""
        if member.name == self._name:
            return True
        sent_at = self.lease.sent_at(member.name)
        if now - max(self.began_at, sent_at or 0) > self._timing.lease_us:
            return True
        return self._peer(member.name).is_level and self.matched[member.name] == last and not member.joins

    @property
    def has_quorum_until(self) -> int:
        """Then it is to step down, if nothing comes before."""
        return max(self.lease_until, self.began_at + self._timing.lease_us)

    @property
    def due(self) -> int:
        return min(self.beat_at, self._quorum_until)

    def has_lost_quorum(self, now: int) -> bool:
        """Whether it has had the time to get a lease, and has none."""
        until = self._quorum_until = self.has_quorum_until
        return now >= until

    def read(self, read: int, by_lease: bool, now: int, out: Outbox) -> None:
        assert self.is_serving
        if by_lease and now < self.lease_until:
            out.reads.append(ReadAt(read, self._learner.chosen, self.ballot, is_leased=True))
            return
        is_round_under_way = bool(self._reads) and self._reads[0][0] <= self.sequence
        self._reads.append((self.sequence + 1, read, self._learner.chosen))
        if not is_round_under_way:
            self.beat(now, out)

    def _release_reads(self, now: int, out: Outbox) -> None:
        if not self._reads:
            return
        heard = reached_by_quorum(self.heard, self.configuration.voters)
        ready = [read for read in self._reads if read[0] <= heard]
        if ready:
            self._reads = self._reads[len(ready) :]
            out.reads.extend(ReadAt(read, slot, self.ballot, is_leased=False) for _, read, slot in ready)
            if self._reads and self._reads[0][0] > self.sequence:
                self.beat(now, out)

    def refuse_reads(self, out: Outbox) -> None:
        out.reads.extend(NotRead(read, None) for _, read, _ in self._reads)
        self._reads.clear()

    # Hand-over

    def may_hand_over(self) -> bool:
        """Whether the successor has everything, so that it begins where this leader ends."""
        return self.successor is not None and self.matched.get(self.successor) == self._acceptor.log.last

    def reaches_quorum(self, now: int) -> bool:
        voters = self.configuration.voters
        return now < self.lease_until and is_quorum(self.matched.keys(), voters)
