"""Multi-Paxos for one replica group. Pure: an event and the time go in, effects come out; nothing is done here.

    replica       one member: step(event, now) -> Effects; who does what when a message arrives
    events        what can happen to a member
    effects       what is to be done about it, and in which order
    messages      what members send each other, and the entries of the log
    records       what a member must not forget
    ballot        who may propose, and who comes before whom
    quorum        when enough have said so
    membership    who belongs to the group; one change at a time
    log           the entries that a member has, without holes
    acceptor      promises and accepts; what is written down
    learner       what is chosen, and what of it was handed out to be applied
    lease         how long a leader may be sure that it is the only one
    rest          the same where nothing happens, for many groups at once
    election      asking the others before standing for election; being elected
    leader        proposing, counting, bringing others up to date; reads

Values are opaque bytes. Times are integers: microseconds of the member's own monotonic clock, which must also count
while the machine is suspended; only its rate matters. Chance comes from outside.

Sources: Lamport, "Paxos Made Simple" (2001) [PMS]; Chandra, Griesemer, Redstone, "Paxos Made Live" (2007) [PML];
van Renesse, Altinbuken, "Paxos Made Moderately Complex" (2015) [PMMC]; Ongaro, "Consensus: Bridging Theory and
Practice" (2014) [RT]; Liskov, Cowling, "Viewstamped Replication Revisited" (2012) [VR]; Ng, Haridi, Carbone,
"Omni-Paxos" (2023) [OMNI]; Elhemali and others, "Amazon DynamoDB" (ATC 2022) [ATC22].
"""
