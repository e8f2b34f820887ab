"""Splits of partitions.

    splits.py       all that are ordered: which of them are for this node to carry out
    splitting.py    one of them, where the parent is led

What the rows say is in table/parting.py, how rows come to the child in indexes/ (as changes come to indexes).
"""
