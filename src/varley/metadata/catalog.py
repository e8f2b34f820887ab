"""The tables of this server: what is kept of them in the metadata store, and a view of it in memory.

    table/Music                 definition of the table "Music"                   table.schema
    partitions/<table's id>     which group owns which part of its keyspace       table.partition_map
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

Control-plane changes are few, and each waits for the disk anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeVar

import msgspec

from varley.errors import Damaged, ResourceInUse, ResourceNotFound, WorldError
from varley.metadata.store import ABSENT, Change, Entry, Store
from varley.table import partition_map, schema
from varley.table.partition_map import PartitionMap
from varley.table.schema import Table
from varley.table.stored_format import Stored, UnknownFormat, stored_decoder

_TABLES: Final = "table/"
_PARTITIONS: Final = "partitions/"
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


class _GroupsGiven(Stored, frozen=True, kw_only=True):
    format_version: int
    last: int    # group ids 1 to `last` have been given out


class Catalog:
    """All tables. Used from the event loop only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables: dict[str, Described] = {}
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
            map_entry = maps.pop(_PARTITIONS + table.id, None)
            if map_entry is None:
                raise _damaged(entry.key, f"there is no {_PARTITIONS}{table.id}")
            partitions = _decoded(map_entry, partition_map.from_json)
            self._tables[table.name] = Described(table, partitions, entry.version, map_entry.version)
        for key in maps:
            raise _damaged(key, "there is no table for it")

    def get(self, name: str) -> Described | None:
        return self._tables.get(name)

    def __len__(self) -> int:
        return len(self._tables)

    def __iter__(self) -> Iterator[Described]:
        return iter(self._tables.values())

    def names(self) -> list[str]:
        """In the order in which tables are listed: that of their names' bytes."""
        return sorted(self._tables)    # table names are ASCII, so code points are bytes

    async def create(self, table: Table, *, partitions: int) -> Described:
        """Add a table of so many partitions, with new group ids. The caller holds `changes`.

        Raises ResourceInUse, the client's fault, if there is a table of this name; what Store raises.
        """
        assert self.changes.locked()
        if table.name in self._tables:
            raise ResourceInUse(f"Table already exists: {table.name}")
        while True:
            given = await self._store.get(_GROUPS)
            last = 0 if given is None else _decoded(given, _decode_groups).last
            new_map = partition_map.initial(partitions, count(last + 1).__next__)
            version = await self._store.compare_and_set(
                [
                    Change(_GROUPS, ABSENT if given is None else given.version, _encode_groups(last + partitions)),
                    Change(_TABLES + table.name, ABSENT, schema.to_json(table)),
                    Change(_PARTITIONS + table.id, ABSENT, partition_map.to_json(new_map)),
                ]
            )
            if version is not None:
                break
            if await self._store.get(_TABLES + table.name) is not None:
                raise ResourceInUse(f"Table already exists: {table.name}")
        described = Described(table, new_map, version, version)
        self._tables[table.name] = described
        return described

    async def change(self, name: str, new: Callable[[Table], Table]) -> tuple[Described, Described]:
        """Replace a table's definition by what `new` makes of it; returns (before, after).

        `new` sees the newest definition and may raise; if it returns an equal one, nothing is written. The
        caller holds `changes`. Raises ResourceNotFound or ResourceInUse, the client's fault; what Store
        raises.
        """
        before = self._found(name)
        table = new(before.table)
        assert table.name == name
        assert table.id == before.table.id
        if table == before.table:
            return before, before
        version = await self._store.compare_and_set(
            [Change(_TABLES + name, before.table_version, schema.to_json(table))]
        )
        if version is None:
            raise ResourceInUse(
                f"Attempt to change a resource which is still in use: Table is being updated: {name}"
            )
        after = Described(table, before.partitions, version, before.partitions_version)
        self._tables[name] = after
        return before, after

    async def delete(self, name: str) -> Described:
        """Forget a table; returns what it was. The caller holds `changes`, and closes its partitions afterwards.

        Raises ResourceNotFound or ResourceInUse, the client's fault; what Store raises.
        """
        before = self._found(name)
        version = await self._store.compare_and_set(
            [
                Change(_TABLES + name, before.table_version, None),
                Change(_PARTITIONS + before.table.id, before.partitions_version, None),
            ]
        )
        if version is None:
            raise ResourceInUse(
                f"Attempt to change a resource which is still in use: Table is being updated: {name}"
            )
        del self._tables[name]
        return before

    def _found(self, name: str) -> Described:
        assert self.changes.locked()
        described = self._tables.get(name)
        if described is None:
            raise ResourceNotFound(f"Requested resource not found: Table: {name} not found")
        return described


_decode_groups = stored_decoder(_GroupsGiven, _GROUPS_FORMAT_VERSION)


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
