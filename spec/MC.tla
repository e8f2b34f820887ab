---- MODULE MC ----
EXTENDS ReplicaGroup
CONSTANTS a, b, l
FullMembers == {a, b}
LogMembers == {l}
Owners == <<a, b, a>>
====
