"""One member of a group: an event and the time go in, effects come out. The order among effects: effects.py.

                        hears nothing for a while              a majority knows no healthy leader
             FOLLOWS ------------------------------> ASKS ------------------------------------> STANDS
                ^  ^                                  |                                          |  |
                |  +---- somebody knows one ----------+    not enough, or too slow               |  |
                |  +-----------------------------------------------------------------------------+  |
                |                                                                                   | majority of
                +------------- a higher ballot; no lease; handed over ------- LEADS <---------------+ promises

Members without a vote, log members, and members that have just been made and know of no configuration, only follow.

This file says who does what when something happens; how it is done is in the files of the roles. Nothing here waits,
draws on a clock, or forgets: what must survive is in `persist`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, assert_never

from varley.paxos.acceptor import Acceptor
from varley.paxos.ballot import NO_BALLOT, Ballot, next_ballot, number_of
from varley.paxos.effects import Dropped, Effects, NotProposed, NotRead, Outbox, Proposed, Serving
from varley.paxos.election import Asking, Candidate
from varley.paxos.events import (
    AddLearner,
    Change,
    Event,
    HandOver,
    Promote,
    Propose,
    Read,
    Received,
    Reconfigure,
    Remove,
    Replace,
    SnapshotInstalled,
    Tick,
    Trim,
)
from varley.paxos.leader import Leader
from varley.paxos.learner import Learner
from varley.paxos.lease import Grant, Timing
from varley.paxos.log import Log
from varley.paxos.membership import FULL, Configuration, Member
from varley.paxos.messages import (
    Accept,
    Accepted,
    Answer,
    AnyMessage,
    Ask,
    Beat,
    Begin,
    Behind,
    Entry,
    Fetch,
    Granted,
    Learn,
    Prepare,
    Promise,
    Reborn,
    Refused,
    Resigned,
    Yield,
)
from varley.paxos.records import Based, Promised, Record

FIRST_SLOT: Final = 1   # of every group; held by the first configuration, which nobody proposed


class Chance(Protocol):
    """random.Random, seeded by whoever makes the member."""

    def random(self) -> float: ...


def first_records(configuration: Configuration) -> list[Record]:
    """What a member of a new group has written down before it starts, all first members the same: their configuration
    at slot 1, whose state is empty. What members come later begins at slot 0 (`Replica` with no records), which is
    before that: so nobody can be brought up to date without being told the configuration.
    """
    return [Based(FIRST_SLOT, NO_BALLOT, configuration)]


class Replica:
    def __init__(
        self,
        member: Member,
        records: Iterable[Record],
        *,
        applied: int,
        chance: Chance,
        now: int,
        timing: Timing | None = None,
        is_first_life: bool = False,
        lost: str | None = None,
        known: Sequence[str] = (),
    ) -> None:
        """`member`: name, number and kind of this one; whether it votes is in its log.

        `records`: all that was written, in order. `applied`: the slot up to which the state is durable.
        `is_first_life`: it was never started before, so it cannot have granted anything.
        `lost`: the name it had before its log was lost (membership.py); `known`: whom to tell.
        """
        self.name, self.number, self.kind = member.name, member.number, member.kind
        self.timing = timing or Timing()
        self._member = member
        self._chance = chance
        self._acceptor = Acceptor(records)
        applied = applied if member.kind == FULL else self.log.base
        self._learner = Learner(self.log, member.kind, applied, self._acceptor.learnt)
        self._grant = Grant(self._silent_until(now, is_first_life))
        self._lost, self._known = lost, tuple(known)
        self._asking: Asking | None = None
        self._candidate: Candidate | None = None
        self._leader: Leader | None = None      # at most one of these three
        self._seen = self._acceptor.promised    # the highest ballot heard of; never below the promise
        self._asked = 0                         # number of the last question
        self._resigned = NO_BALLOT              # whose leader has said that it leads no more
        self._is_serving = False                # Serving was told, and Dropped was not
        self._held = 0                          # of log members: what the leader says others hold
        self.kept: int | None = None            # as the leader says, or `keep_after` here; None: it was not heard yet
        self._is_at_rest = False                # nothing has happened since it was seen to be: rest.py
        self._now = now
        self._election_at = self._first_election(now, is_first_life)
        self._reborn_at = now                   # when to tell of it (again)

    def _first_election(self, now: int, is_first_life: bool) -> int:
        """The founders of a new group need not wait for a leader that they may not have heard: they stand one after the
        other, so that one wins who is not disturbed by the next. It takes a moment until all have begun."""
        founders = sorted(each.number for each in self.configuration.members if each.may_lead)
        if not is_first_life or self.number not in founders:
            return self._drawn(now, self.timing.election_us)
        return now + self.timing.founding_us + founders.index(self.number) * self.timing.answer_us // 2

    def _silent_until(self, now: int, is_first_life: bool) -> int:
        # A sole voter has granted to itself only, and that life is over. (No leader removes itself, so nobody else
        # can have made it the sole voter and still lead.)
        is_sole = self.log.configuration.voters == {self.name}
        return now if is_first_life or is_sole else now + self.timing.lease_us

    # What can be seen

    @property
    def log(self) -> Log:
        return self._acceptor.log

    @property
    def acceptor(self) -> Acceptor:
        """To look at, never to change: what this member has bound itself to."""
        return self._acceptor

    @property
    def chosen(self) -> int:
        return self._learner.chosen

    @property
    def promised(self) -> Ballot:
        return self._acceptor.promised

    @property
    def configuration(self) -> Configuration:
        """The newest that this member has, chosen or not."""
        return self.log.configuration

    @property
    def serving_ballot(self) -> Ballot:
        """The ballot to propose in; NO_BALLOT if this member does not serve."""
        leader = self._leader
        return leader.ballot if leader is not None and leader.is_serving else NO_BALLOT

    @property
    def is_elected(self) -> bool:
        """Whether it leads, also if it does not serve yet."""
        return self._leader is not None

    @property
    def is_handing_over(self) -> bool:
        """Whether it leads, and proposes nothing any more, because another member is to lead."""
        return self._leader is not None and self._leader.successor is not None

    @property
    def leader_name(self) -> str | None:
        """Who leads, as far as this member knows."""
        return self.configuration.name_of(number_of(self._acceptor.promised))

    @property
    def lease_until(self) -> int:
        """When the lease of this member, which leads, ends; 0 if it does not lead, or has none."""
        return 0 if self._leader is None else self._leader.lease_until

    @property
    def matched(self) -> dict[str, int]:
        """Of each member that this one, which leads, has heard of: the last slot that it has as this one has it."""
        return {} if self._leader is None else dict(self._leader.matched)

    def may_answer(self, ballot: Ballot, now: int) -> bool:
        """Whether a read that was computed before `now`, under the leadership of `ballot`, may be answered by lease."""
        leader = self._leader
        return leader is not None and leader.ballot == ballot and leader.is_serving and now < leader.lease_until

    def is_leader_healthy(self, now: int) -> bool:
        """Whether this member leads with a lease, or its leader has shown it one that still runs."""
        if self._leader is not None:
            return now < self._leader.lease_until
        return self._grant.is_leader_healthy(now)

    def keep_after(self, slot: int) -> None:
        """This member leads: let all who may lead later keep the entries after `slot` (or KEPT_BY_NOBODY)."""
        assert self._leader is not None
        self._leader.kept = self.kept = slot
        self._is_at_rest = False

    # At rest: see rest.py. Only if nothing waits for the disk

    def beat_at_rest(self, now: int) -> int | None:
        """If a Beat is due, and all that this leader has to say: what is left of its lease. The Beat is to be sent to
        all others in short. None: `step`."""
        leader = self._leader
        if leader is None or now < max(self._now, leader.beat_at):
            return None
        if not (self._is_at_rest or (self._is_serving and self._lost is None and leader.is_at_rest(now))):
            return None
        lease_until = leader.lease_until
        lease_left = lease_until - now
        if lease_left <= 0:
            return None
        self._is_at_rest = True
        self._now = now
        self._grant.renew(self.name, leader.ballot, now, self.timing.lease_us, lease_left)
        leader.lease.granted(self.name, now)
        leader.beat_at_rest(now, lease_until)
        return lease_left

    def grant_at_rest(self, sender: str, ballot: Ballot, slot: int, lease_left: int, now: int) -> bool:
        """Whether this Beat of a leader at rest is granted, which may be answered in short. False: `step`."""
        acceptor = self._acceptor
        if ballot != acceptor.promised or slot != acceptor.log.last or now < self._now:
            return False
        if not (self._is_at_rest or self._follows_at_rest(ballot, slot)):
            return False
        self._is_at_rest = True
        self._now = now
        self._grant.renew(sender, ballot, now, self.timing.lease_us, lease_left)
        self._election_at = self._drawn(now, self.timing.election_us)
        return True

    def _follows_at_rest(self, ballot: Ballot, slot: int) -> bool:
        return (
            self._leader is None
            and self._candidate is None
            and self._asking is None
            and self._lost is None
            and self._acceptor.level == ballot
            and self._learner.chosen == self._learner.applied == self._held == self.kept == slot
        )

    def granted_at_rest(self, sender: str, ballot: Ballot, sent_at: int) -> bool:
        """Whether this answer in short is counted. False: `step`."""
        leader = self._leader
        if not self._is_at_rest or leader is None or leader.ballot != ballot:
            return False
        leader.lease.granted(sender, sent_at)
        return True

    @property
    def due(self) -> int:
        """As `Effects.timers`."""
        return self._due()

    # A step

    def step(self, event: Event, now: int) -> Effects:
        """`now`: microseconds of this member's monotonic clock, never less than in the step before."""
        assert now >= self._now, "time went back"
        self._now = now
        self._is_at_rest = False
        out = Outbox()
        if self._leader is not None and self._leader.has_lost_quorum(now):
            self._resign(now, out)      # first: a leader that was stopped must not propose before it knows
        match event:
            case Received(sender, message):
                self._receive(sender, message, now, out)
            case Tick():
                pass
            case Propose(ballot, values):
                self._propose(ballot, values, now, out)
            case Read(read, by_lease):
                self._read(read, by_lease, now, out)
            case HandOver(to):
                out.refusal = self._hand_over(to, now)
            case Reconfigure(change):
                out.refusal = self._reconfigure(change, now, out)
            case SnapshotInstalled(slot, origin, configuration):
                self._install(slot, origin, configuration, out)
            case Trim(slot, archived):
                self._trim(slot, archived, out)
            case _:
                assert_never(event)
        self._on_time(now, out)
        self._lead_on(now, out)
        if self._learner.applied < self._learner.chosen:
            self._note_what_is_chosen(out)
            self._learner.hand_out(out)
        return out.sealed(self._due())

    def _on_time(self, now: int, out: Outbox) -> None:
        """Whatever is due by now."""
        if self._leader is not None:
            if now >= self._leader.beat_at:
                self._leader.beat(now, out)
                self._leader.feed_all(now, out)
        elif self._is_too_late(self._candidate, now) or self._is_too_late(self._asking, now):
            self._retry(now)
        if self._leader is None and now >= self._election_at:
            self._ask(now, out)
        if self._lost is not None and now >= self._reborn_at:
            self._tell_rebirth(self._lost, now, out)

    @staticmethod
    def _is_too_late(role: Candidate | Asking | None, now: int) -> bool:
        return role is not None and now >= role.until

    def _due(self) -> int:
        due = self._election_at
        if self._leader is not None:
            due = self._leader.due
        elif self._candidate is not None:
            due = self._candidate.until
        elif self._asking is not None:
            due = self._asking.until
        return due if self._lost is None else min(due, self._reborn_at)

    def _lead_on(self, now: int, out: Outbox) -> None:
        """What may have become possible for the leader in this step."""
        leader = self._leader
        if leader is None:
            return
        if leader.is_serving and not self._is_serving:
            self._is_serving = True
            out.serving = Serving(leader.ballot)
        if leader.successor is not None:
            if leader.may_hand_over():
                # The lease first, then the word that it is given up: the successor serves as soon as it has that.
                leader.lease.is_given_up = True
                out.send_at_once.append((leader.successor, Yield(leader.ballot)))
                self._step_down(now, out)
            elif now >= leader.successor_until:
                leader.successor = None

    # Messages

    def _receive(self, sender: str, message: AnyMessage, now: int, out: Outbox) -> None:
        match message:
            # The frequent ones first: they are tried one after the other.
            case Beat():
                self._grant_lease(sender, message, now, out)
            case Granted(ballot):
                if (leader := self._leads(ballot, sender)) is not None:
                    leader.granted(sender, message, now, out)
                    self._promote_if_it_joins(sender, now, out)
            case Accept():
                self._accept(sender, message, now, out)
            case Accepted(ballot, last):
                if (leader := self._leads(ballot, sender)) is not None:
                    leader.accepted(sender, last, now, out)
            case Ask(number):
                out.send_at_once.append((sender, self._answer(number, now)))
            case Answer():
                self._take_answer(sender, message, now, out)
            case Prepare():
                self._promise(sender, message, now, out)
            case Promise():
                self._take_promise(sender, message, now, out)
            case Refused(ballot, promised, _):
                self._take_refusal(sender, ballot, promised, now, out)
            case Behind(ballot):
                if (leader := self._leads(ballot, sender)) is not None:
                    leader.behind(sender, message, now, out)
            case Fetch(chosen):
                self._serve_fetch(sender, chosen, out)
            case Learn():
                self._learn(sender, message, now, out)
            case Begin():
                self._begin(sender, message, out)
            case Yield(ballot):
                if ballot == self._acceptor.promised and self._may_stand():
                    self._stand(ballot, now, out)
            case Resigned(ballot):
                self._is_free(ballot, now)
            case Reborn(lost, member):
                self._replace_lost(lost, member, now, out)
            case _:
                assert_never(message)

    def _leads(self, ballot: Ballot, sender: str) -> Leader | None:
        """The leader that a member's answer is for, if this member is that, and has not removed the other."""
        leader = self._leader
        if leader is None or leader.ballot != ballot or self.configuration.member(sender) is None:
            return None
        return leader

    # Following

    def _promise(self, sender: str, prepare: Prepare, now: int, out: Outbox) -> None:
        if prepare.ballot < self._acceptor.promised:
            out.send.append((sender, Refused(prepare.ballot, self._acceptor.promised, False)))
            return
        if self._grant.binds_against(sender, prepare.yielded, now):
            out.send.append((sender, Refused(prepare.ballot, self._acceptor.promised, True)))
            return
        log = self._acceptor.log
        if log.base <= prepare.chosen < self.chosen and (
            log.bytes_between(prepare.chosen, self.chosen) > self.timing.chunk_bytes
        ):
            # A promise would have to carry all of it: first come nearer. (_stand_if_enough counts entries only.)
            self._serve_fetch(sender, prepare.chosen, out)
            return
        self._acceptor.promise(prepare.ballot, out)
        self._follow(prepare.ballot, now, out)
        promise = Promise(
            prepare.ballot, self._acceptor.accepted_ballot, self._learner.chosen, log.base, log.base_origin, log.last,
            log.after(max(prepare.chosen, log.base)) if prepare.chosen < log.last else (),
        )  # fmt: skip
        out.send.append((sender, promise))

    def _accept(self, sender: str, accept: Accept, now: int, out: Outbox) -> None:
        if accept.ballot < self._acceptor.promised:
            out.send.append((sender, Refused(accept.ballot, self._acceptor.promised, False)))
            return
        self._follow(accept.ballot, now, out)
        if accept.first - 1 <= accept.chosen:
            self._learn_by_name(accept.first - 1, accept.before)
        if self._acceptor.accept(accept, self._learner.chosen, out):
            self._learn_from_leader(accept.chosen, accept.held)
            out.send.append((sender, Accepted(accept.ballot, self.log.last)))
        else:
            out.send.append((sender, self._behind(accept.ballot)))

    def _grant_lease(self, sender: str, beat: Beat, now: int, out: Outbox) -> None:
        if beat.ballot < self._acceptor.promised:
            out.send.append((sender, Refused(beat.ballot, self._acceptor.promised, False)))
            return
        self._acceptor.promise(beat.ballot, out)
        self._follow(beat.ballot, now, out)
        self.kept = beat.kept
        self._grant.renew(sender, beat.ballot, now, self.timing.lease_us, beat.lease_left)
        if self._acceptor.level == beat.ballot:
            self._learn_from_leader(beat.chosen, beat.held)
        level, chosen, last = self._acceptor.level, self._learner.chosen, self.log.last
        out.send.append((sender, Granted(beat.ballot, beat.sequence, beat.sent_at, level, chosen, last)))

    def _follow(self, ballot: Ballot, now: int, out: Outbox) -> None:
        """Somebody leads, or is about to, in `ballot`, which is not below the promise."""
        self._seen = max(ballot, self._seen)
        if self._leader is not None and self._leader.ballot < ballot:
            self._step_down(now, out)
        if self._candidate is not None and self._candidate.ballot < ballot:
            self._candidate = None
        if number_of(ballot) != self.number:
            self._asking = None
            self._election_at = self._drawn(now, self.timing.election_us)

    def _learn_from_leader(self, chosen: int, held: int) -> None:
        assert self._acceptor.is_level, "only the leader's own log is chosen as far as the leader says"
        self._learner.learn(min(chosen, self.log.last))
        self._held = max(held, self._held)

    def _learn_by_name(self, slot: int, origin: int) -> None:
        """The entry of this slot and origin is chosen. If it is in the own log, so is all before it there: the log of
        whoever says so may begin behind what this member, started again, knows to be chosen."""
        if slot > self._learner.chosen and self.log.origin(slot) == origin:
            self._learner.learn(slot)

    def _note_what_is_chosen(self, out: Outbox) -> None:
        """After each chunk: see records.py."""
        noted, chosen = max(self._acceptor.learnt, self.log.base), self._learner.chosen
        if noted < chosen and self.log.bytes_between(noted, chosen) > self.timing.chunk_bytes:
            self._acceptor.note_chosen(chosen, out)

    def _behind(self, ballot: Ballot) -> Behind:
        return Behind(ballot, self._acceptor.level, self._learner.chosen, self.log.last)

    # Catching up

    def _serve_fetch(self, sender: str, chosen: int, out: Outbox) -> None:
        if chosen >= self._learner.chosen:
            return
        if chosen < self.log.base:
            if self.kind == FULL:
                out.snapshots.append(sender)
            return
        entries_max = min(self._learner.chosen - chosen, self.timing.chunk_entries)
        entries = self.log.after(chosen, entries_max, self.timing.chunk_bytes)
        before = self.log.origin(chosen)
        assert before is not None
        out.send_at_once.append((sender, Learn(NO_BALLOT, chosen + 1, before, entries, self._learner.chosen)))

    def _learn(self, sender: str, learn: Learn, now: int, out: Outbox) -> None:
        self._learn_by_name(learn.first - 1, learn.before)
        chosen, last = self._learner.chosen, learn.first - 1 + len(learn.entries)
        if learn.first <= chosen + 1 and last > chosen:
            entries = learn.entries[chosen + 1 - learn.first :]
            if self._leader is not None and self._lacks(chosen + 1, entries):
                self._step_down(now, out)   # a higher ballot has chosen what this leader does not have
            self._acceptor.learn(chosen + 1, entries, out)
            self._learner.learn(last)
            if learn.ballot == NO_BALLOT and last < learn.chosen:
                out.send_at_once.append((sender, Fetch(last)))
        if learn.ballot != NO_BALLOT:
            out.send.append((sender, self._behind(learn.ballot)))

    def _lacks(self, first: int, entries: Sequence[Entry]) -> bool:
        return any(self.log.origin(slot) != entry.origin for slot, entry in enumerate(entries, first))

    def _begin(self, sender: str, begin: Begin, out: Outbox) -> None:
        assert self.kind != FULL, "a full member needs the state too"
        if begin.slot > self._learner.chosen:
            self._acceptor.rebase(begin.slot, begin.origin, begin.configuration, out)
            self._learner.installed(begin.slot)
        out.send.append((sender, self._behind(begin.ballot)))

    def _install(self, slot: int, origin: int, configuration: Configuration, out: Outbox) -> None:
        assert self._leader is None or slot <= self.log.last, "a leader was given what it lacks"
        self._learner.installed(slot)
        self._acceptor.rebase(slot, origin, configuration, out)

    def _trim(self, slot: int, archived: int, out: Outbox) -> None:
        """A full member drops what its own state has. A log member has no state: it may be the only one that could give
        a full member what that lacks, so others must hold it. Story: 1. The leader has slots 1 to 8, the other full
        member 1 to 5, the log member all, and drops 1 to 6. 2. The leader dies. Nobody has slot 6."""
        if self.kind == FULL:
            assert slot <= self._learner.applied, "trimmed before it was applied"
        else:
            slot = min(slot, self._learner.chosen, max(self._held, archived))
        if slot > self.log.base:
            origin = self.log.origin(slot)
            assert origin is not None
            self._acceptor.rebase(slot, origin, self.log.configuration_at(slot), out)

    # Elections

    def _drawn(self, now: int, least_us: int) -> int:
        return now + least_us + int(self._chance.random() * self.timing.spread_us)

    def _retry(self, now: int) -> None:
        self._asking = self._candidate = None
        self._election_at = self._drawn(now, self.timing.answer_us)

    def _is_free(self, ballot: Ballot, now: int) -> None:
        """The leader of `ballot` has resigned. Somebody is to follow it soon; chance decides who asks first."""
        self._grant.release(ballot)
        if ballot == self._acceptor.promised and self._leader is None:
            self._resigned = ballot
            self._election_at = min(self._election_at, self._drawn(now, 0))

    def _may_stand(self) -> bool:
        own = self.configuration.member(self.name)
        return own is not None and own.may_lead and self._leader is None

    def _ask(self, now: int, out: Outbox) -> None:
        self._election_at = self._drawn(now, self.timing.election_us)
        if not self._may_stand() or self._asking is not None or self._candidate is not None:
            return
        self._asked += 1
        self._asking = Asking(self.name, self._asked, now + self.timing.answer_us)
        for member in self.configuration.members:
            if member.name != self.name:
                out.send_at_once.append((member.name, Ask(self._asked)))
        self._stand_if_enough(now, out)

    def _answer(self, number: int, now: int) -> Answer:
        gives_from = 0 if self.kind == FULL else self.log.base
        return Answer(number, self.is_leader_healthy(now), self._learner.chosen, gives_from)

    def _take_answer(self, sender: str, answer: Answer, now: int, out: Outbox) -> None:
        asking = self._asking
        if asking is None or answer.number != asking.number:
            return
        if answer.is_healthy:
            self._asking = None
            self._election_at = self._drawn(now, self.timing.election_us)
            return
        asking.answer(sender, answer, self._learner.chosen)
        self._stand_if_enough(now, out)

    def _stand_if_enough(self, now: int, out: Outbox) -> None:
        asking = self._asking
        if asking is None or not asking.is_enough(self.configuration.voters):
            return
        furthest, teller = asking.furthest
        if furthest - self._learner.chosen > self.timing.chunk_entries:
            # A promise would have to carry all of it: first come nearer.
            out.send_at_once.append((teller, Fetch(self._learner.chosen)))
            self._retry(now)
        elif self._grant.binds_against(self.name, NO_BALLOT, now):
            self._retry(now)    # its own grant is one that counts
        else:
            is_next = self._resigned == self._acceptor.promised
            self._stand(self._resigned if is_next else NO_BALLOT, now, out)

    def _stand(self, yielded: Ballot, now: int, out: Outbox) -> None:
        self._asking = None
        ballot = next_ballot(max(self._seen, self._acceptor.promised), self.number)
        self._seen = ballot
        # Written down as promised before anybody hears of it: never used twice, whatever happens.
        self._acceptor.write(Promised(ballot), out)
        until = self._drawn(now, self.timing.answer_us)
        self._candidate = Candidate(ballot, self.log, self._learner.chosen, yielded, until)
        self._prepare(self._candidate, self._candidate.configuration.names | self.configuration.names, out)

    def _prepare(self, candidate: Candidate, names: Iterable[str], out: Outbox) -> None:
        prepare = Prepare(candidate.ballot, candidate.after, candidate.yielded)
        for name in sorted(names):
            if name not in candidate.prepared:
                candidate.prepared.add(name)
                out.send.append((name, prepare))

    def _take_promise(self, sender: str, promise: Promise, now: int, out: Outbox) -> None:
        candidate = self._candidate
        if candidate is None or candidate.ballot != promise.ballot:
            return
        candidate.promised(sender, promise)
        self._prepare(candidate, candidate.newest().names, out)
        if candidate.is_elected():
            self._lead(candidate, now, out)

    def _lead(self, candidate: Candidate, now: int, out: Outbox) -> None:
        holder, best = candidate.best()
        self._candidate = None
        self._learn_by_name(best.base, best.base_origin)
        after = max(candidate.after, min(best.base, self._learner.chosen))
        before = self.log.origin(after)
        if best.base > after or before is None:
            # Not enough to begin with: it was trimmed there, or here while promises came. Another may lead; or, later,
            # this one.
            out.send_at_once.append((holder, Fetch(self._learner.chosen)))
            self._retry(now)
            return
        adoption = Accept(candidate.ballot, after + 1, before, best.entries, best.last, 0, 0)
        if not self._acceptor.accept(adoption, self._learner.chosen, out):
            self._retry(now)    # it has learnt, meanwhile, of what a higher ballot has chosen
            return
        chosen = {name: promise.chosen for name, promise in candidate.promises.items()}
        assert max(chosen.values()) <= best.last, "what was chosen is not in what was promised"
        self._learner.learn(max(chosen.values()))
        self._leader = Leader(
            self.name, candidate.ballot, self._acceptor, self._learner, self.timing, now, self.kept or 0
        )
        self._leader.begin(chosen, now, out)

    def _take_refusal(self, sender: str, ballot: Ballot, promised: Ballot, now: int, out: Outbox) -> None:
        """Nobody stands because of a refusal alone. But a leader that keeps its majority, and that one member cannot
        follow because it has promised more, must get above that promise, or the member is of no use any more."""
        self._seen = max(promised, self._seen)
        leader = self._leads(ballot, sender)
        if leader is not None and promised > ballot and leader.reaches_quorum(now):
            self._step_down(now, out)
            if self._may_stand():
                self._stand(NO_BALLOT, now, out)

    # Leading

    def _resign(self, now: int, out: Outbox) -> None:
        leader = self._leader
        assert leader is not None
        self._grant.release(leader.ballot)
        for other in self.configuration.others(self.name):
            out.send_at_once.append((other, Resigned(leader.ballot)))
        self._step_down(now, out)

    def _step_down(self, now: int, out: Outbox) -> None:
        leader = self._leader
        assert leader is not None
        leader.refuse_reads(out)
        self._leader = None
        if self._is_serving:
            self._is_serving = False
            out.dropped = Dropped(leader.ballot)
        self._election_at = self._drawn(now, self.timing.election_us)

    def _propose(self, ballot: Ballot, values: Sequence[bytes], now: int, out: Outbox) -> None:
        leader = self._leader
        if leader is None or leader.ballot != ballot or not leader.is_serving:
            out.proposed = NotProposed(self.leader_name)
        elif leader.successor is not None:
            out.proposed = NotProposed(leader.successor)
        else:
            out.proposed = Proposed(leader.propose(values, now, out))

    def _read(self, read: int, by_lease: bool, now: int, out: Outbox) -> None:
        leader = self._leader
        if leader is None or not leader.is_serving:
            out.reads.append(NotRead(read, self.leader_name))
        else:
            leader.read(read, by_lease, now, out)

    def _hand_over(self, to: str, now: int) -> str | None:
        leader, member = self._leader, self.configuration.member(to)
        if leader is None or not leader.is_serving:
            return "not the leader"
        if member is None or not member.may_lead or to == self.name:
            return "it cannot lead"
        leader.successor, leader.successor_until = to, now + self.timing.hand_over_us
        return None

    def _reconfigure(self, change: Change, now: int, out: Outbox) -> str | None:
        leader = self._leader
        if leader is None:
            return "not the leader"
        refusal = leader.why_no_change() or self._why_not(change, leader)
        if refusal is not None:
            return refusal
        try:
            leader.change(_changed(self.configuration, change), now, out)
        except ValueError as error:
            return str(error)
        return None

    def _why_not(self, change: Change, leader: Leader) -> str | None:
        if isinstance(change, Remove | Replace) and change.name == self.name:
            # It would lead a group that it does not belong to, with a lease that nobody in it has to wait for.
            return "a leader does not remove itself: hand over first"
        if isinstance(change, Promote) and not leader.is_caught_up(change.name):
            return "it has not caught up"
        return None

    def _promote_if_it_joins(self, name: str, now: int, out: Outbox) -> None:
        member = self.configuration.member(name)
        if member is not None and member.joins and not member.votes:
            self._reconfigure(Promote(name), now, out)

    # A second life

    def _tell_rebirth(self, lost: str, now: int, out: Outbox) -> None:
        self._reborn_at = now + self.timing.election_us
        if self.configuration.member(self.name) is not None:
            self._lost = None
            return
        for name in self._known:
            out.send_at_once.append((name, Reborn(lost, self._member)))

    def _replace_lost(self, lost: str, member: Member, now: int, out: Outbox) -> None:
        if self._leader is not None and self.configuration.member(lost) is not None:
            learner = Member(member.name, member.number, member.kind, votes=False, joins=True)
            self._reconfigure(Replace(lost, learner), now, out)


def _changed(configuration: Configuration, change: Change) -> Configuration:
    match change:
        case AddLearner(member):
            return configuration.with_learner(member)
        case Promote(name):
            return configuration.promoted(name)
        case Remove(name):
            return configuration.without(name)
        case Replace(name, member):
            return configuration.replaced(name, member)
        case _:
            assert_never(change)
