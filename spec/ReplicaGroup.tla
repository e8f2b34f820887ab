----------------------------- MODULE ReplicaGroup -----------------------------
(* The replication protocol of src/varley/paxos, with leases and log members, for a fixed set of members.

   An action is what one member does in one step, together with making its records durable: what is sent is sent after
   that, so nothing can happen between. Messages are not modelled one by one: whatever was said once may be heard at any
   later time, by anybody, again and again, or never; that is what a set of things said is.

   An entry is named by its slot and its origin, the ballot in which it was proposed first, since a leader proposes one
   thing per slot. So a log is a sequence of origins.

   Time. A lease is counted by its leader from when it sent the Beat, less the drift of clocks, and by the member from
   when the Beat arrived: so a member's grant outlasts the leader's use of it. That is arithmetic of clocks, it stands in
   lease.py, and the simulator tries it with clocks that drift. Here it is an assumption: ExpireGrant waits until the
   leader counts this grant no more. A member that starts again is silent for a whole lease, which is the same as if it
   remembered its grant: Crash leaves it as it is.

   The properties at the end are named after what the judges of the simulator look at.                              *)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS Full,         \* members that keep the state
          Logs,         \* members that keep the log only: they vote, and never lead
          Owner,        \* a sequence: Owner[b] is the member whose ballot b is
          MaxSlot,      \* logs get no longer
          Without,      \* what does not happen, to look further at the rest in the same time:
                        \* a subset of {"leases", "handing over", "fetching", "trimming", "proposing"}
          MayCrash,     \* the members that do
          Bug           \* "none", or what is wrong on purpose: see the .cfg files

VARIABLES promised,     \* durable: the highest ballot promised
          accepted,     \* durable: the ballot of everything in the log that is not known to be chosen
          level,        \* durable: the log is a beginning of that of the leader of `accepted`
          log,          \* durable: all entries, those that were dropped too
          base,         \* durable: entries up to here were dropped (Logs only)
          learnt,       \* durable: up to here the log was changed by what others knew to be chosen; what is noted
                        \* beside that (records.py) only lets a crash forget less
          chosen,       \* in memory: what the member knows to be chosen
          standing,     \* in memory: the ballot it stands for election in, or 0
          leading,      \* in memory: the ballot it leads in, or 0
          lease,        \* in memory, of leaders: members whose grants count now
          grant,        \* the ballot whose leader it has granted a lease that runs, or 0
          prepares,     \* said: <<ballot, ballot that was yielded>>
          promises,     \* said
          voted,        \* said: voted[member][ballot] is how far it has accepted in the ballot
          yields,       \* said: ballots whose leaders have given up their leases, for a successor or for anybody
          led           \* the log of the leader of each ballot, as far as it got; also what its Accepts carry

durable  == <<promised, accepted, level, log, base, learnt>>
volatile == <<chosen, standing, leading, lease>>
said     == <<prepares, promises, voted, yields, led>>
vars     == <<durable, volatile, grant, said>>

Members == Full \cup Logs
Ballots == 1..Len(Owner)
IsQuorum(S) == 2 * Cardinality(S) > Cardinality(Members)
Min(m, n) == IF m < n THEN m ELSE n
Max(m, n) == IF m > n THEN m ELSE n
First(s, n) == SubSeq(s, 1, n)

Exists(b) == led[b] # <<>>
AdoptedLast(b) == CHOOSE n \in 0..MaxSlot : /\ n < Len(led[b]) /\ led[b][n + 1] = b
                                            /\ \A k \in 1..n : led[b][k] # b
ChosenIn(b, n) == /\ n <= Len(led[b])
                  /\ IsQuorum({m \in Members : voted[m][b] >= n})
HeldIn(b, n) == \A m \in Full : voted[m][b] >= n      \* of two full members: both
Greatest(P(_)) == CHOOSE n \in 0..MaxSlot : (n = 0 \/ P(n)) /\ \A k \in (n + 1)..MaxSlot : ~P(k)

IsServing(c) == leading[c] # 0 /\ chosen[c] > AdoptedLast(leading[c])
MayAnswer(c) == IsServing(c) /\ c \in lease[c] /\ IsQuorum(lease[c])

Init == /\ promised = [m \in Members |-> 0] /\ accepted = [m \in Members |-> 0]
        /\ level = [m \in Members |-> FALSE] /\ log = [m \in Members |-> <<>>] /\ base = [m \in Members |-> 0]
        /\ learnt = [m \in Members |-> 0]
        /\ chosen = [m \in Members |-> 0] /\ standing = [m \in Members |-> 0]
        /\ leading = [m \in Members |-> 0] /\ lease = [m \in Members |-> {}] /\ grant = [m \in Members |-> 0]
        /\ prepares = {} /\ promises = {} /\ yields = {}
        /\ voted = [m \in Members |-> [b \in Ballots |-> 0]]
        /\ led = [b \in Ballots |-> <<>>]

(* A member that hears of a ballot leads and stands in no lower one. *)
Follow(m, b) == /\ leading' = [leading EXCEPT ![m] = IF @ < b THEN 0 ELSE @]
                /\ lease' = [lease EXCEPT ![m] = IF leading[m] < b THEN {} ELSE @]
                /\ standing' = [standing EXCEPT ![m] = IF @ < b THEN 0 ELSE @]

IsBound(m, candidate, yielded) == /\ grant[m] # 0
                                  /\ Owner[grant[m]] # candidate
                                  /\ yielded # grant[m]

------------------------------------------------------------------------------
(* Elections *)

Stand(c, b, yielded) ==
    /\ Owner[b] = c /\ b > promised[c] /\ leading[c] = 0
    /\ IF yielded = 0 THEN ~IsBound(c, c, 0) ELSE yielded \in yields /\ promised[c] = yielded
    /\ promised' = [promised EXCEPT ![c] = b]
    /\ standing' = [standing EXCEPT ![c] = b]
    /\ prepares' = prepares \cup {<<b, yielded>>}
    /\ UNCHANGED <<accepted, level, log, base, learnt, chosen, leading, lease, grant, promises, voted, yields, led>>

Promise(m, b, yielded) ==
    /\ <<b, yielded>> \in prepares /\ b >= promised[m]
    /\ ~\E p \in promises : p.by = m /\ p.ballot = b      \* saying it again says the same
    /\ ~IsBound(m, Owner[b], yielded)
    /\ promised' = [promised EXCEPT ![m] = b]
    /\ Follow(m, b)
    /\ promises' = promises \cup {[by |-> m, ballot |-> b, accepted |-> accepted[m], log |-> log[m],
                                   base |-> base[m], chosen |-> chosen[m]]}
    /\ UNCHANGED <<accepted, level, log, base, learnt, chosen, grant, prepares, voted, yields, led>>

(* The whole log of the promise with the highest (accepted ballot, last slot), and an entry of its own behind it. *)
Lead(c, P) ==
    LET b == standing[c]
        best == CHOOSE p \in P : \A q \in P : \/ q.accepted < p.accepted
                                              \/ q.accepted = p.accepted /\ Len(q.log) < Len(p.log)
                                              \/ q.accepted = p.accepted /\ Len(q.log) = Len(p.log) /\ q.base >= p.base
        \* It may have what the other dropped, and only not know that it is chosen.
        has == Len(log[c]) >= best.base /\ IF best.base = 0 THEN TRUE ELSE log[c][best.base] = best.log[best.base]
        at == IF has THEN Max(chosen[c], best.base) ELSE chosen[c]
    IN /\ b # 0 /\ promised[c] = b
       /\ best.base <= at                               \* else it has to fetch first
       /\ at <= Len(best.log)
       /\ IF at = 0 THEN TRUE ELSE best.log[at] = log[c][at]
       /\ Len(best.log) < MaxSlot
       /\ led' = [led EXCEPT ![b] = Append(best.log, b)]
       /\ leading' = [leading EXCEPT ![c] = b]
       /\ standing' = [standing EXCEPT ![c] = 0]
       /\ lease' = [lease EXCEPT ![c] = {}]
       /\ UNCHANGED <<promised, accepted, level, log, base, learnt, chosen, grant, prepares, promises, voted, yields>>

(* One promise of each member of a majority. *)
Elected(c) == {P \in SUBSET {p \in promises : p.ballot = standing[c]} :
                  /\ IsQuorum({p.by : p \in P}) /\ Cardinality({p.by : p \in P}) = Cardinality(P)}

------------------------------------------------------------------------------
(* The log *)

Propose(c) ==
    /\ "proposing" \notin Without /\ IsServing(c) /\ Len(led[leading[c]]) < MaxSlot
    /\ led' = [led EXCEPT ![leading[c]] = Append(@, leading[c])]
    /\ UNCHANGED <<durable, volatile, grant, prepares, promises, voted, yields>>

Accept(m, b, n) ==
    /\ Exists(b) /\ promised[m] <= b /\ n <= Len(led[b])
    /\ IF accepted[m] = b /\ level[m]
       THEN n > Len(log[m])
       ELSE /\ n >= AdoptedLast(b)
            /\ n >= chosen[m]
            /\ IF chosen[m] = 0 THEN TRUE ELSE led[b][chosen[m]] = log[m][chosen[m]]
    /\ promised' = [promised EXCEPT ![m] = b]
    /\ accepted' = [accepted EXCEPT ![m] = b]
    /\ level' = [level EXCEPT ![m] = TRUE]
    /\ log' = [log EXCEPT ![m] = First(led[b], n)]
    /\ voted' = [voted EXCEPT ![m][b] = Max(@, n)]
    /\ Follow(m, b)
    /\ UNCHANGED <<base, learnt, chosen, grant, prepares, promises, yields, led>>

(* The leader counts, and followers that are level are told. (A follower may be told here before its leader knows:
   what is chosen is chosen.) *)
Learn(m) ==
    LET b == accepted[m]
        n == IF b = 0 THEN 0 ELSE Min(Len(log[m]), Greatest(LAMBDA k : ChosenIn(b, k)))
    IN /\ b # 0 /\ level[m] /\ n > chosen[m]
       /\ chosen' = [chosen EXCEPT ![m] = n]
       /\ UNCHANGED <<durable, standing, leading, lease, grant, said>>

(* Catching up: what another member knows to be chosen. *)
Fetch(m, from) ==
    LET n == chosen[from]
        agrees == Len(log[m]) >= n /\ First(log[m], n) = First(log[from], n)
    IN /\ "fetching" \notin Without /\ n > chosen[m] /\ base[from] <= chosen[m]
       /\ chosen' = [chosen EXCEPT ![m] = n]
       /\ IF agrees
          THEN UNCHANGED <<log, level, learnt, leading, lease>>
          ELSE /\ learnt' = [learnt EXCEPT ![m] = n]
               /\ log' = [log EXCEPT ![m] = First(log[from], n)]
               /\ level' = [level EXCEPT ![m] = FALSE]
               /\ leading' = [leading EXCEPT ![m] = 0]
               /\ lease' = [lease EXCEPT ![m] = {}]
       /\ UNCHANGED <<promised, accepted, base, standing, grant, said>>

(* A log member drops what enough full members hold. *)
Trim(m) ==
    LET told == IF accepted[m] = 0 THEN 0 ELSE Greatest(LAMBDA k : ChosenIn(accepted[m], k) /\ HeldIn(accepted[m], k))
        n == IF Bug = "drops what is chosen" THEN chosen[m] ELSE Min(chosen[m], told)
    IN /\ "trimming" \notin Without /\ m \in Logs /\ n > base[m]
       /\ base' = [base EXCEPT ![m] = n]
       /\ UNCHANGED <<promised, accepted, level, log, learnt, volatile, grant, said>>

Crash(m) ==
    /\ m \in MayCrash
    /\ leading[m] # 0 \/ standing[m] # 0 \/ chosen[m] > Max(base[m], learnt[m]) \/ Bug = "forgets its grants"
    /\ chosen' = [chosen EXCEPT ![m] = IF Bug = "forgets what it learnt" THEN base[m] ELSE Max(base[m], learnt[m])]
    /\ standing' = [standing EXCEPT ![m] = 0]
    /\ leading' = [leading EXCEPT ![m] = 0]
    /\ lease' = [lease EXCEPT ![m] = {}]
    /\ grant' = [grant EXCEPT ![m] = IF Bug = "forgets its grants" THEN 0 ELSE @]
    /\ UNCHANGED <<durable, said>>

------------------------------------------------------------------------------
(* Leases *)

(* A Beat arrives, and the leader counts the answer if it still leads. (If the answer comes later, the lease that it
   gives is over as early: it counts from the Beat.) *)
Grant(m, b) ==
    LET c == Owner[b]
        counts == leading[c] = b
    IN /\ "leases" \notin Without /\ Exists(b) /\ promised[m] <= b
       /\ grant[m] # b \/ (counts /\ m \notin lease[c])
       /\ promised' = [promised EXCEPT ![m] = b]
       /\ leading' = [leading EXCEPT ![m] = IF @ < b THEN 0 ELSE @]
       /\ standing' = [standing EXCEPT ![m] = IF @ < b THEN 0 ELSE @]
       /\ lease' = [x \in Members |-> IF x = c /\ counts THEN lease[c] \cup {m}
                                      ELSE IF x = m /\ leading[m] < b THEN {} ELSE lease[x]]
       /\ grant' = [grant EXCEPT ![m] = b]
       /\ UNCHANGED <<accepted, level, log, base, learnt, chosen, said>>

ExpireLease(c) ==
    /\ lease[c] # {}
    /\ lease' = [lease EXCEPT ![c] = {}]
    /\ UNCHANGED <<durable, chosen, standing, leading, grant, said>>

ExpireGrant(m) ==
    /\ grant[m] # 0
    /\ LET c == Owner[grant[m]] IN leading[c] # grant[m] \/ m \notin lease[c]
    /\ grant' = [grant EXCEPT ![m] = 0]
    /\ UNCHANGED <<durable, volatile, said>>

(* The lease is given up before that is said. *)
HandOver(c, to) ==
    LET b == leading[c]
    IN /\ "handing over" \notin Without /\ IsServing(c) /\ to \in Full \ {c}
       /\ voted[to][b] = Len(led[b])
       /\ yields' = yields \cup {b}
       /\ IF Bug = "yields and goes on" THEN UNCHANGED <<leading, lease>>
          ELSE /\ leading' = [leading EXCEPT ![c] = 0] /\ lease' = [lease EXCEPT ![c] = {}]
       /\ UNCHANGED <<durable, chosen, standing, grant, prepares, promises, voted, led>>

(* A leader that has lost its lease says that it leads no more: nobody has to wait for what it was granted. *)
StepDown(c) == /\ "leases" \notin Without /\ leading[c] # 0 /\ lease[c] = {}
               /\ yields' = yields \cup {leading[c]}
               /\ leading' = [leading EXCEPT ![c] = 0]
               /\ UNCHANGED <<durable, chosen, standing, lease, grant, prepares, promises, voted, led>>

Next == \/ \E c \in Full : \/ \E b \in Ballots, y \in 0..Len(Owner) : Stand(c, b, y)
                           \/ \E P \in Elected(c) : Lead(c, P)
                           \/ Propose(c) \/ ExpireLease(c) \/ StepDown(c)
                           \/ \E to \in Members : HandOver(c, to)
        \/ \E m \in Members : \/ \E p \in prepares : Promise(m, p[1], p[2])
                              \/ \E b \in Ballots : Grant(m, b) \/ \E n \in 1..MaxSlot : Accept(m, b, n)
                              \/ \E from \in Members : Fetch(m, from)
                              \/ Learn(m) \/ Trim(m) \/ Crash(m) \/ ExpireGrant(m)

Spec == Init /\ [][Next]_vars

------------------------------------------------------------------------------
(* What holds *)

OneValuePerSlot == \A b, c \in Ballots, n \in 1..MaxSlot :
    ChosenIn(b, n) /\ ChosenIn(c, n) => First(led[b], n) = First(led[c], n)

ChosenSurvives == \A b, c \in Ballots, n \in 1..MaxSlot :
    (b < c /\ Exists(c) /\ ChosenIn(b, n)) => Len(led[c]) >= n /\ First(led[c], n) = First(led[b], n)

MembersAgree == \A m \in Members : \A n \in 1..chosen[m] :
    \E b \in Ballots : ChosenIn(b, n) /\ First(led[b], n) = First(log[m], n)

OneLeaseHolder == \A c, d \in Full : MayAnswer(c) /\ MayAnswer(d) => c = d

(* Whoever may answer a read knows of everything that anybody was told is written: no later leader has chosen anything. *)
ReadsSeeAllWrites == \A c \in Full : MayAnswer(c) =>
    \A b \in Ballots : b > leading[c] => \A n \in 1..MaxSlot : ~(ChosenIn(b, n) /\ led[b][n] = b)

DroppedIsHeld == \A m \in Logs : \A f \in Full :
    Len(log[f]) >= base[m] /\ First(log[f], base[m]) = First(log[m], base[m])

KnownIsInLog == \A m \in Members : chosen[m] <= Len(log[m])

=============================================================================
