"""A node with a few groups, on a given disk and a loop that turns when it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from tests.node.stepped_loop import SteppedLoop
from tests.node.writes import Waiter, Write
from varley.clock import Clock, StoppedClock
from varley.errors import WorldError
from varley.node.node import Node
from varley.storage.disk import Disk
from varley.storage.inventory import Inventory
from varley.storage.log_reader import LogReader
from varley.storage.log_writer import LogWriter
from varley.storage.recovery import recover
from varley.storage.tree_folder import TreeFolder

GROUPS = (1, 2)


class RunningNode:
    """Opened, with everything recovered. The log is written when the loop turns; checkpoints have their own thread."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        *,
        overlay_bytes_max: int = 1 << 20,
        groups: Sequence[int] = GROUPS,
        clock: Clock | None = None,
    ) -> None:
        (folder / "trees").mkdir(exist_ok=True)
        self.loop = SteppedLoop()
        self.fatal: list[WorldError] = []
        inventory = Inventory.read(str(folder))
        self.engines = TreeFolder(str(folder / "trees"), inventory)
        self.node = Node(
            self.loop,
            clock or StoppedClock(),
            overlay_bytes_max=overlay_bytes_max,
            log_bytes_max=1 << 20,
            engines=self.engines,
            on_fatal=self.fatal.append,
        )
        reader = LogReader(disk, "log", newest_segment=inventory.newest_segment)
        recovered = recover(self.engines, groups, reader)
        salts = count(0x5A17)
        self.log = LogWriter(
            disk,
            "log",
            reader.end,
            segment_bytes=4096,
            new_salt=lambda: next(salts),
            on_durable=self.node.log_is_durable,
            on_failure=self.node.log_has_failed,
            on_first_segment=lambda segment: inventory.add(newest_segment=segment),
            background=False,
        )
        self.partitions = {group: self.node.open_group(group, recovered.trees[group]) for group in groups}
        self.node.start(self.log)

    def write(self, group: int, write: Write) -> Waiter:
        """Write, and turn until that is answered."""
        waiter = Waiter()
        answer = self.partitions[group].write(write, waiter)
        if answer is not None:
            waiter.reply(answer)
        self.loop.turns()
        return waiter

    def stop(self) -> None:
        self.loop.run(self.node.stop())
        self.loop.close()
