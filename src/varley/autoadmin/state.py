"""What the active one says of its work, in the metadata, for people: written anew when it has changed.

    autoadmin/state     {"format_version": 1, "node": "n2", "at": …, "steps": […], "stuck": […], "nodes": […], …}

It is a report. Nothing is ever decided from it: who becomes active next begins from what nodes and groups are.
"""

from __future__ import annotations

from typing import Final

import msgspec

from varley.errors import WorldError
from varley.metadata.store import ABSENT, Change, Store
from varley.metadata.stored_value import decoded
from varley.table.stored_format import Stored, stored_decoder

STATE_KEY: Final = "autoadmin/state"
FORMAT_VERSION: Final = 1
SHOWN_MAX: Final = 50    # of each kind: the value stays small in a cluster in trouble


class NodeState(Stored, frozen=True, kw_only=True):
    name: str
    zone: str
    condition: str          # view.Condition
    trouble: str = ""       # what it says of its disk
    replicas: int = 0
    leads: int = 0
    draining: bool = False
    may_stop: bool = False      # it is emptied


class GroupState(Stored, frozen=True, kw_only=True):
    """A group that is not as it should be, or of which something was done."""

    group: int
    members: str            # as people read it: "n1* n2 n3(log)"
    doing: str = ""         # the last thing that was done, or why nothing can be


class State(Stored, frozen=True, kw_only=True):
    format_version: int
    node: str               # who says so
    at: float               # seconds since the epoch
    groups: int             # there are
    silent: int = 0         # groups whose leader does not say anything: they have none, or it is away
    repairing: int = 0      # groups that are not whole
    stuck: int = 0
    moving: int = 0
    nodes: tuple[NodeState, ...] = ()
    shown: tuple[GroupState, ...] = ()


async def write(store: Store, state: State) -> bool:
    """False: it could not be written now. Whoever wrote last is right: it is a report."""
    try:
        entry = await store.get(STATE_KEY)
        version = ABSENT if entry is None else entry.version
        return await store.compare_and_set([Change(STATE_KEY, version, msgspec.json.encode(state))]) is not None
    except WorldError:
        return False


async def read(store: Store) -> State | None:
    """Raises what Store raises; Damaged; WorldError if a newer Varley wrote it."""
    entry = await store.get(STATE_KEY)
    return None if entry is None else decoded(entry, _decode)


_decode = stored_decoder(State, FORMAT_VERSION)
