"""What follows from the items of a table: all of it, from the table's definition.

Each kind is a file of its own, and consequences.py runs them; this is the one place that knows which there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from varley.table.consequences import Consequences, Follower
from varley.table.expiry import Expiries
from varley.table.keys import KeyCodec
from varley.table.schema import Table


def consequences_of(table: Table, keys: KeyCodec) -> Consequences | None:
    """What follows from each item of `table`; None if nothing does."""
    followers = tuple(_followers(table))
    return Consequences(table, keys, followers) if table.local_indexes or followers else None


def _followers(table: Table) -> Iterator[Follower]:
    if table.time_to_live_attribute is not None:
        yield Expiries(table.time_to_live_attribute, table.time_to_live_revision)
