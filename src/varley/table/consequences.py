"""What follows from an item: the rows that change in the same log entry as the item does.

For each table that has anything of the kind there is one `Consequences`, made from the table's definition. It is pure:
from the item as it was and as it becomes, to rows. A table of which nothing follows has none, so that a write there
pays for no more than one look. What follows is

    local indexes (local_index.py), with the two kinds of tallies below
    whatever each Follower adds, one file each: global indexes, streams, expiries

Tallies:

    06                        how many rows each local index has in this partition, and how many bytes (index_tally.py)
    06, hash (16 bytes)       how many bytes the items of one partition key have, with all of their index rows

    {"by-x":{"S":"2 154"},"by-y":{"S":"0 0"}}
    {"bytes":{"N":"310"}}

Tallies exist because both numbers must be true at any moment: the first is what DescribeTable shows, and the second
must not pass 10 GB. A tally is a row as it becomes, not a difference, like everything in the log; so replaying an
entry twice leaves it right. It is evaluated against its newest value, which may be undecided: that is sound because
both are rows of one group, whose slots are chosen in order or not at all.

Rejected: counting index rows where items are counted, in the tree (it would have to know about spaces, and every
format with counts would have to hold five more), and counting when asked (10 GB take half a minute to read).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from varley.errors import ItemCollectionSizeLimitExceeded, ValidationError
from varley.item import stored
from varley.item.key_bytes import ITEM_SPACE, PARTITION_HASH_BYTES, TALLY_SPACE
from varley.item.size import item_size
from varley.item.value import Item
from varley.limits import ITEM_BYTES_MAX, ITEM_COLLECTION_BYTES_MAX
from varley.table.index_rows import Image
from varley.table.index_tally import index_tally, sizes_of
from varley.table.keys import KeyCodec
from varley.table.local_index import LocalIndexCodec
from varley.table.schema import Table

Newest = Callable[[bytes], bytes | None]    # row key -> the stored value that the next write would find there

# The rows of one partition at one moment: of a key, and of a range [low, high).
Get = Callable[[bytes], bytes | None]
Scan = Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]]

_COLLECTION_BYTES: Final = len(ITEM_SPACE) + PARTITION_HASH_BYTES   # what all row keys of one partition key begin with

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class ItemWrite(NamedTuple):
    """One write to one item, as those need to see it who add what follows."""

    key: bytes              # row key of the item
    old: Image | None       # None: there was no item
    new: Image | None       # None: there is none now
    timestamp_us: int       # no other write to an item of this partition has the same; ascends from slot to slot
    too_large: str          # the text for who makes an item too large for an index: operations differ
    is_expiry: bool         # it is time to live that deletes the item, not a client
    is_decided: bool = False    # a transaction has been promised it: nothing may refuse it any more


class Following:
    """What follows from one write to one item."""

    __slots__ = ("collection_bytes", "index_units", "rows")

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes | None]] = []    # beside the item's own row; None: the row goes away
        # Write units by index, of those that the write changes; of a vector index, bytes.
        self.index_units: dict[str, float] = {}
        self.collection_bytes = 0       # of the item's collection, afterwards; 0 in a table without local indexes


class Follower(Protocol):
    """Something that follows from the items of a table. Pure."""

    def check_item(self, item: Item) -> None:
        """Raise ValidationError, the client's fault, if an item that is put does not fit."""
        ...

    def check_updated(self, item: Item) -> None:
        """The same for what an update expression has made of an item."""
        ...

    def follow(self, write: ItemWrite, following: Following) -> None:
        """Add what follows from `write`. Raises ApiError if the write cannot be."""
        ...

    def problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        """(row key, what is wrong) for every row of one partition that is not as its items would have it."""
        ...


class Consequences:
    """Of one table."""

    __slots__ = ("_by_name", "_collection_bytes_max", "followers", "index_names", "local_indexes")

    def __init__(
        self,
        table: Table,
        keys: KeyCodec,
        followers: tuple[Follower, ...] = (),
        *,
        collection_bytes_max: int = ITEM_COLLECTION_BYTES_MAX,
    ) -> None:
        """`followers`: what follows beside the rows of local indexes; followers.py knows them all."""
        self.local_indexes = tuple(
            LocalIndexCodec(index, position, keys) for position, index in enumerate(table.local_indexes)
        )
        self.followers = followers
        self.index_names = frozenset(    # attributes
            (
                *(index.range_name for index in self.local_indexes),
                *(name for index in table.global_indexes for name in index.key_names),
            )
        )
        # The service names the first index by name where a value is wrong for several.
        self._by_name = sorted(self.local_indexes, key=lambda index: index.name)
        self._collection_bytes_max = collection_bytes_max

    def check_item(self, item: Item) -> None:
        """Raise ValidationError, the client's fault, if an item that is put does not fit the indexes."""
        for index in self._by_name:
            index.check_item(item)
        for follower in self.followers:
            follower.check_item(item)

    def check_updated(self, item: Item) -> None:
        """The same for what an update expression has made of an item."""
        for index in self._by_name:
            index.check_updated(item)
        for follower in self.followers:
            follower.check_updated(item)

    def of(
        self,
        key: bytes,
        old: bytes | None,
        new: bytes | None,
        newest: Newest,
        timestamp_us: int,
        *,
        too_large: str,
        is_expiry: bool = False,
        is_decided: bool = False,
    ) -> Following:
        """What follows when the row of the item at `key` becomes `new` from `old`: stored values; None: no item.

        Raises, unless the write `is_decided`, and both are the client's fault: ValidationError with the text
        `too_large` if the item and its row in an index come to more than 400 KB; ItemCollectionSizeLimitExceeded if
        the collection grows beyond its limit.
        """
        old_image = None if old is None else _image(old)
        new_image = None if new is None else _image(new)
        write = ItemWrite(key, old_image, new_image, timestamp_us, too_large, is_expiry, is_decided)
        following = Following()
        if self.local_indexes:
            self._follow_locally(write, newest, following)
        for follower in self.followers:
            follower.follow(write, following)
        return following

    def _follow_locally(self, write: ItemWrite, newest: Newest, following: Following) -> None:
        """The rows of local indexes, and the tallies."""
        key, timestamp_us, rows = write.key, write.timestamp_us, following.rows
        new_size = 0 if write.new is None else write.new.size
        grown = new_size - (0 if write.old is None else write.old.size)
        counts: dict[str, tuple[int, int]] = {}
        for index in self.local_indexes:
            change = index.change(key, write.old, write.new, timestamp_us)
            if new_size + change.new_size > ITEM_BYTES_MAX and not write.is_decided:
                raise ValidationError(write.too_large)
            if change.rows:
                rows += change.rows
                following.index_units[index.name] = change.units
                if change.entries or change.size:
                    counts[index.name] = (change.entries, change.size)
                    grown += change.size
        if counts:
            rows.append((TALLY_SPACE, self._index_tally(newest(TALLY_SPACE), counts, timestamp_us)))
        collection = collection_key(key)
        before = collection_size(newest(collection))
        after = before + grown
        if grown:
            if grown > 0 and after > self._collection_bytes_max and not write.is_decided:
                raise ItemCollectionSizeLimitExceeded("Collection size exceeded.")
            assert after >= 0
            rows.append((collection, _collection_tally(after, timestamp_us) if after else None))
        following.collection_bytes = after

    def _index_tally(self, old: bytes | None, counts: dict[str, tuple[int, int]], timestamp_us: int) -> bytes:
        sizes = self.index_sizes(old)
        for name, (entries, size) in counts.items():
            sizes[name] = (sizes[name][0] + entries, sizes[name][1] + size)
        return index_tally(sizes, timestamp_us)

    def index_sizes(self, tally: bytes | None) -> dict[str, tuple[int, int]]:
        """(rows, DynamoDB bytes) by index, from the tally of one partition: the stored value at TALLY_SPACE."""
        return dict.fromkeys((index.name for index in self.local_indexes), (0, 0)) if tally is None else sizes_of(tally)

    def empty_tally(self, timestamp_us: int) -> bytes:
        """The stored value at TALLY_SPACE of a partition whose local indexes have nothing."""
        return index_tally(self.index_sizes(None), timestamp_us)

    # Finding what does not follow

    def problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        """(row key, what is wrong) for every row of one partition that is not as its items would have it.

        `get` and `scan`, of [low, high), read the partition's rows at one moment. Reads each row and looks up each
        row that should follow from it, and the other way round.
        """
        if self.local_indexes:
            yield from self._local_problems(get, scan)
        for follower in self.followers:
            yield from follower.problems(get, scan)

    def _local_problems(self, get: Get, scan: Scan) -> Iterator[tuple[bytes, str]]:
        sizes = {index.name: (0, 0) for index in self.local_indexes}
        collection, size = b"", 0
        for key, value in scan(ITEM_SPACE, _end_of_space(ITEM_SPACE)):
            if collection_key(key) != collection:
                yield from _wrong_collection_size(get, collection, size)
                collection, size = collection_key(key), 0
            item = _decode(value[stored.HEADER_BYTES:])
            size += stored.item_size(value)
            for index in self.local_indexes:
                entry = index.entry(key, item, stored.item_size(value))
                if entry is not None:
                    size += entry.size
                    sizes[index.name] = (sizes[index.name][0] + 1, sizes[index.name][1] + entry.size)
                    row = get(entry.key)
                    if row is None:
                        yield entry.key, f"the index {index.name} lacks this row of the item {key.hex()}"
                    elif _decode(row[stored.HEADER_BYTES:]) != entry.item:
                        yield entry.key, f"the row in the index {index.name} is not that of the item {key.hex()}"
        yield from _wrong_collection_size(get, collection, size)
        for index in self.local_indexes:
            yield from _left_over(index, get, scan)
        yield from self._wrong_tallies(get, scan, sizes)

    def _wrong_tallies(
        self,
        get: Get,
        scan: Scan,
        sizes: dict[str, tuple[int, int]],
    ) -> Iterator[tuple[bytes, str]]:
        found = self.index_sizes(get(TALLY_SPACE))
        for name, expected in sizes.items():
            if found[name] != expected:
                yield TALLY_SPACE, f"the index {name} has {expected} rows and bytes, its tally says {found[name]}"
        for key, _ in scan(TALLY_SPACE + b"\0", _end_of_space(TALLY_SPACE)):
            low = ITEM_SPACE + key[1:]
            high = low + b"\xff" * 1025     # above every sort key
            if next(scan(low, high), None) is None:
                yield key, "the tally of an item collection that does not exist"


def collection_key(key: bytes) -> bytes:
    """Where the tally is of the collection that the row at `key`, of an item or of an index, belongs to."""
    return TALLY_SPACE + key[1:_COLLECTION_BYTES]


def collection_size(tally: bytes | None) -> int:
    """What the stored value of a collection's tally says; 0 without one."""
    return 0 if tally is None else int(_decode(tally[stored.HEADER_BYTES:])["bytes"]["N"])


def _collection_tally(size: int, timestamp_us: int) -> bytes:
    tally = {"bytes": {"N": str(size)}}
    return stored.pack(_encode(tally), item_size(tally), timestamp_us)


def _image(value: bytes) -> Image:
    return Image(_decode(value[stored.HEADER_BYTES:]), stored.item_size(value), value)


def _wrong_collection_size(get: Get, collection: bytes, size: int) -> Iterator[tuple[bytes, str]]:
    if collection and collection_size(get(collection)) != size:
        yield collection, f"the item collection has {size} bytes, its tally says {collection_size(get(collection))}"


def _left_over(
    index: LocalIndexCodec,
    get: Get,
    scan: Scan,
) -> Iterator[tuple[bytes, str]]:
    """The rows of an index that follow from no item."""
    for key, _ in scan(index.space, _end_of_space(index.space)):
        try:
            item_key = index.item_key(key)
        except ValueError:
            yield key, f"not the key of a row of the index {index.name}"
            continue
        item = get(item_key)
        entry = None if item is None else index.entry(item_key, _decode(item[stored.HEADER_BYTES:]), 0)
        if entry is None or entry.key != key:
            yield key, f"a row of the index {index.name} that no item has"


def _end_of_space(space: bytes) -> bytes:
    return bytes((space[0] + 1,))
