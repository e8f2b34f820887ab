"""What the log carries to global indexes and they do not have: found while the log is read at start.

The log is read once, in the order in which it was written. An entry of a table's partition may carry rows to partitions
of the table's indexes (table/outgoing.py); a later entry of such a partition says up to which slot of the source it has
everything. So what is carried is kept until it is met there, and what is left at the end must be sent again:

    log     [7: slot 4, carries to 12]   [7: slot 5, carries to 12]   [12: has slot 4 of 7]   end
    kept     4                            4 5                          5                      5 is sent again

What is kept at any time is what was under way at that time, which was bounded when it was written. A partition of an
index whose tree is ahead of the log's beginning says so in its tree.

The same holds of what a partition that is being split carries to its child (table/parting.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from varley.item.key_bytes import ITEM_SPACE, OUTGOING_SPACE, SOURCE_SPACE
from varley.storage.log_format import Row
from varley.table.outgoing import OUTGOING_KEY_AT, SOURCE_KEY_BYTES, THE_ITEM, source_slot
from varley.table.parting import carried_to, goes

IndexRow = tuple[bytes, bytes | None]    # key in the index, stored value; None: the row goes away


@dataclass(frozen=True, slots=True)
class IndexGroups:
    """The partitions of one global index: group i owns the locations in [lows[i], lows[i + 1])."""

    lows: Sequence[bytes]
    groups: Sequence[int]

    def group_of(self, row_key: bytes) -> int:
        return self.groups[bisect_right(self.lows, row_key[1:]) - 1]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What one slot of a source carries to those who do not have it: rows by target."""

    source: int
    slot: int
    rows: dict[int, list[IndexRow]] = field(default_factory=dict)


class UndeliveredRows:
    """Meets the entries of the log one by one. `indexes` by the 16 bytes of their ids; `children`: the groups that
    others are being split into, with the locations at which they begin.

    `arrived(target, source)`: up to which slot of `source` the tree of `target` has everything, at the beginning.
    """

    def __init__(
        self,
        indexes: Mapping[bytes, IndexGroups],
        arrived: Callable[[int, int], int],
        children: Mapping[int, bytes] | None = None,
    ) -> None:
        self._indexes = indexes
        self._children = children or {}
        self._targets = {group for index in indexes.values() for group in index.groups} | self._children.keys()
        self._ask = arrived
        self._arrived: dict[tuple[int, int], int] = {}    # (target, source) -> the last slot known to be there
        # (target, source) -> what is not known to be there, in the order of slots
        self._kept: defaultdict[tuple[int, int], deque[tuple[int, IndexRow]]] = defaultdict(deque)

    def meet(self, group: int, slot: int, rows: Sequence[Row]) -> None:
        """The entry of `slot` of `group` has these rows."""
        item_value: bytes | None = None
        for _, key, value, _ in rows:
            if key.startswith(OUTGOING_SPACE):
                child = carried_to(key)
                if child is not None:
                    self._carried_to_child(group, slot, child, rows)
                    continue
                self._carried(group, slot, key, item_value if value == THE_ITEM else value)
            elif key.startswith(ITEM_SPACE):
                item_value = value
            elif key.startswith(SOURCE_SPACE) and group in self._targets and len(key) == SOURCE_KEY_BYTES:
                self._has_arrived(group, int.from_bytes(key[1:], "big"), source_slot(value))

    def rest(self) -> list[Undelivered]:
        """What is left, by source, in the order of slots."""
        found: dict[tuple[int, int], Undelivered] = {}
        for (target, source), kept in self._kept.items():
            for slot, row in kept:
                undelivered = found.get((source, slot))
                if undelivered is None:
                    undelivered = found[source, slot] = Undelivered(source, slot)
                undelivered.rows.setdefault(target, []).append(row)
        return [found[key] for key in sorted(found)]

    def _carried(self, source: int, slot: int, key: bytes, value: bytes | None) -> None:
        index = self._indexes.get(key[len(OUTGOING_SPACE) : OUTGOING_KEY_AT])
        if index is None:    # deleted since
            return
        row_key = key[OUTGOING_KEY_AT:]
        target = index.group_of(row_key)
        if not self._is_there(target, source, slot):
            self._kept[target, source].append((slot, (row_key, value)))

    def _carried_to_child(self, source: int, slot: int, child: int, rows: Sequence[Row]) -> None:
        at = self._children.get(child)
        if at is not None and not self._is_there(child, source, slot):    # else that split is over
            self._kept[child, source] += ((slot, (key, value)) for _, key, value, _ in rows if goes(key, at))

    def _is_there(self, target: int, source: int, slot: int) -> bool:
        arrived = self._arrived.get((target, source))
        if arrived is None:
            arrived = self._arrived[target, source] = self._ask(target, source)
        return slot <= arrived

    def _has_arrived(self, target: int, source: int, slot: int) -> None:
        self._arrived[target, source] = max(slot, self._arrived.get((target, source), 0))
        kept = self._kept.get((target, source))
        while kept and kept[0][0] <= slot:
            kept.popleft()
