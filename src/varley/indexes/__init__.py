"""Global indexes: changes of items go on to them, and new ones are filled, beside everything else.

    indexes.py        all indexes of this server: what comes and goes, and the event loop's side of the others
    propagation.py    which changes go where, in which order, and what is sent again; no I/O
    delivery.py       one batch, taken into a partition of an index
    backfill.py       filling an index that was added to a table with items

What an index row is, and how it stands in the log, is in table/global_index.py and table/outgoing.py.
"""
