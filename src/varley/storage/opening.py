"""Opening a data folder: its trees and its log brought together, and a log that goes on from there.

    trees/          those of tables that were deleted are removed, if a server was killed before it did that itself
    trees/, log/    read, and brought together (recovery.py)
    log/            continued behind its last entry; of a folder that cannot be written, a log that refuses instead
    inventory.json  remembers what was found

What should be there is told by the metadata, which is read before.

Blocks, for as long as reading the log takes: called on a disk thread, once.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from varley.errors import Damaged, WorldError
from varley.storage.data_folder import DataFolder
from varley.storage.disk import ReadOnlyDisk, RealDisk, failure
from varley.storage.inventory import Inventory
from varley.storage.log_reader import LogEntry, LogReader
from varley.storage.log_writer import LogWriter
from varley.storage.member_log import RecoveredMember
from varley.storage.recovery import MemberDamage, Recovered, recover
from varley.storage.refusing_log import RefusingLog
from varley.storage.tree import Tree
from varley.storage.tree_folder import TreeFolder
from varley.storage.undelivered import IndexGroups, Undelivered

logger = logging.getLogger("varley.storage")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the metadata says that a data folder has."""

    groups: Collection[int]                 # the groups whose replicas are in it
    groups_given: int                       # the highest id of a group that was ever given out
    indexes: Mapping[bytes, IndexGroups]    # the global indexes that there are, by the 16 bytes of their ids
    # In a cluster: the groups that have a member here, beside other nodes' (none of `groups`). None: a single server.
    members: Collection[int] | None = None
    # Groups that others are being split into, and the locations at which they begin.
    children: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenData:
    log: LogWriter | RefusingLog            # takes what is decided from now on
    trees: dict[int, Tree]                  # of every expected group, with all of its entries
    undelivered: list[Undelivered]          # to be sent to global indexes, in this order
    members: dict[int, RecoveredMember]     # what the log has of `Expected.members`


def open_data(
    folder: DataFolder,
    trees: TreeFolder,
    expected: Expected,
    *,
    segment_bytes: int,
    on_durable: Callable[[list[Any]], None],
    on_failure: Callable[[WorldError, list[Any]], None],
) -> OpenData:
    """Open the log and the trees of `folder`; `trees` is the folder of these.

    `on_durable`, `on_failure`: see LogWriter; called by the thread that writes the log. Raises Damaged, and other
    WorldErrors if the disk refuses.
    """
    try:
        _remove_strays(folder, trees, expected)
        disk = ReadOnlyDisk() if folder.is_read_only else RealDisk()
        damage = None if expected.members is None else MemberDamage()
        reader = LogReader(disk, folder.log, newest_segment=trees.inventory.newest_segment, on_damage=damage)
        recovered = _recovered(trees, expected, reader, damage)
        end = reader.end if damage is None else reader.end_in_spite_of_damage
        if folder.is_read_only:
            refusing = RefusingLog(folder.log, end, on_failure=on_failure)
            return OpenData(refusing, recovered.trees, recovered.undelivered, recovered.members)
        log = LogWriter(
            disk,
            folder.log,
            end,
            segment_bytes=segment_bytes,
            new_salt=functools.partial(random.SystemRandom().getrandbits, 64),
            on_durable=on_durable,
            on_failure=on_failure,
            on_first_segment=lambda segment: trees.inventory.add(newest_segment=segment),
        )
        _remember(trees.inventory, expected, recovered, newest_segment=end.segment - 1)
    except OSError as error:
        path = error.filename or folder.path
        raise failure(error, "The data folder cannot be opened", path, "open") from error
    return OpenData(log, recovered.trees, recovered.undelivered, recovered.members)


def _remove_strays(folder: DataFolder, trees: TreeFolder, expected: Expected) -> None:
    """Trees of tables that were deleted: the server was killed before it removed them."""
    strays = sorted(set(trees.groups()).difference(expected.groups, expected.members or ()))
    if strays and strays[-1] > expected.groups_given:
        raise Damaged(
            f"There is a tree of group {strays[-1]}, and the metadata knows of groups up to {expected.groups_given}",
            path=folder.metadata,
            hint="The metadata is missing or older than the trees. Restore the whole folder from a copy",
        )
    if not folder.is_read_only:
        for group in strays:
            logger.info("removing the tree of group %d, whose table was deleted", group)
            trees.remove(group)


def _recovered(
    trees: TreeFolder, expected: Expected, reader: LogReader, damage: MemberDamage | None
) -> Recovered:
    recovered = recover(
        trees,
        expected.groups,
        reader,
        groups_given=expected.groups_given,
        progress=_tell_progress,
        indexes=expected.indexes,
        children=expected.children,
        members=expected.members or (),
        damage=damage,
    )
    if recovered.entries:
        logger.info("replayed %d log entries that were in no checkpoint", recovered.entries)
    if recovered.unverified:
        logger.info(
            "%d trees were too large to be walked at the start; `varley check` walks all", len(recovered.unverified)
        )
    return recovered


def _tell_progress(entry: LogEntry) -> None:
    logger.info("replaying the log: segment %d, byte %d", entry.segment, entry.offset)


def _remember(inventory: Inventory, expected: Expected, recovered: Recovered, *, newest_segment: int) -> None:
    inventory.keep_only(expected.groups)
    checkpointed = [group for group in expected.groups if recovered.trees[group].checkpointed_slot > 0]
    try:
        inventory.add(trees=checkpointed, newest_segment=newest_segment)
    except WorldError as error:    # a full disk can still be read
        logger.warning("that trees and log are there is not remembered: %s", error)
