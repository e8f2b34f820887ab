"""Which things follow from the items of a table: read from its definition, here and nowhere else.

Whoever serves a table and whoever checks one must come to the same, so both ask here.
"""

from __future__ import annotations

from collections.abc import Mapping

from varley.table.consequences import Consequences, Follower
from varley.table.expiry import Expiries
from varley.table.global_index_follower import Backlog, GlobalIndexFollower
from varley.table.keys import KeyCodec
from varley.table.schema import Table
from varley.table.stream_record import StreamRecords
from varley.table.vector_index import VectorIndexFollower


def consequences_of(
    table: Table, keys: KeyCodec, backlogs: Mapping[str, Backlog] | None = None
) -> Consequences | None:
    """None: nothing follows from an item. `backlogs` of global indexes, by id, for who serves the table."""
    followers: list[Follower] = []
    if table.global_indexes:
        followers.append(GlobalIndexFollower(table, keys, backlogs))
    if table.time_to_live_attribute is not None:
        followers.append(Expiries(table.time_to_live_attribute, table.time_to_live_revision))
    if table.vector_indexes:
        followers.append(VectorIndexFollower(table, keys))
    if table.stream is not None:
        followers.append(StreamRecords(table.stream, keys))
    if not table.local_indexes and not followers:
        return None
    return Consequences(table, keys, tuple(followers))
