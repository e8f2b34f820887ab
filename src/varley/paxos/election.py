"""Standing for election: first asking whether there is need, then collecting promises.

**Asking** (Amazon DynamoDB's handshake against gray failures, [ATC22] 6.2). A member that hears no leader asks all
others. One answer "the leader is healthy" ends it: the trouble is between that leader and this member. Healthy means
that the leader has shown a lease which a quorum has renewed, not that some packet arrived: a leader that is heard by
one member and has lost its majority must not be kept in office by that one. Otherwise it stands once a majority has
answered at all, so that a member which reaches no majority never raises the ballot of those that do ([OMNI]: only who
is connected to a quorum may).

**Collecting.** A majority of promises, by the newest configuration in the log that it is about to take over. Story:
1. {A,B,C}, D is added: chosen by A, B, D. 2. C, who has not heard of it, collects promises of B and itself: a majority
of three, and not one of four; but B's log says so, and C goes on collecting. As majorities of configurations that
follow each other meet, somebody always says so. Rejected: a majority in each configuration since the last slot known to
be chosen. After restarts that may be an old one, chosen over long ago, with voters who were replaced since they died.

What it takes over is the whole log of the promise with the highest (accepted ballot, last slot): acceptor.py says why
not slot by slot.
"""

from __future__ import annotations

from collections.abc import Set

from varley.paxos.ballot import Ballot
from varley.paxos.log import Log
from varley.paxos.membership import Configuration
from varley.paxos.messages import Answer, Promise, configurations_in
from varley.paxos.quorum import is_quorum


class Asking:
    """One round of questions."""

    __slots__ = ("answered", "furthest", "number", "until")

    def __init__(self, own_name: str, number: int, until: int) -> None:
        self.number = number
        self.until = until                  # then it is given up
        self.answered = {own_name}          # who does not know a healthy leader
        self.furthest: tuple[int, str] = (0, own_name)      # the highest chosen slot that somebody can bring it to, who

    def answer(self, sender: str, answer: Answer, own_chosen: int) -> None:
        assert answer.number == self.number and not answer.is_healthy
        self.answered.add(sender)
        # A trimmed log member may be ahead of everybody, and have nothing to give. Waiting for it would be for ever,
        # and there is no need: what is chosen is in the log of some full member, chosen or not as far as that knows.
        if answer.gives_from <= own_chosen:
            self.furthest = max(self.furthest, (answer.chosen, sender))

    def is_enough(self, voters: Set[str]) -> bool:
        return is_quorum(self.answered, voters)


class Candidate:
    """Collects promises for one ballot. Whoever promised, and not how often, is what counts."""

    __slots__ = ("after", "ballot", "configuration", "prepared", "promises", "until", "yielded")

    def __init__(self, ballot: Ballot, log: Log, chosen: int, yielded: Ballot, until: int) -> None:
        self.ballot = ballot
        self.after = chosen         # promises carry what comes after this slot
        self.configuration = log.configuration_at(chosen)
        self.yielded = yielded      # the ballot of the leader that asked for this election; NO_BALLOT: none
        self.until = until          # then it is given up
        self.promises: dict[str, Promise] = {}
        self.prepared: set[str] = set()     # who was sent a Prepare

    def promised(self, sender: str, promise: Promise) -> None:
        assert promise.ballot == self.ballot
        self.promises[sender] = promise

    def best(self) -> tuple[str, Promise]:
        """Whose log is to be taken over. Among equals, one that has not been trimmed so far."""
        return max(self.promises.items(), key=lambda of: (of[1].accepted_ballot, of[1].last, -of[1].base))

    def newest(self) -> Configuration:
        """The configuration that counts the promises, as far as they tell."""
        _, best = self.best()
        return (configurations_in(best.entries) or [self.configuration])[-1]

    def is_elected(self) -> bool:
        return bool(self.promises) and is_quorum(self.promises.keys(), self.newest().voters)
