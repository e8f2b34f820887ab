"""Whether a global index is what its table's items make it: every row that should be there, and no other.

The rows lie in other groups than the items, so it takes the state of all of them at one moment, in which all that was
chosen has been delivered. An index that is being filled may lack rows; those that it has are right all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from varley.item import stored
from varley.item.key_bytes import ITEM_SPACE
from varley.table.consequences import Get, Scan
from varley.table.global_index import GlobalIndexCodec
from varley.table.keys import KeyCodec
from varley.table.partition_map import PartitionMap, PartitionRange
from varley.table.schema import GlobalIndex

# The rows of one group at one moment.
State = Callable[[int], tuple[Get, Scan]]

_ITEMS_END = bytes((ITEM_SPACE[0] + 1,))

_decode = msgspec.json.decode


def index_problems(
    index: GlobalIndex, keys: KeyCodec, sources: PartitionMap, targets: PartitionMap, state: State
) -> Iterator[tuple[int, bytes, str]]:
    """(group, row key, what is wrong). `sources` are the table's partitions, `targets` the index's.

    Reads each item and looks up its row, and the other way round.
    """
    codec = GlobalIndexCodec(index, keys)
    getters = {each.group: state(each.group)[0] for each in (*sources, *targets)}
    for source in sources:
        for key, value in state(source.group)[1](*_items_of(source)):
            entry = codec.entry(key, _decode(value[stored.HEADER_BYTES :]), stored.item_size(value))
            if entry is None:
                continue
            target = targets.find(entry.key[1:]).group
            row = getters[target](entry.key)
            if row is None:
                if not index.is_backfilling:
                    yield target, entry.key, f"the index {index.name} lacks this row of the item {key.hex()}"
            elif _decode(row[stored.HEADER_BYTES :]) != entry.item:
                yield target, entry.key, f"the row in the index {index.name} is not that of the item {key.hex()}"
    for target_range in targets:
        for key, _ in state(target_range.group)[1](*_items_of(target_range)):
            try:
                item_key = codec.base_key(key)
            except ValueError:
                yield target_range.group, key, f"not the key of a row of the index {index.name}"
                continue
            item = getters[sources.find(item_key[1:]).group](item_key)
            entry = None if item is None else codec.entry(item_key, _decode(item[stored.HEADER_BYTES :]), 0)
            if entry is None or entry.key != key:
                yield target_range.group, key, f"a row of the index {index.name} that no item has"


def _items_of(partition: PartitionRange) -> tuple[bytes, bytes]:
    """Behind its range there may be what it had before it was split."""
    return ITEM_SPACE + partition.low, _ITEMS_END if partition.high is None else ITEM_SPACE + partition.high
