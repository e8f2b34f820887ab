"""What operators, or the balance, have ordered, in the metadata: until it is done, or taken back.

    drains/n1     {"format_version": 1, "node": "n1", "begun_at": …}       n1 is to be emptied, and gets nothing
    moves/7       {"format_version": 1, "group": 7, "source": "n1", "target": "n4", "why": "balance", "begun_at": …}

A move is one at a time for a group: the second is refused. Whoever finds it done, or impossible, deletes it by the
version it was seen in: an order that was given anew since is another, and stays (what is in force is never deleted by
somebody who is late [facts 1.14]). A drain stays until it is taken back: an empty node is not to be filled again while
its operator goes to stop it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from varley.autoadmin.view import MoveOrder
from varley.metadata.mirror import Mirror
from varley.metadata.store import ABSENT, Change, Entry, Listed, Store, Told
from varley.metadata.stored_value import damaged, decoded
from varley.table.stored_format import Stored, stored_decoder

_DRAINS: Final = "drains/"
_MOVES: Final = "moves/"
_FORMAT_VERSION: Final = 1


class Drain(Stored, frozen=True, kw_only=True):
    format_version: int
    node: str
    begun_at: float     # seconds since the epoch


class Move(Stored, frozen=True, kw_only=True):
    format_version: int
    group: int
    source: str
    target: str
    why: str
    begun_at: float

    @property
    def order(self) -> MoveOrder:
        return MoveOrder(self.group, self.source, self.target)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A move, and the version in which it is deleted."""

    move: Move
    version: int


class Orders:
    """All that are in force. Used from the event loop only. `see` is fed by whoever watches the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mirror = Mirror(_DRAINS, _MOVES)
        self.draining: Mapping[str, Drain] = {}
        self.moves: Mapping[int, Ordered] = {}

    def see(self, told: Told) -> None:
        """Raises Damaged, or WorldError if a newer Varley wrote it."""
        if self._mirror.see(told):
            self._decode()

    async def load(self) -> None:
        """Read what there is: for who does not watch. Raises what Store raises."""
        drains = await self._store.snapshot(_DRAINS)
        moves = await self._store.snapshot(_MOVES)
        self._mirror.see(Listed([*drains.entries, *moves.entries], drains.version))
        self._decode()

    async def drain(self, node: str, *, now: float) -> bool:
        """Have it emptied. False: it was ordered before. Raises what Store raises."""
        drain = Drain(format_version=_FORMAT_VERSION, node=node, begun_at=now)
        return await self._make(Change(_DRAINS + node, ABSENT, msgspec.json.encode(drain)))

    async def keep(self, node: str) -> bool:
        """Take it back. False: nothing was ordered."""
        entry = await self._store.get(_DRAINS + node)
        return entry is not None and await self._make(Change(entry.key, entry.version, None))

    async def move(self, order: MoveOrder, *, why: str, now: float) -> bool:
        """Have a replica moved. False: another move of the group is under way."""
        move = Move(
            format_version=_FORMAT_VERSION, group=order.group, source=order.source, target=order.target, why=why,
            begun_at=now,
        )  # fmt: skip
        return await self._make(Change(f"{_MOVES}{order.group}", ABSENT, msgspec.json.encode(move)))

    async def end(self, ordered: Ordered) -> bool:
        """It is done, or cannot be. False: it is gone, or another by now."""
        return await self._make(Change(f"{_MOVES}{ordered.move.group}", ordered.version, None))

    async def _make(self, change: Change) -> bool:
        version = await self._store.compare_and_set([change])
        if version is not None:
            self._mirror.made([change], version)
            self._decode()
        return version is not None

    def _decode(self) -> None:
        entries = self._mirror.entries.values()
        self.draining = {
            drain.node: drain
            for entry in entries
            if entry.key.startswith(_DRAINS)
            for drain in [_named(entry, _DRAINS, decoded(entry, _decode_drain))]
        }
        self.moves = {
            move.group: Ordered(move, entry.version)
            for entry in entries
            if entry.key.startswith(_MOVES)
            for move in [_numbered(entry, decoded(entry, _decode_move))]
        }


def _named(entry: Entry, prefix: str, drain: Drain) -> Drain:
    if entry.key != prefix + drain.node:
        raise damaged(entry.key, f"it holds the drain of {drain.node}")
    return drain


def _numbered(entry: Entry, move: Move) -> Move:
    if entry.key != f"{_MOVES}{move.group}":
        raise damaged(entry.key, f"it holds a move of group {move.group}")
    return move


_decode_drain = stored_decoder(Drain, _FORMAT_VERSION)
_decode_move = stored_decoder(Move, _FORMAT_VERSION)
