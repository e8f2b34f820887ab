"""The tables of this server: what is kept of them in the metadata store, and a view of it in memory.

    table/Music                 definition of the table "Music"                   table.schema
    partitions/<table's id>     which group owns which part of its keyspace       table.partition_map
    partitions/<index's id>     the same of a global index, which has partitions of its own
    splits/<id>                 a partition of the table, or the index, of that id is being split (`order_split`)
    deleted/<table's id>        definition of a deleted table whose partitions are kept  table.schema
    table/varley:transactions   the ledger of transactions: kept as a table is, and not one that clients have
    groups                      the last replica group id that was given out
    members/<group>             in a cluster: who belongs to a group              group_members

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
later (`change`): there is never an index without its partitions, nor a map that no index names. In a cluster the
founding members of its groups are in the same one.

The partitions of a deleted table may have something that is still read, its streams. Then its definition and its map
are kept (`deleted`) until somebody forgets them.

Many processes
==============

In a cluster others change the same tables. `see` takes what a watch of the store tells; the view follows, and the
`listener` is told what has become another. While somebody here holds `changes` that waits: whoever has looked at the
view and is about to act on it finds it as it was. It is taken in before `changes` is given on.

So a view may be old, and a change that is made from it may lose: then the store is read anew, here and now, and

    create    is tried again with other group ids; if the name is taken by now, it is refused
    change    is tried again: `new` sees the newest definition, and says itself if that is not what it is for
    delete    is refused if the table is another now (ResourceInUse), for what has allowed to delete it may be gone;
              if only the members of its groups are, it is tried again

A change that this process makes is in the view when it is made, and the listener is not told of it: whoever makes it
does what is to be done. Only if its outcome is unknown (OutcomeUnknown) it may come by the watch later, as another's.

Control-plane changes are few, and each waits for the disk anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import msgspec

from varley.errors import ResourceInUse, ResourceNotFound, ValidationError, WorldError
from varley.metadata.group_members import GroupMembers
from varley.metadata.mirror import Mirror
from varley.metadata.split import FORMAT_VERSION, SPLITS, Split, decode_split
from varley.metadata.store import ABSENT, Change, Entry, Listed, Store, Told
from varley.metadata.stored_value import damaged, decoded
from varley.table import partition_map, schema
from varley.table.partition_map import PartitionMap
from varley.table.schema import Table
from varley.table.stored_format import Stored, stored_decoder
from varley.table.table_name import LEDGER_NAME

_TABLES: Final = "table/"
_PARTITIONS: Final = "partitions/"
_DELETED: Final = "deleted/"
_GROUPS: Final = "groups"
_GROUPS_FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Ordered:
    """A split, and its version in the store."""

    split: Split
    version: int


@dataclass(frozen=True, slots=True)
class Described:
    """All that metadata has of one table."""

    table: Table
    partitions: PartitionMap
    table_version: int    # in the store; what the next change of the definition expects
    partitions_version: int
    index_partitions: Mapping[str, PartitionMap] = field(default_factory=dict)    # by id, of each global index
    index_versions: Mapping[str, int] = field(default_factory=dict)    # of those maps, in the store
    splits: Mapping[str, Ordered] = field(default_factory=dict)    # under way, by owner: at most one for each map

    @property
    def groups(self) -> list[int]:
        """All replica groups: of the table's partitions, then of its global indexes', then those that are to be."""
        maps = (self.partitions, *self.index_partitions.values())
        groups = [each.group for partitions in maps for each in partitions]
        return groups + [child for each in self.splits.values() if (child := each.split.child) not in groups]

    def map_of(self, owner: str) -> PartitionMap:
        """Of the table or one of its global indexes, by id."""
        return self.partitions if owner == self.table.id else self.index_partitions[owner]

    @property
    def unmapped(self) -> list[int]:
        """The groups of its splits that have no part of a map yet."""
        return [each.split.child for each in self.splits.values() if not self.is_in_map(each.split)]

    def before_splits(self, wanted: Callable[[int], bool]) -> Described:
        """As it was without those of its children that are `wanted`, by group."""
        gone = [each.split for each in self.splits.values() if self.is_in_map(each.split) and wanted(each.split.child)]
        maps = {split.owner: partition_map.without(self.map_of(split.owner), split.child) for split in gone}
        return replace(
            self,
            partitions=maps.pop(self.table.id, self.partitions),
            index_partitions={**self.index_partitions, **maps},
        )

    def is_in_map(self, split: Split) -> bool:
        """Whether its child has a part of the map already: then it is decided, and only has to be carried out."""
        return any(each.group == split.child for each in self.map_of(split.owner))


class _GroupsGiven(Stored, frozen=True, kw_only=True):
    format_version: int
    last: int    # group ids 1 to `last` have been given out


class Listener(Protocol):
    """Who is told what others have changed, in the order of the store. Called from the event loop; must not raise."""

    def changed(self, before: Described | None, after: Described | None) -> None:
        """A table (or the ledger) has come (before: None), gone (after: None), or is another now.

        If both are there they have one id: a name that was given to another table is told as two changes.
        """

    def kept(self, deleted: Described) -> None:
        """A deleted table is kept, with its partitions. Told before the table is told to be gone."""

    def forgotten(self, deleted: Described) -> None:
        """Nothing is kept of a deleted table any more."""


class _Changes(asyncio.Lock):
    """`Catalog.changes`. What others have changed meanwhile is taken in before it is given on."""

    def __init__(self, before_release: Callable[[], None]) -> None:
        super().__init__()
        self._before_release = before_release

    def release(self) -> None:
        self._before_release()
        super().release()


class Catalog:
    """All tables. Used from the event loop only."""

    def __init__(self, store: Store, members: GroupMembers | None = None) -> None:
        """`members`: of the groups of a cluster; None: this process has all replicas."""
        self._store = store
        self._members = members
        self._tables: dict[str, Described] = {}
        self.deleted: dict[str, Described] = {}    # by id: tables that are none any more, and their partitions
        self.ledger: Described | None = None    # of transactions: not one of the tables, see create_ledger
        self.listener: Listener | None = None
        self.changes = _Changes(self._see_waiting)    # held by whoever changes tables; readers of the view need not
        self._mirror = Mirror(_TABLES, _PARTITIONS, _DELETED, SPLITS, _GROUPS)
        self._decoded: dict[str, tuple[int, Table | PartitionMap | Split]] = {}    # by key, with its version
        self._name_of: dict[str, str] = {}    # table's and index's id -> the table's name, of what is in the view
        self._waiting: deque[Told] = deque()    # told while somebody held `changes`
        self._parents: dict[int, int] = {}    # of groups that came of a split, or are to
        self._failure: WorldError | None = None    # why the view does not follow the store any more
        self.version = 0    # of the newest change that the view has
        self.made = 0    # of the newest change that this process has made
        self._unseen: list[tuple[int, Callable[[], None]]] = []    # see when_seen

    async def load(self) -> None:
        """Read everything. Called once, at start.

        Raises Damaged, naming the key, if bytes are not what was written or parts do not fit together;
        WorldError if a newer Varley wrote them.
        """
        self._apply(await self._snapshot())

    def begin(self, listed: Listed) -> None:
        """The same by what was read, or remembered, before. Raises the same."""
        self._apply(listed)

    def see(self, told: Told) -> None:
        """Take in what a watch of the store tells. Raises what `load` raises, and then never goes on."""
        if self._failure is not None:
            raise self._failure
        self._waiting.append(told)
        if not self.changes.locked():
            self._see_waiting()
            if self._failure is not None:
                raise self._failure

    async def refresh(self) -> None:
        """Read the store anew, for whoever must not decide from an old view. The caller holds `changes`.

        The listener is told what has become another. Raises what `load` raises, and Unreachable.
        """
        assert self.changes.locked()
        self._apply(await self._snapshot())

    def when_seen(self, version: int, then: Callable[[], None]) -> None:
        """Call `then` once when the view has all changes up to this version; perhaps now."""
        if version <= self.version:
            then()
        else:
            self._unseen.append((version, then))

    @property
    def groups_given(self) -> int:
        """No replica group had a higher id than this when the store was last heard of."""
        given = self._mirror.entries.get(_GROUPS)
        return 0 if given is None else decoded(given, _decode_groups).last

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
        while True:
            if self._any(table.name) is not None:
                raise ResourceInUse(f"Table already exists: {table.name}")
            given, allocate = await self._allocation()
            new_map = partition_map.initial(partitions, allocate)
            index_maps = {
                index: partition_map.initial(number, allocate) for index, number in (index_partitions or {}).items()
            }
            if await self._make(
                [
                    _groups_given(given, allocate),
                    Change(_TABLES + table.name, ABSENT, schema.to_json(table)),
                    *_new_maps({table.id: new_map, **index_maps}),
                    *self._founding([new_map, *index_maps.values()]),
                ]
            ):
                break
        described = self._any(table.name)
        assert described is not None
        return described

    async def create_ledger(self, table: Table) -> Described:
        """Add the ledger of transactions, which has none yet: `table`, which is named LEDGER_NAME.

        No client can name it, and it is not among the tables: neither listed nor counted nor deleted.
        If another process is quicker, its ledger is returned. The caller holds `changes`. Raises what Store raises.
        """
        assert self.ledger is None and table.name == LEDGER_NAME
        try:
            return await self.create(table, partitions=1)
        except ResourceInUse:
            assert self.ledger is not None
            return self.ledger

    async def change(
        self, name: str, new: Callable[[Table], Table], *, index_partitions: Mapping[str, int] | None = None
    ) -> tuple[Described, Described]:
        """Replace a table's definition by what `new` makes of it; returns (before, after).

        `new` sees the newest definition and may raise; it may be asked again, if somebody else is quicker. If it
        returns an equal one, nothing is written. A global index
        that it adds has its number of partitions in `index_partitions`, by id; one that it removes loses its map.
        Whoever adds or removes one then tells the router. The caller holds `changes`. Raises ResourceNotFound or
        ResourceInUse, the client's fault; what Store raises.
        """
        while True:
            before = self._found(name)
            table = new(before.table)
            assert table.name == name
            assert table.id == before.table.id
            if table == before.table:
                return before, before
            if await self._make(await self._to_become(before, table, index_partitions or {})):
                return before, self._tables[name]

    async def _to_become(
        self, before: Described, table: Table, index_partitions: Mapping[str, int]
    ) -> Sequence[Change]:
        told = before.table
        if before.splits and (table.global_indexes, table.streams) != (told.global_indexes, told.streams):
            # An index would have to be filled from a partition that is being filled itself; and a stream's shards end
            # and begin with the split, as it is known to who carries that out.
            raise ResourceInUse(
                f"Attempt to change a resource which is still in use: Table is being split: {table.name}"
            )
        kept = {index.id for index in table.global_indexes}
        added = kept - before.index_partitions.keys()
        gone = before.index_versions.keys() - kept
        assert added <= index_partitions.keys()
        changes = [
            Change(_TABLES + table.name, before.table_version, schema.to_json(table)),
            *(Change(_PARTITIONS + index, before.index_versions[index], None) for index in gone),
            *self._removal([before.index_partitions[index] for index in gone]),
        ]
        if added:
            given, allocate = await self._allocation()
            index_maps = {index: partition_map.initial(index_partitions[index], allocate) for index in sorted(added)}
            changes += (
                _groups_given(given, allocate), *_new_maps(index_maps), *self._founding(index_maps.values())
            )  # fmt: skip
        return changes

    async def _allocation(self) -> tuple[Entry | None, _Allocation]:
        """What gives out new group ids, and what was read to know where they begin."""
        given = await self._store.get(_GROUPS)
        return given, _Allocation(0 if given is None else decoded(given, _decode_groups).last)

    # Splits

    async def order_split(self, name: str, owner: str, parent: int, at: bytes | None) -> Split:
        """Have the partition of group `parent` split, of the table `name` or of its index with the id `owner`.

        The caller holds `changes`, and sees to what the catalog does not know of. Raises ResourceNotFound,
        ResourceInUse (one is under way, or an index is being filled), ValidationError (the location is not inside of
        it), the client's fault; what Store raises.
        """
        while True:
            before = self._found(name)
            self._check_split(before, owner, parent, at)
            given, allocate = await self._allocation()
            split = Split(
                format_version=FORMAT_VERSION, table=name, owner=owner, parent=parent, child=allocate(),
                at=None if at is None else at.hex(),
            )  # fmt: skip
            members = () if self._members is None else self._members.founding_as(split.child, parent)
            changes = [
                _groups_given(given, allocate),
                # As it is: so that nobody changes the indexes in this moment, from a view without this.
                Change(_TABLES + name, before.table_version, schema.to_json(before.table)),
                Change(SPLITS + owner, ABSENT, msgspec.json.encode(split)),
                *members,
            ]
            if await self._make(changes):
                return split

    def _check_split(self, before: Described, owner: str, parent: int, at: bytes | None) -> None:
        if owner in before.splits:
            raise ResourceInUse("A partition of it is being split already")
        if any(index.is_backfilling for index in before.table.global_indexes):
            raise ResourceInUse("A global index of the table is being filled: split it afterwards")
        ranges = [each for each in before.map_of(owner) if each.group == parent]
        if not ranges:
            raise ValidationError(f"Group {parent} is no partition of it")
        if at is not None and not (ranges[0].low < at and (ranges[0].high is None or at < ranges[0].high)):
            raise ValidationError(f"The location {at.hex()} is not inside of the partition of group {parent}")

    async def settle_split(self, ordered: Ordered, at: bytes) -> bool:
        """Say where it is split, if that was left open. False: somebody was quicker, or it is gone."""
        split = msgspec.structs.replace(ordered.split, at=at.hex())
        return await self._make([Change(SPLITS + split.owner, ordered.version, msgspec.json.encode(split))])

    async def map_split(self, split: Split) -> Described | None:
        """Give its child its part of the map, which decides it. Gives the table as it is then; None: the split is gone.

        The caller holds `changes`, and tells the router afterwards. Raises what Store raises.
        """
        assert split.location is not None
        while True:
            before = self._tables.get(split.table)
            there = None if before is None else before.splits.get(split.owner)
            if before is None or there is None or there.split != split:
                return None
            if before.is_in_map(split):
                return before
            version = (
                before.partitions_version if split.owner == before.table.id else before.index_versions[split.owner]
            )
            after = partition_map.split(before.map_of(split.owner), split.parent, split.location, split.child)
            changes = [
                Change(_PARTITIONS + split.owner, version, partition_map.to_json(after)),
                Change(SPLITS + split.owner, there.version, msgspec.json.encode(split)),
            ]
            if await self._make(changes):
                return self._tables[split.table]

    async def end_split(self, split: Split) -> None:
        """Nothing is left to do. Raises what Store raises."""
        while True:
            there = self._tables.get(split.table)
            ordered = None if there is None else there.splits.get(split.owner)
            if ordered is None or ordered.split.child != split.child:
                return
            if await self._make([Change(SPLITS + split.owner, ordered.version, None)]):
                return

    def parent_of(self, group: int) -> int | None:
        """The group that this one came of by a split, or is to. It serves when it says itself that it has all."""
        return self._parents.get(group)

    async def delete(self, name: str, *, keep: Table | None = None) -> Described:
        """Forget a table; returns what it was. The caller holds `changes`, and closes its partitions afterwards.

        `keep`: the definition to keep as that of a deleted table, together with the table's partitions.
        Raises ResourceNotFound or ResourceInUse, the client's fault; what Store raises.
        """
        before = self._found(name)
        newest: Described | None = before
        while newest == before:
            if any(before.is_in_map(each.split) for each in before.splits.values()):
                break    # some moments more: what is kept of it must not have a partition that serves nobody
            id = before.table.id
            maps = before.index_partitions.values() if keep else (before.partitions, *before.index_partitions.values())
            if await self._make(
                [
                    Change(_TABLES + name, before.table_version, None),
                    Change(_PARTITIONS + id, before.partitions_version, None)
                    if keep is None
                    else Change(_DELETED + id, ABSENT, schema.to_json(keep)),
                    *(Change(_PARTITIONS + index, each, None) for index, each in before.index_versions.items()),
                    *(Change(SPLITS + owner, each.version, None) for owner, each in before.splits.items()),
                    *self._removal(maps, before.unmapped),
                ]
            ):
                return before
            newest = self._tables.get(name)
        raise ResourceInUse(
            f"Attempt to change a resource which is still in use: Table is being updated: {name}"
        )

    async def forget(self, deleted: Described) -> None:
        """Keep nothing of a deleted table any more. The caller holds `changes`, and removes its groups afterwards.

        Raises what Store raises.
        """
        assert self.changes.locked()
        id = deleted.table.id
        while id in self.deleted:    # else another process was quicker
            await self._make(
                [
                    Change(_DELETED + id, deleted.table_version, None),
                    Change(_PARTITIONS + id, deleted.partitions_version, None),
                    *self._removal([deleted.partitions]),
                ]
            )

    def _found(self, name: str) -> Described:
        assert self.changes.locked()
        described = self._tables.get(name)
        if described is None:
            raise ResourceNotFound(f"Requested resource not found: Table: {name} not found")
        return described

    def _any(self, name: str) -> Described | None:
        return self.ledger if name == LEDGER_NAME else self._tables.get(name)

    # In a cluster: the members of new groups, and of those that go.

    def _founding(self, maps: Iterable[PartitionMap]) -> Sequence[Change]:
        return () if self._members is None else self._members.founding(_groups(maps))

    def _removal(self, maps: Iterable[PartitionMap], more: Sequence[int] = ()) -> Sequence[Change]:
        return () if self._members is None else self._members.removal([*_groups(maps), *more])

    # The view and the store

    async def _make(self, changes: Sequence[Change]) -> bool:
        """Whether they were made, all of them. If not, the view is new, and so may what is tried next be."""
        assert self.changes.locked()
        version = await self._store.compare_and_set(changes)
        if version is None:
            await self.refresh()
            return False
        if self._members is not None:
            self._members.made(changes, version)
        self._assemble(self._mirror.made(changes, version), listener=None)
        self.made = version
        self._has(version)
        return True

    async def _snapshot(self) -> Listed:
        listed = await self._store.snapshot("")
        if self._members is not None:
            self._members.see(listed)
        return listed

    def _see_waiting(self) -> None:
        while self._waiting and self._failure is None:
            try:
                self._apply(self._waiting.popleft())
            except WorldError as error:    # raised by the next `see`: whoever releases `changes` is not to blame
                self._failure = error

    def _apply(self, told: Told) -> None:
        self._assemble(self._mirror.see(told), listener=self.listener)
        self._has(told.version)

    def _has(self, version: int) -> None:
        self.version = max(self.version, version)
        seen = [then for wanted, then in self._unseen if wanted <= self.version]
        self._unseen = [each for each in self._unseen if each[0] > self.version]
        for then in seen:
            then()

    def _assemble(self, before: Mapping[str, Entry | None], listener: Listener | None) -> None:
        """Bring the view up to the mirror, where that has changed: `before` has what was there, by key."""
        names = set()
        deleted = set()
        for key in before:
            if key not in self._mirror.entries:
                self._decoded.pop(key, None)
            kind, _, rest = key.partition("/")
            if kind == "table":
                names.add(rest)
            elif kind == "deleted":
                deleted.add(rest)
            elif kind in ("partitions", "splits") and rest in self._name_of:
                names.add(self._name_of[rest])
        entries = self._mirror.entries
        gone = [self.deleted.pop(id) for id in sorted(deleted) if _DELETED + id not in entries and id in self.deleted]
        kept = [self._deleted_table(entries[_DELETED + id]) for id in sorted(deleted) if _DELETED + id in entries]
        self.deleted.update({described.table.id: described for described in kept})
        changed = []
        for name in sorted(names):
            old, entry = self._any(name), entries.get(_TABLES + name)
            new = None if entry is None else self._table(entry)
            self._put(name, old, new)
            if old is not None and new is not None and old.table.id != new.table.id:
                changed += [(old, None), (None, new)]
            elif old != new:
                changed.append((old, new))
        self._know_parents()
        if not self._mirror.is_ahead:
            self._refuse_strays(before)
        if listener is not None:
            for described in kept:
                listener.kept(described)
            for each in changed:
                listener.changed(*each)
            for described in gone:
                listener.forgotten(described)

    def _know_parents(self) -> None:
        described = self.described()
        self._parents = {
            each.group: each.parent
            for one in described
            for partitions in (one.partitions, *one.index_partitions.values())
            for each in partitions
            if each.parent is not None
        }
        self._parents.update(
            (each.split.child, each.split.parent) for one in described for each in one.splits.values()
        )

    def _put(self, name: str, old: Described | None, new: Described | None) -> None:
        for id in () if old is None else (old.table.id, *old.index_partitions):
            self._name_of.pop(id, None)
        for id in () if new is None else (new.table.id, *new.index_partitions):
            self._name_of[id] = name
        if name == LEDGER_NAME:
            self.ledger = new
        elif new is None:
            self._tables.pop(name, None)
        else:
            self._tables[name] = new

    def _table(self, entry: Entry) -> Described:
        table = self._definition(entry)
        if entry.key != _TABLES + table.name:
            raise damaged(entry.key, f"it holds the table {table.name}")
        maps = {owner: self._map(entry, owner) for owner in (table.id, *(each.id for each in table.global_indexes))}
        partitions, version = maps.pop(table.id)
        return Described(
            table, partitions, entry.version, version,
            {index: each[0] for index, each in maps.items()}, {index: each[1] for index, each in maps.items()},
            {owner: ordered for owner in (table.id, *maps) if (ordered := self._ordered(owner)) is not None},
        )  # fmt: skip

    def _ordered(self, owner: str) -> Ordered | None:
        key = SPLITS + owner
        entry = self._mirror.entries.get(key)
        if entry is None:
            return None
        version, split = self._decoded.get(key, (ABSENT, None))
        if version != entry.version:
            split = decoded(entry, decode_split)
            self._decoded[key] = entry.version, split
        assert isinstance(split, Split)
        if split.owner != owner:
            raise damaged(key, f"it holds a split of {split.owner}")
        return Ordered(split, entry.version)

    def _deleted_table(self, entry: Entry) -> Described:
        table = self._definition(entry)
        if entry.key != _DELETED + table.id:
            raise damaged(entry.key, f"it holds the table {table.id}")
        partitions, version = self._map(entry, table.id)
        return Described(table, partitions, entry.version, version)

    def _refuse_strays(self, keys: Iterable[str]) -> None:
        """Raises Damaged if one of the keys is a map that no table names."""
        for key in keys:
            kind, _, owner = key.partition("/")
            is_map = kind == "partitions" and key in self._mirror.entries
            if is_map and owner not in self._name_of and owner not in self.deleted:
                raise damaged(key, "there is no table for it")

    def _definition(self, entry: Entry) -> Table:
        """Decoded once for each version: tables are many, and most changes touch one."""
        version, table = self._decoded.get(entry.key, (ABSENT, None))
        if version != entry.version:
            table = decoded(entry, schema.from_json)
            self._decoded[entry.key] = entry.version, table
        assert isinstance(table, Table)
        return table

    def _map(self, table: Entry, owner: str) -> tuple[PartitionMap, int]:
        key = _PARTITIONS + owner
        entry = self._mirror.entries.get(key)
        if entry is None:
            raise damaged(table.key, f"there is no {key}")
        version, partitions = self._decoded.get(key, (ABSENT, None))
        if version != entry.version:
            partitions = decoded(entry, partition_map.from_json)
            self._decoded[key] = entry.version, partitions
        assert isinstance(partitions, PartitionMap)
        return partitions, entry.version


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


def _groups(maps: Iterable[PartitionMap]) -> list[int]:
    return [each.group for partitions in maps for each in partitions]
