"""Transactions: several items, in any tables and partitions, all or nothing.

    coordinator     what is to be done when, for one transaction that writes; no I/O
    reading         the same for one that reads; no I/O
    record          what the ledger keeps of a transaction
    ledger          where that is kept, and when it goes
    action          what a transaction wants with one item
    partitions      which of its items are in which partition
    reasons         why a transaction was cancelled, as the client gets it
    drive           one transaction that writes: coordinator, participants and ledger brought together
    two_rounds      likewise one that reads
    live            which are under way on this server
    recovery        finishes what a crash has left, and keeps the ledger short
    transactions    begins all of them: the edge

What a partition does for a transaction is node/participant.py. docs/life_of_a_transaction.md walks through one.

Source: "Distributed Transactions at Scale in Amazon DynamoDB", ATC 2023.
"""
