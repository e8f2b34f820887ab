"""Trees and the log of a node, from its data folder or in memory: of a server that is alone, and of a cluster's."""

from __future__ import annotations

import asyncio
import functools

from varley.node.node import Node
from varley.storage.data_folder import DataFolder
from varley.storage.inventory import Inventory
from varley.storage.log_writer import LogWriter
from varley.storage.memory_log import MemoryLog
from varley.storage.opening import Expected, OpenData, open_data
from varley.storage.refusing_log import RefusingLog
from varley.storage.tree_folder import NoFolder, TreeFolder

Log = LogWriter | MemoryLog | RefusingLog


def engines_of(folder: DataFolder | None) -> TreeFolder | NoFolder:
    """Where trees are. Raises Damaged."""
    if folder is None:
        return NoFolder()
    return TreeFolder(folder.trees, Inventory.read(folder.path), is_read_only=folder.is_read_only)


async def open_log(
    loop: asyncio.AbstractEventLoop,
    node: Node,
    folder: DataFolder | None,
    engines: TreeFolder | NoFolder,
    expected: Expected,
    *,
    segment_bytes: int,
) -> tuple[Log, OpenData | None]:
    """The log, which tells `node` what is durable, and what recovery has found; None: it is in memory.

    Raises what storage.opening.open_data raises. The node is still to be started with it.
    """
    if folder is None:
        return MemoryLog(on_durable=node.log_is_durable), None
    assert isinstance(engines, TreeFolder)
    opening = functools.partial(
        open_data,
        folder,
        engines,
        expected,
        segment_bytes=segment_bytes,
        on_durable=node.log_is_durable,
        on_failure=node.log_has_failed,
    )
    opened = await loop.run_in_executor(None, opening)
    return opened.log, opened
