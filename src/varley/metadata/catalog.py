"""The tables of this server: what is kept of them in the metadata store, and a view of it in memory.

    table/Music                 definition of the table "Music"                   table.schema
    partitions/<table's id>     which group owns which part of its keyspace       table.partition_map
    partitions/<index's id>     the same of a global index, which has partitions of its own
    deleted/<table's id>        definition of a deleted table whose partitions are kept  table.schema
    table/varley:transactions   the ledger of transactions: kept as a table is, and not one that clients have
    groups                      the last replica group id that was given out

A request never waits for metadata: it reads the view, which is loaded at start and replaced, entry by
entry, by each change once that change is durable. Changes are compare-and-set: a definition that somebody
else changed in the meantime is not overwritten.

The ids of replica groups are given out once and never again, also not after their table was deleted: what a
deleted table has left in logs can never be taken for a new table's.

Within one server, changes go one at a time: whoever changes tables holds `changes` from before the first
look at the view until partitions are opened or closed accordingly:

    async with catalog.changes:
        described = await catalog.create(table, partitions=4)    # refuses a name that is taken
        await router.open_partitions(described)

A table with its global indexes is created, and deleted, by one compare-and-set; so is an index that comes or goes
later (`change`): there is never an index without its partitions, nor a map that no index names.

The partitions of a deleted table may have something that is still read, its streams. Then its definition and its map
are kept (`deleted`) until somebody forgets them.

Control-plane changes are few, and each waits for the disk anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from varley.errors import Damaged, ResourceInUse, ResourceNotFound, WorldError
from varley.metadata.store import ABSENT, Change, Entry, Store
from varley.table import partition_map, schema
from varley.table.partition_map import PartitionMap
from varley.table.schema import Table
from varley.table.stored_format import Stored, UnknownFormat, stored_decoder
from varley.table.table_name import LEDGER_NAME

_TABLES: Final = "table/"
_PARTITIONS: Final = "partitions/"
_DELETED: Final = "deleted/"
_GROUPS: Final = "groups"
_GROUPS_FORMAT_VERSION: Final = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Described:
    """All that metadata has of one table."""

    table: Table
    partitions: PartitionMap
    table_version: int    # in the store; what the next change of the definition expects
    partitions_version: int
    index_partitions: Mapping[str, PartitionMap] = field(default_factory=dict)    # by id, of each global index
    index_versions: Mapping[str, int] = field(default_factory=dict)    # of those maps, in the store

    @property
    def groups(self) -> list[int]:
        """All replica groups: of the table's partitions, then of its global indexes'."""
        maps = (self.partitions, *self.index_partitions.values())
        return [each.group for partitions in maps for each in partitions]


class _GroupsGiven(Stored, frozen=True, kw_only=True):
    format_version: int
    last: int    # group ids 1 to `last` have been given out


class Catalog:
    """All tables. Used from the event loop only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables: dict[str, Described] = {}
        self.deleted: dict[str, Described] = {}    # by id: tables that are none any more, and their partitions
        self.ledger: Described | None = None    # of transactions: not one of the tables, see create_ledger
        self.groups_given = 0    # as of `load`: no replica group has a higher id than this
        self.changes = asyncio.Lock()    # held by whoever changes tables; readers of the view need not

    async def load(self) -> None:
        """Read everything. Called once, at start.

        Raises Damaged, naming the key, if bytes are not what was written or parts do not fit together;
        WorldError if a newer Varley wrote them.
        """
        given = await self._store.get(_GROUPS)
        self.groups_given = 0 if given is None else _decoded(given, _decode_groups).last
        maps = {entry.key: entry for entry in await self._store.list(_PARTITIONS)}
        for entry in await self._store.list(_TABLES):
            table = _decoded(entry, schema.from_json)
            if entry.key != _TABLES + table.name:
                raise _damaged(entry.key, f"it holds the table {table.name}")
            taken = {}
            for owner in (table.id, *(index.id for index in table.global_indexes)):
                map_entry = maps.pop(_PARTITIONS + owner, None)
                if map_entry is None:
                    raise _damaged(entry.key, f"there is no {_PARTITIONS}{owner}")
                taken[owner] = (_decoded(map_entry, partition_map.from_json), map_entry.version)
            partitions, version = taken.pop(table.id)
            self._tables[table.name] = Described(
                table, partitions, entry.version, version,
                {index: each[0] for index, each in taken.items()}, {index: each[1] for index, each in taken.items()},
            )  # fmt: skip
        for entry in await self._store.list(_DELETED):
            table = _decoded(entry, schema.from_json)
            map_entry = maps.pop(_PARTITIONS + table.id, None)
            if entry.key != _DELETED + table.id or map_entry is None:
                raise _damaged(entry.key, f"it holds the table {table.id}, or there is no map for it")
            partitions = _decoded(map_entry, partition_map.from_json)
            self.deleted[table.id] = Described(table, partitions, entry.version, map_entry.version)
        for key in maps:
            raise _damaged(key, "there is no table for it")
        self.ledger = self._tables.pop(LEDGER_NAME, None)

    def get(self, name: str) -> Described | None:
        return self._tables.get(name)

    def __len__(self) -> int:
        return len(self._tables)

    def __iter__(self) -> Iterator[Described]:
        return iter(self._tables.values())

    def described(self) -> list[Described]:
        """All whose partitions there are: tables, deleted ones that are kept, and the ledger if there is one."""
        ledger = [] if self.ledger is None else [self.ledger]
        return [*self._tables.values(), *self.deleted.values(), *ledger]

    def names(self) -> list[str]:
        """In the order in which tables are listed: that of their names' bytes."""
        return sorted(self._tables)    # table names are ASCII, so code points are bytes

    async def create(
        self, table: Table, *, partitions: int, index_partitions: Mapping[str, int] | None = None
    ) -> Described:
        """Add a table of so many partitions, with new group ids. The caller holds `changes`.

        `index_partitions`: how many partitions each of its global indexes gets, by the index's id.
        Raises ResourceInUse, the client's fault, if there is a table of this name; what Store raises.
        """
        assert self.changes.locked()
        assert {index.id for index in table.global_indexes} == set(index_partitions or ())
        if table.name in self._tables:
            raise ResourceInUse(f"Table already exists: {table.name}")
        while True:
            given, allocate = await self._allocation()
            new_map = partition_map.initial(partitions, allocate)
            index_maps = {
                index: partition_map.initial(number, allocate) for index, number in (index_partitions or {}).items()
            }
            version = await self._store.compare_and_set(
                [
                    _groups_given(given, allocate),
                    Change(_TABLES + table.name, ABSENT, schema.to_json(table)),
                    Change(_PARTITIONS + table.id, ABSENT, partition_map.to_json(new_map)),
                    *_new_maps(index_maps),
                ]
            )
            if version is not None:
                break
            if await self._store.get(_TABLES + table.name) is not None:
                raise ResourceInUse(f"Table already exists: {table.name}")
        described = Described(table, new_map, version, version, index_maps, dict.fromkeys(index_maps, version))
        self._tables[table.name] = described
        return described

    async def create_ledger(self, table: Table) -> Described:
        """Add the ledger of transactions, which has none yet: `table`, which is named LEDGER_NAME.

        No client can name it, and it is not among the tables: neither listed nor counted nor deleted.
        The caller holds `changes`. Raises what Store raises.
        """
        assert self.ledger is None and table.name == LEDGER_NAME
        await self.create(table, partitions=1)
        self.ledger = self._tables.pop(LEDGER_NAME)
        return self.ledger

    async def change(
        self, name: str, new: Callable[[Table], Table], *, index_partitions: Mapping[str, int] | None = None
    ) -> tuple[Described, Described]:
        """Replace a table's definition by what `new` makes of it; returns (before, after).

        `new` sees the newest definition and may raise; if it returns an equal one, nothing is written. A global index
        that it adds has its number of partitions in `index_partitions`, by id; one that it removes loses its map.
        Whoever adds or removes one then tells the router. The caller holds `changes`. Raises ResourceNotFound or
        ResourceInUse, the client's fault; what Store raises.
        """
        before = self._found(name)
        table = new(before.table)
        assert table.name == name
        assert table.id == before.table.id
        if table == before.table:
            return before, before
        kept = {index.id for index in table.global_indexes}
        added = kept - before.index_partitions.keys()
        assert added <= set(index_partitions or ())
        changes = [
            Change(_TABLES + name, before.table_version, schema.to_json(table)),
            *(
                Change(_PARTITIONS + index, version, None)
                for index, version in before.index_versions.items()
                if index not in kept
            ),
        ]
        index_maps: dict[str, PartitionMap] = {}
        if added:
            assert index_partitions is not None
            given, allocate = await self._allocation()
            index_maps = {index: partition_map.initial(index_partitions[index], allocate) for index in added}
            changes += (_groups_given(given, allocate), *_new_maps(index_maps))
        version = await self._store.compare_and_set(changes)
        if version is None:
            raise ResourceInUse(
                f"Attempt to change a resource which is still in use: Table is being updated: {name}"
            )
        old_maps = {index: each for index, each in before.index_partitions.items() if index in kept}
        old_versions = {index: each for index, each in before.index_versions.items() if index in kept}
        after = Described(
            table, before.partitions, version, before.partitions_version,
            {**old_maps, **index_maps}, {**old_versions, **dict.fromkeys(index_maps, version)},
        )  # fmt: skip
        self._tables[name] = after
        return before, after

    async def _allocation(self) -> tuple[Entry | None, _Allocation]:
        """What gives out new group ids, and what was read to know where they begin."""
        given = await self._store.get(_GROUPS)
        return given, _Allocation(0 if given is None else _decoded(given, _decode_groups).last)

    async def delete(self, name: str, *, keep: Table | None = None) -> Described:
        """Forget a table; returns what it was. The caller holds `changes`, and closes its partitions afterwards.

        `keep`: the definition to keep as that of a deleted table, together with the table's partitions.
        Raises ResourceNotFound or ResourceInUse, the client's fault; what Store raises.
        """
        before = self._found(name)
        id = before.table.id
        version = await self._store.compare_and_set(
            [
                Change(_TABLES + name, before.table_version, None),
                Change(_PARTITIONS + id, before.partitions_version, None)
                if keep is None
                else Change(_DELETED + id, ABSENT, schema.to_json(keep)),
                *(Change(_PARTITIONS + index, each, None) for index, each in before.index_versions.items()),
            ]
        )
        if version is None:
            raise ResourceInUse(
                f"Attempt to change a resource which is still in use: Table is being updated: {name}"
            )
        del self._tables[name]
        if keep is not None:
            self.deleted[id] = Described(keep, before.partitions, version, before.partitions_version)
        return before

    async def forget(self, deleted: Described) -> None:
        """Keep nothing of a deleted table any more. The caller holds `changes`, and removes its groups afterwards.

        Raises what Store raises.
        """
        assert self.changes.locked()
        table = deleted.table
        version = await self._store.compare_and_set(
            [
                Change(_DELETED + table.id, deleted.table_version, None),
                Change(_PARTITIONS + table.id, deleted.partitions_version, None),
            ]
        )
        assert version is not None, "nobody else changes what is kept of a deleted table"
        del self.deleted[table.id]

    def _found(self, name: str) -> Described:
        assert self.changes.locked()
        described = self._tables.get(name)
        if described is None:
            raise ResourceNotFound(f"Requested resource not found: Table: {name} not found")
        return described


_decode_groups = stored_decoder(_GroupsGiven, _GROUPS_FORMAT_VERSION)


class _Allocation:
    """Calling it gives a replica group id that was never given before, if what it begins with is still so."""

    def __init__(self, last: int) -> None:
        self.last = last    # given out

    def __call__(self) -> int:
        self.last += 1
        return self.last


def _groups_given(given: Entry | None, allocation: _Allocation) -> Change:
    """Say what was allocated, on the condition that nobody else did: `given` is what was there before."""
    return Change(_GROUPS, ABSENT if given is None else given.version, _encode_groups(allocation.last))


def _new_maps(maps: Mapping[str, PartitionMap]) -> list[Change]:
    return [Change(_PARTITIONS + owner, ABSENT, partition_map.to_json(each)) for owner, each in maps.items()]


def _encode_groups(last: int) -> bytes:
    return msgspec.json.encode(_GroupsGiven(format_version=_GROUPS_FORMAT_VERSION, last=last))


def _decoded(entry: Entry, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(entry.value)
    except UnknownFormat as error:
        raise WorldError(
            f"Metadata was written by a newer Varley. {error}",
            path=entry.key,
            operation="read",
            hint="Start the newer version, or restore the data folder from a copy made before it ran",
        ) from error
    except ValueError as error:
        raise _damaged(entry.key, str(error)) from error


def _damaged(key: str, what: str) -> Damaged:
    return Damaged(
        f"Metadata is not what was written: {what}", path=key, hint="Restore the metadata folder from a copy"
    )
