"""A node with one table that has global indexes: all real parts from the write to the index, on a given disk and a loop
that turns when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter
from tests.table.tables import on_demand_table
from varley.api.delete_item import Delete
from varley.api.put_item import Put
from varley.api.writes import Terms
from varley.clock import MovableClock, StoppedClock
from varley.errors import ApiError, WorldError
from varley.indexes.indexes import Indexes
from varley.item import stored
from varley.item.value import Item, check_item
from varley.metadata.catalog import Catalog, Described
from varley.metadata.store import Store
from varley.node.node import Node
from varley.node.partition import Partition
from varley.router.routes import GlobalIndexRoute, Route, Router
from varley.storage.disk import Disk
from varley.storage.inventory import Inventory
from varley.storage.log_reader import LogReader
from varley.storage.log_writer import LogWriter
from varley.storage.recovery import recover
from varley.storage.tree_folder import TreeFolder
from varley.storage.undelivered import IndexGroups
from varley.table.outgoing import id_bytes
from varley.table.schema import ON_DEMAND_WARM, AttributeDefinition, GlobalIndex, Projection, ProjectionKind, Table

NAME = "Things"


def index(name: str, number: int, *, kind: ProjectionKind = "ALL", **members: Any) -> GlobalIndex:
    """On g; its id ends in `number`."""
    return GlobalIndex(
        name=name,
        id=f"00000000-0000-4000-8000-{number:012}",
        hash_keys=(AttributeDefinition(name="g", kind="S"),),
        projection=Projection(kind=kind),
        warm=ON_DEMAND_WARM,
        **members,
    )


def table(*indexes: GlobalIndex, **members: Any) -> Table:
    """With the key pk."""
    names = {"pk", *(name for each in indexes for name in each.key_names)}
    return on_demand_table(
        NAME,
        attribute_definitions=tuple(AttributeDefinition(name=name, kind="S") for name in sorted(names)),
        global_indexes=indexes,
        **members,
    )


BY_G = index("by-g", 1)
BY_G_KEYS = index("by-g-keys", 2, kind="KEYS_ONLY")


class IndexedNode:
    """Opened, with everything recovered. `store` has the tables; `create` makes the one table if there is none."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        store: Store,
        *,
        loop: SteppedLoop | None = None,
        new_engines: Callable[[str, Inventory], TreeFolder] = TreeFolder,
        overlay_bytes_max: int = 1 << 20,
        log_bytes_max: int = 1 << 20,
        backlog_bytes: int = 1 << 30,
        delay_seconds: float = 0.0,
        index_partitions: int = 2,
        before_indexes: Callable[[Node], None] = lambda node: None,
    ) -> None:
        """`before_indexes` is called when the node runs and the indexes do not: a server reads this and that then."""
        (folder / "trees").mkdir(exist_ok=True)
        self.loop = SteppedLoop() if loop is None else loop
        self.clock = MovableClock(StoppedClock())
        self.fatal: list[WorldError] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.catalog = Catalog(store)
        self.loop.run(self.catalog.load())
        inventory = Inventory.read(str(folder))
        engines = new_engines(str(folder / "trees"), inventory)
        self.node = Node(
            self.loop, self.clock, overlay_bytes_max=overlay_bytes_max, log_bytes_max=log_bytes_max, engines=engines,
            on_fatal=self.fatal.append,
        )  # fmt: skip
        self.router = Router(self.node, index_backlog_bytes=backlog_bytes)
        self._index_partitions = index_partitions
        self.indexes = Indexes(
            self.loop, self.clock, self.catalog, self.router, delay_seconds=delay_seconds, keep=self._keep
        )
        reader = LogReader(disk, "log", newest_segment=inventory.newest_segment)
        recovered = recover(
            engines,
            [group for described in self.catalog for group in described.groups],
            reader,
            groups_given=self.catalog.groups_given,
            indexes={
                id_bytes(each): IndexGroups([one.low for one in ranges], [one.group for one in ranges])
                for described in self.catalog
                for each, ranges in described.index_partitions.items()
            },
        )
        self.undelivered = recovered.undelivered
        salts = count(0x5A17)
        self.log = LogWriter(
            disk, "log", reader.end, segment_bytes=4096, new_salt=lambda: next(salts),
            on_durable=self.node.log_is_durable, on_failure=self.node.log_has_failed, background=False,
            on_first_segment=lambda segment: inventory.add(newest_segment=segment),
        )  # fmt: skip
        for described in self.catalog:
            partitions = {group: self.node.open_group(group, recovered.trees[group]) for group in described.groups}
            self.router.add(
                described,
                [partitions[each.group] for each in described.partitions],
                {each: [partitions[one.group] for one in its] for each, its in described.index_partitions.items()},
            )
        self.node.start(self.log)
        before_indexes(self.node)
        self.indexes.start(self.undelivered)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self.loop.create_task(work))

    # Tables

    def create(self, made: Table, *, partitions: int = 2, index_partitions: int = 2) -> None:
        async def create() -> None:
            async with self.catalog.changes:
                described = await self.catalog.create(
                    made,
                    partitions=partitions,
                    index_partitions={each.id: index_partitions for each in made.global_indexes},
                )
                await self.router.open_partitions(described)

        self.loop.run(create())

    def add_index(self, added: GlobalIndex) -> None:
        self.loop.run(self._locked(self.indexes.create(NAME, added, partitions=self._index_partitions)))

    def delete_index(self, name: str) -> None:
        self.loop.run(self._locked(self.indexes.delete(NAME, name)))

    def delete_table(self) -> None:
        async def delete() -> None:
            async with self.catalog.changes:
                described = await self.catalog.delete(NAME)
                await self.router.close_partitions(described)

        self.loop.run(delete())

    async def _locked(self, work: Coroutine[Any, Any, tuple[Described, Described]]) -> None:
        async with self.catalog.changes:
            await work

    @property
    def definition(self) -> Table:
        described = self.catalog.get(NAME)
        assert described is not None
        return described.table

    @property
    def route(self) -> Route:
        return self.router.route(NAME)

    def index(self, name: str) -> GlobalIndexRoute:
        return next(each for each in self.route.global_indexes if each.name == name)

    # Writes

    def propose_put(self, pk: str, **attributes: Any) -> Waiter:
        """`attributes`: text is a string, what else is a DynamoDB value."""
        item: Item = {"pk": {"S": pk}}
        item.update((name, {"S": each} if isinstance(each, str) else each) for name, each in attributes.items())
        route = self.route
        key = route.keys.row_key_of_item(item)
        return self._write(Put(key, msgspec.json.encode(item), check_item(item), None, Terms(route, "PutItem")))

    def propose_delete(self, pk: str) -> Waiter:
        route = self.route
        return self._write(Delete(route.keys.row_key({"pk": {"S": pk}}), None, Terms(route, "DeleteItem")))

    def _write(self, write: Put | Delete) -> Waiter:
        waiter = Waiter()
        try:
            answer = self.route.partition_of(write.key).write(write, waiter)
        except ApiError as refusal:
            waiter.fail(refusal)
        else:
            if answer is not None:
                waiter.reply(answer)
        return waiter

    def put(self, pk: str, **attributes: Any) -> None:
        """And turn until it is in the indexes."""
        waiter = self.propose_put(pk, **attributes)
        self.settle()
        assert waiter.answer == b"{}"

    def delete(self, pk: str) -> None:
        waiter = self.propose_delete(pk)
        self.settle()
        assert waiter.answer == b"{}"

    def settle(self) -> None:
        """Turn until all that can be done without a timer is done."""
        self.loop.turns(12)

    # What there is

    def items(self) -> dict[str, Item]:
        return {
            item["pk"]["S"]: item for partition in self.route.partitions for _, item in rows_of(partition, b"\x00")
        }

    def rows(self, name: str) -> dict[bytes, Item]:
        return {key: item for partition in self.index(name).partitions for key, item in rows_of(partition, b"\x00")}

    def expected_rows(self, name: str) -> dict[bytes, Item]:
        """What the index makes of the items."""
        codec = self.index(name).codec
        items = [each for partition in self.route.partitions for each in rows_of(partition, b"\x00")]
        entries = [codec.entry(key, item, 0) for key, item in items]
        return {entry.key: entry.item for entry in entries if entry is not None}

    def assert_indexes_equal_table(self) -> None:
        for each in self.route.global_indexes:
            rows = self.rows(each.name)
            assert rows == self.expected_rows(each.name), each.name
            sizes = [
                stored.item_size(value)
                for partition in each.partitions
                for _, value in partition.tree.scan(b"\x00", b"\x01")
            ]
            assert self.router.index_statistics(NAME)[each.name] == (len(rows), sum(sizes))
            assert (each.backlog.changes, each.backlog.bytes) == (0, 0)

    def slots(self, name: str) -> int:
        """How many slots the partitions of an index have taken."""
        return sum(partition.tree.applied_slot for partition in self.index(name).partitions)

    def stop(self) -> None:
        async def stop() -> None:
            await self.indexes.stop()
            await self.node.stop()

        self.loop.run(stop())
        self._end()

    def kill(self) -> None:
        """Nothing more reaches the disk; threads end."""
        self.indexes.close()
        self.loop.run(self.node.halt())
        self._end()

    def _end(self) -> None:
        self.loop.set_exception_handler(lambda loop, context: None)    # of those who tell the tasks that end here
        for task in self.tasks:
            task.cancel()
        self.loop.turns(2)
        self.loop.close()


def rows_of(partition: Partition, space: bytes) -> list[tuple[bytes, Item]]:
    high = bytes((space[0] + 1,))
    return [
        (key, msgspec.json.decode(value[stored.HEADER_BYTES :])) for key, value in partition.tree.scan(space, high)
    ]
