"""A group at rest: everything that was proposed is chosen, and everybody has it and knows that.

A node leads hundreds of groups, most of which rest at any time. All that is left to say there is "grant me my lease
again" and "granted", a few times a second, for each. So those are said for many groups in one message
(node/members.py), and taken without a step: no event, no effects, a few comparisons.

Nothing about leases is different. A beat of a group at rest *is* the Beat that `beat_at_rest` makes of it: what the
leader has chosen, what others hold and what must be kept are all the last slot of its log. A member for which that is
news, or that cannot grant it just so, takes that Beat in a step like any other, and answers with a Granted; else it
answers in short, which is the Granted that `granted_at_rest` makes. So either side may leave the short way whenever it
likes, and must in doubt: the short way is for what changes nothing but times.

What it asks of the driver: nothing waits for the disk. Then an answer needs no record, and none before it is missing;
with the step's own way an answer would leave at once too.

Rejected: leases of nodes instead of groups (CockroachDB's epochs): a node's word stands for all its groups, so a group
that is not led any more, or a life of a node that is over, has to be taken out of it by name before anybody may rely
on it. That is another protocol, with its own proof, to save a hundredth of a processor for a thousand groups. Silence
while nothing is asked for: a dead leader would be noticed only when a client waits for it.
"""

from __future__ import annotations

from varley.paxos.ballot import Ballot
from varley.paxos.messages import Beat, Granted


def beat_at_rest(ballot: Ballot, slot: int, sent_at: int, lease_left: int) -> Beat:
    """Of a leader whose log ends in `slot`. No read waits for its answer: those have a sequence of their own."""
    return Beat(ballot, 0, sent_at, lease_left, chosen=slot, held=slot, kept=slot)


def granted_at_rest(ballot: Ballot, slot: int, sent_at: int) -> Granted:
    return Granted(ballot, 0, sent_at, level=ballot, chosen=slot, last=slot)
