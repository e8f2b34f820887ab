"""A node, a router and a sweeper, on a loop that turns when it is told to and a clock that stands still."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter
from tests.table.tables import on_demand_table
from varley.api.delete_item import Delete
from varley.api.put_item import Put
from varley.api.writes import Terms
from varley.clock import MovableClock, StoppedClock
from varley.errors import DiskFull
from varley.expiry.sweeper import Sweeper
from varley.item.size import item_size
from varley.metadata.catalog import Described
from varley.node.node import Node
from varley.router.routes import Route, Router
from varley.storage.memory_log import MemoryLog
from varley.storage.tree_folder import NoFolder
from varley.table import partition_map
from varley.table.schema import Table, changed

NOW = 1_700_000_000
Item = dict[str, Any]


class HoldingLog(MemoryLog):
    """A log that can be told to keep what it gets to itself, or to refuse it."""

    def __init__(self, node: Node) -> None:
        super().__init__(on_durable=node.log_is_durable)
        self._node = node
        self.holds = False
        self.is_full = False

    def flush(self) -> None:
        if self.is_full:
            waiters, self._waiters = self._waiters, []
            self._node.log_has_failed(DiskFull("no space", path="log", operation="write"), waiters)
        elif not self.holds:
            super().flush()

    def release(self) -> None:
        self.holds = False
        self.flush()


class SweptServer:
    """`definition`: members of the one table, Music, whose key is pk."""

    def __init__(self, *, partitions: int = 1, delay_seconds: float = 0.0, **definition: Any) -> None:
        self.loop = SteppedLoop()
        self.clock = MovableClock(StoppedClock(float(NOW)))
        self.node = Node(
            self.loop,
            self.clock,
            engines=NoFolder(),
            overlay_bytes_max=1 << 20,
            log_bytes_max=1 << 20,
            on_fatal=lambda error: None,
        )
        self.log = HoldingLog(self.node)
        self.node.start(self.log)
        self.router = Router(self.node)
        self.described = Described(
            on_demand_table(**definition), partition_map.initial(partitions, count(1).__next__), 1, 1
        )
        self.loop.run(self.router.open_partitions(self.described))
        self.sweeper = self.new_sweeper(delay_seconds)

    @property
    def route(self) -> Route:
        return self.router.route("Music")

    def new_sweeper(self, delay_seconds: float = 0.0) -> Sweeper:
        """A sweeper that knows nothing yet: as after a restart."""
        self.sweeper = Sweeper(self.loop, self.clock, self.router, delay_seconds=delay_seconds)
        self.sweeper.start([self.described])
        return self.sweeper

    def expire_by(self, attribute: str | None) -> None:
        """Change the definition, as UpdateTimeToLive does."""
        table: Table = changed(
            self.described.table,
            time_to_live_attribute=attribute,
            time_to_live_changed_at=self.clock.time(),
            time_to_live_revision=self.described.table.time_to_live_revision + 1,
        )
        self.described = Described(table, self.described.partitions, 1, 1)
        self.loop.run(self.router.update(self.described))
        self.settled = self.sweeper.redefine(self.described)

    def put(self, name: str, **attributes: Any) -> None:
        """Put an item; it is not decided before the loop turns. A number is short for {"N": …}."""
        item: Item = {"pk": {"S": name}}
        for each, value in attributes.items():
            item[each] = value if isinstance(value, dict) else {"N": str(value)}
        key = self.route.keys.row_key_of_item(item)
        terms = Terms(self.route, "PutItem")
        put = Put(key, msgspec.json.encode(item), item_size(item), None, terms)
        self.route.partition_of(key).write(put, Waiter())

    def delete(self, name: str) -> None:
        key = self.route.keys.row_key({"pk": {"S": name}})
        self.route.partition_of(key).write(Delete(key, None, Terms(self.route, "DeleteItem")), Waiter())

    def settle(self) -> None:
        """Turn until nothing is left to do now: slices, their slots, their breaths."""
        for _ in range(200):
            self.loop.turns(4)
            self.loop.advance(0.001)

    def pass_seconds(self, seconds: float) -> None:
        """Time passes, for the clock and for the loop's timers."""
        self.clock._base._epoch_seconds += seconds    # type: ignore[attr-defined]    # without having been moved
        self.loop.advance(seconds)
        self.settle()

    def names(self) -> set[str]:
        """The items that there are."""
        return {
            msgspec.json.decode(value[20:])["pk"]["S"]
            for partition in self.route.partitions
            for _, value in partition.tree.scan(b"\0", b"\1")
        }

    def expiries(self) -> int:
        """How many rows say when an item expires."""
        return sum(
            1 for partition in self.route.partitions for _ in partition.tree.scan(b"\x30\0", b"\x31")
        )

    def problems(self) -> list[tuple[bytes, str]]:
        assert self.route.consequences is not None
        return [
            problem
            for partition in self.route.partitions
            for problem in self.route.consequences.problems(partition.get, partition.tree.scan)
        ]
