"""A storage node: the replicas on this machine, and the partitions that they lead.

    node.py          the replicas, the log that they share
    replica.py       one member of a group: numbers entries, applies what is chosen
    partition.py     evaluates writes, serves reads, at the leader
    participant.py   its part in transactions
    checkpoints.py   when a replica is written into its tree
    settled.py       who waits for what is not decided
"""
