"""A node with a table and its streams, on a loop that turns when it is told to and a clock that stands still."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter
from tests.table.tables import on_demand_table
from varley.clock import MovableClock, StoppedClock
from varley.counters import TableCounters
from varley.errors import DiskFull, WorldError
from varley.item import stored
from varley.item.size import item_size
from varley.metadata.catalog import Catalog, Described
from varley.metadata.memory import MemoryStore
from varley.node.node import Node
from varley.node.partition import Outcome
from varley.router.routes import Route, Router
from varley.storage.memory_log import MemoryLog
from varley.storage.tree_folder import NoFolder
from varley.streams.partition_stream import PartitionStream, Records
from varley.streams.streams import OpenStream, Streams
from varley.streams.upkeep import Upkeep
from varley.table.schema import StreamView, Table, changed
from varley.table.stream_record import new_stream

HOUR = 3600.0
DAY = 24 * HOUR


class RefusingLog(MemoryLog):
    """Refuses what is flushed while `is_full`, as a full disk does."""

    def __init__(self, node: Node) -> None:
        super().__init__(on_durable=node.log_is_durable)
        self._node = node
        self.is_full = False

    def flush(self) -> None:
        if not self.is_full:
            super().flush()
            return
        waiters, self._waiters = self._waiters, []
        if waiters:
            self._node.log_has_failed(DiskFull("The disk is full"), waiters)


class Put:
    """What PutItem and DeleteItem do to a row, without a request."""

    def __init__(self, route: Route, item: dict[str, Any], *, delete: bool = False) -> None:
        self.key = route.keys.row_key_of_item(item)
        self.counts = TableCounters()
        self._route = route
        self._item = item
        self._delete = delete

    def evaluate(self, old: bytes | None, timestamp_us: int) -> Outcome:
        item = self._item
        new = None if self._delete else stored.pack(msgspec.json.encode(item), item_size(item), timestamp_us)
        consequences = self._route.consequences
        if consequences is None:
            return new, b"done", ()
        newest = self._route.partition_of(self.key).newest
        return new, b"done", consequences.of(self.key, old, new, newest, timestamp_us, too_large="").rows


class RunningStreams:
    """One table, "Music", with a stream from the beginning."""

    def __init__(
        self, view: StreamView = "NEW_IMAGE", *, partitions: int = 1, shard_seconds: float = 100 * DAY
    ) -> None:
        self.loop = SteppedLoop()
        self.clock = MovableClock(StoppedClock())
        self.fatal: list[WorldError] = []
        self.node = Node(
            self.loop,
            self.clock,
            overlay_bytes_max=1 << 20,
            log_bytes_max=1 << 20,
            engines=NoFolder(),
            on_fatal=self.fatal.append,
        )
        self.log = RefusingLog(self.node)
        self.node.start(self.log)
        self.catalog = Catalog(MemoryStore())
        self.router = Router(self.node)
        self.streams = Streams(self.clock)
        self.removed: list[int] = []    # groups
        self._shard_seconds = shard_seconds
        self.upkeep = self._new_upkeep()
        self._tasks: list[asyncio.Task[None]] = []
        self.loop.run(self._create(view, partitions))

    def _new_upkeep(self) -> Upkeep:
        return Upkeep(
            self.loop,
            self.clock,
            self.streams,
            self.catalog,
            shard_seconds=self._shard_seconds,
            remove_group=self._remove_group,
            keep=lambda work: self._tasks.append(self.loop.create_task(work)),
        )

    async def _create(self, view: StreamView, partitions: int) -> None:
        table = on_demand_table(streams=(new_stream(round(self.clock.time() * 1000), view),))
        async with self.catalog.changes:
            described = await self.catalog.create(table, partitions=partitions)
            await self.router.open_partitions(described)
        self.streams.open(described, self.route.partitions)

    async def _remove_group(self, group: int) -> None:
        self.removed.append(group)
        await self.node.remove_group(group)

    @property
    def described(self) -> Described:
        described = self.catalog.get("Music")
        assert described is not None
        return described

    @property
    def route(self) -> Route:
        return self.router.route("Music")

    def stop(self) -> None:
        self.upkeep.stop()
        self.loop.run(self.node.stop())
        self.loop.close()

    # What clients do

    def put(self, pk: str, x: int = 0, *, text: str = "", wait: bool = True, delete: bool = False) -> Waiter:
        item = {"pk": {"S": pk}, "x": {"N": str(x)}, **({"text": {"S": text}} if text else {})}
        write = Put(self.route, item, delete=delete)
        waiter = Waiter()
        answer = self.route.partition_of(write.key).write(write, waiter)
        if answer is not None:
            waiter.reply(answer)
        if wait:
            self.loop.turns()
        return waiter

    def redefine(self, **members: Any) -> None:
        """What UpdateTable does."""

        async def change() -> None:
            async with self.catalog.changes:
                _, after = await self.catalog.change("Music", lambda table: changed(table, **members))
                await self.router.update(after)
                self.streams.redefine(after, self.route.partitions)

        self.loop.run(change())

    def disable(self) -> None:
        *others, newest = self.described.table.streams
        over = msgspec.structs.replace(newest, disabled_at=self.clock.time())
        self.redefine(streams=(*others, over))

    def enable(self, view: StreamView = "NEW_IMAGE") -> None:
        table = self.described.table
        new = changed(table, streams=(*table.streams, new_stream(round(self.clock.time() * 1000), view)))
        self.redefine(streams=self.streams.distinguished(new).streams)

    def delete_table(self) -> Table | None:
        """What is kept of it."""
        kept = self.streams.outliving(self.described.table)

        async def delete() -> None:
            async with self.catalog.changes:
                partitions = self.route.partitions
                described = await self.catalog.delete("Music", keep=kept)
                if kept is None:
                    self.streams.drop(described.table)
                else:
                    self.streams.redefine(self.catalog.deleted[kept.id], partitions)
                await self.router.close_partitions(described, keep_groups=kept is not None)

        self.loop.run(delete())
        return kept

    # What consumers see

    @property
    def stream(self) -> OpenStream:
        """The newest."""
        return list(self.streams)[-1]

    def partition(self, number: int = 0) -> PartitionStream:
        return self.stream.partitions[number]

    @property
    def now_us(self) -> int:
        return int(self.clock.time() * 1_000_000)

    def read(self, shard: int = 0, position_us: int | None = None, limit: int = 1000) -> Records:
        """From a shard of the first partition, from its oldest record on."""
        partition = self.partition()
        place = partition.shards(self.now_us)[shard]
        if position_us is None:
            position_us = partition.oldest(place, self.now_us)
        return partition.read(place, position_us, limit, self.now_us)

    def numbers(self, shard: int = 0) -> list[int]:
        """The x of each record of a shard of the first partition."""
        return [number_of(value) for _, value in self.read(shard).rows]

    def rows(self) -> int:
        """How many rows the newest stream has in the first partition."""
        return sum(1 for _ in self.route.partitions[0].tree.scan(b"\x20", b"\x21"))

    def look(self) -> None:
        """What upkeep does every second, to its end."""
        self.upkeep.start()
        self.upkeep.look()
        self.loop.turns(50)
        self.upkeep.stop()

    def restart(self) -> None:
        """From now on the streams are as a server would find them that has just recovered the same trees."""
        self.upkeep.stop()
        self.streams = Streams(self.clock)
        self.streams.open(self.described, self.route.partitions)
        self.upkeep = self._new_upkeep()

    def checkpoints_lag(self, is_so: bool) -> None:
        """The node takes no writes for the moment, or again: what 16 overlays in memory would bring about."""
        self.node._pressure.is_high = is_so


def number_of(record: bytes) -> int:
    change = msgspec.json.decode(record[stored.HEADER_BYTES :])["dynamodb"]
    return int(change.get("NewImage", change.get("OldImage"))["x"]["N"])
