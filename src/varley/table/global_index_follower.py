"""What follows from an item for its table's global indexes: outgoing rows (outgoing.py), and nothing else.

The rows of an index change later, in its own partitions; here is only said how they shall. An index that a write does
not touch gets nothing, and costs the comparison of a few attributes: most updates change what no index has.

An index may be slower than its table: its disk is full, or its partitions are elsewhere. What it has not taken yet is
kept in memory and in the log, so there is a bound to it, and a write that would add to it is then refused, as DynamoDB
refuses one whose index has no capacity left. That is the one thing here that does not depend on the item alone.

The bound is one for all indexes of a node, since the memory is. An index may be behind by as much as there is left for
all others: alone by half of the bound, two by a third of it each, and so on. So one that is stalled leaves room for the
rest, and all together stay within it. (A bound for each would be twenty times as much for one table.) The rule is that
of Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998.

Source: DynamoDB Developer Guide, "Global secondary indexes", "Provisioned throughput considerations" (the refusal); the
texts are the service's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from varley.errors import ProvisionedThroughputExceeded, Throttling
from varley.item.key_bytes import SOURCE_SPACE
from varley.item.value import Item
from varley.table.consequences import Following, Get, ItemWrite, Scan
from varley.table.global_index import GlobalIndexCodec
from varley.table.index_rows import Image
from varley.table.keys import KeyCodec
from varley.table.outgoing import SOURCE_KEY_BYTES, THE_ITEM, outgoing_prefix, progress_key
from varley.table.schema import Table

_TOO_SLOW_PROVISIONED: Final = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
    "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes with the "
    "UpdateTable API"
)
_TOO_SLOW_ON_DEMAND: Final = (
    "Throughput exceeds the current capacity for one or more global secondary indexes. DynamoDB is automatically "
    "scaling your index so please try again shortly."
)


class Backlogs:
    """The backlogs of all global indexes of one node, which share one bound."""

    __slots__ = ("bytes", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self.bytes = 0
        self.bytes_max = bytes_max


class Backlog:
    """What an index has been sent and has not acknowledged yet. Who sends keeps the numbers."""

    __slots__ = ("_all", "bytes", "changes")

    def __init__(self, all_backlogs: Backlogs) -> None:
        self._all = all_backlogs
        self.changes = 0    # rows
        self.bytes = 0      # of keys and values, about

    def add(self, changes: int, size: int) -> None:
        """So much more was sent; less, if it is negative: that has arrived."""
        self.changes += changes
        self.bytes += size
        self._all.bytes += size
        assert self.bytes >= 0

    @property
    def is_full(self) -> bool:
        """Whether writes that would add to it are refused: it is as long as there is room left for all others."""
        return self.bytes >= self._all.bytes_max - self._all.bytes


class _Index:
    """One index, as a write looks at it."""

    __slots__ = ("backlog", "codec", "prefix", "watched")

    def __init__(self, index_id: str, codec: GlobalIndexCodec, backlog: Backlog | None) -> None:
        self.codec = codec
        self.backlog = backlog
        self.prefix = outgoing_prefix(index_id)
        # The attributes whose change may change its row; None: any may.
        self.watched = None if codec.projected is None else tuple(codec.projected)

    def may_change(self, old: Image | None, new: Image | None) -> bool:
        """False only if the row surely stays as it is. Costs a tenth of finding out what becomes of it."""
        if old is None or new is None:
            return True
        before, after = old.item, new.item
        if self.watched is None:
            return before != after
        for name in self.watched:    # noqa: SIM110 - a generator would cost more than the rest of this
            if before.get(name) != after.get(name):
                return True
        return False


class GlobalIndexFollower:
    """The global indexes of one table. `backlogs` by index id; an index without one refuses nothing."""

    __slots__ = ("_by_name", "_indexes", "_is_provisioned", "_table")

    def __init__(self, table: Table, keys: KeyCodec, backlogs: Mapping[str, Backlog] | None = None) -> None:
        self._table = table
        self._is_provisioned = table.billing_mode == "PROVISIONED"
        self._indexes: Sequence[_Index] = [
            _Index(index.id, GlobalIndexCodec(index, keys), (backlogs or {}).get(index.id))
            for index in table.global_indexes
        ]
        # The service names the first index by name where a value is wrong for several.
        self._by_name = sorted((index.codec for index in self._indexes), key=lambda codec: codec.name)

    def check_item(self, item: Item) -> None:
        for codec in self._by_name:
            codec.check_item(item)

    def check_updated(self, item: Item) -> None:
        for codec in self._by_name:
            codec.check_updated(item)

    def follow(self, write: ItemWrite, following: Following) -> None:
        """Raises ProvisionedThroughputExceeded or Throttling if an index that the write changes is too far behind.

        Not if the write is decided: one that was prepared before the index fell behind.
        """
        old, new = write.old, write.new
        item_value = None if new is None else new.stored
        for index in self._indexes:
            if not index.may_change(old, new):
                continue
            change = index.codec.change(write.key, old, new, write.timestamp_us)
            if not change.rows:
                continue
            backlog = index.backlog
            if backlog is not None and not write.is_decided and backlog.is_full:
                self._refuse()
            prefix = index.prefix
            for key, value in change.rows:
                following.rows.append((prefix + key, THE_ITEM if value is item_value and value is not None else value))
            following.index_units[index.codec.name] = change.units

    def _refuse(self) -> None:
        if self._is_provisioned:
            raise ProvisionedThroughputExceeded(_TOO_SLOW_PROVISIONED)
        raise Throttling(_TOO_SLOW_ON_DEMAND)

    def problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        """What the indexes have is in other groups: global_index_comparison.py. Here are progress rows only.

        Those of an index that is filled may not be removed yet.
        """
        known = {progress_key(index.id) for index in self._table.global_indexes}
        for key, _ in scan(SOURCE_SPACE, bytes((SOURCE_SPACE[0] + 1,))):
            if key not in known and len(key) != SOURCE_KEY_BYTES:
                yield key, "says how far an index is filled that there is not"
