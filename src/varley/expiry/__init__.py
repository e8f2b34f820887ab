"""Time to live: items whose time has come are deleted.

    sweeper.py          when to look where, of all tables
    swept_table.py      one table, by one definition of it
    sweep.py            one of its partitions: the deletions, in slices
    expiry_delete.py    one deletion, on condition that the item still expires then
    amendment.py        the expiry rows of a partition are put right after the table's definition has changed
    derived_entry.py    an entry of such rows alone
"""
