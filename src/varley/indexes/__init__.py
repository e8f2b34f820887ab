"""Global indexes: changes of items go on to them, and new ones are filled, beside everything else.

    indexes.py        all indexes of this server: what comes and goes
    source.py         what the chosen entries of a table's partition carry
    propagation.py    which changes go where, in which order, and what is sent again; no I/O
    sending.py        the event loop's side of that
    delivery.py       one batch, taken into a partition of an index
    abroad.py         the same where another node leads that
    filling.py        which indexes are being filled with what was there before them
    backfill.py       filling one of them

What an index row is, and how it stands in the log, is in table/global_index.py and table/outgoing.py.
"""
