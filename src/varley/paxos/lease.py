"""How long a leader may be sure that it is the only one.

A member that answers a Beat *grants*: for `lease_us` from the moment the Beat arrived it promises nothing to another
member. The leader counts from the moment it *sent* the Beat, and less: as no clock is faster or slower than the true
one by more than `drift_permille`, the leader's count ends first. Whoever leads next has promises of a majority, which
meets the majority that granted, so the lease was over before that promise. Only rates matter, never what clocks show.

A leader whose lease has ended says so (`Resigned`), and what it was granted binds nobody any more: it never uses that
ballot again. Story: 1. A leader's messages go out, and none come in. 2. It beats on, and the members grant: each grant
lasts a lease from then. 3. Its lease ends. If it only fell silent, the last grants would bind for another whole lease,
which nobody holds.

Grants are not written down. A member that has just started does not know what it granted before, so it is silent, as
if it had granted a whole lease to somebody it does not know.

The leader's own grant must be among those that count. It comes the way that all answers come, behind what its disk has
still to write: a leader that can ping and cannot write loses its lease.

Rejected: renewing by an entry of the log [PML 5.2] - one write to every disk, for every group, each half second.

Sources: [PML] 5.2, [PMMC] 4.4, [RT] 6.4.1, Moraru and others, "Paxos Quorum Leases" (2014).
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from varley.paxos.ballot import NO_BALLOT
from varley.paxos.quorum import reached_by_quorum


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in microseconds, the same in all members of a group."""

    lease_us: int = 1_500_000
    drift_permille: int = 10        # no clock's rate is wrong by more
    beat_us: int = 300_000          # a leader beats this often
    rest_us: int = 500_000          # and so often if its group is at rest: rest.py
    together_us: int = 50_000       # then at multiples of this, < rest_us, so that beats of many groups go together
    election_us: int = 1_600_000    # a member that hears nothing for so long, and a part of the spread, asks the others
    spread_us: int = 600_000        # chance decides which part, so that one member is first
    tell_us: int = 2_000            # and sooner when the last entry for now was chosen, so long after the beat before
    founding_us: int = 100_000      # the first founder of a new group asks the others after so long
    answer_us: int = 400_000        # and so long it waits for answers, and for promises
    resend_us: int = 400_000        # what is not acknowledged after so long is sent again
    hand_over_us: int = 1_000_000   # a successor that is not level by then does not lead
    window_entries: int = 1024      # sent to one member and not acknowledged
    window_bytes: int = 8 * 2**20   # the same of their values; one entry goes, however large
    chunk_entries: int = 512        # in one Learn; who is further behind than this catches up before it stands
    chunk_bytes: int = 4 * 2**20    # the same of their values; so much is chosen between two notes of that

    def __post_init__(self) -> None:
        assert 0 < self.together_us < self.rest_us
        assert 2 * self.rest_us < self.lease_us, "one Beat of two may be lost"

    @property
    def leader_lease_us(self) -> int:
        """(1 - 2d) L < L (1 - d) / (1 + d): over before the shortest grant is, by any two clocks within the bound."""
        return self.lease_us - self.lease_us * 2 * self.drift_permille // 1000


class Grant:
    """What this member has granted, and to whom: at most one at a time."""

    __slots__ = ("ballot", "holder", "shown_until", "until")

    def __init__(self, silent_until: int) -> None:
        """Somebody unknown may hold a grant until then: see above."""
        self.until = silent_until
        self.holder: str | None = None
        self.ballot = NO_BALLOT     # in which the holder leads
        self.shown_until = 0        # until when the holder surely has its lease

    def renew(self, holder: str, ballot: int, now: int, lease_us: int, lease_left: int) -> None:
        """A lease never gets shorter; that of another holder is over, or its ballot could not have been won."""
        if now + lease_us > self.until:
            self.until = now + lease_us
        self.holder, self.ballot = holder, ballot
        # Counted from arrival, the holder's lease may be over by then; that only makes an election come later.
        self.shown_until = now + lease_left

    def binds_against(self, candidate: str, yielded: int, now: int) -> bool:
        """Whether a promise to `candidate` must wait. Not if it is the holder, or the holder has yielded to it."""
        if now >= self.until or candidate == self.holder:
            return False
        return self.holder is None or yielded != self.ballot

    def release(self, ballot: int) -> None:
        """The holder, if it leads in `ballot`, has given its lease up."""
        if ballot == self.ballot:
            self.until = self.shown_until = 0

    def is_leader_healthy(self, now: int) -> bool:
        """Whether the leader has shown, not just a sign of life, but a lease that a quorum renewed."""
        return now < self.shown_until


class Lease:
    """What the leader of one ballot was granted: by whom, for Beats that were sent when."""

    __slots__ = ("_leader", "_sent", "_timing", "_until", "_voters", "is_given_up")

    def __init__(self, leader: str, timing: Timing) -> None:
        self._leader = leader
        self._timing = timing
        self._sent: dict[str, int] = {}     # member -> when the newest Beat was sent that it has granted
        self._voters: Set[str] | None = None    # for whom `_until` was computed; None: `_sent` has changed since
        self._until = 0
        self.is_given_up = False            # handed over: never used again in this ballot

    def granted(self, member: str, sent_at: int) -> None:
        if sent_at > self._sent.get(member, -1):
            self._sent[member] = sent_at
            self._voters = None

    def sent_at(self, member: str) -> int | None:
        """When the newest Beat was sent that it has granted."""
        return self._sent.get(member)

    def until(self, voters: Set[str]) -> int:
        """When it ends; 0 if there is none. Asked for in each step."""
        if self.is_given_up:
            return 0
        if voters is not self._voters:
            sent = min(reached_by_quorum(self._sent, voters), self._sent.get(self._leader, -1))
            self._until = 0 if sent < 0 else sent + self._timing.leader_lease_us
            self._voters = voters
        return self._until
